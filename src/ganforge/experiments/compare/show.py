"""A comparison as text, as JSON and as a picture: every run, mean, interval, paired tests."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ganforge import files
from ganforge._version import __version__
from ganforge.callbacks.evaluate import N as CHOSEN_BY
from ganforge.experiments.compare.comparison import Comparison
from ganforge.experiments.compare.subject import JSON, refuse_another, subject
from ganforge.experiments.statistics import EXACT, Estimate, Summary, Test
from ganforge.plotting import intervals, style
from ganforge.plotting.intervals import Panel, Row
from ganforge.runs import folder as runs
from ganforge.text import columns, json_values

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PICTURE, FORMAT = "compare.png", 1
NONE = "-"
LONG = 24  # letters of a name beyond which pairs are named by rank
CLAIM = 5  # seeds that support a claim


def text(found: Comparison) -> str:
    """The comparison as text: scores and tests by metric, the budget of each recipe, caveats."""
    parts = [metric_text(found, m) for m in found.scoring.metrics]
    parts += [budget_text(found), "\n".join(caveats(found))]
    return "\n\n".join(part for part in parts if part)


def metric_text(found: Comparison, metric: str) -> str:
    """One metric: how it was measured, the recipes best first, the tests of their pairs."""
    card, scoring, ranked = found.card(metric), found.scoring, found.ranked(metric)
    better = {"floor": "nearer to the floor"}.get(card.better, card.better)
    head = (
        f"{metric} in {card.space} (sha256 {card.space_sha256[:12]}), {better} is better\n"
        f"{scoring.n:,} samples against {scoring.n:,} of the {scoring.split} split of "
        f"{found.data}, seed {found.seed}; floor: real examples in the samples' place"
    )
    seeds = sorted({e.seed for group, _ in ranked for e in group.entries})
    rows = [("recipe", "mean", "+-", "95 % interval", "floor", *(f"seed {s}" for s in seeds))]
    brief = all(len(group.label) <= LONG for group, _ in ranked)
    names = {}
    for rank, (group, summary) in enumerate(ranked, 1):
        names[group.label] = group.label if brief else str(rank)
        values = group.values(metric)
        floors = sorted({score.floor for score in group.scores(metric).values()})
        each = (number(values.get(seed, math.nan)) for seed in seeds)
        label = group.label if brief else f"{rank} {group.label}"
        rows.append((label, *estimate(summary), " ".join(map(number, floors)), *each))
    tests = tests_text(found.tests(metric), card.better, names)
    return "\n\n".join(part for part in (head, figures(rows), tests) if part)


def tests_text(tests: Sequence[Test], better: str, names: Mapping[str, str]) -> str:
    """The paired tests of every two recipes as a table with its notes; "" if there are none.

    names: of the recipes in the table, by label.
    """
    known = [t for t in tests if t.difference.count >= 2]
    if not known:
        return ""
    rows = [("paired over seeds", "seeds", "difference", "+-", "95 % interval", "t test",
             "sign flips")]  # fmt: skip
    rows += [
        (f"{names[t.a]} - {names[t.b]}", str(t.difference.count), *estimate(t.difference),
         p_value(t.t_holm), p_value(t.flip_holm))
        for t in known
    ]  # fmt: skip
    fewest, pairs = min(t.difference.count for t in known), len(known)
    least = 2.0 ** (1 - fewest)
    lines = ["two-sided p" + (f", after Holm's correction for {pairs} pairs" if pairs > 1 else "")]
    if fewest <= EXACT and least * pairs > 0.01:
        after = f", {p_value(min(1.0, least * pairs))} after the correction" if pairs > 1 else ""
        lines.append(f"with {fewest} seeds sign flips cannot go below p = {p_value(least)}{after}")
    lines += ["differences of the distance to the floor"] if better == "floor" else []
    return "\n".join([figures(rows), *lines])


def budget_text(found: Comparison) -> str:
    """The budget of every recipe in images and seconds, and which of its models was scored."""
    rows = [("recipe", "runs", "images each", "seconds each", "mean", "judged at epoch")]
    for group in found.groups:
        seconds = [e.seconds for e in group.entries]
        epochs = " ".join(NONE if e.diverged else f"{e.epoch:.3g}" for e in group.entries)
        rows.append((group.label, str(len(seconds)), span([e.images for e in group.entries]),
                     span(seconds), number(float(np.mean(seconds)), 3), epochs))  # fmt: skip
    lines = [
        figures(rows),
        "equal budget: every run saw as many real images, up to its last step"
        if found.equal_images
        else f"unequal budgets: {span([e.images for e in found.entries])} images",
        f"judged: each run's best model by its Frechet distance on the validation split (of at "
        f"most {CHOSEN_BY:,} samples)"
        if found.model == "best"
        else "judged: each run's last model (not every run has one chosen on the validation split)",
    ]
    sizes = {g.label: max(e.stacked for e in g.entries) for g in found.groups}
    stacked = ", ".join(f"{size} of {label}" for label, size in sizes.items() if size > 1)
    if stacked:
        lines.append(f"trained at once: {stacked}; the seconds of each are those of all of them")
    return "\n".join(lines)


def span(values: Sequence[float]) -> str:
    """The least and the largest value, or the one value that all are."""
    shown = (f"{v:,.0f}" if v >= 10 else f"{v:.2g}" for v in (min(values), max(values)))
    return " to ".join(dict.fromkeys(shown))


def caveats(found: Comparison) -> list[str]:
    """What limits the result: too few seeds, diverged runs, metrics that do not fit a recipe."""
    out = [found.note] if found.note else []
    counts = {}
    for group in found.groups:
        diverged = [e for e in group.entries if e.diverged]
        counts[group.label] = len(group.entries) - len(diverged)
        if diverged:
            out.append(
                f"{group.label}: {len(diverged)} of {len(group.entries)} runs diverged (seed "
                f"{', '.join(str(e.seed) for e in diverged)}) and are in no figure above: its mean "
                "is of those that did not"
            )
        for metric in found.scoring.metrics:
            if counts[group.label] and not group.values(metric):
                out.append(f"{group.label}: {metric} is for conditional recipes")
    single = [label for label, count in counts.items() if count < 2]
    if single:
        out.append(f"fewer than 2 seeds, so no error and no interval: {', '.join(single)}")
    if min(counts.values()) < CLAIM:
        out.append(f"fewer than {CLAIM} seeds: {CLAIM} or more make a claim")
    return out


def records(found: Comparison) -> list[dict[str, Any]]:
    """A record for each recipe, best first by the first metric, and one for the floor.

    Estimates are means with their standard errors; low and high are of the 95 % interval.
    """
    metrics = found.scoring.metrics
    order = {group.label: None for m in metrics for group, _ in found.ranked(m)}
    order |= {group.label: None for group in found.groups}
    known = {m: {group.label: summary for group, summary in found.ranked(m)} for m in metrics}
    count = {g.label: sum(not e.diverged for e in g.entries) for g in found.groups}
    table: list[dict[str, Any]] = []
    for label in order:
        table.append({"recipe": label, "seeds": count[label]})
        for m in metrics:
            summary = known[m].get(label)
            table[-1] |= {m: None, f"{m} low": None, f"{m} high": None}
            if summary is not None:
                mean, error, _ = estimate(summary)
                spread = None if error == NONE else summary.error
                text = mean if spread is None else f"{mean} +- {error}"
                table[-1] |= {m: Estimate(summary.mean, spread, text)}
                if spread is not None:
                    table[-1] |= {f"{m} low": summary.low, f"{m} high": summary.high}
    floor: dict[str, Any] = dict.fromkeys(table[0])
    for m in metrics:
        value = float(np.mean([s.floor for g in found.groups for s in g.scores(m).values()]))
        floor[m] = Estimate(value, None, number(value))
    return [*table, floor | {"recipe": "real examples"}]


def remarks(found: Comparison) -> str:
    """What belongs to `records`: the paired tests, the budget of each recipe, caveats."""
    tests = []
    for m in found.scoring.metrics:
        names = {group.label: group.label for group in found.groups}
        shown = tests_text(found.tests(m), found.card(m).better, names)
        tests += [f"{m}\n{shown}"] if shown else []
    return "\n\n".join(filter(None, (*tests, budget_text(found), "\n".join(caveats(found)))))


def number(value: float, digits: int = 4) -> str:
    """A number with so many significant digits; "-" if it is not finite."""
    if not math.isfinite(value):
        return NONE
    shown = f"{value:.{digits}g}"
    return f"{value:,.0f}" if "e+" in shown else shown


def estimate(summary: Summary) -> tuple[str, str, str]:
    """Mean, standard error and interval as three cells; "-" for what one value does not give."""
    known = not math.isnan(summary.error)
    interval = f"{number(summary.low)} .. {number(summary.high)}" if known else NONE
    return number(summary.mean), number(summary.error, 2), interval


def p_value(p: float) -> str:
    """A p-value; "-" if there is none."""
    if math.isnan(p):
        return NONE
    return "<0.0001" if p < 1e-4 else f"{p:.2g}"


def figures(rows: Sequence[Sequence[str]]) -> str:
    """A table of names at the left and numbers."""
    return columns(rows, right=range(1, len(rows[0])))


def table(found: Comparison) -> dict[str, Any]:
    """The comparison as JSON values, with every score's card; no number is rounded."""
    scoring = found.scoring
    made: dict[str, Any] = json_values({
        "format": FORMAT,
        "ganforge": __version__,
        "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": runs.versions()["machine"],
        "data": found.data, "data_sha256": found.data_sha256, "split": scoring.split,
        "n": scoring.n, "seed": found.seed, "space": scoring.space,
        "model": found.model,
        "equal_images": found.equal_images,
        "metrics": {
            m: {
                "better": found.card(m).better,
                "ranked": [{"recipe": g.label, **vars(s)} for g, s in found.ranked(m)],
                "tests": found.tests(m),
            }
            for m in scoring.metrics
        },
        "recipes": {g.label: g.entries for g in found.groups},
        "caveats": caveats(found),
    })  # fmt: skip
    return made


def save(found: Comparison, folder: Path) -> list[Path]:
    """compare.json and compare.png in a folder; their paths.

    UsageError if the folder holds the comparison of other variants, seeds or runs.
    """
    wanted = subject({g.label: [(e.seed, e.path) for e in g.entries] for g in found.groups}, folder)
    refuse_another(folder, wanted)
    picture = style.png(chart(found))
    return [
        files.write_json(folder / JSON, table(found) | {"runs": wanted}, finite=True),
        files.save_file(folder / PICTURE, picture),
    ]


def chart(found: Comparison) -> Figure:
    """A panel a metric, a row a recipe, best on top: every run, the mean and its interval."""
    return intervals.intervals([panel(found, metric) for metric in found.scoring.metrics])


def panel(found: Comparison, metric: str) -> Panel:
    """What the figure shows of one metric."""
    card, scoring = found.card(metric), found.scoring
    way = {"lower": ", lower is better", "higher": ", higher is better"}.get(card.better, "")
    rows = [
        Row(group.label, [v for v in group.values(metric).values() if math.isfinite(v)],
            summary.mean, summary.low, summary.high)
        for group, summary in found.ranked(metric)
    ]  # fmt: skip
    return Panel(
        f"{metric} in {card.space}{way}",
        f"{scoring.split} split, N = {scoring.n:,}, seed {found.seed}",
        card.floor,
        rows,
    )
