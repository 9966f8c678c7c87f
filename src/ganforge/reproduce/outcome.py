"""What an experiment returns: its table as records, and all that it says as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ganforge.experiments.statistics import Estimate
from ganforge.text import columns

Record = Mapping[str, Any]  # column -> text, whole number, `Estimate` or None


@dataclass(frozen=True)
class Outcome:
    """table: the published rows, ours, the controls. text: the table and what belongs to it."""

    table: Sequence[Record]
    text: str


def published(text: str) -> Estimate:
    """A figure as it is printed in a paper, such as "6.3 +- .5"."""
    value, _, spread = text.partition(" +- ")
    return Estimate(float(value), float(spread) if spread else None, text)


def text_table(records: Sequence[Record]) -> str:
    """Records as columns of text."""
    rows = [["" if cell is None else str(cell) for cell in r.values()] for r in records]
    return columns([list(records[0]), *rows])
