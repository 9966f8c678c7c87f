"""Samples over time for the slider: which moments, how large, and what is said of them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from ganforge.report import film
from ganforge.runs.folder import Run
from ganforge.runs.samples import moments


def test_many_frames_are_thinned_and_the_film_says_so(digits: Path, tmp_path: Path) -> None:
    path = tmp_path / "r"
    shutil.copytree(digits, path)
    grid = max((path / "samples").iterdir()).read_bytes()
    for step in range(100, 200):
        (path / "samples" / f"{step:09d}.png").write_bytes(grid)
    made_ = film.of_run(Run(path))
    assert made_ is not None and len(made_.frames) == film.FRAMES
    assert made_.note == f"{film.FRAMES} of {len(moments(Run(path)))} moments"
    fewer = film.of_run(Run(path), most_bytes=5 * len(made_.frames[-1].image))
    assert fewer is not None and 2 <= len(fewer.frames) < 12
    assert fewer.frames[-1] == made_.frames[-1]
    assert len(made_.keys) == film.KEYS and {0, len(made_.frames) - 1} < set(made_.keys)


@pytest.mark.parametrize(
    ("names", "named"),
    [(tuple("0123456789"), True), (("cats", "dogs"), True), ((), False), (("long",) * 20, False)],
)
def test_names_are_over_the_columns_if_all_fit(names: tuple[str, ...], named: bool) -> None:
    assert film.Film((), 1, 1, names).named is named


def test_a_film_of_points_says_which_part_of_the_plane_it_shows() -> None:
    limits = np.array([[-2.0, -5.5], [4.0, 9.25]])
    assert film.extent(limits) == "-2 to 4 across, -5.5 to 9.2 up"
    assert film.extent(limits[:, :1]) == "-2 to 4 across"


def test_a_density_fills_the_panel_from_edge_to_edge() -> None:
    x, y = film.placed(np.array([2.0, 3.0, 6.0]), np.array([0.0, 1.0, 9.0]), 100, 2.0)
    assert x.tolist() == [0, film.SIDE / 4, film.SIDE]
    assert y.tolist() == [96, 52, 8]  # what is above the top stays at the top
