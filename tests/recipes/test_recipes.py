"""Every recipe: built, described, trained for two steps, saved, loaded, sampled, repeatable."""

import copy
import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ganforge import recipes
from ganforge.config.schema import Config
from ganforge.data import load
from ganforge.data.spec import DataSpec
from ganforge.errors import DataError, GanforgeError, UsageError
from ganforge.nets import MLP
from ganforge.recipes import RECIPES
from ganforge.runs import folder as runs
from ganforge.runs import model
from ganforge.sampling.sampler import Sampler
from ganforge.training import build, loop
from tests.helpers.tiny import data_for, fingerprint, narrow, pictures, shortened

NAMES = sorted(RECIPES)
FROM_NOISE = [n for n in NAMES if not RECIPES[n]().pairing]  # tests/training/test_translation.py


def trained(config: Config, path: Path) -> Path:
    """Two steps of a recipe; the folder of its run."""
    last = list(loop.train(shortened(config, 2), path, data=data_for(config, count=32)))[-1]
    assert last.done
    assert (last.step, last.steps) == (2, 2)
    assert last.samples_seen == 2 * 8 * config.game.d_steps
    return path


def weights(path: Path) -> str:
    from safetensors.torch import load_file

    (state,) = path.glob("checkpoints/*/state.safetensors")
    return fingerprint(load_file(state))


@pytest.mark.parametrize("name", NAMES)
def test_it_is_described(name: str) -> None:
    text = recipes.describe(name)
    assert text.startswith(f"`{name}`: ")
    lines = {line.split()[0] for line in text.splitlines() if line[:1].isalpha()}
    assert {"System", "Source", "Reaches", "Takes", "Command"} <= lines
    command = next(x for x in text.splitlines() if x.startswith("Command")).split(maxsplit=1)[1]
    assert command == ("ganforge train" if name == "cdcgan" else f"ganforge train {name}")


@pytest.mark.parametrize("name", NAMES)
def test_it_is_a_complete_config(name: str) -> None:
    config = recipes.find(name)
    assert isinstance(config, Config)
    assert config.name == name
    assert config == recipes.find(name)
    assert config.data in load.NAMED
    made = config.networks(replace(data_for(config).spec, classes=10 * config.labels), 100)
    assert set(made) == {"generator", "discriminator"}


@pytest.mark.parametrize("name", FROM_NOISE)
def test_two_steps_then_samples(name: str, tmp_path: Path) -> None:
    config = recipes.find(name)
    data = data_for(config, count=32)
    sampler = None
    short = shortened(config, 2, log_every=2, sample_every=2)
    for training, progress in loop.training(short, tmp_path / "run", data=data):
        sampler = training.sampler()
        assert progress.steps == 2
    assert sampler is not None
    ours = sampler.sample(7, seed=3)
    loaded = model.load(tmp_path / "run" / "model")
    theirs = loaded.sample(7, seed=3)
    assert np.array_equal(ours, theirs)
    assert ours.shape == (7, *data.spec.stored_shape)
    assert ours.dtype == np.dtype(data.spec.dtype)
    assert not loaded.model.training
    assert len(np.unique(ours)) > 1
    if config.labels:
        five, six = (loaded.model(loaded.z(1), torch.tensor([k]), None) for k in (5, 6))
        assert not torch.equal(five, six)
        assert np.array_equal(loaded.sample(12, seed=3)[:7], ours)  # cycles through all labels
    else:
        with pytest.raises(UsageError, match="takes no labels"):
            loaded.sample(4, labels=5)
    run = runs.open_run(tmp_path / "run")
    assert run.info()["status"] == "finished"
    assert [r["step"] for r in run.log()] == [2]
    assert all(np.isfinite(run.log()[0][key]) for key in ("loss_d", "loss_g", "gradient_d"))
    grids = sorted(p.name.split(".")[0] for p in run.samples.iterdir())
    assert grids == ["000000000", "000000002"]


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_weights(name: str, tmp_path: Path) -> None:
    config = recipes.find(name)
    torch.manual_seed(1)
    one = weights(trained(config, tmp_path / "one"))
    torch.manual_seed(2)  # nobody else's generator decides anything
    np.random.seed(2)
    assert weights(trained(config, tmp_path / "two")) == one
    assert weights(trained(replace(config, seed=1), tmp_path / "other")) != one
    files = ("model.safetensors", "config.json")
    a, b = ([(tmp_path / n / "model" / f).read_bytes() for f in files] for n in ("one", "two"))
    assert a == b  # no time and no path in them


def test_samples_do_not_depend_on_their_company(tmp_path: Path) -> None:
    path = trained(recipes.find("cdcgan"), tmp_path / "run")
    sampler = model.load(path / "model")
    many = sampler.sample(20, labels=3, seed=1).astype(int)
    for i in (0, 7, 19):
        alone = sampler.sample(1, labels=3, seed=1, first=i).astype(int)
        assert np.abs(alone[0] - many[i]).max() <= 1  # kernels differ by batch
    assert not np.array_equal(many, sampler.sample(20, labels=3, seed=2))


def test_a_conditional_recipe_wants_labels(tmp_path: Path) -> None:
    config = shortened(recipes.find("cdcgan"), 2)
    data = pictures(16)
    bare = replace(data, labels=None, spec=replace(data.spec, classes=0))
    with pytest.raises(UsageError, match="labels"):
        list(loop.train(config, tmp_path / "run", data=bare))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("side", "channels"), [(16, 3), (33, 1), (64, 4)])
def test_dcgan_on_pictures_of_other_sizes(side: int, channels: int, tmp_path: Path) -> None:
    config = shortened(recipes.find("dcgan"), 2, batch=4)
    data = pictures(8, side, channels)
    list(loop.train(config, tmp_path / "run", data=data))
    assert model.load(tmp_path / "run" / "model").sample(2).shape == (2, side, side, channels)


# --- names and files --------------------------------------------------------------------------


def test_an_unknown_recipe() -> None:
    with pytest.raises(UsageError, match="did you mean 'cdcgan'"):
        recipes.find("cdcgna")


RECIPE = """
from dataclasses import replace
from ganforge.recipes.gaussian import gaussian

def run():
    return replace(gaussian(), name="mine", batch=3)

def other():
    return 7

value = 3
"""


def test_a_recipe_of_the_users(tmp_path: Path) -> None:
    path = tmp_path / "my_recipe.py"
    path.write_text(RECIPE)
    assert recipes.find(str(path)).batch == 3
    assert recipes.find(f"{path}:run").name == "mine"
    for bad in (f"{path}:other", f"{path}:value", f"{path}:nothing", str(tmp_path / "no.py")):
        with pytest.raises(UsageError) as caught:
            recipes.find(bad)
        assert "\n" not in str(caught.value)


# --- the model folder -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model")
    return trained(recipes.find("cgan"), path / "run") / "model"


def test_what_is_in_the_model_folder(folder: Path) -> None:
    assert sorted(p.name for p in folder.iterdir()) == [
        "README.md", "config.json", "model.safetensors",
    ]  # fmt: skip
    table = json.loads((folder / "config.json").read_text())
    assert table["spec"]["shape"] == [1, 28, 28]
    assert "library_name: ganforge" in (folder / "README.md").read_text()


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("config.json", lambda b: b[:100]),
        ("config.json", lambda b: b"[]"),
        ("config.json", lambda b: b.replace(b'"mlp"', b'"mpl"')),
        ("config.json", lambda b: b.replace(b'"format": 1', b'"format": 99')),
        ("config.json", lambda b: b.replace(b'"shape"', b'"shapes"', 1)),
        ("config.json", lambda b: b.replace(b'"size": 100', b'"size": 99')),
        ("model.safetensors", lambda b: b[:1000]),
        ("model.safetensors", lambda b: b""),
        ("model.safetensors", lambda b: b"\xff" * 200),
        ("model.safetensors", lambda b: b.replace(b"F32", b"F16", 1)),
        ("model.safetensors", None),
        ("config.json", None),
    ],
)
def test_damaged_model_folders(folder: Path, tmp_path: Path, file: str, change: Any) -> None:
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    if change is None:
        (tmp_path / file).unlink()
    else:
        (tmp_path / file).write_bytes(change((folder / file).read_bytes()))
    with pytest.raises(DataError) as caught:
        model.load(tmp_path)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


SIZES = (-1, 0, 2**31 - 1, -(2**31), 2**40, 2**63, 10**30, 1e308, math.inf, math.nan, "x", None)


def leaves(table: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where the values of a nested table stand."""
    parts = table.items() if isinstance(table, dict) else enumerate(table)
    return [
        leaf
        for key, value in parts
        for leaf in (
            leaves(value, (*path, key)) if isinstance(value, dict | list) else [(*path, key)]
        )
    ]


@pytest.mark.parametrize("name", FROM_NOISE)
def test_a_loaded_generator_is_the_saved_one(name: str, tmp_path: Path) -> None:
    """It is laid out without memory first: nothing in it may be left as it was found."""
    config = narrow(recipes.find(name))
    spec = replace(data_for(config).spec, classes=10 * config.labels)
    saved = build.initial(config, spec).players.generator.eval()
    model.save(tmp_path, Sampler(saved, spec, config.noise), config, {})
    loaded = model.load(tmp_path)
    z, labels = loaded.z(3), loaded.labels(3)
    assert len(loaded.model.state_dict()) == len([*saved.parameters(), *saved.buffers()])
    assert np.array_equal(
        loaded.generate(z, labels), Sampler(saved, spec, config.noise).generate(z, labels)
    )


@pytest.mark.parametrize("name", ["cgan", "cdcgan"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_any_value_of_a_model_config_can_be_wrong(name: str, size: Any, tmp_path: Path) -> None:
    """A damaged size is message in a line, and takes no memory first."""
    config = narrow(recipes.find(name))
    spec = DataSpec((1, 28, 28), 10)
    good = build.initial(config, spec)
    sampler = Sampler(good.players.generator, spec, config.noise)
    model.save(tmp_path / "model", sampler, config, {})
    table = json.loads((tmp_path / "model" / "config.json").read_text())
    for part in ("spec", "noise", "networks"):
        for leaf in leaves(table[part]):
            changed = copy.deepcopy(table)
            place = changed[part]
            for key in leaf[:-1]:
                place = place[key]
            place[leaf[-1]] = size
            (tmp_path / "model" / "config.json").write_text(json.dumps(changed))
            try:  # what does not matter to the weights may be anything
                model.load(tmp_path / "model")
            except GanforgeError as error:
                message = str(error)
            else:
                continue
            assert (
                message.startswith(str(tmp_path)) and "\n" not in message and len(message) < 1000
            ), leaf


def test_any_networks_fit_any_recipe(tmp_path: Path) -> None:
    """A DCGAN recipe with perceptrons, on vectors."""
    config = replace(narrow(recipes.find("dcgan")), networks=MLP((4,), (4,)), data="ring")
    list(loop.train(shortened(config, 2), tmp_path / "run", data=data_for(config)))
    sampler = model.load(tmp_path / "run" / "model")
    assert sampler.spec == DataSpec((2,), 0, "float32", False, (0.0,), (1.0,))
    assert sampler.sample(5).shape == (5, 2)


def test_a_model_is_loaded_without_the_compiler(folder: Path, tmp_path: Path) -> None:
    """It would take a second, and make a folder outside."""
    config = narrow(recipes.find("cdcgan"))
    spec = DataSpec((1, 28, 28), 10)
    plane = DataSpec((2,), 0, "float32", False, (0.0,), (1.0,))
    for name, of, seen in (("a", config, spec), ("b", recipes.find("ring"), plane)):
        made = Sampler(build.initial(of, seen).players.generator, seen, of.noise)
        model.save(tmp_path / name, made, of, {})
    code = (
        "import sys; from ganforge import model; "
        f"[model.load(path) for path in ({str(folder)!r}, {str(tmp_path / 'a')!r}, "
        f"{str(tmp_path / 'b')!r})]; "
        "sys.exit(any(m in sys.modules for m in ('torch._dynamo', 'torch._inductor')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
