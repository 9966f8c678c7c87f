"""The games that translate, compared with calculations by hand in double precision."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from ganforge import recipes
from ganforge.config.schema import Config
from ganforge.data.spec import DataSpec
from ganforge.errors import UsageError
from ganforge.gan import state as states
from ganforge.gan import step
from ganforge.gan.batch import Batch, Memory
from ganforge.gan.cycle import Cycle, exchange
from ganforge.gan.state import State, StepHyperparameters
from ganforge.gan.translation import Translation
from ganforge.training.random_inputs import RandomInputSource
from tests.helpers.tiny import fp64_state, narrow, normal

SPEC = DataSpec((3, 32, 32), source=DataSpec((2, 32, 32)))
SAME = DataSpec((3, 32, 32), source=DataSpec((3, 32, 32)))
RATES = StepHyperparameters({"generator": 0.05, "discriminator": 0.05})


def begun(name: str, spec: DataSpec = SPEC, **game: Any) -> tuple[Config, State]:
    """A narrow recipe, played by SGD in double precision, and its state."""
    config = narrow(recipes.find(name))
    sgd = replace(config.generator, name="sgd", lr=0.05)
    config = replace(
        config, game=replace(config.game, **game), batch=2, generator=sgd, discriminator=sgd
    )
    return config, fp64_state(config, spec)


def batch_of(spec: DataSpec, count: int = 2) -> Batch:
    assert spec.source is not None
    real, source = (normal(n, count, *s.shape) for n, s in (("b", spec), ("a", spec.source)))
    return Batch(real.tanh(), source=source.tanh())


def inputs_of(config: Config, spec: DataSpec, st: State, at: int = 0) -> dict[str, Any]:
    drawn = RandomInputSource(config, spec, st.players).at(at)
    return {side: [one.map(Tensor.double) for one in turns] for side, turns in drawn.items()}


# --- pix2pix --------------------------------------------------------------------------------------


def test_a_step_is_d_first_and_then_g_against_the_new_d_on_the_same_pictures() -> None:
    config, st = begun("pix2pix")
    batch = batch_of(SPEC)
    drawn = inputs_of(config, SPEC, st)
    g, d = st.players.generator, st.players.discriminator
    masks = drawn["discriminator"][0].networks["generator"]
    assert drawn["generator"][0].networks["generator"] is not None
    assert set(masks) == {"dropout.0", "dropout.1", "dropout.2"}
    for name, mask in masks.items():  # the same masks in both turns
        assert torch.equal(mask, drawn["generator"][0].networks["generator"][name])

    fake = g(torch.zeros(2, 1), None, batch.source, masks)
    real_logit, fake_logit = d(batch.real, None, batch.source), d(fake.detach(), None, batch.source)
    assert real_logit.shape == (2, 1, 14, 14)
    loss_d = 0.5 * (softplus(-real_logit) + softplus(fake_logit)).mean()
    d_grads = torch.autograd.grad(loss_d, list(d.parameters()))
    d_after = [p - 0.05 * grad for p, grad in zip(d.parameters(), d_grads, strict=True)]
    names = [n for n, _ in d.named_parameters()]
    updated = dict(zip(names, d_after, strict=True))
    judged = torch.func.functional_call(d, updated, (fake, None, batch.source))
    l1 = (fake - batch.real).abs().mean()
    loss_g = softplus(-judged).mean() + 100 * l1
    g_grads = torch.autograd.grad(loss_g, list(g.parameters()))
    g_after = [p - 0.05 * grad for p, grad in zip(g.parameters(), g_grads, strict=True)]

    log = step.step(st, config.game, [batch], drawn, RATES)
    for found, wanted in zip([*d.parameters(), *g.parameters()], d_after + g_after, strict=True):
        assert torch.allclose(found, wanted, atol=1e-12)
    expected = {"loss_d": loss_d, "loss_g": loss_g, "l1_g": 100 * l1,
                "adversarial_g": softplus(-judged).mean()}  # fmt: skip
    for name, value in expected.items():
        assert float(log[name]) == pytest.approx(value.item(), rel=1e-10)


class Watching(nn.Module):
    """A discriminator that keeps what it is shown."""

    def __init__(self, body: nn.Module):
        super().__init__()
        self.body, self.seen = body, []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x.detach().clone())
        out: Tensor = self.body(x)
        return out


@pytest.mark.parametrize("conditional", [True, False])
def test_the_source_is_joined_to_what_d_sees_unless_d_is_unconditional(conditional: bool) -> None:
    config, _ = begun("pix2pix")
    config = replace(config, networks=replace(config.networks, conditional=conditional))
    st = fp64_state(config, SPEC)
    d = st.players.discriminator
    watching = Watching(d.body)
    d.body = watching  # type: ignore[assignment]
    batch = batch_of(SPEC)
    step.step(st, config.game, [batch], inputs_of(config, SPEC, st), RATES)
    assert len(watching.seen) == 3  # real and fake of D's turn, fake of G's
    joined = torch.cat([batch.source, batch.real], 1) if conditional else batch.real
    assert torch.equal(watching.seen[0], joined)
    assert torch.equal(watching.seen[1], watching.seen[2])  # the same pictures
    if conditional:
        assert torch.equal(watching.seen[1][:, :2], batch.source)
    assert not torch.equal(watching.seen[1][:, -3:], batch.real)


def test_each_term_alone() -> None:
    for setting, names in (({"adversarial": 0.0}, {"l1"}), ({"l1": 0.0}, {"adversarial"})):
        config, st = begun("pix2pix", **setting)
        objective = config.game.generator_objective(
            st.players, batch_of(SPEC), inputs_of(config, SPEC, st)["discriminator"][0]
        )
        assert set(objective.terms) == names
    shapes = {"adversarial": (2, 1, 14, 14), "l1": (2,)}
    config, st = begun("pix2pix", adversarial=0.5, l1=3.0)
    objective = config.game.generator_objective(
        st.players, batch_of(SPEC), inputs_of(config, SPEC, st)["discriminator"][0]
    )
    assert {n: tuple(t.values.shape) for n, t in objective.terms.items()} == shapes
    assert {n: t.weight for n, t in objective.terms.items()} == {"adversarial": 0.5, "l1": 3.0}
    with pytest.raises(UsageError, match=r"l1 = 0.*more than 0 beside adversarial = 0"):
        Translation(adversarial=0, l1=0)
    with pytest.raises(UsageError, match="l1 = -1"):
        Translation(l1=-1)


def test_d_that_only_watches_learns_and_does_not_move_g() -> None:
    moved = []
    for rate in (0.0, 0.05):
        config, st = begun("pix2pix", adversarial=0.0)
        before = [p.clone() for p in st.players.discriminator.parameters()]
        hyper = StepHyperparameters({"generator": 0.05, "discriminator": rate})
        for at in range(2):
            drawn = inputs_of(config, SPEC, st, at)
            step.step(st, config.game, [batch_of(SPEC)], drawn, hyper)
        moved.append([p.clone() for p in st.players.generator.parameters()])
        same = all(map(torch.equal, before, st.players.discriminator.parameters()))
        assert same == (rate == 0)
    assert all(map(torch.equal, *moved))


# --- CycleGAN -------------------------------------------------------------------------------------


def test_the_objectives_of_a_cycle_are_the_published_ones() -> None:
    config, st = begun("cyclegan", SAME)
    batch = batch_of(SAME)
    drawn = inputs_of(config, SAME, st)
    (a2b, b2a), (da, db) = (
        [side[name] for name in names]
        for side, names in ((st.players.generator, ("a2b", "b2a")),
                            (st.players.discriminator, ("a", "b")))
    )  # fmt: skip

    def run(network: nn.Module, x: Tensor) -> Tensor:
        out: Tensor = network(torch.zeros(len(x), 1), None, x)
        return out

    a, b = batch.source, batch.real
    fake_b, fake_a = run(a2b, a), run(b2a, b)
    loss_d = sum(
        0.5 * ((d(x) - 1).square().mean() + d(y.detach()).square().mean())
        for d, x, y in ((da, a, fake_a), (db, b, fake_b))
    )
    loss_g = (
        (da(fake_a) - 1).square().mean() + (db(fake_b) - 1).square().mean()
        + 10 * ((run(b2a, fake_b) - a).abs().mean() + (run(a2b, fake_a) - b).abs().mean())
        + 5 * ((run(a2b, b) - b).abs().mean() + (run(b2a, a) - a).abs().mean())
    )  # fmt: skip
    update = step.compute_gradients(
        st,
        config.game,
        "discriminator",
        batch,
        drawn["discriminator"][0],
        RATES,
        step.StepOptions(),
    )
    assert float(update.log["loss_d"]) == pytest.approx(loss_d.item(), rel=1e-10)
    played = replace(batch, fakes=update.batch.fakes)
    answer = step.compute_gradients(
        st, config.game, "generator", played, drawn["generator"][0], RATES, step.StepOptions()
    )
    assert float(answer.log["loss_g"]) == pytest.approx(loss_g.item(), rel=1e-10)
    wanted = torch.autograd.grad(loss_g, list(st.players.generator.parameters()))
    for found, right in zip(answer.gradients, wanted, strict=True):
        assert torch.allclose(found, right, atol=1e-12)


def test_weights_of_zero_leave_terms_out() -> None:
    for setting, left in (
        ({"cycle": 0.0, "identity": 0.0}, {"adversarial_a", "adversarial_b"}),
        ({"adversarial": 0.0, "identity": 0.0}, {"cycle_a", "cycle_b"}),
        ({"identity": 0.0}, {"adversarial_a", "adversarial_b", "cycle_a", "cycle_b"}),
    ):
        config, st = begun("cyclegan", SPEC, **setting)  # 2 and 3 channels
        drawn = inputs_of(config, SPEC, st)["generator"][0]
        found = config.game.generator_objective(st.players, batch_of(SPEC), drawn)
        assert set(found.terms) == left
    for bad in ({"cycle": -1.0}, {"pool": -1}, {"adversarial": 0, "cycle": 0, "identity": 0}):
        with pytest.raises(UsageError):
            Cycle(**bad)


def by_hand(
    pool: list[float], size: int, new: list[float], numbers: np.ndarray
) -> tuple[list[float], list[float]]:
    """The pool as its paper says it, picture by picture."""
    shown = []
    for picture, (coin, at) in zip(new, numbers, strict=True):
        if len(pool) < size:
            pool.append(picture)
            shown.append(picture)
        elif coin < 0.5:
            shown.append(picture)
        else:
            shown.append(pool[int(at * size)])
            pool[int(at * size)] = picture
    return pool, shown


def test_the_pool_is_the_published_one() -> None:
    size, rng = 5, np.random.default_rng(0)
    pool, count = torch.zeros(size, 1, 1, 1), torch.zeros((), dtype=torch.int64)
    told: list[float] = []
    for turn in range(40):
        new, numbers = rng.normal(size=3), rng.random((3, 2)).astype(np.float32)
        x = torch.tensor(new, dtype=torch.float32).view(3, 1, 1, 1)
        shown, pool, count = exchange(pool, count, x, torch.from_numpy(numbers))
        told, wanted = by_hand(told, size, x.flatten().tolist(), numbers)
        assert shown.flatten().tolist() == wanted
        assert pool.flatten().tolist()[: len(told)] == told and int(count) == len(told)
        assert turn or int(count) == 3


def test_two_processes_have_the_pool_of_one() -> None:
    """Each gives its half of the batch, all gather, and each is shown its half."""
    config, st = begun("cyclegan", SAME)
    whole = batch_of(SAME, 4)
    drawn = inputs_of(replace(config, batch=4), SAME, st)["discriminator"][0]
    game, aux = config.game, dict(st.aux)
    for turn in range(3):
        one = game.discriminator_objective(st.players, whole, drawn, Memory(aux))
        halves = []
        for rank in range(2):
            part = slice(2 * rank, 2 * rank + 2)
            rows = iter([one.batch.fakes["a"], drawn.extra["pool.a"],
                         one.batch.fakes["b"], drawn.extra["pool.b"]])  # fmt: skip
            memory = Memory(aux, lambda _, rows=rows: next(rows).detach(), 2 * rank)
            mine = replace(whole.rows(part), fakes={})
            halves.append(game.discriminator_objective(st.players, mine, drawn.rows(part), memory))
        for name in ("domain_a", "domain_b"):
            both = torch.cat([half.terms[name].values for half in halves])
            assert torch.allclose(both, one.terms[name].values, atol=1e-12)
        for name, value in one.aux.items():
            assert torch.equal(value, halves[0].aux[name])
            assert torch.equal(value, halves[1].aux[name])
        aux = one.aux
        assert int(aux["pool.a.count"]) == 4 * (turn + 1)


def test_the_pool_keeps_pictures_unquantised_and_not_those_of_a_skipped_turn() -> None:
    config, st = begun("cyclegan", SAME, pool=4)
    batch = batch_of(SAME)
    step.step(st, config.game, [batch], inputs_of(config, SAME, st), RATES)
    first = {name: value.clone() for name, value in st.aux.items()}
    assert set(states.tensors(st)) >= {"aux.pool.a", "aux.pool.b", "aux.pool.a.count"}
    levels = first["pool.b"][:2] * 127.5 + 127.5
    assert (levels - levels.round()).abs().max() > 0.01
    bad = replace(batch, real=batch.real * float("nan"))
    step.step(st, config.game, [bad], inputs_of(config, SAME, st, 1), RATES)
    assert all(torch.equal(first[name], value) for name, value in st.aux.items())
    step.step(st, config.game, [batch], inputs_of(config, SAME, st, 2), RATES)
    assert int(st.aux["pool.b.count"]) == 4


def test_a_micro_batch_makes_the_same_step() -> None:
    for name in ("pix2pix", "cyclegan"):
        found = []
        for micro in (0, 1):
            config, st = begun(name, SAME)
            drawn = inputs_of(config, SAME, st)
            options = step.StepOptions(batch=2, micro_batch=micro)
            step.step(st, config.game, [batch_of(SAME)], drawn, RATES, options)
            found.append({k: v.clone() for k, v in states.tensors(st).items()})
        for key, value in found[0].items():
            assert torch.allclose(value, found[1][key], atol=1e-10), key


def test_coins_and_places_are_functions_of_the_global_index() -> None:
    config, st = begun("cyclegan", SAME)
    config = replace(config, batch=4)
    whole = RandomInputSource(config, SAME, st.players).at(3)["discriminator"][0]
    part = RandomInputSource(config, SAME, st.players, part=(2, 2)).at(3)["discriminator"][0]
    for name in ("pool.a", "pool.b"):
        assert torch.equal(whole.extra[name][2:], part.extra[name])
    assert not torch.equal(whole.extra["pool.a"], whole.extra["pool.b"])
