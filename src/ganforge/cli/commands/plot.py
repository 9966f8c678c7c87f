"""ganforge plot."""

from __future__ import annotations

from pathlib import Path

from ganforge.cli.options import Output, output_path
from ganforge.errors import check


def plot(run: Path, /, *, output: Output = None, fps: float = 10) -> str:
    """Draw a run: its losses and its samples over time.

    Parameters
    ----------
    run
        A run folder.
    output
        A .png file, or the samples over time as a film: .gif, .mp4 or .webm. [default: plot.png in
        the run]
    fps
        The frames a second of an .mp4 or .webm film.
    """
    from ganforge import api, files
    from ganforge.plotting import films, overview, strips
    from ganforge.runs import folder

    check(1 <= fps <= 120, "fps", fps, "1 to 120 frames a second")
    found = folder.open_run(run)
    out = output_path(output, run / api.PLOT, ".png", *films.KINDS)
    kind = out.suffix.lower()
    if kind in (".mp4", ".webm"):
        data = films.film(strips.frames(found), kind, fps)
    else:
        data = (strips.animation if kind == ".gif" else overview.overview)(found)
    files.save_file(out, data)
    return str(out)
