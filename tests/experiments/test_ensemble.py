"""Members of a population equal their single runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.utils._pytree import tree_map_only

from ganforge import recipes
from ganforge.config.schema import Config
from ganforge.data import load
from ganforge.data.batches import Batches
from ganforge.data.load import Dataset
from ganforge.errors import UsageError
from ganforge.experiments.ensemble import layers, stack
from ganforge.gan import ema, schedules, state
from ganforge.gan import step as game
from ganforge.gan.batch import Batch, RandomInputs
from ganforge.gan.penalties import R1, R2, GradientPenalty
from ganforge.gan.state import State, StepHyperparameters
from ganforge.nets import MLP
from ganforge.training import build
from ganforge.training.random_inputs import RandomInputSource
from tests.helpers.tiny import data_for, shortened

KNOBS = StepHyperparameters({"generator": 1e-3, "discriminator": 1e-3}, 0.9)
SEEDS = (3, 0, 11)


def games() -> dict[str, Config]:
    """Every kind of part an ensemble must hold."""
    cdcgan, mlp = recipes.cdcgan(), recipes.mnist_mlp()
    penalised = replace(mlp.game, penalties=(R1(1.0, 1), GradientPenalty(1.0)))
    return {
        "gaussian": recipes.gaussian(),
        "gaussian-stable": recipes.gaussian_stable(),
        "batch norm, k = 3": mlp,
        "batch norm and penalties": replace(mlp, game=penalised),
        "dropout": recipes.mnist_dropout(),
        "labels and dropout": recipes.cgan(),
        "convolutions": recipes.dcgan(),
        "labels, projection, average": cdcgan,
        "labels classified": replace(cdcgan, game=replace(cdcgan.game, classify=0.5)),
        "labels classified by perceptrons": replace(
            recipes.cgan(),
            networks=replace(recipes.cgan().networks, label="projection"),
            game=replace(cdcgan.game, classify=0.5),
        ),
        "lazy penalties": replace(
            cdcgan, game=replace(cdcgan.game, penalties=(R1(0.1, 2), R2(0.1, 2)))
        ),
        "spectral norm": replace(
            cdcgan,
            networks=replace(cdcgan.networks, discriminator_norm="spectral"),
            game=replace(cdcgan.game, d_steps=2, penalties=(R1(0.1, 2),)),
        ),
        "spectral norm of perceptrons": replace(
            mlp, networks=replace(mlp.networks, discriminator_norm="spectral")
        ),
    }


GAMES = games()


def wide(draws: Mapping[str, Sequence[RandomInputs]]) -> dict[str, list[RandomInputs]]:
    """The same draws in double precision."""
    return {side: [replace(d, z=d.z.double()) for d in ds] for side, ds in draws.items()}


def widen(s: State) -> None:
    for module in (s.players.generator, s.players.discriminator, s.average):
        if module is not None:
            module.double()
    for optimizer in s.optimizers.values():
        for moments in optimizer.state.values():
            for key, value in moments.items():
                moments[key] = value.double() if value.dim() else value


def single(config: Config, data: Dataset, seed: int, steps: int) -> State:
    """The run of one seed in double precision, as `loop` plays it."""
    config = replace(config, seed=seed)
    s = build.initial(config, data.spec)
    drawer = RandomInputSource(config, data.spec, s.players)
    batches = Batches(data, device=torch.device("cpu"), seed=seed)
    widen(s)
    k, b = config.game.d_steps, config.batch
    for step in range(steps):
        real = [batches.at((step * k + j) * b, b) for j in range(k)]
        game.step(
            s, config.game, [Batch(x.double(), y) for x, y, _ in real], wide(drawer.at(step)), KNOBS
        )
    return s


def play(p: stack.Ensemble, steps: int) -> None:
    for step in range(steps):
        real = [replace(b, real=b.real.double()) for b in p.batches()]
        game.step(p.state, p.config.game, real, wide(p.random_inputs(step)), KNOBS, p.options)


def agree(
    config: Config, seeds: Sequence[int], steps: int, shown: Sequence[int], data: Dataset
) -> None:
    """Members are their single runs, every tensor of them, in double precision."""
    p = stack.Ensemble(config, seeds, data)
    widen(p.state)
    play(p, steps)
    for index in shown:
        alone = state.tensors(single(config, data, seeds[index], steps))
        member = state.tensors(p.member(index))
        assert alone.keys() == member.keys()
        for key, value in alone.items():
            assert torch.allclose(value.double(), member[key].double(), rtol=1e-9, atol=1e-9), key


@pytest.mark.parametrize("name", GAMES)
def test_each_member_is_its_single_run(name: str) -> None:
    steps = 200 if name.startswith("gaussian") else 4
    config = shortened(GAMES[name], steps)
    agree(config, SEEDS, steps, range(3), data_for(config))


def labelled(norm: str = "none") -> Config:
    """A game narrow enough for members side by side, with labels, batch norm and dropout."""
    nets = MLP(
        generator=(3,), discriminator=(4, 2), generator_norm="batch", discriminator_dropout=0.3,
        embedding=2, discriminator_norm=norm,
    )  # fmt: skip
    law = replace(recipes.gaussian(), labels=True, networks=nets)
    return replace(law, game=replace(recipes.gaussian_stable().game, fake_labels="data"))


@pytest.mark.parametrize(
    ("name", "steps"),
    [("gaussian", 60), ("labelled", 10), ("gaussian-stable", 20), ("spectral", 10)],
)
def test_members_side_by_side_are_their_single_runs(name: str, steps: int) -> None:
    """From 16 members on, narrow layers are sums over long vectors of members."""
    norms = {"labelled": "none", "spectral": "spectral"}
    config = labelled(norms[name]) if name in norms else GAMES[name]
    many, data = tuple(range(5, 22)), load.load("gaussian")
    if config.labels:
        labels = (data.values[:, 0] > 1).astype("int64")
        data = replace(data, spec=replace(data.spec, classes=2), labels=labels)
    p = stack.Ensemble(config, many, data)
    discriminator = p.state.players.discriminator
    assert isinstance(discriminator, stack.Stacked)
    assert discriminator.beside is (name != "gaussian-stable")
    agree(shortened(config, steps), many, steps, (0, 7, 16), data)


@pytest.mark.parametrize("name", GAMES)
@pytest.mark.parametrize("count", [2, 17])
def test_exchanged_layers_are_the_module_under_vmap(name: str, count: int) -> None:
    """Outputs and every gradient, in double precision."""
    config = shortened(GAMES[name], 2)
    p = stack.Ensemble(config, range(count), data_for(config))
    widen(p.state)
    drawn = wide(p.random_inputs(0))
    real = p.batches()[0]
    for side, role in (("generator", "generator"), ("discriminator", "real")):
        stacked = getattr(p.state.players, side)
        assert stacked.beside is not None, "these networks need no vmap"
        draws = drawn["discriminator"][0]
        x = draws.z if side == "generator" else real.real.double()
        label = real.label if config.labels else None
        arguments = x, label, None, draws.networks.get(role)
        wanted = [q for q in stacked.parameters() if q.requires_grad]
        out = stacked(*arguments)
        found = [p.by_member(out), *torch.autograd.grad(out.sin().sum(), wanted)]
        plain = [getattr(s.players, side).double() for s in p.singles]
        apart = tree_map_only(Tensor, p.by_member, arguments)
        for a, b in zip(found, under_vmap(plain, *apart), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def under_vmap(modules: Sequence[nn.Module], *arguments: Any) -> list[Tensor]:
    """The output of torch's stack of modules, and the gradient of each parameter.

    arguments: tensors (M, B, ...), as the output.
    """
    weights, buffers = stack_module_state(list(modules))
    axes = (0, 0, *(None if value is None else 0 for value in arguments))

    def one(*given: Any) -> Any:
        return functional_call(modules[0], given[:2], given[2:])

    out = vmap(one, in_dims=axes)(weights, buffers, *arguments)
    wanted = [weight for weight in weights.values() if weight.requires_grad]
    return [out, *torch.autograd.grad(out.sin().sum(), wanted)]


@pytest.mark.parametrize("name", ["adam", "sgd", "rmsprop"])
def test_a_member_that_left_out_a_step_is_still_its_single_run(name: str) -> None:
    """Adam corrects its moments by the count of steps, which is that of the member."""
    base = shortened(recipes.gaussian(), 8)
    rates = {"lr": 1e-2, "momentum": 0.0 if name == "adam" else 0.5}
    config = replace(
        base,
        generator=replace(base.generator, name=name, **rates),
        discriminator=replace(base.discriminator, name=name, **rates),
    )
    data = data_for(config)
    p = stack.Ensemble(config, SEEDS, data)
    widen(p.state)
    singles = []
    for seed in SEEDS:
        s = build.initial(replace(config, seed=seed), data.spec)
        widen(s)
        singles.append(s)
    for step in range(8):
        real, draws = (
            [replace(b, real=b.real.double()) for b in p.batches()],
            wide(p.random_inputs(step)),
        )
        if step in (0, 3):
            p.by_member(real[0].real)[1] = torch.inf
        for i, s in enumerate(singles):
            mine = {side: [replace(d, z=p.by_member(d.z)[i]) for d in turns]
                    for side, turns in draws.items()}  # fmt: skip
            game.step(s, config.game, [Batch(p.by_member(b.real)[i]) for b in real], mine, KNOBS)
        game.step(p.state, config.game, real, draws, KNOBS, p.options)
    for i, s in enumerate(singles):
        member = state.tensors(p.member(i))
        for key, value in state.tensors(s).items():
            torch.testing.assert_close(value.double(), member[key].double(), rtol=1e-9, atol=1e-9)
    if name == "adam":
        counts = [int(v) for k, v in state.tensors(p.member(1)).items() if k.endswith(".step")]
        assert set(counts) == {6, 8} or set(counts) == {6}


def test_an_inactive_member_takes_no_updates_and_disturbs_nobody() -> None:
    kinds = "batch norm, k = 3", "convolutions", "labels, projection, average", "spectral norm"
    for name in kinds:
        config = shortened(GAMES[name], 3)
        data = data_for(config)
        p, full = (stack.Ensemble(config, SEEDS, data) for _ in range(2))
        for each in (p, full):
            each.step()
        p.deactivate(1)
        for each in (p, full):
            each.step()
            each.step()
        assert p.finite().all()
        assert all(not bool(t.any()) for n, t in state.tensors(p.member(1)).items()
                   if t.is_floating_point() and "step" not in n and "running" not in n)  # fmt: skip
        for index in (0, 2):
            others = state.tensors(full.member(index))
            for key, value in state.tensors(p.member(index)).items():
                assert torch.equal(value, others[key]), (name, key)


def test_batch_statistics_of_members_are_averaged_as_a_single_runs() -> None:
    config = shortened(labelled(), 4)
    data = load.load("gaussian")
    spec = replace(data.spec, classes=2)
    models = [build.initial(replace(config, seed=s), spec).players.generator for s in SEEDS]
    starts = [build.initial(replace(config, seed=s + 100), spec).players.generator for s in SEEDS]
    for i, model in enumerate(models):
        for name, buffer in model.named_buffers():
            buffer.add_(i + (1 if name.endswith("tracked") else 0.25))
    stacked = stack.Stacked(starts)
    ema.update(stacked, stack.Stacked(models), 0.75, statistics=True)
    for i, (start, model) in enumerate(zip(starts, models, strict=True)):
        ema.update(start, model, 0.75, statistics=True)
        names = [name for name, _ in start.named_buffers()]
        assert any(name.endswith("running_mean") for name in names)
        for name, tensor in start.state_dict().items():
            torch.testing.assert_close(stacked.network.state_dict()[name][i], tensor)


def test_draws_take_bounded_memory() -> None:
    config = shortened(GAMES["labels and dropout"], 2)
    p = stack.Ensemble(config, range(4), data_for(config))
    assert p.sources[0].block_steps >= 1
    one = stack.Ensemble(config, (2,), data_for(config))
    assert one.sources[0].block_steps >= p.sources[0].block_steps
    for side, turns in one.random_inputs(0).items():
        for a, b in zip(turns, p.random_inputs(0)[side], strict=True):
            assert torch.equal(a.z, p.by_member(b.z)[2])


def test_the_first_gradients_agree_in_fp32() -> None:
    config = shortened(GAMES["lazy penalties"], 1)
    data = data_for(config)
    p = stack.Ensemble(config, SEEDS, data)
    p.step()
    for index, seed in enumerate(SEEDS):
        mine = replace(config, seed=seed)
        s = build.initial(mine, data.spec)
        batches = Batches(data, device=torch.device("cpu"), seed=seed)
        draws = RandomInputSource(mine, data.spec, s.players).at(0)
        real = Batch(*batches.at(0, config.batch))
        game.turn(s, config.game, "discriminator", real, draws["discriminator"][0])
        stacked = p.state.players.discriminator
        assert isinstance(stacked, stack.Stacked)
        for name, parameter in s.players.discriminator.named_parameters():
            whole = stacked.network.get_parameter(name).grad
            assert whole is not None and parameter.grad is not None
            if name == "out.linear.bias":  # the losses do not see it: rounding is all there is
                assert max(whole[index].abs().max(), parameter.grad.abs().max()) < 1e-7
                continue
            scale = float(parameter.grad.abs().max()) + 1e-12
            torch.testing.assert_close(
                whole[index] / scale, parameter.grad / scale, rtol=0, atol=1e-5
            )


def test_statistics_are_one_number_a_member() -> None:
    config = shortened(GAMES["labels, projection, average"], 2)
    stats = stack.Ensemble(config, range(5), data_for(config)).step()
    assert {tuple(v.shape) for v in stats.values()} == {(5,)}
    assert len(set(stats["loss_d"].tolist())) == 5


@pytest.mark.parametrize(("name", "count"), [("gaussian", 17), ("lazy penalties", 3), ("mlp", 3)])
def test_a_member_logs_what_its_single_run_logs(name: str, count: int) -> None:
    """In both orders of the batch."""
    config = shortened(GAMES.get(name, recipes.mnist_mlp()), 1)
    data = data_for(config)
    p = stack.Ensemble(config, range(count), data)
    assert p.beside is (name != "mlp")
    log = p.step()
    for index in (0, count - 1):
        mine = replace(config, seed=index)
        s = build.initial(mine, data.spec)
        batches = Batches(data, device=torch.device("cpu"), seed=index)
        k, b = config.game.d_steps, config.batch
        real = [Batch(*batches.at(j * b, b)) for j in range(k)]
        drawn = RandomInputSource(mine, data.spec, s.players).at(0)
        knobs = schedules.hyperparameters(mine, 0, p.steps)
        alone = game.step(s, config.game, real, drawn, knobs)
        assert alone.keys() == log.keys()
        for key, value in alone.items():
            torch.testing.assert_close(log[key][index], value, rtol=2e-4, atol=2e-5, msg=key)


def test_a_sick_member_is_skipped_alone() -> None:
    config = shortened(GAMES["batch norm, k = 3"], 3)
    data = data_for(config)
    p, healthy = (stack.Ensemble(config, SEEDS, data) for _ in range(2))
    p.step()
    healthy.step()
    before = {k: v.clone() for k, v in state.tensors(p.member(1)).items()}
    real = p.batches()
    for batch in real:
        p.by_member(batch.real)[1] = torch.inf
    stats = game.step(p.state, config.game, real, p.random_inputs(1), KNOBS, p.options)
    game.step(
        healthy.state, config.game, healthy.batches(), healthy.random_inputs(1), KNOBS, p.options
    )
    assert stats["skipped_d"].tolist() == [0.0, 3.0, 0.0]
    after = state.tensors(p.member(1))
    for key, value in before.items():
        if key.startswith(("discriminator", "optimizer.discriminator")) and "step" not in key:
            assert torch.equal(value, after[key]), key
    for index in (0, 2):
        others = state.tensors(healthy.member(index))
        for key, value in state.tensors(p.member(index)).items():
            assert torch.equal(value, others[key]), key


def test_a_network_with_one_layer_of_another_kind_is_left_as_it_is() -> None:
    known = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    layers.replace(known, 2)
    assert all(isinstance(known[i], layers.Linear) for i in (0, 2))
    mixed = nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3), nn.Linear(3, 1))
    assert layers.replace(mixed, 2) is None
    assert [type(layer) for layer in mixed] == [nn.Linear, nn.LayerNorm, nn.Linear]


def test_seeds_must_differ() -> None:
    config = shortened(recipes.gaussian(), 1)
    with pytest.raises(UsageError, match="each once"):
        stack.Ensemble(config, (1, 1), data_for(config))
