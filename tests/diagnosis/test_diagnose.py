"""Runs are diagnosed, finished, broken or under way; and none is the worse for it."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from ganforge import recipes
from ganforge.cli import main
from ganforge.config.schema import Config
from ganforge.data.spec import DataSpec
from ganforge.diagnosis import Diagnosis, diagnose, examine, findings, snapshot
from ganforge.diagnosis.player_signals import norms
from ganforge.errors import DataError, UsageError
from ganforge.gan.adversarial import Adversarial
from ganforge.runs import checkpoint
from ganforge.runs import folder as runs
from ganforge.training import loop
from tests.diagnosis.test_remedies import OF_TRANSLATION
from tests.helpers.tiny import StopAfter, folder_hashes, pictures, shortened


def gaussian(steps: int = 100, **output: Any) -> Config:
    usual = {"log_every": 10, "sample_every": 50.0, "score": False, "min_gap": 1} | output
    return shortened(recipes.find("gaussian"), steps, **usual)


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the Gaussian, two passes over its data, not diagnosed yet."""
    path = tmp_path_factory.mktemp("toy") / "run"
    list(loop.train(gaussian(250), path))
    return path


def at_any_step(
    path: Path, data: Any = None, validation: Any = None, networks: Any = None, save: bool = True
) -> Diagnosis:
    """A diagnosis that does not wait for 200 steps."""
    seen = snapshot.of_run(path, data, validation, networks)
    return examine(replace(seen, fewest=0, planned=0), path if save else None)


def test_a_finished_run_is_diagnosed_twice_alike(toy: Path) -> None:
    found = diagnose(toy)
    assert "GF001" in found.checked and "GF004" in found.checked and "GF010" in found.checked
    assert found.skipped["GF009"] == "its game has no labels"
    assert set(found.skipped) == {"GF009", "GF011", "GF012", *OF_TRANSLATION}
    assert found.skipped["GF013"] == "it does not translate pictures" and found.step == 250
    assert diagnose(toy) == found
    assert findings.read(toy / "diagnosis.json") == found


def test_a_diagnosis_in_a_program_draws_no_global_random_number(toy: Path) -> None:
    before = torch.get_rng_state()
    diagnose(toy, n=100, save=False)
    assert torch.equal(torch.get_rng_state(), before)


def test_too_few_samples_are_refused(toy: Path) -> None:
    with pytest.raises(UsageError, match="n = 99: expected at least 100 samples"):
        diagnose(toy, n=99)


def test_a_checkpoint_of_other_networks_is_a_data_error(toy: Path, tmp_path: Path) -> None:
    shutil.copytree(toy, tmp_path / "run")
    settings = tmp_path / "run" / "config.toml"
    text = settings.read_text()
    settings.write_text(re.sub(r"generator = \[[^\]]*\]", "generator = [99]", text))
    assert settings.read_text() != text
    with pytest.raises(DataError, match="belongs to another configuration"):
        diagnose(tmp_path / "run")


def test_growth_is_measured_from_the_first_weights(tmp_path: Path) -> None:
    """A player that does not move has the norms it was drawn with."""
    config = gaussian(60)
    still = replace(config, generator=replace(config.generator, lr=0.0))
    list(loop.train(still, tmp_path / "run"))
    seen = snapshot.of_run(tmp_path / "run")
    now = {side: norms(module) for side, module in seen.players.items()}
    assert now["generator"] == seen.initial_norms["generator"]
    assert now["discriminator"] != seen.initial_norms["discriminator"]


def test_a_conditional_run_on_digits_is_checked_and_illustrated(tmp_path: Path) -> None:
    config = shortened(recipes.find("cdcgan"), 12, log_every=2, score=False, min_gap=1)
    data, held_out = pictures(200), pictures(150, seed=1)
    list(loop.train(config, tmp_path / "run", data=data))
    early = diagnose(tmp_path / "run", data=data, validation=held_out)
    assert not early.findings and not early.healthy
    assert early.skipped["GF001"] == "too early: 12 of 200 steps" == early.open
    found = at_any_step(tmp_path / "run", data, held_out)
    assert set(found.skipped) == {"GF011", "GF012", *OF_TRANSLATION}
    assert "GF001" in found.codes  # twelve steps make one grey picture
    (one,) = [f for f in found.findings if f.code == "GF001"]
    assert one.pictures and all(p.read_bytes()[:4] == b"\x89PNG" for p in one.pictures)


def test_colour_pictures_without_labels_are_checked(tmp_path: Path) -> None:
    config = shortened(recipes.find("dcgan"), 6, log_every=1, score=False, min_gap=1)
    data, held_out = (pictures(120, 18, 3, 1, seed) for seed in (0, 1))
    data, held_out = (replace(d, labels=None, spec=DataSpec((3, 18, 18))) for d in (data, held_out))
    list(loop.train(config, tmp_path / "run", data=data))
    found = at_any_step(tmp_path / "run", data, held_out, save=False)
    assert set(found.skipped) == {"GF009", "GF011", "GF012", *OF_TRANSLATION}
    assert not (tmp_path / "run" / "diagnosis.json").exists()


def test_a_run_on_five_pictures_is_not_healthy(tmp_path: Path) -> None:
    config = shortened(recipes.find("dcgan"), 6, log_every=1, score=False, min_gap=1)
    for count, why in ((1, "1 training examples are too few"), (5, "5 training examples are")):
        few = replace(pictures(count), labels=None, spec=DataSpec((1, 28, 28)))
        path = tmp_path / str(count)
        list(loop.train(replace(config, batch=1), path, data=few))
        held_out = replace(pictures(150, seed=1), labels=None, spec=DataSpec((1, 28, 28)))
        found = at_any_step(path, few, held_out, save=False)
        assert not found.healthy and why in (found.open + str(found.codes))


def test_missing_modes_of_the_ring_are_found(tmp_path: Path) -> None:
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
        found = at_any_step(path, networks=networks(modes), save=False)
        collapsed = tuple(c for c in found.codes if c in ("GF001", "GF002"))
        assert collapsed == wanted, modes


def of_trainer(path: Path) -> dict[str, str]:
    """Hashes of all files but those of a diagnosis."""
    return {k: v for k, v in folder_hashes(path).items() if not k.startswith("diagnosis")}


def test_a_run_under_way_is_not_disturbed(toy: Path, tmp_path: Path) -> None:
    """From outside, between two records, with the folder locked and a checkpoint there."""
    path, hashes = tmp_path / "run", {}
    config = gaussian(120, save_every=0.16)
    for progress in loop.train(config, path):
        if progress.saved and progress.step < 120:
            before = of_trainer(path)
            found = diagnose(path)
            assert of_trainer(path) == before and found.checked and (path / "run.lock").exists()
            hashes[progress.step] = found.step
    assert hashes and all(step == at for step, at in hashes.items())
    list(loop.train(config, tmp_path / "alone"))
    newest = [checkpoint.listed(p / "checkpoints")[0] for p in (path, tmp_path / "alone")]
    assert len({(p / checkpoint.STATE).read_bytes() for p in newest}) == 1


def test_without_a_checkpoint_the_log_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "run"
    list(loop.train(gaussian(300), path, StopAfter(220)))
    assert diagnose(path).step == 220
    for folder_ in checkpoint.listed(path / "checkpoints"):
        for file in folder_.iterdir():
            file.unlink()
        folder_.rmdir()
    found = diagnose(path)
    assert found.skipped["GF001"] == "it has no checkpoint yet" and "GF005" in found.checked
    (path / "log.jsonl").unlink()
    with pytest.raises(DataError, match="no log record and no checkpoint"):
        diagnose(path)


def test_a_diverged_run_is_an_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = gaussian(100)
    path = tmp_path / "run"
    list(loop.train(config, path, StopAfter(60)))
    runs.Run(path).write_info(status="diverged")
    assert main(["diagnose", str(path)]) == 0
    out = capsys.readouterr().out
    assert "GF007 not finite\n  the run diverged" in out and "remedy: " in out


def test_checks_of_the_loss_of_guessing_are_skipped_for_a_critic(tmp_path: Path) -> None:
    """Wasserstein's loss has no value that a guess would cost: nothing is known of GF003, GF005."""
    path = tmp_path / "run"
    list(loop.train(replace(gaussian(210), game=Adversarial("wasserstein")), path))
    found = diagnose(path, save=False)
    assert "guessing" in found.skipped["GF003"] == found.skipped["GF005"]
    assert "GF006" in found.checked


def test_damaged_checkpoints_are_a_data_error(toy: Path, tmp_path: Path) -> None:
    path = tmp_path / "run"
    shutil.copytree(toy, path)
    for folder_ in checkpoint.listed(path / "checkpoints"):
        (folder_ / checkpoint.STATE).write_bytes(b"")
    with pytest.raises(DataError, match="every checkpoint is damaged"):
        diagnose(path)


def test_without_the_data_of_the_training_the_log_is_checked(tmp_path: Path) -> None:
    np.save(tmp_path / "points.npy", np.random.default_rng(0).normal(size=(400, 2)).astype("f4"))
    config = replace(gaussian(210), data=str(tmp_path / "points.npy"))
    path = tmp_path / "run"
    list(loop.train(config, path))
    few = diagnose(path)
    assert "20 held-out examples are too few" in few.skipped["GF001"]
    np.save(tmp_path / "points.npy", np.zeros((400, 2), np.float32))
    other = diagnose(path)
    assert "is not what it was trained on" in other.skipped["GF001"]
    assert "GF005" in other.checked
    (tmp_path / "points.npy").unlink()
    gone = diagnose(path)
    assert "--data" in gone.skipped["GF004"]
    assert main(["diagnose", str(path), "--data", "ring"]) == 0


def test_data_of_another_shape_are_refused(toy: Path) -> None:
    with pytest.raises(DataError, match=r"examples of shape \(1, 28, 28\), where .* makes \(2,\)"):
        diagnose(toy, data=pictures(200), validation=pictures(200), save=False)


def test_a_diagnosis_by_other_data_is_not_saved(toy: Path, tmp_path: Path) -> None:
    shutil.copytree(toy, tmp_path / "run")
    (tmp_path / "run" / "diagnosis.json").unlink(missing_ok=True)
    assert main(["diagnose", str(tmp_path / "run"), "--data", "ring"]) == 0
    assert not (tmp_path / "run" / "diagnosis.json").exists()


def test_the_command_prints_findings_and_explanations(
    toy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["diagnose", str(toy)]) == 0
    out = capsys.readouterr().out
    assert "checked GF001" in out and "not checked: GF009: its game has no labels" in out
    assert main(["diagnose", "--explain", "gf003"]) == 0
    assert capsys.readouterr().out.startswith("GF003 discriminator saturated\n\nWhat it is:")


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ([], 2, "name a run folder"),
        (["nowhere"], 65, "no such run folder"),
        (["--explain", "GF099"], 2, "did you mean"),
        (["RUN", "--data", "nothing"], 2, "nothing"),
        (["RUN", "--size", "32"], 2, "--data"),
        (["RUN", "--code", "none.py"], 2, "none.py"),
    ],
)
def test_bad_input_is_one_line(
    words: list[str], code: int, message: str, toy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["diagnose", *(str(toy) if w == "RUN" else w for w in words)]) == code
    err = capsys.readouterr().err
    assert message in err and len(err.strip().splitlines()) == 1


def test_networks_of_the_user_need_their_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = tmp_path / "mine.py"
    code.write_text(
        "from dataclasses import replace\nfrom torch import nn\nimport ganforge as gf\n"
        "def nets(spec, noise):\n"
        "    return {'generator': nn.Linear(noise, 2), 'discriminator': nn.Linear(2, 1)}\n"
        "def run():\n"
        "    c = replace(gf.recipes.gaussian(), networks=nets, kimg=20, batch=100, threads=1)\n"
        "    return replace(c, output=replace(c.output, log_every=5, score=False))\n"
    )
    path = tmp_path / "run"
    list(loop.train(recipes.find(f"{code}:run"), path))
    assert main(["diagnose", str(path)]) == 0
    assert "not checked: GF001" in (out := capsys.readouterr().out) and "code" in out
    assert main(["diagnose", str(path), "--code", str(code)]) == 0
    assert re.search(
        r"^(no finding, .*\(|healthy \()?checked GF001", capsys.readouterr().out, re.MULTILINE
    )


def test_damaged_settings_are_a_data_error(toy: Path, tmp_path: Path) -> None:
    path = tmp_path / "run"
    shutil.copytree(toy, path)
    (path / "config.toml").write_text('name = "x"\n')
    with pytest.raises(DataError, match=r"config\.toml"):
        snapshot.of_run(path)
