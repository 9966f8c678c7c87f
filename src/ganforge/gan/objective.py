"""What a player plays for: named terms, each with its weight and its reduction."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from ganforge.gan.batch import Aux, Batch

Reduce = Callable[[Tensor, str], Tensor]  # (values, "mean" or "sum") -> a number


@dataclass(frozen=True)
class Term:
    """One addend of an objective: weight * reduction of values over the batch.

    Terms of different shapes, as a patch loss (B, 1, h, w) and an L1 distance (B,), are numbers
    before they are added: as tensors they would broadcast, or fail.

    Args:
        values: (B, ...), one or more for each example, not reduced.
        weight: the factor of the term.
        reduction: "mean" over all values, or their "sum".
    """

    values: Tensor
    weight: float | Tensor = 1.0
    reduction: str = "mean"

    def total(self, reduce: Reduce, share: float = 1.0) -> tuple[Tensor, Tensor]:
        """(weight * reduction of the values, weight * their mean).

        The player descends the first, and the second is logged.

        Args:
            reduce: how values become a number.
            share: of the global batch that the values are for; it scales means, and sums are whole.
        """
        mean = self.weighted(reduce(self.values, "mean"))
        if self.reduction == "sum":
            return self.weighted(reduce(self.values, "sum")), mean
        return (mean if share == 1 else mean * share), mean

    def weighted(self, number: Tensor) -> Tensor:
        """weight * number, without a product in the graph if the weight is the number 1."""
        plain = not isinstance(self.weight, Tensor) and self.weight == 1
        return number if plain else self.weight * number


@dataclass(frozen=True)
class Objective:
    """A player's objective at one batch.

    Args:
        terms: by name; their sum is what the player descends.
        batch: the batch with its fakes.
        log: values to report besides, by name; their means are logged.
        aux: what the game stores for later steps, by name; it replaces what was stored, unless
            the turn is skipped.
    """

    terms: Mapping[str, Term]
    batch: Batch
    log: Mapping[str, Tensor]
    aux: Aux = field(default_factory=dict)
