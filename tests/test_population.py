"""Members of a population are their own single runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
import torch

from ganforge import game, population, recipes, state
from ganforge.config import Config
from ganforge.data.batches import Batches
from ganforge.data.source import Dataset
from ganforge.draws import Drawer
from ganforge.errors import UsageError
from ganforge.game import How
from ganforge.penalties import R1, R2, GradientPenalty
from ganforge.players import Batch, Draws, Knobs, State
from tiny import data_for, shortened

KNOBS = Knobs({"generator": 1e-3, "discriminator": 1e-3}, 0.9)
SEEDS = (3, 0, 11)


def games() -> dict[str, Config]:
    """Every kind of part a population must hold."""
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
        "lazy penalties": replace(
            cdcgan, game=replace(cdcgan.game, penalties=(R1(0.1, 2), R2(0.1, 2)))
        ),
    }


GAMES = games()


def wide(draws: Mapping[str, Sequence[Draws]]) -> dict[str, list[Draws]]:
    """The same draws in double precision."""
    return {side: [replace(d, z=d.z.double()) for d in ds] for side, ds in draws.items()}


def widen(s: State) -> None:
    for module in (s.players.generator, s.players.discriminator, s.average):
        if module is not None:
            module.double()
    for optimizer in s.optimizers.values():
        for held in optimizer.state.values():
            for key, value in held.items():
                held[key] = value.double() if value.dim() else value


def single(config: Config, data: Dataset, seed: int, steps: int) -> State:
    """The run of one seed in double precision, as `loop` plays it."""
    config = replace(config, seed=seed)
    s = state.initial(config, data.spec)
    drawer = Drawer(config, data.spec, s.players)
    batches = Batches(data, device=torch.device("cpu"), seed=seed)
    widen(s)
    k, b = config.game.d_steps, config.batch
    for step in range(steps):
        real = [batches.at((step * k + j) * b, b) for j in range(k)]
        game.step(
            s, config.game, [Batch(x.double(), y) for x, y in real], wide(drawer.at(step)), KNOBS
        )
    return s


def play(p: population.Population, steps: int) -> None:
    how = How(reduce=population.per_member)
    for step in range(steps):
        real = [replace(b, real=b.real.double()) for b in p.batches()]
        game.step(p.state, p.config.game, real, wide(p.draws(step)), KNOBS, how)


@pytest.mark.parametrize("name", GAMES)
def test_each_member_is_its_single_run(name: str) -> None:
    steps = 200 if name.startswith("gaussian") else 4
    config = shortened(GAMES[name], steps)
    data = data_for(config)
    p = population.build(config, SEEDS, data)
    widen(p.state)
    play(p, steps)
    for index, seed in enumerate(SEEDS):
        alone = state.tensors(single(config, data, seed, steps))
        member = state.tensors(p.member(index))
        assert alone.keys() == member.keys()
        for key, value in alone.items():
            assert torch.allclose(value.double(), member[key].double(), rtol=1e-9, atol=1e-9), key


def test_the_first_gradients_agree_in_fp32() -> None:
    config = shortened(GAMES["lazy penalties"], 1)
    data = data_for(config)
    p = population.build(config, SEEDS, data)
    p.step()
    for index, seed in enumerate(SEEDS):
        mine = replace(config, seed=seed)
        s = state.initial(mine, data.spec)
        batches = Batches(data, device=torch.device("cpu"), seed=seed)
        draws = Drawer(mine, data.spec, s.players).at(0)
        real = Batch(*batches.at(0, config.batch))
        game.discriminator_turn(s, config.game, real, draws["discriminator"][0])
        stacked = p.state.players.discriminator
        assert isinstance(stacked, population.Stacked)
        for name, parameter in s.players.discriminator.named_parameters():
            whole = getattr(stacked, stacked.names[name]).grad
            assert whole is not None and parameter.grad is not None
            scale = float(parameter.grad.abs().max()) + 1e-12
            torch.testing.assert_close(
                whole[index] / scale, parameter.grad / scale, rtol=0, atol=1e-5
            )


def test_statistics_are_one_number_a_member() -> None:
    config = shortened(GAMES["labels, projection, average"], 2)
    stats = population.build(config, range(5), data_for(config)).step()
    assert {tuple(v.shape) for v in stats.values()} == {(5,)}
    assert len(set(stats["loss_d"].tolist())) == 5


def test_a_sick_member_is_skipped_alone() -> None:
    config = shortened(GAMES["batch norm, k = 3"], 3)
    data = data_for(config)
    p, healthy = (population.build(config, SEEDS, data) for _ in range(2))
    p.step()
    healthy.step()
    before = {k: v.clone() for k, v in state.tensors(p.member(1)).items()}
    real = p.batches()
    for batch in real:
        batch.real[1] = torch.inf
    how = How(reduce=population.per_member)
    stats = game.step(p.state, config.game, real, p.draws(1), KNOBS, how)
    game.step(healthy.state, config.game, healthy.batches(), healthy.draws(1), KNOBS, how)
    assert stats["skipped_d"].tolist() == [0.0, 3.0, 0.0]
    after = state.tensors(p.member(1))
    for key, value in before.items():
        if key.startswith(("discriminator", "optimizer.discriminator")) and "step" not in key:
            assert torch.equal(value, after[key]), key
    for index in (0, 2):
        others = state.tensors(healthy.member(index))
        for key, value in state.tensors(p.member(index)).items():
            assert torch.equal(value, others[key]), key


def test_seeds_must_differ() -> None:
    config = shortened(recipes.gaussian(), 1)
    with pytest.raises(UsageError, match="each once"):
        population.build(config, (1, 1), data_for(config))
