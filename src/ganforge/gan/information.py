"""The game of InfoGAN: the samples must show the codes in their z. Chen et al. 2016.

    min over G, Q  max over D   V(D, G) - information * I,
    I = E[log Q(c | G(z, c)) - log p(c)]   <=   the mutual information of c and G(z, c)

Q is a head on D's features (see `nets.codes`). As in the published code D's turn moves Q too: D's
objective has the term as well as G's, and D's optimiser has the parameters of Q.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import ClassVar

from torch import Tensor

from ganforge.errors import check
from ganforge.gan.adversarial import Adversarial, require_same_shape
from ganforge.gan.batch import NO_MEMORY, Batch, Memory, RandomInputs
from ganforge.gan.objective import Objective, Term
from ganforge.gan.players import Players
from ganforge.nets.codes import Inferring


@dataclass(frozen=True)
class Information(Adversarial):
    """The two-player game with codes.

    information: weight of the mutual-information bound in both objectives. The other settings are
    those of the two-player game; labels, `classify` and packs are not possible beside codes.
    """

    kind: ClassVar[str] = "information"
    infers: ClassVar[bool] = True
    information: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        weight = self.information
        check(0 <= weight < math.inf, "information", weight, "a weight of 0 or more")
        check(not self.classify, "classify", self.classify, "0 in a game that infers codes")
        check(self.pack == 1, "pack", self.pack, "1 in a game that infers codes")

    def discriminator_objective(
        self, players: Players, batch: Batch, inputs: RandomInputs, memory: Memory = NO_MEMORY
    ) -> Objective:
        """D's terms, and those of Q: the adversarial one (B,), and minus the bound (B,)."""
        batch = self.with_detached_fakes(players, batch, inputs)
        on_real, on_fake = inputs.networks.get("real"), inputs.networks.get("fake")
        real_logit = players.discriminate(batch.real, inputs=on_real)
        fake_logit, said = players.infer(batch.generated(), on_fake)
        require_same_shape(real_logit, fake_logit, len(batch.real))

        loss = self.discriminator_loss(real_logit, fake_logit)
        terms = self.terms(loss, None, 0.5 if self.halve else 1.0)
        bounds = inferring_part(players).information(inputs.z, said)
        log = self.logged(real_logit.detach(), fake_logit.detach())
        log |= {f"code_{name}": bound.detach() for name, bound in bounds.items()}
        return Objective(terms | self.information_term(bounds), batch, log)

    def generator_objective(
        self, players: Players, batch: Batch, inputs: RandomInputs, memory: Memory = NO_MEMORY
    ) -> Objective:
        """G's terms: the adversarial one (B,), and minus the bound (B,)."""
        batch = self.with_fakes(players, batch, inputs)
        fake_logit, said = players.infer(batch.generated(), inputs.networks.get("fake"))
        loss = self.generator_loss(players, batch, inputs, fake_logit)
        bounds = inferring_part(players).information(inputs.z, said)
        return Objective(self.terms(loss, None) | self.information_term(bounds), batch, {})

    def information_term(self, bounds: dict[str, Tensor]) -> dict[str, Term]:
        """The term of the codes: minus the sum of their bounds."""
        total = reduce(add, bounds.values())
        return {"information": Term(-total, self.information, self.reduction)}


def inferring_part(players: Players) -> Inferring:
    """D with its head for codes; `nets.for_config` gives the game of codes no other."""
    assert isinstance(players.discriminator, Inferring)
    return players.discriminator
