"""Directions along which samples differ most: found, named, stored, and moved along."""

from __future__ import annotations

import json
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
from ganforge.errors import DataError, UsageError
from ganforge.runs import model
from ganforge.sampling import directions
from ganforge.sampling.directions import Directions, principal
from ganforge.sampling.sampler import Sampler
from tests.helpers.samplers import fresh
from tests.helpers.tiny import VECTORS, narrow
from tests.sampling.test_walks import styled


class Stretched(nn.Module):
    """z -> A z + the label, then two numbers; A stretches z_2 most, then z_0."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 4, bias=False), nn.Linear(4, 2)
        with torch.no_grad():
            self.first.weight.copy_(torch.diag(torch.tensor([2.0, 0.1, -5.0, 0.5])))

    def forward(self, z: Tensor, label: Any = None, source: Any = None, inputs: Any = None) -> Any:
        shift = 0 if label is None else 100.0 * label.unsqueeze(1)
        return self.last(self.first(z + shift))


def stretched(noise: Noise = Noise(4), classes: int = 0) -> Sampler:  # noqa: B008  # frozen
    spec = DataSpec((2,), classes, "float32", False, (0.0,), (1.0,))
    return Sampler(Stretched().requires_grad_(False), spec, noise, "stretched")


@pytest.mark.parametrize("classes", [0, 3])
def test_the_first_layer_s_largest_stretches_are_found_in_their_order(classes: int) -> None:
    found = stretched(classes=classes).find_directions(2)
    assert found.space == "z" and found.names == ("d1", "d2")
    np.testing.assert_allclose(found.vectors, np.eye(4)[[2, 0]], atol=0.01)
    np.testing.assert_allclose(found.shares, np.array([25, 4]) / 29.26, atol=0.01)


def test_a_direction_is_one_standard_deviation_long_and_leaves_codes_alone() -> None:
    uniform = stretched(Noise(4, "uniform")).find_directions(1).vectors
    np.testing.assert_allclose(uniform, 3**-0.5 * np.eye(4)[[2]], atol=0.01)
    coded = Noise(4, "normal", (LatentCode("a", "uniform", 1),))
    assert (stretched(coded).find_directions(9).vectors[:, 3] == 0).all()


def test_principal_directions_are_those_of_the_covariance() -> None:
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))
    w = np.random.default_rng(1).normal(size=(50_000, 3)) * [3, 1, 0.2] @ turn.T + 7
    vectors, shares = principal(torch.from_numpy(w))
    for vector, axis, size in zip(vectors.numpy(), turn.T, (3, 1, 0.2), strict=True):
        assert abs(np.linalg.norm(vector) - size) < 0.02 * size
        assert (
            abs(vector @ axis) > 0.999 * np.linalg.norm(vector)
            and vector[np.abs(vector).argmax()] > 0
        )
    np.testing.assert_allclose(shares, np.array([9, 1, 0.04]) / 10.04, atol=0.01)


def test_samples_of_plain_networks_are_moved_in_z() -> None:
    sampler = stretched()
    found = sampler.find_directions(2)
    made = sampler.moved(found, {"d1": 2.0, "d2": -1.0}).sample(3, seed=4)
    shift = torch.from_numpy(2 * found.vectors[0] - found.vectors[1])
    wanted = sampler.generate(sampler.z(3, 4) + shift)
    np.testing.assert_allclose(made, wanted, atol=1e-4)
    assert np.array_equal(sampler.moved(found, {}).sample(3, seed=4), sampler.sample(3, seed=4))


def test_samples_of_style_networks_are_moved_in_w() -> None:
    sampler = styled()
    found = sampler.find_directions(3, samples=256)
    assert found.space == "w" and found.vectors.shape == (3, 12)
    g: Any = sampler.model
    ws = g.mapping(sampler.z(1), None) + torch.from_numpy(2 * found.vectors[1])
    ws = g.truncated(ws.unsqueeze(1).expand(-1, g.count, -1), 0.5)
    wanted = (g.pictures(ws, None)[0].permute(1, 2, 0) + 1) * 127.5
    made = sampler.moved(found, {"d2": 2.0}).sample(1, truncation=0.5)[0]
    np.testing.assert_allclose(made, wanted, atol=0.05)


def test_a_strip_goes_from_one_side_to_the_other() -> None:
    sampler = stretched()
    found = sampler.find_directions(2)
    made = directions.strips(sampler, found, 3, 2.0, 0).reshape(2, 3, 2)
    np.testing.assert_allclose(made[:, 1], sampler.sample(1).repeat(2, 0), atol=1e-5)
    assert np.allclose(made[0, 0], sampler.moved(found, {"d1": -2.0}).sample(1)[0])


def test_names_and_the_file(tmp_path: Path) -> None:
    found = stretched().find_directions(3).named({2: "slant"})
    path = directions.save(tmp_path / directions.FILE, found, "abc")
    again = directions.load(path, "abc")
    assert again.names == ("d1", "slant", "d3") and again.space == "z"
    assert np.array_equal(again.vectors, found.vectors)
    with pytest.raises(DataError, match="of other weights"):
        directions.load(path, "abd")
    with pytest.raises(DataError, match="no directions yet: ganforge directions"):
        directions.load(tmp_path / "none" / directions.FILE, "abc")
    for damage in ("{", "[]", json.dumps({**json.loads(path.read_text()), "space": "v"})):
        path.write_text(damage)
        with pytest.raises(DataError, match="damaged"):
            directions.load(path, "abc")


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda f: f.shift({"d9": 1.0}), "known: d1, d2, d3"),
        (lambda f: f.named({4: "x"}), "a number, 1 to 3"),
        (lambda f: f.named({1: "d2"}), "different names"),
        (lambda f: stretched().find_directions(0), "count = 0"),
        (lambda f: stretched().find_directions(2, samples=9), "samples = 9"),
        (lambda f: Sampler(nn.Identity(), VECTORS, Noise(2)).find_directions(), "no linear layer"),
    ],
)
def test_what_makes_no_sense_is_a_line(call: Any, said: str) -> None:
    found = Directions("z", np.eye(3, dtype=np.float32), np.ones(3), ("d1", "d2", "d3"))
    with pytest.raises(UsageError, match=said):
        call(found)


def test_directions_are_named_and_used_by_their_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = narrow(recipes.find("dcgan"))
    sampler = fresh(DataSpec((1, 16, 16)), "dcgan")
    folder = model.save(tmp_path / "m", sampler, recipes.find("dcgan"), {})
    words = ["directions", str(folder), "--count", "2", "--steps", "3", "--samples", "64"]
    assert config.name == "dcgan" and cli.main([*words, "--name", "1=slant"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("slant") and "--direction slant=2" in said
    grid = np.asarray(Image.open(folder / "directions.png"))[::4, ::4]
    assert grid.shape == (2 * 18 + 2, 3 * 18 + 2, 3)
    out = tmp_path / "s.png"
    asked = ["sample", str(folder), "-n", "1", "-o", str(out), "--scale", "1"]
    assert cli.main([*asked, "--direction", "slant=3"]) == 0
    made = np.asarray(Image.open(out))[2:18, 2:18]
    assert (made == grid[2:18, 2 + 36 : 18 + 36]).all()
    capsys.readouterr()
    for bad, why in (("slat=1", "did you mean 'slant'"), ("slant=1..2", "give one number")):
        assert cli.main([*asked[:2], "-o", str(tmp_path / "t.png"), "--direction", bad]) == 2
        assert why in capsys.readouterr().err
    assert cli.main([*words, "--name", "slant", "--overwrite"]) == 2
    assert "expected such as 1=slant" in capsys.readouterr().err
