"""ganforge interpolate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from ganforge.cli.options import (
    Flag,
    Labels,
    Output,
    output_of_run,
    user_code,
)
from ganforge.errors import UsageError, check
from ganforge.text import command_line


def interpolate(
    run: Path,
    /,
    *,
    rows: int | None = None,
    steps: int | None = None,
    seed: int = 0,
    label: Labels = None,
    codes: str | None = None,
    space: Literal["z", "w", "both"] = "z",
    morph: Labels = None,
    truncation: float = 1.0,
    loop: Annotated[bool, Flag] = False,
    fps: float = 25,
    size: int = 512,
    output: Output = None,
    overwrite: Annotated[bool, Flag] = False,
    device: str = "cpu",
    code: Path | None = None,
) -> str:
    """Make samples along paths between noises: one path a row, or a film of all paths.

    Parameters
    ----------
    run
        A run folder, a model folder or cdcgan-mnist, the model in the package.
    rows
        The number of paths. [default: 8; with labels, one for each label]
    steps
        The number of samples along a path. [default: 10; in mp4 and webm, 100]
    seed
        The seed of the noise.
    label
        A label, by number or class name, for each path in turn. [default: all, in turn]
    codes
        Codes of a generator that has them, as digit=3,slant=-2..2: a number for all samples, or a
        range that the path walks while all else stays; of several ranges each path walks one.
    space
        Walk between noises in z, or between their styles in w, of a style-based generator; both:
        each path in z and below it in w.
    morph
        Two labels or more: the noise of a path stays, and its label changes from one to the next.
    truncation
        A number in (0, 1]; below 1 the samples vary less.
    loop
        Close the paths, so that the film ends where it begins.
    fps
        The frames a second of a film.
    size
        The longer side of a film in pixels, approximately, for pixels are enlarged by a whole
        number.
    output
        A .png file, or a film: .gif, .mp4 or .webm. [default: interpolate.png in the run]
    overwrite
        Replace a file that exists.
    device
        The device: cpu, cuda or mps.
    code
        Your FILE.py, for a run or model with parts that are your code.
    """
    import numpy as np

    from ganforge import files, images
    from ganforge.data import spec
    from ganforge.plotting import films
    from ganforge.runs import load
    from ganforge.sampling.codes import parsed

    check(1 <= fps <= 120, "fps", fps, "1 to 120 frames a second")
    check(1 <= size <= 4096, "size", size, "1 to 4,096 pixels")
    out, remark = output_of_run(run, output, "interpolate.png", overwrite, ".png", *films.KINDS)
    kind = out.suffix.lower()
    sampler = load.open_sampler(run, user_code(code), device)
    rows = rows or (len(label) if label else 8)
    steps = steps or (100 if kind in (".mp4", ".webm") else 10)
    chosen = parsed(codes)
    spaces = ("z", "w") if space == "both" else (space,)
    walks = [
        sampler.interpolate(rows, steps, seed, label, truncation, loop, chosen, one, morph)
        for one in spaces
    ]
    rows, walk = rows * len(spaces), np.concatenate(walks)
    if space == "both":
        order = np.arange(rows * steps).reshape(2, -1, steps).swapaxes(0, 1).ravel()
        walk = walk[order]
    if not sampler.spec.is_image:
        instead = command_line(["ganforge", "sample", str(run)])
        raise UsageError(f"{run} makes vectors, not pictures: use `{instead}`")
    pixels = spec.as_uint8(walk, sampler.spec)
    frames = pixels.reshape(rows, steps, *walk.shape[1:])
    if kind == ".png":
        strips = np.concatenate(list(frames.swapaxes(0, 1)), axis=2)  # a path without gaps
        data = images.png(images.grid(strips, 1), scale=max(1, 64 // walk.shape[2]))
    else:
        columns = images.layout(rows, 0)[1]
        grids = [images.grid(frames[:, i], columns, 2 * (rows > 1)) for i in range(steps)]
        if not loop:
            grids += grids[-2:0:-1]  # and back again
        data = films.film(films.enlarged(grids, size), kind, fps)
    files.save_file(out, data)
    return f"{rows} paths of {steps} samples in {out}{remark}"
