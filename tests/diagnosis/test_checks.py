"""Each check: what it finds, in which words, and what it leaves alone."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import pytest

from ganforge import recipes
from ganforge.diagnosis import CHECKS, explain, findings, log_signals, run_checks, show
from ganforge.diagnosis.checks import Figures
from ganforge.diagnosis.snapshot import Snapshot
from ganforge.errors import UsageError
from ganforge.gan.adversarial import Adversarial
from tests.diagnosis.test_signals import log

ROOT = Path(__file__).parents[2]
HEALTHY = {
    "coverage": 0.9, "coverage_floor": 0.95, "near": 1.0, "missing": 0.0, "least": 0.8,
    "g_slope": 0.5, "d_cost": 0.9, "gap": 0.2, "behind": 0.0, "memory": 0.52, "by_heart": 0.1,
    "flips": 0.0, "gap_rms": 0.2, "gap_memory": 0.8, "cost_peak": 1.1, "growth_d": 3.0,
    "dead_d": 0.0, "dead_g": 0.0, "label_effect": 0.7, "label_effect_real": 0.7,
    "label_accuracy": 0.98, "c_t": 0.5, "authentic": 0.65, "authentic_held_out": 0.6, "n": 2500.0,
    "features": 128.0, "value": 5.0, "floor": 4.0, "worse": 1.0, "since_best": 0.0,
    "to_target": 0.5, "retrieval": 0.6, "moved": 1.0, "variety": 0.9, "cycle": 0.2, "hidden": 1.1,
}  # fmt: skip
SICK: dict[str, dict[str, float]] = {
    "GF001": {"near": 0.1},
    "GF002": {"least": 0.0, "missing": 0.1, "absent": 0.1},
    "GF003": {"g_slope": 1e-5, "d_cost": 1e-5},
    "GF004": {"memory": 0.99, "by_heart": 0.9, "logit_train": 5, "logit_held_out": -3,
              "logit_fresh": -4},
    "GF005": {"behind": 1.0, "d_cost": 1.3},
    "GF006": {"flips": 12, "gap_rms": 2.0},
    "GF007": {"skipped": 0.1},
    "GF008": {"dead_g": 0.9},
    "GF009": {"label_effect": 0.0, "label_accuracy": 0.1},
    "GF010": {"c_t": -30, "authentic": 0.05},
    "GF011": {"n": 120},
    "GF012": {"worse": 4.0, "since_best": 6, "best": 2.0, "now": 9.0, "best_epoch": 3.0,
              "curve_floor": 1.5},
    "GF013": {"to_target": 1.0, "retrieval": 0.01, "pairs": 110},
    "GF014": {"moved": 0.01},
    "GF015": {"variety": 0.05},
    "GF016": {"cycle": 0.1, "hidden": 4.0},
}  # fmt: skip


def test_a_healthy_run_has_no_finding() -> None:
    found = run_checks(HEALTHY, {})
    assert found.healthy and found.checked == tuple(CHECKS) and not found.skipped


@pytest.mark.parametrize("code", list(CHECKS))
def test_each_code_is_found_and_no_other_with_its_figures(code: str) -> None:
    found = run_checks(HEALTHY | SICK[code], {}, step=7)
    assert found.codes == (code,) and found.step == 7
    (one,) = found.findings
    assert (
        one.name == CHECKS[code].name
        and re.search(r"\d", one.evidence)
        and "\n" not in one.evidence
    )
    assert one.remedy and "\n" not in one.remedy
    for name, value in one.figures.items():
        assert value == (HEALTHY | SICK[code])[name]
    assert set(SICK[code]) & set(one.figures)


@pytest.mark.parametrize(
    ("code", "part"),
    [("GF005", {"behind": 1.0}), ("GF005", {"d_cost": 1.3}), ("GF006", {"flips": 12}),
     ("GF006", {"gap_rms": 2.0}), ("GF004", {"memory": 0.99})],
)  # fmt: skip
def test_half_of_the_evidence_is_no_finding(code: str, part: dict[str, float]) -> None:
    assert code not in run_checks(HEALTHY | part, {}).codes
    assert run_checks(HEALTHY | SICK[code], {}).codes == (code,)


# (code, figure, its limit, the last healthy figure beside the limit or the limit itself)
BELOW, ABOVE, AT = -math.inf, math.inf, 0.0
LIMITS = [
    ("GF001", "missing", 0.5, BELOW), ("GF002", "least", 0.08, AT), ("GF003", "g_slope", 0.2, AT),
    ("GF003", "d_cost", 0.02, AT), ("GF004", "memory", 0.6, AT), ("GF004", "by_heart", 0.5, AT),
    ("GF005", "behind", 0.6, AT), ("GF005", "d_cost", 1.006, AT), ("GF006", "flips", 10.0, BELOW),
    ("GF006", "gap_rms", 0.3, AT), ("GF006", "gap_memory", 0.3, AT),
    ("GF007", "skipped", 0.001, AT), ("GF008", "dead_g", 0.5, AT), ("GF008", "dead_d", 0.5, AT),
    ("GF008", "cost_peak", 4.0, AT), ("GF008", "growth_d", 20.0, AT),
    ("GF009", "label_accuracy", 0.2, AT), ("GF012", "worse", 2.0, AT),
    ("GF012", "since_best", 3.0, BELOW), ("GF013", "to_target", 0.75, AT),
    ("GF013", "retrieval", 0.15, AT),
    ("GF014", "moved", 0.1, AT), ("GF015", "variety", 0.3, AT), ("GF016", "hidden", 2.0, AT),
    ("GF016", "cycle", 0.5, AT),
]  # fmt: skip
ANY_OF = ("GF001", "GF003", "GF008", "GF009")  # one of their figures is enough


@pytest.mark.parametrize(("code", "figure", "limit", "healthy"), LIMITS)
def test_a_finding_begins_beyond_its_limit(
    code: str, figure: str, limit: float, healthy: float
) -> None:
    others = HEALTHY if code in ANY_OF else HEALTHY | SICK[code]
    usual = HEALTHY.get(figure, 0.0)
    worse = SICK[code].get(figure, ABOVE if usual < limit or figure == "gap_memory" else BELOW)
    last = math.nextafter(limit, healthy) if healthy else limit
    assert code not in run_checks(others | {figure: last}, {}).codes
    assert code in run_checks(others | {figure: math.nextafter(last, worse)}, {}).codes


def test_a_copy_of_the_source_does_not_ignore_it() -> None:
    copied = HEALTHY | SICK["GF013"] | SICK["GF014"]
    assert run_checks(copied, {}).codes == ("GF014",)


def test_the_remedy_of_a_saturated_d_depends_on_the_loss() -> None:
    """The minimax loss has lost its slope; the other has a D that is sure of everything."""
    for name, remedy in (("minimax", "non-saturating"), ("non-saturating", "discriminator.lr")):
        sure = log(loss_d=1e-4, logit_real=9.0, logit_fake=-9.0, d_real=1.0, d_fake=1e-4)
        figures = log_signals.of_log(sure, Adversarial(name))
        config = replace(recipes.find("mnist-mlp"), game=Adversarial(name))
        (one,) = run_checks(figures, {}, ("GF003",), config=config).findings
        assert remedy in one.remedy


def test_both_collapses_are_called_so() -> None:
    assert "collapse" in CHECKS["GF001"].name and "collapse" in CHECKS["GF002"].name


@pytest.mark.parametrize("code", list(CHECKS))
def test_every_code_is_explained(code: str) -> None:
    text = explain(code)
    for part in (code, CHECKS[code].name, "What it is:", "Why it is bad:", "What to do:"):
        assert part in text
    assert code in (ROOT / "docs/diagnosis.md").read_text()


def test_an_unknown_code_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="did you mean 'GF003'"):
        explain("G003")
    for text in ("gf3", "3", "GF03"):
        assert explain(text) == explain("GF003")


def test_every_setting_that_a_remedy_names_exists() -> None:
    """--a.b words of the remedies and docstrings are settings of a recipe, or options of train."""
    from ganforge.config.convert import flat, to_dict

    known = {key for name in recipes.RECIPES for key, _ in flat(to_dict(recipes.find(name)))}
    options = {"precision", "every", "stop", "ema", "epochs", "on_nan", "split", "metrics"}
    texts = [explain(code) for code in CHECKS]
    texts += [
        f.remedy for code in CHECKS for f in run_checks(HEALTHY | SICK[code], {}, (code,)).findings
    ]
    for word in re.findall(r"--([a-z_][\w.-]*)", "\n".join(texts)):
        name = word.strip(".").replace("-", "_")
        assert name in known | options, word


def test_a_run_with_too_few_scored_samples_is_healthy() -> None:
    found = run_checks({**HEALTHY, "n": 120}, {})
    assert found.codes == ("GF011",) and found.healthy and not found.faults
    text = findings.text(found)
    assert "GF011" in text and "healthy (checked" in text
    assert not run_checks({**HEALTHY, **SICK["GF001"]}, {}).healthy


@pytest.mark.parametrize("code", ["GF001", "GF002", "GF004", "GF009", "GF010"])
def test_evidence_from_samples_says_how_many(code: str) -> None:
    figures = {**HEALTHY, **SICK[code], "samples": 1000.0}
    (one,) = run_checks(figures, {}, (code,)).findings
    assert one.evidence.endswith("(1,000 samples and as many held-out examples, seed 0)")


def test_a_conditional_recipe_is_advised_if_the_data_have_labels() -> None:
    figures = {**HEALTHY, **SICK["GF002"]}
    for available, word in ((1.0, "--labels true"), (0.0, "batch")):
        (one,) = run_checks({**figures, "labels_available": available}, {}, ("GF002",)).findings
        assert word in one.remedy


def test_the_missing_class_is_named() -> None:
    figures = {**HEALTHY, **SICK["GF002"], "rarest": 7.0, "absent": 0.5}
    for kind, named in ((), "class 7 has 0%"), (("modes",), "mode 7 has"), (("cells",), "a group"):
        of_kind = figures | dict.fromkeys(kind, 1.0)
        (one,) = run_checks(of_kind, {}, ("GF002",)).findings
        assert one.evidence.startswith(named)


def test_labels_without_effect_explain_0_percent() -> None:
    figures = {**HEALTHY, "label_effect": 0.3, "label_effect_real": -0.0003}
    (one,) = run_checks(figures, {}, ("GF009",)).findings
    assert "30% of the samples' variance, and 0% of the real" in one.evidence


def test_one_empty_cell_is_not_a_missing_class() -> None:
    """Data without classes are grouped into cells; many of those have to be empty."""
    cell = {**HEALTHY, "least": 0.0, "cells": 1.0}
    assert run_checks({**cell, "absent": 0.1}, {}, ("GF002",)).healthy
    assert run_checks({**cell, "absent": 0.5}, {}, ("GF002",)).codes == ("GF002",)


def test_copies_are_found_by_distance_or_by_number() -> None:
    few = {**HEALTHY, "authentic": 0.3, "searched": 10_000.0}
    assert run_checks({**few, "copied": 0.01}, {}, ("GF010",)).healthy
    assert run_checks({**few, "copied": 0.05}, {}, ("GF010",)).codes == ("GF010",)
    (one,) = run_checks({**few, "c_t": -4.0}, {}, ("GF010",)).findings
    assert "the training data (10,000 examples of them)" in one.evidence  # not all of them
    # half of the data missing is no excuse, one picture again and again is another finding
    assert run_checks({**few, "c_t": -4.0, "missing": 0.6}, {}, ("GF010",)).codes
    assert run_checks({**few, "c_t": -4.0, "near": 0.1}, {}, ("GF010",)).healthy


# Figures at which a limit decides that decides nothing at those above.
EDGE = {"GF002": {"cells": 1.0}, "GF010": {"c_t": 0.5, "copied": 0.0}}


@pytest.mark.parametrize(
    ("code", "limit"), [(code, name) for code, check in CHECKS.items() for name in check.limits]
)
def test_every_limit_decides(code: str, limit: str) -> None:
    check = CHECKS[code].function
    sick = HEALTHY | SICK[code]
    assert any(
        (check(Figures(f), **{limit: value}) is None) != (check(Figures(f)) is None)
        for f in (HEALTHY, sick, sick | EDGE.get(code, {}))
        for value in (-1e9, 1e9)
    )


@pytest.mark.parametrize("code", list(CHECKS))
def test_without_figures_nothing_is_found(code: str) -> None:
    """Neither a missing figure nor one that is not a number is above or below a limit."""
    figures = HEALTHY | SICK[code]
    assert CHECKS[code].function(Figures()) is None
    assert CHECKS[code].function(Figures(dict.fromkeys(figures, math.nan))) is None


def test_the_pictures_of_the_checks_can_be_drawn() -> None:
    assert {check.picture for check in CHECKS.values()} <= {"", "scores", *show.DRAWINGS}


# --- too early, and healthy -------------------------------------------------------------------


@pytest.mark.parametrize("code", list(CHECKS))
def test_a_finding_needs_enough_steps(code: str) -> None:
    """But for numbers that are not finite, and for scores, which count their samples themselves."""
    found = run_checks(HEALTHY | SICK[code], {"steps": "too early: 50 of 429 steps"}, step=50)
    if code in ("GF007", "GF011", "GF012"):
        assert found.codes == (code,)
    else:
        assert not found.findings and found.skipped[code] == "too early: 50 of 429 steps"
    assert not found.healthy


def test_too_early_counts_updates_of_the_generator() -> None:
    cdcgan = recipes.find("cdcgan")
    assert Snapshot(cdcgan, step=50, planned=4297).too_early == "too early: 50 of 429 steps"
    assert Snapshot(cdcgan, step=50, planned=50).too_early == "too early: 50 of 200 steps"
    assert not Snapshot(cdcgan, step=429, planned=4297).too_early
    assert Snapshot(cdcgan, step=1999, planned=10**6).too_early == "too early: 1999 of 2000 steps"
    many = replace(cdcgan, game=replace(cdcgan.game, g_steps=20))
    assert Snapshot(many, step=9, planned=60).too_early == "too early: 9 of 10 steps"
    assert not Snapshot(many, step=10, planned=60).too_early


@pytest.mark.parametrize(
    ("figures", "unavailable", "why"),
    [
        ({"coverage": 0.8}, {}, "cover 0.80 of the data, real examples 0.95"),
        ({"value": 552.0, "floor": 174.0, "far": 1.0}, {}, "distance is 552, of real examples 174"),
        ({"distance": 9.0, "distance_floor": 2.0, "apart": 1.0}, {}, "is 9, of real examples 2"),
        ({"examples": 99.0}, {}, "99 training examples are too few to say"),
        ({}, {"samples": "5 training examples are too few"}, "5 training examples are too few"),
    ],
)
def test_healthy_stands_near_the_floor_and_has_enough_pictures(
    figures: dict[str, float], unavailable: dict[str, str], why: str
) -> None:
    found = run_checks(HEALTHY | figures, unavailable)
    assert not found.findings and not found.healthy and why in found.open
    text = findings.text(found)
    assert "no finding, but not called healthy: " in text and why in text
    assert not any(line.startswith("healthy") for line in text.splitlines())
    fine = {"far": 0.0, "apart": 0.0, "examples": 100.0, "coverage": 0.86}
    assert run_checks(HEALTHY | fine, {}).healthy


def test_a_translator_is_healthy_by_its_translations_and_not_without_them() -> None:
    figures = {"moved": 1.0, "variety": 1.0, "to_target": 0.1}
    translates = "it translates pictures"
    config = recipes.find("pix2pix")
    assert run_checks(figures, {"samples": translates}, config=config).healthy
    why = {"samples": translates, "translations": "3 held-out pictures are too few"}
    assert run_checks({}, why, config=config).open == why["translations"]
