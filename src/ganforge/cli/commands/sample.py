"""ganforge sample."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from ganforge import bar
from ganforge.cli.options import (
    Count,
    Flag,
    Labels,
    Output,
    given,
    in_this_folder,
    picture_file,
    replaced,
    require_new,
    user_code,
)
from ganforge.errors import UsageError, check

if TYPE_CHECKING:
    from ganforge.export.samples import Asked, Part
    from ganforge.sampling.sampler import Sampler

NO_RUN = "cdcgan-mnist, the model in the package; to sample a run: ganforge sample"
NO_FOLDER = (".jpg", ".jpeg", ".webp", ".gif", ".npy")  # of files that are not written


def sample(
    run: Path | None = None,
    /,
    *,
    n: Count = 64,
    label: Labels = None,
    classes: Labels = None,
    seed: int = 0,
    first: int = 0,
    codes: str | None = None,
    direction: str | None = None,
    truncation: float = 1.0,
    output: Output = None,
    format: Literal["png", "jpg", "webp"] = "png",
    scale: int | None = None,
    overwrite: Annotated[bool, Flag] = False,
    device: str = "cpu",
    code: Path | None = None,
) -> str:
    """Make samples of a run or a model: a folder of pictures, a grid, or arrays.

    Without a run: the model in the package, a `cdcgan` that was trained on MNIST.

    Parameters
    ----------
    run
        A run folder or a model folder. [default: cdcgan-mnist, the model in the package]
    n
        The number of samples.
    label
        The label of the samples, by number or class name, or several labels in turn.
        [default: all, in turn]
    classes
        `all`, or labels: N samples of each label, in a separate folder.
    seed
        The seed; sample number i depends only on the seed and i.
    first
        The number of the first sample.
    codes
        Codes of a generator that has them, as digit=3,slant=-2..2: a number for all samples, or a
        range that is walked from left to right in each row of the grid, while all else stays.
    direction
        Move the samples along directions that `ganforge directions RUN` has found, as d1=2 or
        slant=-1.5,d3=2, in standard deviations.
    truncation
        A number in (0, 1]; below 1 the samples vary less.
    output
        A folder for one picture a sample, a .png file (grid), or an .npz file (samples, labels).
        [default: sample.png in the run; of the model in the package, in this folder]
    format
        The file format of pictures in a folder.
    scale
        Enlarge each pixel to SCALE x SCALE. [default: 1 in a folder; small grids are enlarged]
    overwrite
        Replace files that exist.
    device
        The device: cpu, cuda or mps.
    code
        Your FILE.py, for a run or model with parts that are your code.
    """
    from ganforge import files
    from ganforge.export import samples
    from ganforge.runs import builtin, load
    from ganforge.sampling.codes import parsed

    trained, run = run, run or builtin.FOLDER
    check(scale is None or 1 <= scale <= 64, "scale", scale, "a whole number from 1 to 64")
    output = output or in_this_folder(run, "sample.png")
    out = output or run / "sample.png"
    single = out.suffix.lower() in (".png", ".npz")
    if not single and (out.suffix.lower() in NO_FOLDER or out.is_file()):
        raise UsageError(f"{out}: expected a folder, or a file name ending in .png or .npz")
    require_new([out] if output and single else [], overwrite)
    remark = replaced(output, [out])
    sampler = load.open_sampler(run, user_code(code), device)
    if direction is not None:
        sampler = moved(sampler, run, direction)
    chosen = parsed(codes)
    groups = samples.groups(sampler, label, classes)
    asked = samples.Asked(n, groups, seed, first, truncation, chosen)
    if any(isinstance(value, tuple) for value in chosen.values()):
        asked, data = swept(sampler, asked, out, scale)
        files.save_file(out, data)
    elif single:
        files.save_file(out, one_file(sampler, asked, out, scale))
    else:
        if not sampler.spec.is_image:
            raise UsageError(f"{run} makes vectors, not pictures: use -o samples.npz")
        require_new(samples.paths(asked, out, format), overwrite)
        for _ in with_bar(samples.write(sampler, asked, out, format, scale or 1), asked.total):
            pass
    said = f"{asked.total:,} samples in {out}{remark}"
    return said if trained else f"{said}, of {NO_RUN} {newest_run()}"


def newest_run() -> Path:
    """The newest run in runs/, or the form of such a path."""
    from ganforge.runs.folder import find_runs

    root = Path("runs")
    found = [run.path for run in find_runs(root)] if root.is_dir() else []
    return max(found, key=lambda path: path.stat().st_mtime, default=root / "NAME")


def one_file(sampler: Sampler, asked: Asked, out: Path, scale: int | None) -> bytes:
    """All samples as one .npz, one grid, or one plot of vectors."""
    import numpy as np

    from ganforge import files, images
    from ganforge.data import spec
    from ganforge.export import samples
    from ganforge.plotting import points, style

    parts = list(with_bar(samples.drawn(sampler, asked), asked.total))
    drawn = np.concatenate([part.values for part in parts])
    if out.suffix.lower() == ".npz":
        labels = [part.labels for part in parts if part.labels is not None]
        return files.npz(samples=drawn, **given(labels=np.concatenate(labels) if labels else None))
    if not sampler.spec.is_image:
        return style.png(points.vectors(None, drawn))
    pixels = spec.as_uint8(drawn, sampler.spec)
    columns = images.layout(asked.n, 0)[1]
    if len(asked.groups) > 1:
        columns = asked.n
    elif sampler.spec.classes and asked.groups[0].label is None:
        columns = sampler.spec.classes
    if scale is None:
        return picture_file(pixels, columns)
    return images.png(images.grid(pixels, columns), scale)


def moved(sampler: Sampler, run: Path, text: str) -> Sampler:
    """The sampler of a run, moved along the directions of a text as d1=2,d3=-1."""
    from ganforge.runs import load
    from ganforge.sampling import directions
    from ganforge.sampling.codes import parsed

    place = in_this_folder(run, directions.FILE) or load.located(run) / directions.FILE
    found = directions.load(place, load.weights_sha256(run))
    amounts = parsed(text, "--direction", "d1=2")
    for name, amount in amounts.items():
        if isinstance(amount, tuple):
            raise UsageError(
                f"--direction {name} = {amount}: give one number; strips: `ganforge directions`"
            )
    return sampler.moved(found, amounts)  # type: ignore[arg-type]  # there is no pair among them


def swept(sampler: Sampler, asked: Asked, out: Path, scale: int | None) -> tuple[Asked, bytes]:
    """A grid in whose rows codes walk their ranges; with it what was made, in whole rows.

    Raises:
        UsageError: the file is no .png, or several classes are asked for.
    """
    from dataclasses import replace

    from ganforge import images
    from ganforge.data import spec
    from ganforge.sampling.codes import checked

    if out.suffix.lower() != ".png" or len(asked.groups) > 1 or not sampler.spec.is_image:
        raise UsageError("--codes with a range makes a grid of pictures: give -o FILE.png alone")
    known = {code.name: code for code in sampler.noise.codes or ()}
    columns = images.layout(asked.n, 0)[1]
    for name, value in checked(asked.codes, sampler.noise, sampler.name).items():
        if isinstance(value, tuple) and known[name].law == "categorical":
            columns = abs(int(value[1]) - int(value[0])) + 1
    rows, columns = max(1, round(asked.n / columns)), max(2, columns)
    label = asked.groups[0].label
    made = sampler.interpolate(
        rows, columns, asked.seed, label, asked.truncation, codes=asked.codes
    )
    pixels = spec.as_uint8(made, sampler.spec)
    grid = images.grid(pixels, columns)
    data = picture_file(pixels, columns) if scale is None else images.png(grid, scale)
    return replace(asked, n=len(made)), data


def with_bar(parts: Iterable[Part], total: int) -> Iterator[Part]:
    """The parts of `total` samples, with a bar while they are drawn."""
    return bar.counted(((len(part.values), part) for part in parts), total, "samples")
