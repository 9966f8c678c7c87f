"""Verdicts, and scores as JSON."""

import json
import math
from dataclasses import replace

import pytest

from ganforge.evaluation.metrics import METRICS
from ganforge.evaluation.score import Floor, Measured, Score, table, verdict

CARD = Score("label-accuracy", 0.95, 0.01, 0.99, 100, "s", "ab" * 32, 0, "validation", "higher")


@pytest.mark.parametrize(
    ("name", "value", "floor", "more", "expected"),
    [
        ("frechet", 1.2, Floor(1.0, 0.1, 0.04), {"control": 101.0}, "as real"),
        ("frechet", 2.5, Floor(1.0, 0.1, 0.04), {"control": 101.0}, "close"),
        ("frechet", 9.0, Floor(1.0, 0.1, 0.04), {"control": 101.0}, "far"),
        ("frechet", 1e9, Floor(1.0, 1e9, 1e9), {"control": 101.0}, "far"),
        ("kernel", -1e9, Floor(0.0, 1e9, 1e9), {"control": 1.0}, "far"),
        ("kernel", 0.3, Floor(0.0, 0.05), {"control": 1.0}, "far"),
        ("kernel", 0.3, Floor(0.0, 0.2), {"control": 1.0}, "unknown"),  # N too small to tell
        ("recall", 0.5, Floor(0.9), {}, "collapsed"),
        ("recall", 0.95, Floor(0.9), {}, "as real"),
        ("authentic", 0.1, Floor(0.6), {}, "copies"),
        ("1nn-real", 0.2, Floor(0.5), {}, "far"),
        ("modes", 9.0, Floor(10.0), {"control": 0.0}, "collapsed"),
        ("modes", 24.0, Floor(25.0), {"control": 0.0}, "close"),
        ("mode-kl", math.nan, Floor(0.01, 0.1), {}, "unknown"),
    ],
)
def test_the_verdict_follows_value_and_floor(name, value, floor, more, expected):
    assert verdict(METRICS[name], Measured(value, floor, 0.01, **more)) == expected


@pytest.mark.parametrize("name", ["frechet", "kernel", "mmd", "energy", "sliced-wasserstein"])
def test_a_distance_many_times_the_floor_is_never_as_real(name):
    """The spread of the value, which grows with it, does not count."""
    for times in (5, 14):
        found = Measured(times * 0.01, Floor(0.01, 0.002, 0.001), spread=10.0, control=1000.0)
        assert verdict(METRICS[name], found) == "close"


def test_the_error_of_the_floor_counts():
    """A value two spreads off a floor is noise if the floor is known no better than that."""
    metric, control = METRICS["frechet"], {"control": 101.0}
    sharp = Measured(4.9, Floor(3.0, 0.35, 0.16), 0.1, **control)
    blurred = Measured(4.9, Floor(3.0, 0.35, 0.6), 0.1, **control)
    assert verdict(metric, sharp) == "close" and verdict(metric, blurred) == "as real"


@pytest.mark.parametrize("name", ["c2st", "mmd", "energy"])
@pytest.mark.parametrize("gap", [-0.1, 0.0, 0.005, 0.01, 0.5])
def test_a_verdict_never_contradicts_its_p(name, gap):
    for spread in (0.0, 0.001, 1.0, 100.0):
        floor, control = Floor(0.5, spread, spread), None if name == "c2st" else 1.5
        for p in (1e-12, 0.001, 0.004, 0.01):
            found = Measured(0.5 + gap, floor, spread, control=control, p=p)
            assert verdict(METRICS[name], found) in ("close", "far")
        for p in (0.011, 0.05, 0.3, 1.0):
            found = Measured(0.5 + gap, floor, spread, control=control, p=p)
            assert verdict(METRICS[name], found) in ("as real", "unknown")


def test_a_classifier_that_learnt_nothing_says_nothing():
    for name in ("c2st", "jsd"):
        assert verdict(METRICS[name], Measured(0.5, Floor(0.5), 0.01, blind=True)) == "unknown"


def test_c_t_is_judged_in_its_spreads():
    """-2.5 is five deviations if five cells are averaged, two and a half if there is one cell."""
    metric = METRICS["data-copying"]
    five, one = (Measured(-2.51, Floor(0.1, s, s / 5**0.5), s, unit=s) for s in (0.445, 1.0))
    assert verdict(metric, five) == "close" and verdict(metric, one) == "as real"
    assert verdict(metric, five._replace(value=-9.0)) == "copies"


def test_json_and_back():
    score = replace(CARD, verdict="far", per_class=(0.5, math.nan, 1.0))
    card = json.loads(json.dumps(score.to_json(), allow_nan=False))
    again = Score.from_json(card)
    assert again.per_class[::2] == (0.5, 1.0) and math.isnan(again.per_class[1])
    assert replace(again, per_class=()) == replace(score, per_class=())


def test_cards_of_version_0_1_are_read():
    """Their verdict was called `word`; the shares of classes stood in the note alone."""
    card = CARD.to_json() | {"note": "per class, %: 50.0 nan 100.0; N = 100, not 200"}
    del card["verdict"], card["per_class"]
    again = Score.from_json(card | {"word": "far"})
    assert again.verdict == "far"
    assert again.per_class[::2] == (0.5, 1.0) and math.isnan(again.per_class[1])
    assert Score.from_json(card | {"note": "k = 3"}).per_class == ()


def test_the_table_shows_floors_with_their_spread_and_what_notes_say_of_trust():
    card = replace(CARD, floor_spread=0.0123, note="the classifier learnt nothing; p = 0.5; k = 3")
    text = table([card, replace(CARD, name="modes", note="one sample each in 2 of 9; of 10")])
    head, first, second = text.splitlines()[:3]
    assert head.split() == ["metric", "value", "spread", "floor", "spread", "verdict"]
    assert first.split()[:5] == ["label-accuracy", "0.95", "0.01", "0.99", "0.012"]
    assert first.endswith("the classifier learnt nothing, p = 0.5")
    assert second.split()[4] == "-" and second.endswith("one sample each in 2 of 9")
