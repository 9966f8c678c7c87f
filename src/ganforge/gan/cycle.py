"""The game of CycleGAN: two translators, each the other's inverse, without pairs.

    D_b  minimises  ((D_b(b) - 1)^2 + D_b(G(a))^2) / 2,   D_a the same with F(b)
    G, F minimise   (D_b(G(a)) - 1)^2 + (D_a(F(b)) - 1)^2
                    + cycle (|F(G(a)) - a|_1 + |G(F(b)) - b|_1)
                    + identity (|G(b) - b|_1 + |F(a) - a|_1)

G is "a2b", F is "b2a". The discriminators see pictures out of a pool of earlier ones. They move
first; G and F are judged by the updated ones on the pictures of the same step. Zhu et al. 2017;
pool: Shrivastava et al. 2017.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from ganforge.errors import check
from ganforge.gan import losses
from ganforge.gan.adversarial import Adversarial, logged_logits, require_same_shape
from ganforge.gan.batch import NO_MEMORY, Aux, Batch, Memory, RandomInputs
from ganforge.gan.objective import Objective, Term
from ganforge.gan.players import Players
from ganforge.gan.translation import distance
from ganforge.nets.base import RandomInput

DOMAINS = {"a": "b2a", "b": "a2b"}  # domain -> the translator that makes pictures of it
OTHER = {"a": "b", "b": "a"}


@dataclass(frozen=True)
class Cycle(Adversarial):
    """The unpaired game.

    adversarial: weight of the discriminators' judgement; without it they only watch. cycle: weight
    of the difference of a picture and its translation there and back; identity: of a picture and
    its translation into the domain that it has. pool: pictures of each domain that are remembered,
    0 for none. The other settings are those of the two-player game.
    """

    kind: ClassVar[str] = "cycle"
    pairing: ClassVar[str] = "unpaired"
    loss: str = "least-squares"
    fresh_noise: bool = False
    fake_labels: str = "data"
    adversarial: float = 1.0
    cycle: float = 10.0
    identity: float = 5.0
    pool: int = 50

    def __post_init__(self) -> None:
        super().__post_init__()
        for key in ("adversarial", "cycle", "identity"):
            value = getattr(self, key)
            check(0 <= value < math.inf, key, value, "a weight of 0 or more")
        total = self.adversarial + self.cycle + self.identity
        check(total > 0, "cycle", self.cycle, "more than 0 beside adversarial = identity = 0")
        check(self.pool >= 0, "pool", self.pool, "0 or more pictures")
        check(not self.penalties, "penalties", self.penalties, "none: this game knows none")
        check(not self.classify, "classify", self.classify, "0: this game has no labels")

    def passes(self, side: str) -> dict[str, str]:
        return {}

    def random_inputs(self, side: str) -> Mapping[str, RandomInput]:
        """For each picture that may enter a pool: a coin and a place."""
        if side != "discriminator" or not self.pool:
            return {}
        return {f"pool.{domain}": RandomInput("unit", (2,)) for domain in DOMAINS}

    def initial_aux(self, shapes: Mapping[str, tuple[int, ...]]) -> Aux:
        """Empty pools, and how many pictures each has."""
        if not self.pool:
            return {}
        pools = {f"pool.{d}": torch.zeros(self.pool, *shapes[d]) for d in DOMAINS}
        counts = {f"pool.{d}.count": torch.zeros((), dtype=torch.int64) for d in DOMAINS}
        return pools | counts

    def discriminator_objective(
        self, players: Players, batch: Batch, inputs: RandomInputs, memory: Memory = NO_MEMORY
    ) -> Objective:
        """The discriminators' terms, one for each domain."""
        with torch.set_grad_enabled(not self.fresh_noise):
            batch = self.translated(players, batch, inputs)
        terms: dict[str, Term] = {}
        aux: Aux = {}
        logits: dict[str, list[Tensor]] = {"real": [], "fake": []}
        for domain, real in ends(batch).items():
            fake = batch.fakes[domain].detach()
            if self.pool:
                fake, stored = from_pool(domain, fake, inputs.extra[f"pool.{domain}"], memory)
                aux |= stored
            d = f"discriminator.{domain}"
            on_real = players.discriminate(real, network=d)
            on_fake = players.discriminate(fake, network=d)
            require_same_shape(on_real, on_fake, len(fake))
            loss = losses.find(self.loss).discriminator(on_real, on_fake)
            terms[f"domain_{domain}"] = Term(loss, 0.5 if self.halve else 1.0, self.reduction)
            logits["real"].append(on_real.detach().flatten())
            logits["fake"].append(on_fake.detach().flatten())
        real, fake = (torch.cat(logits[kind]) for kind in ("real", "fake"))
        return Objective(terms, batch, logged_logits(real, fake), aux)

    def generator_objective(
        self, players: Players, batch: Batch, inputs: RandomInputs, memory: Memory = NO_MEMORY
    ) -> Objective:
        """The translators' terms: judgement, cycle and identity, one for each domain."""
        if not batch.fakes:
            batch = self.translated(players, batch, inputs)
        terms: dict[str, Term] = {}
        reals = ends(batch)
        # (a - 1)^2 as published; the loss of the same name is half of it
        weight = self.adversarial * (2.0 if self.loss == "least-squares" else 1.0)
        for domain, real in reals.items():
            fake, other = batch.fakes[domain], OTHER[domain]
            if self.adversarial:
                logit = players.discriminate(fake, network=f"discriminator.{domain}")
                on_real = logit.new_empty(0)
                if losses.find(self.loss).uses_real:
                    with torch.no_grad():
                        on_real = players.discriminate(real, network=f"discriminator.{domain}")
                loss = losses.find(self.loss).generator(on_real, logit)
                terms[f"adversarial_{domain}"] = Term(loss, weight, self.reduction)
            if self.cycle:
                again = translate(players, fake, inputs, DOMAINS[other])
                terms[f"cycle_{other}"] = Term(
                    distance(again, reals[other]), self.cycle, self.reduction
                )
            if self.identity:
                same = translate(players, real, inputs, DOMAINS[domain])
                terms[f"identity_{domain}"] = Term(
                    distance(same, real), self.identity, self.reduction
                )
        return Objective(terms, batch, {})

    def translated(self, players: Players, batch: Batch, inputs: RandomInputs) -> Batch:
        """The batch with its pictures translated both ways."""
        reals = ends(batch)
        fakes = {d: translate(players, reals[OTHER[d]], inputs, DOMAINS[d]) for d in DOMAINS}
        return replace(batch, fake=fakes["b"].detach(), fakes=fakes)


def ends(batch: Batch) -> dict[str, Tensor]:
    """The pictures of both domains: the source is of A, the real examples are of B."""
    if batch.source is None:
        raise ValueError("an unpaired game was given a batch without a source")
    return {"a": batch.source, "b": batch.real}


def translate(players: Players, x: Tensor, inputs: RandomInputs, direction: str) -> Tensor:
    """Pictures of one domain in the other."""
    return players.generate(inputs.z, None, x, network=f"generator.{direction}")


def from_pool(domain: str, fake: Tensor, numbers: Tensor, memory: Memory) -> tuple[Tensor, Aux]:
    """Pictures for the discriminator, new ones or earlier ones, and the pool after them.

    All processes have the same pool: they exchange what they made.
    """
    name, counter = f"pool.{domain}", f"pool.{domain}.count"
    pool = memory.aux[name]
    new, numbers = memory.gather(fake.to(pool.dtype)), memory.gather(numbers)
    shown, pool, count = exchange(pool, memory.aux[counter], new, numbers)
    mine = shown[memory.first : memory.first + len(fake)]
    return mine, {name: pool, counter: count}


def exchange(
    pool: Tensor, count: Tensor, new: Tensor, numbers: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Each new picture in turn through a pool of P pictures.

    Until the pool is full a picture is stored and shown. Then a coin decides: it is shown and not
    stored, or it takes the place of a stored one, which is shown.

    Args:
        pool: (P, ...), not quantised.
        count: (), how many are stored.
        new: (B, ...), in the order of the global batch.
        numbers: (B, 2), U[0, 1): the coin, and the place.

    Returns:
        The pictures shown (B, ...), the pool and the count afterwards.
    """
    pool, size, shown = pool.clone(), len(pool), []
    for picture, (coin, at) in zip(new, numbers, strict=True):
        full = count >= size
        drawn = (at * size).long().clamp_max(size - 1)
        place = torch.where(full, drawn, count.clamp_max(size - 1)).view(1)
        old = pool.index_select(0, place)[0]
        swapped = full & (coin >= 0.5)
        shown.append(torch.where(swapped, old, picture))
        pool.index_copy_(0, place, torch.where(swapped | ~full, picture, old)[None])
        count = (count + 1).clamp_max(size)
    return torch.stack(shown), pool, count
