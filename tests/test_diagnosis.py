"""Runs are diagnosed, finished, broken or under way; and none is the worse for it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from ganforge import checkpoint, diagnosis, loop, recipes, runs, session, stepping
from ganforge.cli import main
from ganforge.codec import DataSpec
from ganforge.config import Config
from ganforge.data import source
from ganforge.data.dataset import Dataset
from ganforge.diagnosis import CHECKS, NAMES, checks, codes, findings, folder, from_log, watch
from ganforge.diagnosis.findings import Diagnosis, Finding
from ganforge.errors import DataError, UsageError
from ganforge.game import Adversarial
from ganforge.progress import Progress
from test_diagnosis_figures import log
from tiny import StopAfter, fingerprint, folder_hashes, log_without_times, pictures, shortened

ROOT = Path(__file__).parent.parent
HEALTHY = {
    "coverage": 0.9, "coverage_floor": 0.95, "near": 1.0, "missing": 0.0, "least": 0.8,
    "g_slope": 0.5, "d_cost": 0.9, "gap": 0.2, "behind": 0.0, "memory": 0.52, "by_heart": 0.1,
    "flips": 0.0, "gap_rms": 0.2, "gap_memory": 0.8, "cost_peak": 1.1, "growth_d": 3.0,
    "dead_d": 0.0, "dead_g": 0.0, "label_effect": 0.7, "label_effect_real": 0.7,
    "label_accuracy": 0.98, "c_t": 0.5, "authentic": 0.65, "authentic_held": 0.6, "n": 2500.0,
    "features": 128.0, "value": 5.0, "floor": 4.0, "worse": 1.0, "since_best": 0.0, "scored": 9.0,
}  # fmt: skip
SICK: dict[str, dict[str, float]] = {
    "GF001": {"near": 0.1},
    "GF002": {"least": 0.0, "missing": 0.1, "absent": 0.1},
    "GF003": {"g_slope": 1e-5, "d_cost": 1e-5},
    "GF004": {"memory": 0.99, "by_heart": 0.9, "logit_train": 5, "logit_held": -3,
              "logit_fresh": -4},
    "GF005": {"behind": 1.0, "d_cost": 1.3},
    "GF006": {"flips": 12, "gap_rms": 2.0},
    "GF007": {"skipped": 0.1},
    "GF008": {"dead_g": 0.9},
    "GF009": {"label_effect": 0.0, "label_accuracy": 0.1},
    "GF010": {"c_t": -30, "authentic": 0.05},
    "GF011": {"n": 120},
    "GF012": {"worse": 4.0, "since_best": 6, "best": 2.0, "now": 9.0, "best_epoch": 3.0,
              "curve_floor": 1.5},
}  # fmt: skip


def gaussian(steps: int = 100, **output: Any) -> Config:
    told = {"log_every": 10, "sample_every": 50.0, "score": False} | output
    return shortened(recipes.find("gaussian"), steps, **told)


def train(config: Config, path: Path, **options: Any) -> session.Trained:
    return session.train(config, path, show="quiet", **options)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few samples, and looks at samples whatever they cost."""
    monkeypatch.setattr(diagnosis.Patient, "n", 120)
    monkeypatch.setattr(watch, "FEW", 110)
    monkeypatch.setattr(watch, "SHARE", 1e9)
    monkeypatch.setattr(watch, "SHORTEST", 0.0)
    monkeypatch.setattr(stepping, "LEAST_GAP", 1)
    monkeypatch.setattr(session, "draw", lambda run: None)


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the Gaussian, two passes over its data, not diagnosed yet."""
    path = tmp_path_factory.mktemp("toy") / "run"
    list(loop.train(gaussian(250), path))
    return path


# --- checks -----------------------------------------------------------------------------------


def test_nothing_is_said_of_a_healthy_run() -> None:
    found = diagnosis.judge(HEALTHY, {}, tuple(CHECKS))
    assert found.healthy and found.checked == tuple(CHECKS) and not found.skipped


@pytest.mark.parametrize("code", list(CHECKS))
def test_each_code_is_found_alone_with_its_figures(code: str) -> None:
    found = diagnosis.judge(HEALTHY | SICK[code], {}, tuple(CHECKS), 7)
    assert found.codes == (code,) and found.step == 7
    (one,) = found.findings
    assert one.name == NAMES[code] and re.search(r"\d", one.evidence) and "\n" not in one.evidence
    assert one.remedy and "\n" not in one.remedy
    for name, value in one.figures.items():
        assert value == (HEALTHY | SICK[code])[name]
    assert set(SICK[code]) & set(one.figures)


def test_a_saturated_d_is_named_by_its_loss() -> None:
    """The minimax loss has lost its slope; the other has a D that is sure of everything."""
    for name, remedy in (("minimax", "non-saturating"), ("non-saturating", "discriminator.lr")):
        sure = log(loss_d=1e-4, logit_real=9.0, logit_fake=-9.0, d_real=1.0, d_fake=1e-4)
        figures = from_log.of_log(sure, Adversarial(name))
        (one,) = diagnosis.judge(figures, {}, ("GF003",)).findings
        assert remedy in one.remedy


def test_the_word_collapse_stands_in_both() -> None:
    assert "collapse" in NAMES["GF001"] and "collapse" in NAMES["GF002"]


@pytest.mark.parametrize("code", list(CHECKS))
def test_every_code_is_explained(code: str) -> None:
    told = diagnosis.explain(code)
    for part in (code, NAMES[code], "What it is:", "Why it is bad:", "What to do:"):
        assert part in told
    assert code in (ROOT / "docs/diagnosis.md").read_text()


def test_an_unknown_code_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="did you mean 'GF003'"):
        diagnosis.explain("GF03")


def test_every_setting_a_remedy_names_is_one() -> None:
    """--a.b words of the remedies and docstrings are settings of a recipe, or options of train."""
    from ganforge.config import flat, to_dict

    known = {key for name in recipes.RECIPES for key, _ in flat(to_dict(recipes.find(name)))}
    options = {"precision", "every", "stop", "ema", "epochs", "on_nan"}
    texts = [diagnosis.explain(code) for code in CHECKS]
    texts += [
        f.remedy
        for code in CHECKS
        for f in diagnosis.judge(HEALTHY | SICK[code], {}, (code,)).findings
    ]
    for word in re.findall(r"--([a-z_][\w.-]*)", "\n".join(texts)):
        name = word.strip(".").replace("-", "_")
        assert name in known | options, word


# --- what is kept -----------------------------------------------------------------------------


def test_json_and_back(tmp_path: Path) -> None:
    picture = tmp_path / "diagnosis" / "samples.png"
    one = Finding("GF001", "mode collapse", "few", "do", {"near": 0.5}, (picture,))
    before = Diagnosis((one,), ("GF001",), {"GF009": "no labels"}, 12)
    findings.save(tmp_path / "d.json", before)
    table = json.loads((tmp_path / "d.json").read_text())
    assert table["findings"][0]["pictures"] == ["diagnosis/samples.png"]
    assert table["healthy"] is False
    assert findings.read(tmp_path / "d.json") == before
    assert findings.read(tmp_path / "none.json") is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 2}', '{"format": 1, "findings": 3}'])
def test_a_damaged_file_is_a_data_error(text: str, tmp_path: Path) -> None:
    (tmp_path / "d.json").write_text(text)
    with pytest.raises(DataError, match=r"d\.json"):
        findings.read(tmp_path / "d.json")


# --- run folders ------------------------------------------------------------------------------


def test_a_finished_toy(toy: Path) -> None:
    found = diagnosis.diagnose(toy)
    assert "GF001" in found.checked and "GF004" in found.checked and "GF010" in found.checked
    assert found.skipped["GF009"] == "its game has no labels"
    assert set(found.skipped) == {"GF009", "GF011", "GF012"} and found.step == 250
    assert diagnosis.diagnose(toy) == found
    assert findings.read(toy / "diagnosis.json") == found


def test_pictures_of_digits_with_labels(tmp_path: Path) -> None:
    config = shortened(recipes.find("cdcgan"), 12, log_every=2, score=False)
    data, held = pictures(200), pictures(150, seed=1)
    list(loop.train(config, tmp_path / "run", data=data))
    found = diagnosis.diagnose(tmp_path / "run", data=data, held=held)
    assert set(found.skipped) == {"GF011", "GF012"}
    assert "GF001" in found.codes  # twelve steps make one grey picture
    (one,) = [f for f in found.findings if f.code == "GF001"]
    assert one.pictures and all(p.read_bytes()[:4] == b"\x89PNG" for p in one.pictures)


def test_colour_pictures_of_another_size_without_labels(tmp_path: Path) -> None:
    config = shortened(recipes.find("dcgan"), 6, log_every=1, score=False)
    data, held = (pictures(120, 18, 3, 1, seed) for seed in (0, 1))
    data, held = (replace(d, labels=None, spec=DataSpec((3, 18, 18))) for d in (data, held))
    list(loop.train(config, tmp_path / "run", data=data))
    found = diagnosis.diagnose(tmp_path / "run", data=data, held=held, keep=False)
    assert set(found.skipped) == {"GF009", "GF011", "GF012"}
    assert not (tmp_path / "run" / "diagnosis.json").exists()


def test_modes_of_the_ring_that_are_missing(tmp_path: Path) -> None:
    """A generator that draws from the ring itself, all of it or three modes in four."""

    class Ring(nn.Module):
        def __init__(self, modes: int):
            super().__init__()
            self.turn = nn.Parameter(torch.zeros(1))
            self.modes = modes

        def forward(self, z: torch.Tensor) -> torch.Tensor:
            which = torch.floor(torch.special.ndtr(z[:, 0]) * self.modes)
            angle = which * (2 * torch.pi / 8) + self.turn
            centre = torch.stack([torch.cos(angle), torch.sin(angle)], 1)
            return centre + 0.01 * z[:, 1:3]

    def networks(modes: int) -> Any:
        def made(spec: DataSpec, noise: int) -> dict[str, nn.Module]:
            return {"generator": Ring(modes), "discriminator": nn.Linear(2, 1)}

        return made

    for modes, wanted in ((8, ()), (6, ("GF002",)), (3, ("GF001",))):
        config = replace(gaussian(40), data="ring", networks=networks(modes))
        config = replace(config, noise=replace(config.noise, size=3),
                         generator=replace(config.generator, lr=0.0))  # fmt: skip
        path = tmp_path / str(modes)
        list(loop.train(config, path))
        found = diagnosis.diagnose(path, networks=networks(modes), keep=False)
        told = tuple(c for c in found.codes if c in ("GF001", "GF002"))
        assert told == wanted, modes


def of_trainer(path: Path) -> dict[str, str]:
    """Hashes of all files but those of a diagnosis."""
    return {k: v for k, v in folder_hashes(path).items() if not k.startswith("diagnosis")}


def test_a_run_under_way_is_not_disturbed(toy: Path, tmp_path: Path) -> None:
    """From outside, between two records, with the lock held and a checkpoint there."""
    path, hashes = tmp_path / "run", {}
    config = gaussian(120, save_every=0.16)
    for progress in loop.train(config, path):
        if progress.saved and progress.step < 120:
            before = of_trainer(path)
            found = diagnosis.diagnose(path)
            assert of_trainer(path) == before and found.checked and (path / "run.lock").exists()
            hashes[progress.step] = found.step
    assert hashes and all(step == at for step, at in hashes.items())
    list(loop.train(config, tmp_path / "alone"))
    newest = [checkpoint.listed(p / "checkpoints")[0] for p in (path, tmp_path / "alone")]
    assert len({(p / checkpoint.STATE).read_bytes() for p in newest}) == 1


def test_a_stopped_run_and_one_without_a_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "run"
    list(loop.train(gaussian(200), path, StopAfter(80)))
    assert diagnosis.diagnose(path).step == 80
    for folder_ in checkpoint.listed(path / "checkpoints"):
        for file in folder_.iterdir():
            file.unlink()
        folder_.rmdir()
    found = diagnosis.diagnose(path)
    assert found.skipped["GF001"] == "it has no checkpoint yet" and "GF005" in found.checked
    (path / "log.jsonl").unlink()
    with pytest.raises(DataError, match="no log record and no checkpoint"):
        diagnosis.diagnose(path)


def test_a_diverged_run_is_an_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = gaussian(100)
    path = tmp_path / "run"
    list(loop.train(config, path, StopAfter(60)))
    runs.Run(path).write_info(status="diverged")
    assert main(["diagnose", str(path)]) == 0
    out = capsys.readouterr().out
    assert "GF007 not finite\n  the run diverged" in out and "remedy: " in out


def test_a_critic_is_not_said_to_be_checked_for_its_cost(tmp_path: Path) -> None:
    """Wasserstein's loss has no value that a guess would cost: nothing is known of GF003, GF005."""
    path = tmp_path / "run"
    list(loop.train(replace(gaussian(100), game=Adversarial("wasserstein")), path))
    found = diagnosis.diagnose(path, keep=False)
    assert "guessing" in found.skipped["GF003"] == found.skipped["GF005"]
    assert "GF006" in found.checked


def test_every_checkpoint_damaged(toy: Path, tmp_path: Path) -> None:
    import shutil

    path = tmp_path / "run"
    shutil.copytree(toy, path)
    for folder_ in checkpoint.listed(path / "checkpoints"):
        (folder_ / checkpoint.STATE).write_bytes(b"")
    with pytest.raises(DataError, match="every checkpoint is damaged"):
        diagnosis.diagnose(path)


def test_data_that_are_gone_or_others(tmp_path: Path) -> None:
    np.save(tmp_path / "points.npy", np.random.default_rng(0).normal(size=(400, 2)).astype("f4"))
    config = replace(gaussian(60), data=str(tmp_path / "points.npy"))
    path = tmp_path / "run"
    list(loop.train(config, path))
    few = diagnosis.diagnose(path)
    assert "20 held-out examples are too few" in few.skipped["GF001"]
    np.save(tmp_path / "points.npy", np.zeros((400, 2), np.float32))
    other = diagnosis.diagnose(path)
    assert "is not what it was trained on" in other.skipped["GF001"]
    assert "GF005" in other.checked
    (tmp_path / "points.npy").unlink()
    gone = diagnosis.diagnose(path)
    assert "--data" in gone.skipped["GF004"]
    assert main(["diagnose", str(path), "--data", "ring"]) == 0


def test_data_of_another_shape(toy: Path) -> None:
    with pytest.raises(DataError, match=r"examples of shape \(1, 28, 28\), where .* makes \(2,\)"):
        diagnosis.diagnose(toy, data=pictures(200), held=pictures(200), keep=False)


def test_by_other_data_nothing_is_kept(toy: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(toy, tmp_path / "run")
    (tmp_path / "run" / "diagnosis.json").unlink(missing_ok=True)
    assert main(["diagnose", str(tmp_path / "run"), "--data", "ring"]) == 0
    assert not (tmp_path / "run" / "diagnosis.json").exists()


# --- the command ------------------------------------------------------------------------------


def test_the_command(toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diagnose", str(toy)]) == 0
    out = capsys.readouterr().out
    assert "checked GF001" in out and "not checked: GF009: its game has no labels" in out
    assert main(["diagnose", "--explain", "gf003"]) == 0
    assert capsys.readouterr().out.startswith("GF003 discriminator saturated\n\nWhat it is:")


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ([], 2, "name a run folder"),
        (["nowhere"], 65, "no such run folder"),
        (["--explain", "GF013"], 2, "did you mean"),
        (["RUN", "--data", "nothing"], 2, "nothing"),
        (["RUN", "--size", "32"], 2, "--data"),
        (["RUN", "--code", "none.py"], 2, "none.py"),
    ],
)
def test_bad_input_is_one_line(
    words: list[str], code: int, told: str, toy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["diagnose", *(str(toy) if w == "RUN" else w for w in words)]) == code
    err = capsys.readouterr().err
    assert told in err and len(err.strip().splitlines()) == 1


def test_networks_of_the_users_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = tmp_path / "mine.py"
    code.write_text(
        "from dataclasses import replace\nfrom torch import nn\nimport ganforge as gf\n"
        "def nets(spec, noise):\n"
        "    return {'generator': nn.Linear(noise, 2), 'discriminator': nn.Linear(2, 1)}\n"
        "def run():\n"
        "    c = replace(gf.recipes.gaussian(), networks=nets, kimg=0.5, threads=1)\n"
        "    return replace(c, output=replace(c.output, log_every=5, score=False))\n"
    )
    path = tmp_path / "run"
    list(loop.train(recipes.find(f"{code}:run"), path))
    assert main(["diagnose", str(path)]) == 0
    assert "not checked: GF001" in (out := capsys.readouterr().out) and "code" in out
    assert main(["diagnose", str(path), "--code", str(code)]) == 0
    assert re.search(r"^(healthy \()?checked GF001", capsys.readouterr().out, re.MULTILINE)


# --- while a run goes on ----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["gaussian", "cdcgan"])
def test_watching_shifts_nothing(name: str, tmp_path: Path) -> None:
    """Weights, moments and log are the same, bit for bit."""
    config = shortened(recipes.find(name), 40, log_every=4, sample_every=0.1, score=False)
    data, held = (pictures(160), pictures(140, seed=1)) if name == "cdcgan" else (None, None)
    list(loop.train(config, tmp_path / "alone", data=data))
    watched = train(config, tmp_path / "watched", data=data, validation=held)
    states = []
    for path in (tmp_path / "alone", tmp_path / "watched"):
        newest = checkpoint.listed(path / "checkpoints")[0]
        states.append(fingerprint(checkpoint.read_tensors(newest / checkpoint.STATE)))
    assert states[0] == states[1]
    assert log_without_times(tmp_path / "alone") == log_without_times(tmp_path / "watched")
    assert watched.diagnosis is not None and "GF001" in watched.diagnosis.checked
    assert findings.read(tmp_path / "watched" / "diagnosis.json") == watched.diagnosis
    again = train(config, tmp_path / "watched", data=data, validation=held)
    assert again.diagnosis == watched.diagnosis


class Kept:
    """A display that keeps the notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def __enter__(self) -> Kept:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def show(self, progress: Progress) -> None:
        if progress.note:
            self.notes.append(progress.note)


def frozen(steps: int, **output: Any) -> Config:
    """D learns, and G stays where it is, in the middle of the ring."""
    config = gaussian(steps, **output)
    return replace(
        config,
        data="ring",
        batch=32,
        kimg=steps * 32 / 1000,
        networks=replace(config.networks, discriminator=(16,), discriminator_activation="relu"),
        game=Adversarial(),
        generator=replace(config.generator, lr=0.0),
        discriminator=replace(config.discriminator, lr=0.03),
    )


def test_a_sickness_is_told_once_and_the_moment_it_holds(tmp_path: Path) -> None:
    shown = Kept()
    done = session.train(frozen(200, sample_every=0.02), tmp_path / "run", show=shown)
    for code in ("GF001", "GF003"):
        told = [note for note in shown.notes if code in note]
        assert len(told) == 1 and NAMES[code] in told[0]
        assert done.diagnosis is not None and code in done.diagnosis.codes


def test_a_classification_of_weight_is_not_told_as_an_explosion(tmp_path: Path) -> None:
    """D's loss begins with weight times log K: neither on the way nor at the end a finding."""
    config = shortened(recipes.find("cdcgan"), 24, log_every=4, score=False)
    config = replace(config, game=replace(config.game, classify=3.0))
    shown, held = Kept(), pictures(140, seed=1)
    done = session.train(config, tmp_path / "run", show=shown, data=pictures(160), validation=held)
    assert done.diagnosis is not None and "GF008" in done.diagnosis.checked
    assert "GF008" not in " ".join((*shown.notes, *done.diagnosis.codes))


def test_the_log_is_watched_without_a_look_at_samples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where looks would take more than their share of the time."""
    monkeypatch.setattr(watch, "SHARE", 0.0)
    shown = Kept()
    session.train(frozen(200, sample_every=0.02), tmp_path / "run", show=shown)
    assert any("GF003" in n for n in shown.notes) and not any("GF001" in n for n in shown.notes)


def test_the_end_of_train_says_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "gaussian", "--kimg", "2", "--out", str(tmp_path / "run")]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert re.search(r"^(healthy \(checked|GF\d\d\d )", out, re.MULTILINE)


def test_the_newest_scores_are_looked_at(tmp_path: Path) -> None:
    data: Dataset = source.load("gaussian")
    held = source.load("gaussian", part="validation")
    few = replace(held, values=held.values[:110])
    config = gaussian(250, score=True)
    done = train(config, tmp_path / "run", data=data, validation=few)
    assert done.scores and done.diagnosis is not None and "GF011" in done.diagnosis.codes


def test_the_clinic_and_the_bounds_agree() -> None:
    """Every bound is used by a check, and every way names codes there are."""
    from inspect import getsource

    text = getsource(checks)
    for name in checks.BOUNDS:
        assert f'BOUNDS["{name}"]' in text, name
    assert set(codes.NEEDS) == set(CHECKS) == set(NAMES)


def test_settings_that_are_damaged(toy: Path, tmp_path: Path) -> None:
    import shutil

    path = tmp_path / "run"
    shutil.copytree(toy, path)
    (path / "config.toml").write_text('name = "x"\n')
    with pytest.raises(DataError, match=r"config\.toml"):
        folder.admit(path)


def test_too_few_samples_to_judge_by_is_no_sickness_of_the_run() -> None:
    found = diagnosis.judge({**HEALTHY, "n": 120}, {}, tuple(CHECKS))
    assert found.codes == ("GF011",) and found.healthy and not found.sick
    told = findings.text(found)
    assert "GF011" in told and "healthy (checked" in told
    assert not diagnosis.judge({**HEALTHY, **SICK["GF001"]}, {}, tuple(CHECKS)).healthy


@pytest.mark.parametrize("code", ["GF001", "GF002", "GF004", "GF009", "GF010"])
def test_evidence_from_samples_tells_how_many(code: str) -> None:
    figures = {**HEALTHY, **SICK[code], "looked": 1000.0}
    (one,) = diagnosis.judge(figures, {}, (code,)).findings
    assert one.evidence.endswith("(1,000 samples and as many held-out examples, seed 0)")


def test_a_conditional_recipe_is_advised_where_there_are_labels_to_ask_for() -> None:
    figures = {**HEALTHY, **SICK["GF002"]}
    for askable, word in ((1.0, "cdcgan"), (0.0, "--batch")):
        (one,) = diagnosis.judge({**figures, "askable": askable}, {}, ("GF002",)).findings
        assert word in one.remedy


def test_the_missing_class_is_named() -> None:
    figures = {**HEALTHY, **SICK["GF002"], "rarest": 7.0, "absent": 0.5}
    for kind, named in ((), "class 7 has 0%"), (("modes",), "mode 7 has"), (("cells",), "a group"):
        told = figures | dict.fromkeys(kind, 1.0)
        (one,) = diagnosis.judge(told, {}, ("GF002",)).findings
        assert one.evidence.startswith(named)


def test_no_effect_of_labels_is_no_negative_share() -> None:
    figures = {**HEALTHY, "label_effect": 0.3, "label_effect_real": -0.0003}
    (one,) = diagnosis.judge(figures, {}, ("GF009",)).findings
    assert "30% of the samples' variance, and 0% of the real" in one.evidence


def test_one_empty_cell_is_no_missing_class() -> None:
    """Cells of k-means stand in where there are no classes; many of them have to be empty."""
    cell = {**HEALTHY, "least": 0.0, "cells": 1.0}
    assert diagnosis.judge({**cell, "absent": 0.1}, {}, ("GF002",)).healthy
    assert diagnosis.judge({**cell, "absent": 0.5}, {}, ("GF002",)).codes == ("GF002",)


def test_copies_are_told_by_distance_or_by_number() -> None:
    few = {**HEALTHY, "authentic": 0.3, "known": 10_000.0}
    assert diagnosis.judge({**few, "copied": 0.01}, {}, ("GF010",)).healthy
    assert diagnosis.judge({**few, "copied": 0.05}, {}, ("GF010",)).codes == ("GF010",)
    (one,) = diagnosis.judge({**few, "c_t": -4.0}, {}, ("GF010",)).findings
    assert "the training data (10,000 examples of them)" in one.evidence  # not all of them
    # half of the data missing is no excuse, one picture again and again is another finding
    assert diagnosis.judge({**few, "c_t": -4.0, "missing": 0.6}, {}, ("GF010",)).codes
    assert diagnosis.judge({**few, "c_t": -4.0, "near": 0.1}, {}, ("GF010",)).healthy
