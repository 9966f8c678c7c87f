"""ganforge train."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from ganforge.cli import dry_run as rehearsal
from ganforge.cli.app import loading
from ganforge.cli.arguments import again, overrides, typed
from ganforge.cli.options import Flag, Lines, given
from ganforge.config import convert
from ganforge.config.schema import Config
from ganforge.errors import UsageError, check, choice
from ganforge.text import command_line

if TYPE_CHECKING:
    from ganforge.api import Trained
    from ganforge.training.distributed import World


def train(
    what: str | None = None,
    /,
    *,
    data: str | None = None,
    size: int | None = None,
    batch: int | None = None,
    lr: float | None = None,
    epochs: float | None = None,
    kimg: float | None = None,
    minutes: float | None = None,
    mirror: Annotated[bool, Flag] = False,
    from_: Annotated[Path | None, Parameter(name="--from")] = None,
    seed: int | None = None,
    seeds: str | None = None,
    at_once: int | None = None,
    device: str | None = None,
    precision: str | None = None,
    out: Path | None = None,
    config: Path | None = None,
    code: Path | None = None,
    every: float | None = None,
    stop: str | None = None,
    gpus: int | None = None,
    timeout: float = 600.0,
    take_over: Annotated[bool, Flag] = False,
    compile: Annotated[bool, Flag] = False,
    sync_bn: Annotated[bool, Flag] = False,
    log: str | None = None,
    tensorboard: Annotated[bool, Flag] = False,
    watch: Annotated[bool, Flag] = False,
    dry_run: Annotated[bool, Flag] = False,
    print_config: Annotated[bool, Flag] = False,
) -> Lines:
    """Train a recipe, or train on pictures. The same command goes on with a stopped run.

    Every setting of a recipe is an option too, for example --game.loss hinge, --generator.lr 1e-4
    or --networks.generator_width 64; `ganforge recipes NAME` lists the settings.

    Parameters
    ----------
    what
        A recipe's name, or FILE.py:FUNCTION for a recipe in your code; data, by name or path, for
        which a recipe is chosen; or a run folder, to go on with it. [default: cdcgan]
    data
        mnist, fashion-mnist, cifar10, a toy law, or a path: folder or zip of pictures, idx, npy,
        npz, packed store; or FILE.py:FUNCTION or FILE.py:FUNCTION:PATH, code that reads them. Two
        folders, as --data A/ B/, for recipes that translate pictures.
    size
        Pictures are cropped and resized to SIZE x SIZE.
    batch
        The number of real examples in a step.
    lr
        The learning rate of both players.
    epochs
        The budget, in passes over the data.
    kimg
        The budget, in thousands of real images.
    minutes
        The budget, in minutes of training on this machine: measured once, at the start.
    mirror
        Half of the pictures, drawn anew in every pass, are shown as their mirror images.
    from_
        A run or model folder whose weights the run begins with, for fine-tuning.
    seed
        The seed of every random number of the run.
    seeds
        Seeds, as 0..63 or 0,3,7: a run for each, trained at once, in RUN FOLDER/seed-N.
    at_once
        With --seeds, the number of runs in memory at a time. [default: what fits in half of the
        free memory]
    device
        The device: auto, cpu, cuda or mps.
    precision
        The precision: auto, fp32 or bf16.
    out
        The run folder. [default: runs/RECIPE]
    config
        A TOML file with settings, which replace those of the recipe.
    code
        Your FILE.py, for a run or a file of settings with parts that are your code.
    every
        Score on the validation split every so many epochs; the best model is saved in best/.
    stop
        auto: stop when five scores in a row were no better.
    gpus
        The number of processes that share every batch, on a GPU each, or on the CPU.
    timeout
        The seconds that one of several processes waits for the others.
    take_over
        Go on although another trainer, known to be gone, has the run folder, on a file system that
        has no locks.
    compile
        Compile the step: on the CPU many steps of a small game in one call, after half a minute; on
        a GPU a captured graph.
    sync_bn
        Batch norm uses the whole batch of all processes, not the part of each.
    log
        Also log to csv, tensorboard, wandb (offline unless WANDB_MODE=online) or FILE.py:NAME, a
        class with start, log and finish; commas between.
    tensorboard
        The same as --log tensorboard.
    watch
        Show the run live on a page, as `ganforge watch` does; the address is printed.
    dry_run
        Check all that a run checks, and say what would be trained, from where, for how long here,
        in how much memory, and what the recipe reached before; write nothing.
    print_config
        Print the whole configuration as TOML, and stop.
    """
    with loading():
        from ganforge import api
        from ganforge.api import objects, target
        from ganforge.callbacks import log as logging

    settings = given(
        data=data, size=size, batch=batch, epochs=epochs, kimg=kimg, minutes=minutes, seed=seed,
        device=device, precision=precision, sync_bn=sync_bn or None, compile=compile or None,
        mirror=mirror or None, init_from=None if from_ is None else str(from_),
    )  # fmt: skip
    names, loggers = logging.split(log)
    names += ("tensorboard",) * tensorboard
    output = given(log=names or None, score_every=every)
    begun = target.start(what, config, settings, code)
    read = objects.of_code(data)
    chosen = assemble(begun.config, settings, output, stop, lr)
    if print_config:
        yield convert.dumps(chosen).removesuffix("\n")
        return 0
    for_one = given(seed=seed, gpus=gpus, minutes=minutes, data=data if read is not None else None)
    check_seeds(seeds, at_once, for_one)
    check_watch(watch, seeds, gpus)
    if seeds is not None:
        return (yield from train_seeds(chosen, seeds, out, at_once, dry_run, take_over, loggers))
    reasons = unasked(begun.reasons, settings)
    path = begun.folder(out) or api.default_folder(objects.named(chosen, read))
    loggers = logging.instances(loggers)
    if dry_run:
        world = None if gpus is None else processes(gpus, chosen)
        yield from reasons
        yield from rehearsal.one_run(chosen, path, world, read, take_over)
        return 0
    if gpus is not None:
        return launch(gpus, chosen)
    with watched(path, watch):
        return (yield from train_one(chosen, path, take_over, timeout, reasons, read, loggers))


def watched(path: Path, watch: bool) -> AbstractContextManager[None]:
    """The live page about the run, in another process; nothing without --watch."""
    if not watch:
        return nullcontext()
    from ganforge.serve.watch import beside

    return beside.page(path)


def train_one(
    config: Config,
    path: Path,
    take_over: bool,
    timeout: float,
    reasons: Sequence[str] = (),
    data: Any = None,
    log: Sequence[Any] = (),
) -> Lines:
    """Train one run, as this process or as one of several.

    reasons: what was chosen for it. data: an object in place of the data that the config names.
    log: the user's loggers.
    """
    from ganforge import api
    from ganforge.runs.folder import Run
    from ganforge.training import distributed, minutes

    leads = distributed.from_environment().is_main_process
    if leads:
        yield from reasons
        if reasons and config.minutes is None and not Run(path).exists():
            yield minutes.estimate(config, path)
        yield f"{config.name} on {config.data}, seed {config.seed}, in {path}"
    trained = api.train(config, path, data=data, log=log, take_over=take_over, timeout=timeout)
    if leads:
        yield from summary(trained)
    return (yield from stopped(trained.signal, leads and not trained.finished))


def unasked(reasons: Sequence[str], options: Mapping[str, Any]) -> list[str]:
    """The lines on what was chosen, without budget and augmentation if the user chose them."""
    asked = {"budget"} if {"epochs", "kimg", "minutes"} & options.keys() else set()
    if any(key.startswith("game.augment") for key in overrides):
        asked.add("augment")
    return [line for line in reasons if line.split()[0] not in asked]


def check_seeds(seeds: str | None, at_once: int | None, for_one: dict[str, Any]) -> None:
    """UsageError for --at-once without --seeds, and for options that many seeds do not have."""
    if seeds is None:
        if at_once is not None:
            raise UsageError(f"--at-once {at_once} is for several seeds: give --seeds too")
        return
    for name, value in for_one.items():
        raise UsageError(
            f"--{name} {value} and --seeds {seeds}: give one of them; a population is trained by "
            "one process, to one budget in pictures"
        )


def check_watch(watch: bool, seeds: str | None, gpus: int | None) -> None:
    """UsageError for --watch with more than one run or process."""
    if watch and (seeds is not None or gpus is not None):
        raise UsageError("--watch shows one run of one process: use `ganforge watch FOLDER` beside")


def train_seeds(
    config: Config,
    text: str,
    out: Path | None,
    at_once: int | None,
    dry_run: bool,
    take_over: bool,
    log: Sequence[Any] = (),
) -> Lines:
    """Train a run for each seed, with one summary of all. log: classes of the user's loggers."""
    from ganforge.experiments import seeds
    from ganforge.experiments.plan import make, parse, size
    from ganforge.experiments.seeds.summary import lines
    from ganforge.runs.records import Control

    plan = make(config, out, parse(text), at_once, log=log)
    left = sum(map(plan.pending, plan.seeds))
    yield (
        f"{len(plan.seeds)} seeds of {config.name} on {config.data}, {left} to be trained, in "
        f"{plan.folder}"
    )
    if plan.one_by_one and left:
        yield f"one by one: {plan.one_by_one}"
    elif plan.cost is not None:
        most = max(map(len, plan.groups))
        groups = f", {len(plan.groups)} groups" if len(plan.groups) > 1 else ""
        yield (
            f"{most} at once{groups}: about {size(plan.cost.total(most))} of memory "
            f"({size(plan.cost.member)} a game), {size(plan.free)} are free; figures are of all "
            "seeds together"
        )
    if dry_run:
        yield from rehearsal.seeds(plan, take_over)
        return 0
    trained = seeds.carry_out(plan, "auto", Control(take_over=take_over))
    yield from ("", *lines(trained.summary), f"summary  {trained.path}/summary.json")
    return (yield from stopped(trained.signal, True))


def stopped(number: int, says: bool) -> Lines:
    """How to go on, if a signal ended the training; the exit code."""
    if number and says:
        yield f"stopped and saved; to go on: {again()}"
    return 128 + number if number else 0


def assemble(
    chosen: Config,
    options: dict[str, Any],
    output: dict[str, Any],
    stop: str | None,
    lr: float | None = None,
) -> Config:
    """A config with the settings of the command line over it.

    Args:
        chosen: the recipe, with the settings of a file.
        options: settings as options of the command line; those with dots are `overrides`.
        output: such settings of the config's `output`.
        stop: "auto" for an end when no better score comes.
        lr: of both players; None for the recipe's.
    """
    from ganforge import registry
    from ganforge.callbacks import evaluate

    budgets = [f"--{name}" for name in ("epochs", "kimg", "minutes") if name in options]
    if len(budgets) > 1:
        raise UsageError(f"{' and '.join(budgets)} both state the budget: give one of them")
    if budgets:
        options = {"kimg": None, "minutes": None} | options
    rates = given(**{"generator.lr": lr, "discriminator.lr": lr})
    named = {key: registry.named(text) for key, text in overrides.items()}
    if rates or named:
        chosen = convert.override(chosen, rates | named, registry.PARTS)
    if stop is not None:
        choice("stop", stop, ("auto",))
        rule = evaluate.end_rule(output.get("score_every"), chosen.output.score_every)
        output["score_every"], output["patience"] = rule
    return replace(chosen, **options, output=replace(chosen.output, **output))


def processes(gpus: int, chosen: Config) -> World:
    """The processes of `--gpus`; UsageError if the run cannot be split over them."""
    from ganforge.training.distributed import World

    check(gpus >= 1, "gpus", gpus, "at least 1 process")
    if chosen.minutes is not None and chosen.kimg is None:
        raise UsageError(f"--minutes is measured in one process: give --kimg with --gpus {gpus}")
    world = World(0, gpus, here=gpus)
    world.part(chosen.batch)
    return world


def launch(gpus: int, chosen: Config) -> int:
    """The same command in several processes, without its --gpus; the exit code."""
    from ganforge.training import distributed

    processes(gpus, chosen)  # refused once, not by each process
    words = [w for w in typed if not w.startswith("--gpus=")]
    if "--gpus" in words:
        at = words.index("--gpus")
        del words[at : at + 2]
    return distributed.launch(gpus, words)


def summary(trained: Trained) -> Iterator[str]:
    """The lines at the end of a run: its losses, where things are, what to type next."""
    from ganforge.diagnosis import findings
    from ganforge.evaluation.score import table

    path, spec = trained.path, trained.sampler.spec
    yield closing_losses(trained.run.log())
    yield from moments(trained)
    places = {"model": trained.run.model, "samples": trained.grid, "plot": trained.overview}
    yield from (f"{name:<8} {place}" for name, place in places.items() if place)
    label = f" --label {8 if spec.classes > 8 else 0}" if spec.classes else ""
    out = "-o samples.png" if spec.is_image else "-n 1000 -o samples.npz"
    if spec.source is None:
        yield f"sample   {command_line(['ganforge', 'sample', str(path)])}{label} {out}"
    else:
        use = command_line(["ganforge", "translate", str(path)])
        yield f"use      {use} PICTURES/ -o OUT/"
    yield from filter(None, (trained.unscored, *trained.notes))
    if trained.scores:
        yield "\n" + table(trained.scores)
        evaluation = command_line(["ganforge", "evaluate", str(path)])
        yield f"more metrics, on the test split: {evaluation}"
    if trained.diagnosis is not None:
        yield "\n" + findings.text(trained.diagnosis)


def closing_losses(log: Sequence[Mapping[str, Any]]) -> str:
    """Both losses over the last quarter of a run, for one interval is noisy."""
    if not log:
        return "no step has been logged yet"
    count = max(1, len(log) // 4)
    last = log[-count:]
    d, g = (sum(r.get(k, math.nan) for r in last) / count for k in ("loss_d", "loss_g"))
    first = log[-count - 1].get("epoch", 0.0) if len(log) > count else 0.0
    return f"loss_D {d:.3f}, loss_G {g:.3f} (mean of epochs {first:.1f} to {last[-1]['epoch']:.1f})"


def moments(trained: Trained) -> Iterator[str]:
    """Mean and covariance of the samples beside those of the law, for vectors of 1 to 4 numbers."""
    import numpy as np

    from ganforge.plotting import points

    spec = trained.sampler.spec
    truth = points.true_moments(trained.run.settings()["data"])
    if truth is None or spec.is_image or spec.size > 4:
        return
    samples = trained.sample(10_000, seed=trained.run.info().get("seed", 0))
    generated = samples.mean(0), np.atleast_2d(np.cov(samples.T))
    for name, found in (("generated", generated), ("true", truth)):
        mean, covariance = (np.asarray(v, dtype=float).round(2).tolist() for v in found)
        yield f"{name:<10} mean {mean}  covariance {covariance}"
