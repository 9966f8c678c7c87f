"""Findings while a run trains."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ganforge import api, recipes
from ganforge.callbacks.diagnose import LOG_CODES, SAMPLE_CODES, Budget, DiagnoseCallback
from ganforge.cli import main
from ganforge.config.schema import Config
from ganforge.data.dataset import Dataset
from ganforge.data.load import load
from ganforge.diagnosis import CHECKS, Diagnosis, findings, signals
from ganforge.diagnosis.signals import Signals
from ganforge.errors import DataError
from ganforge.gan.adversarial import Adversarial
from ganforge.training import loop
from tests.helpers.tiny import fingerprint, log_without_times, newest, pictures, shortened


@pytest.fixture(autouse=True)
def no_overview(monkeypatch: pytest.MonkeyPatch) -> None:
    """No overview."""
    monkeypatch.setattr(api, "draw", lambda run: None)


def frozen() -> Config:
    """D learns, and G stays where it is, in the middle of the ring."""
    config = shortened(
        recipes.find("gaussian"), 200, 32, log_every=10, sample_every=0.02, min_gap=1
    )
    return replace(
        config,
        data="ring",
        networks=replace(config.networks, discriminator=(16,), discriminator_activation="relu"),
        game=Adversarial(),
        generator=replace(config.generator, lr=0.0),
        discriminator=replace(config.discriminator, lr=0.03),
        output=replace(config.output, score=False),
    )


def diagnosed(
    config: Config,
    path: Path,
    data: Dataset | None = None,
    held_out: Dataset | None = None,
    **limits: Any,
) -> tuple[list[str], Diagnosis | None]:
    """The notes of a run that is diagnosed with a few samples at any cost, and its diagnosis."""

    def load_held_out() -> Dataset:
        return held_out or load(config.data, part="validation")

    few = {
        "share": 1e9,
        "samples": 110,
        "final_samples": 120,
        "shortest": 0.0,
        "fewest": 0,
    } | limits
    callback = DiagnoseCallback(config, path, Budget(load_held_out, **few))
    notes = []
    for t, progress in loop.training(config, path, data=data):
        notes.append(callback.on_record(t, progress).note)
    assert t.clock.timing.get("diagnose", 0.0) > 0 or callback.trained is False
    return notes, callback.on_end(t)


@pytest.mark.parametrize("name", ["gaussian", "cdcgan"])
def test_diagnosis_changes_no_weight_no_moment_and_no_record(name: str, tmp_path: Path) -> None:
    config = shortened(
        recipes.find(name), 40, log_every=4, sample_every=0.1, score=False, min_gap=1
    )
    sets = (pictures(160), pictures(140, seed=1)) if name == "cdcgan" else (None, None)
    plain, watched = tmp_path / "plain", tmp_path / "watched"
    list(loop.train(config, plain, data=sets[0]))
    notes, found = diagnosed(config, watched, *sets)
    assert any("GF001" in note for note in notes)  # samples were looked at on the way
    assert fingerprint(newest(plain)) == fingerprint(newest(watched))
    assert log_without_times(plain) == log_without_times(watched)
    assert found is not None and "GF001" in found.checked
    assert findings.read(watched / "diagnosis.json") == found
    assert diagnosed(config, watched, *sets)[1] == found  # a finished run keeps its diagnosis


def test_a_finding_is_reported_once_as_soon_as_it_is_made(tmp_path: Path) -> None:
    notes, found = diagnosed(frozen(), tmp_path / "run")
    for code in ("GF001", "GF003"):
        reported = [note for note in notes if code in note]
        assert len(reported) == 1 and CHECKS[code].name in reported[0]
        assert found is not None and code in found.codes
    assert "GF003" not in notes[-1]


def test_what_is_no_longer_found_at_the_end_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a note of GF003 stands above the word healthy, and nothing says which is true."""
    sure = Signals({"g_slope": 0.01, "d_cost": 0.01, "gap": 9.0}, {})
    early = signals.of_log
    monkeypatch.setattr(signals, "of_log", lambda seen: sure if seen.step < 50 else early(seen))
    config = shortened(recipes.find("gaussian"), 100, log_every=10, min_gap=1)
    notes, found = diagnosed(config, tmp_path / "run")
    assert any("GF003" in note and "; remedy: " in note for note in notes) and found is not None
    assert "GF003" not in found.codes and found.passed == ("GF003",)
    assert "found while it trained, and no longer: GF003" in str(found)
    assert findings.read(tmp_path / "run" / findings.FILE) == found
    again = diagnosed(frozen(), tmp_path / "frozen")[1]
    assert again is not None and "GF003" in again.codes and not again.passed


def test_a_loss_of_guessing_the_class_too_is_no_explosion(tmp_path: Path) -> None:
    """D's loss begins with weight times log K: neither on the way nor at the end a finding."""
    config = shortened(recipes.find("cdcgan"), 24, log_every=4, score=False, min_gap=1)
    config = replace(config, game=replace(config.game, classify=3.0))
    notes, found = diagnosed(config, tmp_path / "run", pictures(160), pictures(140, seed=1))
    assert found is not None and "GF008" in found.checked
    assert "GF008" not in " ".join((*notes, *found.codes))


def test_without_time_for_samples_the_log_is_checked(tmp_path: Path) -> None:
    notes, found = diagnosed(frozen(), tmp_path / "run", share=0.0)
    assert any("GF003" in note for note in notes) and not any("GF001" in note for note in notes)
    assert found is not None and "GF001" in found.codes  # at the end there is time


def test_before_the_shortest_run_no_samples_are_looked_at(tmp_path: Path) -> None:
    notes, found = diagnosed(frozen(), tmp_path / "run", shortest=5.0)
    assert any("GF003" in note for note in notes) and not any("GF001" in note for note in notes)
    assert found is None


def test_looks_at_samples_take_their_share_of_the_time() -> None:
    budget = Budget(lambda: load("ring"), share=0.01)
    assert budget.allows(100, 1.0) and not budget.allows(99, 1.0)
    with budget.spending():
        sum(range(10_000))
    assert budget.seconds > 0 and not budget.allows(100, 1.0)


def test_without_held_out_examples_a_diagnosis_says_why(tmp_path: Path) -> None:
    def none() -> Dataset:
        raise DataError("nothing was held out")

    config = shortened(recipes.find("gaussian"), 60, log_every=10, score=False, min_gap=1)
    callback = DiagnoseCallback(config, tmp_path / "run", Budget(none, shortest=0.0, fewest=0))
    for t, progress in loop.training(config, tmp_path / "run"):
        callback.on_record(t, progress)
    found = callback.on_end(t)
    assert found is not None and found.skipped["GF001"] == "nothing was held out"
    assert "GF006" in found.checked


def test_checks_of_the_log_and_of_samples_are_made_on_the_way() -> None:
    assert LOG_CODES == ("GF003", "GF005", "GF006", "GF007", "GF008")
    pictures = ("GF001", "GF002", "GF004", "GF008", "GF009")
    assert (*pictures, "GF013", "GF014", "GF015", "GF016") == SAMPLE_CODES


class Notes:
    """A display that lists the notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def __enter__(self) -> Notes:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def show(self, progress: Any) -> None:
        if progress.note:
            self.notes.append(progress.note)


def test_train_shows_findings_as_notes(tmp_path: Path) -> None:
    shown = Notes()
    api.train(frozen(), tmp_path / "run", show=shown)
    assert any("GF003" in note for note in shown.notes)


def test_train_prints_the_diagnosis_at_its_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "gaussian", "--kimg", "1", "--out", str(tmp_path / "run")]) == 0
    out = capsys.readouterr().out
    assert re.search(
        r"^no finding, but not called healthy: too early: \d+ of 200 steps", out, re.MULTILINE
    )


def test_the_scores_at_the_end_of_train_are_checked(tmp_path: Path) -> None:
    held_out = load("gaussian", part="validation")
    few = replace(held_out, values=held_out.values[:110])
    config = shortened(recipes.find("gaussian"), 250, log_every=10, score=True, min_gap=1)
    done = api.train(config, tmp_path / "run", show="quiet", data=load("gaussian"), validation=few)
    assert done.scores and done.diagnosis is not None and "GF011" in done.diagnosis.codes
