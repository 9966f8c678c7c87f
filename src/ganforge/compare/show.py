"""A comparison as text, as JSON and as a picture: every run, mean, interval, tests."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ganforge import __version__, charts, pictures, runs
from ganforge.columns import columns
from ganforge.compare.judged import CLAIM, Comparison, Group
from ganforge.compare.paired import EXACT, Summary, Test
from ganforge.compare.subject import JSON, refuse_another, subject
from ganforge.printable import json_bytes
from ganforge.scoring import N as CHOSEN_BY

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PICTURE, FORMAT = "compare.png", 1
NONE = "-"
LONG = 24  # letters of a name beyond which pairs are told by rank


def text(found: Comparison) -> str:
    """A table of runs for each metric, the tests of every pair, and what each recipe was given."""
    parts = [*(metric_text(found, m) for m in found.scoring.metrics), spent_text(found)]
    notes = caveats(found)
    return "\n\n".join([*parts, *(["\n".join(notes)] if notes else [])])


def metric_text(found: Comparison, metric: str) -> str:
    """One metric: how it was measured, the recipes best first, their pairs."""
    card = found.card(metric)
    way = {"lower": "lower is better", "higher": "higher is better"}
    better, asked = way.get(card.better, "nearer to the floor is better"), found.scoring
    head = (
        f"{metric} in {card.space} (sha256 {card.space_sha256[:12]}), {better}\n"
        f"{asked.n:,} samples against {asked.n:,} of the {asked.split} split of {found.data}, "
        f"seed {found.seed}; floor: real examples in the samples' place"
    )
    ranked = found.ranked(metric)
    seeds = sorted({e.seed for group, _ in ranked for e in group.entries})
    rows = [("recipe", "mean", "+-", "95 % interval", "floor", *(f"seed {s}" for s in seeds))]
    brief = all(len(group.label) <= LONG for group, _ in ranked)
    names = {g.label: g.label if brief else str(i) for i, (g, _) in enumerate(ranked, 1)}
    for group, summary in ranked:
        values = group.values(metric)
        floors = sorted({e.scores[metric].floor for e in group.entries if metric in e.scores})
        each = (number(values[s]) if s in values else NONE for s in seeds)
        label = group.label if brief else f"{names[group.label]} {group.label}"
        rows.append((label, number(summary.mean), number(summary.error, 2),
                     interval(summary), " ".join(map(number, floors)), *each))  # fmt: skip
    return "\n\n".join(
        [head, figures(rows), *filter(None, [tests_text(found.tests(metric), card.better, names)])]
    )


def tests_text(tests: Sequence[Test], better: str, names: Mapping[str, str]) -> str:
    """The paired tests of every two recipes, as a table with how they were made; "" for none.

    names: what recipes are called in it.
    """
    known = [t for t in tests if t.difference.count >= 2]
    if not known:
        return ""
    rows = [("paired over seeds", "seeds", "difference", "+-", "95 % interval", "t test",
             "sign flips")]  # fmt: skip
    for t in known:
        d = t.difference
        rows.append((f"{names[t.a]} - {names[t.b]}", str(d.count), number(d.mean),
                     number(d.error, 2), interval(d), chance(t.t_holm),
                     chance(t.flip_holm)))  # fmt: skip
    fewest = min(t.difference.count for t in known)
    least = 2.0 ** (1 - fewest)
    many = len(known) > 1
    lines = ["two-sided p" + (f", after Holm's correction for {len(known)} pairs" if many else "")]
    if fewest <= EXACT and least * len(known) > 0.01:
        held = f", {chance(min(1.0, least * len(known)))} after the correction" if many else ""
        lines.append(f"with {fewest} seeds sign flips cannot go below p = {chance(least)}{held}")
    lines += ["differences of the distance to the floor"] if better == "floor" else []
    return "\n".join([figures(rows), *lines])


def spent_text(found: Comparison) -> str:
    """The budget of every recipe in images and in seconds, and which of its models was judged."""
    rows = [("recipe", "runs", "images each", "seconds each", "mean", "judged at epoch")]
    for group in found.groups:
        seconds = [e.seconds for e in group.entries]
        epochs = " ".join(NONE if e.diverged else f"{e.epoch:.3g}" for e in group.entries)
        rows.append((group.label, str(len(group.entries)), span([e.images for e in group.entries]),
                     span(seconds), number(float(np.mean(seconds)), 3), epochs))  # fmt: skip
    images = span([e.images for e in found.entries])
    several = {g.label: max(e.stacked for e in g.entries) for g in found.groups}
    told = ", ".join(f"{count} of {label}" for label, count in several.items() if count > 1)
    same = "every run saw as many real images, but for its last step"
    lines = [f"equal budget: {same}" if found.equal_images else f"unequal budgets: {images} images"]
    lines.append(
        f"judged: each run's best model by its Frechet distance on the validation split "
        f"(of at most {CHOSEN_BY:,} samples)"
        if found.model == "best"
        else "judged: each run's last model (not every run has one chosen on the validation split)"
    )
    if told:
        lines.append(f"trained at once: {told}; the seconds of each are those of all of them")
    return "\n".join([figures(rows), *lines])


def span(values: Sequence[float]) -> str:
    """The least and the most of some amounts, or the one that all are."""
    shown = (f"{v:,.0f}" if v >= 10 else f"{v:.2g}" for v in (min(values), max(values)))
    return " to ".join(dict.fromkeys(shown))


def caveats(found: Comparison) -> list[str]:
    """What the numbers cannot say: too few seeds, runs that diverged, metrics that do not fit."""
    out = [found.note] if found.note else []
    for group in found.groups:
        lost = [e for e in group.entries if e.diverged]
        if lost:
            seeds = ", ".join(str(e.seed) for e in lost)
            out.append(
                f"{group.label}: {len(lost)} of {len(group.entries)} runs diverged (seed {seeds}) "
                "and are in no figure above: its mean is of those that did not"
            )
        for metric in found.scoring.metrics:
            if not group.values(metric) and len(lost) < len(group.entries):
                out.append(f"{group.label}: {metric} is for conditional recipes")
    counts = {g.label: sum(not e.diverged for e in g.entries) for g in found.groups}
    single = [label for label, count in counts.items() if count < 2]
    if single:
        out.append(f"fewer than 2 seeds, so no error and no interval: {', '.join(single)}")
    if min(counts.values()) < CLAIM:
        out.append(f"fewer than {CLAIM} seeds: {CLAIM} or more make a claim")
    return out


def number(value: float, digits: int = 4) -> str:
    """A figure of so many significant digits; "-" where there is none."""
    if not math.isfinite(value):
        return NONE
    shown = f"{value:.{digits}g}"
    return f"{value:,.0f}" if "e+" in shown else shown


def interval(summary: Summary) -> str:
    """LOW .. HIGH, or "-" for fewer than two values."""
    if math.isnan(summary.error):
        return NONE
    return f"{number(summary.low)} .. {number(summary.high)}"


def chance(p: float) -> str:
    """A p-value."""
    if math.isnan(p):
        return NONE
    return "<0.0001" if p < 1e-4 else f"{p:.2g}"


def figures(rows: Sequence[Sequence[str]]) -> str:
    """A table of names at the left and numbers."""
    return columns(rows, right=range(1, len(rows[0])))


def table(found: Comparison) -> dict[str, Any]:
    """The comparison as JSON values, with every score's card; no number is rounded."""
    made: dict[str, Any] = clean({
        "format": FORMAT,
        "ganforge": __version__,
        "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": runs.versions()["machine"],
        "data": found.data, "data_sha256": found.data_sha256, "split": found.scoring.split,
        "n": found.scoring.n, "seed": found.seed, "space": found.scoring.space,
        "model": found.model,
        "equal_images": found.equal_images,
        "metrics": {
            m: {
                "better": found.card(m).better,
                "ranked": [{"recipe": g.label, **asdict(s)} for g, s in found.ranked(m)],
                "tests": [asdict(t) for t in found.tests(m)],
            }
            for m in found.scoring.metrics
        },
        "recipes": {
            g.label: [
                {**asdict(e), "path": str(e.path),
                 "scores": {m: s.to_json() for m, s in e.scores.items()}}
                for e in g.entries
            ]
            for g in found.groups
        },
        "caveats": caveats(found),
    })  # fmt: skip
    return made


def clean(value: Any) -> Any:
    """JSON values; a number that is not finite becomes None."""
    if isinstance(value, dict):
        return {k: clean(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [clean(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def save(found: Comparison, folder: Path) -> list[Path]:
    """compare.json and compare.png in a folder; their paths.

    UsageError where the folder holds the comparison of other variants, seeds or runs.
    """
    wanted = subject({g.label: [(e.seed, e.path) for e in g.entries] for g in found.groups}, folder)
    refuse_another(folder, wanted)
    data = json_bytes(table(found) | {"runs": wanted}, indent=1, allow_nan=False)
    picture = charts.png(chart(found))
    return [
        pictures.save(folder / JSON, data),
        pictures.save(folder / PICTURE, picture),
    ]


def chart(found: Comparison) -> Figure:
    """A panel a metric, a row a recipe, best on top: every run, the mean and its interval."""
    ranked = {m: found.ranked(m) for m in found.scoring.metrics}
    left = 50 + 6.2 * max(len(g.label) for g in found.groups)
    heights = {m: 34 * len(rows) + 14 for m, rows in ranked.items()}
    figure = charts.page(sum(h + 105 for h in heights.values()) + 15)
    top = 50.0
    for metric, rows in ranked.items():
        axes = charts.place(figure, left, top, charts.WIDTH - left - 60, heights[metric])
        draw(axes, found, metric, rows)
        top += heights[metric] + 105
    return figure


def draw(axes: Axes, found: Comparison, metric: str, rows: Sequence[tuple[Group, Summary]]) -> None:
    """One metric's rows: dots for runs, a bar for the mean's interval, the floor dashed."""
    card = found.card(metric)
    for y, (group, summary) in enumerate(rows):
        values = [v for v in group.values(metric).values() if math.isfinite(v)]
        axes.plot(values, [y + 0.17] * len(values), "o", color=charts.FAKE, markersize=4.5,
                  alpha=0.75, markeredgewidth=0, label=None if y else "a run")  # fmt: skip
        axes.plot([summary.mean], [y - 0.17], "|", color=charts.INK, markersize=11,
                  markeredgewidth=1.8)  # fmt: skip
        if not math.isnan(summary.error):
            axes.plot([summary.low, summary.high], [y - 0.17] * 2, color=charts.INK, linewidth=1.6,
                      label=None if y else "mean, 95 % interval")  # fmt: skip
    axes.axvline(card.floor, color=charts.REAL, linewidth=1, linestyle=(0, (4, 3)),
                 label="real (floor)", zorder=0)  # fmt: skip
    every = [v for g, _ in rows for v in g.values(metric).values() if math.isfinite(v)]
    low = min([*every, card.floor, *(s.low for _, s in rows if math.isfinite(s.low))])
    if low > 0 and max(every, default=1.0) > 20 * low:
        axes.set_xscale("log")
    axes.set_yticks(range(len(rows)), [group.label for group, _ in rows], parse_math=False)
    axes.tick_params(axis="y", labelsize=9, labelcolor=charts.INK, length=0)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    way = {"lower": ", lower is better", "higher": ", higher is better"}.get(card.better, "")
    charts.head(
        axes,
        f"{metric} in {card.space}{way}",
        f"{found.scoring.split} split, N = {found.scoring.n:,}, seed {found.seed}",
    )
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, fontsize=9, frameon=False,
                handlelength=1.4, borderaxespad=0.2, columnspacing=1.4)  # fmt: skip
