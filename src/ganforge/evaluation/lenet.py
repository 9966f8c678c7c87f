"""The `mnist-lenet` classifier: a small convnet trained on MNIST, its recipe and its weights.

Its 128 features before the logits are the feature space of MNIST-like pictures; its logits say
which digit a picture shows. `python -m ganforge.evaluation.lenet OUT` makes the weights again.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.nn import functional

from ganforge.errors import UsageError
from ganforge.evaluation.judges import blank, initialise, one_cycle, update
from ganforge.rng import Order, Stream
from ganforge.types import Array

WEIGHTS = Path(__file__).with_name("mnist-lenet.safetensors")
SEED, EPOCHS, BATCH, RATE, DECAY, SHIFT = 0, 6, 128, 3e-3, 1e-2, 1


def sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def train(values: Array, labels: Array, seed: int = SEED, epochs: int = EPOCHS) -> LeNet:
    """Fit the classifier: AdamW, one-cycle rate, each batch shifted by up to one pixel.

    Args:
        values: real pictures (N, 28, 28, 1), uint8.
        labels: their classes (N,), 0..9.
        seed: of the initial weights, the order and the shifts.
        epochs: passes over the pictures.
    """
    net = blank(LeNet)
    initialise(net, seed, "lenet")
    optimiser = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=DECAY)
    padded = functional.pad(torch.from_numpy(values).permute(0, 3, 1, 2), (SHIFT,) * 4)
    targets = torch.from_numpy(labels.astype(np.int64))
    order, shifts = Order(seed, len(values)), Stream(seed, "lenet/shift")
    side, steps = values.shape[1], epochs * (len(values) // BATCH)
    net.train()
    for step in range(steps):
        index = torch.from_numpy(order.indices(step * BATCH, BATCH))
        down, right = shifts.integers(2 * step, 2, 2 * SHIFT + 1).tolist()
        batch = padded[index, :, down : down + side, right : right + side].float() / 255
        loss = functional.cross_entropy(net(batch), targets[index])
        update(optimiser, one_cycle(step, steps, RATE), loss)
    return net.eval()


def load(path: Path = WEIGHTS) -> LeNet:
    """The classifier with the weights that ship with the package, in evaluation mode."""
    net = blank(LeNet)
    net.load_state_dict(load_file(path))
    return net.eval().requires_grad_(False)


def main(arguments: list[str] | None = None) -> None:
    """Train on MNIST's training part, save OUT and print accuracies and sha256."""
    from ganforge.data.load import load as load_data

    given = sys.argv[1:] if arguments is None else arguments
    if len(given) != 1:
        raise UsageError("usage: python -m ganforge.evaluation.lenet OUT (a .safetensors file)")
    data = load_data("mnist", part="train")
    torch.set_num_threads(1)  # sums in one order, so the file is the same again
    if data.labels is None:
        raise UsageError("the classifier is trained on labelled pictures")
    net = train(data.values, data.labels)
    for part in ("validation", "test"):
        other = load_data("mnist", part=part)
        with torch.no_grad():
            logits = torch.cat([net(x) for x in torch.split(pixels(other.values), 1000)])
        hits = (logits.argmax(1).numpy() == other.labels).mean()
        print(f"{part} accuracy {100 * hits:.2f} % of {len(other)}")
    out = Path(given[0])
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
