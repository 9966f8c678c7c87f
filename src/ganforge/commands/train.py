"""`ganforge train`: a config from what was typed, its rehearsal, the lines at its end."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ganforge import api, files, recipes, registry
from ganforge.callbacks import evaluate
from ganforge.config import convert
from ganforge.config.schema import Config
from ganforge.diagnosis import findings
from ganforge.errors import UsageError, check, choice
from ganforge.evaluation.score import table
from ganforge.plotting import points
from ganforge.runs import folder
from ganforge.training import checks, distributed, threads
from ganforge.training.distributed import World
from ganforge.training.meeting import Meeting
from ganforge.training.trainer import Trainer
from ganforge.types import Array

dumps = convert.dumps


def assemble(
    recipe: str | None,
    file: Path | None,
    options: Mapping[str, Any],
    overrides: Mapping[str, str],
    tensorboard: bool,
    every: float | None = None,
    stop: str | None = None,
) -> Config:
    """defaults < recipe < file < command line."""
    table: dict[str, Any] = {}
    if file is not None:
        try:
            table = tomllib.loads(files.read_file(file).decode())
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{file}: not valid TOML: {error}") from None
        if options.get("data") is None:
            stay_inside(file, str(table.get("data", "")))
    name = str(table.get("name", "cdcgan")) if recipe is None else recipe
    whole = recipe is None and {"networks", "game"} <= set(table)
    if recipe is None and not whole:  # a file may not name code that is run: only the user may
        choice("name", name, list(recipes.RECIPES))
    chosen = recipes.RECIPES["cdcgan"]() if whole else recipes.find(name)
    if table:
        try:
            chosen = (
                convert.from_dict(Config, {"name": name, **table}, registry.PARTS)
                if whole
                else convert.merge(chosen, table, registry.PARTS)
            )
        except UsageError as error:
            raise UsageError(f"{file}: {error}") from None
    given = {key: value for key, value in options.items() if value is not None}
    if "epochs" in given and "kimg" in given:
        raise UsageError("--epochs and --kimg both state the budget: give one of them")
    if "epochs" in given:
        given["kimg"] = None
    if overrides:
        chosen = convert.override(chosen, overrides, registry.PARTS)
    output: dict[str, Any] = {"tensorboard": True} if tensorboard else {}
    output |= {} if every is None else {"score_every": every}
    if stop is not None:
        choice("stop", stop, ("auto",))
        rule = evaluate.end_rule(every, chosen.output.score_every)
        output |= dict(zip(("score_every", "patience"), rule, strict=True))
    return replace(chosen, **given, output=replace(chosen.output, **output))


def stay_inside(file: Path, data: str) -> None:
    """UsageError where a config, which may be a stranger's, names data anywhere on this machine."""
    if Path(data).is_absolute() or ".." in Path(data).parts or data.startswith("~"):
        raise UsageError(
            f"{file}: data = {data!r} is outside this folder: if you mean it, say so with "
            f"--data {data}"
        )


def rehearse(chosen: Config, out: Path | None, gpus: int | None = None) -> list[str]:
    """Everything of a run but its steps: what it would train, on what, for how long."""
    path = out or api.default_folder(chosen)
    count = processes(gpus, chosen) if gpus is not None else 1
    world = World(0, count, here=count if count > 1 else distributed.here())
    found = checks.require_trainable({path: chosen}, world=world)
    data, resolved = found.data, found.resolved
    t = Trainer(chosen, data, folder.Run(path), resolved, found.begun, Meeting(world))
    t.batches.close()
    counts = {
        side: sum(p.numel() for p in module.parameters())
        for side, module in (
            ("generator", t.state.players.generator),
            ("discriminator", t.state.players.discriminator),
        )
    }
    return [
        f"recipe         {chosen.name}",
        f"data           {chosen.data}: {len(data):,} examples of shape {data.spec.shape}",
        *(f"{side:<14} {count:,} parameters" for side, count in counts.items()),
        f"budget         {t.steps:,} steps of {chosen.batch}",
        f"device         {resolved.device}, {resolved.precision}, {threads.planned(t)}",
        f"folder         {t.run.path}",
        "nothing was trained or written",
    ]


def processes(gpus: int, chosen: Config) -> int:
    """The processes of `--gpus`; UsageError if the batch cannot be split over them."""
    check(gpus >= 1, "gpus", gpus, "at least 1 process")
    World(0, gpus).part(chosen.batch)
    return gpus


def launch(gpus: int, chosen: Config, arguments: Sequence[str]) -> int:
    """The same command in several processes, without its --gpus; the exit code."""
    processes(gpus, chosen)  # refused once, not by each of them
    words = [w for w in arguments if not w.startswith("--gpus=")]
    if "--gpus" in words:
        at = words.index("--gpus")
        del words[at : at + 2]
    return distributed.launch(gpus, words)


def summary(trained: api.Trained) -> list[str]:
    """The lines at the end of a run: how it stands, where things are, what to type next."""
    path = trained.path
    lines = [closing_losses(trained.run.log())]
    if not trained.sampler.spec.is_image:
        lines += moments(trained)
    lines.append(f"model    {trained.run.model}")
    if trained.grid:
        lines.append(f"samples  {trained.grid}")
    if trained.plot:
        lines.append(f"plot     {trained.plot}")
    label = " --label 8" if trained.sampler.spec.classes > 8 else ""
    if trained.sampler.spec.classes and not label:
        label = " --label 0"
    out = "-o samples.png" if trained.sampler.spec.is_image else "-n 1000 -o samples.npz"
    lines.append(f"sample   ganforge sample {path}{label} {out}")
    if trained.unscored:
        lines.append(trained.unscored)
    if trained.scores:
        lines += ["", table(trained.scores)]
        lines.append(f"more metrics, on the test split: ganforge evaluate {path}")
    if trained.diagnosis is not None:
        lines += ["", findings.text(trained.diagnosis)]
    return lines


def closing_losses(log: Sequence[Mapping[str, Any]]) -> str:
    """Both losses over the last quarter of a run; one interval alone is noisy."""
    last = log[-max(1, len(log) // 4) :]
    if not last:
        return "no step has been logged yet"
    d, g = (np.mean([r.get(key, np.nan) for r in last]) for key in ("loss_d", "loss_g"))
    first = log[-len(last) - 1].get("epoch", 0.0) if len(log) > len(last) else 0.0
    return f"loss_D {d:.3f}, loss_G {g:.3f} (mean of epochs {first:.1f} to {last[-1]['epoch']:.1f})"


def moments(trained: api.Trained, count: int = 10_000) -> list[str]:
    """Mean and covariance of the samples beside the law's, for vectors of up to 4 numbers."""
    if trained.sampler.spec.size > 4:
        return []
    samples = trained.sample(count, seed=trained.run.info().get("seed", 0))
    truth = points.true_moments(trained.run.settings()["data"])
    if truth is None:
        return []
    columns = {"generated": _moments(samples), "true": truth}
    return [
        f"{name:<10} mean {_matrix(mean)}  covariance {_matrix(covariance)}"
        for name, (mean, covariance) in columns.items()
    ]


def _moments(samples: Array) -> tuple[Array, Array]:
    return samples.mean(0), np.atleast_2d(np.cov(samples.T))


def _matrix(values: Any) -> str:
    return np.array2string(np.asarray(values, dtype=float), precision=2, separator=", ").replace(
        "\n", ""
    )
