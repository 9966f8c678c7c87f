"""Published tables with our row, and the figures kept for them between two calls."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ganforge import checkpoint
from ganforge.errors import DataError


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest entry; the first row is the head."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def mean_error(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard error; the error of one value is nan."""
    x = np.asarray(values, dtype=np.float64)
    error = float(x.std(ddof=1) / math.sqrt(len(x))) if len(x) > 1 else math.nan
    return float(x.mean()), error


def stated(values: Sequence[float], digits: int) -> str:
    """`mean +- standard error`, or the value alone where there is one."""
    mean, error = mean_error(values)
    if len(values) == 1:
        return f"{mean:.{digits}f}"
    return f"{mean:.{digits}f} +- {error:.{digits}f}"


def read(path: Path, default: Any = None) -> Any:
    """A JSON file of ours, or `default` where there is none yet; DataError where it is damaged."""
    if not path.exists():
        return default
    try:
        return json.loads(checkpoint.read_file(path))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: damaged ({error}): remove it, and it is made again") from None


def write(path: Path, table: Any) -> None:
    """A JSON file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    checkpoint.replace_file(path, json.dumps(table, indent=1).encode())
