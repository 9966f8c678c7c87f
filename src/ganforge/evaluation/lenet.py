"""The `mnist-lenet` classifier: a small convnet trained on MNIST, with its weights.

Its 128 features before the logits are the feature space of MNIST-like pictures; its logits say
which digit a picture shows.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from ganforge.evaluation.judges import blank
from ganforge.types import Array

WEIGHTS = Path(__file__).with_name("mnist-lenet.safetensors")


@lru_cache(maxsize=1)
def load() -> LeNet:
    """The classifier with the weights that ship with the package, in evaluation mode."""
    net = blank(LeNet)
    net.load_state_dict(load_file(WEIGHTS))
    return net.eval().requires_grad_(False)


def sha256(path: Path = WEIGHTS) -> str:
    """Of a file's bytes, as hexadecimal digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


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
