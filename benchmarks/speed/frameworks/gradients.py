"""The gradients of one turn of each player: ours, and how far another framework's are from them.

A case is a moment of our game: the weights at a step, the batch and the noise of its next
turns. D's gradient is of these weights, G's of D's weights after our update of D ("later").
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from benchmarks.speed.frameworks import measure
from ganforge import recipes
from ganforge.data.load import load
from ganforge.gan import optimizers
from ganforge.gan import step as game
from ganforge.gan.batch import Batch, RandomInputs
from ganforge.gan.players import Players
from ganforge.gan.state import State
from ganforge.runs.folder import Run
from ganforge.training.device import resolve
from ganforge.training.trainer import Trainer

Arrays = dict[str, NDArray[np.floating]]

BOUND = 1e-5


@dataclass(frozen=True)
class Case:
    """A step of our game and the precision in which one turn of each player is computed."""

    step: int
    dtype: torch.dtype

    @property
    def name(self) -> str:
        return f"{str(self.dtype).removeprefix('torch.')}-step{self.step}"


# the bound is for double precision; in single precision the real and the fake half of D's
# gradient cancel to rounding if D cannot tell them apart, here as in the others; so it is shown
STEPS = (0, 1000, 2499)
EXACT = tuple(Case(step, torch.float64) for step in STEPS)
ROUGH = tuple(Case(step, torch.float32) for step in STEPS)


def case(wanted: Case, seed: int = 0) -> tuple[Arrays, Arrays]:
    """(weights and draws, our gradients of them)."""
    config = replace(recipes.gaussian(), seed=seed, threads=1)
    with tempfile.TemporaryDirectory() as folder:
        t = Trainer.build(config, Run(Path(folder)), load(config.data), resolve(config))
        for _ in range(wanted.step):
            t.step()
    G, D = (p.to(wanted.dtype) for p in (t.state.players.generator, t.state.players.discriminator))
    choices = {"generator": (config.generator, G), "discriminator": (config.discriminator, D)}
    made = {side: optimizers.build(c, m.parameters()) for side, (c, m) in choices.items()}
    state = State(Players(G, D), made)
    real = t.batches.at(wanted.step * config.batch, config.batch)[0].to(wanted.dtype)
    noise = t.inputs.at(wanted.step)["discriminator"][0].z.to(wanted.dtype)
    given: Arrays = {"real": real.numpy(), "noise": noise.numpy()}
    given |= arrays("G", G) | arrays("D", D)
    game.turn(state, config.game, "discriminator", Batch(real), RandomInputs(noise))
    of_D = arrays("D", D, gradient=True)
    given |= arrays("later", D)
    game.turn(state, config.game, "generator", Batch(real), RandomInputs(noise))
    return given, of_D | arrays("G", G, gradient=True)


def arrays(name: str, player: nn.Module, gradient: bool = False) -> Arrays:
    """Copies of a player's parameters, or of their gradients, weights as (inputs, outputs)."""
    found = [p.grad if gradient else p.detach() for p in player.parameters()]
    copies = [tensor.clone().numpy() for tensor in found if tensor is not None]
    pairs = list(zip(copies[::2], copies[1::2], strict=True))
    return measure.named(name, [(weight.T, bias) for weight, bias in pairs])


def differences(found: Mapping[str, NDArray[np.floating]], ours: Arrays) -> dict[str, float]:
    """Of each gradient: the largest difference of an entry, over our largest entry."""
    if set(found) != set(ours):
        raise ValueError(f"gradients of {sorted(found)}, expected those of {sorted(ours)}")
    out = {}
    for name, mine in ours.items():
        kind, wanted = ((a.dtype.name, a.shape) for a in (found[name], mine))
        if kind != wanted:
            raise ValueError(f"{name}: {kind}, expected {wanted}")
        out[name] = float(np.abs(found[name] - mine).max() / np.abs(mine).max())
    return out


def off(errors: Mapping[str, float], bound: float = BOUND) -> list[str]:
    """The gradients that differ by more than the bound; one that is not finite does."""
    return [name for name, error in errors.items() if not error <= bound]
