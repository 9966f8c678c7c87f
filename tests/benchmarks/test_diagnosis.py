"""The clinic: its ways can be made, and docs/diagnosis.md says what its figures say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.diagnosis import table
from benchmarks.diagnosis.measure import read
from benchmarks.diagnosis.scenarios import HEALTHY, SICK, WAYS
from ganforge.diagnosis import CHECKS
from ganforge.diagnosis.checks import BOUNDS

ROOT = Path(__file__).parents[2]

FIGURES = ROOT / "benchmarks" / "diagnosis" / "results" / "figures.jsonl"


@pytest.mark.parametrize("name", list(WAYS))
def test_every_way_is_a_run(name: str) -> None:
    config = WAYS[name].config()
    assert config.threads == 1 and config.kimg and config.output.log_every
    assert set(WAYS[name].codes) <= set(CHECKS) and bool(WAYS[name].codes) == (name in SICK)


def test_every_code_is_made_and_every_bound_is_a_check_s() -> None:
    made = {way.codes[0] for way in SICK.values()}
    assert made == set(CHECKS)
    assert set(table.PARTS) <= set(BOUNDS)
    assert {way for _, ways, _ in table.PARTS.values() for way in ways} <= set(SICK)


def test_the_page_holds_the_table_of_the_figures() -> None:
    page = (ROOT / "docs" / "diagnosis.md").read_text()
    assert table.table(FIGURES) in page


def test_the_figures_are_of_enough_runs() -> None:
    """At least eight ways and forty healthy runs, ten seeds each where the page says so."""
    records = read(FIGURES)
    seeds = {name: {r["seed"] for r in records if r["way"] == name} for name in WAYS}
    assert sum(len(seeds[name]) for name in HEALTHY) >= 40
    assert sum(len(seeds[name]) >= 10 for name in SICK) >= 8


def test_a_table_of_two_runs(tmp_path: Path) -> None:
    sick = {"way": "frozen", "seed": 1, "lacking": {}, "figures": {"d_cost": 1e-4, "gap": 20.0}}
    well = {"way": "mlp", "seed": 1, "lacking": {}, "figures": {"d_cost": 0.9, "near": None}}
    even = sick | {"seed": 2}
    lines = "".join(json.dumps(r) + "\n" for r in (sick, well, even))
    (tmp_path / "f.jsonl").write_text(lines)
    told = table.table(tmp_path / "f.jsonl")
    assert "| GF003 | discriminator saturated | minimax, frozen | 1 of 1 | 100% | 0 of 1 |" in told
    assert "Healthy runs of which anything was said: 0 of 1." in told
    assert table.values([{"a": 2.0}, {"a": 1.0}, {}], "a") == [1.0, 2.0]
    assert "d_cost" in table.bounds(tmp_path / "f.jsonl")


def test_the_fresh_seeds_say_what_the_page_says() -> None:
    said = [(r["way"], table.codes(r)) for r in read(FIGURES.with_name("fresh.jsonl"))]
    named = {
        code: sum(code in found for way, found in said if way == name)
        for name, code in (("mnist-20", "GF005"), ("copies", "GF010"))
    }
    page = (ROOT / "docs" / "diagnosis.md").read_text()
    assert f"GF005 named {named['GF005']} of 10, GF010 {named['GF010']} of 10" in page
