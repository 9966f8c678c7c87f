"""Spectral normalisation: sigma, its gradient, and one power iteration a turn of D."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from ganforge import recipes
from ganforge.config.schema import Config, Noise
from ganforge.gan import state
from ganforge.gan import step as game
from ganforge.gan.adversarial import Adversarial
from ganforge.gan.batch import Batch, RandomInputs
from ganforge.gan.penalties import R1, GradientPenalty
from ganforge.gan.state import State
from ganforge.gan.step import StepOptions
from ganforge.nets import DCGAN, MLP, spectral
from ganforge.nets.base import TwoPartDiscriminator
from ganforge.nets.init import Init
from ganforge.training import build
from tests.helpers.tiny import (
    KNOBS,
    VECTORS,
    StopAfter,
    batches,
    copies,
    data_for,
    fp64_state,
    normal,
    pictures,
    run,
    shortened,
    toy,
    turns,
)
from tests.training.test_resume import outcome

KINDS: dict[str, tuple[Any, Any, tuple[int, ...], Tensor]] = {
    "linear": (spectral.Linear, nn.Linear, (6, 5), normal("x", 3, 6)),
    "convolution": (spectral.Conv2d, nn.Conv2d, (3, 5, 4, 2, 1), normal("x", 2, 3, 8, 8)),
    "embedding": (spectral.Embedding, nn.Embedding, (7, 4), torch.tensor([0, 6, 3, 3])),
}
CONDITIONAL = DCGAN(4, 4, discriminator_norm="spectral", biases=True, label="projection")
NORMAL = Init("normal", 0.02)


def layers(name: str) -> tuple[Any, nn.Module, Tensor]:
    """A normalised layer in double precision, one of torch's with its weights, an input."""
    kind, plain, sizes, x = KINDS[name]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        ours = kind(*sizes).double()
    theirs = plain(*sizes).double()
    theirs.load_state_dict({k: t for k, t in ours.state_dict().items() if k not in "uv"})
    return ours, theirs, x


def conditional(**changes: Any) -> Config:
    """The default recipe, a few channels wide, with normalised weights of D."""
    config = shortened(recipes.cdcgan(), 20, log_every=10)
    networks = replace(config.networks, discriminator_norm="spectral")
    return replace(config, networks=networks, **changes)


def vectors(st: State) -> list[Tensor]:
    """Every u and v of D, copied."""
    return [t.clone() for _, *uv in st.players.spectral_weights for t in uv]


def same(a: list[Tensor], b: list[Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


# --- sigma --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", KINDS)
def test_a_layer_is_torchs_with_the_same_u_v_and_weight(name: str) -> None:
    """Outputs and gradients, with u and v far from the singular vectors."""
    ours, plain, x = layers(name)
    for vector in (ours.u, ours.v):
        vector.copy_(nn.functional.normalize(normal("far", len(vector)).abs() + 0.1, dim=0))
    theirs = spectral_norm(plain).eval()  # without an iteration
    theirs.parametrizations.weight[0]._u.copy_(ours.u)
    theirs.parametrizations.weight[0]._v.copy_(ours.v)
    outs = ours(x), theirs(x)
    torch.testing.assert_close(*outs)
    mine, its = (out.sin().sum() for out in outs)
    (a,) = torch.autograd.grad(mine, ours.weight)
    (b,) = torch.autograd.grad(its, theirs.parametrizations.weight.original)
    torch.testing.assert_close(a, b)
    # the weight's length does nothing, so the gradient has no part along it: sigma is in the graph
    assert ours.weight.grad is None and abs((a * ours.weight).sum().item()) < 1e-10


@pytest.mark.parametrize("name", KINDS)
def test_many_rounds_find_the_largest_singular_value(name: str) -> None:
    layer = layers(name)[0]
    matrix = layer.weight.detach().flatten(1)
    for _ in range(500):
        spectral.iterate(*layer.parts())
    assert (layer.u @ matrix @ layer.v).item() == pytest.approx(
        torch.linalg.svdvals(matrix)[0].item(), rel=1e-9
    )
    used = layer.normal().detach().flatten(1)
    assert torch.linalg.matrix_norm(used, 2).item() == pytest.approx(1, rel=1e-9)


def test_derivatives_of_both_orders() -> None:
    weight, u, v = (
        normal("w", 2, 3, 2, 2, 2).requires_grad_(), normal("u", 2, 3), normal("v", 2, 8)
    )  # fmt: skip
    u, v = (t.abs() for t in (u, v))
    with torch.no_grad():
        weight.abs_()  # sigma well above 0
    assert torch.autograd.gradcheck(lambda w: spectral.normalised(w, u, v), weight)
    assert torch.autograd.gradgradcheck(lambda w: spectral.normalised(w, u, v), weight)


def test_weights_of_zero_stay_zero() -> None:
    layer = spectral.Linear(3, 2)
    for tensor in (layer.weight.data, layer.u, layer.v):
        tensor.zero_()
    spectral.iterate(*layer.parts())
    assert not layer.normal().any() and not layer.u.any()


def test_no_layer_stretches_a_difference() -> None:
    """By more than 1; a convolution's 4x4/2 patches overlap four times, so by 2."""
    for name, most in (("linear", 1.0), ("convolution", 2.0)):
        ours, plain, x = layers(name)
        with torch.no_grad():
            ours.weight.mul_(100)
            plain.get_parameter("weight").mul_(100)
        for _ in range(300):
            spectral.iterate(*ours.parts())
        step, stretched = normal("step", *x.shape), []
        for layer in (ours, plain):
            stretched.append(((layer(x + step) - layer(x)).norm() / step.norm()).item())
        assert stretched[0] <= most < stretched[1]


def test_a_perceptron_never_rises_by_more_than_the_way() -> None:
    st, _ = toy(discriminator_norm="spectral", discriminator_init=Init("normal", 30.0))
    for triple in st.players.spectral_weights:
        for _ in range(300):
            spectral.iterate(*triple)
    x, y = normal("x", 500, 2), normal("y", 500, 2)
    rise = (st.players.discriminate(x) - st.players.discriminate(y)).abs()
    assert bool((rise <= (x - y).norm(dim=1) * (1 + 1e-9)).all())
    other, _ = toy(discriminator_init=Init("normal", 30.0))
    steep = (other.players.discriminate(x) - other.players.discriminate(y)).abs()
    assert bool((steep > (x - y).norm(dim=1)).any())


# --- the networks -------------------------------------------------------------------------------


@pytest.mark.parametrize("init", [Init(), NORMAL], ids=["default", "normal"])
@pytest.mark.parametrize(
    "networks",
    [CONDITIONAL, MLP((8,), (8, 6), discriminator_norm="spectral", label="projection",
                      discriminator_activation="maxout")],
    ids=["dcgan", "mlp"],
)  # fmt: skip
def test_every_weight_of_a_fresh_discriminator_has_length_one(networks: Any, init: Init) -> None:
    config = Config("test", replace(networks, init=init), Adversarial(), noise=Noise(5))
    players = fp64_state(config, pictures(4, side=16).spec).players
    d = players.discriminator
    layers = {n: m for n, m in d.named_modules() if isinstance(m, spectral.Spectral)}
    wanted = {n.rpartition(".")[0] for n, p in d.named_parameters() if p.dim() > 1}
    assert set(layers) == wanted and len(wanted) >= 4
    for layer in layers.values():  # 15 rounds find almost all of sigma
        length = torch.linalg.matrix_norm(layer.normal().detach().flatten(1), 2).item()
        assert 1 - 1e-5 <= length < 1.15
    assert isinstance(d, TwoPartDiscriminator) and d.batch_independent
    assert not [m for m in players.generator.modules() if isinstance(m, spectral.Spectral)]


def test_the_vectors_are_named_buffers_and_a_function_of_the_seed() -> None:
    config = conditional()
    spec = data_for(config).spec
    a, b, c = (state.tensors(build.initial(replace(config, seed=seed), spec)) for seed in (0, 0, 1))
    names = [n for n in a if n.endswith((".u", ".v"))]
    assert {"discriminator.body.0.u", "discriminator.out.embedding.v"} <= set(names)
    assert all(torch.equal(a[n], b[n]) for n in names)
    assert all(not torch.equal(a[n], c[n]) for n in names if len(a[n]) > 1)


def test_real_and_fake_may_share_a_pass() -> None:
    st = fp64_state(replace(conditional(), networks=CONDITIONAL), pictures(4, side=16).spec)
    st.players = replace(st.players, classes=10)
    label = torch.tensor([1, 2, 3])
    batch = Batch(normal("real", 3, 1, 16, 16), label, None, normal("fake", 3, 1, 16, 16), label)
    both = st.players.discriminate_both(batch, {}, all_classes=True)
    for logits, x in zip(both, (batch.real, batch.generated()), strict=True):
        torch.testing.assert_close(logits, st.players.discriminate(x, label, all_classes=True))
        of_label = logits.gather(1, label[:, None]).squeeze(1)
        torch.testing.assert_close(of_label, st.players.discriminate(x, label))


def test_under_bf16_sigma_is_that_of_fp32() -> None:
    layer, x = spectral.Linear(300, 200), torch.randn(4, 300)
    wide = layer.normal()
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16
        assert torch.equal(layer.normal(), wide)


# --- the game -----------------------------------------------------------------------------------


def test_one_round_a_turn_of_the_discriminator(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many passes it makes: real, fake, penalties, pieces of the batch; none for G's."""
    rules = Adversarial("hinge", d_steps=2, penalties=(R1(1.0), GradientPenalty()))
    st, _ = toy(rules, discriminator_norm="spectral")
    rounds: list[Tensor] = []
    once = spectral.iterate
    monkeypatch.setattr(spectral, "iterate", lambda *t: (rounds.append(t[0]), once(*t)))
    drawn = turns(rules, 8, 3)
    epsilon = {"epsilon": torch.linspace(0, 1, 8).double()[:, None]}
    drawn["discriminator"] = [replace(d, extra=epsilon) for d in drawn["discriminator"]]
    for micro in (0, 3):
        rounds.clear()
        game.step(st, rules, batches(rules, 8, 2), drawn, KNOBS, StepOptions(micro_batch=micro))
        assert len(rounds) == rules.d_steps * len(st.players.spectral_weights) == 4


def test_the_round_is_one_of_the_weights_before_the_update() -> None:
    st, rules = toy(discriminator_norm="spectral")
    wanted = [[t.detach().clone() for t in triple] for triple in st.players.spectral_weights]
    began = vectors(st)
    for triple in wanted:
        spectral.iterate(triple[0], triple[1], triple[2])
    real, draws = batches(rules, 6, 2)[0], turns(rules, 6, 3)
    game.turn(st, rules, "discriminator", real, draws["discriminator"][0])
    after = vectors(st)
    assert same(after, [t for _, *uv in wanted for t in uv]) and not same(after, began)
    game.turn(st, rules, "generator", real, draws["generator"][0])
    st.players.discriminate(real.real)
    st.players.discriminator.eval()(real.real)
    assert same(vectors(st), after)


def test_pieces_of_the_batch_are_the_batch() -> None:
    rules = Adversarial("hinge", penalties=(R1(1.0),))
    (whole, _), (pieces, _) = (toy(rules, discriminator_norm="spectral") for _ in range(2))
    for st, micro in ((whole, 0), (pieces, 3)):
        for _ in range(4):
            game.step(
                st,
                rules,
                batches(rules, 8, 2),
                turns(rules, 8, 3),
                KNOBS,
                StepOptions(micro_batch=micro),
            )
    found = state.tensors(pieces)
    for name, tensor in state.tensors(whole).items():
        torch.testing.assert_close(tensor, found[name], rtol=1e-9, atol=1e-9, msg=name)


@pytest.mark.parametrize("side", ["discriminator", "generator"])
def test_a_skipped_update_puts_the_vectors_back(side: str) -> None:
    st, rules = toy(discriminator_norm="spectral")
    real, draws = batches(rules, 6, 2), turns(rules, 6, 3)
    game.step(st, rules, real, draws, KNOBS)
    before = copies(state.tensors(st))
    infinite = RandomInputs(draws[side][0].z * torch.nan)
    assert game.turn(st, rules, side, real[0], infinite)[f"skipped_{side[0]}"] == 1
    for name, tensor in state.tensors(st).items():
        assert torch.equal(before[name], tensor), name
    game.turn(st, rules, "discriminator", real[0], draws["discriminator"][0])
    assert not torch.equal(before["discriminator.out.linear.v"], vectors(st)[-1])


def test_a_module_of_the_users_may_have_such_layers() -> None:
    def networks(spec: Any, noise: int) -> dict[str, nn.Module]:
        d = nn.Sequential(spectral.Linear(2, 4), nn.ReLU(), spectral.Linear(4, 1))
        return {"generator": nn.Linear(noise, 2), "discriminator": d}

    config = Config("test", networks, Adversarial(), noise=Noise(3))
    st = fp64_state(config, VECTORS)
    before = vectors(st)
    assert len(before) == 4
    real, draws = batches(config.game, 6, 2)[0], turns(config.game, 6, 3)
    game.turn(st, config.game, "discriminator", real, draws["discriminator"][0])
    assert not same(vectors(st), before)


# --- a run --------------------------------------------------------------------------------------


def test_a_resumed_run_is_the_run(tmp_path: Path) -> None:
    """Bit for bit: the power iteration goes on where it was."""
    config = conditional()
    data = data_for(config, count=40)
    run(config, tmp_path / "whole", data)
    run(config, tmp_path / "parts", data, StopAfter(7))
    run(config, tmp_path / "parts", data)
    assert outcome(tmp_path / "parts") == outcome(tmp_path / "whole")
