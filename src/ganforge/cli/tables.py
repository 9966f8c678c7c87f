"""Tables of records as Markdown, CSV, LaTeX or JSON, for `--format`; text is the commands' part.

A record maps columns to text, whole numbers, floats, `Estimate`s or None. Markdown and LaTeX show
the text of an estimate; CSV and JSON have all digits, the spread in a column beside it.
In formats other than text standard output has the table alone, and all else goes to standard error.
"""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, redirect_stdout
from typing import Any

from ganforge.cli.options import Format
from ganforge.experiments.statistics import Estimate
from ganforge.text import json_values

Record = Mapping[str, Any]
LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
}  # fmt: skip


def remarks(form: Format) -> AbstractContextManager[Any]:
    """What is printed within goes to standard error, unless the format is text."""
    return nullcontext() if form == "text" else redirect_stdout(sys.stderr)


def render(records: Sequence[Record], form: Format) -> str:
    """Records as a table.

    Args:
        records: with the same columns; None for an empty cell.
        form: any but "text". Of floats without a text only csv and json have the columns.
    """
    if form == "json":
        return json.dumps([json_values(plain(r)) for r in records], indent=1, ensure_ascii=False)
    if form == "csv":
        return in_csv([plain(r) for r in records])
    names = [n for n in records[0] if not any(isinstance(r[n], float) for r in records)]
    numbers = [any(isinstance(r[n], int | Estimate) for r in records) for n in names]
    cells = [[shown(r[n]) for n in names] for r in records]
    if form == "md":
        return in_markdown(names, cells, numbers)
    return in_latex(names, cells, numbers)


def shown(cell: Any) -> str:
    """A cell as text."""
    if cell is None:
        return ""
    return f"{cell:,}" if isinstance(cell, int) else str(cell)


def plain(record: Record) -> dict[str, Any]:
    """A record with plain numbers: of an estimate the value, and its spread in a column beside."""
    flat: dict[str, Any] = {}
    for name, cell in record.items():
        if isinstance(cell, Estimate):
            flat |= {name: cell.value, f"{name} spread": cell.spread}
        else:
            flat[name] = cell
    return flat


def in_csv(records: Sequence[Record]) -> str:
    """Rows with a header; a spread has a column if any row has one."""
    names: list[str] = []
    for record in records:
        for i, name in enumerate(record):
            if name not in names:
                before = list(record)[i - 1] if i else None
                names.insert(names.index(before) + 1 if before in names else len(names), name)
    used = [n for n in names if not n.endswith(" spread") or any(r.get(n) for r in records)]
    text = io.StringIO()
    table = csv.DictWriter(text, used, extrasaction="ignore", lineterminator="\n")
    table.writeheader()
    table.writerows([{k: "" if v is None else v for k, v in r.items()} for r in records])
    return text.getvalue().removesuffix("\n")


def in_markdown(names: Sequence[str], cells: Sequence[Sequence[str]], right: list[bool]) -> str:
    """A pipe table, numbers at the right."""
    rule = ["---:" if each else "---" for each in right]
    rows = [[cell.replace("|", r"\|").replace("+-", "±") for cell in row] for row in cells]
    return "\n".join(f"| {' | '.join(row)} |" for row in ([*names], rule, *rows))


def in_latex(names: Sequence[str], cells: Sequence[Sequence[str]], right: list[bool]) -> str:
    """A tabular with the rules of booktabs and no vertical ones."""
    rows = [
        [in_maths(cell) if number else escaped(cell) for cell, number in zip(r, right, strict=True)]
        for r in cells
    ]
    head = " & ".join(map(escaped, names))
    lines = [f"\\begin{{tabular}}{{{''.join('r' if each else 'l' for each in right)}}}",
             r"\toprule", rf"{head} \\", r"\midrule"]  # fmt: skip
    lines += [rf"{' & '.join(row)} \\" for row in rows]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])


def in_maths(cell: str) -> str:
    """A number with its spread as mathematics; a comma of thousands is no punctuation."""
    if not cell or not any(letter.isdigit() for letter in cell):
        return escaped(cell)
    number = cell.replace("+-", r"\pm").replace(",", "{,}")
    return f"${number}$"


def escaped(text: str) -> str:
    """Text in which no letter means anything to LaTeX."""
    return "".join(LATEX.get(letter, letter) for letter in text)
