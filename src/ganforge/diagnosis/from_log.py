"""Figures from what a run has written down: its log, its state, its scores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ganforge.evaluation.features import size_of
from ganforge.evaluation.score import Score
from ganforge.gan.adversarial import Adversarial
from ganforge.types import Doubles

Figures = dict[str, float]

LEAST, MOST = 5, 100  # records that the checks of the log look back on


def of_log(log: Sequence[Mapping[str, Any]], game: Any, classes: int = 0) -> Figures:
    """Means over the last quarter of the log, and how its last half moves; {} where it is short.

    d_cost: D's loss as a share of what guessing costs it; 0 where it tells all apart, above 1 where
    it is wrong more than right. g_slope: |d loss_G / d logit of a fake|. gap: logit of real less
    that of fake. behind: share of records in which it is negative. flips: how often it changes
    sign and means it. gap_rms, gap_memory: its root mean square, and its correlation from one
    record to the next. cost_peak: D's largest loss of all records, of what guessing costs, the
    class too where D is asked for it.

    classes: of the data.
    """
    if len(log) < LEAST:
        return {}
    window = log[-min(MOST, max(LEAST, len(log) // 4)) :]
    names = ("loss_d", "loss_g", "logit_real", "logit_fake", "d_real", "d_fake", "gradient_d",
             "gradient_g")  # fmt: skip
    last = {name: column(window, name) for name in names}
    mean = {name: _mean(values) for name, values in last.items()}
    gap = last["logit_real"] - last["logit_fake"]
    out = {
        "records": float(len(log)),
        "steps": float(log[-1].get("step", 0)),
        "gap": _mean(gap),
        "behind": _mean((gap < 0).astype(float)),
        **{k: mean[k] for k in ("d_real", "d_fake", "gradient_d", "gradient_g")},
    }
    if isinstance(game, Adversarial):
        out |= _by_loss(game, mean, last, column(log, "loss_d"), classes)
    return out | _movement(log[-min(2 * MOST, max(LEAST, len(log) // 2)) :])


def _by_loss(
    game: Adversarial,
    mean: Mapping[str, float],
    last: Mapping[str, Doubles],
    costs: Doubles,
    classes: int,
) -> Figures:
    """What depends on which loss is played. costs: D's loss along the whole log."""
    half = 0.5 if game.halve else 1.0
    chance = {"wasserstein": math.nan, "relativistic": math.log(2), "least-squares": 0.25,
              "hinge": 2.0}.get(game.loss, 2 * math.log(2))  # fmt: skip
    s = game.smoothing
    least = -(s * math.log(s) + (1 - s) * math.log(1 - s)) if s else 0.0
    real, fake = last["logit_real"], last["logit_fake"]
    slopes = {
        "minimax": mean["d_fake"],  # the mean of sigmoid(a) is the mean slope
        "non-saturating": 1 - mean["d_fake"],
        "relativistic": _mean(1 / (1 + np.exp(np.clip(fake - real, -50, 50)))),
        "least-squares": _mean(np.abs(fake - 1)),
    }
    out = {"g_slope": slopes.get(game.loss, 1.0)}
    if math.isfinite(chance):
        out["d_cost"] = (mean["loss_d"] / half - least) / (chance - least)
        known = costs[np.isfinite(costs)]
        most = chance + game.classify * math.log(max(1, classes))
        out["cost_peak"] = float(known.max()) / half / most if len(known) else math.nan
    return out


def _movement(half: Sequence[Mapping[str, Any]]) -> Figures:
    gap = column(half, "logit_real") - column(half, "logit_fake")
    gap = gap[np.isfinite(gap)]
    out = {"flips": math.nan, "gap_rms": math.nan, "gap_memory": math.nan}
    if len(gap) >= LEAST:
        rms = float(np.sqrt(np.mean(gap**2)))
        sign = np.where(gap > rms / 2, 1, np.where(gap < -rms / 2, -1, 0))
        sides = sign[sign != 0]
        moved = gap - gap.mean()
        power = float((moved**2).sum())
        out = {
            "flips": float((sides[1:] != sides[:-1]).sum()),
            "gap_rms": rms,
            "gap_memory": float((moved[1:] * moved[:-1]).sum()) / power if power else 0.0,
        }
    return out


def of_state(info: Mapping[str, Any], log: Sequence[Mapping[str, Any]], turns: int) -> Figures:
    """diverged: 1 where the run ended so. skipped: share of updates left out. infinite: share of
    records with a loss that is not finite. rolled_back: how often. turns: updates in a step.
    """
    steps = float(info.get("step", 0) or (log[-1].get("step", 0) if log else 0))
    skipped = sum(int(r.get("skipped", 0) or 0) for r in log)
    bad = [not all(map(math.isfinite, (_number(r, "loss_d"), _number(r, "loss_g")))) for r in log]
    return {
        "diverged": float(info.get("status") == "diverged"),
        "skipped": skipped / max(1.0, steps * turns),
        "infinite": sum(bad) / max(1, len(bad)),
        "rolled_back": float(round(-math.log2(max(float(info.get("rate_scale", 1.0)), 1e-9)))),
    }


def of_curve(records: Sequence[Mapping[str, Any]]) -> Figures:
    """From scores.jsonl, five of them at least; {} where there are fewer.

    worse: (now + 5 floor) / (best + 5 floor), now the smaller of the last two Frechet distances:
    a change below the floor, which is noise, hardly counts. since_best: scores since the best.
    scored: how many there are. now, best, best_epoch. curve_floor: the mean one. curve_n: samples.
    """
    known = [r for r in records if math.isfinite(_number(r, "frechet"))]
    if len(known) < LEAST:
        return {}
    values = column(known, "frechet")
    floor = column(known, "floor")
    best = int(values.argmin())
    noise = 5 * max(0.0, _mean(floor)) if np.isfinite(floor).any() else 0.0
    now = float(min(values[-2:]))
    return {
        "worse": (now + noise) / max(float(values[best]) + noise, 1e-12),
        "now": now,
        "since_best": float(len(values) - 1 - best),
        "scored": float(len(values)),
        "best": float(values[best]),
        "best_epoch": _number(known[best], "epoch"),
        "curve_floor": _mean(floor),
        "curve_n": _samples(known[-1]),
    }


def of_scores(cards: Sequence[Score], features: int) -> Figures:
    """Of the newest Frechet distance: N, the features of its space, value and floor; {} for none.

    features: of one example, for the spaces that have as many.
    """
    found = [c for c in cards if c.name == "frechet"]
    if not found:
        return {}
    card = found[-1]
    return {
        "n": float(card.n),
        "features": float(size_of(card.space, features)),
        "value": card.value,
        "floor": card.floor,
    }


def column(records: Sequence[Mapping[str, Any]], name: str) -> Doubles:
    """(N,) of one key, nan where a record lacks it."""
    return np.array([_number(r, name) for r in records], dtype=np.float64)


def _samples(record: Mapping[str, Any]) -> float:
    """N of the Frechet distance of a record of scores.jsonl, from its card; nan without one."""
    cards = record.get("scores")
    found = [c for c in cards if isinstance(c, dict)] if isinstance(cards, list) else []
    return next((_number(c, "n") for c in found if c.get("name") == "frechet"), math.nan)


def _number(record: Mapping[str, Any], name: str) -> float:
    value = record.get(name)
    return float(value) if isinstance(value, int | float) else math.nan


def _mean(values: Doubles) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else math.nan
