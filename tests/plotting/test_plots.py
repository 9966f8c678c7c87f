"""Pictures of runs: what is drawn, how often, from which files; and what an incomplete run gives.

The run folders are made by hand, so that every tile and every record is known.
"""

import json
import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from ganforge import files, recipes
from ganforge import images as pictures
from ganforge.config import convert
from ganforge.config.schema import Config
from ganforge.data import load
from ganforge.data.spec import DataSpec
from ganforge.errors import DataError, DiskError
from ganforge.gan.adversarial import Adversarial
from ganforge.plotting import history, plots
from ganforge.plotting.history import Tiling
from ganforge.runs import folder as runs
from ganforge.runs import load as runs_load
from ganforge.runs import samples as runs_samples
from ganforge.runs.folder import Run
from ganforge.runs.samples import Moment
from tests.helpers.drawn import opened, pixels, record

STEPS = [0, 100, 200, 300, 400]


def folder(path: Path, recipe: Config, log: list[dict[str, Any]], **info: Any) -> Run:
    """A run folder without samples and model."""
    run = Run(path)
    run.samples.mkdir(parents=True)
    (path / runs.CONFIG).write_text(convert.dumps(recipe))
    run.write_info(status="finished", **info)
    runs.append_log(run.log_path, log)
    return run


def shade(noise: int, step: int) -> int:
    """The one colour of a made-up picture, 0xRRGGBB: it tells its noise and its step."""
    return (noise * 3 << 16) + (step // 2 << 8) + 200


def colours(data: bytes | Figure) -> dict[int, int]:
    """How many pixels there are of each colour."""
    values, counts = np.unique(pixels(data), return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))


def picture_run(path: Path, spec: DataSpec, names: tuple[str, ...] = (), count: int = 64) -> Run:
    """A run whose picture i at step s is all of `shade(i, s)`."""
    recipe = recipes.cdcgan() if spec.classes else recipes.dcgan()
    recipe = replace(recipe, output=replace(recipe.output, grid=count))
    run = folder(path, recipe, [record(s) for s in STEPS[1:]])
    run.model.mkdir()
    table = {"spec": asdict(spec), "class_names": names}
    (run.model / "config.json").write_text(json.dumps(table))
    rows, columns = pictures.layout(count, spec.classes)
    _, height, width = spec.shape
    for step in STEPS:
        numbers = [shade(i, step) for i in range(rows * columns if spec.classes else count)]
        shades = np.array([[n >> 16, n >> 8 & 255, n & 255] for n in numbers], np.uint8)
        images = np.broadcast_to(shades[:, None, None], (len(shades), height, width, 3))
        grid = pictures.grid(images, columns)
        files.save_file(run.samples / f"{step:09d}.png", pictures.png(grid))
    return run


def vector_run(path: Path, recipe: Config, **info: Any) -> Run:
    """A run of vectors: its samples are the data, moved by less and less."""
    data = load.load(recipe.data)
    run = folder(
        path, recipe, [record(s) for s in STEPS[1:]], **{"data_sha256": data.sha256, **info}
    )
    for step in STEPS:
        samples = data.values[-100:] + np.float32(1 - step / 400)
        files.save_file(run.samples / f"{step:09d}.npz", files.npz(samples=samples))
    return run


def texts(figure: Figure) -> list[str]:
    return [t.get_text() for t in figure.texts] + [a.get_title("left") for a in figure.axes]


# what losses are held against


@pytest.mark.parametrize("loss", ["minimax", "non-saturating", "relativistic"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("halve", [False, True])
def test_references_are_the_losses_where_d_cannot_tell(
    loss: str, smoothing: float, halve: bool
) -> None:
    """Against the losses themselves, at the logit of the best D for p_g = p_data."""
    import torch

    from ganforge.gan.losses import LOSSES

    if loss == "relativistic" and smoothing:
        return
    game = Adversarial(loss=loss, smoothing=smoothing, halve=halve and loss != "relativistic")
    even = plots.balance(asdict(game))
    d = 0.5 if even is None else even
    assert d == pytest.approx((1 - smoothing) / 2)
    logit = torch.tensor([math.log(d / (1 - d))], dtype=torch.float64)
    of_d = LOSSES[loss].discriminator(logit, logit) + smoothing * logit
    of_g = LOSSES[loss].generator(logit, logit)
    expected = [float(of_d) / (2 if game.halve else 1), float(of_g)]
    named = list(plots.references(asdict(game)).values())
    assert sorted(set(named)) == pytest.approx(sorted({round(v, 12) for v in expected}))


@pytest.mark.parametrize("loss", ["least-squares", "wasserstein", "hinge"])
def test_other_games_have_no_reference(loss: str) -> None:
    game = asdict(Adversarial(loss=loss))
    assert plots.references(game) == {} and plots.balance(game) is None


# runs of pictures


def test_strip_has_a_row_a_noise_and_a_column_a_moment(tmp_path: Path) -> None:
    run = picture_run(tmp_path / "run", DataSpec((1, 28, 28)))
    figure = plots.strip(run)
    counts = colours(figure)
    for noise in range(16):
        for step in STEPS:
            assert counts[shade(noise, step)] == (28 * 4) ** 2, (noise, step)
    assert shade(16, 0) not in counts
    assert texts(figure)[1:6] == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize("shape", [(3, 16, 48), (1, 28, 28), (3, 64, 64), (3, 128, 128)])
def test_overview_shows_the_newest_grid_beside_the_strip(
    tmp_path: Path, shape: tuple[int, int, int]
) -> None:
    run = picture_run(tmp_path / "run", DataSpec(shape))
    data = plots.overview(run)
    assert opened(data).width == 2000
    counts = colours(data)
    area = counts[shade(63, 400)]
    scale = math.isqrt(area // (shape[1] * shape[2]))
    assert area == shape[1] * shape[2] * scale**2 > 0  # whole multiples: no blur
    for i in range(8):  # rows of the strip: in the grid, and last in the strip
        assert counts[shade(i, 400)] == 2 * area and counts[shade(i, 0)] == area
    assert all(counts[shade(i, 400)] == area for i in range(8, 64))


def test_labels_have_a_row_each_with_its_name(tmp_path: Path) -> None:
    names = ("cat", "a very long name", "犬", "$x$", "d", "e", "f", "g", "h", "i")
    run = picture_run(tmp_path / "run", DataSpec((1, 28, 28), 10), names)
    figure = plots.strip(run)
    counts = colours(figure)
    first = [row * 7 for row in range(10)]  # 10 rows of 7: the same noise for every label
    for i in range(70):
        assert (shade(i, 100) in counts) == (i in first)
    assert texts(figure)[-11:-1] == ["cat", "a very l…", "2", "$x$", *"defghi"]
    assert opened(plots.overview(run)).width == 2000


def test_pictures_above_128_pixels_are_averaged_down(tmp_path: Path) -> None:
    layout = Tiling(256, 256, 0, 4)
    image = np.zeros((4, 256, 256, 1), np.uint8)
    image[:, ::2] = 200
    path = tmp_path / "000000001.png"
    path.write_bytes(pictures.png(pictures.grid(image, 2)))
    tiles = history.tiles(Moment(1, 1.0, path), layout)
    assert tiles.shape == (4, 128, 128, 3) and set(tiles.ravel()) == {100}


def test_animation_has_a_frame_a_moment(tmp_path: Path) -> None:
    run = picture_run(tmp_path / "run", DataSpec((1, 28, 28)), count=16)
    gif = opened(plots.animation(run))
    assert gif.format == "GIF" and gif.n_frames == 5  # type: ignore[attr-defined]
    assert gif.size == (122 * 4, 122 * 4 + 30)
    for i, step in enumerate(STEPS):
        gif.seek(i)
        at = gif.convert("RGB").getpixel((4 * 20, 4 * 20))
        assert at == pytest.approx((0, step // 2, 200), abs=8)  # a palette of 256


def test_animation_of_many_moments_is_thinned() -> None:
    items = list(range(1000))
    frames = history.chosen(items, plots.FRAMES)
    assert len(frames) == 100 and frames[0] == 0 and frames[-1] == 999
    assert np.diff(frames).max() - np.diff(frames).min() <= 1
    assert history.chosen(items[:3], 12) == [0, 1, 2]
    assert history.chosen(items, 1) == [999] and history.chosen([], 5) == []


def test_the_layout_comes_from_the_data_before_there_is_a_model(tmp_path: Path) -> None:
    run = picture_run(tmp_path / "run", DataSpec((1, 28, 28), 10))
    with_model = plots.overview(run)
    (run.model / "config.json").unlink()
    assert plots.overview(run) == with_model  # MNIST, with labels


def test_samples_of_one_moment_alone(tmp_path: Path) -> None:
    run = picture_run(tmp_path / "run", DataSpec((1, 28, 28)))
    for path in sorted(run.samples.iterdir())[1:]:
        path.unlink()
    run.log_path.unlink()
    assert opened(plots.overview(run)).width == 2000
    assert opened(plots.animation(run)).n_frames == 1  # type: ignore[attr-defined]
    assert opened(plots.png(plots.strip(run))).width > 0


# runs of vectors


def test_overview_of_the_gaussian(tmp_path: Path) -> None:
    run = vector_run(tmp_path / "run", recipes.gaussian())
    assert opened(plots.overview(run)).size == (2000, 1680)
    figure = plots.strip(run)
    assert [a.get_title() for a in figure.axes] == [f"epoch {i}" for i in range(5)]
    assert all(len(a.collections) == 2 for a in figure.axes)
    assert len({a.get_xlim() for a in figure.axes}) == 1
    gif = opened(plots.animation(run))
    assert gif.n_frames == 5 and gif.size == (500, 500)  # type: ignore[attr-defined]


def test_overview_of_the_one_dimensional_game(tmp_path: Path) -> None:
    run = vector_run(tmp_path / "run", recipes.figure1())
    assert opened(plots.overview(run)).size == (2000, 1680)
    figure = plots.strip(run)
    assert all({"data", "generated"} == {x.get_label() for x in a.lines} for a in figure.axes)
    assert opened(plots.animation(run)).size == (500, 340)


def test_only_the_runs_own_data_count_as_real(tmp_path: Path) -> None:
    run = vector_run(tmp_path / "run", recipes.gaussian())
    newest = runs_samples.moments(run)[-1].points()
    known = history.truth(run, newest)
    assert known.real is not None and known.single and known.density is not None
    data = load.load("gaussian").values
    assert sorted(known.real[:, 0]) == pytest.approx(sorted(data[:, 0].astype(float)))
    run.write_info(data_sha256="of other data")
    assert history.truth(run, newest).real is None
    assert opened(plots.overview(run)).size == (2000, 1680)


def test_modes_are_not_described_by_an_ellipse(tmp_path: Path) -> None:
    run = vector_run(tmp_path / "run", replace(recipes.gaussian(), data="ring"))
    assert not history.truth(run, runs_samples.moments(run)[-1].points()).single


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
    assert opened(plots.overview(run)).size == (2000, 1680)


# runs that are not whole


def test_an_empty_run_says_so(tmp_path: Path) -> None:
    run = folder(tmp_path / "run", recipes.gaussian(), [])
    with pytest.raises(DataError, match="none of its 0 log records has a finite loss"):
        plots.overview(run)
    for draw in (plots.strip, plots.animation):
        with pytest.raises(DataError, match="no samples yet in"):
            draw(run)  # type: ignore[operator]


def test_a_run_without_samples_shows_its_losses(tmp_path: Path) -> None:
    run = folder(tmp_path / "run", recipes.gaussian(), [record(100)])
    assert opened(plots.overview(run)).size == (2000, 700)


def test_a_run_without_finite_losses_shows_its_samples(tmp_path: Path) -> None:
    run = vector_run(tmp_path / "run", recipes.gaussian())
    nan = [record(s, loss_d=math.nan, loss_g=math.nan) for s in STEPS[1:]]
    run.log_path.unlink()
    runs.append_log(run.log_path, nan)
    assert opened(plots.overview(run)).size == (2000, 1120)


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
    for draw in (plots.overview, plots.strip, plots.animation):
        with pytest.raises((DataError, DiskError), match=newest.name) as caught:
            draw(run)  # type: ignore[operator]
        assert "pickle" not in str(caught.value)


def test_a_picture_of_another_size_is_refused(tmp_path: Path) -> None:
    run = picture_run(tmp_path / "run", DataSpec((1, 28, 28)))
    newest = max(run.samples.iterdir())
    newest.write_bytes(pictures.png(np.zeros((50, 50, 3), np.uint8)))
    with pytest.raises(DataError, match="50 x 50 pixels is no grid of this run"):
        plots.overview(run)


def test_moments_know_their_epoch(tmp_path: Path) -> None:
    run = picture_run(tmp_path / "run", DataSpec((1, 28, 28)))
    (run.samples / "notes.txt").write_text("not a sample")
    assert [(m.step, m.text) for m in runs_samples.moments(run)] == [
        (0, "epoch 0"), (100, "epoch 1"), (200, "epoch 2"), (300, "epoch 3"), (400, "epoch 4"),
    ]  # fmt: skip
    run.log_path.unlink()
    assert [m.text for m in runs_samples.moments(run)][:2] == ["epoch 0", "step 100"]


@pytest.mark.parametrize(
    ("epoch", "text"),
    [(0, "0"), (0.02, "0.02"), (0.125, "0.12"), (0.99, "1"), (1.16, "1.16"), (2.5, "2.5"),
     (3.994, "4"), (12.34, "12.3"), (99.99, "100"), (1234.5, "1,234")],
)  # fmt: skip
def test_epochs_are_short(epoch: float, text: str) -> None:
    assert runs_samples.epoch_text(epoch) == text
