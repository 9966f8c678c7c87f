"""ganforge report."""

from __future__ import annotations

from pathlib import Path

from ganforge.cli.app import Target, app


@app.command
def report(*run: Path, output: Target = None, code: Path | None = None) -> int:
    """Tell all about a run on one HTML page, or compare several: opens anywhere, needs no network.

    Parameters
    ----------
    run
        One run folder or several.
    output
        An .html. [default: report.html in the run; of several report-RUN-vs-RUN.html in the
        current folder]
    code
        Your own FILE.py, for models whose networks are code of yours.
    """
    from ganforge.commands import report as commands

    print(commands.report(run, output, code))
    return 0
