"""Variants of `ring` and `grid` on search seeds, all at once: modes, precision, balance.

    python -m benchmarks.quality.modes grid game.penalties.0.gamma_to=.1 --epochs 2.5

Prints a line at half of the budget and at its end. The seeds below 100 are left to whoever makes
the final claim, `ganforge reproduce ring` and `grid`.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

import numpy as np
import torch

from ganforge import recipes, registry
from ganforge.config import convert
from ganforge.data import load
from ganforge.experiments.ensemble import stack
from ganforge.gan import state
from ganforge.reproduce import modes
from ganforge.sampling.sampler import Sampler


def main() -> None:
    """Train, and print what the samples hold."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality.modes", description=__doc__)
    parser.add_argument("name", choices=("ring", "grid"))
    parser.add_argument("settings", nargs="*", help="a.b=value, as on the command line")
    parser.add_argument("--epochs", type=float, default=2.5, help="of 1,000 iterations")
    parser.add_argument("--seeds", default="100,101")
    given = parser.parse_intermixed_args()
    torch.set_num_threads(1)
    settings = dict(text.split("=", 1) for text in given.settings)
    base = replace(recipes.find(given.name), epochs=given.epochs)
    seeds = [int(word) for word in given.seeds.split(",")]
    if min(seeds) < 100:
        parser.error("seeds below 100 are for the final claim")
    chosen = convert.override(base, settings, registry.PARTS)
    population = stack.Ensemble(chosen, seeds, load.load(given.name))
    began = time.process_time()
    while population.state.step < population.steps:
        population.step()
        if population.state.step in (population.steps // 2, population.steps):
            print(line(population, given.name, time.process_time() - began), flush=True)


def line(population: stack.Ensemble, name: str, seconds: float) -> str:
    """The figures of all members, by the criteria of the published tables."""
    found = []
    for index, seed in enumerate(population.seeds):
        model = state.sampling_model(population.member(index))
        sampler = Sampler(model, population.data.spec, population.config.noise)
        found.append(modes.count(seed, sampler.sample(modes.SAMPLES, seed=seed), name))
    quality, kl = (
        np.mean([getattr(r, key) for r in found]) for key in ("high_quality", "reverse_kl")
    )
    covered = [r.covered for r in found]
    return (
        f"step {population.state.step:,}, {seconds:.0f} CPU s: "
        f"modes {min(covered)}..{max(covered)}, "
        f"high quality {quality:.1f} %, reverse KL {kl:.3f}"
    )


if __name__ == "__main__":
    main()
