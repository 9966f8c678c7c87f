"""The page of a run: what is on it, and what an incomplete or damaged run gives."""

import json
import math
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from ganforge import images, recipes
from ganforge.data import load
from ganforge.data.spec import DataSpec
from ganforge.errors import DataError, DiskError
from ganforge.plotting import overview, strips, style
from ganforge.runs import folder as runs
from ganforge.runs import load as runs_load
from ganforge.runs.folder import Run
from ganforge.runs.samples import moments
from tests.helpers.drawn import (
    STEPS,
    colours,
    opened,
    picture_run,
    pixels,
    record,
    run_folder,
    shade,
    vector_run,
)


@pytest.mark.parametrize("shape", [(3, 16, 48), (1, 28, 28), (3, 64, 64), (3, 128, 128)])
def test_overview_shows_the_newest_grid_beside_the_strip(
    tmp_path: Path, shape: tuple[int, int, int]
) -> None:
    run = picture_run(tmp_path / "run", DataSpec(shape))
    data = overview.overview(run)
    assert opened(data).width == 2000
    counts = colours(data)
    area = counts[shade(63, 400)]
    scale = math.isqrt(area // (shape[1] * shape[2]))
    assert area == shape[1] * shape[2] * scale**2 > 0  # whole multiples: no blur
    for i in range(8):  # rows of the strip: in the grid, and last in the strip
        assert counts[shade(i, 400)] == 2 * area and counts[shade(i, 0)] == area
    assert all(counts[shade(i, 400)] == area for i in range(8, 64))


def test_the_layout_comes_from_the_data_before_there_is_a_model(tmp_path: Path) -> None:
    run = picture_run(tmp_path / "run", DataSpec((1, 28, 28), 10))
    with_model = overview.overview(run)
    (run.model / "config.json").unlink()
    assert overview.overview(run) == with_model  # MNIST, with labels


def test_samples_of_one_moment_alone(tmp_path: Path) -> None:
    run = picture_run(tmp_path / "run", DataSpec((1, 28, 28)))
    for path in sorted(run.samples.iterdir())[1:]:
        path.unlink()
    run.log_path.unlink()
    assert opened(overview.overview(run)).width == 2000
    assert opened(strips.animation(run)).n_frames == 1  # type: ignore[attr-defined]


def test_a_grid_of_large_pictures_alone_keeps_its_lines(tmp_path: Path) -> None:
    """Fewer columns are shown than the grid has: every line begins with the noise it began with."""
    run = picture_run(tmp_path / "run", DataSpec((3, 100, 100)), count=85)
    for path in sorted(run.samples.iterdir())[:-1]:
        path.unlink()
    figure = strips.picture_page(run, moments(run), 70)
    seen = pixels(figure)
    first = np.argwhere(seen == shade(0, 400)).min(0)
    below = np.argwhere(seen == shade(10, 400)).min(0)
    assert below[1] == first[1] and below[0] > first[0]


def test_overview_of_the_gaussian(tmp_path: Path) -> None:
    run = vector_run(tmp_path / "run", recipes.gaussian())
    assert opened(overview.overview(run)).size == (2000, 1680)
    newest, *panels = overview.point_page(run, moments(run), 70).axes
    assert newest.get_title("left") == "Samples at epoch 4"
    assert [a.get_title() for a in panels] == [f"epoch {i}" for i in range(5)]
    assert all(len(a.collections) == 2 for a in panels)
    assert len({a.get_xlim() for a in panels}) == 1
    gif = opened(strips.animation(run))
    assert gif.n_frames == 5 and gif.size == (500, 500)  # type: ignore[attr-defined]


def test_overview_of_the_one_dimensional_game(tmp_path: Path) -> None:
    run = vector_run(tmp_path / "run", recipes.figure1())
    assert opened(overview.overview(run)).size == (2000, 1680)
    axes = overview.point_page(run, moments(run), 70).axes
    assert all({"data", "generated"} == {x.get_label() for x in a.lines} for a in axes)
    assert opened(strips.animation(run)).size == (500, 340)


def test_d_comes_from_the_newest_checkpoint(tmp_path: Path) -> None:
    import torch

    from ganforge.gan import state
    from ganforge.runs import checkpoint
    from ganforge.training import build

    recipe = recipes.figure1()
    run = vector_run(tmp_path / "run", recipe)
    assert runs_load.discriminator(run) is None
    run.model.mkdir()
    spec = load.load(recipe.data).spec
    (run.model / "config.json").write_text(json.dumps({"spec": asdict(spec), "class_names": []}))
    began = build.initial(recipe, spec)
    checkpoint.save(run.checkpoints, 1, state.tensors(began), {})
    judge = runs_load.discriminator(run)
    assert judge is not None
    x = np.linspace(-3, 3, 7)[:, None]
    with torch.no_grad():
        logit = began.players.discriminator(torch.from_numpy(x).float(), None, None)
    assert judge(x) == pytest.approx(torch.sigmoid(logit).flatten().numpy())
    assert opened(overview.overview(run)).size == (2000, 1680)


def test_an_empty_run_says_so(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "run", recipes.gaussian(), [])
    with pytest.raises(DataError, match="none of its 0 log records has a finite loss"):
        overview.overview(run)
    with pytest.raises(DataError, match="no samples yet in"):
        strips.animation(run)


def test_a_run_without_samples_shows_its_losses(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "run", recipes.gaussian(), [record(100)])
    assert opened(overview.overview(run)).size == (2000, 700)


def test_a_run_without_finite_losses_shows_its_samples(tmp_path: Path) -> None:
    run = vector_run(tmp_path / "run", recipes.gaussian())
    nan = [record(s, loss_d=math.nan, loss_g=math.nan) for s in STEPS[1:]]
    run.log_path.unlink()
    runs.append_log(run.log_path, nan)
    assert opened(overview.overview(run)).size == (2000, 1120)


@pytest.mark.parametrize("damage", [b"", b"not a picture", "half"])
@pytest.mark.parametrize("kind", ["picture", "vectors"])
def test_a_damaged_sample_file_is_named(tmp_path: Path, kind: str, damage: bytes | str) -> None:
    path = tmp_path / "run"
    run = (
        picture_run(path, DataSpec((1, 28, 28)))
        if kind == "picture"
        else vector_run(path, recipes.gaussian())
    )
    newest = max(run.samples.iterdir())
    data = newest.read_bytes()
    newest.write_bytes(damage if isinstance(damage, bytes) else data[: len(data) // 2])
    for draw in (overview.overview, strips.animation):
        with pytest.raises((DataError, DiskError), match=newest.name) as caught:
            draw(run)
        assert "pickle" not in str(caught.value)


def test_a_picture_of_another_size_is_refused(tmp_path: Path) -> None:
    run = picture_run(tmp_path / "run", DataSpec((1, 28, 28)))
    newest = max(run.samples.iterdir())
    newest.write_bytes(images.png(np.zeros((50, 50, 3), np.uint8)))
    with pytest.raises(DataError, match="50 x 50 pixels is no grid of this run"):
        overview.overview(run)


# many seeds


def test_seeds_share_a_page_with_their_median(tmp_path: Path) -> None:
    runs_ = {seed: vector_run(tmp_path / f"seed-{seed}", recipes.gaussian()) for seed in range(3)}
    page = overview.of_seeds({**runs_, 3: Run(tmp_path / "none")}, 4)
    assert page is not None and opened(page).size == (2000, 2 * (overview.TOP + 40 + 165))
    assert overview.of_seeds({3: Run(tmp_path / "none")}, 4) is None
    newest = max(runs_[1].samples.iterdir())
    newest.write_bytes(b"damaged")
    damaged = overview.of_seeds(runs_, 3)
    assert damaged is not None and opened(damaged).size == opened(page).size  # with its curves


def test_the_curves_of_seeds_are_drawn_one_by_one_or_as_a_band() -> None:
    logs = [[record(s, loss_d=float(i)) for s in (100, 200)][: 1 + i % 2] for i in range(5)]
    few, many = (style.add_axes(style.page(100), 0, 0, 100, 100) for _ in range(2))
    overview.draw_seed_curves(few, logs, "loss_d", style.D)
    overview.draw_seed_curves(many, logs * 20, "loss_d", style.D)
    assert len(few.lines) == 6 and not few.collections
    assert few.lines[-1].get_ydata().tolist() == [2.0, 2.0]  # the median of 0..4, and of 1 and 3
    assert len(many.lines) == 1 and len(many.collections) == 1
    for axes, names in ((few, ["a seed", "median"]), (many, ["90 % of seeds", "median"])):
        style.add_legend(axes)
        assert [text.get_text() for text in axes.get_legend().get_texts()] == names


def test_seeds_with_one_record_are_dots_that_are_whole() -> None:
    axes = style.add_axes(style.page(100), 0, 0, 100, 100)
    overview.draw_seed_curves(axes, [[record(100, loss_d=i)] for i in range(3)], "loss_d", style.D)
    assert all(line.get_marker() == "o" for line in axes.lines[:3])
    assert axes.get_xlim()[1] > axes.lines[0].get_xdata()[0]


def test_the_colours_of_points_of_seeds_are_named(tmp_path: Path) -> None:
    figures: list[Figure] = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(style, "png", lambda figure: figures.append(figure) or b"")
        overview.of_seeds({0: vector_run(tmp_path / "seed-0", recipes.gaussian())}, 1)
    said = [text.get_text() for text in figures[0].texts]
    assert {"\u25cf real", "\u25cf generated"} <= set(said)


def test_pictures_of_seeds_have_a_row_each(tmp_path: Path) -> None:
    runs_ = {seed: picture_run(tmp_path / f"{seed}", DataSpec((1, 28, 28))) for seed in range(14)}
    page = overview.of_seeds(runs_, 14)
    assert page is not None
    counts = colours(page)
    for noise in range(overview.PICTURES):
        assert counts[shade(noise, 400)] == overview.PANELS * (28 * 2) ** 2
    assert shade(overview.PICTURES, 400) not in counts
