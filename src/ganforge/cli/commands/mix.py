"""ganforge mix."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from ganforge.cli.options import (
    Flag,
    Labels,
    Output,
    output_of_run,
    picture_file,
    user_code,
)


def mix(
    run: Path,
    /,
    *,
    rows: int = 4,
    columns: int = 6,
    cut: int | None = None,
    seed: int = 0,
    label: Labels = None,
    truncation: float = 1.0,
    output: Output = None,
    overwrite: Annotated[bool, Flag] = False,
    device: str = "cpu",
    code: Path | None = None,
) -> str:
    """Mix the styles of samples: the coarse layers of one a row, the fine layers of one a column.

    For style-based generators, such as stylegan2. The samples that give the styles are in the first
    column and in the first row of the grid.

    Parameters
    ----------
    run
        A run folder or a model folder.
    rows
        The number of samples that give coarse layers: shape and pose.
    columns
        The number of samples that give fine layers: colours and texture.
    cut
        The first fine layer. [default: the middle one]
    seed
        The seed of the samples; the first ROWS are those of the rows.
    label
        The label of the samples, by number or class name, or several labels in turn.
        [default: all, in turn]
    truncation
        A number in (0, 1]; below 1 the samples vary less.
    output
        A .png file. [default: mix.png in the run]
    overwrite
        Replace a file that exists.
    device
        The device: cpu, cuda or mps.
    code
        Your FILE.py, for a run or model with parts that are your code.
    """
    import numpy as np

    from ganforge import files
    from ganforge.data.spec import as_uint8
    from ganforge.runs import load

    out, remark = output_of_run(run, output, "mix.png", overwrite, ".png")
    sampler = load.open_sampler(run, user_code(code), device)
    mixed = sampler.mix(rows, columns, seed, label, truncation, cut)
    sources = sampler.sample(rows + columns, label, seed, truncation=truncation)
    made, given = (as_uint8(values, sampler.spec) for values in (mixed, sources))
    corner = np.full_like(given[:1], 127)
    lines = [np.concatenate([corner, given[rows:]])]
    for row in range(rows):
        lines += [given[row : row + 1], made[row * columns : (row + 1) * columns]]
    files.save_file(out, picture_file(np.concatenate(lines), columns + 1))
    return f"{rows} x {columns} mixed samples in {out}{remark}"
