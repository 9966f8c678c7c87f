"""The page: every part that a run has, why the others are missing, and one template over all."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from ganforge import diagnosis, files
from ganforge._version import __version__
from ganforge.diagnosis import Diagnosis
from ganforge.errors import GanforgeError, UsageError
from ganforge.evaluation.metrics import METRICS
from ganforge.plotting import curves, style
from ganforge.report import charts, compare, facts, film, samples, signs, words
from ganforge.report.charts import Drawing
from ganforge.report.compare import Comparison
from ganforge.report.facts import Facts
from ganforge.report.film import Film
from ganforge.report.samples import ClassRows, Neighbours
from ganforge.runs import folder, load
from ganforge.runs.folder import Run
from ganforge.runs.model import OwnNetworks
from ganforge.runs.samples import spread
from ganforge.sampling.sampler import Sampler
from ganforge.text import encoded, json_values

T = TypeVar("T")
RECORDS = 500  # of a log at most in the page's JSON
FORMAT = 1
TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Page:
    """One run as the page shows it: every part, or in `why` the reason that it is missing."""

    anchor: str
    label: str
    facts: Facts
    verdict: words.Verdict
    figures: tuple[words.Figure, ...]
    summary: tuple[str, ...]
    film: Film | None
    charts: tuple[Drawing, ...]
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
    """Write the page about some runs.

    Args:
        paths: run folders, at least one.
        out: the file to write.
        networks: for each run the function that builds its networks, if they are code of the user.

    Returns:
        What the page shows of each run.

    Raises:
        UsageError: no path.
        DataError: a path is no run, or its config.toml, run.json or scores.json is damaged; if
            anything else is missing or damaged, the page says so.
    """
    if not paths:
        raise UsageError("no run: name at least one run folder")
    found = [folder.open_run(path) for path in paths]
    labels = names(found)
    built = networks or [None] * len(found)
    pages = [
        read(run, label, f"run-{i + 1}", build)
        for i, (run, label, build) in enumerate(zip(found, labels, built, strict=True))
    ]
    files.save_file(out, encoded(render(pages)))
    return pages


def names(found: Sequence[Run]) -> list[str]:
    """A name for each run: its folder's, or its path if two folders have the same name."""
    short = [run.path.resolve().name for run in found]
    count = Counter(short)
    return [s if count[s] == 1 else str(r.path) for s, r in zip(short, found, strict=True)]


def read(
    run: Run,
    label: str = "",
    anchor: str = "run-1",
    networks: OwnNetworks | None = None,
    diagnose: Callable[..., Diagnosis] = diagnosis.diagnose,
    neighbours: Callable[[Run, Sampler], Neighbours] = samples.neighbours,
) -> Page:
    """Everything that the page shows of one run.

    Args:
        label: the run's name on the page; its folder's name if empty.
        anchor: its id on the page.
        networks: the function that builds its networks, if they are code of the user.
        diagnose: finds what is wrong with a run folder.
        neighbours: compares samples with the training data.
    """
    known = facts.gather(run, networks)
    why: dict[str, str] = {}

    def part(name: str, read_part: Callable[[], T | None], missing: str) -> T | None:
        try:
            found = read_part()
        except GanforgeError as error:
            why[name] = str(error)
            return None
        if found is None:
            why[name] = missing
        return found

    def open_model() -> Sampler | None:
        saved = (run.model / "config.json").is_file()
        return load.open_sampler(run.path, networks) if saved else None

    sampler = part("model", open_model, samples.state_of_model(run))
    no_model = why.get("model", "")
    health = part("health", lambda: diagnose(run.path, networks=networks), "")
    moving = part("film", lambda: film.of_run(run), "There are no samples yet.")
    copies = part("neighbours", lambda: neighbours(run, sampler) if sampler else None, no_model)
    classes = part(
        "classes",
        lambda: samples.class_rows(sampler, known.entries) if sampler else None,
        "The generator makes no pictures of labels." if sampler else no_model,
    )
    drawn = part("charts", lambda: log_charts(known), "There are no log records yet.") or ()
    return Page(
        anchor, label or known.name, known,
        words.verdict(known, health),
        tuple(words.figures(known, health)),
        tuple(words.summary(known, health, why.get("health", ""), copies)),
        moving,
        (*drawn, *score_charts(known)),
        health,
        *evidence(health or Diagnosis()),
        copies,
        classes,
        (run.path / folder.CONFIG).read_text(errors="replace"),
        why,
    )  # fmt: skip


def evidence(
    health: Diagnosis,
) -> tuple[dict[str, tuple[str, ...]], tuple[tuple[str, tuple[str, ...]], ...]]:
    """The pictures of each finding by its code, and the codes of checks skipped by the reason."""
    codes: dict[str, tuple[str, ...]] = {}
    for code, reason in health.skipped.items():
        codes[reason] = (*codes.get(reason, ()), code)
    pictures = {f.code: tuple(filter(None, map(samples.evidence, f.pictures)))
                for f in health.findings}  # fmt: skip
    return pictures, tuple(codes.items())


def log_charts(known: Facts) -> tuple[Drawing, ...] | None:
    """The charts of the log; None if it is empty. Raises DataError if no loss is finite."""
    if not known.log:
        return None
    return tuple(map(charts.drawing, curves.of_log(known.log, known.settings.get("game", {}))))


def score_charts(known: Facts) -> tuple[Drawing, ...]:
    """The chart of the scores made during training, if there are any."""
    if not (known.curve and compare.curve_stamp(known)):
        return ()
    return (charts.drawing(curves.of_scores(known.curve)),)


def render(pages: Sequence[Page]) -> str:
    """The page as one HTML text."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters = (words.percent, words.number, words.tone, words.sentence, facts.duration)
    environment.filters |= {function.__name__: function for function in filters}
    environment.filters["colour_class"] = charts.CLASSES.get
    sheet = environment.get_template("style.css").render(colours=style.COLOURS)
    script = (TEMPLATES / "script.js").read_text()
    several: Comparison | None = None
    if len(pages) > 1:
        several = compare.of_runs([p.label for p in pages], [p.facts for p in pages])
    return environment.get_template("page.html").render(
        pages=pages,
        several=several,
        title=pages[0].facts.title if len(pages) == 1 else f"{len(pages)} runs compared",
        version=__version__,
        made=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        measures={name: metric.measures for name, metric in METRICS.items()},
        problems={code: check.name for code, check in diagnosis.CHECKS.items()},
        hardware=facts.hardware,
        signs=signs.signs,
        versions=facts.versions,
        series_colour=charts.series_colour,
        style=Markup(sheet),
        script=Markup(script),
        policy=policy(sheet, script),
        data=json_values(data(pages, several)),
    )


def policy(sheet: str, script: str) -> str:
    """A content security policy: nothing is fetched, and no script runs but the page's."""
    return (
        f"default-src 'none'; img-src data:; style-src {files.policy_hash(sheet)}; "
        f"script-src {files.policy_hash(script)}; base-uri 'none'; form-action 'none'"
    )


def data(pages: Sequence[Page], several: Comparison | None) -> dict[str, Any]:
    """All numbers of the page, for programs: no pictures, the log thinned to `RECORDS`."""
    return {
        "format": FORMAT,
        "ganforge": __version__,
        "runs": [of_page(page) for page in pages],
        "differences": dict(several.differing) if several else {},
    }


def of_page(page: Page) -> dict[str, Any]:
    """One run's numbers."""
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
        "log": spread(known.log, RECORDS),
        "scores": known.entries,
        "curve": known.curve,
        "diagnosis": page.health,
        "neighbours": page.neighbours and without_pictures(page.neighbours),
        "classes": [{"name": r.name, "accuracy": r.accuracy} for r in page.classes.rows]
        if page.classes
        else None,
        "missing": page.why,
    }


def without_pictures(found: Neighbours) -> dict[str, Any]:
    """The numbers about nearest neighbours."""
    return {k: v for k, v in asdict(found).items() if k not in ("first", "closest")} | {
        "ratios": [p.ratio for p in (*found.first, *found.closest)]
    }
