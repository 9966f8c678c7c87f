"""Published tables with our row, and the figures kept for them between two calls."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ganforge import checkpoint
from ganforge.compare.paired import summarise
from ganforge.errors import DataError
from ganforge.printable import json_bytes


def stated(values: Sequence[float], digits: int) -> str:
    """`mean +- standard error`, or the value alone where there is one."""
    found = summarise(values)
    if found.count == 1:
        return f"{found.mean:.{digits}f}"
    return f"{found.mean:.{digits}f} +- {found.error:.{digits}f}"


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
    checkpoint.replace_file(path, json_bytes(table, indent=1))
