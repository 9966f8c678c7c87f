"""Walks in the space of styles, mixed styles, and labels between labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from ganforge import cli, recipes
from ganforge.data.spec import DataSpec
from ganforge.errors import UsageError
from ganforge.nets.base import PlainModule
from ganforge.runs import model
from ganforge.sampling.paths import shares
from ganforge.sampling.sampler import Sampler
from tests.helpers.samplers import fresh
from tests.helpers.tiny import narrow

SPEC = DataSpec((3, 8, 8), 0, "float32")


def styled(spec: DataSpec = SPEC) -> Sampler:
    """A narrow style-based generator whose samples differ."""
    config = narrow(recipes.find("stylegan2"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = config.networks(spec, 6)["generator"].eval().requires_grad_(False)
    made.w_mean.normal_()
    return Sampler(made, spec, type(config.noise)(6), "stylegan2")


STYLED = styled()


def test_a_walk_in_w_begins_and_ends_at_the_samples_of_z() -> None:
    in_w, in_z = (STYLED.interpolate(2, 5, space=s, truncation=0.7) for s in ("w", "z"))
    for place in (0, 4, 5, 9):
        np.testing.assert_allclose(in_w[place], in_z[place], rtol=1e-3, atol=0.05)
    assert np.abs(in_w[2] - in_z[2]).max() > 0.5


def test_the_middle_of_a_walk_has_the_mean_style() -> None:
    g: Any = STYLED.model
    a, b = g.mapping(STYLED.z(2, stream="interpolate/z"), None)
    wanted = g.pictures(((a + b) / 2).expand(1, g.count, -1), None)
    made = STYLED.interpolate(1, 3, space="w")[1]
    np.testing.assert_allclose(made, (wanted[0].permute(1, 2, 0) + 1) * 127.5, atol=0.05)


def test_a_loop_in_w_comes_back() -> None:
    made = STYLED.interpolate(1, 4, space="w", loop=True)
    np.testing.assert_allclose(made[1], made[3], atol=0.05)
    assert np.abs(made[0] - made[2]).max() > 0.5


def test_rows_give_coarse_layers_and_columns_fine_ones() -> None:
    g: Any = STYLED.model
    w = g.mapping(STYLED.z(5, 3), None)
    made = STYLED.mix(2, 3, seed=3, cut=1).reshape(2, 3, 8, 8, 3)
    for row, column in np.ndindex(2, 3):
        coarse, fine = w[row].expand(1, 1, -1), w[2 + column].expand(1, g.count - 1, -1)
        picture = g.pictures(torch.cat([coarse, fine], 1), None)[0].permute(1, 2, 0)
        np.testing.assert_allclose(made[row, column], (picture + 1) * 127.5, atol=0.05)
    assert np.abs(made[0, 2] - made[1, 2]).max() > 1e-3 < np.abs(made[0, 1] - made[0, 2]).max()


def test_shares_change_on_a_line_from_label_to_label() -> None:
    t = torch.tensor([0.0, 0.25, 0.5, 1.0])
    found = shares(np.array([2, 0, 1]), 3, t, loop=False)
    assert found.tolist() == [[0, 0, 1], [0.5, 0, 0.5], [1, 0, 0], [0, 1, 0]]
    closed = shares(np.array([2, 0]), 3, t, loop=True)
    assert closed.tolist() == [[0, 0, 1], [0.5, 0, 0.5], [1, 0, 0], [0, 0, 1]]


@pytest.mark.parametrize("recipe", ["cdcgan", "stylegan2"])
def test_a_morph_goes_from_one_label_to_another(recipe: str) -> None:
    """At its ends it has the bits of the labels, within a rounding, and the z does not change."""
    spec = DataSpec((3, 16, 16), 4, "float32")
    sampler = styled(spec) if recipe == "stylegan2" else fresh(spec)
    made = sampler.interpolate(2, 5, morph=[3, 1]).reshape(2, 5, 16, 16, 3)
    z = sampler.z(4, stream="interpolate/z")[:2]
    for place, label in ((0, 3), (4, 1)):
        wanted = sampler.generate(z, np.full(2, label))
        np.testing.assert_allclose(made[:, place], wanted, rtol=1e-4, atol=0.02)
    assert np.abs(made[:, 2] - made[:, 0]).max() > 1e-3 < np.abs(made[:, 2] - made[:, 4]).max()


def test_a_morph_of_a_user_s_networks_is_refused() -> None:
    own = Sampler(PlainModule(nn.Linear(2, 2), True), DataSpec((2,), 3), recipes.ring().noise)
    with pytest.raises(UsageError, match="take whole labels"):
        own.interpolate(1, 3, morph=[0, 1])


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: fresh(SPEC, "wgan-gp").interpolate(1, 2, space="w"), "has no styles w"),
        (lambda: fresh(SPEC, "wgan-gp").mix(), "has no styles w"),
        (lambda: STYLED.interpolate(1, 2, space="v"), "space = 'v'"),
        (lambda: STYLED.interpolate(1, 2, space="w", morph=[0, 1]), "z beside codes or morph"),
        (lambda: STYLED.interpolate(1, 2, morph=[0, 1]), "takes no labels"),
        (lambda: fresh(DataSpec((1, 16, 16), 3)).interpolate(1, 2, morph=[0]), "at least two"),
        (lambda: STYLED.mix(cut=0), "cut = 0: expected a layer, 1 to 3"),
        (lambda: STYLED.mix(cut=4), "cut = 4: expected a layer, 1 to 3"),
        (lambda: STYLED.mix(rows=0), "rows = 0"),
        (lambda: STYLED.mix(truncation=2), "truncation = 2"),
    ],
)
def test_what_cannot_be_walked_is_a_line(call: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        call()


def test_mix_and_interpolate_write_their_pictures(tmp_path: Path) -> None:
    config = narrow(recipes.find("stylegan2"))
    sampler = styled(DataSpec((3, 8, 8)))
    folder = model.save(tmp_path / "m", sampler, config, {})
    mixed, walk = tmp_path / "mix.png", tmp_path / "walk.png"
    assert cli.main(["mix", str(folder), "--rows", "2", "--columns", "3", "-o", str(mixed)]) == 0
    grid = np.asarray(Image.open(mixed))[::8, ::8]
    assert grid.shape == (3 * 10 + 2, 4 * 10 + 2, 3) and (grid[2:10, 2:10] == 127).all()
    given, made = sampler.sample(5), sampler.mix(2, 3)
    assert (grid[12:20, 2:10] == given[0]).all() and (grid[2:10, 32:40] == given[4]).all()
    assert (grid[22:30, 12:20] == made[3]).all()
    words = ["interpolate", str(folder), "--space", "both", "--rows", "2", "--steps", "3"]
    assert cli.main([*words, "-o", str(walk)]) == 0
    strips = np.asarray(Image.open(walk))[::8, ::8]
    in_z, in_w = sampler.interpolate(2, 3), sampler.interpolate(2, 3, space="w")
    for row, wanted in enumerate((in_z[1], in_w[1], in_z[4], in_w[4])):
        assert (strips[2 + 10 * row : 10 + 10 * row, 10:18] == wanted).all()
