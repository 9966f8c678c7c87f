"""Verdicts, and scores as JSON."""

import json
import math
from dataclasses import replace

import pytest

from ganforge.evaluation.metrics import METRICS
from ganforge.evaluation.score import Measured, Score, verdict

CARD = Score("label-accuracy", 0.95, 0.01, 0.99, 100, "s", "ab" * 32, 0, "validation", "higher")


@pytest.mark.parametrize(
    ("name", "value", "floor", "spread", "control", "expected"),
    [
        ("frechet", 1.2, 1.0, 0.1, 101.0, "as real"),
        ("frechet", 2.5, 1.0, 0.1, 101.0, "close"),
        ("frechet", 9.0, 1.0, 0.1, 101.0, "far"),
        ("frechet", 1e9, 1.0, 1e9, 101.0, "far"),  # one example far out widens the spread
        ("kernel", -1e9, 0.0, 1e9, 1.0, "far"),
        ("kernel", 0.3, 0.0, 0.05, 1.0, "far"),
        ("kernel", 0.3, 0.0, 0.2, 1.0, "unknown"),  # N too small to tell
        ("recall", 0.5, 0.9, 0.01, None, "collapsed"),
        ("recall", 0.95, 0.9, 0.01, None, "as real"),
        ("authentic", 0.1, 0.6, 0.01, None, "copies"),
        ("1nn-real", 0.2, 0.5, 0.01, None, "far"),
        ("modes", 9.0, 10.0, 0.0, 0.0, "collapsed"),
        ("modes", 24.0, 25.0, 0.0, 0.0, "close"),
        ("mode-kl", math.nan, 0.01, 0.1, None, "unknown"),
    ],
)
def test_verdicts(name, value, floor, spread, control, expected):
    found = Measured(value, floor, spread, control=control)
    assert verdict(METRICS[name], found) == expected


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
