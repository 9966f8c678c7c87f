"""When has a game diverged, and what follows."""

from __future__ import annotations

import math

import torch

from ganforge.errors import DivergedError
from ganforge.gan import state
from ganforge.runs.records import MEANS, SUMS
from ganforge.training import distributed
from ganforge.training.clock import Clock
from ganforge.training.restore import begin_again, resume
from ganforge.training.trainer import (
    Training,
    append_log,
)

MAX_ROLLBACKS = 3


def watch(t: Training, clock: Clock, logged: bool) -> str:
    """Log the interval where one ends, and look whether the game still is one.

    Returns a note where the run was rolled back; raises DivergedError where it must stop.
    """
    skipped = int(sum(float(t.totals[name]) for name in SUMS if name in t.totals))
    sick = not state.all_finite(t.state)
    finite = not distributed.any_rank(t.world, [sick], t.resolved.device)[0]
    turns = t.state.step * (t.config.game.d_steps + t.config.game.g_steps)
    if not finite or t.skipped + skipped > max(10, 0.01 * turns):
        return diverged(t, finite, skipped)
    if logged:
        log(t, clock, skipped)
    return ""


def log(t: Training, clock: Clock, skipped: int) -> None:
    """Means since the last record, into the log; counted anew from here."""
    names = list(t.totals)
    values = torch.stack([t.totals[n].double() for n in names]).tolist()
    totals, count = dict(zip(names, values, strict=True)), max(1, t.counted)
    t.means = {name: totals[name] / count for name in MEANS if name in totals}
    t.means |= {"skipped": skipped, "images_per_second": clock.speed()}
    t.skipped += skipped
    t.totals, t.counted = {}, 0
    append_log(t, t.report())


def diverged(t: Training, finite: bool, skipped: int) -> str:
    """Stop with the cause and a remedy, or go back to the last checkpoint at half the rates."""
    count = max(1, t.counted)
    loss = {p: float(t.totals.get(f"loss_{p}", math.nan)) / count for p in "dg"}
    player = sick_player(t, loss)
    what = f"{t.skipped + skipped} updates were not finite" if finite else "a weight is not finite"
    rate = getattr(t.config, player).lr * t.rate_scale
    message = (
        f"diverged by step {t.state.step:,}: {what}, in the {player} (loss_d {loss['d']:.4g}, "
        f"loss_g {loss['g']:.4g})"
    )
    rollbacks = round(-math.log2(t.rate_scale))
    if t.config.on_nan == "rollback" and rollbacks < MAX_ROLLBACKS:
        scale = t.rate_scale / 2
        found, _ = resume(t)
        if not found:
            begin_again(t)
        t.rate_scale = scale
        return f"{message}; back at step {t.state.step:,} with the learning rates halved"
    tries = [f"a lower rate (--{player}.lr {rate / 3:.2g})"]
    tries += ["--precision fp32"] if t.resolved.precision != "fp32" else []
    tries += ["--on-nan rollback"] if t.config.on_nan == "stop" else []
    raise DivergedError(f"{message}. Try {' or '.join(tries)}; the last good checkpoint is kept")


def sick_player(t: Training, loss: dict[str, float]) -> str:
    """The player with a weight or a loss that is not finite."""
    for side in ("discriminator", "generator"):
        module = getattr(t.state.players, side)
        if not all(bool(torch.isfinite(p).all()) for p in module.parameters()):
            return side
    return "discriminator" if not math.isfinite(loss["d"]) else "generator"
