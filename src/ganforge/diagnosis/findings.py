"""What a diagnosis says: findings with stable codes, what was checked, what could not be."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ganforge import files
from ganforge.diagnosis.calls import in_python
from ganforge.diagnosis.checks import CHECKS
from ganforge.errors import DataError
from ganforge.text import json_values, preformatted

FORMAT = 1
FILE = "diagnosis.json"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a run.

    Args:
        code: stable, such as "GF001".
        name: in words.
        evidence: one line with the figures.
        remedy: one line, one thing to do.
        figures: those of the evidence, by name.
        pictures: files in the run folder that show it.
    """

    code: str
    name: str
    evidence: str
    remedy: str
    figures: dict[str, float] = field(default_factory=dict)
    pictures: tuple[Path, ...] = ()


@dataclass(frozen=True, repr=False)
class Diagnosis:
    """All findings of one look at a run; its repr is the text that the command line prints; in a
    notebook remedies are Python.

    Args:
        findings: in order of their codes.
        checked: codes that could be checked.
        skipped: code -> why it could not be checked.
        step: of the run at that time.
        open: why a run without findings is not called healthy, or "".
        passed: codes found while the run trained, and no longer.
    """

    findings: tuple[Finding, ...] = ()
    checked: tuple[str, ...] = ()
    skipped: dict[str, str] = field(default_factory=dict)
    step: int = 0
    open: str = ""
    passed: tuple[str, ...] = ()

    @property
    def healthy(self) -> bool:
        """Whether nothing was found, after enough steps, and samples stand near real examples."""
        return bool(self.checked) and not self.faults and not self.open

    @property
    def faults(self) -> tuple[Finding, ...]:
        """Findings about the run, without those about its scores."""
        about_scores = {code for code, check in CHECKS.items() if check.about_scores}
        return tuple(f for f in self.findings if f.code not in about_scores)

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes of the findings."""
        return tuple(f.code for f in self.findings)

    def __repr__(self) -> str:
        return text(self)

    def _repr_html_(self) -> str:
        return preformatted(in_python(text(self)))


def save(path: Path, diagnosis: Diagnosis) -> Path:
    """Save a diagnosis as JSON, pictures relative to its folder, null for what is not finite."""
    shown = [
        vars(f) | {"pictures": [os.path.relpath(picture, path.parent) for picture in f.pictures]}
        for f in diagnosis.findings
    ]
    table = {"format": FORMAT, "healthy": diagnosis.healthy} | vars(diagnosis) | {"findings": shown}
    return files.write_json(path, json_values(table), finite=True)


def read(path: Path) -> Diagnosis | None:
    """The diagnosis in a file, None if there is no file; DataError if the file is damaged."""
    if not path.is_file():
        return None
    try:
        table = json.loads(files.read_file(path))
        if table["format"] != FORMAT:
            raise ValueError(f"format {table['format']}, this ganforge reads {FORMAT}")
        return Diagnosis(
            tuple(_finding(f, path.parent) for f in table["findings"]),
            tuple(map(str, table["checked"])),
            {code: str(why) for code, why in table["skipped"].items()},
            int(table["step"]),
            str(table.get("open", "")),
            tuple(map(str, table.get("passed", ()))),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{path}: damaged ({error}): remove it, and diagnose again") from None


def _finding(table: Mapping[str, Any], root: Path) -> Finding:
    """A finding from its table; the errors of `read` if it is none."""
    figures = table["figures"].items()
    return Finding(
        str(table["code"]),
        str(table["name"]),
        str(table["evidence"]),
        str(table["remedy"]),
        {name: math.nan if value is None else float(value) for name, value in figures},
        tuple(root / picture for picture in table["pictures"]),
    )


def text(diagnosis: Diagnosis) -> str:
    """A diagnosis as it is printed: findings, then what was checked and what was not."""
    lines = []
    for f in diagnosis.findings:
        lines += [f"{f.code} {f.name}", f"  {f.evidence}", f"  remedy: {f.remedy}"]
        lines += [f"  see {path}" for path in f.pictures]
    checked = f"checked {', '.join(diagnosis.checked) or 'nothing'}"
    if diagnosis.healthy:
        checked = f"healthy ({checked})"
    elif diagnosis.open and not diagnosis.faults:
        checked = f"no finding, but not called healthy: {diagnosis.open} ({checked})"
    lines.append(checked)
    if diagnosis.passed:
        lines.append(f"found while it trained, and no longer: {', '.join(diagnosis.passed)}")
    reasons: dict[str, list[str]] = {}
    for code, why in diagnosis.skipped.items():
        reasons.setdefault(why, []).append(code)
    lines += [f"not checked: {', '.join(codes)}: {why}" for why, codes in reasons.items()]
    return "\n".join(lines)
