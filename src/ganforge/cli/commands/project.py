"""ganforge project."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from ganforge.cli.options import (
    Flag,
    Labels,
    Lines,
    Output,
    output_of_run,
    picture_file,
    user_code,
)
from ganforge.errors import DataError, UsageError

if TYPE_CHECKING:
    from ganforge.sampling.sampler import Sampler
    from ganforge.types import Pixels

ROW = 8  # pictures side by side


def project(
    run: Path,
    /,
    *pictures: Path,
    label: Labels = None,
    steps: int = 200,
    starts: int = 16,
    seed: int = 0,
    space: Literal["z", "w"] | None = None,
    output: Output = None,
    overwrite: Annotated[bool, Flag] = False,
    device: str = "cpu",
    code: Path | None = None,
) -> Lines:
    """Find pictures in the space of z or w: which sample is nearest to each, and how near.

    The file has each picture with its nearest sample below it. Errors are in levels of 255, root
    mean square; that for samples of the generator itself, which have an exact z, is beside them.

    Parameters
    ----------
    run
        A run folder, a model folder or cdcgan-mnist, the model in the package.
    pictures
        Picture files; they are cropped and resized to the size of the samples.
    label
        The label of the pictures, by number or class name, or several labels in turn.
        [default: each start of the search has another label]
    steps
        The number of steps of the search.
    starts
        The number of noises with which each search begins.
    seed
        The seed of the starts.
    space
        Search in z, or in the styles w of a style-based generator. [default: w if there is one]
    output
        A .png file, or an .npz file (pictures, latent, labels, error). [default: project.png in the
        run]
    overwrite
        Replace a file that exists.
    device
        The device: cpu, cuda or mps.
    code
        Your FILE.py, for a run or model with parts that are your code.
    """
    import numpy as np

    from ganforge import files
    from ganforge.cli.options import given
    from ganforge.data.spec import as_uint8
    from ganforge.runs import load

    if not pictures:
        raise UsageError("project: name at least one picture, as `ganforge project RUN a.png`")
    out, remark = output_of_run(run, output, "project.png", overwrite, ".png", ".npz")
    sampler = load.open_sampler(run, user_code(code), device)
    targets = np.stack([read(picture, sampler) for picture in pictures])
    found = sampler.project(targets, label, steps, starts, seed, space or "")
    if out.suffix.lower() == ".npz":
        table = given(labels=found.labels)
        data = files.npz(pictures=found.pictures, latent=found.latent, error=found.error, **table)
    else:
        columns = min(ROW, len(targets))
        made = as_uint8(found.pictures, sampler.spec)
        data = picture_file(below(targets, made, columns), columns)
    files.save_file(out, data)
    for i, picture in enumerate(pictures):
        name = "" if found.labels is None else f", label {found.labels[i]}"
        yield f"{picture}: error {found.error[i]:.1f} of 255 levels{name}"
    yield f"samples of the generator itself: error {found.floor:.1f}, searched for in the same way"
    yield f"pictures and their projections in {found.space} in {out}{remark}"
    return 0


def read(picture: Path, sampler: Sampler) -> Pixels:
    """A picture file as a sample of the generator: its size and channels.

    Raises:
        DataError: no such file, or no picture.
        UsageError: the generator makes no pictures of one or three channels.
    """
    from ganforge.data.dataset import scaled
    from ganforge.data.decode import decode, quiet

    if not sampler.spec.is_image or sampler.spec.shape[0] not in (1, 3):
        raise UsageError(f"project: {sampler.name} makes no pictures in grey or RGB")
    channels, height, width = sampler.spec.shape
    if not picture.is_file():
        raise DataError(f"{picture}: no such picture")
    with quiet(), picture.open("rb") as file:
        square = height if height == width else None
        pixels = decode(file, str(picture), square, channels)
    fitted: Pixels = scaled(pixels[None], height, width)[0]
    return fitted


def below(targets: Pixels, made: Pixels, columns: int) -> Pixels:
    """Rows of pictures, below each a row of what was made of them; the last is filled up."""
    import numpy as np

    rows = []
    for start in range(0, len(targets), columns):
        for pictures in (targets, made):
            part = pictures[start : start + columns]
            blank = np.full((columns - len(part), *part.shape[1:]), 127, dtype=np.uint8)
            rows += [part, blank]
    return np.concatenate(rows)
