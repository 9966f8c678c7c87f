"""Runs and models that version 0.1 wrote load with equal samples, and go on as it would have.

Each folder of `version_0_1/` holds a run that version 0.1 stopped at step 10 of 40, the tensors
that it came to at step 40, and samples of both. On the machine that wrote them every bit is the
same; elsewhere sums round otherwise.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import ganforge as gf
from ganforge import registry
from ganforge.config import Config, convert
from ganforge.runs import checkpoint, folder
from ganforge.runs.folder import Run
from ganforge.types import Array

OLD = Path(__file__).with_name("version_0_1")
SINGLE = ("cdcgan", "gaussian", "mnist-dropout")


def settings(run: Run) -> Config:
    """The config of a run as this version reads it."""
    return convert.from_dict(Config, run.settings(), registry.PARTS)


def here(run: Run) -> bool:
    """Whether this is the kind of machine that wrote the run, with the same libraries."""
    there = json.loads((run.path / "run.json").read_bytes())["versions"]
    now = folder.versions()
    return all(there[key] == now[key] for key in ("machine", "torch", "numpy"))


def compare(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor], exact: bool) -> None:
    """Every tensor of the state, but for the sums of the log."""
    ours = {k: v for k, v in found.items() if not k.startswith("log.")}
    theirs = {k: v for k, v in wanted.items() if not k.startswith("log.")}
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        if exact:
            assert torch.equal(ours[name], tensor), name
        else:
            torch.testing.assert_close(ours[name], tensor, rtol=1e-3, atol=1e-4)


def close(a: Array, b: Array) -> bool:
    """Whether pictures differ by one level at most, and points by a last digit."""
    most = 1 if a.dtype == np.uint8 else 1e-5
    return bool(np.abs(a.astype(float) - b).max() <= most)


@pytest.mark.parametrize("name", SINGLE)
def test_a_run_goes_on_as_version_0_1_would_have(name: str, tmp_path: Path) -> None:
    shutil.copytree(OLD / name / "run", tmp_path / "run")
    run = Run(tmp_path / "run")
    exact = here(run)
    before = run.log()
    notes = [p.note for p in gf.iterate(settings(run), run.path)]
    assert "resumed at step 10 of 40" in notes
    found = checkpoint.newest(run.checkpoints)[0]
    assert found is not None and found.step == 40
    compare(found.tensors, load_file(OLD / name / "end.safetensors"), exact)
    assert run.info()["exact"] == exact
    assert run.log()[: len(before)] == before and len(run.log()) > len(before)


@pytest.mark.parametrize("name", SINGLE)
@pytest.mark.parametrize("part", [".", "model"])
def test_a_run_and_a_model_are_sampled_as_before(name: str, part: str) -> None:
    samples = np.load(OLD / name / "samples.npz", allow_pickle=False)
    assert close(gf.load(OLD / name / "run" / part).sample(8, seed=3), samples["half"])


def test_many_seeds_go_on_as_version_0_1_would_have(tmp_path: Path) -> None:
    shutil.copytree(OLD / "population" / "run", tmp_path / "run")
    config = settings(Run(tmp_path / "run" / "seed-0"))
    exact = here(Run(tmp_path / "run" / "seed-0"))
    budget = replace(config, kimg=config.batch * config.game.d_steps * 40 / 1000)
    gf.population(budget, seeds=range(3), out=tmp_path / "run", show="quiet")
    for seed in range(3):
        found = checkpoint.newest(tmp_path / "run" / f"seed-{seed}" / "checkpoints")[0]
        assert found is not None and found.step == 40
        compare(found.tensors, load_file(OLD / "population" / f"end-{seed}.safetensors"), exact)
