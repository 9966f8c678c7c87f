"""The command line: parse, call one function, print. Nothing here computes, nothing below prints.

Heavy modules are imported inside the commands: `ganforge --help` imports no torch.
"""

from __future__ import annotations

import os
import shlex
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, CycloptsError, Parameter

from ganforge import __version__
from ganforge.arguments import split_overrides, whole_numbers
from ganforge.errors import GanforgeError, OutOfMemoryError, UsageError, lacks_memory

if TYPE_CHECKING:
    from ganforge.config import Config

app = App(
    name="ganforge",
    help="Train, judge, diagnose and ship generative adversarial networks.",
    version=__version__,
    result_action="return_value",
    help_epilogue="First: `ganforge train` learns MNIST in a few minutes. `ganforge recipes` lists "
    "the systems. Add --debug to any command for a traceback.",
)
data_app = App(name="data", help="Look at data, or pack them for training.")
app.command(data_app)

Flag = Parameter(negative="")


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
    device: str | None = None,
    precision: str | None = None,
    out: Path | None = None,
    config: Path | None = None,
    every: float | None = None,
    stop: str | None = None,
    gpus: int | None = None,
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
    sync_bn
        Batch norm over the whole batch of all processes, not each one's share.
    tensorboard
        Write TensorBoard event files too.
    dry_run
        Check the settings, the data and the networks, and stop before the first step.
    print_config
        Print the whole configuration as TOML, and stop.
    """
    from ganforge import commands

    options = {
        "data": data, "size": size, "batch": batch, "epochs": epochs, "kimg": kimg, "seed": seed,
        "device": device, "precision": precision, "sync_bn": sync_bn or None,
    }  # fmt: skip
    chosen = commands.assemble(recipe, config, options, _overrides, tensorboard, every, stop)
    if print_config:
        print(commands.dumps(chosen), end="")
        return 0
    if dry_run:
        print("\n".join(commands.rehearse(chosen, out)))
        return 0
    if gpus is not None:
        return commands.launch(gpus, chosen, _arguments)
    return _train(chosen, out)


def _train(config: Config, out: Path | None) -> int:
    from ganforge import commands, distributed, session

    path = out or session.default_folder(config)
    leads = distributed.from_environment().leads
    if leads:
        print(f"{config.name} on {config.data}, seed {config.seed}, in {path}", flush=True)
    trained = session.train(config, path)
    if leads:
        print("\n".join(commands.summary(trained)))
        if trained.signal:
            print(f"stopped and saved; to go on: {_again()}")
    return 128 + trained.signal if trained.signal else 0


def _again() -> str:
    return shlex.join(["ganforge", *_arguments])


@app.command
def sample(
    run: Path,
    /,
    *,
    n: Annotated[int, Parameter(alias="-n")] = 64,
    label: Annotated[list[int] | None, Parameter(consume_multiple=True, negative="")] = None,
    seed: int = 0,
    output: Annotated[Path | None, Parameter(alias="-o")] = None,
    code: Path | None = None,
) -> int:
    """Sample a run or a model: a picture grid, or arrays.

    Parameters
    ----------
    run
        A run folder or a model folder.
    n
        How many samples.
    label
        The label to make, or several to cycle through. [default: all, in turn]
    seed
        Sample i depends on the seed and i alone.
    output
        A .png (grid) or .npz (samples, labels). [default: sample.png in the run]
    code
        Your own FILE.py, for a model whose networks are code of yours.
    """
    from ganforge import commands

    print(commands.sample(run, n, label, seed, output, code))
    return 0


@app.command
def evaluate(
    path: Path,
    /,
    *,
    data: str | None = None,
    size: int | None = None,
    n: Annotated[int, Parameter(alias="-n")] = 10_000,
    metrics: str | None = None,
    split: str = "test",
    seed: int = 0,
    space: str | None = None,
    code: Path | None = None,
) -> int:
    """Score a run, a model or samples: every metric with its floor, and a word.

    Parameters
    ----------
    path
        A run folder, a model folder, or an .npz with samples (and labels).
    data
        The real data. [default: those of the training]
    size
        Pictures are cropped and resized to SIZE x SIZE. [default: as in training]
    n
        Samples, and as many real examples.
    metrics
        Names, with commas between. [default: all that fit]
    split
        test or validation. Choose by validation; look at test once.
    seed
        Of the noise, the subsets and the judges.
    space
        The feature space. [default: the data's]
    code
        Your own FILE.py, for a model whose networks are code of yours.
    """
    from ganforge import commands

    print(commands.evaluate(path, data, size, n, metrics, split, seed, space, code))
    return 0


@app.command
def interpolate(
    run: Path,
    /,
    *,
    rows: int = 8,
    steps: int = 10,
    seed: int = 0,
    output: Annotated[Path | None, Parameter(alias="-o")] = None,
    code: Path | None = None,
) -> int:
    """Walk between noises: one path a row.

    Parameters
    ----------
    run
        A run folder or a model folder.
    rows
        Paths.
    steps
        Samples along each.
    output
        A .png, or a .gif that walks. [default: interpolate.png in the run]
    code
        Your own FILE.py, for a model whose networks are code of yours.
    """
    from ganforge import commands

    print(commands.interpolate(run, rows, steps, seed, output, code))
    return 0


@app.command
def plot(run: Path, /, *, output: Annotated[Path | None, Parameter(alias="-o")] = None) -> int:
    """Draw a run: loss curves, samples over time, for 2-D data real and generated points.

    Parameters
    ----------
    run
        A run folder.
    output
        A .png, or a .gif of the samples over time. [default: plot.png in the run]
    """
    from ganforge import commands

    print(commands.plot(run, output))
    return 0


@app.command
def runs(folder: Path = Path("runs"), /) -> int:
    """List the runs in a folder: state, progress, losses."""
    from ganforge import commands

    print(commands.runs_table(folder))
    return 0


@app.command
def recipes(name: str | None = None, /) -> int:
    """List the recipes, or tell all about one: claim, source, cost, settings."""
    from ganforge import commands

    print(commands.recipes_text(name))
    return 0


@data_app.command
def show(
    source: str,
    /,
    *,
    size: int | None = None,
    output: Annotated[Path | None, Parameter(alias="-o")] = None,
) -> int:
    """Print the shape, classes and counts of data, and save a grid of them.

    Parameters
    ----------
    source
        A data set's name or a path.
    output
        [default: data-NAME.png]
    """
    from ganforge import commands

    print(commands.data_show(source, size, output))
    return 0


@data_app.command
def pack(source: str, out: Path, /, *, size: int | None = None) -> int:
    """Decode data once into a store that loads at once and need not fit in memory.

    Parameters
    ----------
    source
        A data set's name or a path.
    out
        The folder to make: images.npy, labels.npy, dataset.json.
    """
    from ganforge import commands

    print(commands.data_pack(source, out, size))
    return 0


_overrides: dict[str, str] = {}
_arguments: list[str] = []


def main(arguments: Sequence[str] | None = None) -> int:
    """The `ganforge` command; returns the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [w for w in words if w != "--debug"]
    _arguments[:] = words
    _overrides.clear()
    try:
        if words[:1] == ["train"]:
            words, found = split_overrides(words)
            _overrides.update(found)
        whole_numbers(words)
        result: Any = app(words, exit_on_error=False, print_error=False)
        sys.stdout.flush()
        return int(result or 0)
    except CycloptsError as error:
        return _fail(UsageError(" ".join(str(error).split())), debug)
    except GanforgeError as error:
        return _fail(error, debug)
    except KeyboardInterrupt:
        print(f"stopped before the first step, nothing was saved; to start: {_again()}")
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if debug:
            raise
        return _unforeseen(error)


def _unforeseen(error: Exception) -> int:
    if lacks_memory(error):
        text = "the machine has too little memory for this: use smaller networks, --size or --batch"
        return _fail(OutOfMemoryError(text), False)
    print(
        f"ganforge: a bug of ours: {type(error).__name__}: {error}\n"
        "Add --debug for the traceback, and please report it.",
        file=sys.stderr,
    )
    return 1


def _fail(error: GanforgeError, debug: bool) -> int:
    if debug:
        traceback.print_exception(error)
        return error.exit_code
    # of several processes one speaks, but for what only one of them may know
    if os.environ.get("RANK", "0") == "0" or error.exit_code in (71, 74):
        print(f"ganforge: {error}", file=sys.stderr)
    return error.exit_code
