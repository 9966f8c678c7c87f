"""ganforge diagnose."""

from __future__ import annotations

from pathlib import Path

from ganforge.cli.app import app


@app.command
def diagnose(
    run: Path | None = None,
    /,
    *,
    data: str | None = None,
    size: int | None = None,
    explain: str | None = None,
    code: Path | None = None,
) -> int:
    """Say what is wrong with a run, finished or under way: healthy, or codes with a remedy each.

    Parameters
    ----------
    run
        A run folder.
    data
        The real data. [default: those of the training]
    size
        Pictures are cropped and resized to SIZE x SIZE. [default: as in training]
    explain
        A code, such as GF003: what it is, why it is bad, what to do.
    code
        Your own FILE.py, for a run whose networks are code of yours.
    """
    from ganforge.commands import diagnose as commands

    print(commands.explain(explain) if explain else commands.diagnose(run, data, size, code))
    return 0
