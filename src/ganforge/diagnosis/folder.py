"""From a run folder to what can be diagnosed of it, whether it is finished or under way.

Nothing that the trainer uses is held or changed: it may be at work in the folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from ganforge import files, registry
from ganforge.config import convert
from ganforge.config.schema import Config
from ganforge.data import load
from ganforge.data.dataset import Dataset
from ganforge.data.spec import DataSpec
from ganforge.diagnosis import from_players
from ganforge.diagnosis.snapshot import Patient
from ganforge.errors import DataError, DiskError, GanforgeError, UsageError
from ganforge.evaluation import store
from ganforge.evaluation.score import Score
from ganforge.gan import state
from ganforge.gan.state import require_same_tensors
from ganforge.runs import checkpoint, folder, model
from ganforge.runs.folder import Run
from ganforge.runs.model import OwnNetworks
from ganforge.sampling.sampler import Sampler
from ganforge.training import build, checks

ATTEMPTS = 3  # at a checkpoint that a trainer may be removing


def admit(
    path: Path | str,
    data: Dataset | None = None,
    held: Dataset | None = None,
    networks: OwnNetworks | None = None,
) -> Patient:
    """Everything there is to be seen of the run in a folder.

    data, held: training and held-out examples in place of those the run names. networks: your own
    function, where the run was trained with one.
    Raises DataError where there is no run, it is damaged, or it has neither log nor checkpoint.
    """
    run = folder.open_run(path)
    log, info = run.log(), run.info()
    wanted = settings(run, networks)
    patient = Patient(wanted, log, info, newest_cards(run), store.curve(run))
    patient.step = int(info.get("step", 0)) or int(log[-1].get("step", 0) if log else 0)
    found = newest(run)
    if found is None and not log and info.get("status") != "diverged":
        raise DataError(f"{run.path}: nothing to diagnose yet, no log record and no checkpoint")
    if data is None:
        examples(patient, run, wanted, info)
    else:
        patient.train, patient.held = data, held
        if held is None:
            patient.lacking["data"] = "no held-out examples were given"
    if found is None:
        patient.lacking["players"] = "it has no checkpoint yet"
        return patient
    patient.step = found.step
    spec = data_spec(run, patient.train)
    if spec is None:
        patient.lacking["players"] = "its model folder is missing"
        return patient
    try:
        place(patient, wanted, spec, found)
    except UsageError as error:  # code of the user's own
        patient.lacking["players"] = str(error)
    return patient


def settings(run: Run, networks: OwnNetworks | None) -> Config:
    """The run's config; with the user's own networks, where they are given."""
    table = run.settings()
    own = isinstance(table.get("networks"), dict) and table["networks"].get("kind") == "python"
    try:
        wanted = convert.from_dict(Config, table, registry.PARTS)
    except GanforgeError as error:
        raise DataError(f"{run.path / folder.CONFIG}: {error}") from None
    if own and networks is not None:
        from dataclasses import replace

        wanted = replace(wanted, networks=networks)
    return wanted


def newest(run: Run) -> checkpoint.Checkpoint | None:
    """The newest checkpoint that is whole, also while a trainer replaces them."""
    for _ in range(ATTEMPTS):
        found, _ = checkpoint.newest(run.checkpoints)
        if found is not None:
            return found
        if not checkpoint.listed(run.checkpoints):
            return None
    raise DataError(f"{run.checkpoints}: every checkpoint is damaged: restore one from a copy")


def newest_cards(run: Run) -> list[Score]:
    """The cards with the Frechet distance of the newest step, of scores.json (that of the largest
    N) or of the curve."""
    entries = [e for e in store.entries(run) if store.frechet(e)]
    entries.sort(key=lambda e: (e["step"] or 0, e["n"], str(e["made"])))
    if entries:
        return store.cards(entries[-1])
    try:
        curve = store.curve(run)
        return store.cards(curve[-1]) if curve else []
    except (KeyError, TypeError, ValueError):
        return []


def examples(patient: Patient, run: Run, wanted: Config, info: dict[str, Any]) -> None:
    """The data that the run names, as far as they are still there."""
    try:
        train = load.load(wanted.data, size=wanted.size)
        if info.get("data_sha256", train.sha256) != train.sha256:
            patient.lacking["data"] = f"{wanted.data} is not what it was trained on: give --data"
            return
        patient.train = train
        patient.held = load.load(wanted.data, part="validation", size=wanted.size)
    except (DataError, UsageError, DiskError) as error:
        patient.lacking["data"] = f"{error} (--data names other data)"


def data_spec(run: Run, train: Dataset | None) -> DataSpec | None:
    """What one example looks like, from the model folder; from the data where there is none."""
    import json

    path = run.model / model.CONFIG
    if not path.is_file():
        return None if train is None else train.spec
    try:
        return model.read_spec(json.loads(files.read_file(path))["spec"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{path}: damaged ({error}): restore it from a copy") from None


def place(patient: Patient, wanted: Config, spec: DataSpec, found: checkpoint.Checkpoint) -> None:
    """The players, and the sampler, with the weights of a checkpoint."""
    fresh = build.initial(wanted, spec)
    players = {
        "generator": fresh.players.generator,
        "discriminator": fresh.players.discriminator,
    }
    patient.begun = {side: from_players.norms(module) for side, module in players.items()}
    modules = {**players, **({"ema": fresh.average} if fresh.average is not None else {})}
    for name, module in modules.items():
        tensors = part(found.tensors, name)
        own = module.state_dict()
        require_same_tensors(own, tensors, f"{found.path}: {name}")
        module.load_state_dict(tensors)
        module.eval().requires_grad_(False)
    patient.players = players
    names = patient.train.class_names if patient.train is not None and wanted.labels else ()
    patient.sampler = Sampler(
        state.sampling_model(fresh),
        checks.players_spec(wanted, spec),
        wanted.noise,
        wanted.name,
        names,
    )


def part(tensors: dict[str, Tensor], side: str) -> dict[str, Tensor]:
    """The tensors of one module, by their names inside it."""
    return {k.removeprefix(f"{side}."): v for k, v in tensors.items() if k.startswith(f"{side}.")}
