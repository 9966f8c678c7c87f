"""ganforge plot."""

from __future__ import annotations

from pathlib import Path

from ganforge.cli.options import Output, output_path


def plot(run: Path, /, *, output: Output = None) -> str:
    """Draw a run: loss curves, samples over time, for 2-D data real and generated points.

    Parameters
    ----------
    run
        A run folder.
    output
        A .png, or a .gif of the samples over time. [default: plot.png in the run]
    """
    from ganforge import api, files
    from ganforge.plotting import overview, strips
    from ganforge.runs import folder

    found = folder.open_run(run)
    out = output_path(output, run / api.PLOT, ".png", ".gif")
    draw = strips.animation if out.suffix.lower() == ".gif" else overview.overview
    files.save_file(out, draw(found))
    return str(out)
