"""The diagnosis benchmark: its scenarios are runs, and docs/diagnosis.md holds its figures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.diagnosis import table
from benchmarks.diagnosis.measure import read
from benchmarks.diagnosis.scenarios import HEALTHY, SCENARIOS, SICK
from ganforge.diagnosis import CHECKS

ROOT = Path(__file__).parents[2]

FIGURES = ROOT / "benchmarks" / "diagnosis" / "results" / "figures.jsonl"


@pytest.mark.parametrize("name", list(SCENARIOS))
def test_every_scenario_is_a_run(name: str) -> None:
    config, codes = SCENARIOS[name].config(), SCENARIOS[name].codes
    assert config.threads == 1 and config.kimg and config.output.log_every
    assert set(codes) <= set(CHECKS) and bool(codes) == (name in SICK)


def test_every_code_has_a_scenario_and_every_separation_a_limit() -> None:
    hidden = {"GF016"}  # no run of a minute learns to hide a message
    assert {scenario.codes[0] for scenario in SICK.values()} == set(CHECKS) - hidden
    for code, limit, _, scenarios, _ in table.SEPARATIONS:
        assert limit in CHECKS[code].limits and set(scenarios) <= set(SICK)


def test_the_page_holds_the_table_of_the_figures() -> None:
    page = (ROOT / "docs" / "diagnosis.md").read_text()
    assert table.table(FIGURES) in page


def test_the_figures_are_of_enough_runs() -> None:
    """At least forty healthy runs, and eight scenarios of ten seeds."""
    records = read(FIGURES)
    seeds = {name: {r["seed"] for r in records if r["scenario"] == name} for name in SCENARIOS}
    assert sum(len(seeds[name]) for name in HEALTHY) >= 40
    assert sum(len(seeds[name]) >= 10 for name in SICK) >= 8


def test_a_table_of_two_runs(tmp_path: Path) -> None:
    faulty = {"scenario": "frozen", "seed": 1, "unavailable": {},
            "figures": {"d_cost": 1e-4, "gap": 20.0}}  # fmt: skip
    well = {"scenario": "mlp", "seed": 1, "unavailable": {},
            "figures": {"d_cost": 0.9, "near": None}}  # fmt: skip
    even = faulty | {"seed": 2}
    lines = "".join(json.dumps(r) + "\n" for r in (faulty, well, even))
    (tmp_path / "f.jsonl").write_text(lines)
    text = table.table(tmp_path / "f.jsonl")
    assert "| GF003 | discriminator saturated | minimax, frozen, emoji-minimax | 1 of 1 |" in text
    assert " | 1 of 1 | 100% | 0 of 1 |" in text
    assert "Healthy runs with any finding: 0 of 1." in text
    assert table.values([{"a": 2.0}, {"a": 1.0}, {}], "a") == [1.0, 2.0]
    assert "GF003 d_cost " in table.limits(tmp_path / "f.jsonl")


def test_the_page_counts_the_fresh_seeds() -> None:
    found = [(r["scenario"], table.codes(r)) for r in read(FIGURES.with_name("fresh.jsonl"))]
    named = {
        code: sum(code in codes for scenario, codes in found if scenario == name)
        for name, code in (("mnist-20", "GF005"), ("copies", "GF010"))
    }
    page = (ROOT / "docs" / "diagnosis.md").read_text()
    assert f"GF005 named {named['GF005']} of 10, GF010 {named['GF010']} of 10" in page
