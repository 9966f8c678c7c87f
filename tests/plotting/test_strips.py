"""Samples over time: which pictures and points are drawn, how large, from which files."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from ganforge import images, recipes
from ganforge.data.spec import DataSpec
from ganforge.plotting import overview, strips
from ganforge.plotting.strips import Tiling
from ganforge.runs.samples import Moment, moments, spread
from tests.helpers.drawn import STEPS, colours, opened, picture_run, shade, texts, vector_run


def test_strip_has_a_row_a_noise_and_a_column_a_moment(tmp_path: Path) -> None:
    run = picture_run(tmp_path / "run", DataSpec((1, 28, 28)), count=16)
    figure = strips.picture_page(run, moments(run), 70)
    counts = colours(figure)
    area = counts[shade(15, 400)]  # in the grid alone
    for noise in range(4):
        for step in STEPS:
            assert counts[shade(noise, step)] == area * (1 + (step == 400)), (noise, step)
    assert shade(4, 0) not in counts
    assert texts(figure)[2:7] == ["0", "1", "2", "3", "4"]


def test_labels_have_a_row_each_with_its_name(tmp_path: Path) -> None:
    names = ("cat", "a very long name", "犬", "$x$", "d", "e", "f", "g", "h", "i")
    run = picture_run(tmp_path / "run", DataSpec((1, 28, 28), 10), names)
    figure = strips.picture_page(run, moments(run), 70)
    counts = colours(figure)
    first = [row * 7 for row in range(10)]  # 10 rows of 7: the same noise for every label
    for i in range(70):
        assert (shade(i, 100) in counts) == (i in first)
    assert texts(figure)[1:11] == ["cat", "a very l…", "2", "$x$", *"defghi"]
    assert opened(overview.overview(run)).width == 2000


def test_pictures_above_128_pixels_are_averaged_down(tmp_path: Path) -> None:
    layout = Tiling(256, 256, 0, 4)
    image = np.zeros((4, 256, 256, 1), np.uint8)
    image[:, ::2] = 200
    path = tmp_path / "000000001.png"
    path.write_bytes(images.png(images.grid(image, 2)))
    tiles = strips.tiles(Moment(1, 1.0, path), layout)
    assert tiles.shape == (4, 128, 128, 3) and set(tiles.ravel()) == {100}


def test_pictures_are_enlarged_up_to_200_pixels_or_as_far_as_the_strip_is_not_too_tall() -> None:
    def scale(side: int, rows: int) -> int:
        return strips.fit(1e6, 0, np.zeros((rows, side, side, 3), np.uint8), 2)[0]

    assert [scale(side, 1) for side in (100, 101, 200)] == [2, 1, 1]
    assert [scale(24, rows) for rows in (1, 20, 30)] == [8, 4, 2]  # 2000 pixels of height


def test_animation_has_a_frame_a_moment(tmp_path: Path) -> None:
    run = picture_run(tmp_path / "run", DataSpec((1, 28, 28)), count=16)
    gif = opened(strips.animation(run))
    assert gif.format == "GIF" and gif.n_frames == 5  # type: ignore[attr-defined]
    assert gif.size == (122 * 4, 122 * 4 + 30)
    for i, step in enumerate(STEPS):
        gif.seek(i)
        at = gif.convert("RGB").getpixel((4 * 20, 4 * 20))
        assert at == pytest.approx((0, step // 2, 200), abs=8)  # a palette of 256


def test_animation_of_many_moments_is_thinned() -> None:
    items = list(range(1000))
    frames = spread(items, strips.FRAMES)
    assert len(frames) == 100 and frames[0] == 0 and frames[-1] == 999
    assert np.diff(frames).max() - np.diff(frames).min() <= 1
    assert spread(items[:3], 12) == [0, 1, 2]
    assert spread(items, 1) == [999] and spread([], 5) == []


def test_moments_of_the_same_epoch_have_a_panel_each(tmp_path: Path) -> None:
    run = vector_run(tmp_path / "run", recipes.gaussian())
    for record_ in range(100_000, 100_003):  # epochs 1,000.00 to 1,000.02
        shutil.copy(run.samples / "000000400.npz", run.samples / f"{record_:09d}.npz")
    panels = overview.point_page(run, moments(run), 70).axes[1:]
    assert [a.get_title() for a in panels][-3:] == ["epoch 1,000"] * 3
    assert len(panels) == len(STEPS) + 3
