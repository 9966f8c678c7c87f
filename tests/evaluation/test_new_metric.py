"""A new metric takes one file and one line of the table: the exercise in the documentation."""

from __future__ import annotations

import re
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ganforge.cli import main
from ganforge.data.load import load
from ganforge.evaluation import metrics, store
from ganforge.evaluation.score import Metric

EXERCISES = Path(__file__).parents[2] / "docs/notes/exercises.md"


def exercise() -> tuple[str, str]:
    """The file of the section "A metric", and its line of the table."""
    section = EXERCISES.read_text().partition("\n## A metric\n")[2].partition("\n## ")[0]
    code, line = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    return code, line


@pytest.fixture
def new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The metric of the exercise: its file in the folder of metrics, its line in the table."""
    code, line = exercise()
    assert line.count("\n") == 1
    table = tmp_path / "table.py"
    table.write_text(f"from {Metric.__module__} import Metric\nLINES = {{{line}}}\n")
    ((name, metric),) = runpy.run_path(str(table))["LINES"].items()
    file = metric.where.partition(":")[0]
    assert not (Path(metrics.__path__[0]) / f"{file}.py").exists()
    (tmp_path / f"{file}.py").write_text(code)
    monkeypatch.setattr(metrics, "__path__", [*metrics.__path__, str(tmp_path)])
    monkeypatch.setitem(metrics.METRICS, name, metric)
    yield name
    sys.modules.pop(f"{metrics.__name__}.{file}", None)
    vars(metrics).pop(file, None)


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    """200 samples that lie too near to the mean of the data, and nothing else."""
    values = load("gaussian").values[:200]
    np.savez(tmp_path / "s.npz", samples=values.mean(0) + (values - values.mean(0)) / 2)
    return tmp_path / "s.npz"


def test_a_new_metric_takes_one_file_and_one_line(
    new: str, samples: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evaluate", str(samples), "--data", "gaussian", "-n", "200", "--metrics"]
    assert main([*words, f"frechet,{new}"]) == 0
    row = next(r for r in capsys.readouterr().out.splitlines() if r.startswith(new))
    (entry,) = store.read(store.scores_path(samples)).values()
    _, score = store.cards(entry)
    assert (score.name, score.n, score.verdict) == (new, 200, "far") and "far" in row
    assert score.value > 0.7 and abs(score.floor - 0.5) < 0.1
    assert new in metrics.fitting(())  # computed by default
    assert main([*words, new[:-1]]) == 2
    assert f"did you mean {new!r}?" in capsys.readouterr().err


def test_without_its_line_there_is_no_metric(
    samples: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evaluate", str(samples), "--data", "gaussian", "--metrics", "central"]
    assert main(words) == 2
    assert "metric = 'central'" in capsys.readouterr().err


def test_every_file_of_metrics_has_a_line() -> None:
    files = {path.stem for path in Path(metrics.__path__[0]).glob("*.py")} - {"__init__"}
    assert files == {metric.where.partition(":")[0] for metric in metrics.METRICS.values()}
