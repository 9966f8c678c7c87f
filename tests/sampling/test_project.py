"""The place of a picture in z or w: found again for the generator's samples, the same by seed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import ganforge as gf
from ganforge import cli, recipes
from ganforge.config.noise import LatentCode, Noise
from ganforge.data.spec import DataSpec
from ganforge.errors import UsageError
from ganforge.runs import model
from ganforge.sampling.project import Search, errors
from ganforge.sampling.sampler import Sampler
from tests.helpers.samplers import fresh
from tests.sampling.test_walks import styled

FLAT = DataSpec((1, 4, 4))


class Paint(nn.Module):
    """z (B, 16) -> the picture z / 4, so that the exact z of a picture is known."""

    def forward(self, z: Tensor, label: Any = None, source: Any = None, inputs: Any = None) -> Any:
        return z.view(-1, 1, 4, 4) / 4


class Shade(nn.Module):
    """Pictures of one shade, z_0 / 4, and a stripe for the label, so that the label is seen."""

    def forward(self, z: Tensor, label: Tensor, source: Any = None, inputs: Any = None) -> Any:
        x = (z[:, :1] / 4).expand(-1, 16).view(-1, 1, 4, 4).clone()
        x[torch.arange(len(x)), 0, label] = 1
        return x


PAINT = Sampler(Paint(), FLAT, Noise(16), "paint")


def test_the_place_of_a_picture_is_the_z_that_made_it() -> None:
    pictures = PAINT.sample(3, seed=5)
    found = PAINT.project(pictures, steps=150)
    assert found.error.max() < 0.5 > found.floor and found.space == "z"
    np.testing.assert_allclose(found.latent, PAINT.z(3, seed=5), atol=0.05)
    assert np.abs(found.pictures.astype(int) - pictures).max() <= 2


def test_a_seed_finds_the_same_places_in_any_company() -> None:
    sampler = fresh(DataSpec((1, 16, 16)), "dcgan")
    pictures = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 1), dtype=np.uint8)
    one, two = (sampler.project(pictures, steps=4, starts=3) for _ in range(2))
    assert np.array_equal(one.latent, two.latent) and one.floor == two.floor
    alone = sampler.project(pictures[1:], steps=4, starts=3)
    assert np.array_equal(alone.latent[0], one.latent[1])
    assert not np.array_equal(
        sampler.project(pictures, steps=4, starts=3, seed=1).latent, one.latent
    )


def test_the_label_is_found_if_none_is_given() -> None:
    sampler = Sampler(Shade(), replace(FLAT, classes=3), Noise(2), "shade")
    pictures = sampler.sample(3, labels=[2, 0, 1], seed=4)
    found = sampler.project(pictures, steps=150, starts=6)
    assert found.labels is not None and found.labels.tolist() == [2, 0, 1]
    wrong = sampler.project(pictures, labels=1, steps=150, starts=6)
    assert wrong.labels is not None and wrong.labels.tolist() == [1, 1, 1]
    assert wrong.error[0] > 30
    assert found.error.max() < 3


def test_z_stays_where_its_law_has_its_mass() -> None:
    black = np.zeros((1, 4, 4, 1), dtype=np.uint8)  # z = -4 everywhere, |z| = 16
    assert np.linalg.norm(PAINT.project(black, steps=60).latent) <= np.sqrt(16) + 2 + 1e-4
    uniform = replace(PAINT, noise=Noise(16, "uniform"))
    found = uniform.project(black, steps=60)
    assert found.latent.min() == -1
    codes = (LatentCode("digit", "categorical", 4), LatentCode("slant", "uniform", 1))
    coded = replace(PAINT, noise=Noise(16, "normal", codes))
    latent = coded.project(black, steps=60).latent[0]
    assert sorted(latent[11:15]) == [0, 0, 0, 1] and latent[15] == -1


def test_the_best_starts_go_on() -> None:
    search = Search(PAINT, steps=1, starts=5, seed=0, space="z")
    target = PAINT.sample(1, seed=9)
    latent, _ = search.run(target[0], None)
    starts, _ = search.start(None)
    moved = (starts - latent).abs().max(1).values
    wanted = PAINT.generate(starts).astype(float) - target
    assert moved.argmin() == np.square(wanted).mean((1, 2, 3)).argmin()


def test_styles_are_searched_in_w() -> None:
    sampler = styled(DataSpec((3, 8, 8)))
    pictures = sampler.sample(1, seed=3)
    found = sampler.project(pictures, steps=120, starts=4)
    assert found.space == "w" and found.latent.shape == (1, 12)
    blind = sampler.project(pictures, steps=1, starts=4)
    assert found.error[0] < 0.7 * blind.error[0]
    assert sampler.project(pictures, steps=1, starts=1, space="z").latent.shape == (1, 6)


def test_the_error_is_the_root_mean_square_in_levels() -> None:
    a, b = np.zeros((2, 4, 4, 1), np.uint8), np.zeros((2, 4, 4, 1), np.uint8)
    b[0], b[1, 0, 0] = 3, 8
    assert errors(a, b).tolist() == [3, 2]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda x: PAINT.project(x[:, :2]), "give \\(N, "),
        (lambda x: PAINT.project(x, steps=0), "steps = 0"),
        (lambda x: PAINT.project(x, starts=0), "starts = 0"),
        (lambda x: PAINT.project(x, space="v"), "space = 'v'"),
        (lambda x: PAINT.project(x, space="w"), "has no styles w"),
        (lambda x: PAINT.project(x, labels=3), "takes no labels"),
    ],
)
def test_what_cannot_be_searched_is_a_line(call: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        call(np.zeros((1, 4, 4, 1), np.uint8))


def test_project_writes_the_picture_and_its_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = model.save(
        tmp_path / "m", fresh(DataSpec((1, 16, 16)), "dcgan"), recipes.find("dcgan"), {}
    )
    big = np.random.default_rng(1).integers(0, 256, (40, 32), dtype=np.uint8)
    Image.fromarray(big).save(tmp_path / "a.png")
    out, few = tmp_path / "p.png", ["--steps", "3", "--starts", "2"]
    words = ["project", str(folder), str(tmp_path / "a.png"), *few]
    assert cli.main([*words, "-o", str(out)]) == 0
    said = capsys.readouterr().out
    assert "a.png: error " in said and "samples of the generator itself: error " in said
    grid = np.asarray(Image.open(out))[::4, ::4]
    assert grid.shape == (2 * 18 + 2, 18 + 2, 3)
    assert cli.main([*words, "-o", str(tmp_path / "p.npz")]) == 0
    with np.load(tmp_path / "p.npz", allow_pickle=False) as file:
        assert (grid[20:36, 2:18, :1] == file["pictures"][0]).all()
        again: Any = gf.load(folder)
        assert np.array_equal(again.generate(torch.from_numpy(file["latent"])), file["pictures"])
    for bad, why in (([], "name at least one picture"), (["no.png"], "no such picture")):
        assert cli.main(["project", str(folder), *bad]) in (2, 65)
        assert why in capsys.readouterr().err
