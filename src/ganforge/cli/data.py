"""ganforge data show, pack."""

from __future__ import annotations

from pathlib import Path

from cyclopts import App

from ganforge.cli.app import Target, app

data_app = App(name="data", help="Look at data, or pack them for training.")
app.command(data_app)


@data_app.command
def show(
    source: str,
    /,
    *,
    size: int | None = None,
    output: Target = None,
) -> int:
    """Print the shape, classes and counts of data, and save a grid of them.

    Parameters
    ----------
    source
        A data set's name or a path.
    output
        [default: data-NAME.png]
    """
    from ganforge.commands import data as commands

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
    from ganforge.commands import data as commands

    print(commands.data_pack(source, out, size))
    return 0
