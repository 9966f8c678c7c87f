"""Training of translators beside plain loops with the same networks, on one thread.

    python -m benchmarks.speed.translation [pix2pix|cyclegan] [SIDE]

Both sides take turns in one process; CPU seconds are counted, so that what else the machine does
falls on neither. Ours is the whole step of the trainer: batches, masks, both turns, guards, log.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.speed import turns
from benchmarks.speed.peers import translation as peers
from ganforge import nets, recipes
from ganforge.data.dataset import Dataset, digest
from ganforge.data.spec import DataSpec, encode
from ganforge.runs.folder import Run
from ganforge.training.device import Resolved
from ganforge.training.trainer import Trainer

ROUNDS, STEPS, COUNT = 5, 4, 64


def pictures(side: int, unpaired: bool) -> Dataset:
    """Noise of the size of the recipe's pictures."""
    rng = np.random.default_rng(0)
    source, target = rng.integers(0, 256, (2, COUNT, side, side, 3), dtype=np.uint8)
    spec = DataSpec((3, side, side), source=DataSpec((3, side, side)))
    sha256 = digest(target, None, source, unpaired=unpaired)
    return Dataset("noise", "train", spec, target, sha256=sha256, source=source, unpaired=unpaired)


def sides(name: str, side: int, folder: Path) -> dict[str, Callable[[int], object]]:
    """One step of ours and of the peer, by its number."""
    config = replace(recipes.find(name), device="cpu", precision="fp32", threads=1, kimg=1e3)
    data = pictures(side, config.pairing == "unpaired")
    trainer = Trainer.build(config, Run(folder), data, Resolved("cpu", "fp32", 1))
    made = nets.build(config.networks, data.spec, 1)
    if name == "pix2pix":
        masks = {k: v.shape for k, v in made["generator"].random_inputs().items()}  # type: ignore[operator]
        peer: peers.Pix2Pix | peers.CycleGAN = peers.Pix2Pix(
            made["generator"], made["discriminator"], masks
        )
    else:
        peer = peers.CycleGAN(dict(made["generator"].items()), dict(made["discriminator"].items()))  # type: ignore[operator]
    assert data.source is not None
    stored = [torch.from_numpy(np.asarray(x)) for x in (data.source, data.values)]
    source, target = (encode(x, data.spec).contiguous() for x in stored)

    def plain(number: int) -> object:
        rows = torch.arange(number * config.batch, (number + 1) * config.batch) % COUNT
        return peer.step(source[rows], target[rows])

    return {"ours": lambda number: trainer.step(), "peer": plain}


def main(name: str = "pix2pix", side: int = 64) -> None:
    """Pictures a CPU second of both, and their ratio, medians of the rounds."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    batch = recipes.find(name).batch
    with tempfile.TemporaryDirectory() as folder:
        both = sides(name, side, Path(folder) / "run")
        found = turns.rates(both, ROUNDS, STEPS, batch)
    print(
        f"{name}, {side} pixels, batch {batch}, one thread: ours {found['ours']:.1f}, peer "
        f"{found['peer']:.1f} pictures a CPU second, ratio {found['ours'] / found['peer']:.2f}"
    )


if __name__ == "__main__":
    main(*sys.argv[1:2], *map(int, sys.argv[2:3]))
