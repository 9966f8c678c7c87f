"""What a diagnosis says: findings with stable codes, what was checked, what could not be."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ganforge import checkpoint
from ganforge.errors import DataError
from ganforge.printable import json_bytes

FORMAT = 1
OF_SCORES = ("GF011",)  # what is wrong with the figures that judge a run, not with the run


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a run.

    code: stable, such as "GF001". name: in words. evidence: one line with the figures. remedy: one
    line, one thing to do. figures: the same figures by name. pictures: files in the run folder
    that show it.
    """

    code: str
    name: str
    evidence: str
    remedy: str
    figures: dict[str, float] = field(default_factory=dict)
    pictures: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Diagnosis:
    """findings: by code. checked: codes that could be looked at. skipped: code -> why it could not.

    step: of the run, where it was looked at.
    """

    findings: tuple[Finding, ...] = ()
    checked: tuple[str, ...] = ()
    skipped: dict[str, str] = field(default_factory=dict)
    step: int = 0

    @property
    def healthy(self) -> bool:
        """Nothing was found that is wrong with the run, in what could be looked at."""
        return not self.sick

    @property
    def sick(self) -> tuple[Finding, ...]:
        """The findings that are about the run itself, not about how it was judged."""
        return tuple(f for f in self.findings if f.code not in OF_SCORES)

    @property
    def codes(self) -> tuple[str, ...]:
        return tuple(f.code for f in self.findings)

    def to_json(self, root: Path | None = None) -> dict[str, Any]:
        """Plain tables and values; pictures relative to `root`, where it is given."""

        def place(path: Path) -> str:
            inside = root is not None and path.is_relative_to(root)
            return str(path.relative_to(root) if inside and root is not None else path)

        return {
            "format": FORMAT,
            "step": self.step,
            "healthy": self.healthy,
            "findings": [
                {
                    "code": f.code,
                    "name": f.name,
                    "evidence": f.evidence,
                    "remedy": f.remedy,
                    "figures": {k: v if math.isfinite(v) else None for k, v in f.figures.items()},
                    "pictures": [place(p) for p in f.pictures],
                }
                for f in self.findings
            ],
            "checked": list(self.checked),
            "skipped": dict(self.skipped),
        }

    @classmethod
    def from_json(cls, table: Mapping[str, Any], root: Path = Path()) -> Diagnosis:
        """The inverse of `to_json`; KeyError, TypeError or ValueError where it is none."""
        if table["format"] != FORMAT:
            raise ValueError(f"format {table['format']}, this ganforge reads {FORMAT}")
        return cls(
            tuple(
                Finding(
                    str(f["code"]),
                    str(f["name"]),
                    str(f["evidence"]),
                    str(f["remedy"]),
                    {str(k): math.nan if v is None else float(v) for k, v in f["figures"].items()},
                    tuple(root / str(p) for p in f["pictures"]),
                )
                for f in table["findings"]
            ),
            tuple(map(str, table["checked"])),
            {str(k): str(v) for k, v in table["skipped"].items()},
            int(table["step"]),
        )


def save(path: Path, diagnosis: Diagnosis) -> Path:
    """Keep a diagnosis as JSON, pictures relative to its folder."""
    table = diagnosis.to_json(path.parent)
    checkpoint.replace_file(path, json_bytes(table, indent=1, allow_nan=False))
    return path


def read(path: Path) -> Diagnosis | None:
    """The diagnosis kept at a path, None where there is none; DataError where it is damaged."""
    if not path.is_file():
        return None
    try:
        return Diagnosis.from_json(json.loads(checkpoint.read_file(path)), path.parent)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{path}: damaged ({error}): remove it, and diagnose again") from None


def text(diagnosis: Diagnosis) -> str:
    """A diagnosis as it is printed: "healthy", or every finding; then what was and was not seen."""
    lines = []
    for f in diagnosis.findings:
        lines += [f"{f.code} {f.name}", f"  {f.evidence}", f"  remedy: {f.remedy}"]
        lines += [f"  see {path}" for path in f.pictures]
    looked = f"checked {', '.join(diagnosis.checked) or 'nothing'}"
    lines.append(f"healthy ({looked})" if diagnosis.healthy and diagnosis.checked else looked)
    reasons: dict[str, list[str]] = {}
    for code, why in diagnosis.skipped.items():
        reasons.setdefault(why, []).append(code)
    lines += [f"not checked: {', '.join(codes)}: {why}" for why, codes in reasons.items()]
    return "\n".join(lines)
