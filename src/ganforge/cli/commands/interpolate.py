"""ganforge interpolate."""

from __future__ import annotations

from pathlib import Path

from ganforge.cli.options import Output, output_path, picture_file, user_networks
from ganforge.errors import UsageError
from ganforge.text import command_line


def interpolate(
    run: Path,
    /,
    *,
    rows: int = 8,
    steps: int = 10,
    seed: int = 0,
    output: Output = None,
    code: Path | None = None,
) -> str:
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
        Your FILE.py, for a model whose networks are your code.
    """
    from ganforge import files, images
    from ganforge.data import spec
    from ganforge.runs import load

    sampler = load.open_sampler(run, user_networks(code, run))
    out = output_path(output, run / "interpolate.png", ".png", ".gif")
    walk = sampler.interpolate(rows, steps, seed)
    if not sampler.spec.is_image:
        instead = command_line(["ganforge", "sample", str(run)])
        raise UsageError(f"{run} makes vectors, not pictures: use `{instead}`")
    pixels = spec.as_uint8(walk, sampler.spec)
    if out.suffix.lower() == ".gif":
        frames = pixels.reshape(rows, steps, *walk.shape[1:])
        columns = images.layout(rows, 0)[1]
        grids = [images.grid(frames[:, i], columns) for i in range(steps)]
        data = images.gif([*grids, *grids[-2:0:-1]])
    else:
        data = picture_file(pixels, steps)
    files.save_file(out, data)
    return f"{rows} paths of {steps} samples in {out}"
