"""ganforge train."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from ganforge.cli.app import loading
from ganforge.cli.arguments import again, overrides, typed
from ganforge.cli.options import Flag, Lines
from ganforge.config import convert
from ganforge.config.schema import Config
from ganforge.errors import UsageError, check, choice

if TYPE_CHECKING:
    from ganforge.api import Trained
    from ganforge.experiments.seeds.plan import Plan


def train(
    recipe: str | None = None,
    /,
    *,
    data: str | None = None,
    size: int | None = None,
    batch: int | None = None,
    epochs: float | None = None,
    kimg: float | None = None,
    seed: int | None = None,
    seeds: str | None = None,
    at_once: int | None = None,
    device: str | None = None,
    precision: str | None = None,
    out: Path | None = None,
    config: Path | None = None,
    every: float | None = None,
    stop: str | None = None,
    gpus: int | None = None,
    timeout: float = 600.0,
    take_over: Annotated[bool, Flag] = False,
    compile: Annotated[bool, Flag] = False,
    sync_bn: Annotated[bool, Flag] = False,
    tensorboard: Annotated[bool, Flag] = False,
    dry_run: Annotated[bool, Flag] = False,
    print_config: Annotated[bool, Flag] = False,
) -> Lines:
    """Train a recipe; the same command goes on with a run that was stopped.

    Every setting of a recipe can be changed as --a.b value (see `ganforge recipes NAME`):
    --game.loss hinge, --generator.lr 1e-4, --networks.generator_width 64.

    Parameters
    ----------
    recipe
        A recipe's name, or FILE.py:FUNCTION for a recipe in your code. [default: cdcgan]
    data
        mnist, fashion-mnist, cifar10, a toy law, or a path: folder or zip of pictures, idx, npy,
        npz, packed store.
    size
        Pictures are cropped and resized to SIZE x SIZE.
    batch
        Real examples a step.
    epochs
        The budget, in passes over the data.
    kimg
        The budget, in thousands of real images.
    seed
        Of every random number of the run.
    seeds
        0..63 or 0,3,7: a run for each of them, trained at once, in RUN FOLDER/seed-N.
    at_once
        With --seeds: games in memory at a time. [default: what half of the free memory holds]
    device
        auto, cpu, cuda or mps.
    precision
        auto, fp32 or bf16.
    out
        The run folder. [default: runs/RECIPE]
    config
        A TOML file of settings, laid over the recipe's.
    every
        Epochs between two scores on the validation split; the best model is saved in best/.
    stop
        auto: end when five such scores in a row have brought no better one.
    gpus
        Processes that share every batch, a GPU each (without GPUs: on the CPU).
    timeout
        Seconds that one of several processes waits for the others.
    take_over
        If the file system has no locks: go on although another trainer, known to be gone, has
        the run folder.
    compile
        Small games on the CPU: many steps a call, compiled once in half a minute. A GPU: captured.
    sync_bn
        Batch norm over the whole batch of all processes, not each one's share.
    tensorboard
        Write TensorBoard event files too.
    dry_run
        Check the settings, the data and the networks, and stop before the first step.
    print_config
        Print the whole configuration as TOML, and stop.
    """
    with loading():
        from ganforge import api

    options = {
        "data": data, "size": size, "batch": batch, "epochs": epochs, "kimg": kimg, "seed": seed,
        "device": device, "precision": precision, "sync_bn": sync_bn or None,
        "compile": compile or None,
    }  # fmt: skip
    chosen = assemble(recipe, config, options, overrides, tensorboard, every, stop)
    if print_config:
        yield convert.dumps(chosen).removesuffix("\n")
        return 0
    if seeds is not None:
        numbers = seed_numbers(seeds, seed, gpus)
        return (yield from train_seeds(chosen, numbers, out, at_once, dry_run, take_over))
    if at_once is not None:
        raise UsageError(f"--at-once {at_once} is for several seeds: give --seeds too")
    path = out or api.default_folder(chosen)
    if dry_run:
        yield from rehearse(chosen, path, gpus)
        return 0
    if gpus is not None:
        return launch(gpus, chosen, typed)
    return (yield from train_one(chosen, path, take_over, timeout))


def train_one(config: Config, path: Path, take_over: bool, timeout: float) -> Lines:
    """Train one run, as this process or as one of several."""
    from ganforge import api
    from ganforge.training import distributed

    leads = distributed.from_environment().is_main_process
    if leads:
        yield f"{config.name} on {config.data}, seed {config.seed}, in {path}"
    trained = api.train(config, path, take_over=take_over, timeout=timeout)
    if leads:
        yield from summary(trained)
    return (yield from stopped(trained.signal, leads and not trained.finished))


def train_seeds(
    config: Config,
    numbers: Sequence[int],
    out: Path | None,
    at_once: int | None,
    dry_run: bool,
    take_over: bool,
) -> Lines:
    """Train a run for each seed, with one summary of all."""
    from ganforge.experiments import seeds
    from ganforge.experiments.seeds.plan import make
    from ganforge.experiments.seeds.summary import lines
    from ganforge.runs.records import Control

    plan = make(config, out, numbers, at_once)
    yield from described(plan)
    if dry_run:
        on = plan.resolved
        yield f"budget: {plan.steps:,} steps of {plan.config.batch} for each"
        yield f"device: {on.device}, {on.precision}, {on.threads} threads"
        yield "nothing was trained or written"
        return 0
    trained = seeds.carry_out(plan, "auto", Control(take_over=take_over))
    yield from ("", *lines(trained.summary), f"summary  {trained.path}/summary.json")
    return (yield from stopped(trained.signal, True))


def seed_numbers(text: str, seed: int | None, gpus: int | None) -> tuple[int, ...]:
    """The seeds of `--seeds TEXT`; UsageError for options that contradict it."""
    from ganforge.experiments.seeds.plan import parse

    numbers = parse(text)
    if seed is not None:
        raise UsageError(f"--seed {seed} and --seeds {text}: give one of them")
    if gpus is not None:
        raise UsageError(
            f"--gpus {gpus} and --seeds {text}: a population is trained by one process; give "
            "--gpus for the run of one seed"
        )
    return numbers


def described(plan: Plan) -> Iterator[str]:
    """What a plan comes to: seeds, folder, how they are trained, memory."""
    from ganforge.experiments.seeds.plan import size

    left = sum(map(plan.pending, plan.seeds))
    yield (
        f"{len(plan.seeds)} seeds of {plan.config.name} on {plan.config.data}, {left} to be "
        f"trained, in {plan.folder}"
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


def stopped(number: int, says: bool) -> Lines:
    """How to go on, if a signal ended the training; the exit code."""
    if number and says:
        yield f"stopped and saved; to go on: {again()}"
    return 128 + number if number else 0


def assemble(
    recipe: str | None,
    file: Path | None,
    options: Mapping[str, Any],
    overrides: Mapping[str, str],
    tensorboard: bool,
    every: float | None = None,
    stop: str | None = None,
) -> Config:
    """Settings from the defaults, the recipe, the file and the command line; the last one wins."""
    from ganforge import files, recipes, registry
    from ganforge.callbacks import evaluate

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
    """UsageError if a config, perhaps from a stranger, names data outside the current folder."""
    if Path(data).is_absolute() or ".." in Path(data).parts or data.startswith("~"):
        raise UsageError(
            f"{file}: data = {data!r} is outside this folder: if you mean it, say so with "
            f"--data {data}"
        )


def rehearse(chosen: Config, path: Path, gpus: int | None = None) -> Iterator[str]:
    """Everything of a run except its steps: what it would train, on what, for how long."""
    from ganforge.runs import folder
    from ganforge.training import checks, distributed, threads
    from ganforge.training.meeting import Meeting
    from ganforge.training.trainer import Trainer

    world = distributed.from_environment()
    if gpus is not None:
        count = processes(gpus, chosen)
        world = distributed.World(0, count, here=count)
    found = checks.require_trainable({path: chosen}, world=world)
    data, resolved = found.data, found.resolved
    t = Trainer(chosen, data, folder.Run(path), resolved, found.begun, Meeting(world))
    t.batches.close()

    yield f"recipe         {chosen.name}"
    yield f"data           {chosen.data}: {len(data):,} examples of shape {data.spec.shape}"
    for side in ("generator", "discriminator"):
        count = sum(p.numel() for p in getattr(t.state.players, side).parameters())
        yield f"{side:<14} {count:,} parameters"
    yield f"budget         {t.steps:,} steps of {chosen.batch}"
    yield f"device         {resolved.device}, {resolved.precision}, {threads.planned(t)}"
    yield f"folder         {path}"
    yield "nothing was trained or written"


def processes(gpus: int, chosen: Config) -> int:
    """The processes of `--gpus`; UsageError if the batch cannot be split over them."""
    from ganforge.training import distributed

    check(gpus >= 1, "gpus", gpus, "at least 1 process")
    distributed.World(0, gpus).part(chosen.batch)
    return gpus


def launch(gpus: int, chosen: Config, arguments: Sequence[str]) -> int:
    """The same command in several processes, without its --gpus; the exit code."""
    from ganforge.training import distributed

    processes(gpus, chosen)  # refused once, not by each process
    words = [w for w in arguments if not w.startswith("--gpus=")]
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
    if not spec.is_image:
        yield from moments(trained)
    yield f"model    {trained.run.model}"
    if trained.grid:
        yield f"samples  {trained.grid}"
    if trained.plot:
        yield f"plot     {trained.plot}"
    label = f" --label {8 if spec.classes > 8 else 0}" if spec.classes else ""
    out = "-o samples.png" if spec.is_image else "-n 1000 -o samples.npz"
    yield f"sample   ganforge sample {path}{label} {out}"
    if trained.unscored:
        yield trained.unscored
    if trained.scores:
        yield "\n" + table(trained.scores)
        yield f"more metrics, on the test split: ganforge evaluate {path}"
    if trained.diagnosis is not None:
        yield "\n" + findings.text(trained.diagnosis)


def closing_losses(log: Sequence[Mapping[str, Any]]) -> str:
    """Both losses over the last quarter of a run, for one interval is noisy."""
    count = max(1, len(log) // 4)
    last = log[-count:]
    if not last:
        return "no step has been logged yet"
    d, g = (sum(r.get(k, math.nan) for r in last) / count for k in ("loss_d", "loss_g"))
    first = log[-count - 1].get("epoch", 0.0) if len(log) > count else 0.0
    return f"loss_D {d:.3f}, loss_G {g:.3f} (mean of epochs {first:.1f} to {last[-1]['epoch']:.1f})"


def moments(trained: Trained, count: int = 10_000) -> Iterator[str]:
    """Mean and covariance of the samples beside those of the law, for vectors of 1 to 4 numbers."""
    import numpy as np

    from ganforge.plotting import points

    def shown(values: Any) -> str:
        text = np.array2string(np.asarray(values, dtype=float), precision=2, separator=", ")
        return text.replace("\n", "")

    if trained.sampler.spec.size > 4:
        return
    samples = trained.sample(count, seed=trained.run.info().get("seed", 0))
    truth = points.true_moments(trained.run.settings()["data"])
    if truth is not None:
        generated = samples.mean(0), np.atleast_2d(np.cov(samples.T))
        for name, (mean, covariance) in {"generated": generated, "true": truth}.items():
            yield f"{name:<10} mean {shown(mean)}  covariance {shown(covariance)}"
