"""Signals from what a run has written: its log, its state, its scores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from ganforge.evaluation import features
from ganforge.evaluation.score import NEAR, Score
from ganforge.gan import losses
from ganforge.gan.adversarial import Adversarial
from ganforge.plotting.curves import column
from ganforge.types import Doubles

Figures = dict[str, float]

FEWEST, MOST = 5, 100  # records of the log that are averaged


def of_log(log: Sequence[Mapping[str, Any]], game: Any, classes: int = 0) -> Figures:
    """Means over the last quarter of the log, and movement in its last half.

    Args:
        log: records in order of their steps.
        game: of the run's config; the loss decides what guessing costs.
        classes: K of the data, 0 without labels.

    Returns:
        {} if the log has fewer than 5 records; else
        d_cost: D's loss divided by the loss of guessing: 0 if D is always right, above 1 if D is
        more often wrong than right;
        g_slope: |d loss_G / d logit of a fake|;
        gap: logit of real examples minus logit of fakes;
        behind: share of records whose gap is negative;
        flips: changes of the gap's sign, small gaps left out; gap_rms, gap_memory: root mean square
        of the gap, and its correlation with the previous record's;
        cost_peak: D's largest loss in the whole log, divided by the loss of guessing real or fake
        and, if D classifies, the class;
        gradient_g: as in the log.
    """
    if len(log) < FEWEST:
        return {}
    window = log[-min(MOST, max(FEWEST, len(log) // 4)) :]
    real, fake = column(window, "logit_real"), column(window, "logit_fake")
    out = {
        "gap": _mean(real - fake),
        "behind": _mean((real < fake).astype(float)),
        "gradient_g": _mean(column(window, "gradient_g")),
    }
    if isinstance(game, Adversarial):
        out["g_slope"] = _slope(game.loss, _mean(column(window, "d_fake")), real, fake)
        # the bound of the codes is no part of what guessing costs
        loss = "adversarial_d" if game.infers else "loss_d"
        out |= _cost(game, _mean(column(window, loss)), column(log, loss), classes)
    return out | _movement(log[-min(2 * MOST, max(FEWEST, len(log) // 2)) :])


def _slope(loss: Any, d_fake: float, real: Doubles, fake: Doubles) -> float:
    """|d loss_G / d logit of a fake|, at the mean logits of each record.

    For two losses it is linear in D(x) = sigmoid(logit), whose mean is logged.
    """
    if loss == "minimax":
        return d_fake
    if loss == "non-saturating":
        return 1 - d_fake
    logit = torch.from_numpy(fake).requires_grad_()
    value = losses.find(loss).generator(torch.from_numpy(real), logit)
    (slope,) = torch.autograd.grad(value.sum(), logit)
    return _mean(slope.abs().numpy())


def _cost(game: Adversarial, loss_d: float, every_loss: Doubles, classes: int) -> Figures:
    """d_cost and cost_peak; {} if no known value of D's loss means guessing."""
    guess = losses.find(game.loss).guess
    if guess is None:
        return {}
    half = (0.5 if game.halve else 1.0) * (2.0 if game.pairing == "unpaired" else 1.0)
    s = game.smoothing
    least = -(s * math.log(s) + (1 - s) * math.log(1 - s)) if s else 0.0
    finite = every_loss[np.isfinite(every_loss)]
    most = guess + game.classify * math.log(max(1, classes))
    return {
        "d_cost": (loss_d / half - least) / (guess - least),
        "cost_peak": float(finite.max()) / half / most if len(finite) else math.nan,
    }


def _movement(log: Sequence[Mapping[str, Any]]) -> Figures:
    """flips, gap_rms, gap_memory; nan if fewer than 5 records hold a gap."""
    gap = column(log, "logit_real") - column(log, "logit_fake")
    gap = gap[np.isfinite(gap)]
    if len(gap) < FEWEST:
        return dict.fromkeys(("flips", "gap_rms", "gap_memory"), math.nan)
    rms = float(np.sqrt(np.mean(gap**2)))
    sides = np.sign(gap[np.abs(gap) > rms / 2])
    centred = gap - gap.mean()
    power = float((centred**2).sum())
    return {
        "flips": float((sides[1:] != sides[:-1]).sum()),
        "gap_rms": rms,
        "gap_memory": float((centred[1:] * centred[:-1]).sum()) / power if power else 0.0,
    }


def of_state(info: Mapping[str, Any], log: Sequence[Mapping[str, Any]], updates: int) -> Figures:
    """How often numbers were not finite.

    Args:
        info: of run.json.
        log: records.
        updates: in one step, of both players.

    Returns:
        diverged: 1 if the run ended so, else 0; skipped: share of updates that were skipped;
        infinite: share of records with a loss that is not finite; rolled_back: how often.
    """
    steps = float(info.get("step", 0) or (log[-1].get("step", 0) if log else 0))
    finite = np.isfinite(column(log, "loss_d")) & np.isfinite(column(log, "loss_g"))
    return {
        "diverged": float(info.get("status") == "diverged"),
        "skipped": float(np.nansum(column(log, "skipped"))) / max(1.0, steps * updates),
        "infinite": float((~finite).sum()) / max(1, len(log)),
        "rolled_back": float(round(-math.log2(max(float(info.get("rate_scale", 1.0)), 1e-9)))),
    }


def of_curve(records: Sequence[Mapping[str, Any]]) -> Figures:
    """How the Frechet distance has changed since it was best.

    Args:
        records: of scores.jsonl.

    Returns:
        {} if fewer than 5 records hold a distance; else
        worse: (now + 5 floor) / (best + 5 floor), now the smaller one of the last two distances: a
        change below the floor is noise and hardly counts;
        now, best, best_epoch; since_best: scores since the best one;
        curve_floor: mean floor; curve_n: samples of the newest score.
    """
    known = [r for r in records if np.isfinite(column([r], "frechet"))]
    if len(known) < FEWEST:
        return {}
    values, floor = column(known, "frechet"), _mean(column(known, "floor"))
    best = int(values.argmin())
    noise = 5 * max(0.0, floor) if math.isfinite(floor) else 0.0
    now = float(min(values[-2:]))
    return {
        "worse": (now + noise) / max(float(values[best]) + noise, 1e-12),
        "now": now,
        "since_best": float(len(values) - 1 - best),
        "best": float(values[best]),
        "best_epoch": float(column(known, "epoch")[best]),
        "curve_floor": floor,
        "curve_n": _samples(known[-1]),
    }


def of_scores(scores: Sequence[Score], numbers: int) -> Figures:
    """N, features, value and floor of the newest Frechet distance; {} if there is none.

    far: 1 if its verdict is neither "as real" nor "close".

    Args:
        scores: in order of time.
        numbers: in one example.
    """
    found = [s for s in scores if s.name == "frechet"][-1:]
    return {
        name: float(value)
        for s in found
        for name, value in (
            ("n", s.n),
            ("features", features.size_of(s.space, numbers)),
            ("value", s.value),
            ("floor", s.floor),
            ("far", s.verdict not in NEAR),
        )
    }


def _samples(record: Mapping[str, Any]) -> float:
    """N of the Frechet distance in a record of scores.jsonl; nan if it is not there."""
    scores = record.get("scores")
    for score in scores if isinstance(scores, list) else []:
        if isinstance(score, dict) and score.get("name") == "frechet":
            return float(column([score], "n")[0])
    return math.nan


def _mean(values: Doubles) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else math.nan
