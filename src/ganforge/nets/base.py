"""What every network of a game is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from torch import Tensor, nn

from ganforge.data.spec import DataSpec
from ganforge.nets import spectral

Masks = Mapping[str, Tensor]  # layer name -> (B, ...) factors, 0 or 1 / (1 - p)


class Networks(Protocol):
    """Makes the two players. Any callable with this signature will do."""

    def __call__(self, spec: DataSpec, noise: int) -> dict[str, nn.Module]:
        """{"generator": z (B, noise) -> x, "discriminator": x -> logits} for examples of `spec`."""
        ...


class Player(nn.Module):
    """A network with no randomness inside: what it drops is passed in.

    forward(x, label, masks): x (B, ...), label (B,) int64 or None, masks the dropout factors by
    layer name or None for none. In eval mode, with masks None, it is a plain function.
    """

    def mask_shapes(self) -> dict[str, tuple[float, tuple[int, ...]]]:
        """Dropout layers: name -> (drop probability, shape for one example)."""
        return {}

    def normalised(self) -> list[spectral.Triple]:
        """(W, u, v) of every weight that is divided by its largest singular value."""
        return [m.triple() for m in self.modules() if isinstance(m, spectral.Spectral)]

    def start(self, mean: Callable[[], Tensor]) -> None:
        """Take from the data what the first weights need; nothing, unless a network says so.

        mean() -> the mean example, float64, in model values and of the data's shape.
        """

    def forward(self, x: Tensor, label: Tensor | None = None, masks: Masks | None = None) -> Tensor:
        raise NotImplementedError


class Headed(Player):
    """A discriminator in two parts: features of the examples, and their logits by `out`.

    alone: no example's features depend on another example of the batch, so that real and fake ones
    may share a pass. With batch norm they do.
    """

    alone = False
    out: nn.Module

    def features(self, x: Tensor, label: Tensor | None, masks: Masks | None) -> Tensor:
        """x (B, ...) -> (B, F)."""
        raise NotImplementedError

    def forward(self, x: Tensor, label: Tensor | None = None, masks: Masks | None = None) -> Tensor:
        logits: Tensor = self.out(self.features(x, label, masks), label)
        return logits


class Plain(Player):
    """A user's own module as a player: called with x, and with the label in a conditional game."""

    def __init__(self, module: nn.Module, conditional: bool):
        super().__init__()
        self.module = module
        self.conditional = conditional

    def forward(self, x: Tensor, label: Tensor | None = None, masks: Masks | None = None) -> Tensor:
        out: Tensor = self.module(x, label) if self.conditional else self.module(x)
        return out
