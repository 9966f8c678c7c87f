"""Codes that are chosen: one value for all samples, or a range that a path walks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from ganforge import cli, recipes
from ganforge.config.noise import LatentCode, Noise
from ganforge.data.spec import DataSpec
from ganforge.errors import UsageError
from ganforge.runs import model
from ganforge.sampling.codes import parsed, with_code
from ganforge.sampling.sampler import Sampler
from tests.helpers.samplers import fresh
from tests.helpers.tiny import VECTORS

NOISE = Noise(
    7, "normal", (LatentCode("digit", "categorical", 3), LatentCode("slant", "uniform", 2))
)


class Mirror(nn.Module):
    """Gives its z, so that a sample says what it was made from."""

    def forward(self, z: Tensor, label: Any = None, source: Any = None, inputs: Any = None) -> Any:
        return z


SPEC = DataSpec((7,), 0, "float32", False, (0.0,), (1.0,))
MIRROR = Sampler(Mirror(), SPEC, NOISE, "mirror")


def test_a_value_is_that_of_every_sample_and_nothing_else_changes() -> None:
    drawn, made = MIRROR.sample(5), MIRROR.sample(5, codes={"digit": 1, "slant": -0.5})
    assert (made[:, 2:5] == [0, 1, 0]).all() and (made[:, 5:] == -0.5).all()
    assert (made[:, :2] == drawn[:, :2]).all()
    only = MIRROR.sample(5, codes={"slant": 2.0})
    assert (only[:, :5] == drawn[:, :5]).all() and (only[:, 5:] == 2).all()


def test_truncation_leaves_codes_as_they_are() -> None:
    whole, half = MIRROR.sample(4), MIRROR.sample(4, truncation=0.5)
    assert (half[:, :2] == whole[:, :2] / 2).all() and (half[:, 2:] == whole[:, 2:]).all()


def test_a_range_is_walked_and_the_rest_stays() -> None:
    made = MIRROR.interpolate(3, 5, codes={"digit": 2, "slant": (-2.0, 2.0)}).reshape(3, 5, 7)
    assert (made[..., 2:5] == [0, 0, 1]).all()
    assert (made[..., 5] == [-2, -1, 0, 1, 2]).all() and (made[..., 6] == made[..., 5]).all()
    assert (made[..., :2] == made[:, :1, :2]).all()
    assert not (made[0, 0, :2] == made[1, 0, :2]).any()


def test_of_several_ranges_each_row_walks_one() -> None:
    made = MIRROR.interpolate(2, 3, codes={"digit": (0, 2), "slant": (-1.0, 1.0)})
    first, second = made.reshape(2, 3, 7)
    assert (first[:, 2:5] == np.eye(3)).all() and (first[:, 5:] == first[0, 5:]).all()
    assert (second[:, 5] == [-1, 0, 1]).all() and (second[:, 2:5] == second[0, 2:5]).all()


def test_a_path_without_ranges_mixes_codes_on_a_line() -> None:
    """Only plain numbers of a normal law go along the sphere."""
    made = MIRROR.interpolate(1, 3)
    ends = MIRROR.z(2, stream="interpolate/z").numpy()
    np.testing.assert_allclose(made[1, 2:], ends[:, 2:].mean(0), atol=1e-6)
    assert np.linalg.norm(made[1, :2]) > np.linalg.norm(ends[:, :2].mean(0))


def test_a_loop_of_a_code_comes_back() -> None:
    made = MIRROR.interpolate(1, 4, loop=True, codes={"slant": (0.0, 1.0)})
    np.testing.assert_allclose(made[:, 5], [0, 0.5, 1, 0.5], atol=1e-6)


def test_the_columns_of_a_code() -> None:
    noise = Noise(8, "normal", (*NOISE.codes, LatentCode("width", "normal", 1)))  # type: ignore[misc]
    assert noise.columns() == {"digit": slice(2, 5), "slant": slice(5, 7), "width": slice(7, 8)}
    z = with_code(torch.zeros(1, 8), noise, "width", torch.ones(1))
    assert z.tolist() == [[0] * 7 + [1]]


def test_codes_of_a_text() -> None:
    assert parsed("digit=3,slant=-2..2") == {"digit": 3, "slant": (-2, 2)}
    assert parsed(" width = .5 ") == {"width": 0.5}
    assert parsed(None) == {}


@pytest.mark.parametrize("text", ["", "digit", "=3", "a=1,a=2", "a=", "a=1..2..3", "a=one"])
def test_a_text_of_another_form_is_a_line(text: str) -> None:
    with pytest.raises(UsageError, match="expected such as digit=3,slant"):
        parsed(text)


@pytest.mark.parametrize(
    ("codes", "said"),
    [
        ({"digt": 3}, "did you mean 'digit'"),
        ({"digit": 3}, "expected a class, 0 to 2"),
        ({"digit": 0.5}, "expected a class, 0 to 2"),
        ({"digit": True}, "expected a class, 0 to 2"),
        ({"slant": float("nan")}, "expected a finite number"),
        ({"slant": "1"}, "expected a finite number"),
        ({"slant": (0.0, float("inf"))}, "expected a finite number"),
        ({"slant": (0.0, 1.0)}, "a range is walked by interpolate"),
    ],
)
def test_values_that_a_code_cannot_have(codes: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        MIRROR.sample(2, codes=codes)


def test_a_generator_without_codes_says_so() -> None:
    with pytest.raises(UsageError, match="it has none; train infogan"):
        Sampler(nn.Identity(), VECTORS, Noise(2), "plain").sample(2, codes={"digit": 1})


# --- commands -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sampler = fresh(DataSpec((1, 28, 28)), "infogan")
    return model.save(tmp_path_factory.mktemp("m") / "m", sampler, recipes.find("infogan"), {})


def test_the_commands_draw_a_grid_with_a_code_along_its_rows(folder: Path, tmp_path: Path) -> None:
    out, codes = tmp_path / "a.png", "digit=0..9"
    words = ["sample", folder, "--codes", codes, "-n", 20, "-o", out, "--scale", 1]
    assert cli.main(list(map(str, words))) == 0
    assert np.asarray(Image.open(out)).shape == (2 * 30 + 2, 10 * 30 + 2, 3)
    made = model.load(folder).interpolate(2, 10, codes={"digit": (0, 9)})
    assert (np.asarray(Image.open(out))[2:30, 2:30, :1] == made[0]).all()
    assert (np.asarray(Image.open(out))[32:60, 272:300, :1] == made[19]).all()
    words = ["interpolate", folder, "--codes", "digit=3,slant=-2..2", "-o", tmp_path / "b.png"]
    assert cli.main(list(map(str, words))) == 0
    folder_of = ["sample", folder, "--codes", "digit=1", "-n", 2, "-o", tmp_path / "f"]
    assert cli.main(list(map(str, folder_of))) == 0
    wanted = model.load(folder).sample(2, codes={"digit": 1})
    assert (np.asarray(Image.open(tmp_path / "f/00001.png")) == wanted[1, ..., 0]).all()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["sample", "--codes", "slat=1"], "did you mean 'slant'"),
        (["sample", "--codes", "digit=0..9", "-o", "folder"], "give -o FILE.png alone"),
        (["interpolate", "--codes", "digit=0..10"], "expected a class, 0 to 9"),
    ],
)
def test_a_mistake_is_one_line(
    words: list[str], said: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [str(tmp_path / w) if w == "folder" else w for w in words]
    assert cli.main([given[0], str(folder), *given[1:]]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
