"""Play a toy game in a temporary run folder, and look at it on the way.

The folder is removed when the game is over: a game of the lab takes seconds and is reproduced by
its seed; only the figure remains. For the run itself, train its recipe.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ganforge import recipes
from ganforge.config.schema import Config, Output
from ganforge.data import toy
from ganforge.data.load import Dataset
from ganforge.gan import step as gan_step
from ganforge.gan.batch import Batch
from ganforge.gan.state import State
from ganforge.training import loop
from ganforge.training.trainer import Trainer

NEVER = 10**9  # steps, epochs


def game(recipe: str, seed: int = 0, steps: int | None = None) -> Config:
    """A recipe with a seed, and with a budget of `steps`; None: the recipe's."""
    config = replace(recipes.find(recipe), seed=seed)
    if steps is None:
        return config
    return replace(config, kimg=steps * config.batch * config.game.d_steps / 1000)


def count_steps(config: Config) -> int:
    """The number of steps of a game on a toy law."""
    return gan_step.steps_for(config.images(toy.TRAIN[config.data]), config.batch, config.game)


def play(config: Config, every: int = NEVER, data: Dataset | None = None) -> Iterator[Trainer]:
    """Play a game; yields the run before its first step, after every `every`-th, and at its end.

    The yielded run is in progress: it may be read, not changed.
    """
    output = Output(every, sample_every=NEVER, save_every=NEVER, grid=1, score=False)
    chosen = replace(config, device="cpu", precision="fp32", threads=1, output=output)
    with tempfile.TemporaryDirectory(prefix="ganforge-lab-") as folder:
        seen = -1
        for training, _ in loop.training(chosen, Path(folder) / "run", data=data):
            if training.state.step > seen:
                seen = training.state.step
                yield training


def play_to_end(config: Config) -> Trainer:
    """Play a game; returns the run after its last step."""
    return [*play(config)][-1]


def train_one_player(training: Trainer, state: State, side: str, count: int) -> None:
    """Let one player take `count` turns on fresh data and noise, without penalties.

    Args:
        training: the run whose data and random inputs are used; it is not changed.
        state: a copy of its state (`copy.deepcopy`), which is changed.
        side: "generator" or "discriminator".
        count: number of turns.
    """
    bare = replace(training.config.game, penalties=())
    size = training.config.batch
    for step in range(state.step, state.step + count):
        batch = Batch(*training.batches.at(step * size, size))
        gan_step.turn(state, bare, side, batch, training.inputs.at(step)[side][0])
    state.step += count
