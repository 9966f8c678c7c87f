"""When has a game diverged, and what follows: the one rule for every way of training."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from ganforge.errors import DivergedError
from ganforge.gan import state
from ganforge.gan.state import State
from ganforge.gan.step import Game
from ganforge.training import distributed, restore
from ganforge.training.trainer import Trainer

MAX_ROLLBACKS = 3


def has_diverged(game: Game, step: int, skipped: int, finite: bool) -> bool:
    """Whether a weight is not finite, or more than 1 % of the updates (and 10) were skipped."""
    turns = step * (game.d_steps + game.g_steps)
    return not finite or skipped > max(10, 0.01 * turns)


def skipped_in(totals: Mapping[str, Tensor]) -> int:
    """Updates skipped in the interval under way."""
    return int(sum(float(v) for name, v in totals.items() if name.startswith("skipped")))


def check(t: Trainer) -> str:
    """Look whether the game has diverged.

    Returns:
        A note if the run was rolled back, else "".

    Raises:
        DivergedError: the run must stop.
    """
    skipped = t.skipped + skipped_in(t.totals)
    sick = not state.all_finite(t.state)
    finite = not distributed.any_rank(t.world, [sick], t.resolved.device)[0]
    if not has_diverged(t.config.game, t.state.step, skipped, finite):
        return ""
    count = max(1, t.counted)
    losses = {p: float(t.totals.get(f"loss_{p}", math.nan)) / count for p in "dg"}
    player = sick_player(t.state, losses)
    what = f"{skipped} updates were not finite" if finite else "a weight is not finite"
    message = (
        f"diverged by step {t.state.step:,}: {what}, in the {player} (loss_d {losses['d']:.4g}, "
        f"loss_g {losses['g']:.4g})"
    )
    rollbacks = round(-math.log2(t.rate_scale))
    if t.config.on_nan == "rollback" and rollbacks < MAX_ROLLBACKS:
        scale = t.rate_scale / 2
        found, _ = restore.resume(t)
        if not found:
            restore.begin_again(t)
        t.rate_scale = scale
        return f"{message}; back at step {t.state.step:,} with the learning rates halved"
    tries = [f"a lower rate (--{player}.lr {getattr(t.config, player).lr * t.rate_scale / 3:.2g})"]
    tries += ["--precision fp32"] if t.resolved.precision != "fp32" else []
    tries += ["--on-nan rollback"] if t.config.on_nan == "stop" else []
    raise DivergedError(f"{message}. Try {' or '.join(tries)}; the last good checkpoint is kept")


def sick_player(now: State, losses: Mapping[str, float]) -> str:
    """The player with a weight or a loss that is not finite."""
    for side in ("discriminator", "generator"):
        module = getattr(now.players, side)
        if not all(bool(torch.isfinite(p).all()) for p in module.parameters()):
            return side
    return "discriminator" if not math.isfinite(losses["d"]) else "generator"
