"""Several runs side by side: scores, curves on common charts, settings that differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ganforge.config import convert
from ganforge.evaluation import store
from ganforge.plotting import curves, style
from ganforge.plotting.curves import Chart
from ganforge.report import charts
from ganforge.report.charts import Drawing
from ganforge.report.facts import Facts, complete, text


@dataclass(frozen=True)
class Comparison:
    """The top of a page of several runs.

    alike: whether all scores were computed in the same way. differing: (setting, a value a run).
    """

    alike: bool
    charts: Sequence[Drawing]
    differing: tuple[tuple[str, tuple[str, ...]], ...]


def of_runs(names: Sequence[str], runs: Sequence[Facts]) -> Comparison:
    """Compare runs that have these names on the page."""
    stamps = {facts.scored.stamp for facts in runs if facts.scored}
    return Comparison(len(stamps) < 2, overlays(names, runs), differences(runs))


def overlays(names: Sequence[str], runs: Sequence[Facts]) -> list[Drawing]:
    """The losses of every run on common charts; the scores, if all were computed alike."""
    logs = [facts.log if curves.has_losses(facts.log) else () for facts in runs]
    scores = [facts.curve for facts in runs]
    alike = len({curve_stamp(facts) for facts in runs if facts.curve}) == 1
    drawn = [common("Loss of D", names, logs, "loss_d"), common("Loss of G", names, logs, "loss_g")]
    if alike:
        drawn.append(common("Frechet distance, validation split", names, scores, "frechet", True))
    return [chart for chart in drawn if chart is not None]


def common(
    title: str,
    names: Sequence[str],
    records: Sequence[Sequence[Mapping[str, Any]]],
    key: str,
    log_scale: bool = False,
) -> Drawing | None:
    """One quantity of all runs that have records, on one chart; None if none has."""
    found = tuple(
        curves.of_records(rows, key, name, charts.series_colour(i), i >= len(style.SERIES))
        for i, (name, rows) in enumerate(zip(names, records, strict=True))
        if rows
    )  # fmt: skip
    return charts.drawing(Chart(title, found, log_scale=log_scale)) if found else None


def curve_stamp(facts: Facts) -> tuple[object, ...]:
    """What must be equal for two curves of scores to share a chart; () if it cannot be read."""
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
