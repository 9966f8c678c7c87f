"""Updates by hand, fused against unfused after a step with R1, and the guard of every update."""

import math
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ganforge import recipes
from ganforge.config.schema import Config, Optimizer
from ganforge.errors import UsageError
from ganforge.gan import optimizers, state, step
from ganforge.gan.step import Batch
from ganforge.nets import MLP
from ganforge.recipes import RECIPES
from ganforge.training import build
from ganforge.training.random_inputs import RandomInputSource
from tests.helpers.tiny import data_for, narrow, with_r1

BY_HAND: dict[str, Any] = {
    "adam": Optimizer("adam", 0.1, betas=(0.8, 0.95)),
    "sgd": Optimizer("sgd", 0.1, momentum=0.7),
    "rmsprop": Optimizer("rmsprop", 0.1, momentum=0.7),
}


def by_hand(choice: Optimizer, start: float, gradients: list[float]) -> float:
    """One weight after updates with these gradients, to which weight decay is added."""
    w, m, v = start, 0.0, 0.0
    for t, gradient in enumerate(gradients, 1):
        g = gradient + choice.weight_decay * w
        if choice.name == "adam":
            b1, b2 = choice.betas
            m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
            w -= choice.lr * (m / (1 - b1**t)) / (math.sqrt(v / (1 - b2**t)) + 1e-8)
        elif choice.name == "sgd":
            m = choice.momentum * m + g
            w -= choice.lr * m
        else:
            v = 0.99 * v + 0.01 * g * g
            m = choice.momentum * m + g / (math.sqrt(v) + 1e-8)
            w -= choice.lr * m
    return w


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("name", sorted(BY_HAND))
@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_steps_by_hand(name: str, fused: bool, decay: float) -> None:
    weight = nn.Parameter(torch.tensor([1.5, -2.0], dtype=torch.float64))
    choice = replace(BY_HAND[name], weight_decay=decay)
    optimizer = optimizers.build(choice, [weight], fused)
    gradients = [[0.3, -4.0], [0.1, 2.0], [-0.7, 0.001]]
    for gradient in gradients:
        optimizers.assign([weight], [torch.tensor(gradient, dtype=torch.float64)])
        skipped = optimizers.guarded_step(optimizer, torch.tensor(0.0))
        assert skipped.item() == 0.0
    for i, start in enumerate((1.5, -2.0)):
        exact = by_hand(choice, start, [g[i] for g in gradients])
        assert weight[i].item() == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize("name", sorted(BY_HAND))
def test_against_a_fresh_torch_optimiser(name: str) -> None:
    """State made in advance does not change what torch computes."""
    choice = BY_HAND[name]
    ours, theirs = (nn.Parameter(torch.linspace(-1, 1, 6)) for _ in range(2))
    kind: Any = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD, "rmsprop": torch.optim.RMSprop}
    chosen = {"betas": choice.betas} if name == "adam" else {"momentum": choice.momentum}
    other = kind[name]([theirs], lr=choice.lr, **chosen)
    optimizer = optimizers.build(choice, [ours], fused=False)
    for i in range(5):
        for p in (ours, theirs):
            p.grad = torch.linspace(1, -2, 6) * (i - 2)
        optimizer.step()
        other.step()
    assert torch.equal(ours, theirs)


def test_the_rate_of_a_schedule() -> None:
    choice = Optimizer(lr=0.4, decay_from=0.5, decay_to=0.25)
    rates = [choice.rate(p) for p in (0.0, 0.5, 0.75, 1.0, 1.5)]
    assert rates == pytest.approx([0.4, 0.4, 0.25, 0.1, 0.1])
    assert Optimizer(lr=0.4).rate(1.0) == 0.4
    with pytest.raises(UsageError):
        Optimizer(lr=-1.0)


# --- fused equals unfused ---------------------------------------------------------------------


def after_one_step(config: Config, fused: bool) -> dict[str, Tensor]:
    """All tensors after one step of a recipe with R1, on data of its kind.

    In double precision: a bias before a batch norm has gradient 0, and of its rounding error Adam
    makes a whole step; 1e-17 is below Adam's epsilon, 1e-8 is not.
    """
    data = data_for(config, count=16)
    st = build.initial(replace(config, ema=0.0), data.spec, fused=fused)
    for side, choice in (("generator", config.generator), ("discriminator", config.discriminator)):
        module = getattr(st.players, side).double()
        st.optimizers[side] = optimizers.build(choice, module.parameters(), fused)
    x = torch.from_numpy(data.values[: config.batch]).double()
    if data.spec.is_image:
        x = (x / 127.5 - 1).permute(0, 3, 1, 2)  # channels_last
        assert x.is_contiguous(memory_format=torch.channels_last)
    label = None if not config.labels else torch.arange(len(x)) % data.spec.classes
    draws = {
        side: [replace(d, z=d.z.double()) for d in drawn]
        for side, drawn in RandomInputSource(config, data.spec, st.players).at(0).items()
    }
    rates = dict.fromkeys(st.optimizers, 0.01)
    real = [Batch(x, label)] * config.game.d_steps
    step.step(st, config.game, real, draws, step.StepHyperparameters(rates, 0.5))
    return state.tensors(st)


def largest_difference(config: Config) -> float:
    fused, unfused = after_one_step(config, True), after_one_step(config, False)
    return max((fused[name] - unfused[name]).abs().max().item() for name in unfused)


@pytest.mark.parametrize("recipe", sorted(n for n, make in RECIPES.items() if not make().pairing))
def test_fused_equals_unfused_after_a_step_with_r1(recipe: str) -> None:
    config = replace(with_r1(narrow(recipes.find(recipe))), batch=8)
    assert largest_difference(config) < 1e-9


@pytest.mark.parametrize("name", sorted(BY_HAND))
@pytest.mark.parametrize("recipe", ["dcgan", "cdcgan", "gaussian-stable"])
def test_fused_equals_unfused_for_every_optimiser(recipe: str, name: str) -> None:
    config = replace(with_r1(narrow(recipes.find(recipe))), batch=8)
    config = replace(config, generator=BY_HAND[name], discriminator=BY_HAND[name])
    assert largest_difference(config) < 1e-9


@pytest.mark.parametrize("recipe", ["cdcgan", "dcgan", "dcgan-report"])
def test_without_the_guard_of_strides_they_differ(
    recipe: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fused kernels read memory in order: gradients of other strides go to wrong weights."""
    config = replace(with_r1(narrow(recipes.find(recipe))), batch=8)
    monkeypatch.setattr(optimizers, "aligned", lambda parameter, gradient: gradient)
    assert largest_difference(config) > 1e-3


def test_gradients_take_the_strides_of_their_parameter() -> None:
    weight = nn.Parameter(torch.randn(4, 3, 2, 2).to(memory_format=torch.channels_last))
    gradient = torch.randn(4, 3, 2, 2)
    optimizers.assign([weight], [gradient])
    assert weight.grad is not None
    assert weight.grad.stride() == weight.stride() != gradient.stride()
    assert torch.equal(weight.grad, gradient)
    same = torch.randn_like(weight)
    assert optimizers.aligned(weight, same) is same  # and nothing is copied for nothing


def test_channels_last_is_what_the_convolutions_have() -> None:
    config = recipes.find("cdcgan")
    st = build.initial(narrow(config), data_for(config).spec)
    weights = [p for p in st.players.discriminator.parameters() if p.dim() == 4 and p.shape[1] > 1]
    assert weights
    assert all(p.is_contiguous(memory_format=torch.channels_last) for p in weights)
    for p in weights:
        moments = st.optimizers["discriminator"].state[p]
        assert moments["exp_avg"].stride() == p.stride()


# --- the guard against what is not finite -----------------------------------------------------


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("name", sorted(BY_HAND))
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_skipped_first_step_leaves_nothing_behind(name: str, fused: bool, bad: float) -> None:
    """torch makes momentum at the first step; skipped, it would be uninitialised memory."""
    weight = nn.Parameter(torch.ones(1000))
    optimizer = optimizers.build(BY_HAND[name], [weight], fused)
    optimizers.assign([weight], [torch.full((1000,), 7.0)])
    assert optimizers.guarded_step(optimizer, torch.tensor(bad)).item() == 1.0
    assert torch.equal(weight, torch.ones(1000))
    for key, value in optimizer.state[weight].items():
        assert not value.any(), key
    optimizers.assign([weight], [torch.full((1000,), 0.5)])
    assert optimizers.guarded_step(optimizer, torch.tensor(1.0)).item() == 0.0
    exact = by_hand(BY_HAND[name], 1.0, [0.5])
    assert torch.allclose(weight, torch.full((1000,), exact), atol=1e-6)


@pytest.mark.parametrize("name", sorted(BY_HAND))
def test_the_state_is_there_before_the_first_step(name: str) -> None:
    """So that a checkpoint of step 0 has every tensor that one of step 100 has."""
    module = MLP((4,), (5,))(data_for(recipes.find("gaussian")).spec, 2)["discriminator"]
    optimizer = optimizers.build(BY_HAND[name], module.parameters())
    before = {id(p): set(optimizer.state[p]) for p in module.parameters()}
    assert all(before.values())
    for p in module.parameters():
        p.grad = torch.ones_like(p)
    optimizers.guarded_step(optimizer, torch.tensor(0.0))
    assert {id(p): set(optimizer.state[p]) for p in module.parameters()} == before


def test_rates_reach_every_group() -> None:
    weight = nn.Parameter(torch.ones(2))
    optimizer = optimizers.build(Optimizer(lr=0.5), [weight])
    optimizers.set_rate(optimizer, 0.125)
    assert [group["lr"] for group in optimizer.param_groups] == [0.125]


@pytest.mark.parametrize("name", optimizers.KINDS)
@pytest.mark.parametrize("fused", [True, False])
def test_the_bare_update_is_torchs(name: str, fused: bool) -> None:
    """Without the wrappers around `step`, and what they import."""
    choice = Optimizer(name, 1e-2, momentum=0.0 if name == "adam" else 0.9, weight_decay=0.1)
    ours, plain = (nn.Parameter(torch.linspace(-1, 1, 7)) for _ in range(2))
    bare = optimizers.build(choice, [ours], fused)
    kind = type(bare).__mro__[1]
    options = {k: v for k, v in bare.defaults.items() if k in ("lr", "weight_decay", "fused")}
    options |= {"betas": choice.betas} if name == "adam" else {"momentum": 0.9}
    theirs = kind([plain], **options)
    for i in range(5):
        for p in (ours, plain):
            p.grad = torch.linspace(i, -1, 7)
        bare.step()
        theirs.step()
        assert torch.equal(ours, plain)


@pytest.mark.parametrize("name", list(BY_HAND))
def test_a_parameter_without_a_gradient_is_left_out(name: str) -> None:
    """As torch does: neither its weight nor its moments nor its count of steps change."""
    with_gradient, without = (nn.Parameter(torch.ones(3)) for _ in range(2))
    optimizer = optimizers.build(BY_HAND[name], [with_gradient, without], fused=True)
    with_gradient.grad = torch.ones(3)
    before = {key: value.clone() for key, value in optimizer.state[without].items()
              if isinstance(value, Tensor)}  # fmt: skip
    optimizer.step()
    assert (with_gradient != 1).all() and (without == 1).all()
    assert all(torch.equal(optimizer.state[without][key], old) for key, old in before.items())


def test_training_does_not_import_the_compiler() -> None:
    """A second or more of every start; torch's optimisers would."""
    code = (
        "import sys, tempfile; from ganforge.cli import main;"
        "main(['train', 'gaussian', '--kimg', '0.1', '--out', tempfile.mkdtemp() + '/run',"
        "'--output.score', 'false']); print('torch._dynamo' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.split()[-1] == "False", out.stdout + out.stderr
