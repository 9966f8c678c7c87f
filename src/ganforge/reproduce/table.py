"""Published tables with our row, and the figures kept for them between two calls."""

from __future__ import annotations

from collections.abc import Sequence

from ganforge.experiments.statistics import summarise


def stated(values: Sequence[float], digits: int) -> str:
    """`mean +- standard error`, or the value alone where there is one."""
    found = summarise(values)
    if found.count == 1:
        return f"{found.mean:.{digits}f}"
    return f"{found.mean:.{digits}f} +- {found.error:.{digits}f}"
