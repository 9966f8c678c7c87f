"""The two-player step: against NumPy, against Algorithm 1, and against the usual mistakes."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ganforge import recipes
from ganforge.config.schema import Config, Noise, Optimizer
from ganforge.gan import optimizers, state
from ganforge.gan import step as game
from ganforge.gan.adversarial import Adversarial
from ganforge.gan.penalties import R1
from ganforge.gan.step import Batch, Players, RandomInputs
from ganforge.nets import MLP
from ganforge.sampling.sampler import Sampler
from ganforge.training import build
from tests.helpers.tiny import (
    KNOBS,
    VECTORS,
    Recorder,
    batches,
    copies,
    fp64_state,
    narrow,
    normal,
    pictures,
    toy,
    turns,
    with_discriminator,
)

Array = np.ndarray[Any, np.dtype[np.float64]]


class NumpyGame:
    """The d2l step written out: 2-5-3-1 tanh D, linear G, summed cross-entropy, Adam."""

    def __init__(self, d: list[Array], g: list[Array]):
        self.d, self.g = d, g
        self.moments = {
            side: ([np.zeros_like(p) for p in ps], [np.zeros_like(p) for p in ps])
            for side, ps in (("d", d), ("g", g))
        }
        self.count = {"d": 0, "g": 0}

    def forward(self, x: Array) -> tuple[Array, Array, Array]:
        w1, b1, w2, b2, w3, b3 = self.d
        first = np.tanh(x @ w1.T + b1)
        second = np.tanh(first @ w2.T + b2)
        return (second @ w3.T + b3)[:, 0], first, second

    def backward(self, x: Array, slope: Array) -> tuple[list[Array], Array]:
        """Gradients in D's parameters and in x, from the loss's slope at each logit."""
        w1, _, w2, _, w3, _ = self.d
        _, first, second = self.forward(x)
        e3 = slope[:, None]
        e2 = (e3 @ w3) * (1 - second**2)
        e1 = (e2 @ w2) * (1 - first**2)
        gradients = [e1.T @ x, e1.sum(0), e2.T @ first, e2.sum(0), e3.T @ second, e3.sum(0)]
        return gradients, e1 @ w1

    def adam(self, side: str, gradients: list[Array], lr: float) -> None:
        self.count[side] += 1
        t, parameters = self.count[side], self.d if side == "d" else self.g
        for p, m, v, g in zip(parameters, *self.moments[side], gradients, strict=True):
            m[:] = 0.9 * m + 0.1 * g
            v[:] = 0.999 * v + 0.001 * g**2
            p[:] = p - lr * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)

    def step(self, x: Array, z: Array) -> tuple[float, float]:
        """One iteration; returns the losses of D and of G for each example."""
        fake = z @ self.g[0].T + self.g[1]
        real_logit, fake_logit = self.forward(x)[0], self.forward(fake)[0]
        loss_d = (np.log1p(np.exp(-real_logit)) + np.log1p(np.exp(fake_logit))) / 2
        on_real, _ = self.backward(x, -0.5 / (1 + np.exp(real_logit)))
        on_fake, _ = self.backward(fake, 0.5 / (1 + np.exp(-fake_logit)))
        self.adam("d", [a + b for a, b in zip(on_real, on_fake, strict=True)], 0.05)
        logit = self.forward(fake)[0]  # the same fakes, seen by the updated D
        _, into = self.backward(fake, -1 / (1 + np.exp(logit)))
        self.adam("g", [into.T @ z, into.sum(0)], 0.005)
        return float(loss_d.mean()), float(np.log1p(np.exp(-logit)).mean())


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("scale", [0.02, 0.5])
def test_the_toy_step_against_numpy(fused: bool, scale: float) -> None:
    recipe = recipes.find("gaussian")
    networks = replace(recipe.networks, init=replace(recipe.networks.init, scale=scale))
    st = fp64_state(replace(recipe, networks=networks), VECTORS, fused=fused)
    players = st.players
    shapes = [tuple(p.shape) for p in players.discriminator.parameters()]
    assert shapes == [(5, 2), (5,), (3, 5), (3,), (1, 3), (1,)]
    assert [tuple(p.shape) for p in players.generator.parameters()] == [(2, 2), (2,)]
    by_hand = NumpyGame(
        [p.detach().numpy().copy() for p in players.discriminator.parameters()],
        [p.detach().numpy().copy() for p in players.generator.parameters()],
    )
    knobs = game.StepHyperparameters({"generator": 0.005, "discriminator": 0.05})
    for i in range(8):
        x, z = normal(f"x{i}", 8, 2) + 1, normal(f"z{i}", 8, 2)
        draws = {"discriminator": [RandomInputs(z)], "generator": [RandomInputs(z)]}
        stats = game.step(st, recipe.game, [Batch(x)], draws, knobs)
        loss_d, loss_g = by_hand.step(x.numpy(), z.numpy())
        assert stats["loss_d"].item() == pytest.approx(loss_d, abs=1e-9)
        assert stats["loss_g"].item() == pytest.approx(loss_g, abs=1e-9)
    for ours, theirs in (
        *zip(players.discriminator.parameters(), by_hand.d, strict=True),
        *zip(players.generator.parameters(), by_hand.g, strict=True),
    ):
        assert np.abs(ours.detach().numpy() - theirs).max() < 1e-6


# --- who moves when, on what ------------------------------------------------------------------


def test_three_discriminator_steps_are_three() -> None:
    st, rules = toy(Adversarial(d_steps=3))
    st = with_discriminator(st, d := Recorder())
    real, draws = batches(rules, 6, 2), turns(rules, 6, 3)
    expected = [st.players.generate(d.z).detach() for d in draws["discriminator"]]
    moved = []
    original = optimizers.guarded_step

    def counting(optimizer: torch.optim.Optimizer, witness: Tensor) -> Tensor:
        before = d.linear.weight.detach().clone()
        skipped = original(optimizer, witness)
        moved.append(not torch.equal(before, d.linear.weight))
        return skipped

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(optimizers, "guarded_step", counting)
        game.step(st, rules, real, draws, KNOBS)
    assert moved == [True, True, True, False]  # and then G
    assert len(d.seen) == 7
    for i in range(3):  # fresh data and fresh noise each
        assert torch.equal(d.seen[2 * i], real[i].real)
        assert torch.equal(d.seen[2 * i + 1], expected[i])
    steps = [s["step"].item() for s in st.optimizers["discriminator"].state.values()]
    assert steps == [3.0, 3.0]
    assert {s["step"].item() for s in st.optimizers["generator"].state.values()} == {1.0}


def test_a_wrong_number_of_batches_is_refused() -> None:
    st, rules = toy(Adversarial(d_steps=3))
    with pytest.raises(ValueError):
        game.step(st, rules, batches(rules, 6, 2)[:2], turns(rules, 6, 3), KNOBS)


@pytest.mark.parametrize("g_steps", [0, 2])
def test_generator_steps(g_steps: int) -> None:
    st, rules = toy(Adversarial(g_steps=g_steps))
    before = copies(dict(st.players.generator.named_parameters()))
    stats = game.step(st, rules, batches(rules, 6, 2), turns(rules, 6, 3), KNOBS)
    counts = {s["step"].item() for s in st.optimizers["generator"].state.values()}
    assert counts == {float(g_steps)}
    moved = any(not torch.equal(before[n], p) for n, p in st.players.generator.named_parameters())
    assert moved == (g_steps > 0) == ("loss_g" in stats)


def test_each_turn_leaves_the_other_player_alone() -> None:
    st, rules = toy(Adversarial(penalties=(R1(),)))
    real, draws = batches(rules, 6, 2)[0], turns(rules, 6, 3)
    g, d = st.players.generator, st.players.discriminator
    before = copies(dict(g.named_parameters()))
    game.turn(st, rules, "discriminator", real, draws["discriminator"][0])
    assert all(torch.equal(before[n], p) for n, p in g.named_parameters())
    assert all(p.grad is None for p in g.parameters())
    before = copies(dict(d.named_parameters()))
    grads = [(p.grad, p.grad.clone()) for p in d.parameters() if p.grad is not None]
    moments = copies({k: v for k, v in state.tensors(st).items() if ".discriminator." in k})
    assert len(grads) == len(before)
    game.turn(st, rules, "generator", real, draws["generator"][0])
    assert any(not torch.equal(before[n], p) for n, p in g.named_parameters())
    assert all(torch.equal(before[n], p) for n, p in d.named_parameters())
    for (grad, value), p in zip(grads, d.parameters(), strict=True):
        assert p.grad is grad
        assert torch.equal(grad, value)
    assert all(torch.equal(moments[k], state.tensors(st)[k]) for k in moments)
    assert all(p.requires_grad for p in (*g.parameters(), *d.parameters()))


def test_the_other_player_is_out_of_the_graph() -> None:
    """No gradients of D are computed in G's turn, nor of G in D's."""
    st, rules = toy()
    seen: list[tuple[bool, bool]] = []
    original = rules.generator_objective, rules.discriminator_objective

    def look(players: Players, *arguments: Any) -> Any:
        modules = (players.generator, players.discriminator)
        seen.append(tuple(next(m.parameters()).requires_grad for m in modules))  # type: ignore[arg-type]
        return original[len(seen) == 1](players, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Adversarial, "discriminator_objective", staticmethod(look))
        patch.setattr(Adversarial, "generator_objective", staticmethod(look))
        game.step(st, rules, batches(rules, 6, 2), turns(rules, 6, 3), KNOBS)
    assert seen == [(False, True), (True, False)]


def test_parameters_are_thawed_after_an_error() -> None:
    st, rules = toy()
    with pytest.raises(RuntimeError):
        game.turn(
            st, rules, "generator", Batch(torch.zeros(6, 2)), RandomInputs(torch.zeros(6, 99))
        )
    assert all(p.requires_grad for p in st.players.discriminator.parameters())


# --- batch norm -------------------------------------------------------------------------------


def test_batch_norm_trains_in_the_game_and_rests_in_sampling() -> None:
    config = narrow(recipes.find("dcgan"))
    data = pictures(16)
    st = build.initial(config, spec := replace(data.spec, classes=0))
    rules = config.game
    before = copies(dict(st.players.generator.named_buffers()))
    draws = turns(rules, 8, 100, torch.float32)
    game.step(st, rules, batches(rules, 8, 1, 28, 28, dtype=torch.float32), draws, KNOBS)
    after = copies(dict(st.players.generator.named_buffers()))
    assert before
    assert all(not torch.equal(before[name], after[name]) for name in before)
    sampler = Sampler(st.players.generator, spec, config.noise)
    norm = next(m for m in st.players.generator.modules() if isinstance(m, nn.BatchNorm2d))
    norm.eval()  # a mode that the user set, which must stay
    modes = [m.training for m in st.players.generator.modules()]
    many = sampler.sample(8)
    for i in (0, 5):
        off = np.abs(sampler.sample(1, first=i).astype(int) - many[i].astype(int))
        assert off.max() <= 1  # kernels differ by batch, in the last bits
    assert [m.training for m in st.players.generator.modules()] == modes
    assert all(torch.equal(after[n], b) for n, b in st.players.generator.named_buffers())


# --- what is not finite -----------------------------------------------------------------------


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("optimizer", ["adam", "sgd", "rmsprop"])
@pytest.mark.parametrize("side", ["discriminator", "generator"])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_an_update_that_is_not_finite_changes_nothing(
    fused: bool, optimizer: str, side: str, bad: float
) -> None:
    choice = Optimizer(optimizer, 1e-2, momentum=0.9 if optimizer != "adam" else 0.0)
    networks = MLP((4,), (5,), generator_norm="batch", discriminator_norm="batch")
    config = Config(
        "test", networks, Adversarial(), noise=Noise(3), generator=choice, discriminator=choice
    )
    st, rules = fp64_state(config, VECTORS, fused=fused), config.game
    real, draws = batches(rules, 6, 2), turns(rules, 6, 3)
    game.step(st, rules, real, draws, KNOBS)  # so that there are moments to lose
    poisoned = replace(real[0], real=real[0].real.clone())
    poisoned.real[2, 1] = bad
    drawn = RandomInputs(draws[side][0].z.clone())
    if side == "generator":
        drawn.z[1, 0] = bad
    before = copies(state.tensors(st))
    stats = game.turn(st, rules, side, poisoned, drawn)
    assert stats[f"skipped_{side[0]}"].item() == 1.0
    for name, tensor in state.tensors(st).items():
        assert torch.equal(before[name], tensor), name
    stats = game.turn(st, rules, side, real[0], draws[side][0])
    assert stats[f"skipped_{side[0]}"].item() == 0.0
    assert state.all_finite(st)
    assert any(not torch.equal(before[n], t) for n, t in state.tensors(st).items())


def test_a_gradient_that_is_not_finite_under_a_loss_that_is() -> None:
    """sqrt at 0: the loss is 0, its gradient NaN."""

    class Root(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.zeros(2))

        def forward(
            self, x: Tensor, label: Any = None, source: Any = None, inputs: Any = None
        ) -> Tensor:
            return (x * self.w).sum(1).square().sqrt()

    st, rules = toy()
    st = with_discriminator(st, d := Root())
    stats = game.turn(
        st,
        rules,
        "discriminator",
        Batch(torch.ones(4, 2)),
        RandomInputs(torch.zeros(4, 3, dtype=torch.float64)),
    )
    assert math.isfinite(stats["loss_d"].item())
    assert stats["skipped_d"].item() == 1.0
    assert torch.equal(d.w, torch.zeros(2))


def test_a_loss_that_is_not_finite_over_a_gradient_that_is() -> None:
    """A logit of inf: the Wasserstein loss is inf - inf, its gradient a difference of means."""
    st, rules = toy(Adversarial("wasserstein"))
    st = with_discriminator(st, d := Recorder())
    d.linear.bias.data.fill_(math.inf)
    weight = d.linear.weight.detach().clone()
    draws = turns(rules, 6, 3)["discriminator"][0]
    stats = game.turn(st, rules, "discriminator", batches(rules, 6, 2)[0], draws)
    assert math.isnan(stats["loss_d"].item()) and math.isfinite(stats["gradient_d"].item())
    assert stats["skipped_d"].item() == 1.0
    assert torch.equal(d.linear.weight, weight)


def test_every_skipped_turn_of_a_step_is_counted() -> None:
    st, rules = toy(Adversarial(d_steps=3))
    real, draws = batches(rules, 6, 2), turns(rules, 6, 3)
    for i in (0, 2):
        real[i].real[0, 0] = math.nan
    log = game.step(st, rules, real, draws, KNOBS)
    assert (log["skipped_d"].item(), log["skipped_g"].item()) == (2.0, 0.0)


def test_a_parameter_that_takes_no_part_has_the_gradient_zero() -> None:
    """As in a user's network with a layer for labels that this game does not have."""

    class Spare(Recorder):
        def __init__(self) -> None:
            super().__init__()
            self.spare = nn.Parameter(torch.ones(2, dtype=torch.float64))

    st, rules = toy()
    st = with_discriminator(st, d := Spare())
    log = game.step(st, rules, batches(rules, 6, 2), turns(rules, 6, 3), KNOBS)
    assert log["skipped_d"].item() == 0.0
    assert d.spare.grad is not None and not d.spare.grad.any()
    assert torch.equal(d.spare, torch.ones(2, dtype=torch.float64))


def test_random_numbers_are_drawn_for_the_passes_of_a_turn() -> None:
    plain, penalised = Adversarial(), Adversarial("relativistic", penalties=(R1(),))
    assert set(plain.passes("discriminator")) == {"generator", "real", "fake"}
    assert set(plain.passes("generator")) == {"generator", "fake"}
    assert set(penalised.passes("discriminator")) == {"generator", "real", "fake", "penalty"}
    assert set(penalised.passes("generator")) == {"generator", "real", "fake"}


# --- what the step says, and what a pass is given ---------------------------------------------


def test_d_real_and_d_fake_are_probabilities() -> None:
    st, rules = toy()
    st = with_discriminator(st, d := Recorder())
    real, draws = batches(rules, 6, 2), turns(rules, 6, 3)["discriminator"][0]
    weight, bias = d.linear.weight.detach().clone(), d.linear.bias.detach().clone()
    log = game.turn(st, rules, "discriminator", real[0], draws)
    for name, x in zip(("real", "fake"), d.seen, strict=True):
        logit = (x @ weight.T + bias).numpy()
        assert log[f"logit_{name}"].item() == pytest.approx(logit.mean())
        assert log[f"d_{name}"].item() == pytest.approx((1 / (1 + np.exp(-logit))).mean())


@pytest.mark.parametrize("side", ["discriminator", "generator"])
def test_each_pass_of_d_has_random_inputs_of_its_own(side: str) -> None:
    """The relativistic loss makes a pass of real examples in G's turn too."""

    class Noted(Recorder):
        def forward(
            self, x: Tensor, label: Any = None, source: Any = None, inputs: Any = None
        ) -> Tensor:
            given[inputs["mask"]] = x.detach().clone()
            return super().forward(x)

    given: dict[str, Tensor] = {}
    st, rules = toy(Adversarial("relativistic"))
    st = with_discriminator(st, Noted())
    real, drawn = batches(rules, 6, 2)[0], turns(rules, 6, 3)[side][0]
    fake = st.players.generate(drawn.z).detach()
    masks: Any = {"real": {"mask": "of the real"}, "fake": {"mask": "of the fake"}}
    game.turn(st, rules, side, real, replace(drawn, networks=masks))
    assert torch.equal(given["of the real"], real.real)
    assert torch.equal(given["of the fake"], fake)


@pytest.mark.parametrize(("images", "steps"), [(1, 1), (24, 1), (25, 2), (96, 4), (97, 5)])
def test_the_last_step_may_be_begun_for_one_image(images: int, steps: int) -> None:
    assert game.steps_for(images, 8, Adversarial(d_steps=3)) == steps


# --- bf16 -------------------------------------------------------------------------------------


def bf16_moments(step: Callable[..., Any], autocast: Callable[[], Any]) -> dict[str, Tensor]:
    """The mean gradients after one step of k = 2 with large rates, by `step`."""
    rules = Adversarial(d_steps=2)
    config = Config("test", MLP((8,), (8, 8)), rules, noise=Noise(3))
    st = build.initial(config, VECTORS)
    st.players = replace(st.players, autocast=autocast)
    knobs = game.StepHyperparameters({"generator": 0.1, "discriminator": 0.3})
    real = batches(rules, 16, 2, dtype=torch.float32)
    step(st, rules, real, turns(rules, 16, 3, torch.float32), knobs)
    return copies({k: v for k, v in state.tensors(st).items() if k.endswith("exp_avg")})


def turn_by_turn(st: Any, rules: Any, real: Any, draws: Any, knobs: Any) -> None:
    """Every turn under a separate autocast, which cannot know the weights from before it."""
    for side, optimizer in st.optimizers.items():
        optimizers.set_rate(optimizer, knobs.rates[side])
    for batch, drawn in zip(real, draws["discriminator"], strict=True):
        with cached():
            game.turn(st, rules, "discriminator", batch, drawn)
    with cached():
        game.turn(st, rules, "generator", real[-1], draws["generator"][0])


@contextmanager
def cached() -> Iterator[None]:
    with torch.autocast("cpu", dtype=torch.bfloat16, cache_enabled=True):
        yield


def differ(a: dict[str, Tensor], b: dict[str, Tensor]) -> float:
    return max((a[k] - b[k]).abs().max().item() for k in a)


def test_under_bf16_every_turn_sees_the_weights_as_they_are() -> None:
    """Autocast caches the bf16 cast of a weight until it is left, updates or not."""
    reference = bf16_moments(turn_by_turn, nullcontext)
    ours = bf16_moments(game.step, build.autocast(torch.device("cpu"), "bf16"))
    assert differ(ours, reference) < 1e-3
    plain = bf16_moments(game.step, nullcontext)
    assert differ(plain, ours) > 1e-5  # it is bf16 indeed

    def whole(*arguments: Any) -> None:
        with cached():
            game.step(*arguments)

    assert differ(bf16_moments(whole, nullcontext), reference) > 1e-2  # and this the mistake


def test_the_averaged_generator_follows() -> None:
    config = narrow(recipes.find("cdcgan"))
    spec = pictures(8).spec
    st = build.initial(config, spec)
    assert st.average is not None
    before = copies(dict(st.average.named_parameters()))
    rules = config.game
    label = torch.arange(8)
    real = [replace(b, label=label) for b in batches(rules, 8, 1, 28, 28, dtype=torch.float32)]
    draws = turns(rules, 8, 100, torch.float32)
    game.step(st, rules, real, draws, replace(KNOBS, ema=0.9))
    for name, p in st.players.generator.named_parameters():
        expected = 0.9 * before[name] + 0.1 * p
        assert torch.allclose(dict(st.average.named_parameters())[name], expected, atol=1e-6)
    assert st.step == 1


def test_under_bf16_the_players_still_speak_fp32() -> None:
    st, _ = toy()
    bf16 = build.autocast(torch.device("cpu"), "bf16")
    players = Players(st.players.generator.float(), st.players.discriminator.float(), bf16)
    inside = []
    for module in (players.generator, players.discriminator):
        for layer in (m for m in module.modules() if isinstance(m, nn.Linear)):
            layer.register_forward_hook(lambda m, x, out: inside.append(out.dtype))
    fake = players.generate(torch.zeros(2, 3))
    assert fake.dtype == torch.float32
    assert players.discriminate(fake).dtype == torch.float32
    assert inside == [torch.bfloat16] * 4
