"""Tables in every format: what a paper, a spreadsheet and a program get, and what stdout holds."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any, get_args

import pytest

import ganforge as gf
from ganforge import recipes
from ganforge.cli import main, tables
from ganforge.cli.options import Format
from ganforge.experiments.statistics import Estimate, estimated
from ganforge.reproduce import EXPERIMENTS
from ganforge.reproduce.outcome import Outcome, published
from tests.helpers import tiny

FORMATS: tuple[Format, ...] = get_args(Format)
MADE = tuple(form for form in FORMATS if form != "text")
RECORDS = [
    {"recipe": "a_b & 50%", "seeds": 12_345, "fd": Estimate(2.34567, 0.123, "2.346 +- 0.12"),
     "fd low": 2.1},
    {"recipe": "c|d", "seeds": None, "fd": Estimate(1234.5, None, "1,234"), "fd low": None},
]  # fmt: skip


def test_markdown_has_numbers_at_the_right() -> None:
    assert tables.render(RECORDS, "md").splitlines() == [
        "| recipe | seeds | fd |",
        "| --- | ---: | ---: |",
        "| a_b & 50% | 12,345 | 2.346 ± 0.12 |",
        r"| c\|d |  | 1,234 |",
    ]


def test_latex_escapes_and_has_the_rules_of_booktabs() -> None:
    assert tables.render(RECORDS, "latex").splitlines() == [
        r"\begin{tabular}{lrr}",
        r"\toprule",
        r"recipe & seeds & fd \\",
        r"\midrule",
        r"a\_b \& 50\% & $12{,}345$ & $2.346 \pm 0.12$ \\",
        r"c|d &  & $1{,}234$ \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]
    assert tables.escaped("\\{$#~^}") == (
        r"\textbackslash{}\{\$\#\textasciitilde{}\textasciicircum{}\}"
    )


def test_csv_has_plain_numbers_and_the_spread_in_a_column() -> None:
    found = list(csv.DictReader(io.StringIO(tables.render(RECORDS, "csv"))))
    assert found == [
        {"recipe": "a_b & 50%", "seeds": "12345", "fd": "2.34567", "fd spread": "0.123",
         "fd low": "2.1"},
        {"recipe": "c|d", "seeds": "", "fd": "1234.5", "fd spread": "", "fd low": ""},
    ]  # fmt: skip
    bare = [{"name": "x", "fd": Estimate(1.0, None, "1")}]
    assert tables.render(bare, "csv") == "name,fd\nx,1.0"


def test_json_is_the_records_and_has_no_nan() -> None:
    found = json.loads(tables.render([*RECORDS, {"fd": float("nan")}], "json"))
    assert found == [
        {"recipe": "a_b & 50%", "seeds": 12345, "fd": 2.34567, "fd spread": 0.123, "fd low": 2.1},
        {"recipe": "c|d", "seeds": None, "fd": 1234.5, "fd spread": None, "fd low": None},
        {"fd": None},
    ]


def test_an_estimate_has_all_digits_and_the_shown_ones() -> None:
    assert estimated([1.0, 2.0], 1) == Estimate(1.5, pytest.approx(0.5), "1.5 +- 0.5")
    assert estimated([1.25], 1) == Estimate(1.25, None, "1.2")
    assert published("6.3 +- .5") == Estimate(6.3, 0.5, "6.3 +- .5")
    assert published("98.2") == Estimate(98.2, None, "98.2")


# --- the commands -----------------------------------------------------------------------------


def parsed(text: str, form: Format) -> int:
    """The rows of a table that is all of a text; fails for anything beside it."""
    lines = text.splitlines()
    if form == "json":
        return len(json.loads(text))
    if form == "csv":
        rows = list(csv.reader(io.StringIO(text)))
        assert len({len(row) for row in rows}) == 1
        return len(rows) - 1
    if form == "latex":
        assert (lines[0][:15], lines[-1]) == (r"\begin{tabular}", r"\end{tabular}")
        return len(lines) - 6
    assert all(line.startswith("| ") and line.endswith(" |") for line in lines)
    return len(lines) - 2


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two recipes with two seeds each."""
    path = tmp_path_factory.mktemp("runs")
    for name in ("gaussian", "gaussian-stable"):
        config = tiny.shortened(recipes.find(name), 4, score=False)
        gf.population(config, path / name, (0, 1), show="quiet")
    return path


@pytest.mark.parametrize("form", MADE)
def test_evaluate(form: Format, runs: Path, capsys: Any) -> None:
    words = ["evaluate", str(runs / "gaussian/seed-0"), "-n", "100", "--metrics=frechet,mmd"]
    assert main([*words, "--split=validation", f"--format={form}"]) == 0
    out, error = capsys.readouterr()
    assert parsed(out, form) == 2
    assert "saved in" in error and "space " in error
    if form == "json":
        (first, _), names = json.loads(out), {"value", "value spread", "floor", "verdict", "N"}
        assert first["metric"] == "frechet" and names <= first.keys()


@pytest.mark.parametrize("form", MADE)
def test_compare(form: Format, runs: Path, tmp_path: Path, capsys: Any) -> None:
    words = ["compare", str(runs / "gaussian"), str(runs / "gaussian-stable"), "-n", "100"]
    more = ["--metric=frechet,mmd", "--split=validation", f"--out={tmp_path}"]
    assert main([*words, *more, f"--format={form}"]) == 0
    out, error = capsys.readouterr()
    assert parsed(out, form) == 3  # two recipes and the floor
    assert "paired over seeds" in error and "saved in" in error and "fewer than 5" in error
    if form == "json":
        saved = json.loads((tmp_path / "compare.json").read_text())["metrics"]["mmd"]["ranked"]
        ours = {r["recipe"]: (r["mmd"], r["mmd spread"], r["mmd low"]) for r in json.loads(out)}
        for r in saved:
            assert ours[r["recipe"]] == (r["mean"], r["error"], r["low"])
        assert set(ours) == {r["recipe"] for r in saved} | {"real examples"}


def test_recipes_that_are_trained_for_it_print_on_stderr(tmp_path: Path, capsys: Any) -> None:
    words = ["--recipes=gaussian", "--seeds=0,1", "--kimg=0.032", "--batch=8", "-n", "100"]
    assert main(["compare", *words, f"--out={tmp_path / 'out'}", "--format=csv"]) == 0
    out, error = capsys.readouterr()
    assert parsed(out, "csv") == 2
    assert "finished" in error and "saved in" in error


@pytest.mark.parametrize("form", FORMATS)
def test_reproduce(form: Format, tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    def run(folder: Path, **options: Any) -> Outcome:
        print("trained")
        rows = [{"ring": "GAN", "modes": published("6.3 +- .5")}]
        return Outcome(rows, "the table, and what belongs to it")

    monkeypatch.setitem(EXPERIMENTS, "ring", run)
    assert main(["reproduce", "ring", f"--out={tmp_path}", f"--format={form}"]) == 0
    out, error = capsys.readouterr()
    if form == "text":
        assert out == f"trained\nthe table, and what belongs to it\nsaved in {tmp_path}\n"
    else:
        assert parsed(out, form) == 1 and "6.3" in out
        assert error == f"trained\nthe table, and what belongs to it\nsaved in {tmp_path}\n"


def test_another_format_is_one_line(capsys: Any, tmp_path: Path) -> None:
    assert main(["reproduce", "ring", f"--out={tmp_path}", "--format=word"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "latex" in error
