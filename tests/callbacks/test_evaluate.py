"""Runs score themselves while they train, and train as they would without scores."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file

from ganforge import api, recipes
from ganforge.callbacks import display, evaluate
from ganforge.cli import main
from ganforge.config.schema import Config, Output
from ganforge.errors import DataError, UsageError
from ganforge.evaluation import evaluate as evaluation
from ganforge.evaluation import store
from ganforge.evaluation.score import Score
from ganforge.runs import checkpoint, folder, model
from ganforge.runs.folder import Run
from ganforge.training import trainer
from ganforge.training.trainer import Trainer
from tests.helpers.tiny import fingerprint, folder_hashes, log_without_times, pictures, shortened

EACH = {"score_every": 0.16}  # of the Gaussian's 125 steps an epoch: every 20
CARD = Score("frechet", 1.0, 0.1, 0.5, 100, "identity", "ab" * 32, 0, "validation", "lower")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scores of 100 samples, and no plots."""
    monkeypatch.setattr(evaluate, "N", 100)
    monkeypatch.setattr(evaluate, "SHORTEST", 0.0)
    monkeypatch.setattr(api, "draw", lambda run: None)  # drawing is tested elsewhere
    monkeypatch.setattr(evaluate, "curve", lambda records: b"")


def gaussian(steps: int = 100, **output: Any) -> Config:
    return shortened(
        recipes.find("gaussian"), steps, log_every=20, sample_every=50.0, min_gap=1, **output
    )


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
        for r in folder.read_log(path / store.CURVE)
    ]  # fmt: skip


DRAW = evaluate.curve


def pretend(monkeypatch: pytest.MonkeyPatch, values: list[float]) -> Iterator[float]:
    """Let the scores of a run be these, in turn."""
    given = iter(values)

    def scores(self: evaluate.Scorer, t: Trainer) -> list[Score]:
        return [replace(CARD, value=next(given))]

    monkeypatch.setattr(evaluate.Scorer, "evaluate", scores)
    return given


@pytest.mark.parametrize("name", ["gaussian", "cdcgan"])
def test_scoring_shifts_nothing(name: str, tmp_path: Path) -> None:
    """Weights, moments and log are the same, bit for bit."""
    steps, sets = 100, {}
    if name == "cdcgan":
        steps = 30
        sets = {"data": pictures(240), "validation": pictures(110, seed=1)}
    plain = shortened(recipes.find(name), steps, log_every=10, score=False, min_gap=1)
    every = 0.16 if name == "gaussian" else 0.335  # 20 steps, and 10
    scored = replace(plain, output=replace(plain.output, score=True, score_every=every))
    train(plain, tmp_path / "plain", **sets)
    after = train(scored, tmp_path / "scored", **sets)
    assert weights(tmp_path / "plain") == weights(tmp_path / "scored")
    assert log_without_times(tmp_path / "plain") == log_without_times(tmp_path / "scored")
    assert not (tmp_path / "plain" / store.CURVE).exists() and after.scores
    found = records(tmp_path / "scored")
    assert [r["step"] for r in found] == ([20, 40, 60, 80, 100] if steps == 100 else [10, 20, 30])
    assert all(r["floor"] > 0 and r["scores"][0]["space_sha256"] for r in found)


def test_a_resumed_run_scores_as_one_that_was_never_stopped(tmp_path: Path) -> None:
    train(gaussian(**EACH), tmp_path / "whole")
    path = tmp_path / "parts"
    train(gaussian(60, **EACH), path)
    log = path / store.CURVE
    lines = log.read_bytes().splitlines(keepends=True)
    assert len(lines) == 3
    later = json.loads(lines[-1]) | {"step": 70, "frechet": 0.0}
    log.write_bytes(b"".join(lines) + json.dumps(later).encode() + b'\n{"step": 80, "fre')
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
    lines = (path / store.CURVE).read_bytes().splitlines(keepends=True)
    (path / store.CURVE).write_bytes(b"".join(lines[:2]))
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
    assert "already finished" in again.progress.note
    assert [s.to_json() for s in again.scores] == [s.to_json() for s in trained.scores]
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


def test_training_and_all_that_it_chooses_never_read_the_test_split(tmp_path: Path) -> None:
    """Other test examples under the same name: the same weights, scores, best model and stop."""
    g = np.random.default_rng(0)
    train_part, validation = (g.normal(size=(n, 2)).astype("f4") for n in (400, 120))
    found = []
    for name, test_part in (("a", validation + 1), ("b", np.full((150, 2), 1e6, "f4"))):
        np.savez(tmp_path / "d.npz", x_train=train_part, x_valid=validation, x_test=test_part)
        config = replace(gaussian(60), data=str(tmp_path / "d.npz"))
        config = replace(
            config, output=replace(config.output, score_every=0.5, save_every=0.5, patience=1.0)
        )
        path = tmp_path / name
        trained = train(config, path)
        best = load_file(path / evaluate.BEST_MODEL / model.WEIGHTS)
        chosen = trainer.best(Run(path)), fingerprint(best)
        found.append(
            (weights(path), records(path), log_without_times(path), trained.scores, chosen)
        )
    assert found[0] == found[1]
    assert found[0][1] and found[0][4][0]["frechet"] < 2
    held_out = evaluation.evaluate(tmp_path / "b", n=100, metrics=["frechet"])
    assert held_out[0].split == "test" and held_out[0].value > 1e9  # `evaluate` does read it


@pytest.mark.parametrize(("kind", "drawn"), [("terminal", True), ("plain", False)])
def test_the_scoring_at_the_end_has_a_bar_on_a_terminal(
    kind: str,
    drawn: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    shown = display.choose(kind, io.StringIO())
    assert api.train(gaussian(20), tmp_path / "run", show=shown).scores
    error = capsys.readouterr().err
    assert all((phase in error) is drawn for phase in ("samples", "features", "metric frechet"))
