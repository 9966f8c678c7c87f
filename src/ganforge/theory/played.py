"""A toy game played for its picture.

The run folder is a temporary one and goes when the game is over: a game of the lab takes seconds,
is the same from the same seed, and what is worth keeping of it is the figure. To keep such a run,
train its recipe.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ganforge.config.schema import Config, Output
from ganforge.data import toy
from ganforge.data.load import Dataset
from ganforge.gan import step as game
from ganforge.gan.batch import Batch
from ganforge.gan.state import State
from ganforge.training import loop
from ganforge.training.trainer import Trainer

NEVER = 1e9  # epochs


def for_steps(config: Config, steps: int | None) -> Config:
    """`config` with a budget of `steps`, its own where None is given."""
    if steps is None:
        return config
    return replace(config, kimg=steps * config.batch * config.game.d_steps / 1000)


def steps_of(config: Config) -> int:
    """The steps of a game on a toy law."""
    return game.steps_for(config.images(toy.TRAIN[config.data]), config.batch, config.game)


def played(config: Config, every: int, data: Dataset | None = None) -> Iterator[Trainer]:
    """The game before its first step, after every `every`-th, and after its last.

    What it yields is the run in progress, to be looked at and not changed.
    """
    output = Output(log_every=every, sample_every=NEVER, save_every=NEVER, grid=1, score=False)
    chosen = replace(config, device="cpu", precision="fp32", threads=1, output=output)
    with tempfile.TemporaryDirectory(prefix="ganforge-lab-") as folder:
        seen = -1
        for training, _ in loop.training(chosen, Path(folder) / "run", data=data):
            if training.state.step > seen:
                seen = training.state.step
                yield training


def last(config: Config) -> Trainer:
    """The game after its last step."""
    steps = 10**9
    for training in played(config, steps):
        ended = training
    return ended


def turns(training: Trainer, state: State, side: str, count: int) -> None:
    """`count` turns of one player alone, on fresh data and noise, without penalties.

    state: a copy of the training's (`copy.deepcopy`), which is changed.
    """
    bare = replace(training.config.game, penalties=())
    size = training.config.batch
    for step in range(state.step, state.step + count):
        batch = Batch(*training.batches.at(step * size, size))
        game.turn(state, bare, side, batch, training.inputs.at(step)[side][0])
    state.step += count
