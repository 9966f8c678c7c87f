"""The game of pix2pix: a translated picture must look real beside its source, and be the target.

    D   maximises  log D(s, t) + log(1 - D(s, G(s)))
    G   minimises  -log D(s, G(s)) + l1 |t - G(s)|_1

s is the source, t the target. G has no noise but the dropout masks. D moves first; G is judged by
the updated D on the very pictures of D's turn. (The authors' Torch code hands G the gradient of D's
old answer; their PyTorch port of 2025 asks the updated D, as here.) Whether D sees the source is a
choice of its network. Isola et al. 2017.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ganforge.errors import check
from ganforge.gan.adversarial import Adversarial
from ganforge.gan.batch import NO_MEMORY, Batch, Memory, RandomInputs
from ganforge.gan.objective import Objective, Term
from ganforge.gan.players import Players


@dataclass(frozen=True)
class Translation(Adversarial):
    """The paired game.

    adversarial: weight of D's judgement in G's objective; without it D only watches. l1: weight of
    the mean absolute difference of picture and target, in model values. The other settings are
    those of the two-player game.
    """

    kind: ClassVar[str] = "translation"
    pairing: ClassVar[str] = "paired"
    halve: bool = True
    fresh_noise: bool = False
    fake_labels: str = "data"
    adversarial: float = 1.0
    l1: float = 100.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for key in ("adversarial", "l1"):
            value = getattr(self, key)
            check(0 <= value < math.inf, key, value, "a weight of 0 or more")
        check(self.adversarial + self.l1 > 0, "l1", self.l1, "more than 0 beside adversarial = 0")

    def generator_objective(
        self, players: Players, batch: Batch, inputs: RandomInputs, memory: Memory = NO_MEMORY
    ) -> Objective:
        """G's terms: D's judgement (B, 1, h, w), and the distance to the target (B,)."""
        if self.adversarial:
            made = super().generator_objective(players, batch, inputs, memory)
            terms = {
                name: Term(term.values, self.adversarial, term.reduction)
                for name, term in made.terms.items()
            }
            batch, log = made.batch, made.log
        else:
            batch, terms, log = self.with_fakes(players, batch, inputs), {}, {}
        if self.l1:
            terms["l1"] = Term(distance(batch.generated(), batch.real), self.l1, self.reduction)
        return Objective(terms, batch, log)


def distance(x: Tensor, y: Tensor) -> Tensor:
    """The mean absolute difference of each pair of examples: (B, ...), (B, ...) -> (B,)."""
    return (x - y).abs().flatten(1).mean(1)
