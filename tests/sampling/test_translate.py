"""Translating pictures: from Python and from the command line, of any size, by themselves."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import ganforge as gf
from ganforge import nets, recipes
from ganforge.cli.commands.translate import planned, translate
from ganforge.config.schema import Noise
from ganforge.data.spec import DataSpec
from ganforge.errors import DataError, UsageError
from ganforge.runs import model
from ganforge.sampling.sampler import Sampler
from ganforge.sampling.translate import Translator
from tests.helpers.tiny import narrow

SPEC = DataSpec((3, 32, 32), source=DataSpec((3, 32, 32)))


def made(name: str, spec: DataSpec = SPEC, **networks: Any) -> Translator:
    config = narrow(recipes.find(name))
    parts = replace(config.networks, **{"init": nets.Init("normal", 0.3), **networks})
    g = nets.build(parts, spec, 1)["generator"]
    return Translator(g.eval(), spec, Noise(1), name)


def images_of(count: int, side: int = 32, width: int | None = None) -> np.ndarray:
    rng = np.random.default_rng(side)
    return rng.integers(0, 256, (count, side, width or side, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", ["pix2pix", "cyclegan"])
def test_a_picture_depends_on_itself_the_seed_and_its_index(name: str) -> None:
    t = made(name)
    x = images_of(70)
    many = t.translate(x, seed=1).astype(int)
    assert many.shape == x.shape
    for i in (0, 40, 69):  # across forward passes
        alone = t.translate(x[i], seed=1, first=i)
        assert alone.shape == x.shape[1:]
        assert np.abs(alone.astype(int) - many[i]).max() <= 1  # kernels differ by batch
    again = t.translate(x, seed=1)
    assert np.array_equal(again, many)
    other, moved = t.translate(x, seed=2), t.translate(x, seed=1, first=1)
    random = name == "pix2pix"
    assert np.array_equal(other, many) == (not random) == (not t.is_random())
    assert np.array_equal(moved, many) == (not random)


def test_networks_that_normalise_by_the_batch_translate_one_by_one() -> None:
    t = made("pix2pix", norm="batch", sample_dropout=False)
    x = images_of(3)
    assert np.array_equal(t.translate(x), np.stack([t.translate(one) for one in x]))


def test_a_convolutional_network_takes_a_picture_whole() -> None:
    t = made("cyclegan")
    x = images_of(1, 30, 41)
    assert t.fitted(30, 41) == "padded to multiples of 4, and cropped again"
    assert t.fitted(32, 48) == ""
    padded = np.pad(x, ((0, 0), (0, 2), (0, 3), (0, 0)), mode="reflect")
    assert np.array_equal(t.translate(x), t.translate(padded)[:, :30, :41])
    for side in (1, 3, 5, 100):
        assert t.translate(images_of(2, side)).shape == (2, side, side, 3)


def test_a_u_net_resizes_and_restores() -> None:
    t = made("pix2pix")
    assert t.fitted(64, 48).startswith("resized to 32 x 32 and back")
    out = t.translate(images_of(2, 64, 48))
    assert out.shape == (2, 64, 48, 3)
    flat = np.full((1, 64, 64, 3), 77, np.uint8)  # resizing changes nothing here
    inner = t.translate(flat[:, :32, :32])
    expected = np.asarray(Image.fromarray(inner[0]).resize((64, 64), Image.Resampling.LANCZOS))
    assert np.array_equal(t.translate(flat)[0], expected)


def test_tiles_are_translated_one_by_one_on_request() -> None:
    t = made("cyclegan", norm="none", blocks=0, spec=SPEC)
    x = images_of(1, 64)
    whole, tiled = t.translate(x).astype(int), t.translate(x, tile=24).astype(int)
    assert np.abs(whole - tiled).max() <= 1  # without norms, all that is seen lies in the margin
    with_norm = made("cyclegan")
    assert not np.array_equal(with_norm.translate(x), with_norm.translate(x, tile=24))
    assert np.array_equal(with_norm.translate(x), with_norm.translate(x, tile=64))


def test_both_directions_and_channels_of_their_own() -> None:
    spec = DataSpec((3, 32, 32), source=DataSpec((1, 32, 32)))
    t = made("cyclegan", spec)
    grey, colour = images_of(2)[..., :1], images_of(2)
    assert t.translate(grey).shape == (2, 32, 32, 3)
    assert t.translate(colour, direction="b2a").shape == (2, 32, 32, 1)
    with pytest.raises(UsageError, match=r"pictures of shape \(2, 32, 32, 3\): .* H, W, 1\)"):
        t.translate(colour)
    with pytest.raises(UsageError, match="pictures of float64: cyclegan takes uint8"):
        t.translate(grey / 255)
    with pytest.raises(UsageError, match="'b2a': pix2pix translates from sources to targets only"):
        made("pix2pix").translate(colour, direction="b2a")
    with pytest.raises(UsageError, match="direction = 'ba2': did you mean 'b2a'"):
        made("pix2pix").translate(colour, direction="ba2")
    for call in (t.sample, t.grid, t.interpolate):
        with pytest.raises(UsageError, match="translates pictures and makes none from noise"):
            call()


@pytest.mark.parametrize("name", ["pix2pix", "cyclegan"])
def test_a_model_folder_gives_the_translator_back(name: str, tmp_path: Path) -> None:
    t = made(name)
    config = narrow(recipes.find(name))
    config = replace(config, networks=replace(config.networks, init=nets.Init("normal", 0.3)))
    model.save(tmp_path / "m", t, config, {"step": 1})
    loaded = gf.load(tmp_path / "m")
    assert isinstance(loaded, Translator) and loaded.spec == t.spec
    x = images_of(3)
    assert np.array_equal(loaded.translate(x, 5), t.translate(x, 5))


# --- the command --------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path: Path) -> Path:
    t = made("pix2pix")
    config = narrow(recipes.pix2pix())
    config = replace(config, networks=replace(config.networks, init=nets.Init("normal", 0.3)))
    return model.save(tmp_path / "run", t, config, {"step": 1})


def pictures_in(path: Path, side: int = 32) -> Path:
    (path / "sub").mkdir(parents=True)
    for i, name in enumerate(("a.png", "b.jpg", "sub/c.png")):
        Image.fromarray(images_of(3, side)[i]).save(path / name)
    return path


def read(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_one_picture_is_a_file_several_are_a_folder(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = pictures_in(tmp_path / "in")
    out = tmp_path / "out"
    (line,) = translate(run, folder / "a.png", output=tmp_path / "one.png")
    assert line == f"1 of 1 pictures translated into {tmp_path / 'one.png'}"
    assert read(tmp_path / "one.png").shape == read(folder / "a.png").shape
    line, *_ = translate(run, folder / "a.png", output=out)
    assert line == f"1 of 1 pictures translated into {out}" and (out / "a.png").exists()
    (folder / "a.png").rename(folder / "sub" / "a.png")
    (folder / "b.jpg").unlink()
    line, *_ = translate(run, folder, output=tmp_path / "all")
    assert line == f"2 of 2 pictures translated into {tmp_path / 'all'}"
    line, *_ = translate(run, folder)
    assert line == f"2 of 2 pictures translated into {run / 'translated'}"
    assert capsys.readouterr() == ("", "")  # no bar where there is no terminal


def test_a_folder_keeps_its_names_and_bad_pictures_are_listed(run: Path, tmp_path: Path) -> None:
    folder = pictures_in(tmp_path / "in")
    (folder / "bad.png").write_bytes(b"nothing")
    lines = list(translate(run, folder, output=tmp_path / "out", seed=3))
    assert lines[0].startswith("3 of 4 pictures translated into")
    assert lines[1] == "1 could not be read:" and "bad.png" in lines[2]
    made_files = sorted(p.relative_to(tmp_path / "out") for p in (tmp_path / "out").rglob("*.*"))
    assert list(map(str, made_files)) == ["a.png", "b.png", "sub/c.png"]
    t = gf.load(run)
    x = read(folder / "sub" / "c.png")
    assert np.array_equal(read(tmp_path / "out/sub/c.png"), t.translate(x, 3, first=3))
    with pytest.raises(DataError, match="none of 1 pictures can be read"):
        list(translate(run, folder / "bad.png"))


def test_a_zip_and_one_picture_and_several_seeds(run: Path, tmp_path: Path) -> None:
    folder = pictures_in(tmp_path / "in", 40)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(folder / "a.png", "x/a.png")
    lines = list(translate(run, tmp_path / "a.zip", output=tmp_path / "z"))
    assert "pictures of other sizes were resized to 32 x 32 and back" in lines[1]
    assert read(tmp_path / "z" / "x" / "a.png").shape == (40, 40, 3)
    list(translate(run, folder / "a.png", output=tmp_path / "one.png"))
    assert np.array_equal(read(tmp_path / "one.png"), read(tmp_path / "z" / "x" / "a.png"))
    list(translate(run, folder / "a.png", n=2, seed=5))
    first, second = (read(run / "translated" / f"a-{k}.png") for k in (1, 2))
    assert not np.array_equal(first, second)
    x = read(folder / "a.png")
    assert np.array_equal(second, gf.load(run).translate(x, 6))


def test_no_picture_is_replaced_unless_it_may_be(run: Path, tmp_path: Path) -> None:
    folder = pictures_in(tmp_path / "in")
    before = (folder / "a.png").read_bytes()
    with pytest.raises(UsageError, match=r"in/a.png exists: add --overwrite"):
        list(translate(run, folder, output=folder))
    assert (folder / "a.png").read_bytes() == before and not (folder / "b.png").exists()
    list(translate(run, folder / "a.png", output=folder / "a.png", overwrite=True))
    assert (folder / "a.png").read_bytes() != before
    said = [next(iter(translate(run, folder / name))) for name in ("a.png", "b.jpg", "a.png")]
    assert ["in place of" in line for line in said] == [False, False, True]


def test_two_pictures_of_one_stem_do_not_overwrite_each_other() -> None:
    found = planned(Path("in"), ["a.jpg", "a.png", "b.png"], Path("out"), 1)
    assert [str(f) for files in found.values() for f in files] == [
        "out/a.jpg.png", "out/a.png.png", "out/b.png"]  # fmt: skip


def test_what_cannot_be_translated_is_said_in_a_line(run: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such picture, folder or zip"):
        list(translate(run, tmp_path / "nothing"))
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(DataError, match=r"a.txt: not a picture"):
        list(translate(run, tmp_path / "a.txt"))
    with pytest.raises(UsageError, match="n = 0"):
        list(translate(run, tmp_path, n=0))
    config = recipes.dcgan()
    small = replace(config, networks=nets.DCGAN(2, 2))
    g = nets.build(small.networks, DataSpec((1, 16, 16)), 8)["generator"]
    model.save(tmp_path / "d", Sampler(g, DataSpec((1, 16, 16)), Noise(8)), small, {})
    with pytest.raises(UsageError, match=r"makes pictures from noise and translates none: use"):
        list(translate(tmp_path / "d", tmp_path))
    quiet = made("cyclegan")
    cycle = narrow(recipes.cyclegan())
    model.save(tmp_path / "c", quiet, cycle, {})
    with pytest.raises(UsageError, match="-n 2: cyclegan has no randomness"):
        list(translate(tmp_path / "c", tmp_path, n=2))
