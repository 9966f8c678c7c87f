"""`python -m benchmarks.diagnosis table FIGURES` and `bounds`: what the checks find and miss.

Bounds are set on the even seeds; sensitivity and false alarms are told of the odd ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.diagnosis.measure import read
from benchmarks.diagnosis.scenarios import HEALTHY, SICK, UNRIPE, WAYS, Way
from ganforge.diagnosis import CHECKS, NAMES, judge
from ganforge.diagnosis.checks import BOUNDS

Record = Mapping[str, Any]


def codes(record: Record) -> tuple[str, ...]:
    """What the checks of today say of the figures of a run."""
    figures = {k: math.nan if v is None else v for k, v in record["figures"].items()}
    return judge(figures, record["lacking"], tuple(CHECKS)).codes


def table(path: Path, parity: int = 1) -> str:
    """Per code: the runs made sick so, how many it names; healthy runs it names. A line a way.

    parity: 1 for the odd seeds, on which nothing was set; 0 for the even ones.
    """
    records = [r for r in read(path) if r["seed"] % 2 == parity and r["way"] in WAYS]
    said = [(r["way"], codes(r)) for r in records]
    healthy = [found for way, found in said if way in HEALTHY]
    lines = ["| code | name | runs made sick so | named | sensitivity | false alarms |",
             "|---|---|---|---|---|---|"]  # fmt: skip
    for code in CHECKS:
        ways = [name for name, way in SICK.items() if way.codes[0] == code]
        sick = [found for way, found in said if way in ways]
        hits = sum(code in found for found in sick)
        alarms = sum(code in found for found in healthy)
        share = f"{hits / len(sick):.0%}" if sick else "-"
        shown = ", ".join(ways) or "-"
        lines.append(
            f"| {code} | {NAMES[code]} | {shown} | {hits} of {len(sick)} | {share} | "
            f"{alarms} of {len(healthy)} |"
        )
    wrong = sum(bool(found) for found in healthy)
    lines += ["", f"Healthy runs of which anything was said: {wrong} of {len(healthy)}.", ""]
    lines += ["| runs | what | wanted | n | named as wanted | all that was said |",
              "|---|---|---|---|---|---|"]  # fmt: skip
    for name, way in WAYS.items():
        told = "not counted" if name in UNRIPE else " or ".join(way.codes) or "healthy"
        lines.append(row(name, way, told, [f for w, f in said if w == name]))
    return "\n".join(lines)


def row(name: str, way: Way, told: str, found: Sequence[Sequence[str]]) -> str:
    """The line of a way."""
    wanted = way.codes
    right = sum(bool(set(wanted) & set(f)) if wanted else not f for f in found)
    counts = {code: sum(code in f for f in found) for code in CHECKS}
    all_said = ", ".join(f"{code} {count}" for code, count in counts.items() if count)
    return f"| {name} | {way.what} | {told} | {len(found)} | {right} | {all_said or '-'} |"


# What each bound parts: (figures of a way that must fall on its far side, the side).
PARTS: dict[str, tuple[str, tuple[str, ...], int]] = {
    "alike": ("alike", ("mnist-mlp", "ring-20", "tinted-20"), -1),
    "least": ("least", ("without-1",), -1),
    "slope": ("g_slope", ("minimax",), -1),
    "d_cost": ("d_cost", ("frozen", "minimax"), -1),
    "memory": ("memory", ("100",), 1),
    "by_heart": ("by_heart", ("100",), 1),
    "d_wrong": ("d_cost", ("mnist-20",), 1),
    "behind": ("behind", ("mnist-20",), 1),
    "flips": ("flips", ("orbit",), 1),
    "swing": ("gap_rms", ("orbit",), 1),
    "swing_memory": ("gap_memory", ("orbit",), 1),
    "cost_peak": ("cost_peak", ("rate-30",), 1),
    "growth": ("growth_d", ("rate-30", "relu-30"), 1),
    "dead": ("dead", ("relu-30",), 1),
    "label_floor": ("label_effect_real", ("shuffled",), -1),
    "c_t": ("c_t", ("copies",), -1),
    "copied": ("copied", ("copies",), 1),
    "authentic": ("authentic_share", ("copies",), -1),
    "worse": ("worse", ("past",), 1),
}


def derived(record: Record) -> dict[str, float]:
    """The figures of a run, and those that a check makes of two."""
    f = {k: math.nan if v is None else v for k, v in record["figures"].items()}
    nan = math.nan
    return f | {
        "alike": min(f.get("near", nan), f.get("spread", nan)),
        "dead": max(f.get("dead_d", 0.0), f.get("dead_g", 0.0)),
        "label_share": f.get("label_effect", nan) / max(f.get("label_effect_real", nan), 1e-9),
        "authentic_share": f.get("authentic", nan) / max(f.get("authentic_held", nan), 1e-9),
    }


def bounds(path: Path, parity: int = 0) -> str:
    """Per bound: the extremes of healthy and of sick runs (even seeds), and the bound in use."""
    records = [(r["way"], derived(r)) for r in read(path) if r["seed"] % 2 == parity]
    lines = [f"{'bound':14} {'healthy':>21} {'sick':>21} {'in use':>9}"]
    for name, (figure, ways, side) in PARTS.items():
        well = values([f for way, f in records if way in HEALTHY], figure)
        sick = values([f for way, f in records if way in ways], figure)
        shown = [f"{v[0]:.4g} .. {v[-1]:.4g}" if v else "-" for v in (well, sick)]
        mark = "<" if side < 0 else ">"
        lines.append(
            f"{name:14} {shown[0]:>21} {shown[1]:>21} {mark}{BOUNDS.get(name, math.nan):8g}"
        )
    return "\n".join(lines)


def values(rows: Sequence[Mapping[str, float]], figure: str) -> list[float]:
    """Those that are known, ascending."""
    return sorted(v for f in rows if math.isfinite(v := f.get(figure, math.nan)))
