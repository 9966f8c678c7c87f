"""Translators in training: resumed bit for bit, on two processes, or refused with a reason."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ganforge import images, recipes
from ganforge.config.schema import Config
from ganforge.errors import UsageError
from ganforge.experiments.ensemble import capability
from ganforge.gan.step import StepOptions
from ganforge.runs.load import open_sampler
from ganforge.sampling.translate import Translator
from ganforge.training import build, checks
from ganforge.training.cuda_graph import Captured
from ganforge.training.device import Resolved
from ganforge.training.distributed import World
from ganforge.training.inputs import NotCompiledError
from ganforge.training.lightning import GANModule
from tests.helpers.tiny import (
    StopAfter,
    fingerprint,
    killed_in_save,
    log_without_times,
    narrow,
    newest,
    pairs,
    pictures,
    run,
    shortened,
)
from tests.training.test_distributed import free_port

NAMES = ("pix2pix", "cyclegan")


def tiny(name: str, steps: int) -> Config:
    """A recipe that translates, narrowed, for so many steps of 4 pictures."""
    recipe = recipes.find(name)
    return shortened(recipe, steps, batch=4, grid=12, log_every=4, sample_every=1000.0)


def outcome(path: Path) -> tuple[str, list[dict[str, object]], bytes]:
    """Everything a run leaves: its last checkpoint, its log, its model."""
    weights = (path / "model" / "model.safetensors").read_bytes()
    return fingerprint(newest(path)), log_without_times(path), weights


@pytest.mark.parametrize("name", NAMES)
def test_twenty_steps_are_thirteen_and_seven(name: str, tmp_path: Path) -> None:
    """The pool is full by then, and comes out of the checkpoint unquantised."""
    config, data = tiny(name, 20), pairs(unpaired=name == "cyclegan")
    if name == "cyclegan":
        config = replace(config, game=replace(config.game, pool=6))
    run(config, tmp_path / "whole", data)
    run(config, tmp_path / "parts", data, StopAfter(13))
    stopped = newest(tmp_path / "parts")
    assert ("aux.pool.b" in stopped) == (name == "cyclegan")
    run(config, tmp_path / "parts", data)
    assert outcome(tmp_path / "parts") == outcome(tmp_path / "whole")
    assert fingerprint(stopped) != fingerprint(newest(tmp_path / "parts"))
    for step in ("000000000", "000000020"):
        a, b = (tmp_path / p / "samples" / f"{step}.png" for p in ("whole", "parts"))
        assert a.read_bytes() == b.read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_a_run_killed_in_a_save_goes_on_bit_for_bit(name: str, tmp_path: Path) -> None:
    config, data = tiny(name, 12), pairs(unpaired=name == "cyclegan")
    config = replace(config, output=replace(config.output, min_gap=4, save_every=0.5))
    run(config, tmp_path / "whole", data)
    killed_in_save(2, lambda: run(config, tmp_path / "parts", data))
    run(config, tmp_path / "parts", data)
    assert outcome(tmp_path / "parts") == outcome(tmp_path / "whole")


PLAYER = """
import sys
from dataclasses import replace
import numpy as np, torch
from ganforge.gan import optimizers, state, step
from ganforge.gan.batch import Batch, same
from ganforge.gan.state import StepHyperparameters
from ganforge.data.batches import Batches
from ganforge.training import build, distributed
from ganforge.training.random_inputs import RandomInputSource
from ganforge import recipes
from tests.helpers.tiny import fp64_state, narrow, pairs

name, out = sys.argv[1:]
torch.set_num_threads(1)
world = distributed.from_environment()
distributed.join(world, "cpu")
data = pairs(unpaired=name == "cyclegan")
config = replace(narrow(recipes.find(name)), batch=4)
if name == "cyclegan":
    config = replace(config, game=replace(config.game, pool=6))
began = fp64_state(config, data.spec)
first, count = world.part(4)
inputs = RandomInputSource(config, data.spec, began.players, "cpu", (first, count))
many = world.size > 1
how = step.StepOptions(batch=4, all_reduce=distributed.all_reduce if many else None,
                       gather=distributed.gather if many else same, first=first)
batches = Batches(data, device=torch.device("cpu"), seed=0)
for at in range(5):
    batch = Batch(*batches.at(4 * at + first, count)).map(torch.Tensor.double)
    drawn = {s: [d.map(torch.Tensor.double) for d in ds] for s, ds in inputs.at(at).items()}
    step.step(began, config.game, [batch], drawn,
              StepHyperparameters({"generator": 1e-3, "discriminator": 1e-3}), how)
np.savez(f"{out}-{world.rank}-of-{world.size}.npz",
         **{k: v.detach().numpy() for k, v in state.tensors(began).items()})
distributed.leave()
"""


def play(tmp_path: Path, name: str, size: int) -> list[dict[str, np.ndarray]]:
    """All tensors of each process after five steps."""
    port, out = free_port(), tmp_path / name
    processes = []
    for rank in range(size):
        env = {**os.environ, "OMP_NUM_THREADS": "1"}
        if size > 1:
            env |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(size),
                    "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}  # fmt: skip
        words = [sys.executable, "-c", PLAYER, name, str(out)]
        processes.append(subprocess.Popen(words, env=env, stderr=subprocess.PIPE, text=True))
    for process in processes:
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    found = []
    for rank in range(size):
        with np.load(f"{out}-{rank}-of-{size}.npz", allow_pickle=False) as file:
            found.append(dict(file))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_two_processes_are_one(tmp_path: Path, name: str) -> None:
    a, b = play(tmp_path, name, 2)
    (alone,) = play(tmp_path, name, 1)
    assert a.keys() == b.keys() == alone.keys()
    for key in a:
        np.testing.assert_array_equal(a[key], b[key], err_msg=key)
        np.testing.assert_allclose(a[key], alone[key], rtol=1e-8, atol=1e-8, err_msg=key)
    assert name != "cyclegan" or {"aux.pool.a", "aux.pool.b.count"} <= set(a)


def test_the_published_batch_of_one_is_refused_on_two_processes() -> None:
    config = replace(narrow(recipes.cyclegan()), batch=1)
    with pytest.raises(UsageError, match=r"batch = 1 cannot be split over 2 .* --batch 2"):
        checks.require_playable(config, pairs().spec, pairs(unpaired=True), world=World(0, 2))


def test_grids_are_source_output_target_and_for_a_cycle_there_and_back(tmp_path: Path) -> None:
    for name in NAMES:
        config, data = tiny(name, 1), pairs(unpaired=name == "cyclegan")
        run(config, tmp_path / name, data)
        picture = images.read_png(tmp_path / name / "samples" / "000000001.png")
        rows = images.tiles(picture, 32, 32).reshape(-1, 3, 32, 32, 3)
        sampler = open_sampler(tmp_path / name)
        assert isinstance(sampler, Translator) and data.source is not None
        first, last = data.source[0], data.source[-1]
        if name == "pix2pix":
            assert np.array_equal(rows[0, 0], first) and np.array_equal(rows[1, 0], last)
            assert np.array_equal(rows[0, 2], data.values[0])
            assert np.array_equal(rows[0, 1], sampler.translate(first[None])[0])
        else:
            there = sampler.translate(first[None])
            assert np.array_equal(rows[0, 0], first) and np.array_equal(rows[0, 1], there[0])
            again = sampler.translate(there, direction="b2a")
            assert np.array_equal(rows[0, 2], again[0])
            assert np.array_equal(rows[2, 0], data.values[0])


def test_a_recipe_and_data_that_do_not_belong_together_are_refused() -> None:
    pix2pix, cyclegan, dcgan = (
        narrow(recipes.pix2pix()),
        narrow(recipes.cyclegan()),
        recipes.dcgan(),
    )
    paired, unpaired, plain = pairs(), pairs(unpaired=True), pictures(side=32)
    bad = {
        "pix2pix takes paired pictures and the data .* are unpaired: train cyclegan": (
            pix2pix, unpaired),
        "cyclegan takes unpaired pictures and the data .* are paired: train pix2pix": (
            cyclegan, paired),
        "pix2pix translates pictures and the data .* have no source: give pairs": (pix2pix, plain),
        "cyclegan translates .* no source: give two folders": (cyclegan, plain),
        "dcgan makes pictures from noise and the data .* are translated": (dcgan, paired),
        "identity = 5.0: the domains have 1 and 3 channels": (
            cyclegan, pairs(unpaired=True, channels=1)),
    }  # fmt: skip
    for says, (config, data) in bad.items():
        with pytest.raises(UsageError, match=says):
            checks.require_data(config, data)
    mixed = replace(pix2pix, networks=cyclegan.networks)
    with pytest.raises(UsageError, match=r'"cycle" with game.kind = "translation": give .*unet'):
        checks.require_data(mixed, paired)
    with pytest.raises(UsageError, match="sync_bn = true: a translator takes"):
        checks.require_data(replace(pix2pix, sync_bn=True), paired)
    with pytest.raises(UsageError, match="conditional game and needs labels"):
        checks.require_playable(replace(pix2pix, labels=True), paired.spec, paired)


def test_a_pool_is_not_recorded_in_a_graph() -> None:
    """The steps that warm a recording would fill it."""
    config, data = tiny("cyclegan", 2), pairs(unpaired=True)
    begun = build.initial(config, data.spec)
    with pytest.raises(NotCompiledError, match="a pool of earlier pictures is not captured"):
        Captured(begun, config.game, StepOptions(), lambda step: (lambda: None, step()))
    config = replace(config, game=replace(config.game, pool=0))
    Captured(begun, config.game, StepOptions(), lambda step: (lambda: None, step()))


def test_ensembles_compiled_steps_and_lightning_refuse_with_a_reason(tmp_path: Path) -> None:
    for name in NAMES:
        config, data = tiny(name, 2), pairs(unpaired=name == "cyclegan")
        resolved = Resolved("cpu", "fp32", 1)
        assert "are not stacked" in capability.why_alone(config, resolved, 2)
        with pytest.raises(UsageError, match=f"{name} translates pictures, which the Lightning"):
            GANModule(config, data.spec)
        notes = [p.note for p in run(replace(config, compile=True), tmp_path / name, data)]
        assert any(note.startswith("not compiled: ") for note in notes)
