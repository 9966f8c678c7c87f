"""Penalties: closed forms for a linear D, and what every penalty has to keep to."""

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ganforge.config.schema import Config
from ganforge.data.spec import DataSpec
from ganforge.errors import UsageError
from ganforge.gan.adversarial import Adversarial
from ganforge.gan.penalties import R1, R2, GradientPenalty, Penalty
from ganforge.gan.state import StepHyperparameters
from ganforge.gan.step import Batch, Players, RandomInputs, penalties_due, reduce_batch
from ganforge.nets import DCGAN, MLP
from ganforge.registry import PARTS
from ganforge.rng import Stream
from tests.helpers.tiny import fp64_state, normal, pictures

# of any discriminator; that of a style generator has tests beside its networks
PENALTIES = {k: v for k, v in PARTS["penalties"].items() if v.player == "discriminator"}
HYPER = StepHyperparameters({})
SLOPE = torch.tensor([3.0, -4.0, 12.0], dtype=torch.float64)  # |a| = 13


class Linear(nn.Module):
    """D(x) = a.x + b."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(SLOPE.clone())
        self.b = nn.Parameter(torch.tensor(0.5, dtype=torch.float64))

    def forward(
        self, x: Tensor, label: Any = None, source: Any = None, inputs: Any = None
    ) -> Tensor:
        return x.flatten(1) @ self.a + self.b


class Bowl(nn.Module):
    """D(x) = |x|^2 / 2, whose gradient is x: it tells where it was evaluated."""

    def forward(
        self, x: Tensor, label: Any = None, source: Any = None, inputs: Any = None
    ) -> Tensor:
        return 0.5 * x.flatten(1).square().sum(1)


def batch_of(shape: tuple[int, ...] = (5, 3)) -> Batch:
    return Batch(normal("real", *shape), fake=normal("fake", *shape))


def draws_of(penalty: Penalty, count: int) -> RandomInputs:
    extra = {
        name: torch.from_numpy(Stream(0, name).uniform(0, count, wanted.size)).double()
        for name, wanted in penalty.random_inputs.items()
    }
    return RandomInputs(normal("z", count, 2), extra=extra)


def pay(penalty: Penalty, d: nn.Module, batch: Batch, draws: RandomInputs) -> Tensor:
    loss, _ = penalty(Players(nn.Identity(), d), batch, draws, {})
    return loss


@pytest.mark.parametrize("kind", [R1, R2])
def test_a_linear_discriminator_pays_for_its_slope(kind: type[R1] | type[R2]) -> None:
    d, penalty = Linear(), kind(gamma=0.3)
    loss = pay(penalty, d, batch_of(), draws_of(penalty, 5))
    assert torch.allclose(loss, torch.full((5,), 0.3 / 2 * 169, dtype=torch.float64))
    gradient = torch.autograd.grad(loss.sum(), (d.a, d.b), allow_unused=True)
    assert torch.allclose(gradient[0], 5 * 0.3 * SLOPE)  # d(gamma/2 |a|^2)/da, five times
    assert gradient[1] is None or not gradient[1].any()


def test_gradient_penalty_of_a_linear_discriminator() -> None:
    d, penalty = Linear(), GradientPenalty(weight=1.0)
    loss = pay(penalty, d, batch_of(), draws_of(penalty, 5))
    assert torch.allclose(loss, torch.full((5,), 12.0**2, dtype=torch.float64))
    (gradient,) = torch.autograd.grad(loss.sum(), d.a)
    assert torch.allclose(gradient, 5 * 2 * 12 * SLOPE / 13)
    target = pay(GradientPenalty(weight=2.0, target=0.0), d, batch_of(), draws_of(penalty, 5))
    assert torch.allclose(target, torch.full((5,), 2 * 169.0, dtype=torch.float64))


def test_where_each_penalty_looks() -> None:
    batch, bowl = batch_of(), Bowl()
    fake = batch.generated()
    draws = RandomInputs(
        normal("z", 5, 2), extra={"epsilon": torch.linspace(0, 1, 5).double()[:, None]}
    )
    mixed = draws.extra["epsilon"] * batch.real + (1 - draws.extra["epsilon"]) * fake
    assert torch.allclose(pay(R1(2.0), bowl, batch, draws), batch.real.square().sum(1))
    assert torch.allclose(pay(R2(2.0), bowl, batch, draws), fake.square().sum(1))
    expected = 10 * (mixed.norm(dim=1) - 1).square()
    assert torch.allclose(pay(GradientPenalty(), bowl, batch, draws), expected)


def test_gradient_penalty_of_a_dead_discriminator_is_finite() -> None:
    d, penalty = Linear(), GradientPenalty()
    with torch.no_grad():
        d.a.zero_()
    loss = pay(penalty, d, batch_of(), draws_of(penalty, 5))
    assert torch.allclose(loss, torch.full((5,), 10.0, dtype=torch.float64))
    (gradient,) = torch.autograd.grad(loss.sum(), d.a)
    assert torch.isfinite(gradient).all()


def test_each_penalty_hands_d_the_labels_of_its_examples() -> None:
    seen = []

    class Conditional(Linear):
        def forward(
            self, x: Tensor, label: Any = None, source: Any = None, inputs: Any = None
        ) -> Tensor:
            seen.append(label)
            return super().forward(x)

    real, fake = torch.arange(5), torch.arange(5) + 5
    batch = replace(batch_of(), label=real, fake_label=fake)
    pay(R1(), Conditional(), batch, draws_of(R1(), 5))
    pay(R2(), Conditional(), batch, draws_of(R2(), 5))
    assert seen[0] is real
    assert seen[1] is fake


# --- the contract, for every penalty there is -------------------------------------------------


def smooth_players() -> tuple[nn.Module, nn.Module]:
    """A generator and a discriminator with curvature everywhere, in double precision."""
    networks = MLP(
        generator=(4,),
        discriminator=(6, 5),
        generator_activation="tanh",
        discriminator_activation="tanh",
    )
    config = Config("test", networks, Adversarial())
    state = fp64_state(config, DataSpec((3,), 0, "float32", False, (0.0,), (1.0,)))
    return state.players.generator, state.players.discriminator


@pytest.mark.parametrize("name", sorted(PENALTIES))
@pytest.mark.parametrize("shape", [(6, 3), (6, 3, 1, 1), (1, 3)])
def test_one_number_for_each_example(name: str, shape: tuple[int, ...]) -> None:
    penalty = PENALTIES[name]()
    loss, aux = penalty(
        Players(*smooth_players()), batch_of(shape), draws_of(penalty, shape[0]), {}
    )
    assert loss.shape == shape[:1]
    assert (loss >= 0).all()
    assert isinstance(aux, dict)


@pytest.mark.parametrize("name", sorted(PENALTIES))
def test_its_gradient_against_finite_differences(name: str) -> None:
    """The second-order gradient, in every parameter of the player that pays."""
    penalty = PENALTIES[name]()
    g, d = smooth_players()
    payer = {"discriminator": d, "generator": g}[penalty.player]
    batch, draws = batch_of((6, 3)), draws_of(penalty, 6)

    def total() -> Tensor:
        return penalty(Players(g, d), batch, draws, {})[0].sum()

    parameters = list(payer.parameters())
    gradients = torch.autograd.grad(total(), parameters, allow_unused=True)
    assert any(g is not None and g.abs().max() > 1e-4 for g in gradients)
    h = 1e-6
    for parameter, gradient in zip(parameters, gradients, strict=True):
        flat = parameter.data.view(-1)
        for i in range(len(flat)):
            value = flat[i].item()
            flat[i] = value + h
            up = total().item()
            flat[i] = value - h
            down = total().item()
            flat[i] = value
            ours = 0.0 if gradient is None else gradient.reshape(-1)[i].item()
            assert ours == pytest.approx((up - down) / (2 * h), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("name", sorted(PENALTIES))
def test_it_draws_nothing_and_changes_nothing(name: str) -> None:
    penalty = PENALTIES[name]()
    g, d = smooth_players()
    batch, draws = batch_of((6, 3)), draws_of(penalty, 6)
    before, state = copy.deepcopy(d.state_dict()), torch.get_rng_state()
    first = penalty(Players(g, d), batch, draws, {})[0]
    again = penalty(Players(g, d), batch, draws, {})[0]
    assert torch.equal(first, again)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[k], v) for k, v in d.state_dict().items())
    assert not batch.real.requires_grad
    assert all(p.grad is None for p in (*g.parameters(), *d.parameters()))


@pytest.mark.parametrize("name", [n for n in sorted(PENALTIES) if PENALTIES[n]().random_inputs])
def test_its_draws_matter(name: str) -> None:
    penalty = PENALTIES[name]()
    players, batch = Players(*smooth_players()), batch_of((6, 3))
    one = draws_of(penalty, 6)
    other = replace(one, extra={name: 1 - value for name, value in one.extra.items()})
    losses = [penalty(players, batch, draws, {})[0] for draws in (one, other)]
    assert not torch.equal(*losses)


@pytest.mark.parametrize("name", sorted(PENALTIES))
def test_a_lazy_penalty_costs_the_same_on_average(name: str) -> None:
    every = PENALTIES[name]()
    config = Config("test", MLP((4,), (6, 5)), Adversarial())
    state = fp64_state(config, DataSpec((3,), 0, "float32", False, (0.0,), (1.0,)))
    batch, draws = batch_of((6, 3)), draws_of(every, 6)

    def payments(penalty: Penalty, steps: int) -> list[Tensor | float]:
        out = []
        for state.step in range(steps):
            game = Adversarial(penalties=(penalty,))
            due, _ = penalties_due(state, game, every.player, batch, draws, HYPER)
            out.append(due[0].total(reduce_batch)[0].detach() if due else 0.0)
        return out

    always, lazily = payments(every, 8), payments(replace(every, interval=4), 8)
    assert [isinstance(p, Tensor) for p in always] == [True] * 8
    assert [isinstance(p, Tensor) for p in lazily] == [True, False, False, False] * 2
    assert float(sum(lazily)) == pytest.approx(float(sum(always)))
    assert float(sum(always)) > 0


def test_only_the_payer_pays() -> None:
    config = Config("test", MLP((4,), (6, 5)), Adversarial())
    state = fp64_state(config, DataSpec((3,), 0, "float32", False, (0.0,), (1.0,)))
    game = Adversarial(penalties=(R1(),))
    draws = draws_of(R1(), 5)
    assert penalties_due(state, game, "generator", batch_of(), draws, HYPER) == ([], {})


def test_on_pictures_too() -> None:
    """Through convolutions, on channels_last pictures."""
    spec = pictures(4, 16).spec
    config = Config("test", DCGAN(2, 2, discriminator_norm="none"), Adversarial())
    state = fp64_state(config, replace(spec, classes=0))
    real = normal("pictures", 4, 1, 16, 16).to(memory_format=torch.channels_last)
    for penalty in (R1(), GradientPenalty()):
        batch = Batch(real, fake=real.flip(0))
        loss, _ = penalty(state.players, batch, draws_of(penalty, 4), {})
        assert loss.shape == (4,)
        gradients = torch.autograd.grad(loss.sum(), list(state.players.discriminator.parameters()),
                                        allow_unused=True)  # fmt: skip
        assert gradients[0] is not None and gradients[0].abs().sum() > 0


@pytest.mark.parametrize(
    "make",
    [
        lambda: R1(-1.0),
        lambda: R1(1.0, 0),
        lambda: R2(float("nan")),
        lambda: GradientPenalty(-0.1),
        lambda: GradientPenalty(interval=0),
    ],
)
def test_out_of_range(make: Any) -> None:
    with pytest.raises(UsageError):
        make()
