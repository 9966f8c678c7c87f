"""ganforge cite."""

from __future__ import annotations

from pathlib import Path


def cite(run: Path, /) -> str:
    """Print what to cite for a run, as BibTeX: system, data set, metrics of its scores, ganforge.

    Parameters
    ----------
    run
        A run folder.
    """
    from ganforge.report import citations

    return citations.cite(run)
