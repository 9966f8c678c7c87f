"""The page: each part read from the run, or why it cannot be; then one template over all of it."""

from __future__ import annotations

import base64
import hashlib
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ganforge import __version__, diagnosis, history, pictures, recipes, runs, session
from ganforge.diagnosis import Diagnosis
from ganforge.errors import GanforgeError, UsageError
from ganforge.evaluation.score import METRICS
from ganforge.model import OwnNetworks
from ganforge.printable import encoded, printable
from ganforge.report import compare, curves, facts, film, samples, words
from ganforge.report.compare import Comparison
from ganforge.report.curves import Chart
from ganforge.report.facts import Facts
from ganforge.report.film import Film
from ganforge.report.samples import ClassRows, Neighbours
from ganforge.runs import Run
from ganforge.sampling import Sampler

T = TypeVar("T")
RECORDS = 500  # of a log that the page's JSON holds
FORMAT = 1
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Page:
    """One run as the page shows it: of every part what there is, or in `why` why there is none."""

    anchor: str
    label: str
    facts: Facts
    verdict: words.Verdict
    figures: tuple[words.Figure, ...]
    summary: tuple[str, ...]
    film: Film | None
    charts: tuple[Chart, ...]
    scores: Chart | None
    health: Diagnosis | None
    evidence: Mapping[str, tuple[str, ...]]
    unchecked: tuple[tuple[str, tuple[str, ...]], ...]
    neighbours: Neighbours | None
    classes: ClassRows | None
    toml: str
    why: Mapping[str, str]


def write(
    paths: Sequence[Path | str], out: Path, networks: Sequence[OwnNetworks | None] | None = None
) -> list[Page]:
    """Write the page about the runs at `paths` to `out`; what it shows of each.

    networks: your own function for each run, where it was trained with one.
    Raises UsageError for no path, DataError for a path that is no run, or whose config.toml,
    run.json or scores.json is damaged. Anything else that is missing or damaged is told on the
    page.
    """
    if not paths:
        raise UsageError("no run: name at least one run folder")
    found = [runs.open_run(path) for path in paths]
    labels = names(found)
    own = networks or [None] * len(found)
    pages = [
        read(run, label, f"run-{i + 1}", mine)
        for i, (run, label, mine) in enumerate(zip(found, labels, own, strict=True))
    ]
    pictures.save(out, encoded(render(pages)))
    return pages


def names(found: Sequence[Run]) -> list[str]:
    """A short name for each run: its folder's, or its path where two have the same."""
    short = [run.path.resolve().name for run in found]
    count = Counter(short)
    return [s if count[s] == 1 else str(r.path) for s, r in zip(short, found, strict=True)]


def read(
    run: Run, label: str = "", anchor: str = "run-1", networks: OwnNetworks | None = None
) -> Page:
    """Everything the page shows of one run."""
    known = facts.gather(run)
    why: dict[str, str] = {}

    def part(name: str, call: Callable[[], T | None], without: str) -> T | None:
        try:
            found = call()
        except GanforgeError as error:
            why[name] = str(error)
            return None
        if found is None:
            why[name] = without
        return found

    sampler: Sampler | None = None
    if (run.model / "config.json").is_file():
        sampler = part("model", lambda: session.open_sampler(run.path, networks), "")
    else:
        why["model"] = samples.state_of_model(run)
    lacking = why.get("model", "")
    health = part("health", lambda: diagnosis.diagnose(run.path, networks=networks), "")
    found = health.findings if health else ()
    skipped = health.skipped if health else {}
    reasons = dict.fromkeys(skipped.values())
    moving = part("film", lambda: film.of_run(run), "There are no samples yet.")
    drawn = tuple(curves.of_run(known.log, known.settings.get("game", {})))
    if not drawn:
        count = len(known.log)
        none = f"None of its {count} log records has a finite loss."
        why["charts"] = none if count else "There are no log records yet."
    scored = scores_chart(known)
    copies = part(
        "neighbours", lambda: samples.neighbours(run, sampler) if sampler else None, lacking
    )
    unlabelled = "The generator makes no pictures of labels."
    rows = part(
        "classes",
        lambda: samples.class_rows(sampler, known.entries) if sampler else None,
        unlabelled if sampler else lacking,
    )
    return Page(
        anchor,
        label or known.name,
        known,
        words.verdict(known, health),
        tuple(words.figures(known, health)),
        tuple(words.summary(known, health, why.get("health", ""), copies)),
        moving,
        drawn,
        scored,
        health,
        {f.code: tuple(filter(None, map(samples.inside, f.pictures))) for f in found},
        tuple((w, tuple(c for c in skipped if skipped[c] == w)) for w in reasons),
        copies,
        rows,
        (run.path / runs.CONFIG).read_text(errors="replace"),
        why,
    )


def scores_chart(known: Facts) -> Chart | None:
    """The curve of the scores that were made on the way."""
    stamp = compare.curve_stamp(known) if known.curve else ()
    if not stamp:
        return None
    _, split, n, _, space, _ = stamp
    return curves.of_scores(known.curve, f"FD[{space}], {split} split, N = {n:,}")


def render(pages: Sequence[Page]) -> str:
    """The page as one HTML text."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": words.percent, "number": words.number, "tone": words.tone}
    environment.filters["sentence"] = words.sentence
    style, script = ((HERE / name).read_text() for name in ("style.css", "slider.js"))
    several: Comparison | None = None
    if len(pages) > 1:
        each = [(p.anchor, p.facts, p.health, p.film) for p in pages]
        several = compare.of_runs(each, [p.label for p in pages])
    return environment.get_template("report.html").render(
        pages=pages,
        several=several,
        title=pages[0].facts.title if len(pages) == 1 else f"{len(pages)} runs compared",
        version=__version__,
        made=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        asks=asks(),
        diseases=diagnosis.NAMES,
        hardware=facts.hardware,
        versions=facts.versions,
        known_recipes=recipes.RECIPES,
        style=Markup(style),
        script=Markup(script),
        policy=policy(style, script),
        data=plain(data(pages, several)),
        box=curves,
    )


def policy(style: str, script: str) -> str:
    """A content security policy: nothing is fetched, and nothing runs but our own script."""

    def digest(text: str) -> str:
        return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest(style)}'; "
        f"script-src 'sha256-{digest(script)}'; base-uri 'none'; form-action 'none'"
    )


def asks() -> dict[str, str]:
    """What each metric measures: the first clause of its function's docstring."""
    first = {name: (f.__doc__ or "").strip().splitlines()[0] for name, f in METRICS.items()}
    return {name: line.partition(";")[0].rstrip(".") for name, line in first.items()}


def data(pages: Sequence[Page], several: Comparison | None) -> dict[str, Any]:
    """All figures of the page, for programs: no pictures, and the log thinned to `RECORDS`."""
    return {
        "format": FORMAT,
        "ganforge": __version__,
        "runs": [of_page(page) for page in pages],
        "differences": dict(several.differing) if several else {},
    }


def of_page(page: Page) -> dict[str, Any]:
    """One run's figures."""
    known = page.facts
    return {
        "path": str(known.run.path),
        "title": known.title,
        "state": known.state,
        "verdict": page.verdict.text,
        "summary": page.summary,
        "command": known.command,
        "hashes": dict(known.hashes),
        "config": known.settings,
        "changed": known.changed,
        "info": known.info,
        "log_records": len(known.log),
        "log": history.chosen(known.log, RECORDS),
        "scores": known.entries,
        "curve": known.curve,
        "diagnosis": page.health,
        "neighbours": without_pictures(page.neighbours),
        "classes": [{"name": r.name, "accuracy": r.accuracy} for r in page.classes.rows]
        if page.classes
        else None,
        "missing": page.why,
    }


def without_pictures(found: Neighbours | None) -> dict[str, Any] | None:
    """The figures about nearest neighbours."""
    if found is None:
        return None
    return {k: v for k, v in asdict(found).items() if k not in ("first", "closest")} | {
        "ratios": [p.ratio for p in (*found.first, *found.closest)]
    }


def plain(value: Any) -> Any:
    """`value` in the terms of JSON; a number that is not finite is null, bytes are left out."""
    if is_dataclass(value) and not isinstance(value, type):
        value = {name: getattr(value, name) for name in value.__dataclass_fields__}
    elif isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {printable(str(k)): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(v) for v in value]
    if isinstance(value, bytes) or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value if isinstance(value, int | float | None) else printable(str(value))
