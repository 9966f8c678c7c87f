"""The recipe of the `mnist-lenet` classifier, whose weights ship with the package.

OMP_NUM_THREADS=1 python -m benchmarks.quality.lenet OUT.safetensors
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from torch.nn import functional

from ganforge.data.load import load
from ganforge.evaluation import lenet
from ganforge.evaluation.judges import BATCH, batches, blank, in_batches, initialise, update
from ganforge.evaluation.lenet import LeNet
from ganforge.rng import Stream
from ganforge.types import Array


def train(values: Array, labels: Array, seed: int = 0, epochs: int = 6) -> LeNet:
    """Fit the classifier: AdamW, one-cycle rate, each batch shifted by up to one pixel.

    Args:
        values: real pictures (N, 28, 28, 1), uint8.
        labels: their classes (N,), 0..9.
        seed: of the initial weights, the order and the shifts.
        epochs: passes over the pictures.
    """
    net = blank(LeNet)
    initialise(net, seed, "lenet")
    optimiser = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=1e-2)
    padded = functional.pad(torch.from_numpy(values).permute(0, 3, 1, 2), (1, 1, 1, 1))
    targets = torch.from_numpy(labels.astype(np.int64))
    shifts, side = Stream(seed, "lenet/shift"), values.shape[1]
    net.train()
    for step, rows in batches(optimiser, seed, len(values), epochs * (len(values) // BATCH)):
        down, right = shifts.integers(2 * step, 2, 3).tolist()
        batch = padded[rows, :, down : down + side, right : right + side].float() / 255
        update(optimiser, functional.cross_entropy(net(batch), targets[rows]))
    return net.eval()


def main() -> None:
    """Train on MNIST's training part, save OUT and print accuracies and sha256."""
    if len(sys.argv) != 2:
        raise SystemExit("usage: python -m benchmarks.quality.lenet OUT (a .safetensors file)")
    out, data = Path(sys.argv[1]), load("mnist", part="train")
    torch.set_num_threads(1)  # sums in one order, so the file is the same again
    net = train(data.values, np.asarray(data.labels))
    for part in ("validation", "test"):
        other = load("mnist", part=part)
        hits = in_batches(net, other.values, lenet.pixels).argmax(1) == other.labels
        print(f"{part} accuracy {100 * hits.mean():.2f} % of {len(other)}")
    out.write_bytes(save(net.state_dict()))
    print(f"{out} sha256 {lenet.sha256(out)}")


if __name__ == "__main__":
    main()
