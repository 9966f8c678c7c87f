"""Networks from a run folder or a model folder."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from ganforge import files, nets, registry
from ganforge.config import convert
from ganforge.config.schema import Config
from ganforge.config.user_code import UserCode
from ganforge.data.load import Dataset, load
from ganforge.data.spec import DataSpec, encode
from ganforge.errors import DataError, GanforgeError, UsageError
from ganforge.files import read_file
from ganforge.gan.state import require_same_tensors
from ganforge.runs import builtin, checkpoint, hub, model
from ganforge.runs import folder as runs
from ganforge.runs.folder import Run
from ganforge.runs.model import OwnNetworks
from ganforge.sampling.sampler import Sampler
from ganforge.types import Array

ATTEMPTS = 3  # at a checkpoint that a trainer may be removing


def open_sampler(
    path: Path | str, networks: OwnNetworks | None = None, device: str = "cpu"
) -> Sampler:
    """The generator of a run folder, a model folder or a model of the hub (`gf.load`).

    Args:
        path: see `model_folder`.
        networks: your function, if the model was trained with one.
        device: cpu, cuda or mps.

    Raises:
        UsageError: the extra of the hub is not installed.
        DataError: there is no model, or it is damaged.
    """
    return model.load(model_folder(path), networks, device)


def model_folder(path: Path | str) -> Path:
    """The model folder that a path or an address names: itself, or the one of a run.

    Args:
        path: a folder, also as file:///folder, hf://owner/name@revision, or "cdcgan-mnist", the
            model in the package.

    Raises:
        UsageError: the extra of the hub is not installed.
        DataError: there is no model.
    """
    folder = located(path)
    if not folder.exists():
        where = " (`ganforge runs` lists the runs)"
        if hub.REPO.fullmatch(str(path)):
            where += f"; of the hub: hf://{path}"
        raise DataError(f"{folder}: no such run or model folder{where}")
    if not (folder / model.CONFIG).is_file():
        folder = runs.open_run(folder).model
        if not (folder / model.CONFIG).is_file():
            raise DataError(f"{path}: this run has no checkpoint yet, and so no model: train on")
    return folder


def weights_sha256(path: Path | str) -> str:
    """The sha256 of the weights that `open_sampler` reads at `path`."""
    folder = located(path)
    if not (folder / model.CONFIG).is_file():
        folder = runs.open_run(folder).model
    return files.digest(read_file(folder / model.WEIGHTS))


def located(path: Path | str) -> Path:
    """The folder that a path or an address names; a model of the hub is fetched."""
    if str(path).startswith(hub.SCHEME):
        return hub.pull(hub.parse(str(path)))
    if isinstance(path, Path) and path.parts[:1] == ("hf:",):
        repo = "/".join(path.parts[1:])
        hub.parse(repo)  # a name of another form is no address
        raise UsageError(f"hf://{repo}: fetch it with `ganforge pull {repo}` first")
    if str(path).startswith("file://"):
        return Path(url2pathname(urlsplit(str(path)).path))
    return builtin.folder(path) or Path(path)


def load_config(run: Run, networks: OwnNetworks | None = None) -> Config:
    """The config of a run; `networks`, a function or a file's code, is the user's code in it.

    Raises:
        DataError: config.toml is missing or damaged.
    """
    try:
        code = None if callable(networks) else networks
        config = convert.from_dict(Config, run.settings(), registry.with_code(code))
    except GanforgeError as error:
        raise DataError(f"{run.path / runs.CONFIG}: {error}") from None
    if callable(networks) and isinstance(config.networks, UserCode):
        return replace(config, networks=networks)
    return config


def load_spec(run: Run) -> DataSpec | None:
    """What one example looks like to the players, from the model folder; None if there is none.

    Raises:
        DataError: config.json of the model folder is damaged.
    """
    path = run.model / model.CONFIG
    if not path.is_file():
        return None
    with model.undamaged(path):
        return model.read_spec(json.loads(read_file(path))["spec"])


def training_data(run: Run) -> Dataset:
    """The examples that trained a run.

    Raises:
        UsageError, DataError, DiskError: they are no longer available, or are not the same.
    """
    data = load_part(run, "train")
    if run.info().get("data_sha256", data.sha256) != data.sha256:
        raise DataError(f"{data.name} is not what it was trained on (their sha256 differs)")
    return data


def load_part(run: Run, part: str) -> Dataset:
    """A part of the data that a run names, as its game wants them.

    Raises:
        UsageError, DataError, DiskError: it is not available.
    """
    table = run.settings()
    pairing = registry.pairing(table)
    return load(str(table.get("data")), part=part, size=table.get("size"), pairing=pairing)


def newest_checkpoint(run: Run) -> checkpoint.Checkpoint | None:
    """The newest whole checkpoint, also while a trainer replaces checkpoints; None if none exists.

    Raises:
        DataError: every checkpoint is damaged.
    """
    for _ in range(ATTEMPTS):
        found, _ = checkpoint.newest(run.checkpoints)
        if found is not None or not checkpoint.listed(run.checkpoints):
            return found
    raise DataError(f"{run.checkpoints}: every checkpoint is damaged: restore one from a copy")


def saved_players(path: Path) -> dict[str, Tensor]:
    """The players of a run's newest checkpoint; of a model folder the generator alone.

    Names are those of a state: generator.*, discriminator.*, ema.*.

    Raises:
        DataError: no run or model, or a damaged one.
    """
    if Run(path).exists():
        found = newest_checkpoint(Run(path))
        if found is None:
            raise DataError(f"{path}: this run has no checkpoint yet")
        return found.tensors
    if not (path / model.CONFIG).is_file():
        raise DataError(f"{path}: no such run or model folder (`ganforge runs` lists the runs)")
    try:
        weights = load_file(path / model.WEIGHTS)
    except Exception as error:  # safetensors has no class for a damaged file
        raise DataError(f"{path}: its weights are damaged ({error})") from None
    return {f"{side}.{k}": v for k, v in weights.items() for side in ("generator", "ema")}


def load_players(
    config: Config, spec: DataSpec, saved: checkpoint.Checkpoint
) -> dict[str, nn.Module]:
    """ "generator", "discriminator" and, if the config averages, "ema" with a checkpoint's weights.

    Args:
        config: of the run.
        spec: of one example, with classes = 0 if the game has no labels.
        saved: of the run.

    Returns:
        Networks in evaluation mode that need no gradients.

    Raises:
        DataError: the checkpoint belongs to another config.
        UsageError: the networks are code of the user's that was not given.
    """
    with torch.random.fork_rng(devices=[]):
        modules = nets.for_config(config, spec)
    if config.ema:
        modules["ema"] = copy.deepcopy(modules["generator"])
    for side, module in modules.items():
        found = ((k.partition("."), tensor) for k, tensor in saved.tensors.items())
        tensors = {name: tensor for (of, _, name), tensor in found if of == side}
        require_same_tensors(module.state_dict(), tensors, f"{saved.path}: {side}")
        module.load_state_dict(tensors)
        module.eval().requires_grad_(False)
    return modules


def discriminator(run: Run) -> Callable[[Array], Array] | None:
    """D of the newest checkpoint, stored vectors (N, F) -> D(x) (N,); None if there is none."""
    try:
        spec, saved = load_spec(run), newest_checkpoint(run)
        if spec is None or saved is None:
            return None
        config = load_config(run)
        pack = config.game.pack
        player = load_players(config, spec, saved)["discriminator"]
    except (GanforgeError, RuntimeError):
        return None

    def judge(x: Array) -> Array:
        with torch.no_grad():
            values = encode(torch.from_numpy(np.asarray(x, dtype=np.float32)), spec)
            # D of packs is asked for packs of one example, m times
            alike = values.repeat_interleave(pack, 0)
            return torch.sigmoid(player(alike, None, None)).flatten().double().numpy()

    return judge
