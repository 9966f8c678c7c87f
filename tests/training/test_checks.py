"""May this config be trained on these data: one answer, whatever it is that is started."""

from __future__ import annotations

import importlib
import io
import os
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from torch import Tensor, nn

import ganforge as gf
from ganforge import recipes
from ganforge.cli import main
from ganforge.config import convert
from ganforge.config.schema import Config
from ganforge.data.spec import DataSpec
from ganforge.errors import DataError, GanforgeError, UsageError
from ganforge.experiments.compare import Budget, Scoring
from ganforge.experiments.compare.jobs import Job, train_missing
from ganforge.experiments.compare.recipes import plan_jobs
from ganforge.experiments.plan import make
from ganforge.registry import PARTS
from ganforge.runs import builtin, folder
from ganforge.training import loop


@dataclass(frozen=True)
class Case:
    """A training that is refused.

    settings: of the recipe. line: how the refusal begins, {out} for --out and {run} for the run
    folder. code: its exit code. place: --out in the test's folder. prepare: what is done in the
    test's folder before, given the config and the run folder. around: whether the refusal is about
    scores or event files, which not every kind of training makes. about_folder: whether it is about
    the run folder or the machine, which are not Lightning's to choose by the config.
    """

    recipe: str
    settings: Mapping[str, str]
    line: str
    code: int = 2
    place: str = "out"
    prepare: Callable[[Config, Path], None] = lambda config, run: None
    around: bool = False
    about_folder: bool = False

    def config(self) -> Config:
        """The recipe with its settings."""
        return convert.override(recipes.find(self.recipe), self.settings, PARTS)


def typed(*words: str) -> Callable[[Case, Path], int]:
    """`ganforge train` with more words."""

    def start(case: Case, out: Path) -> int:
        names = {"init_from": "from"}
        options = [f"--{names.get(k, k)}={value}" for k, value in case.settings.items()]
        return main(["train", case.recipe, *words, *options, f"--out={out}"])

    return start


def compare(case: Case, out: Path) -> int:
    """`ganforge compare`, with what it has no option for in the name of the variant."""
    given = dict(case.settings)
    named = [f"{key}={given.pop(key)}" for key in ("device", "init_from") if key in given]
    recipe = ":".join([case.recipe, *named])
    options = [f"--{key}={value}" for key, value in given.items()]
    words = ["--seeds=0,1", "--n=100", f"--recipes={recipe}", f"--out={out}"]
    return main(["compare", *words, *options])


def iterate(case: Case, out: Path) -> None:
    for _ in loop.train(case.config(), out):
        pass


def lightning(case: Case, out: Path) -> None:
    pytest.importorskip("lightning")
    module = importlib.import_module("ganforge.training.lightning")
    module.GANModule(case.config())


@dataclass(frozen=True)
class Door:
    """A way to start a training. run: the folder of its first run, from --out."""

    start: Callable[[Case, Path], object]
    run: str = "."
    around: bool = True
    folder: bool = True


DOORS = {
    "train": Door(typed()),
    "dry run": Door(typed("--dry-run")),
    "seeds": Door(typed("--seeds=0,1"), "seed-0"),
    "seeds, dry run": Door(typed("--seeds=0,1", "--dry-run"), "seed-0"),
    "compare": Door(compare, "{recipe}/seed-0"),
    "gf.train": Door(lambda case, out: gf.train(case.config(), out, show="quiet")),
    "gf.population": Door(
        lambda case, out: gf.population(case.config(), out, (0, 1), show="quiet"), "seed-0"
    ),
    "gf.iterate": Door(iterate, around=False),
    "lightning": Door(lightning, around=False, folder=False),
}

SHORT = {"kimg": "0.016", "batch": "8"}
GAUSSIAN = SHORT | {"output.score": "false"}


def labelled(count: int, labels: tuple[int, ...] = (0, 1)) -> Callable[[Config, Path], None]:
    """Write data.npz with so many pictures, beside --out."""

    def write(config: Config, run: Path) -> None:
        rng = np.random.default_rng(0)
        values = rng.integers(0, 256, (count, 28, 28, 1), dtype=np.uint8)
        np.savez("data.npz", images=values, labels=np.resize(labels, count).astype(np.int64))

    return write


def class_of_the_test_part(config: Config, run: Path) -> None:
    """Write data.npz whose training part has the labels 0 and 2, and whose test part has 1 too."""
    rng = np.random.default_rng(0)
    values = rng.integers(0, 256, (2300, 28, 28, 1), dtype=np.uint8)
    labels = np.r_[np.resize((0, 2), 2000), np.resize((0, 1, 2), 300)]
    train, test = slice(2000), slice(2000, None)
    np.savez(
        "data.npz", x_train=values[train], y_train=labels[train],
        x_test=values[test], y_test=labels[test],
    )  # fmt: skip


def a_file(config: Config, run: Path) -> None:
    Path("out").write_text("a letter")


def foreign(config: Config, run: Path) -> None:
    Path("out").mkdir()
    Path("out/letter.txt").write_text("a letter")


def written(run: Path, config: Config, **info: object) -> None:
    """A run folder without checkpoints."""
    folder.prepare(run, config)
    folder.Run(run).write_info(status="stopped", name=config.name, seed=0, **info)


def further(config: Config, run: Path) -> None:
    written(run, config, step=1000, steps=2000)


def other_settings(config: Config, run: Path) -> None:
    written(run, replace(config, batch=16), step=1, steps=2)


def other_data(config: Config, run: Path) -> None:
    written(run, config, step=1, steps=2, data_sha256="0" * 64)


DATA = {"data": "data.npz"}
CASES = {
    "a class that only the test part has": Case(
        "cgan", SHORT | DATA, "data.npz: no training example has the label 1", 65,
        prepare=class_of_the_test_part,
    ),
    "data without labels": Case(
        "cgan", SHORT | {"data": "gaussian"}, "cgan is a conditional game and needs labels",
    ),
    "one example a pass": Case(
        "mnist-mlp", SHORT | DATA | {"batch": "1", "labels": "false"},
        "batch = 1, micro_batch = 0", prepare=labelled(2000),
    ),
    "one example in the last micro-batch": Case(
        "mnist-mlp", SHORT | DATA | {"batch": "9", "micro_batch": "8", "labels": "false"},
        "batch = 9, micro_batch = 8", prepare=labelled(2000),
    ),
    "loss, penalty and networks do not go together": Case(
        "cgan", SHORT | DATA | {"game.classify": "1"}, "classify = 1.0: needs", 2,
        prepare=labelled(2000),
    ),
    "a label mixed with another in the penalty": Case(
        "cgan",
        SHORT | DATA | {"game.penalties": '[{kind = "gradient-penalty", weight = 1.0}]',
                        "game.fake_labels": "uniform"},
        'fake_labels = "uniform": the gradient penalty mixes', prepare=labelled(2000),
    ),
    "a size that the networks cannot draw": Case(
        "dcgan", SHORT | DATA | {"size": "4"}, "networks.kind = 'dcgan' makes pictures of",
        prepare=labelled(2000),
    ),
    "weights to begin from that do not fit": Case(
        "gaussian", GAUSSIAN | {"init_from": str(builtin.FOLDER)},
        f"{builtin.FOLDER}: its generator has no tensor of a shape that fits", 65,
        about_folder=True,
    ),
    "4 examples": Case(
        "dcgan", SHORT | DATA | {"output.score_every": "1"},
        "data 'data.npz' has 4 examples, too few for a validation part", 65,
        prepare=labelled(4), around=True,
    ),
    "40 examples": Case(
        "dcgan", SHORT | DATA | {"output.score_every": "1"},
        "data.npz: 2 validation examples are too few", 65, prepare=labelled(40), around=True,
    ),
    "device": Case(
        "gaussian", GAUSSIAN | {"device": "mps"}, "device = 'mps': not on this", about_folder=True
    ),
    "no such data": Case("gaussian", GAUSSIAN | {"data": "./gone.npz"}, "data './gone.npz'", 65),
    "out is a file": Case(
        "gaussian", GAUSSIAN, "{out} is not empty and not a run", prepare=a_file, about_folder=True
    ),
    "out is below a file": Case(
        "gaussian", GAUSSIAN, "{out}: cannot be written (Not a directory)", 74, "out/below", a_file,
        about_folder=True,
    ),
    "out is another's folder": Case(
        "gaussian", GAUSSIAN, "{out} is not empty and not a run", prepare=foreign,
        about_folder=True,
    ),
    "a run with more steps": Case(
        "gaussian", GAUSSIAN, "{run} has already gone 1,000 steps", prepare=further,
        about_folder=True,
    ),
    "a run with other settings": Case(
        "gaussian", GAUSSIAN, "{run} holds another run", prepare=other_settings,
        about_folder=True,
    ),
    "a run of other data": Case(
        "gaussian", GAUSSIAN, "gaussian: not the data {run} was trained on", 65,
        prepare=other_data, about_folder=True,
    ),
    "event files, not UTF-8": Case(
        "gaussian", GAUSSIAN | {"output.tensorboard": "true"},
        "tensorboard takes no path that is not UTF-8", place=os.fsdecode(b"out-\xff"),
        about_folder=True, around=True,
    ),
}  # fmt: skip


def files(root: Path) -> dict[str, bytes]:
    """Every file and folder below `root`, and what the files hold."""
    found = sorted(root.rglob("*"))
    return {str(p.relative_to(root)): p.read_bytes() if p.is_file() else b"" for p in found}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name", CASES)
def test_every_door_refuses_alike_and_writes_nothing(
    name: str, door: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, entry = CASES[name], DOORS[door]
    if (case.around and not entry.around) or (case.about_folder and not entry.folder):
        pytest.skip("this way of training does not do what is refused")
    monkeypatch.chdir(tmp_path)
    out = Path(case.place)
    run = out / entry.run.format(recipe=case.recipe)
    case.prepare(case.config(), run)
    before = files(tmp_path)

    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()) as shown:
            code = entry.start(case, out)
        line = shown.getvalue()
    except GanforgeError as error:
        code, line = error.exit_code, str(error)

    assert (code, case.line.format(out=out, run=run) in line) == (case.code, True), line
    assert files(tmp_path) == before


@pytest.mark.parametrize(("gpus", "line"), [
    (3, "batch = 8 cannot be split over 3 processes"),
    (0, "gpus = 0: expected at least 1 process"),
])  # fmt: skip
@pytest.mark.parametrize("more", [[], ["--dry-run"]])
def test_a_batch_that_cannot_be_split_is_refused_in_a_dry_run_too(
    gpus: int, line: str, more: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "gaussian", "--batch=8", f"--gpus={gpus}", f"--out={tmp_path / 'out'}"]
    assert main([*words, *more]) == 2
    assert line in capsys.readouterr().err
    assert files(tmp_path) == {}


def test_a_dry_run_of_several_processes_looks_at_the_share_of_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A batch of 2 over 2 processes leaves batch norm one example each."""
    monkeypatch.chdir(tmp_path)
    case = Case("mnist-mlp", SHORT | DATA | {"batch": "2", "labels": "false"}, "")
    labelled(2000)(case.config(), tmp_path)
    assert typed("--dry-run")(case, Path("out")) == 0
    assert typed("--dry-run", "--gpus=2")(case, Path("out")) == 2
    assert "a pass would hold one example" in capsys.readouterr().err


def test_a_metric_that_fits_no_run_is_refused_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    case = Case("gaussian", {"kimg": "0.016", "batch": "8"}, "")
    options = [f"--{key}={value}" for key, value in case.settings.items()]
    words = ["--recipes=gaussian", "--seeds=0,1", "--metric=label-accuracy", "--out=out"]
    assert main(["compare", *words, *options]) == 2
    assert "none of these runs is conditional" in capsys.readouterr().err
    assert files(tmp_path) == {}


def test_a_split_that_is_too_small_to_compare_by_is_refused_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    case = Case("dcgan", DATA, "")
    labelled(1800)(case.config(), tmp_path)
    job = Job("dcgan", case.config(), Path("out/seed-0"))
    for split in ("test", "validation"):
        few = f"90 {split} examples: too few to score.*@held_out=0.2"
        with pytest.raises(DataError, match=few):
            next(train_missing([job], "quiet", Scoring(split=split)))
    assert set(files(tmp_path)) == {"data.npz"}


def test_a_folder_of_runs_and_comparisons_is_not_foreign(tmp_path: Path) -> None:
    """A comparison may be continued, and may stand beside other runs."""
    config = Case("gaussian", GAUSSIAN, "").config()
    for name in ("alone", "gaussian/seed-0"):
        written(tmp_path / name, config)
    (tmp_path / "gaussian-seeds-0").mkdir()
    for name in ("compare.json", "gaussian-seeds-0/compare.png", "gaussian/population.json"):
        (tmp_path / name).write_text("{}")
    for seed in (0, 1):
        plan_jobs({"gaussian": config}, [seed], Budget(), tmp_path)

    (tmp_path / "gaussian/notes.txt").write_text("notes beside the runs")
    plan_jobs({"gaussian": config}, [0], Budget(), tmp_path)

    (tmp_path / "other/letters").mkdir(parents=True)
    (tmp_path / "other/letters/letter.txt").write_text("a letter")
    with pytest.raises(UsageError, match="not empty and not a run"):
        plan_jobs({"gaussian": config}, [0], Budget(), tmp_path / "other")


@pytest.mark.parametrize("name", ["population.json", "experiment.json", "seed-0"])
def test_a_population_is_continued_beside_notes_and_pictures(name: str, tmp_path: Path) -> None:
    config = Case("gaussian", GAUSSIAN, "").config()
    (tmp_path / "notes.txt").write_text("notes")
    with pytest.raises(UsageError, match="not empty and not a run"):
        make(config, tmp_path, [0])
    (tmp_path / name).mkdir() if name == "seed-0" else (tmp_path / name).write_text("{}")
    assert make(config, tmp_path, [0]).seeds == (0,)


def test_seeds_that_are_trained_one_by_one_are_scored_on_the_way(tmp_path: Path) -> None:
    """Their validation part is that of the data by name, although the data are loaded once."""
    config = Case("gaussian", SHORT | {"output.score_every": "0.0001"}, "").config()
    trained = gf.population(config, tmp_path, [3], show="quiet")
    assert trained.summary["statuses"] == {"finished": 1}


def test_data_without_a_validation_part_are_not_scored_by_others(tmp_path: Path) -> None:
    """Examples given in place of the config's have no part held out by that name."""
    config = Case("gaussian", SHORT | {"output.score_every": "1"}, "").config()
    data = gf.load_data("ring")
    for start in (gf.train, partial(gf.population, seeds=(0, 1))):
        with pytest.raises(UsageError, match="give validation= with data="):
            start(config, tmp_path / "out", data=data, show="quiet")
    assert files(tmp_path) == {}


class Plain(nn.Module):
    """A user's generator or discriminator, which compares no examples."""

    def __init__(self, size: int, out: int):
        super().__init__()
        self.layer = nn.Linear(size, out)

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        return self.layer(x)


def test_a_discriminator_of_the_user_takes_batches_of_any_size(tmp_path: Path) -> None:
    def networks(spec: DataSpec, noise: int) -> dict[str, nn.Module]:
        size = spec.shape[0]
        return {"generator": Plain(noise, size), "discriminator": Plain(size, 1)}

    run = gf.train(
        replace(recipes.gaussian(), networks=networks, batch=5, kimg=0.01, threads=1),
        tmp_path / "run", show="quiet",
    )  # fmt: skip
    assert run.progress.samples_seen == 10
