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
from ganforge.training.distributed import World
from ganforge.training.trainer import Trainer

MAX_ROLLBACKS = 3


def has_diverged(game: Game, step: int, skipped: int, finite: bool) -> bool:
    """Whether a weight is not finite, or more than 1 % of the updates (and 10) were skipped."""
    turns = step * (game.d_steps + game.g_steps)
    return not finite or skipped > max(10, 0.01 * turns)


def finite_everywhere(now: State, world: World, device: str) -> bool:
    """Whether every weight, buffer and moment is finite, on every process."""
    return not distributed.any_rank(world, [not state.all_finite(now)], device)[0]


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
    finite = finite_everywhere(t.state, t.world, t.resolved.device)
    if not has_diverged(t.config.game, t.state.step, skipped, finite):
        return ""
    player, message = described(t.state, skipped, finite, t.totals, t.counted)
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
    raise DivergedError(f"{message}. Try {' or '.join(tries)}; the last good checkpoint stays")


def described(
    now: State, skipped: int, finite: bool, totals: Mapping[str, Tensor], counted: int
) -> tuple[str, str]:
    """The player in which a game has diverged, and what happened.

    Args:
        skipped, finite: see `has_diverged`.
        totals, counted: of the interval under way, see `Trainer`.
    """
    losses = {p: float(totals.get(f"loss_{p}", math.nan)) / max(1, counted) for p in "dg"}
    player = infinite_player(now, losses)
    what = f"{skipped} updates were not finite" if finite else "a weight is not finite"
    return player, (
        f"diverged by step {now.step:,}: {what}, in the {player} (loss_d {losses['d']:.4g}, "
        f"loss_g {losses['g']:.4g})"
    )


def infinite_player(now: State, losses: Mapping[str, float]) -> str:
    """The player with a weight or a loss that is not finite."""
    for side in ("discriminator", "generator"):
        module = getattr(now.players, side)
        if not all(bool(torch.isfinite(p).all()) for p in module.parameters()):
            return side
    return "discriminator" if not math.isfinite(losses["d"]) else "generator"
