"""Runs, models and files of samples are judged; runs score themselves, and are none the worse."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file
from tests.helpers.tiny import fingerprint, folder_hashes, log_without_times, pictures, shortened

from ganforge import api, recipes
from ganforge.callbacks import evaluate
from ganforge.cli import main
from ganforge.config.schema import Config, Output
from ganforge.data import load as data_load
from ganforge.data.spec import DataSpec
from ganforge.diagnosis.snapshot import newest_scores
from ganforge.errors import DataError, UsageError
from ganforge.evaluation import evaluate as evaluation_evaluate
from ganforge.evaluation.score import Score
from ganforge.runs import checkpoint, folder, load, model
from ganforge.runs.folder import Run
from ganforge.training import stepping, trainer
from ganforge.training.trainer import Training

EACH = {"score_every": 0.16}  # of the Gaussian's 125 steps an epoch: every 20
CARD = Score("frechet", 1.0, 0.1, 0.5, 100, "identity", "ab" * 32, 0, "validation", "lower")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scores of 100 samples, at steps as near to each other as is asked for."""
    monkeypatch.setattr(evaluate, "N", 100)
    monkeypatch.setattr(evaluate, "SHORTEST", 0.0)
    monkeypatch.setattr(stepping, "LEAST_GAP", 1)
    monkeypatch.setattr(api, "draw", lambda run: None)  # drawing is tested elsewhere
    monkeypatch.setattr(evaluate, "curve", lambda records: b"")


def gaussian(steps: int = 100, **output: Any) -> Config:
    return shortened(recipes.find("gaussian"), steps, log_every=20, sample_every=50.0, **output)


def train(config: Config, path: Path, **options: Any) -> api.Trained:
    return api.train(config, path, show="quiet", **options)


def weights(path: Path) -> str:
    """All tensors of a run's newest checkpoint, as one hash."""
    newest = checkpoint.listed(path / "checkpoints")[0]
    return fingerprint(load_file(newest / "state.safetensors"))


def records(path: Path) -> list[dict[str, Any]]:
    """scores.jsonl but for the seconds, which a clock decides."""
    return [
        {k: v for k, v in r.items() if k != "seconds"}
        for r in folder.read_log(path / evaluate.LOG)
    ]  # fmt: skip


DRAW = evaluate.curve


def pretend(monkeypatch: pytest.MonkeyPatch, values: list[float]) -> Iterator[float]:
    """Let the scores of a run be these, in turn."""
    given = iter(values)

    def measure(self: evaluate.Scorer, t: Training) -> list[Score]:
        return [replace(CARD, value=next(given))]

    monkeypatch.setattr(evaluate.Scorer, "measure", measure)
    return given


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("toy") / "run"
    train(gaussian(score=False), path)
    return path


def npz(path: Path, **values: Any) -> Path:
    np.savez(path, **values)
    return path


# --- scores while a run goes on ---------------------------------------------------------------


@pytest.mark.parametrize("name", ["gaussian", "cdcgan"])
def test_scoring_shifts_nothing(name: str, tmp_path: Path) -> None:
    """Weights, moments and log are the same, bit for bit."""
    steps, sets = 100, {}
    if name == "cdcgan":
        steps = 30
        sets = {"data": pictures(120), "validation": pictures(110, seed=1)}
    plain = shortened(recipes.find(name), steps, log_every=10, score=False)
    every = 0.16 if name == "gaussian" else 0.67  # 20 steps, and 10
    scored = replace(plain, output=replace(plain.output, score=True, score_every=every))
    train(plain, tmp_path / "plain", **sets)
    after = train(scored, tmp_path / "scored", **sets)
    assert weights(tmp_path / "plain") == weights(tmp_path / "scored")
    assert log_without_times(tmp_path / "plain") == log_without_times(tmp_path / "scored")
    assert not (tmp_path / "plain" / evaluate.LOG).exists() and after.scores
    found = records(tmp_path / "scored")
    assert [r["step"] for r in found] == ([20, 40, 60, 80, 100] if steps == 100 else [10, 20, 30])
    assert all(r["floor"] > 0 and r["scores"][0]["space_sha256"] for r in found)


def test_a_resumed_run_scores_as_one_that_was_never_stopped(tmp_path: Path) -> None:
    train(gaussian(**EACH), tmp_path / "whole")
    path = tmp_path / "parts"
    train(gaussian(60, **EACH), path)
    log = path / evaluate.LOG
    kept = log.read_bytes().splitlines(keepends=True)
    assert len(kept) == 3
    later = json.loads(kept[-1]) | {"step": 70, "frechet": 0.0}
    log.write_bytes(b"".join(kept) + json.dumps(later).encode() + b'\n{"step": 80, "fre')
    (path / "checkpoints" / trainer.BEST).write_text('{"step": 70, "frechet": 0.0}')
    train(gaussian(**EACH), path)
    assert records(path) == records(tmp_path / "whole")
    assert weights(path) == weights(tmp_path / "whole")
    assert trainer.best(Run(path))["step"] in (80, 100)


def test_a_score_lost_to_a_kill_is_made_again(tmp_path: Path) -> None:
    """Killed between the checkpoint of step 60 and its score."""
    train(gaussian(**EACH), tmp_path / "whole")
    path = tmp_path / "parts"
    train(gaussian(60, **EACH), path)
    lines = (path / evaluate.LOG).read_bytes().splitlines(keepends=True)
    (path / evaluate.LOG).write_bytes(b"".join(lines[:2]))
    train(gaussian(**EACH), path)
    assert records(path) == records(tmp_path / "whole")


def test_the_best_checkpoint_is_never_pruned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, [5.0, 2.0, 3.0, math.nan, 4.0])
    trained = train(gaussian(keep=1, save_every=0.08, **EACH), tmp_path / "run")
    path = trained.path
    steps = [int(p.name[5:]) for p in checkpoint.listed(path / "checkpoints")]
    assert steps == [100, 40]
    assert trainer.best(Run(path)) == {"step": 40, "frechet": 2.0}
    best = load_file(path / "checkpoints" / "step-000000040" / "state.safetensors")
    saved = load_file(path / evaluate.BEST_MODEL / model.WEIGHTS)
    for name, tensor in saved.items():
        assert any(v.shape == tensor.shape and bool((v == tensor).all()) for v in best.values()), (
            name
        )
    assert (path / "best" / model.WEIGHTS).read_bytes() != (
        path / "model" / model.WEIGHTS
    ).read_bytes()
    assert main(["evaluate", str(path / "best"), "--n", "100", "--metrics", "frechet"]) == 0
    assert (path / "best" / "scores.json").exists()


def test_stop_auto_ends_a_run_as_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, [3.0, 1.0, *(2.0 for _ in range(8))])
    config = gaussian(200, patience=0.48, **EACH)  # three intervals
    trained = train(config, tmp_path / "run")
    assert trained.progress.step == 100  # the best at 40, three more
    assert trained.run.info()["status"] == "finished" and trained.scores
    before = folder_hashes(trained.path)
    again = train(config, trained.path)
    assert "already finished" in again.progress.note and again.scores == trained.scores
    assert folder_hashes(trained.path) == before
    longer = train(replace(config, output=replace(config.output, patience=0.0)), trained.path)
    assert longer.progress.step == 200


def test_the_curve_is_drawn() -> None:
    log = [{"epoch": e, "frechet": f, "floor": 0.5, "scores": [CARD.to_json()]}
           for e, f in ((1, 90.0), (2, None), (3, 1.5))]  # fmt: skip
    assert DRAW(log).startswith(b"\x89PNG") and DRAW(log[:1]).startswith(b"\x89PNG")


def test_the_rule_of_stop_auto() -> None:
    log: list[dict[str, Any]] = [
        {"epoch": e, "frechet": f} for e, f in ((1, 4.0), (2, 3.0), (3, 3.5))
    ]
    assert evaluate.stale(log, 0) == "" and evaluate.stale([], 5) == ""
    assert evaluate.stale(log, 2) == ""
    assert "epoch 2.00" in evaluate.stale([*log, {"epoch": 3.9996, "frechet": None}], 2)
    assert evaluate.stale([*log, {"epoch": 4, "frechet": 2.9}], 2) == ""
    assert evaluate.end_rule(None, 0.0) == (1.0, 5.0) and evaluate.end_rule(2.0, 1.0) == (2.0, 10.0)
    with pytest.raises(UsageError, match="--every"):
        evaluate.end_rule(0.0, 1.0)
    with pytest.raises(UsageError, match="score_every"):
        Output(patience=2.0)


def test_what_cannot_be_scored_is_told_before_or_after(tmp_path: Path) -> None:
    """--every refuses before the first step; the end of a run says why there is no table."""
    few = {"data": pictures(64), "validation": pictures(20, seed=1)}
    config = shortened(recipes.find("cdcgan"), 3, score_every=1.0)
    with pytest.raises(DataError, match="at least 100"):
        train(config, tmp_path / "a", **few)
    with pytest.raises(UsageError, match="validation="):
        train(config, tmp_path / "b", data=few["data"])
    assert not (tmp_path / "a").exists() and not (tmp_path / "b").exists()
    config = shortened(recipes.find("cdcgan"), 3)
    assert "at least 100" in train(config, tmp_path / "c", **few).unscored
    assert train(config, tmp_path / "c", **few).unscored == ""  # finished before: nothing to do


def test_a_toy_with_modes_ends_with_their_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--data", "ring", "--kimg", "0.8", "--out", str(tmp_path / "run")]
    assert main(["train", "gaussian", *words, "--every", "1", "--stop", "auto"]) == 0
    out = capsys.readouterr().out
    for name in ("frechet", "sliced-wasserstein", "heavy-modes", "high-quality", "floor"):
        assert name in out
    assert "validation split, seed 0" in out and "ganforge evaluate" in out
    assert Run(tmp_path / "run").settings()["output"]["patience"] == 5.0
    assert main(["runs", str(tmp_path)]) == 0
    assert "FD[identity]" in capsys.readouterr().out
    assert main(["train", "gaussian", "--stop", "soon"]) == 2
    assert main(["train", "gaussian", "--every", "-1"]) == 2


# --- judging what is there --------------------------------------------------------------------


def test_a_run_a_model_and_its_samples_have_the_same_scores(toy: Path, tmp_path: Path) -> None:
    asked: dict[str, Any] = {"n": 300, "metrics": ["frechet", "coverage"], "split": "validation"}
    of_run = evaluation_evaluate.judge(toy, **asked)
    of_model = evaluation_evaluate.judge(toy / "model", **asked)
    samples = load.open_sampler(toy).sample(300)
    of_file = evaluation_evaluate.judge(
        npz(tmp_path / "s.npz", samples=samples), data="gaussian", **asked
    )
    assert of_run == of_model == of_file
    assert {s.name: s.n for s in of_run} == {"frechet": 300, "coverage": 300}
    for path in (toy / "scores.json", toy / "model" / "scores.json", tmp_path / "s.scores.json"):
        (entry,) = evaluation_evaluate.read(path).values()
        assert evaluation_evaluate.cards(entry) == of_run
    # what was asked for was given in full, and no note says otherwise
    assert not any("not 300" in s.note for s in of_run)


def test_scores_are_added_to_those_that_are_there(tmp_path: Path) -> None:
    path = tmp_path / "run"
    train(gaussian(), path)
    (first,) = evaluation_evaluate.read(path / "scores.json").values()
    for seed, metrics in ((0, ["frechet"]), (0, ["recall"]), (1, ["frechet"])):
        evaluation_evaluate.judge(path, n=200, seed=seed, metrics=metrics)
    entries = evaluation_evaluate.read(path / "scores.json")
    names = [[c["name"] for c in e["scores"]] for e in entries.values()]
    assert names == [[c["name"] for c in first["scores"]], ["frechet", "recall"], ["frechet"]]
    assert next(iter(entries.values())) == first
    score = evaluation_evaluate.newest(Run(path))
    assert score is not None and (score.split, score.n) == ("test", 200)
    (path / "scores.json").write_text('{"format": 1, "entries": [')
    with pytest.raises(DataError, match="damaged"):
        evaluation_evaluate.judge(path, n=200, metrics=["frechet"])


def test_a_score_by_other_data_is_not_the_runs(tmp_path: Path) -> None:
    path = tmp_path / "run"
    train(gaussian(score=False), path)
    evaluation_evaluate.judge(path, n=100, metrics=["frechet"], data="ring")
    assert evaluation_evaluate.newest(Run(path)) is None
    own = evaluation_evaluate.judge(
        path, n=100, metrics=["frechet"], data="gaussian", split="validation"
    )
    evaluation_evaluate.judge(path, n=2000, metrics=["frechet"], data="ring")
    assert evaluation_evaluate.newest(Run(path)) == own[0] == newest_scores(Run(path))[0]
    evaluation_evaluate.judge(path, n=300, metrics=["recall"])  # later, larger, and no distance
    assert newest_scores(Run(path))[0] == own[0]


def test_the_table_tells_p_beside_its_floor(toy: Path) -> None:
    table = evaluation_evaluate.table(
        evaluation_evaluate.judge(toy, n=120, metrics=["frechet", "energy", "c2st"])
    )
    _, plain, *tests = table.splitlines()[:4]
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
    _, asked = evaluation_evaluate.draw(sampler, data, 500, 0)  # type: ignore[arg-type]
    assert asked is not None and 0.85 < (asked == 3).mean() < 0.95
    other = FakeSampler(replace(data.spec, classes=4))
    with pytest.raises(DataError, match="10 classes"):
        evaluation_evaluate.draw(other, data, 500, 0)  # type: ignore[arg-type]


@dataclass(frozen=True)
class FakeSampler:
    """Has a spec, and gives black pictures."""

    spec: DataSpec
    name: str = "fake"

    def z(self, count: int, seed: int) -> int:
        return count

    def generate(self, z: int, labels: Any) -> Any:
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
    assert "real examples of" not in text  # its own
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
    "range": (["dark.npz", "--data", "mnist"], 65, ["0..1", "0..255"]),
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
    """A folder of things that cannot be judged, and one that can."""
    root = tmp_path_factory.mktemp("bad")
    (root / "empty").mkdir()
    (root / "text.txt").write_text("hello")
    folder.prepare(root / "young", recipes.find("gaussian"))
    good = data_load.load("gaussian").values[:200]
    sick = good.copy()
    sick[7] = np.nan
    dark = np.random.default_rng(0).integers(0, 2, (200, 28, 28, 1), dtype=np.uint8)
    files = {"good": good, "few": good[:20], "none": good[:0], "wide": np.ones((200, 3), "f4"),
             "nan": sick, "dark": dark, "grey": dark / np.float32(255)}  # fmt: skip
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
