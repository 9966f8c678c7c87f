"""ganforge train."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from ganforge.cli.app import Flag, again, app, arguments, loading, overrides
from ganforge.errors import UsageError

if TYPE_CHECKING:
    from ganforge.config.schema import Config


@app.command
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
) -> int:
    """Train a recipe; the same command goes on with a run that was stopped.

    Every setting of a recipe can be changed as --a.b value (see `ganforge recipes NAME`):
    --game.loss hinge, --generator.lr 1e-4, --networks.generator_width 64.

    Parameters
    ----------
    recipe
        A recipe's name, or FILE.py:FUNCTION for one of your own. [default: cdcgan]
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
        Epochs between two scores on the validation split; the best model is kept in best/.
    stop
        auto: end when five such scores in a row have brought no better one.
    gpus
        Processes that share every batch, a GPU each (without GPUs: on the CPU).
    timeout
        Seconds that one of several processes waits for the others.
    take_over
        Where the file system has no locks: go on although another trainer, known to be gone, has
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
        from ganforge.commands import train as commands

    options = {
        "data": data, "size": size, "batch": batch, "epochs": epochs, "kimg": kimg, "seed": seed,
        "device": device, "precision": precision, "sync_bn": sync_bn or None,
        "compile": compile or None,
    }  # fmt: skip
    chosen = commands.assemble(recipe, config, options, overrides, tensorboard, every, stop)
    if print_config:
        print(commands.dumps(chosen), end="")
        return 0
    if seeds is not None:
        return _train_seeds(chosen, seeds, out, at_once, seed, gpus, dry_run, take_over)
    if at_once is not None:
        raise UsageError(f"--at-once {at_once} is for several seeds: give --seeds too")
    if dry_run:
        print("\n".join(commands.rehearse(chosen, out, gpus)))
        return 0
    if gpus is not None:
        return commands.launch(gpus, chosen, arguments)
    return _train(chosen, out, take_over, timeout)


def _train(config: Config, out: Path | None, take_over: bool, timeout: float) -> int:
    from ganforge import api
    from ganforge.commands import train as commands
    from ganforge.training import distributed

    path = out or api.default_folder(config)
    leads = distributed.from_environment().is_main_process
    if leads:
        print(f"{config.name} on {config.data}, seed {config.seed}, in {path}", flush=True)
    trained = api.train(config, path, take_over=take_over, timeout=timeout)
    if leads:
        print("\n".join(commands.summary(trained)))
        if trained.signal and not trained.finished:
            print(f"stopped and saved; to go on: {again()}")
    return 128 + trained.signal if trained.signal else 0


def _train_seeds(
    config: Config, text: str, out: Path | None, at_once: int | None, seed: int | None,
    gpus: int | None, dry_run: bool, take_over: bool,
) -> int:  # fmt: skip
    from ganforge.commands import seeds as commands
    from ganforge.experiments import seeds
    from ganforge.runs import records

    plan = commands.plan(config, text, out, at_once, seed, gpus)
    if dry_run:
        print("\n".join(commands.rehearsed(plan)))
        return 0
    print("\n".join(commands.told(plan)), flush=True)
    trained = seeds.carry_out(plan, "auto", records.Control(take_over=take_over))
    print(
        "\n".join(["", *commands.lines(trained.summary), f"summary  {trained.path}/summary.json"])
    )
    if trained.signal:
        print(f"stopped and saved; to go on: {again()}")
    return 128 + trained.signal if trained.signal else 0
