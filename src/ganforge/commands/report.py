"""`ganforge report`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ganforge import naming, runs
from ganforge import report as pages
from ganforge.commands.text import own_networks, target
from ganforge.errors import UsageError

NAME = "report.html"


def report(paths: Sequence[Path], output: Path | None, code: Path | None = None) -> str:
    """Write the page; a line on each run, and where it is."""
    if not paths:
        raise UsageError("no run: name at least one, as `ganforge report runs/cdcgan`")
    for path in paths:
        runs.open_run(path)  # before --code is read for its networks
    if len(paths) == 1:
        out = target(paths[0], output, NAME, (".html",))
    else:
        named = naming.joined([str(path) for path in paths])
        out = target(Path(), output, f"report-{named}.html", (".html",))
    own = None if code is None else [own_networks(code, path) for path in paths]
    written = pages.write(paths, out, own)
    lines = [f"{page.label}: {page.verdict.text}" for page in written]
    return "\n".join([*lines, f"{out} ({out.stat().st_size / 1e6:.1f} MB)"])
