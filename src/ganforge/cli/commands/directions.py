"""ganforge directions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ganforge.cli.options import (
    Flag,
    Lines,
    Output,
    in_this_folder,
    output_of_run,
    picture_file,
    user_code,
)
from ganforge.errors import UsageError, check
from ganforge.text import command_line


def directions(
    run: Path,
    /,
    *,
    count: int = 8,
    steps: int = 7,
    most: float = 3.0,
    samples: int = 4096,
    seed: int = 0,
    label: str | None = None,
    name: Annotated[list[str] | None, Parameter(consume_multiple=True, negative="")] = None,
    output: Output = None,
    overwrite: Annotated[bool, Flag] = False,
    device: str = "cpu",
    code: Path | None = None,
) -> Lines:
    """Find the directions along which samples differ most, draw a strip of each, and name them.

    Of a style-based generator they are principal directions of the styles w, of others those of the
    first layer in z. They are stored in directions.json in the run; `ganforge sample RUN
    --direction d1=2` moves samples along them.

    Parameters
    ----------
    run
        A run folder or a model folder.
    count
        The number of directions.
    steps
        The number of samples in a strip.
    most
        A strip goes from -MOST to MOST standard deviations.
    samples
        The number of samples in which the directions are found.
    seed
        The seed of these samples; sample 0 of the seed is the middle of each strip.
    label
        The label of the strips, by number or class name. [default: the first]
    name
        Names, as 1=slant 2=width.
    output
        A .png file. [default: directions.png in the run; of the model in the package, in this
        folder]
    overwrite
        Replace a file that exists.
    device
        The device: cpu, cuda or mps.
    code
        Your FILE.py, for a run or model with parts that are your code.
    """
    from ganforge import files
    from ganforge.data.spec import as_uint8
    from ganforge.runs import load
    from ganforge.sampling import directions as found_in

    check(2 <= steps <= 64, "steps", steps, "2 to 64")
    check(0 < most <= 100, "most", most, "more than 0, at most 100 standard deviations")
    names = dict(map(named, name or []))
    out, remark = output_of_run(run, output, "directions.png", overwrite, ".png")
    sampler = load.open_sampler(run, user_code(code), device)
    if not sampler.spec.is_image:
        raise UsageError(f"{run} makes vectors, not pictures: use find_directions in Python")
    found = sampler.find_directions(count, samples, seed).named(names)
    strips = found_in.strips(sampler, found, steps, most, seed, label)
    files.save_file(out, picture_file(as_uint8(strips, sampler.spec), steps))
    place = in_this_folder(run, found_in.FILE) or run / found_in.FILE
    table = found_in.save(place, found, load.weights_sha256(run))
    for key, share in zip(found.names, found.shares, strict=True):
        yield f"{key:12} {100 * share:4.1f} % of the variance in {found.space}"
    yield f"strips from {-most:g} to {most:g} standard deviations in {out}{remark}"
    words = ["ganforge", "sample", str(run), "--direction", f"{found.names[0]}=2"]
    yield f"directions in {table}; next: {command_line(words)}"
    return 0


def named(text: str) -> tuple[int, str]:
    """The number and the name of a text as `1=slant`; UsageError for another form."""
    number, _, name = text.partition("=")
    if not (number.isdecimal() and name and all(c not in name for c in ",= ")):
        raise UsageError(f"--name {text}: expected such as 1=slant, a name without spaces")
    return int(number), name
