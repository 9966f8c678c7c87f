"""`python -m benchmarks.diagnosis table FIGURES` and `limits`: what the checks find and miss.

Limits are set on the even seeds; sensitivity and false alarms are measured on the odd ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.diagnosis.measure import read
from benchmarks.diagnosis.scenarios import HEALTHY, SCENARIOS, SICK, UNRIPE
from ganforge.diagnosis import CHECKS, run_checks

Record = Mapping[str, Any]


def figures(record: Record) -> dict[str, float]:
    """The figures of a run."""
    return {k: math.nan if v is None else v for k, v in record["figures"].items()}


def codes(record: Record) -> tuple[str, ...]:
    """The findings of today's checks on the figures of a run."""
    return run_checks(figures(record), record["unavailable"]).codes


def table(path: Path, parity: int = 1) -> str:
    """For each code, the runs with this fault, how many it names, and the healthy runs it names.

    Then a line for each scenario.

    Args:
        path: of a file of figures.
        parity: 1 for the odd seeds, on which no limit was set; 0 for the even ones.
    """
    records = [r for r in read(path) if r["seed"] % 2 == parity and r["scenario"] in SCENARIOS]
    found = [(r["scenario"], codes(r)) for r in records]
    healthy = [named for name, named in found if name in HEALTHY]
    lines = ["| code | name | runs with the fault | named | sensitivity | false alarms |",
             "|---|---|---|---|---|---|"]  # fmt: skip
    for code, check in CHECKS.items():
        scenarios = [name for name, scenario in SICK.items() if scenario.codes[0] == code]
        faulty = [named for name, named in found if name in scenarios]
        hits = sum(code in named for named in faulty)
        alarms = sum(code in named for named in healthy)
        share = f"{hits / len(faulty):.0%}" if faulty else "-"
        lines.append(
            f"| {code} | {check.name} | {', '.join(scenarios) or '-'} | {hits} of {len(faulty)} | "
            f"{share} | {alarms} of {len(healthy)} |"
        )
    wrong = sum(bool(named) for named in healthy)
    lines += ["", f"Healthy runs with any finding: {wrong} of {len(healthy)}.", ""]
    lines += ["| runs | what | wanted | n | named as wanted | all findings |",
              "|---|---|---|---|---|---|"]  # fmt: skip
    return "\n".join(lines + [row(name, [c for n, c in found if n == name]) for name in SCENARIOS])


def row(name: str, found: Sequence[Sequence[str]]) -> str:
    """The line of a scenario, with the findings of each of its runs."""
    wanted = SCENARIOS[name].codes
    shown = "not counted" if name in UNRIPE else " or ".join(wanted) or "no finding"
    right = sum(bool(set(wanted) & set(f)) if wanted else not f for f in found)
    counts = {code: sum(code in f for f in found) for code in CHECKS}
    every = ", ".join(f"{code} {count}" for code, count in counts.items() if count)
    return (
        f"| {name} | {SCENARIOS[name].what} | {shown} | {len(found)} | {right} | {every or '-'} |"
    )


class Separation(NamedTuple):
    """What a limit separates from healthy runs.

    Args:
        code, limit: a check and the name of its limit.
        figure: a key of `derived`.
        scenarios: runs whose figure must be beyond the limit.
        side: 1 if they must be above it, -1 if below.
    """

    code: str
    limit: str
    figure: str
    scenarios: tuple[str, ...]
    side: int


SEPARATIONS = (
    Separation("GF001", "alike_below", "alike", ("mnist-mlp", "ring-20", "tinted-20"), -1),
    Separation("GF002", "least", "least", ("without-1",), -1),
    Separation("GF003", "g_slope", "g_slope", ("minimax",), -1),
    Separation("GF003", "d_cost", "d_cost", ("frozen", "minimax"), -1),
    Separation("GF004", "memory", "memory", ("100",), 1),
    Separation("GF004", "by_heart", "by_heart", ("100",), 1),
    Separation("GF005", "d_cost", "d_cost", ("mnist-20",), 1),
    Separation("GF005", "behind", "behind", ("mnist-20",), 1),
    Separation("GF006", "flips", "flips", ("orbit",), 1),
    Separation("GF006", "gap_rms", "gap_rms", ("orbit",), 1),
    Separation("GF006", "gap_memory", "gap_memory", ("orbit",), 1),
    Separation("GF008", "cost_peak", "cost_peak", ("rate-30",), 1),
    Separation("GF008", "growth", "growth_d", ("rate-30", "relu-30"), 1),
    Separation("GF008", "dead", "dead", ("relu-30",), 1),
    Separation("GF009", "floor", "label_effect_real", ("shuffled",), -1),
    Separation("GF010", "c_t", "c_t", ("copies",), -1),
    Separation("GF010", "copied", "copied", ("copies",), 1),
    Separation("GF010", "authentic", "authentic_share", ("copies",), -1),
    Separation("GF012", "worse", "worse", ("past",), 1),
    Separation("GF013", "target_above", "to_target", ("mixed-up",), 1),
    Separation("GF013", "retrieval_below", "retrieval", ("mixed-up",), -1),
    Separation("GF014", "moved_below", "moved", ("copied",), -1),
    Separation("GF015", "variety_below", "variety", ("mean",), -1),
)


def derived(record: Record) -> dict[str, float]:
    """The figures of a run, and those that a check makes of two."""
    f, nan = figures(record), math.nan
    return f | {
        "alike": min(f.get("near", nan), f.get("spread", nan)),
        "dead": max(f.get("dead_d", 0.0), f.get("dead_g", 0.0)),
        "authentic_share": f.get("authentic", nan) / max(f.get("authentic_held_out", nan), 1e-9),
    }


def limits(path: Path, parity: int = 0) -> str:
    """For each limit, the extremes of healthy and of faulty runs (even seeds), and its value."""
    records = [(r["scenario"], derived(r)) for r in read(path) if r["seed"] % 2 == parity]
    lines = [f"{'limit':18} {'healthy':>21} {'faulty':>21} {'value':>9}"]
    for code, limit, figure, scenarios, side in SEPARATIONS:
        well = values([f for name, f in records if name in HEALTHY], figure)
        faulty = values([f for name, f in records if name in scenarios], figure)
        shown = [f"{v[0]:.4g} .. {v[-1]:.4g}" if v else "-" for v in (well, faulty)]
        value = f"{'<' if side < 0 else '>'}{CHECKS[code].limits[limit]:8g}"
        lines.append(f"{f'{code} {limit}':18} {shown[0]:>21} {shown[1]:>21} {value}")
    return "\n".join(lines)


def values(rows: Sequence[Mapping[str, float]], figure: str) -> list[float]:
    """The known values of a figure, in ascending order."""
    return sorted(v for f in rows if math.isfinite(v := f.get(figure, math.nan)))
