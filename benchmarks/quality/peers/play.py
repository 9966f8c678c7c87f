"""Train one peer for a number of CPU seconds on one thread: this runs in the peer's environment.

    python -m benchmarks.quality.peers.play dcgan pictures.npy FOLDER --seconds 1800 width=64

`pictures.npy` has uint8 (N, H, W, 3). At equal shares of the budget the samples are written to
FOLDER, and a line of JSON to the standard output.
"""

from __future__ import annotations

import argparse
import importlib
import json
import random
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

PEERS = {
    "dcgan": "dcgan:DCGAN",
    "r3gan": "r3gan:R3GAN",
    "stylegan2-pytorch": "pypi:StyleGAN2",
    "lightweight-gan": "pypi:LightweightGAN",
}


class Peer(Protocol):
    """What a peer offers."""

    images: int

    def step(self, progress: float) -> Mapping[str, float]: ...

    def samples(self, n: int) -> npt.NDArray[np.uint8]: ...


def find(name: str) -> Any:
    """The class of a peer."""
    module, attribute = PEERS[name].split(":")
    return getattr(importlib.import_module(f"benchmarks.quality.peers.{module}"), attribute)


def play(peer: Peer, seconds: float, points: int) -> Iterator[dict[str, float]]:
    """Train for CPU seconds of this process; yields at `points` equal shares of them."""
    spent, reached = 0.0, 0
    while reached < points:
        began = time.process_time()
        losses = peer.step(min(1.0, spent / seconds))
        spent += time.process_time() - began
        if spent >= seconds * (reached + 1) / points:
            reached += 1
            seen = {"kimg": round(peer.images / 1000, 3), "cpu": round(spent, 1)}
            yield seen | {name: round(value, 3) for name, value in losses.items()}


def settings(pairs: list[str]) -> dict[str, float]:
    """Numbers by name from NAME=NUMBER."""
    return {name: float(value) for name, value in (pair.split("=", 1) for pair in pairs)}


def stored(x: Tensor) -> npt.NDArray[np.uint8]:
    """Pictures (N, C, H, W) in [-1, 1] as uint8 (N, H, W, C)."""
    levels = ((x.detach().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return np.ascontiguousarray(levels.permute(0, 2, 3, 1).numpy())


def network_input(pictures: npt.NDArray[np.uint8]) -> Tensor:
    """Stored pictures as float32 (N, C, H, W) in [-1, 1]."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous().float() / 127.5 - 1


class Batches:
    """Batches of a reshuffled set for ever; the rest of a pass is left out."""

    def __init__(self, x: Tensor, batch: int):
        self.x, self.batch = x, batch
        self.order = torch.randperm(0)

    def __iter__(self) -> Batches:
        return self

    def __next__(self) -> Tensor:
        if len(self.order) < self.batch:
            self.order = torch.randperm(len(self.x))
        rows, self.order = self.order[: self.batch], self.order[self.batch :]
        return self.x[rows]


def main() -> None:
    """Train, write samples, print a line at each point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peer", choices=list(PEERS))
    parser.add_argument("pictures", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("settings", nargs="*", help="NAME=NUMBER of the peer")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--points", type=int, default=1)
    parser.add_argument("--n", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(asked.seed)
    random.seed(asked.seed)
    peer = find(asked.peer)(np.load(asked.pictures), **settings(asked.settings))
    for number, point in enumerate(play(peer, asked.seconds, asked.points)):
        np.save(asked.folder / f"{number}.npy", peer.samples(asked.n))
        print(json.dumps(point), flush=True)


if __name__ == "__main__":
    main()
