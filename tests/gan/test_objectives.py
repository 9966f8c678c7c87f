"""What each player is asked for: shapes of logits, labels, smoothing, the best discriminator."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ganforge.config.schema import Config, Noise
from ganforge.data.spec import DataSpec
from ganforge.errors import UsageError
from ganforge.gan import optimizers, state, step
from ganforge.gan.adversarial import Adversarial
from ganforge.gan.losses import LOSSES
from ganforge.gan.penalties import R1, GradientPenalty
from ganforge.gan.step import Batch, RandomInputs, StepOptions
from ganforge.nets import MLP
from ganforge.rng import Stream
from ganforge.training import build, checks
from tests.helpers.tiny import KNOBS, Recorder, batches, normal, toy, turns, with_discriminator

# --- logits: one for each example -------------------------------------------------------------


class Folding(nn.Module):
    """The published mistake: features of 28 x 28 pictures flattened with view(-1, 128 * 4 * 4)."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(128 * 4 * 4, 1)

    def forward(
        self, x: Tensor, label: Any = None, source: Any = None, inputs: Any = None
    ) -> Tensor:
        features = x.flatten(1)[:, :1].repeat(1, 128 * 3 * 3)
        return self.linear(features.view(-1, 128 * 4 * 4))  # type: ignore[no-any-return]


class Shaped(nn.Module):
    """Logits of another shape for the real and for the fake examples."""

    def __init__(self, real: tuple[int, ...], fake: tuple[int, ...]):
        super().__init__()
        self.w, self.shapes, self.calls = nn.Parameter(torch.ones(())), (real, fake), 0

    def forward(
        self, x: Tensor, label: Any = None, source: Any = None, inputs: Any = None
    ) -> Tensor:
        self.calls += 1
        return self.w * torch.ones(self.shapes[(self.calls - 1) % 2])


def refused(d: nn.Module, count: int, shape: tuple[int, ...], **rules: Any) -> None:
    adversarial = Adversarial(**rules)
    config = Config("test", MLP((4,), (5,)), adversarial, noise=Noise(3))
    spec = DataSpec(shape, 0, "float32", False, (0.0,), (1.0,))
    st = build.initial(config, spec)
    st = with_discriminator(st, d)
    real = torch.zeros(count, *shape)
    with pytest.raises(ValueError, match="one row for each"):
        step.turn(
            st, adversarial, "discriminator", Batch(real), RandomInputs(torch.zeros(count, 3))
        )


def test_a_discriminator_that_folds_features_into_the_batch_is_refused() -> None:
    d = Folding()
    assert d(torch.zeros(64, 1, 28, 28)).shape == (36, 1)
    refused(d, 64, (1, 28, 28))


@pytest.mark.parametrize(
    ("real", "fake"),
    [((8, 1), (8,)), ((8,), (8, 1)), ((1, 8), (1, 8)), ((4,), (4,)), ((), ()), ((16,), (16,))],
)
@pytest.mark.parametrize("loss", ["non-saturating", "relativistic"])
def test_logits_that_are_not_one_for_each_example_are_refused(
    real: tuple[int, ...], fake: tuple[int, ...], loss: str
) -> None:
    refused(Shaped(real, fake), 8, (2,), loss=loss)


@pytest.mark.parametrize("shape", [(8,), (8, 1), (8, 1, 4, 4)])
def test_any_other_shape_of_logits_will_do(shape: tuple[int, ...]) -> None:
    st, rules = toy()
    st = with_discriminator(st, Shaped(shape, shape))
    found = rules.discriminator_objective(
        st.players, batches(rules, 8, 2)[0], turns(rules, 8, 3)["discriminator"][0]
    )
    assert found.terms["adversarial"].values.shape == shape


# --- losses, labels, smoothing ----------------------------------------------------------------


@pytest.mark.parametrize("loss", sorted(LOSSES))
def test_the_generator_sees_real_logits_where_its_loss_reads_them(loss: str) -> None:
    st, rules = toy(Adversarial(loss=loss))
    st = with_discriminator(st, d := Recorder())
    real, draws = batches(rules, 6, 2)[0], turns(rules, 6, 3)["generator"][0]
    found = rules.generator_objective(st.players, real, draws)
    shown = [x for x in d.seen if torch.equal(x, real.real)]
    assert len(shown) == int(LOSSES[loss].uses_real)
    fake = st.players.generate(draws.z)
    exact = LOSSES[loss].generator(d.linear(real.real)[:, 0], d.linear(fake)[:, 0])
    assert torch.allclose(found.terms["adversarial"].values, exact)


@pytest.mark.parametrize("loss", [n for n in sorted(LOSSES) if not LOSSES[n].cross_entropy])
def test_smoothing_is_refused_where_there_are_no_targets(loss: str) -> None:
    with pytest.raises(UsageError, match="smoothing"):
        Adversarial(loss=loss, smoothing=0.1)


@pytest.mark.parametrize("bad", [{"d_steps": 0}, {"g_steps": -1}, {"smoothing": 1.0},
                                 {"classify": -1.0}, {"reduction": "max"}, {"loss": "hingee"},
                                 {"fake_labels": "none"}])  # fmt: skip
def test_rules_out_of_range(bad: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Adversarial(**bad)


def test_smoothing_halving_and_sum_are_arguments() -> None:
    st, rules = toy()
    real, draws = batches(rules, 6, 2)[0], turns(rules, 6, 3)["discriminator"][0]
    variants = {"plain": {}, "smooth": {"smoothing": 0.1}, "half": {"halve": True},
                "sum": {"reduction": "sum"}}  # fmt: skip
    found = {
        name: replace(rules, **change).discriminator_objective(st.players, real, draws)
        for name, change in variants.items()
    }
    terms = {name: one.terms["adversarial"] for name, one in found.items()}
    totals = {name: term.total(step.reduce_batch)[0] for name, term in terms.items()}
    smooth = terms["plain"].values + 0.1 * found["plain"].log["logit_real"]
    assert torch.allclose(terms["smooth"].values, smooth)
    assert torch.allclose(totals["half"], totals["plain"] / 2)
    assert torch.allclose(totals["sum"], 6 * totals["plain"])


def test_conditional_players_are_shown_the_labels_of_their_examples() -> None:
    seen: list[Tensor] = []

    class Conditional(Recorder):
        def forward(
            self, x: Tensor, label: Any = None, source: Any = None, inputs: Any = None
        ) -> Tensor:
            seen.append(label)
            return super().forward(x)

    for fake_labels, expected in (("uniform", "drawn"), ("data", "real")):
        st, rules = toy(Adversarial(fake_labels=fake_labels))
        st = with_discriminator(st, Conditional())
        labels = {"real": torch.arange(6), "drawn": torch.arange(6) + 3}
        real = replace(batches(rules, 6, 2)[0], label=labels["real"])
        draws = replace(turns(rules, 6, 3)["discriminator"][0], label=labels["drawn"])
        seen.clear()
        batch = rules.discriminator_objective(st.players, real, draws).batch
        assert seen == [labels["real"], labels[expected]]
        assert batch.fake_label is labels[expected]


def classifier(classify: float, label: str = "projection", labels: bool = True) -> Config:
    networks = MLP((4,), (5,), label=label)
    rules = Adversarial(loss="relativistic", fake_labels="data", classify=classify)
    return Config("test", networks, rules, noise=Noise(3), labels=labels)


def test_both_players_may_be_asked_for_the_label() -> None:
    spec = DataSpec((2,), 4, "float32", False, (0.0,), (1.0,))
    st = build.initial(classifier(0.5), spec)
    plain, rules = Adversarial("relativistic", fake_labels="data"), classifier(0.5).game
    real = Batch(normal("x", 6, 2, dtype=torch.float32), torch.tensor([0, 3, 1, 1, 2, 0]))
    draws = RandomInputs(normal("z", 6, 3, dtype=torch.float32))
    for side in ("discriminator", "generator"):
        without = getattr(plain, f"{side}_objective")(st.players, real, draws).terms
        found = getattr(rules, f"{side}_objective")(st.players, real, draws)
        batch, terms = found.batch, found.terms
        x = batch.real if side == "discriminator" else batch.generated()
        each = [st.players.discriminate(x, torch.full((6,), k)) for k in range(4)]
        exact = cross_entropy(torch.stack(each, 1), batch.label, reduction="none")
        term = terms["classification"]
        assert term.weight == 0.5 and torch.allclose(term.values, exact, atol=1e-6)
        same = without["adversarial"].values
        assert torch.allclose(terms["adversarial"].values, same, atol=1e-6)
        player = getattr(st.players, side)
        gradients = torch.autograd.grad(term.values.sum(), player.parameters(), allow_unused=True)
        assert any(g is not None and g.any() for g in gradients)


def test_a_label_that_cannot_be_told_is_refused() -> None:
    spec, config = DataSpec((2,), 4, "float32", False, (0.0,), (1.0,)), classifier(0.5, "concat")
    with pytest.raises(UsageError, match=r"classify = 0\.5.*projection"):
        checks.require_playable(config, spec)
    checks.require_playable(replace(config, game=replace(config.game, classify=0.0)), spec)


def test_without_labels_there_is_nothing_to_tell() -> None:
    spec = DataSpec((2,), 4, "float32", False, (0.0,), (1.0,))
    for side in ("discriminator", "generator"):
        found = []
        for weight in (0.5, 0.0):
            config = classifier(weight, labels=False)
            players = build.initial(config, spec).players
            batch = Batch(normal("real", 6, 2, dtype=torch.float32))
            draws = RandomInputs(normal("z", 6, config.noise.size, dtype=torch.float32))
            terms = getattr(config.game, f"{side}_objective")(players, batch, draws).terms
            assert terms.keys() == {"adversarial"}
            found.append(terms["adversarial"].values)
        assert torch.equal(*found)


# --- the best discriminator -------------------------------------------------------------------


def test_the_optimal_logit_between_two_gaussians() -> None:
    """D* = p / (p + q), so the logit is log p - log q: here 0.5 ((x - m)^2 / s^2 - x^2) + log s."""
    mean, std = 1.0, 0.7

    class Law(nn.Module):
        """A generator that stays where it is."""

        def forward(
            self, x: Tensor, label: Any = None, source: Any = None, inputs: Any = None
        ) -> Tensor:
            return mean + std * x

    rules, spec = Adversarial(), DataSpec((1,), 0, "float32", False, (0.0,), (1.0,))
    networks = MLP((4,), (32, 32), discriminator_activation="tanh")
    config = Config("test", networks, rules, noise=Noise(1))
    st = build.initial(config, spec)
    st.players = replace(st.players, generator=Law())
    steps, size = 1000, 512
    real = torch.from_numpy(Stream(0, "real").normal(0, steps * size)).view(steps, size, 1)
    z = torch.from_numpy(Stream(0, "z").normal(0, steps * size)).view(steps, size, 1)
    for i in range(steps):
        rate = 0.01 * (1 - i / steps)
        optimizers.set_rate(st.optimizers["discriminator"], rate)
        step.turn(st, rules, "discriminator", Batch(real[i]), RandomInputs(z[i]))
    x = torch.linspace(-1, 2, 31)[:, None]
    with torch.no_grad():
        logit = st.players.discriminate(x)
    exact = (0.5 * ((x - mean).square() / std**2 - x.square()) + math.log(std))[:, 0]
    assert (logit - exact).abs().max() < 0.15
    assert (torch.sigmoid(logit) - torch.sigmoid(exact)).abs().max() < 0.03


# --- the same update in pieces ----------------------------------------------------------------


@pytest.mark.parametrize("micro", [1, 3])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("loss", ["non-saturating", "relativistic"])
def test_a_micro_batch_gives_the_update_of_the_whole(micro: int, reduction: str, loss: str) -> None:
    rules = Adversarial(
        loss=loss, reduction=reduction, d_steps=2, penalties=(R1(0.5, 2), GradientPenalty(0.3))
    )
    states = [toy(rules)[0], toy(rules)[0]]
    for i in range(30):
        real = [Batch(normal(f"real{i}/{j}", 8, 2)) for j in range(2)]
        epsilon = {"epsilon": (normal(f"e{i}", 8, 1).tanh() + 1) / 2}
        drawn = [RandomInputs(normal(f"z{i}/{j}", 8, 3), extra=epsilon) for j in range(3)]
        draws = {"discriminator": drawn[:2], "generator": drawn[2:]}
        whole, pieces = (
            step.step(st, rules, real, draws, KNOBS, how)
            for st, how in zip(states, (StepOptions(), StepOptions(micro_batch=micro)), strict=True)
        )
        for name in whole:
            assert pieces[name].item() == pytest.approx(whole[name].item(), rel=1e-7, abs=1e-9)
    first, other = (state.tensors(st) for st in states)
    assert all(torch.allclose(first[k], other[k], rtol=0, atol=1e-9) for k in first)
