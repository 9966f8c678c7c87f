"""ganforge sample, interpolate, plot, runs, recipes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ganforge.cli.app import Count, Target, app


@app.command
def sample(
    run: Path,
    /,
    *,
    n: Count = 64,
    label: Annotated[list[str] | None, Parameter(consume_multiple=True, negative="")] = None,
    seed: int = 0,
    output: Target = None,
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
        The label to make, by number or class name, or several to cycle through.
        [default: all, in turn]
    seed
        Sample i depends on the seed and i alone.
    output
        A .png (grid) or .npz (samples, labels). [default: sample.png in the run]
    code
        Your own FILE.py, for a model whose networks are code of yours.
    """
    from ganforge.commands import look as commands

    print(commands.sample(run, n, label, seed, output, code))
    return 0


@app.command
def interpolate(
    run: Path,
    /,
    *,
    rows: int = 8,
    steps: int = 10,
    seed: int = 0,
    output: Target = None,
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
    from ganforge.commands import look as commands

    print(commands.interpolate(run, rows, steps, seed, output, code))
    return 0


@app.command
def plot(run: Path, /, *, output: Target = None) -> int:
    """Draw a run: loss curves, samples over time, for 2-D data real and generated points.

    Parameters
    ----------
    run
        A run folder.
    output
        A .png, or a .gif of the samples over time. [default: plot.png in the run]
    """
    from ganforge.commands import look as commands

    print(commands.plot(run, output))
    return 0


@app.command
def runs(folder: Path = Path("runs"), /) -> int:
    """List the runs in a folder: state, progress, losses."""
    from ganforge.commands import look as commands

    print(commands.runs_table(folder))
    return 0


@app.command
def recipes(name: str | None = None, /) -> int:
    """List the recipes, or tell all about one: claim, source, cost, settings."""
    from ganforge.commands import look as commands

    print(commands.recipes_text(name))
    return 0
