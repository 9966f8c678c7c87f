"""What every network of a game is."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ganforge.errors import check, choice
from ganforge.nets import spectral
from ganforge.rng import Stream
from ganforge.types import Array

Inputs = Mapping[str, Tensor]  # random input by name -> (B, ...)

LAWS = ("normal", "uniform", "unit", "dropout")


@dataclass(frozen=True)
class RandomInput:
    """Numbers that are drawn for each example outside the networks, and come in.

    Args:
        law: "normal" N(0, 1), "uniform" U(-1, 1), "unit" U[0, 1), or "dropout": 0 with probability
            `drop`, else 1 / (1 - drop).
        shape: of the numbers for one example.
        drop: probability in [0, 1), of dropout.
    """

    law: str
    shape: tuple[int, ...]
    drop: float = 0.0

    def __post_init__(self) -> None:
        choice("law", self.law, LAWS)
        check(0 <= self.drop < 1, "drop", self.drop, "a probability in [0, 1)")

    @property
    def size(self) -> int:
        """How many numbers an example gets."""
        return math.prod(self.shape)

    def draw(self, stream: Stream, first: int, count: int) -> Array:
        """The numbers of examples first .. first + count - 1 of a stream, (count, *shape)."""
        if self.law == "dropout":
            values = stream.dropout_mask(first, count, self.size, self.drop)
        elif self.law == "unit":
            values = stream.uniform(first, count, self.size)
        else:
            values = stream.draw(self.law, first, count, self.size)
        return values.reshape(count, *self.shape)


class Network(nn.Module):
    """A network with no randomness inside: all random numbers are inputs.

    In eval mode, with `inputs` None, it is a plain function.

    truncation: what a sample with truncation t changes in a generator, "noise" or "style". With
    "noise" z becomes t z before the call. With "style" the call has the input "truncation", (B, 1)
    numbers t, and the generator moves each style w to w_mean + t (w - w_mean): other layers read z
    there by its direction alone, so that a smaller z changes nothing.
    """

    truncation: ClassVar[str] = "noise"

    def random_inputs(self) -> dict[str, RandomInput]:
        """What the network wants drawn for each example, by name."""
        return {}

    def sampling_inputs(self) -> dict[str, RandomInput]:
        """What the network wants drawn for each sample after training, by name."""
        return {}

    def spectral_weights(self) -> list[spectral.SpectralWeight]:
        """(W, u, v) of every weight that is divided by its largest singular value."""
        return [m.parts() for m in self.modules() if isinstance(m, spectral.Spectral)]

    def init_from_data(self, mean: Callable[[], Tensor]) -> None:
        """Set what the first weights take from the data; nothing, unless a network says so.

        Args:
            mean: gives the mean example, float64, in model values and of the data's shape.
        """

    def forward(
        self,
        x: Tensor,
        label: Tensor | None = None,
        source: Tensor | None = None,
        inputs: Inputs | None = None,
    ) -> Tensor:
        """The network's output.

        Args:
            x: (B, Z) noise of a generator, (B, ...) examples of a discriminator.
            label: (B,) int64, or None.
            source: (B, ...) what a translator starts from, or None.
            inputs: the random inputs by name, or None for none: no dropout.
        """
        raise NotImplementedError


class TwoPartDiscriminator(Network):
    """A discriminator in two parts: features of the examples, and their logits by `out`.

    batch_independent: no example's features depend on other examples of the batch, so that real
    and fake ones may share a pass. With batch norm they do depend. group: neighbouring examples
    whose features depend on each other; no forward pass in training cuts such a group.
    """

    batch_independent = False
    group = 1
    out: nn.Module

    def features(self, x: Tensor, label: Tensor | None, inputs: Inputs | None) -> Tensor:
        """x (B, ...) -> (B, F)."""
        raise NotImplementedError

    def forward(
        self,
        x: Tensor,
        label: Tensor | None = None,
        source: Tensor | None = None,
        inputs: Inputs | None = None,
    ) -> Tensor:
        logits: Tensor = self.out(self.features(x, label, inputs), label)
        return logits


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """`module` in evaluation mode and without gradients; afterwards each part as it was before."""
    training = [m for m in module.modules() if m.training]
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for m in training:
            m.training = True


class PlainModule(Network):
    """A user's module as a network: called with x, and with label and source if there are such."""

    def __init__(self, module: nn.Module, conditional: bool):
        super().__init__()
        self.module = module
        self.conditional = conditional

    def forward(
        self,
        x: Tensor,
        label: Tensor | None = None,
        source: Tensor | None = None,
        inputs: Inputs | None = None,
    ) -> Tensor:
        labels = [label] if self.conditional else []
        sources = [] if source is None else [source]
        out: Tensor = self.module(x, *labels, *sources)
        return out
