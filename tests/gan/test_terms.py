"""Terms of an objective, each with its weight and reduction, in one step of a game."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from ganforge.config import Optimizer
from ganforge.gan import optimizers, state
from ganforge.gan.batch import Batch, Memory, RandomInputs
from ganforge.gan.objective import Objective, Term
from ganforge.gan.players import Players
from ganforge.gan.state import State, StepHyperparameters
from ganforge.gan.step import Game, StepOptions, compute_gradients, reduce_batch, step
from ganforge.nets import networks_of
from ganforge.nets.base import Network
from tests.helpers.tiny import normal


class Patches(nn.Module):
    """x (B, 1, 6, 6) -> one logit a patch, (B, 1, 3, 3)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 2, stride=2)

    def forward(
        self, x: Tensor, label: Any = None, source: Any = None, inputs: Any = None
    ) -> Tensor:
        out: Tensor = self.conv(x)
        return out


class Painter(nn.Module):
    """source (B, 1, 6, 6) -> (B, 1, 6, 6)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 3, padding=1)

    def forward(
        self, x: Tensor, label: Any = None, source: Any = None, inputs: Any = None
    ) -> Tensor:
        out: Tensor = self.conv(source)
        return out


@dataclass(frozen=True)
class PatchAndDistance(Game):
    """A patch loss (B, 1, 3, 3) beside an L1 distance (B,), which would broadcast at B = 3."""

    kind: ClassVar[str] = "test"
    fake_labels: str = "data"
    weight: float = 100.0
    seen: dict[str, Tensor] = field(default_factory=dict)

    def passes(self, side: str) -> Mapping[str, str]:
        return {}

    def discriminator_objective(
        self, players: Players, batch: Batch, inputs: RandomInputs, memory: Memory
    ) -> Objective:
        with torch.no_grad():
            fake = players.generate(inputs.z, source=batch.source)
        real, made = players.discriminate(batch.real), players.discriminate(fake)
        terms = {"adversarial": Term((real - 1).square() + made.square())}
        return Objective(terms, replace(batch, fake=fake), {"patches": real.detach()})

    def generator_objective(
        self, players: Players, batch: Batch, inputs: RandomInputs, memory: Memory
    ) -> Objective:
        fake = players.generate(inputs.z, source=batch.source)
        adversarial = (players.discriminate(fake) - 1).square()
        distance = (fake - batch.real).abs().flatten(1).mean(1)
        terms = {"adversarial": Term(adversarial), "l1": Term(distance, self.weight)}
        return Objective(terms, replace(batch, fake=fake), {})


def started() -> State:
    torch.manual_seed(0)
    sides = {"generator": Painter().double(), "discriminator": Patches().double()}
    built = {side: optimizers.build(Optimizer(), m.parameters()) for side, m in sides.items()}
    return State(Players(**sides), built)


def batch_of(count: int) -> Batch:
    return Batch(normal("real", count, 1, 6, 6), source=normal("source", count, 1, 6, 6))


HYPER = StepHyperparameters({"generator": 1e-2, "discriminator": 1e-2})


def inputs_of(count: int) -> RandomInputs:
    return RandomInputs(normal("z", count, 2))


@pytest.mark.parametrize("count", [1, 3, 5])
def test_terms_of_different_shapes_are_numbers_before_they_are_added(count: int) -> None:
    """Even at B = 3 and B = 1, where (B, 1, 3, 3) + (B,) would broadcast without an error."""
    st, game, batch = started(), PatchAndDistance(), batch_of(count)
    update = compute_gradients(st, game, "generator", batch, inputs_of(count), HYPER, StepOptions())
    fake = st.players.generate(inputs_of(count).z, source=batch.source)
    exact = (st.players.discriminate(fake) - 1).square().mean() + 100 * (
        fake - batch.real
    ).abs().mean()
    wanted = torch.autograd.grad(exact, list(st.players.generator.parameters()))
    for found, one in zip(update.gradients, wanted, strict=True):
        torch.testing.assert_close(found, one)
    assert update.log["loss_g"].item() == pytest.approx(exact.item())


def test_each_term_is_logged_by_its_name_and_what_the_game_logs_besides() -> None:
    st = started()
    drawn = {"discriminator": [inputs_of(5)], "generator": [inputs_of(5)]}
    log = step(st, PatchAndDistance(), [batch_of(5)], drawn, HYPER)
    assert log["loss_g"].item() == pytest.approx((log["adversarial_g"] + log["l1_g"]).item())
    assert log["patches"].dim() == 0
    assert "adversarial_d" not in log  # a single term is the loss


def test_pieces_of_the_batch_give_the_gradients_of_the_whole() -> None:
    game, batch = PatchAndDistance(), batch_of(6)
    whole, pieces = (
        compute_gradients(
            started(), game, "generator", batch, inputs_of(6), HYPER, StepOptions(micro_batch=m)
        )
        for m in (0, 4)
    )
    for a, b in zip(whole.gradients, pieces.gradients, strict=True):
        torch.testing.assert_close(a, b)
    for name, value in whole.log.items():
        torch.testing.assert_close(value, pieces.log[name])


def test_the_share_of_a_piece_scales_means_and_not_sums() -> None:
    values = normal("values", 4)
    for reduction, wanted in (("mean", 0.5 * values.mean()), ("sum", 2 * values.sum())):
        total, logged = Term(values, 2.0, reduction).total(reduce_batch, 0.25)
        assert total.item() == pytest.approx(wanted.item())
        assert logged.item() == pytest.approx(2 * values.mean().item())


def test_a_side_may_hold_several_networks() -> None:
    sides = {"ab": Painter(), "ba": Painter()}
    players = Players(nn.ModuleDict(sides), Patches())
    source = torch.randn(2, 1, 6, 6)
    for name, module in sides.items():
        made = players.generate(torch.zeros(2, 1), source=source, network=f"generator.{name}")
        assert torch.equal(made, module(None, source=source))
    st = State(players, {s: optimizers.build(Optimizer(), getattr(players, s).parameters())
                         for s in ("generator", "discriminator")})  # fmt: skip
    assert {"generator.ab.conv.weight", "generator.ba.conv.bias"} <= state.tensors(st).keys()


def test_the_networks_of_a_side_are_found() -> None:
    class One(Network):
        pass

    one, other = One(), One()
    assert networks_of(one) == [one]
    assert networks_of(nn.ModuleDict({"a": one, "b": other})) == [one, other]
