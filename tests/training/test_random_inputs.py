"""What a step needs drawn is the same however it is read: block, order, rank, company."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from ganforge import recipes
from ganforge.config.schema import Config, Noise
from ganforge.gan import state
from ganforge.gan.adversarial import Adversarial
from ganforge.gan.penalties import GradientPenalty
from ganforge.gan.step import Batch, RandomInputs, StepHyperparameters, step
from ganforge.nets import MLP
from ganforge.recipes import RECIPES
from ganforge.rng import Stream
from ganforge.sampling.sampler import Sampler
from ganforge.training import build
from ganforge.training.random_inputs import RandomInputSource
from tests.helpers.tiny import copies, data_for, fingerprint, narrow, pictures


def config_with_everything(**changes: Any) -> Config:
    """Two D turns, two G turns, labels, dropout on both sides, and a penalty that draws."""
    networks = MLP((5, 4), (6,), generator_dropout=0.5, discriminator_dropout=0.4)
    rules = Adversarial(d_steps=2, g_steps=2, penalties=(GradientPenalty(),))
    base = Config("test", networks, rules, labels=True, batch=4, noise=Noise(3))
    return replace(base, **changes)


def drawer(
    config: Config, part: tuple[int, int] | None = None, block_steps: int | None = None
) -> RandomInputSource:
    spec = data_for(replace(config, data="mnist")).spec
    players = build.initial(config, spec).players
    return RandomInputSource(config, spec, players, part=part, block_steps=block_steps)


def flat(drawn: dict[str, list[RandomInputs]]) -> dict[str, Tensor]:
    """Every tensor of a step's draws by name."""
    out: dict[str, Tensor] = {}
    for side, turns in drawn.items():
        for i, d in enumerate(turns):
            out[f"{side}/{i}/z"] = d.z
            if d.label is not None:
                out[f"{side}/{i}/label"] = d.label
            for role, masks in d.networks.items():
                out |= {f"{side}/{i}/{role}/{layer}": m for layer, m in masks.items()}
            out |= {f"{side}/{i}/{name}": e for name, e in d.extra.items()}
    return out


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("steps", [1, 3, 7])
def test_the_size_of_a_block_does_not_matter(steps: int) -> None:
    config = config_with_everything()
    whole = [flat(drawer(config).at(i)) for i in range(9)]
    other = drawer(config, block_steps=steps)
    assert other.block_steps == steps
    assert all(same(whole[i], flat(other.at(i))) for i in range(9))


def test_the_order_of_asking_does_not_matter() -> None:
    config = config_with_everything()
    one, other = drawer(config), drawer(config)
    forward = {i: copies(flat(one.at(i))) for i in (0, 1, 255, 256, 257, 10_000)}
    for i in (10_000, 256, 0, 257, 1, 255, 256):
        assert same(forward[i], flat(other.at(i)))


@pytest.mark.parametrize("cuts", [(0, 2, 4), (0, 1, 4), (0, 1, 2, 3, 4)])
def test_ranks_take_slices_of_the_same_draws(cuts: tuple[int, ...]) -> None:
    config = config_with_everything()
    whole = flat(drawer(config).at(5))
    parts = [flat(drawer(config, (a, b - a)).at(5)) for a, b in pairwise(cuts)]
    assert same(whole, {name: torch.cat([p[name] for p in parts]) for name in whole})


def test_nothing_is_drawn_twice() -> None:
    """Turns, steps and roles have separate numbers."""
    d = drawer(config_with_everything())
    z, masks = [], []
    for i in range(3):
        for name, tensor in flat(d.at(i)).items():
            (z if name.endswith("/z") else masks if "hidden" in name else []).append(tensor)
    assert len({fingerprint({"": t}) for t in z}) == len(z) == 12
    rows = torch.cat([t.reshape(t.shape[0], -1) for t in z])
    assert len({tuple(r.tolist()) for r in rows}) == len(rows)


def test_the_position_is_the_global_sample_index() -> None:
    config = config_with_everything(seed=9)
    d = drawer(config).at(7)
    for turn in range(2):
        first = (7 * 2 + turn) * 4
        exact = Stream(9, "z/discriminator").draw("normal", first, 4, 3)
        assert torch.equal(d["discriminator"][turn].z, torch.from_numpy(np.array(exact)))
        labels = Stream(9, "label/generator").integers(first, 4, 10)
        assert torch.equal(d["generator"][turn].label, torch.from_numpy(labels))  # type: ignore[arg-type]


def test_the_generator_may_reuse_the_last_noise() -> None:
    for fresh in (True, False):
        rules = Adversarial(d_steps=3, fresh_noise=fresh)
        drawn = drawer(config_with_everything(game=rules)).at(2)
        z = [d.z for d in drawn["discriminator"]]
        assert torch.equal(drawn["generator"][0].z, z[2]) == (not fresh)
        assert not torch.equal(z[0], z[1])
        assert not torch.equal(drawn["generator"][0].z, z[0])


@pytest.mark.parametrize("fresh", [True, False])
def test_fakes_made_of_the_last_noise_have_its_labels_and_dropout_too(fresh: bool) -> None:
    """Else the generator would learn of a fake from a label that it was not made with."""
    rules = Adversarial(d_steps=2, g_steps=2, fresh_noise=fresh)
    drawn = drawer(config_with_everything(game=rules, batch=40)).at(3)
    last = drawn["discriminator"][-1]
    for turn in drawn["generator"]:
        assert turn.label is not None and last.label is not None
        assert torch.equal(turn.label, last.label) == (not fresh)
        assert turn.networks["generator"].keys() == last.networks["generator"].keys()
        for layer, mask in turn.networks["generator"].items():
            assert torch.equal(mask, last.networks["generator"][layer]) == (not fresh)
        for layer, mask in turn.networks["fake"].items():  # how D looks at them is drawn anew
            assert not torch.equal(mask, last.networks["fake"][layer])


@pytest.mark.parametrize("law", ["normal", "uniform"])
def test_the_law_of_the_noise(law: str) -> None:
    config = config_with_everything(noise=Noise(3, law), batch=256)
    z = torch.cat([drawer(config).at(i)["generator"][0].z for i in range(20)]).flatten().numpy()
    arguments = ("norm", ()) if law == "normal" else ("uniform", (-1, 2))
    assert stats.kstest(z, arguments[0], args=arguments[1]).pvalue > 1e-3


def test_the_labels_of_fakes_cover_all_classes() -> None:
    """A well-known copy draws from nine of ten."""
    config = narrow(recipes.find("cgan"))
    d = drawer(config)
    for side in ("discriminator", "generator"):
        drawn = torch.cat([x.label for i in range(60) for x in d.at(i)[side]])  # type: ignore[misc]
        counts = torch.bincount(drawn, minlength=10)
        assert len(counts) == 10
        assert stats.chisquare(counts.numpy()).pvalue > 1e-3


def test_masks_are_dropout_with_an_unchanged_mean() -> None:
    config = config_with_everything(batch=500)
    drawn = drawer(config).at(0)["discriminator"][0]
    assert set(drawn.networks) == {"generator", "real", "fake", "penalty"}
    assert drawn.networks["generator"]["hidden0"].shape == (500, 5)
    mask = drawn.networks["real"]["hidden0"]
    assert mask.unique().tolist() == pytest.approx([0, 1 / 0.6])
    assert mask.mean().item() == pytest.approx(1, abs=0.1)
    assert not torch.equal(mask, drawn.networks["fake"]["hidden0"])
    assert drawn.extra["epsilon"].shape == (500, 1)
    assert 0 <= drawn.extra["epsilon"].min() < drawn.extra["epsilon"].max() < 1


@pytest.mark.parametrize("recipe", sorted(RECIPES))
def test_recipes_draw_what_they_need(recipe: str) -> None:
    config = narrow(recipes.find(recipe))
    drawn = drawer(config).at(0)
    assert len(drawn["discriminator"]) == config.game.d_steps
    for turns in drawn.values():
        for d in turns:
            assert d.z.shape == (config.batch, config.noise.size)
            uniform = config.labels and config.game.fake_labels == "uniform"
            assert (d.label is not None) == uniform
    reused = torch.equal(drawn["generator"][0].z, drawn["discriminator"][-1].z)
    assert reused == (not config.game.fresh_noise)


def trained(sampling: bool) -> dict[str, Tensor]:
    """Ten steps of a game with dropout and batch norm, with samples drawn between or not."""
    config = replace(narrow(recipes.find("cgan")), batch=8)
    config = replace(config, networks=replace(config.networks, generator_norm="batch"))
    data = data_for(config)
    st = build.initial(config, data.spec)
    d = RandomInputSource(config, data.spec, st.players)
    sampler = Sampler(st.players.generator, data.spec, config.noise)
    x = torch.from_numpy(data.values[:8]).float().permute(0, 3, 1, 2) / 127.5 - 1
    label = torch.arange(8)
    for i in range(10):
        rates = {"generator": 1e-3, "discriminator": 1e-3}
        step(st, config.game, [Batch(x, label)], d.at(i), StepHyperparameters(rates))
        if sampling:
            sampler.sample(3 + i, seed=i)
            sampler.grid(20)
            sampler.interpolate(2, 3)
            d.at(1000 + i)
            torch.rand(7), np.random.rand(3)
    return state.tensors(st)


def test_sampling_in_between_shifts_nothing() -> None:
    assert fingerprint(trained(True)) == fingerprint(trained(False))


def tensors(drawn: RandomInputs) -> list[Tensor]:
    found: list[Tensor] = []

    def see(tensor: Tensor) -> Tensor:
        found.append(tensor)
        return tensor

    drawn.map(see)
    return found


@pytest.mark.parametrize("name", ["cdcgan", "mnist-dropout", "parzen"])
def test_a_process_draws_its_slice_alone_and_it_is_the_slice_of_the_whole(name: str) -> None:
    config = replace(narrow(recipes.RECIPES[name]()), batch=12)
    spec = pictures().spec
    players = build.initial(config, spec).players
    whole = RandomInputSource(config, spec, players)
    part = RandomInputSource(config, spec, players, part=(4, 3))
    for number in (0, 7, whole.block_steps):
        for side, turns in whole.at(number).items():
            for a, b in zip(turns, part.at(number)[side], strict=True):
                wanted, found = [t[4:7] for t in tensors(a)], tensors(b)
                assert len(found) == len(wanted) > 0
                assert all(map(torch.equal, wanted, found))
    assert part.numbers_a_step * 4 == whole.numbers_a_step
