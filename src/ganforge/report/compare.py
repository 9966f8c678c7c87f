"""Several runs side by side: their figures, their curves over each other, where settings differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ganforge.config import convert
from ganforge.diagnosis import Diagnosis
from ganforge.evaluation import store
from ganforge.plotting import charts
from ganforge.report import curves, words
from ganforge.report.curves import Chart, Series
from ganforge.report.facts import Facts, complete, text
from ganforge.report.film import Film, Frame


@dataclass(frozen=True)
class Row:
    """A run in the table. value, floor, stamp: of its Frechet distance, dashes without."""

    anchor: str
    name: str
    title: str
    colour: str
    state: str
    verdict: words.Verdict
    value: str
    floor: str
    word: str
    stamp: str
    epochs: str
    seen: str
    seconds: str
    seed: str


@dataclass(frozen=True)
class Comparison:
    """What stands at the top of a page of several runs.

    alike: whether all scores were made in the same way. differing: (setting, a value a run).
    newest: each run's name and last frame, where they have one.
    """

    rows: tuple[Row, ...]
    alike: bool
    charts: tuple[Chart, ...]
    differing: tuple[tuple[str, tuple[str, ...]], ...]
    newest: tuple[tuple[str, Film, Frame], ...]


def of_runs(
    runs: Sequence[tuple[str, Facts, Diagnosis | None, Film | None]], names: Sequence[str]
) -> Comparison:
    """Compare runs, each given with its anchor on the page."""
    rows = [row(i, name, *run[:3]) for i, (name, run) in enumerate(zip(names, runs, strict=True))]
    every = [facts for _, facts, _, _ in runs]
    stamps = {r.stamp for r in rows if r.stamp}
    newest = tuple(
        (name, film, film.frames[-1])
        for name, (_, _, _, film) in zip(names, runs, strict=True)
        if film is not None
    )
    drawn = overlays(names, every)
    return Comparison(tuple(rows), len(stamps) < 2, drawn, differences(every), newest)


def row(index: int, name: str, anchor: str, facts: Facts, health: Diagnosis | None) -> Row:
    """A run's line of the table."""
    score, last = facts.score, facts.last
    made = next((e.stamp for e in facts.entries if score in e.scores), "") if score else ""
    epoch, seen = last.get("epoch"), last.get("samples_seen")
    return Row(
        anchor,
        name,
        facts.title,
        curves.colour(index),
        facts.state,
        words.verdict(facts, health),
        f"{words.number(score.value)} ± {score.spread:.2g}" if score else "–",
        words.number(score.floor) if score else "–",
        score.verdict if score else "not scored",
        made,
        f"{epoch:.4g}" if isinstance(epoch, int | float) else "–",
        f"{seen:,}" if isinstance(seen, int) else "–",
        words.of_timing(facts),
        str(facts.settings.get("seed", "–")),
    )


def overlays(names: Sequence[str], runs: Sequence[Facts]) -> tuple[Chart, ...]:
    """The same quantity of every run on one chart; scores where they were made alike."""
    wanted = [("Loss of D", "loss_d"), ("Loss of G", "loss_g")]
    out = []
    for title, key in wanted:
        series = [
            Series(n, curves.colour(i), charts.column(f.log, "epoch"), charts.column(f.log, key),
                   dash=i >= curves.SERIES)
            for i, (n, f) in enumerate(zip(names, runs, strict=True))
            if charts.drawable(f.log)
        ]  # fmt: skip
        if series:
            out.append(curves.draw(title, series))
    scored = [
        Series(n, curves.colour(i), charts.column(f.curve, "epoch"),
               charts.column(f.curve, "frechet"), dash=i >= curves.SERIES)
        for i, (n, f) in enumerate(zip(names, runs, strict=True))
        if f.curve
    ]  # fmt: skip
    if scored and len(set(map(curve_stamp, filter(lambda f: f.curve, runs)))) == 1:
        out.append(curves.draw("Frechet distance, validation split", scored, log_scale=True))
    return tuple(out)


def curve_stamp(facts: Facts) -> tuple[object, ...]:
    """What must be the same for two curves of scores to be drawn together; () where unreadable."""
    try:
        card = store.frechet(facts.curve[-1])
    except (KeyError, TypeError):
        return ()
    if card is None:
        return ()
    return facts.settings.get("data"), card.split, card.n, card.seed, card.space, card.space_sha256


def differences(runs: Sequence[Facts]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Every setting in which not all runs agree."""
    tables = []
    for facts in runs:
        found = complete(facts.settings)
        tables.append(dict(convert.flat(convert.to_dict(found) if found else facts.settings)))
    keys = dict.fromkeys(key for table in tables for key in table)
    values = {key: [table.get(key) for table in tables] for key in keys}
    return tuple(
        (key, tuple(map(text, each)))
        for key, each in values.items()
        if any(v != each[0] for v in each)
    )
