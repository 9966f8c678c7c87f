"""log.csv of a run folder: a row for each record of log.jsonl, for spreadsheets and pandas."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from ganforge import files
from ganforge.callbacks.log import LoggedRun
from ganforge.evaluation.score import Score

FILE = "log.csv"


class CsvLogger:
    """Appends rows; a run that goes back loses the rows of the steps that are trained again.

    A name that was not there before, such as a score, becomes a further column.
    """

    path: Path
    step: int  # of the last row
    names: list[str]  # of the columns

    def start(self, run: LoggedRun) -> None:
        self.path = run.path / FILE
        self.cut(run.step)

    def log(self, step: int, values: Mapping[str, float | Path]) -> None:
        numbers = {k: v for k, v in values.items() if not isinstance(v, Path)}
        if not numbers:
            return
        if step <= self.step:
            self.cut(step - 1)
        new = [name for name in numbers if name not in self.names]
        if new:
            self.write(read(self.path), [*self.names, *new])
        self.step = step
        with self.path.open("a", newline="", encoding="utf-8") as file:
            writer(file, self.names).writerow({"step": step, **numbers})

    def finish(self, scores: Sequence[Score]) -> None:
        """The scores at the end are in scores.json."""

    def cut(self, step: int) -> None:
        """Forget the rows after `step`, and one that a crash tore."""
        rows = [row for row in read(self.path) if int(row["step"]) <= step]
        self.write(rows, list(rows[0]) if rows else ["step"])
        self.step = int(rows[-1]["step"]) if rows else -1

    def write(self, rows: Sequence[Mapping[str, str]], names: list[str]) -> None:
        """The whole file anew."""
        self.names = names
        text = io.StringIO()
        table = writer(text, names)
        table.writeheader()
        table.writerows(rows)
        files.replace_file(self.path, text.getvalue().encode())


def writer(file: io.TextIOBase, names: Sequence[str]) -> csv.DictWriter[str]:
    """A writer of rows in which missing values are empty."""
    return csv.DictWriter(file, names, restval="", lineterminator="\n")


def read(path: Path) -> list[dict[str, str]]:
    """The whole rows of a file; none if it does not exist."""
    text = files.read_file(path).decode() if path.exists() else ""
    whole = io.StringIO(text[: text.rfind("\n") + 1])
    return [row for row in csv.DictReader(whole) if (row.get("step") or "").isdecimal()]
