"""Options of several commands: their types, where to write, code from a user's file."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from ganforge.errors import UsageError

if TYPE_CHECKING:
    from ganforge.config.user_code import Code
    from ganforge.types import Pixels

Flag = Parameter(negative="", show_default=False)
Count = Annotated[int, Parameter(alias="-n")]
Unless = Parameter(show_default=False)  # of a value whose default the help text states
Output = Annotated[Path | None, Parameter(alias="-o")]
Labels = Annotated[list[str] | None, Parameter(consume_multiple=True, negative="")]
Format = Literal["text", "md", "csv", "latex", "json"]  # of a table
Lines = Generator[str, None, int]  # the lines to print; returns the exit code


def user_code(code: Path | None) -> Code | None:
    """The objects of the user's file `code` by name; the file is executed."""
    if code is None:
        return None
    from ganforge import registry

    return registry.load_code(code)


def output_path(output: Path | None, default: Path, *kinds: str) -> Path:
    """`output`, else `default`; UsageError unless the file name ends in one of `kinds`."""
    out = output or default
    if out.suffix.lower() not in kinds:
        raise UsageError(f"{out}: expected a file name ending in {' or '.join(kinds)}")
    return out


def in_this_folder(run: Path, name: str) -> Path | None:
    """Where a command writes for the model in the package: a file in this folder; None for a run,
    in whose folder it writes."""
    from ganforge.runs import builtin

    return Path(name) if builtin.folder(run) else None


def require_new(paths: Iterable[Path], overwrite: bool) -> None:
    """UsageError for the first path that exists, unless it may be overwritten."""
    for path in () if overwrite else paths:
        if path.exists():
            raise UsageError(f"{path} exists: add --overwrite to replace it, or choose another -o")


def replaced(output: Path | None, paths: Iterable[Path]) -> str:
    """What to say if a file in the run is replaced because no other `output` is named; or ""."""
    if output is not None or not any(path.exists() for path in paths):
        return ""
    return ", in place of an earlier one; with -o both stay"


def output_of_run(
    run: Path, output: Path | None, name: str, overwrite: bool, *kinds: str
) -> tuple[Path, str]:
    """The file that a command writes, and what to say if it replaces an earlier one.

    Args:
        run: the run or model; without `output` the file is in its folder, of the model in the
            package in this folder.
        output: the file that the user names; it must be new unless `overwrite`.
        name: of the file if no `output` is named.
        kinds: the suffixes that it may have.
    """
    output = output or in_this_folder(run, name)
    out = output_path(output, run / name, *kinds)
    require_new([out] if output else [], overwrite)
    return out, replaced(output, [out])


def picture_file(pictures: Pixels, columns: int) -> bytes:
    """Pictures (N, H, W, C), uint8, as a PNG file of a grid; small ones are enlarged."""
    from ganforge import images

    return images.png(images.grid(pictures, columns), scale=max(1, 64 // pictures.shape[2]))


def given(**options: Any) -> dict[str, Any]:
    """The options that have a value."""
    return {name: value for name, value in options.items() if value is not None}
