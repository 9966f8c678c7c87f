"""Runs, models, files of samples and samplers are scored by one function."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ganforge import api, recipes
from ganforge.callbacks import evaluate as callback
from ganforge.cli import main
from ganforge.cli.commands import runs
from ganforge.config.schema import Config
from ganforge.data import load as data_load
from ganforge.data.dataset import Examples
from ganforge.data.spec import DataSpec
from ganforge.diagnosis.snapshot import newest_scores
from ganforge.errors import DataError
from ganforge.evaluation import evaluate, store
from ganforge.evaluation.inputs import Real
from ganforge.evaluation.metrics import METRICS
from ganforge.evaluation.score import table
from ganforge.runs import folder, load
from ganforge.runs.folder import Run
from tests.helpers.tiny import pictures, shortened


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scores of 100 samples at a run's end, and no plots."""
    monkeypatch.setattr(callback, "N", 100)
    monkeypatch.setattr(callback, "SHORTEST", 0.0)
    monkeypatch.setattr(api, "draw", lambda run: None)  # drawing is tested elsewhere


def gaussian(steps: int = 100, **output: Any) -> Config:
    return shortened(
        recipes.find("gaussian"), steps, log_every=20, sample_every=50.0, min_gap=1, **output
    )


def train(config: Config, path: Path) -> api.Trained:
    return api.train(config, path, show="quiet")


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("toy") / "run"
    train(gaussian(score=False), path)
    return path


def npz(path: Path, **values: Any) -> Path:
    np.savez(path, **values)
    return path


def test_a_run_a_model_and_its_samples_have_the_same_scores(toy: Path, tmp_path: Path) -> None:
    asked: dict[str, Any] = {"n": 300, "metrics": ["frechet", "coverage"], "split": "validation"}
    of_run = evaluate.evaluate(toy, **asked)
    of_model = evaluate.evaluate(toy / "model", **asked)
    samples = load.open_sampler(toy).sample(300)
    of_file = evaluate.evaluate(npz(tmp_path / "s.npz", samples=samples), data="gaussian", **asked)
    assert of_run == of_model == of_file
    real = Real(data_load.load("gaussian"), data_load.load("gaussian", part="validation"))
    of_sampler = evaluate.evaluate(load.open_sampler(toy), real, n=300, metrics=asked["metrics"])
    assert of_sampler == of_run
    assert {s.name: s.n for s in of_run} == {"frechet": 300, "coverage": 300}
    for path in (toy / "scores.json", toy / "model" / "scores.json", tmp_path / "s.scores.json"):
        (entry,) = store.read(path).values()
        assert store.cards(entry) == of_run
    # what was asked for was given in full, and no note says otherwise
    assert not any("not 300" in s.note for s in of_run)


def test_scores_are_added_to_those_that_are_there(tmp_path: Path) -> None:
    path = tmp_path / "run"
    train(gaussian(), path)
    (first,) = store.read(path / "scores.json").values()
    for seed, metrics in ((0, ["frechet"]), (0, ["recall"]), (1, ["frechet"])):
        evaluate.evaluate(path, n=200, seed=seed, metrics=metrics)
    entries = store.read(path / "scores.json")
    names = [[c["name"] for c in e["scores"]] for e in entries.values()]
    assert names == [[c["name"] for c in first["scores"]], ["frechet", "recall"], ["frechet"]]
    assert next(iter(entries.values())) == first
    score = store.newest(Run(path))
    assert score is not None and (score.split, score.n) == ("test", 200)
    (path / "scores.json").write_text('{"format": 1, "entries": [')
    with pytest.raises(DataError, match="damaged"):
        evaluate.evaluate(path, n=200, metrics=["frechet"])


def test_a_score_by_other_data_is_not_the_runs(tmp_path: Path) -> None:
    path = tmp_path / "run"
    train(gaussian(score=False), path)
    evaluate.evaluate(path, n=100, metrics=["frechet"], data="ring")
    assert store.newest(Run(path)) is None
    scored = evaluate.evaluate(
        path, n=100, metrics=["frechet"], data="gaussian", split="validation"
    )
    evaluate.evaluate(path, n=2000, metrics=["frechet"], data="ring")
    assert store.newest(Run(path)) == scored[0] == newest_scores(Run(path))[0]
    evaluate.evaluate(path, n=300, metrics=["recall"])  # later, larger, and no distance
    assert newest_scores(Run(path))[0] == scored[0]
    assert runs.newest_score(Run(path)).startswith(f"FD[identity] {scored[0].value:.4g}, floor ")


def test_a_run_without_a_distance_shows_its_first_metric(tmp_path: Path) -> None:
    path = tmp_path / "run"
    train(gaussian(score=False), path)
    assert runs.newest_score(Run(path)) == ""
    scored = evaluate.evaluate(path, n=100, metrics=["coverage", "recall"])
    wanted = f"coverage {scored[0].value:.4g}, floor {scored[0].floor:.4g} (test, N 100)"
    assert runs.newest_score(Run(path)) == wanted


def test_the_table_tells_p_beside_its_floor(toy: Path) -> None:
    text = table(evaluate.evaluate(toy, n=120, metrics=["frechet", "energy", "c2st"]))
    _, plain, *tests = text.splitlines()[:4]
    assert "p = " not in plain
    assert all("p = " in line and "floor p = " in line for line in tests)


@pytest.mark.parametrize(("count", "used", "said"), [(150, 150, "no more samples"), (900, 400, "")])
def test_n_is_equal_and_what_limits_it_is_said(
    count: int, used: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    samples = data_load.load("gaussian").values[:count]
    path = npz(tmp_path / "s.npz", samples=samples)
    assert main(["evaluate", str(path), "--data", "gaussian", "-n", "400",
                 "--metrics", "frechet, recall"]) == 0  # fmt: skip
    out = capsys.readouterr().out
    assert f"{used:,} samples against {used:,} of the test split" in out
    assert ("no more samples" in out) == bool(said)
    assert "real examples of gaussian" in out
    assert max(map(len, out.splitlines()[:-1])) <= 80


def test_labels_are_asked_for_as_often_as_the_data_have_them() -> None:
    data = pictures(1000)
    labels = np.where(np.arange(1000) < 900, 3, 7)
    data = replace(data, labels=labels)
    sampler = FakeSampler(data.spec)
    _, asked = evaluate.draw(sampler, data, 500, 0)  # type: ignore[arg-type]
    assert asked is not None and 0.85 < (asked == 3).mean() < 0.95
    other = FakeSampler(replace(data.spec, classes=4))
    with pytest.raises(DataError, match="10 classes"):
        evaluate.draw(other, data, 500, 0)  # type: ignore[arg-type]


@dataclass(frozen=True)
class FakeSampler:
    """Has a spec, and gives black pictures."""

    spec: DataSpec
    name: str = "fake"

    def z(self, count: int, seed: int) -> int:
        return count

    def generate(self, z: int, labels: Any, batch: int) -> Any:
        return np.zeros((z, *self.spec.stored_shape), np.uint8)


def test_a_run_on_digits_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "run")
    words = ["--networks.generator_width", "4", "--networks.discriminator_width", "4",
             "--batch", "8", "--kimg", "0.08", "--precision", "fp32"]  # fmt: skip
    assert main(["train", "--out", out, *words]) == 0
    table = capsys.readouterr().out
    for name in ("frechet", "label-accuracy", "heavy-modes", "space mnist-lenet"):
        assert name in table
    words = ["--n", "120", "--split", "validation", "--metrics", "frechet,label-accuracy"]
    assert main(["evaluate", out, *words]) == 0
    text = capsys.readouterr().out
    assert "space mnist-lenet, sha256" in text and "scores.json" in text
    assert "real examples of" not in text  # they are its data
    assert main(["evaluate", out, "--data", "ring", "--n", "100"]) == 65
    assert "shape" in capsys.readouterr().err


BAD: dict[str, tuple[list[str], int, list[str]]] = {
    "nothing there": (["nowhere"], 65, ["nowhere", "ganforge runs"]),
    "no run": (["empty"], 65, ["empty", "config.toml"]),
    "not a folder": (["text.txt"], 65, ["text.txt", ".npz"]),
    "no checkpoint": (["young"], 65, ["young", "no checkpoint yet"]),
    "n": (["run", "--n", "50"], 2, ["50", "100"]),
    "metric": (["run", "--metrics", "fid"], 2, ["fid", "frechet"]),
    "no metric": (["run", "--metrics", ","], 2, ["metrics", "at least one"]),
    "metric of classes": (["run", "--metrics", "cas", "-n", "100"], 2, ["cas", "labels"]),
    "space": (["run", "--space", "lenet"], 2, ["lenet", "mnist-lenet"]),
    "misfit": (["run", "--space", "mnist-lenet", "-n", "100"], 2, ["mnist-lenet", "identity"]),
    "split": (["run", "--split", "train"], 2, ["train", "validation"]),
    "no data": (["good.npz"], 2, ["good.npz", "--data"]),
    "unknown data": (["good.npz", "--data", "rings"], 2, ["rings", "ring"]),
    "few": (["few.npz", "--data", "gaussian"], 65, ["20", "100"]),
    "none": (["none.npz", "--data", "gaussian"], 65, ["none.npz", "no examples"]),
    "shape": (["wide.npz", "--data", "gaussian"], 65, ["shape", "3", "2"]),
    "type": (["grey.npz", "--data", "mnist"], 65, ["float32", "uint8"]),
    "nan": (["nan.npz", "--data", "gaussian"], 65, ["row 7", "NaN"]),
    "damaged": (["torn.npz", "--data", "gaussian"], 65, ["torn.npz"]),
    "data that are gone": (["moved"], 65, ["gone.npy", "--data"]),
    "a size, of vectors": (["run", "--size", "32"], 2, ["size = 32", "vectors"]),
    "other data": (["other"], 65, ["sha256", "--data"]),
    "a model's training": (["trained"], 65, ["config.json", "damaged"]),
    "a model's data": (["of-5"], 65, ["config.json", "data = 5"]),
    "a model's size": (["of-size"], 65, ["config.json", "size = 'x'"]),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, toy: Path) -> Path:
    """A folder of things that cannot be scored, and one that can."""
    root = tmp_path_factory.mktemp("bad")
    (root / "empty").mkdir()
    (root / "text.txt").write_text("hello")
    folder.prepare(root / "young", recipes.find("gaussian"))
    good = data_load.load("gaussian").values[:200]
    infinite = good.copy()
    infinite[7] = np.nan
    dark = np.random.default_rng(0).integers(0, 2, (200, 28, 28, 1), dtype=np.uint8)
    files = {"good": good, "few": good[:20], "none": good[:0], "wide": np.ones((200, 3), "f4"),
             "nan": infinite, "binary": dark, "grey": dark / np.float32(255)}  # fmt: skip
    for name, values in files.items():
        npz(root / f"{name}.npz", samples=values)
    (root / "torn.npz").write_bytes((root / "good.npz").read_bytes()[:300])
    changes = {"moved": {"data": "gone.npy"}, "other": {"data": "ring"}, "of-5": {"data": 5},
               "of-size": {"size": "x"}, "trained": {}}  # fmt: skip
    for name, change in changes.items():
        (root / name).mkdir()
        for file in (toy / "model").iterdir():
            (root / name / file.name).write_bytes(file.read_bytes())
        table = json.loads((root / name / "config.json").read_text())
        table["training"]["config"] |= change
        table["training"] = table["training"] if change else [5]
        (root / name / "config.json").write_text(json.dumps(table))
    (root / "run").symlink_to(toy)
    return root


@pytest.mark.parametrize(("words", "code", "said"), BAD.values(), ids=BAD)
def test_bad_input_is_one_line(
    words: list[str],
    code: int,
    said: list[str],
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(place)
    assert main(["evaluate", *words]) == code
    out, error = capsys.readouterr()
    assert out == "" and error.count("\n") == 1, error
    for word in said:
        assert word in error


def test_samples_of_0_and_1_are_scored_as_black_and_white_and_the_table_says_so(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [str(place / "binary.npz"), "--data", "mnist", "--metrics", "modes"]
    assert main(["evaluate", *command]) == 0
    assert "samples: the values 0 and 1 are shown as 0 and 255" in capsys.readouterr().out


def test_samples_in_memory_that_were_cast_from_0_to_1_are_refused() -> None:
    real = evaluate.load_real("mnist", None, "validation")
    dark = np.random.default_rng(0).integers(0, 2, (200, 28, 28, 1), dtype=np.uint8)
    with pytest.raises(DataError, match=r"0\.\.1.*0\.\.255"):
        evaluate.evaluate(Examples(dark), real=real, n=200)


def test_quick_metrics_follow_the_data() -> None:
    ring = evaluate.load_real("ring", None, "validation")
    names = evaluate.quick_metrics(ring, False)
    assert {"sliced-wasserstein", "modes", "high-quality"} < set(names)
    noise = Real(pictures(200), pictures(200, seed=1))  # no classifier knows what they show
    assert evaluate.quick_metrics(noise, True) == ("frechet", "precision", "recall", "coverage")
    digits = evaluate.load_real("mnist", None, "validation")
    assert "label-accuracy" in evaluate.quick_metrics(digits, True)
    assert "label-accuracy" not in evaluate.quick_metrics(digits, False)
    assert all(names[0] == "frechet" and set(names) < set(METRICS) for names in (names,))
