"""The same seed twice gives the same hash, for every recipe; another seed another.

The second run samples and saves at other times, in a process whose own generators stand elsewhere.
"""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ganforge import recipes
from ganforge.runs.records import Control
from ganforge.training import loop
from tests.stress.games import GAMES, game, outcome, play, warm
from tests.stress.harness import Options, Tally, fork, run, wait

STEPS = 40


def disturbed(path: Path, name: str) -> None:
    """The same run, with other things going on beside it."""
    torch.manual_seed(99)
    np.random.seed(99)
    random.seed(99)
    config, data = game(name, STEPS)
    config = replace(config, output=replace(config.output, save_every=1e6, sample_every=1e6))
    control = Control()
    for training, progress in loop.training(config, path, control, data):
        control.save = progress.step == STEPS // 2
        if not config.pairing:  # a translator has no noise to sample from
            training.sampler().sample(3, seed=progress.step)
        torch.rand(7)


def weights(path: Path) -> dict[str, Any]:
    """The hashes that do not depend on when grids were drawn."""
    return {k: v for k, v in outcome(path).items() if not k.startswith("0")}


def attack(options: Options, tally: Tally) -> None:
    """n: how many of the recipes and games, from the first."""
    warm()
    for name in [*recipes.RECIPES, *(g for g in GAMES if g != "toy")][: options.n]:
        config, data = game(name, STEPS)
        other = replace(config, seed=1)
        paths = [options.scratch / f"{name}-{i}" for i in range(3)]
        bodies = (
            lambda c=config, p=paths[0], d=data: play(c, p, d) and None,
            lambda p=paths[1], n=name: disturbed(p, n),
            lambda c=other, p=paths[2], d=data: play(c, p, d) and None,
        )
        codes = [wait(fork(body, options.scratch / "said")) for body in bodies]
        tally.tries += 1
        if not tally.check(codes == [0, 0, 0], f"{name}: exit codes {codes}"):
            continue
        a, b, c = (weights(p) for p in paths)
        tally.check(a == b, f"{name}: the same seed gave other weights")
        tally.check(a["generator"] != c["generator"], f"{name}: another seed gave the same weights")


if __name__ == "__main__":
    raise SystemExit(run("seeds", attack, 99, __doc__))
