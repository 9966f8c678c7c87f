"""The notebooks in examples/: stripped of outputs, and every cell runs, shortened."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "examples/notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
NAMES = [path.stem for path in NOTEBOOKS]
LARGEST = 20_000  # bytes of a notebook without outputs
ENVIRONMENT = {"MPLBACKEND": "agg", "OMP_NUM_THREADS": "1"}


def run(path: Path, place: Path) -> list[dict[str, Any]]:
    """The outputs of a notebook that is executed, shortened, in a folder."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.helpers.notebooks", path, "--short"],
        cwd=place,
        env={**os.environ, **ENVIRONMENT, "IPYTHONDIR": str(place / ".ipython"),
             "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_it_is_stripped_and_has_parameters(path: Path) -> None:
    table = json.loads(path.read_text())
    code = [cell for cell in table["cells"] if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] or cell["execution_count"] for cell in code)
    tagged = [c for c in code if "parameters" in c["metadata"].get("tags", ())]
    assert len(tagged) == 1 and path.stat().st_size < LARGEST
    names = re.compile(r"^([\w, ]+) = ", re.MULTILINE)
    short = set(names.findall(table["metadata"]["ganforge"]["short"]))
    assert short and short <= set(names.findall("".join(tagged[0]["source"])))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_every_cell_runs(path: Path, tmp_path: Path) -> None:
    outputs = run(path, tmp_path)
    sources = ["".join(c["source"]) for c in json.loads(path.read_text())["cells"]]
    for number, source in enumerate(sources):
        of_cell = [output for output in outputs if output["cell"] == number]
        kinds = Counter(output["kind"] for output in of_cell)
        trains = len(re.findall(r"gf\.train\(\n? ", source)) or source.count("= gf.train(")
        if trains:  # one live figure, then scores and findings below it
            assert kinds["display"] == 1 and kinds["update"] >= 1
            last = [output for output in of_cell if output["kind"] == "update"][-1]["text/html"]
            assert "finished: epoch" in last and last.count("<img") == 1
            assert "checked" in last or "not scored" in last
            assert "--" not in re.sub(r"<img[^>]*>", "", last).replace("--:--", "")
        assert not any("nan" in o.get("text/html", "").split("<img")[0] for o in of_cell)


def test_the_five_are_there_and_named_in_the_docs() -> None:
    assert [int(name[0]) for name in NAMES] == [1, 2, 3, 4, 5]
    page = (ROOT / "docs/notebooks.md").read_text()
    assert all(f"examples/notebooks/{path.name}" in page for path in NOTEBOOKS)


@pytest.mark.nightly
@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_it_runs_in_a_kernel(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat = pytest.importorskip("nbformat", reason="pip install 'ganforge[notebooks]'")
    nbclient = pytest.importorskip("nbclient", reason="pip install 'ganforge[notebooks]'")
    book = nbformat.read(path, as_version=4)
    at = next(i for i, c in enumerate(book.cells) if "parameters" in c.metadata.get("tags", ()))
    book.cells.insert(at + 1, nbformat.v4.new_code_cell(book.metadata.ganforge.short))
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    nbclient.NotebookClient(
        book, timeout=600, resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code)
    assert sum(bool(cell.outputs) for cell in code) >= len(code) // 2, "cells show nothing"
