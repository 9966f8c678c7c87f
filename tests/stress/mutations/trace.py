"""Which tests enter which function: noted while the tests run once, in their child processes too.

A mutant is then judged by the tests that enter its function and by no others. What runs while a
test file is collected, or in a fixture, counts for all tests of the file: a fixture may serve many.
"""

from __future__ import annotations

import json
import os
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.stress.mutations.entered import CHILDREN, SITE, Entered


@dataclass(eq=False)
class Trace:
    """A pytest plugin; `write` saves what it saw.

    Args:
        tree: the copy of the project.
        children: an empty folder, for what child processes entered.
    """

    tree: Path
    children: Path
    functions: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    seconds: dict[str, float] = field(default_factory=dict)
    bad: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.entered = Entered(f"{self.tree / 'src' / 'ganforge'}{os.sep}")
        (self.tree / "sitecustomize.py").write_text(SITE)
        os.environ[CHILDREN] = str(self.children)
        self.entered.start()

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(self, collector: pytest.Collector) -> Iterator[Any]:
        self.entered.take()
        report = yield
        self._note(collector.nodeid.partition("::")[0])
        return report

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Iterator[Any]:
        self.entered.take()
        result = yield
        self._note(item.nodeid.partition("::")[0])
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[Any]:
        self.entered.start()  # a test of profilers may have ended it
        try:
            return (yield)
        finally:
            self._note(item.nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration
        if report.failed or report.skipped:
            self.bad.add(report.nodeid)
        if report.failed:
            print(f"\n{report.nodeid} fails without a mutant", flush=True)

    def _note(self, name: str) -> None:
        self.functions[name] |= self.entered.take()
        for path in self.children.glob("*.json"):
            self.functions[name] |= set(json.loads(path.read_text()))
            path.unlink()

    def write(self, path: Path) -> None:
        """{"function": [[test, seconds], ...]}, the quickest tests first."""
        sys.setprofile(None)
        (self.tree / "sitecustomize.py").unlink()
        tests: dict[str, list[tuple[str, float]]] = defaultdict(list)
        for test, seconds in sorted(self.seconds.items(), key=lambda item: item[1]):
            if test not in self.bad:
                file = test.partition("::")[0]
                for name in self.functions[test] | self.functions[file]:
                    tests[name].append((test, round(seconds, 3)))
        path.write_text(json.dumps(tests))
