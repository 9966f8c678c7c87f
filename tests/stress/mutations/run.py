"""Runs tests on mutants in a copy of the tree, one at a time, each in a fork.

torch and the other libraries are imported once; a fork begins with them in milliseconds, imports
the changed package from the copy, and is killed with all that it started.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.stress.mutations.operators import Mutant

PACKAGE = "src/ganforge"
COPIED = ("src", "tests", "benchmarks", "docs", "pyproject.toml", "Makefile")
ROOT = Path(__file__).parents[3]
MARKS = "not stress and not nightly and not browser"
QUIET = [
    "-q",
    "-p",
    "no:cacheprovider",
    "-p",
    "no:xdist",
    "-rfE",
    "--tb=no",
    "-W",
    "ignore::pytest.PytestAssertRewriteWarning",
]  # hypothesis is there already
STOP = ["-x", "-m", f"{MARKS} and not slow"]
PASSED, FAILED, INTERRUPTED, USAGE, NO_TESTS = 0, 1, 2, 4, 5  # exit codes of pytest

# `file:function` -> the tests that enter it with their seconds, the quickest first
Table = dict[str, list[tuple[str, float]]]


@dataclass(frozen=True)
class Outcome:
    """What tests said of a mutant.

    Args:
        name: of the mutant.
        killed: a test failed.
        by: the first test that failed, "time" if the tests never ended; "" if none failed.
        seconds: that the tests took.
    """

    name: str
    killed: bool
    by: str
    seconds: float


@contextmanager
def copied(root: Path) -> Iterator[Path]:
    """A copy of the tree in a temporary folder, without what programs made in it."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as scratch:
        tree = Path(scratch)
        skip = shutil.ignore_patterns("__pycache__", ".*_cache")
        for name in COPIED:
            place = root / name
            if place.is_dir():
                shutil.copytree(place, tree / name, ignore=skip)
            elif place.exists():
                shutil.copy(place, tree / name)
        for page in root.glob("*.md"):
            shutil.copy(page, tree)
        yield tree


def warm() -> None:
    """Import what every test needs and no mutant changes."""
    os.environ |= {"OMP_NUM_THREADS": "1", "GANFORGE_OFFLINE": "1", "MPLBACKEND": "Agg"}
    import hypothesis
    import matplotlib.pyplot
    import PIL.Image
    import pytest
    import scipy.stats
    import torch

    assert all((hypothesis, matplotlib.pyplot, PIL.Image, pytest, scipy.stats))
    torch.set_num_threads(1)


def judge(tree: Path, mutant: Mutant, tests: Sequence[str], seconds: float) -> Outcome:
    """Whether tests fail on a mutant; the tree is put back.

    Args:
        tree: a copy of the project.
        mutant: what to write into it.
        tests: files or ids of tests that pass without the mutant, in their order.
        seconds: after which tests that have not ended count as failed.
    """
    began, by = time.monotonic(), ""
    if not tests:
        return Outcome(mutant.name, False, by, 0.0)
    path = tree / PACKAGE / mutant.file
    text = path.read_text()
    try:
        _write(path, mutant.text)
        code, output = in_fork(tree, lambda: _pytest([*STOP, *tests]), seconds)
        if code is None:
            by = "time"
        elif code in (FAILED, INTERRUPTED, USAGE):  # 4: a test cannot be collected any more
            by = next(iter(failures(output)), output.strip().rpartition("\n")[2])
        elif code not in (PASSED, NO_TESTS):
            raise RuntimeError(f"{mutant.name}: pytest ended with {code}:\n{output}")
    finally:
        _write(path, text)
    return Outcome(mutant.name, bool(by), by, time.monotonic() - began)


def traced(tree: Path, tests: Sequence[str], marks: str) -> Table:
    """`file:function` -> the tests that enter it with their seconds, the quickest first.

    Tests that fail or are skipped without a mutant are none of them.
    """
    children, found = tree / "children", tree / "traced.json"
    children.mkdir(exist_ok=True)

    def trace() -> int:
        from tests.stress.mutations.trace import Trace

        plugin = Trace(tree, children)
        code = _pytest(["-m", marks, *tests], plugin)
        plugin.write(found)
        return code

    code, output = in_fork(tree, trace)
    if code not in (PASSED, FAILED, NO_TESTS):
        raise RuntimeError(f"pytest ended with {code}:\n{output}")
    for line in output.splitlines():
        if line.endswith("fails without a mutant"):
            print(f"  {line}", flush=True)
    return {k: [(test, s) for test, s in v] for k, v in json.loads(found.read_text()).items()}


def _write(path: Path, text: str) -> None:
    """The text of a module; its bytecode goes, for it is compared by second and size alone."""
    path.write_text(text)
    for old in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
        old.unlink()


def _pytest(words: list[str], *plugins: object) -> int:
    """pytest in the working folder."""
    import pytest

    words = [*QUIET, *words]
    if len(words) > 100:
        Path("words.txt").write_text("\n".join(words))
        words = ["@words.txt"]
    return int(pytest.main(words, plugins=list(plugins)))


def in_fork(tree: Path, work: Callable[[], int], seconds: float = 7200) -> tuple[int | None, str]:
    """What `work` returns (None if it did not end in time) and its output.

    It runs in a child with the modules of the copy, which is killed with all that it started.
    """
    log = tree / "pytest.log"
    child = os.fork()
    if not child:
        _become(tree, log, work)
    until = time.monotonic() + seconds
    done, status = 0, 0
    while not done and time.monotonic() < until:
        time.sleep(0.02)
        done, status = os.waitpid(child, os.WNOHANG)
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    if not done:
        os.waitpid(child, 0)
        return None, ""
    code = os.waitstatus_to_exitcode(status)
    return (code if code >= 0 else FAILED), log.read_text(errors="replace")


def _become(tree: Path, log: Path, work: Callable[[], int]) -> None:
    """The child: the modules are those of the copy, its output is a file; it never returns."""
    code = 99
    try:
        os.setsid()
        os.chdir(tree)
        with log.open("wb") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        for name in [n for n in sys.modules if n.partition(".")[0] in ("ganforge", "tests")]:
            del sys.modules[name]
        here = [str(tree / "src"), str(tree)]
        sys.path[:] = here + [p for p in sys.path if p not in ("", str(ROOT), str(ROOT / "src"))]
        os.environ["PYTHONPATH"] = os.pathsep.join(here)
        os.environ["TMPDIR"] = tempfile.mkdtemp(prefix="tests-", dir=tree)
        tempfile.tempdir = None
        code = work()
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def failures(output: str) -> list[str]:
    """The ids of the tests that failed, from pytest's summary."""
    return re.findall(r"^(?:FAILED|ERROR) (\S+)", output, re.MULTILINE)
