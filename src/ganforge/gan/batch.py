"""What a turn is played with: real examples, fakes, and the random numbers that come in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor

Aux = dict[str, Tensor]  # what penalties and controllers keep between steps
Log = dict[str, Tensor]  # numbers to report, left on the device


@dataclass(frozen=True)
class Batch:
    """The examples of one turn.

    Args:
        real: (B, ...) in model values. In a paired game these are the targets.
        label: (B,) int64, or None.
        source: (B, ...) what a translator starts from, or None.
        fake, fake_label: the generated examples and their labels, once they exist.
        fake_with_graph: the fakes with the graph of their making, if G's turn starts from them.
        fakes: the same of a game with several generators, by name.
    """

    real: Tensor
    label: Tensor | None = None
    source: Tensor | None = None
    fake: Tensor | None = None
    fake_label: Tensor | None = None
    fake_with_graph: Tensor | None = None
    fakes: Mapping[str, Tensor] = field(default_factory=dict)

    def map(self, f: Callable[[Tensor], Tensor]) -> Batch:
        """The same examples, each tensor replaced by f of it; fakes are left out."""
        return Batch(
            f(self.real),
            None if self.label is None else f(self.label),
            None if self.source is None else f(self.source),
        )

    def rows(self, part: slice) -> Batch:
        """The real examples of a slice."""
        return self.map(lambda tensor: tensor[part])

    def generated(self) -> Tensor:
        """The fakes; ValueError before there are any."""
        if self.fake is None:
            raise ValueError("this batch holds no generated examples")
        return self.fake


@dataclass(frozen=True)
class RandomInputs:
    """The random numbers of one player's turn; nothing in this folder draws any.

    Args:
        z: (B, Z), noise.
        label: (B,) int64, of the fakes, or None.
        networks: forward pass ("generator", "real", "fake", "penalty", ...) -> the name of a
            network's random input -> (B, ...).
        extra: (B, ...) by name, what penalties and games ask for.
    """

    z: Tensor
    label: Tensor | None = None
    networks: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)
    extra: Mapping[str, Tensor] = field(default_factory=dict)

    def map(self, f: Callable[[Tensor], Tensor]) -> RandomInputs:
        """The same numbers, each tensor replaced by f of it."""
        return RandomInputs(
            f(self.z),
            None if self.label is None else f(self.label),
            {name: {k: f(v) for k, v in ones.items()} for name, ones in self.networks.items()},
            {name: f(value) for name, value in self.extra.items()},
        )

    def rows(self, part: slice) -> RandomInputs:
        """The numbers of the examples of a slice."""
        return self.map(lambda tensor: tensor[part])


def same(rows: Tensor) -> Tensor:
    """What a single process gathers: its rows."""
    return rows


@dataclass(frozen=True)
class Memory:
    """What a game may read beside the batch of its turn.

    Args:
        aux: what it stores between steps, by name.
        gather: the rows (B, ...) of all processes, from those of this one (b, ...), in the order of
            the global batch.
        first: where this process's rows begin in them.
    """

    aux: Aux = field(default_factory=dict)
    gather: Callable[[Tensor], Tensor] = same
    first: int = 0


NO_MEMORY = Memory()
