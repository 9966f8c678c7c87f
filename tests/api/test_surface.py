"""`import ganforge as gf`: training, data that are objects, and what a run shows of itself."""

from __future__ import annotations

import importlib
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import ganforge as gf
from ganforge import images, recipes
from ganforge.api import objects as objects_api
from ganforge.api import settings, target
from ganforge.api.results import Saved
from ganforge.data import objects
from ganforge.data.load import load
from ganforge.evaluation.score import Score
from ganforge.rng import Stream
from ganforge.runs import folder
from ganforge.runs.folder import Run
from ganforge.sampling.sampler import Sampler

SMALL = {"generator_width": 4, "discriminator_width": 4}
COUNT = 2000


def noise(*shape: int, seed: int = 0) -> Any:
    count = int(np.prod(shape))
    return Stream(seed, "surface").integers(0, count, 256).astype(np.uint8).reshape(shape)


class Pairs:
    """A map-style data set of (picture, label)."""

    classes = ("cat", "dog")

    def __init__(self, count: int = 12, random: bool = False) -> None:
        self.values, self.random, self.readings = noise(count, 16, 16), random, 0

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, i: int) -> tuple[Image.Image, int]:
        self.readings += 1
        value = self.values[i]
        if self.random and self.readings % 7 == 0:
            value = value[:, ::-1]
        return Image.fromarray(value), i % 2


class Rows:
    """What a Hugging Face data set offers: rows by number, features by column."""

    class Names:
        names = ("cat", "dog")

    column_names = ("image", "label")
    features = {"image": object(), "label": Names()}  # noqa: RUF012

    def __init__(self, count: int = 12) -> None:
        self.pairs = Pairs(count)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, i: int) -> dict[str, Any]:
        picture, label = self.pairs[i]
        return {"image": picture, "label": label}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A run of few steps on an array, trained by keywords."""
    out = tmp_path_factory.mktemp("surface") / "run"
    return gf.train(
        "dcgan", out, data=noise(COUNT, 16, 16), networks=SMALL, batch=20, epochs=0.05, seed=3,
        loss="hinge", lr=1e-3, generator={"betas": [0.0, 0.9]}, show="quiet", race=False,
    )  # fmt: skip


# --- training ----------------------------------------------------------------------------------


@pytest.mark.parametrize("timeout", [0, -1, float("inf"), float("nan")])
def test_a_timeout_that_is_none_is_refused(timeout: float, tmp_path: Path) -> None:
    with pytest.raises(gf.UsageError, match=r"^timeout = "):
        gf.train("gaussian", tmp_path / "run", timeout=timeout, kimg=0.008, show="quiet")
    assert not (tmp_path / "run").exists()


def test_a_refusal_is_told_though_the_stored_data_are_gone(tmp_path: Path) -> None:
    config = recipes.find("dcgan")

    def refused() -> None:
        with objects_api.stored(config, tmp_path, noise(COUNT, 16, 16), None) as (found, _):
            shutil.rmtree(found.data)
            raise gf.UsageError("refused")

    with pytest.raises(gf.UsageError, match="refused"):
        refused()


def test_a_run_that_has_recorded_nothing_is_at_step_0_of_0(tmp_path: Path) -> None:
    run, config = Run(tmp_path / "run"), recipes.find("gaussian")
    folder.prepare(run.path, config)
    (run.path / "run.json").write_text("{}")
    spec = load("gaussian").spec
    shown = repr(Saved(run, Sampler(nn.Identity(), spec, config.noise)))
    assert shown.startswith("gaussian on gaussian in") and shown.endswith("at step 0 of 0"), shown


def test_keywords_are_settings_of_the_config_the_game_and_the_players(run: Any) -> None:
    stored = run.run.settings()
    assert (stored["seed"], stored["batch"], stored["game"]["loss"]) == (3, 20, "hinge")
    assert stored["networks"]["generator_width"] == 4
    assert stored["generator"] | {"lr": 1e-3, "betas": [0.0, 0.9]} == stored["generator"]
    assert stored["discriminator"]["lr"] == 1e-3


def test_a_run_on_an_object_goes_on_without_the_object(run: Any) -> None:
    store = run.path / "data"
    assert run.run.settings()["data"] == str(store)
    known = load(str(store)).sha256
    assert run.run.info()["data_sha256"] == known
    longer = gf.train(run.path, epochs=0.08, show="quiet")
    assert longer.finished and longer.progress.steps > run.progress.steps
    with pytest.raises(gf.DataError, match="not those that the run was trained on"):
        gf.train(run.path, epochs=0.08, data=noise(COUNT, 16, 16, seed=1), show="quiet")
    assert gf.train(run.path, epochs=0.08, data=noise(COUNT, 16, 16), show="quiet").finished


def test_a_run_on_an_object_is_scored_and_diagnosed_without_it(run: Any) -> None:
    (score,) = gf.evaluate(run.path, metrics=["sliced-wasserstein"], split="validation", n=100)
    assert score.n == 100 and gf.load(run.path).scores == (score,)
    assert gf.load(run.path).evaluate(metrics=["mmd"], n=100, split="validation")[0].name == "mmd"
    assert gf.diagnose(run).checked and run.diagnose().checked


def test_a_refused_run_of_an_object_leaves_no_store_and_no_folder(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    with pytest.raises(gf.UsageError, match="labels"):
        gf.train("cdcgan", tmp_path / "runs/a/b", data=noise(20, 16, 16), show="quiet")
    assert list(tmp_path.rglob("*")) == [tmp_path / "runs"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gf.train(3), "3: expected a recipe's name such as 'cdcgan'"),
        (lambda: gf.train("cdcgam"), "did you mean 'cdcgan'"),
        (lambda: gf.train("dcgan", epoch=1), "unknown setting 'epoch': did you mean 'epochs'"),
        (lambda: gf.train("dcgan", labels=[1, 2]), "labels and no data"),
        (lambda: gf.diagnose(3), "expected a run of gf.train or gf.load"),
        (lambda: gf.plot("runs/x", "a.jpg"), "no such run"),
    ],
)
def test_wrong_arguments_are_named_with_the_remedy(call: Any, message: str) -> None:
    with pytest.raises(gf.GanforgeError, match=message):
        call()


# --- data that are objects ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "labels", "shape", "classes"),
    [
        (noise(12, 16, 16), None, (12, 16, 16, 1), 0),
        (torch.from_numpy(noise(12, 3, 16, 16)), torch.arange(12) % 3, (12, 16, 16, 3), 3),
        (np.zeros((12, 5)), np.arange(12), (12, 5), 12),
        (Pairs(), None, (12, 16, 16, 1), 2),
        (Rows(), None, (12, 16, 16, 1), 2),
        (torch.utils.data.TensorDataset(torch.rand(12, 3, 8, 8)), None, (12, 8, 8, 3), 0),
        ([Image.fromarray(noise(16, 16)), Image.new("RGB", (16, 16))], [0, 1], (2, 16, 16, 3), 2),
    ],
)
def test_objects_are_read(data: Any, labels: Any, shape: tuple[int, ...], classes: int) -> None:
    found = objects.read(data, labels)
    assert found.values.shape == shape and found.classes == classes


def test_values_and_labels_of_pairs_are_those_of_the_items() -> None:
    found, pairs = objects.read(Pairs()), Pairs()
    assert (found.values[..., 0] == pairs.values).all()
    assert found.labels is not None and found.labels.tolist() == [0, 1] * 6
    assert found.class_names == ("cat", "dog")


def test_pictures_of_different_sizes_get_one_size_by_request() -> None:
    pictures = [Image.fromarray(noise(16, 16)), Image.fromarray(noise(16, 24))]
    with pytest.raises(gf.DataError, match=r"2 shapes.*give size=16"):
        objects.read(pictures)
    assert objects.read(pictures, size=8).values.shape == (2, 8, 8, 1)


def test_a_data_set_with_random_transforms_is_refused() -> None:
    with pytest.raises(gf.UsageError, match="differs between two readings: leave random transfor"):
        objects.read(Pairs(random=True))


def test_an_object_above_the_limit_is_refused() -> None:
    for data in (noise(12, 16, 16), Pairs()):
        with pytest.raises(gf.UsageError, match="ganforge data pack"):
            objects.read(data, largest=12 * 256 - 1)
        objects.read(data, largest=12 * 256)


class Frame:
    def to_numpy(self) -> None:
        """As pandas has it."""


class Endless(torch.utils.data.IterableDataset[int]):
    def __iter__(self) -> Any:
        """As a stream has it."""


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (3.5, "data of type float: expected a name, a path, a NumPy array"),
        (torch.utils.data.DataLoader(Pairs()), "give its data set, loader.dataset"),  # type: ignore[arg-type]
        ({"train": 1, "test": 2}, r"one of its splits, such as data\['train', 'test'\]"),
        (Frame(), "give data.to_numpy"),
        (Endless(), "give a map-style data set"),
        ((i for i in range(3)), "give a map-style data set"),
        (["a.png"], "item 0 of data of type list is of type str"),
        ([(noise(4, 4), "cat")], "the label 'cat' is no whole number"),
        ([{"text": 1}], "a row with 'text'"),
    ],
)
def test_objects_of_other_kinds_are_refused_with_the_remedy(data: Any, message: str) -> None:
    with pytest.raises(gf.UsageError, match=message):
        objects.read(data)


# --- what a run shows --------------------------------------------------------------------------


def test_a_run_has_its_log_and_scores_as_records(run: Any, monkeypatch: Any) -> None:
    loaded = gf.load(run.path)
    assert loaded.log[-1]["step"] == loaded.progress["step"]
    assert {"loss_d", "loss_g"} <= loaded.log[-1].keys()
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(gf.UsageError, match="pip install pandas"):
        run.log.to_frame()
    pandas = ModuleType("pandas")
    pandas.DataFrame = list  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pandas", pandas)
    assert run.log.to_frame() == list(run.log)


def test_scores_show_their_table() -> None:
    from ganforge.api import Records

    score = Score("mmd", 0.25, 0.1, 0.2, 100, "pca", "f" * 64, 0, "test", "lower")
    records = Records([score])
    assert "mmd" in repr(records) and "0.25" in repr(records)
    assert "<td>0.25</td>" in records._repr_html_()
    assert repr(Records([{"step": 1}, {"step": 2}])) == "2 records of step"


def test_a_run_is_one_line_and_in_a_notebook_a_page(run: Any) -> None:
    for shown in (run, gf.load(run.path)):
        assert repr(shown).startswith(f"dcgan on {run.path / 'data'} in {run.path}: finished at")
        assert "\n" not in repr(shown) and len(repr(shown)) < 400
        page = shown._repr_html_()
        assert page.count("data:image/png") == 1
    gf.diagnose(run)
    assert "Findings" in gf.load(run.path)._repr_html_()
    found = gf.diagnose(run, save=False)
    assert (
        repr(found).startswith("no finding, but not called healthy: too early")
        and "checked" in found._repr_html_()
    )


def test_a_run_samples_and_plots(run: Any, tmp_path: Path) -> None:
    loaded = gf.load(run.path)
    assert run.sample(3).shape == loaded.sample(3, seed=1).shape == (3, 16, 16, 1)
    assert loaded.spec == run.sampler.spec  # what a sampler has
    picture = run.plot(tmp_path / "a.png")
    assert (
        picture.size == gf.plot(run.path).size == images.read_png(tmp_path / "a.png").shape[1::-1]
    )
    gf.plot(run, tmp_path / "film.gif")
    assert (tmp_path / "film.gif").read_bytes().startswith(b"GIF")


# --- the other doors ---------------------------------------------------------------------------


def test_compare_is_a_function_with_its_parts(run: Any, tmp_path: Path) -> None:
    with pytest.raises(gf.UsageError, match=r"give runs, as gf.compare\('runs/a', 'runs/b'\)"):
        gf.compare()
    with pytest.raises(gf.UsageError, match="not both"):
        gf.compare(run, recipes=["dcgan"])
    found = gf.compare(run, metrics=["mmd"], n=100, split="validation")
    assert [g.label for g in found.groups] == ["dcgan"] and "mmd" in gf.compare.text(found)
    parts = importlib.import_module("ganforge.experiments.compare")
    importlib.import_module("ganforge.compare")  # of 0.1: gf.compare stays the function
    assert all(getattr(gf.compare, name) is getattr(parts, name) for name in parts.__all__)
    assert callable(gf.compare)


def test_report_is_a_function_also_after_its_folder_was_imported(run: Any, tmp_path: Path) -> None:
    import ganforge.report.page  # noqa: F401

    assert gf.report(run) == run.path / "report.html"
    page = gf.report(run, run.path, output=tmp_path / "two.html")
    assert "<html" in page.read_text()


def test_figures_of_the_theory_are_functions(tmp_path: Path) -> None:
    assert all(callable(getattr(gf.theory, name)) for name in gf.theory.EXPERIMENTS)
    shown = gf.theory.losses()
    assert images.read_png(shown.save(tmp_path / "losses.png")).shape[1] > 700
    assert "saturate" in repr(shown) and "data:image/png" in shown._repr_html_()
    with pytest.raises(gf.UsageError, match=r"is saved as a .png"):
        shown.save(tmp_path / "losses.gif")


@pytest.mark.parametrize("name", gf.recipes.RECIPES)
def test_every_recipe_has_help(name: str) -> None:
    text = gf.recipes.RECIPES[name].__doc__ or ""
    assert all(heading in text for heading in ("System", "Source", "Reaches", "Command"))


def test_data_and_runs_are_named_as_on_the_command_line(run: Any, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for i in range(12):
        Image.fromarray(noise(32, 32, 3, seed=i)).save(pictures / f"{i}.png")
    config, folder = settings.started(str(pictures), None, {})
    assert (config.name, config.data, folder) == ("pictures", str(pictures), None)
    assert config == target.start(str(pictures), None, {}).config
    config, folder = settings.started(run.path, None, {})
    assert (config.seed, folder) == (3, run.path)
    with pytest.raises(gf.UsageError, match="goes on in its folder"):
        settings.started(run.path, tmp_path / "other", {})
    with pytest.raises(gf.UsageError, match="both name data"):
        settings.started(str(pictures), None, {}, noise(12, 16, 16))


def test_a_recipe_may_be_the_function() -> None:
    assert settings.started(gf.recipes.gaussian, None, {})[0] == gf.recipes.gaussian()
