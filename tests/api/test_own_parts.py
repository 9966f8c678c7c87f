"""Code of a user's file as parts of a run: named, stored by name and hash, named again."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ganforge as gf
from ganforge.cli import main
from ganforge.config import convert
from ganforge.evaluation import store
from ganforge.registry import PARTS, load_code, named, with_code
from ganforge.report import facts
from ganforge.runs.folder import Run
from ganforge.runs.load import load_config

MINE = """
from dataclasses import dataclass
import numpy as np
import torch
from torch import nn
from ganforge.augment.base import Augmentation
from ganforge.gan.adversarial import Adversarial
from ganforge.gan.penalties import Penalty


def exponential_d(real, fake):
    return torch.exp(-real) + torch.exp(fake)


def exponential_g(real, fake):
    return torch.exp(-fake)


exponential = (exponential_d, exponential_g)


@dataclass(frozen=True)
class Small(Penalty):
    gamma: float = 1.0

    def __call__(self, players, batch, inputs, aux):
        logit = players.discriminate(batch.real, batch.label, batch.source, None)
        return self.gamma * logit.flatten(1).square().sum(1) if logit.dim() > 1 else (
            self.gamma * logit.square()), aux


@dataclass(frozen=True)
class Half(Adversarial):
    share: float = 0.5


@dataclass(frozen=True)
class Shift(Augmentation):
    by: float = 0.0

    def random_inputs(self):
        return {}

    def __call__(self, x, numbers):
        return x + self.by


def networks(spec, noise):
    G = nn.Sequential(nn.Linear(noise, spec.size), nn.Unflatten(1, spec.shape))
    D = nn.Sequential(nn.Flatten(), nn.Linear(spec.size, 8), nn.ReLU(), nn.Linear(8, 1))
    return {"generator": G, "discriminator": D}


def gap(samples, real):
    return abs(samples.mean() - real.mean())


def halves(values):
    return values.reshape(len(values), -1)[:, :1]


def read(path):
    return np.fromfile(path, np.uint8).reshape(-1, 16, 16)


def points():
    return np.random.default_rng(0).normal(size=(2400, 2)).astype(np.float32)
"""


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mine") / "mine.py"
    path.write_text(MINE)
    return path


@pytest.fixture(scope="module")
def run(mine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of which every part is code of the user's, by the command line."""
    path = tmp_path_factory.mktemp("own") / "run"
    words = (
        f"train gaussian --data {mine}:points --networks {mine}:networks --batch 60 "
        f"--game.loss {mine}:exponential --game.penalties {mine}:Small,r2 --kimg 0.3 "
        f"--game.penalties.0.gamma 0.5 --out {path} --threads 1"
    )
    assert main(shlex.split(words)) == 0
    return path


def test_parts_are_stored_by_name_hash_and_settings(run: Path, mine: Path) -> None:
    settings = Run(run).settings()
    loss, penalty = settings["game"]["loss"], settings["game"]["penalties"][0]
    assert (loss["kind"], loss["name"]) == ("python", "exponential_d exponential_g")
    assert (penalty["name"], penalty["gamma"]) == ("Small", 0.5)
    assert settings["networks"]["name"] == "networks"
    assert all(len(table["sha256"]) == 64 for table in (loss, penalty, settings["networks"]))
    assert "exp(" not in (run / "config.toml").read_text()


def test_with_the_code_a_config_is_whole_again(run: Path, mine: Path) -> None:
    code = load_code(mine)
    config = load_config(Run(run), code)
    assert config.game.loss.discriminator is code["exponential_d"] and config.game.loss.uses_real
    assert config.game.penalties[0] == code["Small"](0.5)
    assert config.networks is code["networks"]
    assert convert.to_dict(config) == Run(run).settings()


def test_every_command_works_with_the_code(run: Path, mine: Path, capsys: Any) -> None:
    out = run.parent / "out.npz"
    for words in (
        f"sample {run} -n 4 -o {out}",
        f"evaluate {run} -n 100 --metrics mmd,{mine}:gap --space {mine}:halves --split validation",
        f"diagnose {run}",
        f"report {run} -o {run.parent / 'report.html'}",
        f"train {run} --kimg 0.36",
        f"train --config {run / 'config.toml'} --kimg 0.36 --out {run} --data {run / 'data'}",
    ):
        assert main([*shlex.split(words), "--code", str(mine)]) == 0, words
    assert gf.load(run, code=mine).sample(2).shape == (2, 2)
    scores = {s.name: s for entry in store.entries(Run(run)) for s in store.cards(entry)}
    assert scores["mmd"].space == "halves" and scores["gap"].value >= 0
    assert len(scores["gap"].space_sha256) == len(scores["mmd"].space_sha256) == 64


def test_without_the_code_it_is_asked_for(run: Path, capsys: Any) -> None:
    for words in (f"sample {run}", f"train {run} --kimg 0.4", f"evaluate {run} -n 100"):
        assert main(shlex.split(words)) != 0
        assert "--code FILE.py" in capsys.readouterr().err


def test_the_printed_command_trains_the_same(run: Path, mine: Path, monkeypatch: Any) -> None:
    settings = Run(run).settings()
    assert "--code FILE.py" in facts.command(run, settings)
    words = shlex.split(facts.command(run, settings, load_code(mine)))
    again = run.parent / "again"
    words[words.index("--out") + 1] = str(again)
    assert main([*words[1:], "--data", settings["data"]]) == 0
    assert Run(again).info()["config_hash"] == Run(run).info()["config_hash"]
    weights = [(path / "model" / "model.safetensors").read_bytes() for path in (run, again)]
    assert weights[0] == weights[1]


def test_no_code_of_a_folder_runs_without_being_named(tmp_path: Path, capsys: Any) -> None:
    evil = tmp_path / "evil.py"
    evil.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\ndef run(): pass\n")
    for table in (
        f'name = "dcgan"\n[game]\nkind = "adversarial"\nloss = "{evil}:run"\n',
        f'name = "{evil}:run"\n',
        f'name = "dcgan"\n[networks]\nkind = "python"\nname = "{evil}:run"\n',
        f'name = "dcgan"\ndata = "{evil}:run"\n',
    ):
        (tmp_path / "c.toml").write_text(table)
        assert main(["train", "--config", str(tmp_path / "c.toml"), "--dry-run"]) != 0
    assert not (tmp_path / "ran").exists()


def test_a_file_of_another_format_is_read_by_code(mine: Path, tmp_path: Path, capsys: Any) -> None:
    values = np.arange(40 * 256, dtype=np.uint8)
    (tmp_path / "things.bin").write_bytes(values.tobytes())
    data = f"{mine}:read:{tmp_path / 'things.bin'}"
    assert main(["train", "dcgan", "--data", data, "--dry-run", "--out", str(tmp_path / "a")]) == 0
    assert "36 examples of shape (1, 16, 16)" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["Half", "Shift"])
def test_games_and_augmentations_are_parts_too(mine: Path, name: str) -> None:
    key = "game" if name == "Half" else "game.augment"
    config = convert.override(gf.recipes.dcgan(), {key: named(f"{mine}:{name}")}, PARTS)
    table = convert.to_dict(config)
    again = convert.from_dict(gf.Config, table, with_code(load_code(mine)))
    assert convert.to_dict(again) == table
    part = config.game if name == "Half" else config.game.augment[0]
    assert type(part).__name__ == name and convert.from_dict(gf.Config, table, PARTS)


def discriminator_part(real: Any, fake: Any) -> Any:
    return fake - real


def generator_part(real: Any, fake: Any) -> Any:
    return -fake


def test_two_functions_are_a_loss_in_python() -> None:
    from ganforge.api.settings import changed

    config = changed(gf.recipes.dcgan(), {"loss": (discriminator_part, generator_part)})
    table = convert.to_dict(config)["game"]["loss"]
    assert table["name"] == "discriminator_part generator_part" and len(table["sha256"]) == 64
    for wrong in (3, (discriminator_part,), "hing"):
        with pytest.raises(gf.UsageError, match="loss = "):
            changed(gf.recipes.dcgan(), {"loss": wrong})
