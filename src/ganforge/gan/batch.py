"""What a turn is played with: real examples, fakes, random inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor

Aux = dict[str, Tensor]  # what penalties and controllers keep between steps


Stats = dict[str, Tensor]  # scalars, left on the device


Reduce = Callable[[Tensor, str], Tensor]  # (losses, "mean" or "sum") -> scalar


@dataclass(frozen=True)
class Batch:
    """real (B, ...) in model values, label (B,) or None; fake and its labels once they exist.

    made: the fakes with the graph they were made by, where G's turn is to start from them.
    """

    real: Tensor
    label: Tensor | None = None
    source: Tensor | None = None
    fake: Tensor | None = None
    fake_label: Tensor | None = None
    made: Tensor | None = None

    def rows(self, part: slice) -> Batch:
        """The examples of a slice."""
        return Batch(
            self.real[part],
            None if self.label is None else self.label[part],
            None if self.source is None else self.source[part],
        )

    def generated(self) -> Tensor:
        if self.fake is None:
            raise ValueError("this batch holds no generated examples")
        return self.fake


@dataclass(frozen=True)
class Draws:
    """The random numbers of one player's turn.

    z (B, Z); label (B,) for the fakes, or None; masks: "generator", "real", "fake", "penalty" ->
    layer -> dropout factors; extra: what penalties and games ask for.
    """

    z: Tensor
    label: Tensor | None = None
    masks: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)
    extra: Mapping[str, Tensor] = field(default_factory=dict)

    def rows(self, part: slice) -> Draws:
        """The numbers of the examples of a slice."""
        return Draws(
            self.z[part],
            None if self.label is None else self.label[part],
            {role: {k: v[part] for k, v in masks.items()} for role, masks in self.masks.items()},
            {name: value[part] for name, value in self.extra.items()},
        )
