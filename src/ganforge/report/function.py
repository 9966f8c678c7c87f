"""`gf.report`: the page about one run or several."""

from __future__ import annotations

from pathlib import Path

from ganforge.api.results import Results, where
from ganforge.report import page


def report(*runs: Results | Path | str, output: Path | str | None = None) -> Path:
    """Write one HTML page about some runs, with everything inside.

    Args:
        runs: of `gf.train` or `gf.load`, or their folders.
        output: the file to write. [default: report.html in the first run]

    Returns:
        The file.

    Raises:
        UsageError, DataError: see `page.write`.
    """
    paths = [Path(where(run)) for run in runs]
    default = paths[0] / "report.html" if paths else Path("report.html")
    out = default if output is None else Path(output)
    page.write(paths, out)
    return out
