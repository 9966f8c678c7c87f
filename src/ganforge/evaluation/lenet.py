"""The `mnist-lenet` classifier: a small convnet trained on MNIST, its recipe and its weights.

Its 128 features before the logits are the feature space of MNIST-like pictures; its logits say
which digit a picture shows. `python -m ganforge.evaluation.lenet OUT` makes the weights again.
"""

from __future__ import annotations

import hashlib
import sys
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.nn import functional

from ganforge.errors import UsageError
from ganforge.evaluation.judges import BATCH, batches, blank, in_batches, initialise, update
from ganforge.rng import Stream
from ganforge.types import Array

WEIGHTS = Path(__file__).with_name("mnist-lenet.safetensors")


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


@lru_cache(maxsize=1)
def load() -> LeNet:
    """The classifier with the weights that ship with the package, in evaluation mode."""
    net = blank(LeNet)
    net.load_state_dict(load_file(WEIGHTS))
    return net.eval().requires_grad_(False)


def sha256(path: Path = WEIGHTS) -> str:
    """Of a file's bytes, as hexadecimal digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main() -> None:
    """Train on MNIST's training part, save OUT and print accuracies and sha256."""
    from ganforge.data.load import load as load_data

    if len(sys.argv) != 2:
        raise UsageError("usage: python -m ganforge.evaluation.lenet OUT (a .safetensors file)")
    out, data = Path(sys.argv[1]), load_data("mnist", part="train")
    torch.set_num_threads(1)  # sums in one order, so the file is the same again
    net = train(data.values, np.asarray(data.labels))
    for part in ("validation", "test"):
        other = load_data("mnist", part=part)
        hits = in_batches(net, other.values, pixels).argmax(1) == other.labels
        print(f"{part} accuracy {100 * hits.mean():.2f} % of {len(other)}")
    out.write_bytes(save(net.state_dict()))
    print(f"{out} sha256 {sha256(out)}")


def pixels(values: Array) -> Tensor:
    """Stored uint8 (N, H, W, C) -> float32 (N, C, H, W) in [0, 1]: the classifier's input."""
    return torch.from_numpy(values).permute(0, 3, 1, 2).float() / 255


class LeNet(nn.Module):
    """Two 5 x 5 convolutions with pooling, 128 features, 10 logits: 129,388 weights.

    LeCun et al., "Gradient-based learning applied to document recognition", 1998; 20 and 50
    filters as in Caffe's version.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 20, 5)
        self.conv2 = nn.Conv2d(20, 50, 5)
        self.hidden = nn.Linear(800, 128)
        self.out = nn.Linear(128, 10)

    def features(self, x: Tensor) -> Tensor:
        """(B, 1, 28, 28) in [0, 1] -> (B, 128), rectified."""
        x = functional.relu(functional.max_pool2d(self.conv1(x), 2))
        x = functional.relu(functional.max_pool2d(self.conv2(x), 2))
        return functional.relu(self.hidden(x.flatten(1)))

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, 28, 28) in [0, 1] -> logits (B, 10)."""
        out: Tensor = self.out(self.features(x))
        return out


if __name__ == "__main__":
    main()
