"""What the scripts share: how they are asked, timed and read. NumPy only, whatever its version.

    python -m benchmarks.speed.frameworks.in_jax play scan --seed 0 --epochs 20
    python -m benchmarks.speed.frameworks.in_jax play scan --games 100
    python -m benchmarks.speed.frameworks.in_jax gradients found/ given/*.npz

`play` prints a line of JSON for each game. `gradients` reads weights and draws, and writes the
gradients of one turn of each player to a file of the same name in the folder; arrays are named
D.W0, D.b0, ... G.W0, G.b0, weights (inputs, outputs).
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

Arrays = Mapping[str, Any]
Report = Callable[[float, float], None]  # mean losses of D and G for each example of an epoch
Play = Callable[[int, int, Report], Any]  # (seed, epochs, report) -> samples (N, 2)

POINTS, BATCH, SAMPLES = 1000, 8, 10_000
TRUTH = ((1.01, 1.95), (1.95, 4.25))  # A^T A
CLOSE = 0.01  # of log 2, in which both losses lie where D can no longer tell
NEAR = 0.1  # of each entry of the covariance


class Clock:
    """Wall and processor time at the start and after every epoch; the losses of the last one."""

    def __init__(self) -> None:
        self.wall, self.cpu = [time.perf_counter()], [time.process_time()]
        self.losses = (float("nan"), float("nan"))

    def report(self, loss_D: float, loss_G: float) -> None:
        """An epoch has ended."""
        self.losses = (float(loss_D), float(loss_G))
        self.wall.append(time.perf_counter())
        self.cpu.append(time.process_time())

    def result(self) -> dict[str, Any]:
        """Rates of all epochs but the first, in which frameworks trace and compile."""
        examples = POINTS * (len(self.wall) - 2)
        return {
            "epochs": len(self.wall) - 1,
            "first": self.wall[1] - self.wall[0],
            "first_cpu": self.cpu[1] - self.cpu[0],
            "rate": examples / (self.wall[-1] - self.wall[1]),
            "rate_cpu": examples / (self.cpu[-1] - self.cpu[1]),
            "loss_D": self.losses[0],
            "loss_G": self.losses[1],
        }


def error(covariance: Sequence[Sequence[float]]) -> float:
    """The largest relative error of an entry of a covariance."""
    return max(
        abs(covariance[i][j] - TRUTH[i][j]) / abs(TRUTH[i][j]) for i in range(2) for j in range(2)
    )


def arrived(game: Mapping[str, Any]) -> bool:
    """Whether both losses of the last epoch lie at log 2."""
    return all(abs(game[name] - math.log(2)) <= CLOSE for name in ("loss_D", "loss_G"))


def layers(file: Arrays, player: str) -> list[tuple[Any, Any]]:
    """(weight (inputs, outputs), bias (outputs,)) of every layer of a player in a file."""
    count = sum(name.startswith(f"{player}.W") for name in file)
    return [(file[f"{player}.W{i}"], file[f"{player}.b{i}"]) for i in range(count)]


def named(player: str, found: list[tuple[Any, Any]]) -> dict[str, Any]:
    """The inverse of `layers`, as arrays."""
    out = {}
    for i, (weight, bias) in enumerate(found):
        out[f"{player}.W{i}"], out[f"{player}.b{i}"] = np.asarray(weight), np.asarray(bias)
    return out


def main(
    plays: Mapping[str, Play],
    versions: Mapping[str, str],
    gradients: Callable[[Arrays], Arrays] | None = None,
) -> None:
    """Obey the command line. gradients: of the arrays of `gradients.write`."""
    parser = argparse.ArgumentParser()
    asked = parser.add_subparsers(dest="what", required=True)
    play = asked.add_parser("play")
    play.add_argument("variant", choices=tuple(plays))
    play.add_argument("--seed", type=int, default=0)
    play.add_argument("--games", type=int, default=1, help="that many seeds, one after another")
    play.add_argument("--epochs", type=int, default=20)
    turns = asked.add_parser("gradients")
    turns.add_argument("out", type=Path)
    turns.add_argument("files", type=Path, nargs="+")
    given = parser.parse_args()
    if given.what == "gradients":
        if gradients is None:
            parser.error("no gradients here")
        for path in given.files:
            with np.load(path, allow_pickle=False) as file:
                np.savez(given.out / path.name, **gradients(dict(file)))
        return
    if given.epochs < 2:
        parser.error("--epochs: 2 or more, the first is timed apart")
    games = []
    for seed in range(given.seed, given.seed + given.games):
        clock = Clock()
        samples = np.asarray(plays[given.variant](seed, given.epochs, clock.report))
        covariance = np.cov(samples.astype(np.float64).T).tolist()
        games.append({**clock.result(), "covariance": covariance, "versions": dict(versions)})
        print(json.dumps(games[-1]))
    if given.games > 1:
        near = sum(error(game["covariance"]) <= NEAR for game in games)
        print(f"losses at log 2: {sum(map(arrived, games))} of {len(games)}; covariance: {near}")
