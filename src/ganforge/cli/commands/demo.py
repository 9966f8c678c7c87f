"""ganforge demo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from ganforge.cli.options import Flag, Output, output_path, require_new, user_networks


def demo(
    run: Path,
    /,
    *,
    output: Output = None,
    full: Annotated[bool, Flag] = False,
    largest: float = 25.0,
    overwrite: Annotated[bool, Flag] = False,
    code: Path | None = None,
) -> str:
    """Write the generator as one HTML page that makes its samples anywhere, without Python.

    Parameters
    ----------
    run
        A run folder or a model folder.
    output
        An .html. [default: demo.html in the run]
    full
        Store the weights in 32 bits, not 16: twice the size, fewer pixels that differ by a level.
    largest
        MB of the page at most.
    overwrite
        Replace a file that exists.
    code
        Your FILE.py, for a model whose networks are your code.
    """
    from ganforge.export.demo import page

    out = output_path(output, run / "demo.html", ".html")
    require_new([out] if output else [], overwrite)
    page.demo(run, out, full=full, largest=largest, networks=user_networks(code, run))
    return f"{out} ({out.stat().st_size / 1e6:.2f} MB)"
