"""What `gf.train` and `gf.load` return: a run with its log, scores, samples and findings."""

from __future__ import annotations

import html
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from PIL import Image

from ganforge import bar, files
from ganforge.config.schema import Config
from ganforge.diagnosis import Diagnosis, diagnose, findings
from ganforge.diagnosis.calls import in_python
from ganforge.errors import DataError, GanforgeError, UsageError
from ganforge.evaluation import evaluate, store
from ganforge.evaluation.score import Score, table
from ganforge.plotting import overview, strips
from ganforge.runs import folder
from ganforge.runs.folder import Run
from ganforge.runs.load import load_config
from ganforge.runs.records import Progress
from ganforge.sampling.sampler import Labels, Sampler
from ganforge.text import json_values, preformatted
from ganforge.types import Array

T = TypeVar("T")
PLOT = "plot.png"
SHOWN = 20  # records in the HTML of a notebook


class Records(tuple[T, ...]):
    """Records in order: a tuple that a notebook shows as a table, and that pandas can read."""

    def to_frame(self) -> Any:
        """The records as a `pandas.DataFrame`; UsageError if pandas is not installed."""
        try:
            pandas = import_module("pandas")
        except ImportError:
            raise UsageError(
                "to_frame needs pandas, which is not installed: pip install pandas"
            ) from None
        return pandas.DataFrame(list(map(as_table, self)))

    def __repr__(self) -> str:
        if self and all(isinstance(one, Score) for one in self):
            return table(self)  # type: ignore[arg-type]
        return f"{len(self):,} records" + (f" of {', '.join(as_table(self[-1]))}" if self else "")

    def _repr_html_(self) -> str:
        return html_table([as_table(one) for one in self[-SHOWN:]])


class Results:
    """A run folder with its generator.

    run: the folder. sampler: its newest generator.
    """

    run: Run
    sampler: Sampler

    @property
    def path(self) -> Path:
        return self.run.path

    @property
    def config(self) -> Config:
        """The settings of the run: `gf.train(run.config, lr=1e-4, out="runs/b")` varies them."""
        return load_config(self.run)

    @property
    def log(self) -> Records[dict[str, Any]]:
        """The records of log.jsonl."""
        return Records(self.run.log())

    def sample(self, count: int = 16, labels: Labels = None, seed: int = 0, **more: Any) -> Array:
        """`count` samples, see `Sampler.sample`."""
        return self.sampler.sample(count, labels, seed, **more)

    def evaluate(self, **options: Any) -> Records[Score]:
        """Scores of the newest model, saved in scores.json; options as in `gf.evaluate`."""
        with bar.shown():
            return Records(evaluate.evaluate(self.path, **options))

    def diagnose(self, **options: Any) -> Diagnosis:
        """What is wrong with the run; options as in `gf.diagnose`."""
        return diagnose(self.path, **options)

    def plot(self, output: Path | str | None = None) -> Image.Image:
        """The run's overview, see `gf.plot`."""
        return plot(self.path, output)

    def _repr_html_(self) -> str:
        """The newest samples, the scores, and the findings with remedies as calls."""
        parts = [f"<p>{html.escape(repr(self))}</p>", self.sampler._repr_html_()]
        for heading, read in (("Scores", self.score_text), ("Findings", self.finding_text)):
            text = or_nothing(read)
            if text:
                parts.append(f"<p><b>{heading}</b></p>{preformatted(text)}")
        return "".join(parts)

    def score_text(self) -> str:
        scores = newest_scores(self.run)
        return table(scores) if scores else ""

    def finding_text(self) -> str:
        found = findings.read(self.path / findings.FILE)
        return "" if found is None else in_python(findings.text(found))


@dataclass(frozen=True, repr=False)
class Saved(Results):
    """A run that was opened by `gf.load`. All that its sampler has is there too."""

    run: Run
    sampler: Sampler

    @property
    def scores(self) -> Records[Score]:
        """The newest scores of scores.json, those of the test split before others."""
        return Records(newest_scores(self.run))

    @property
    def progress(self) -> Mapping[str, Any]:
        """run.json: status, step, steps, seconds, versions."""
        return self.run.info()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.sampler, name)

    def __repr__(self) -> str:
        info = self.run.info()
        step, steps = int(info.get("step", 0)), int(info.get("steps", 0))
        return described(self.run, step, steps, folder.state(self.run))


@dataclass(frozen=True, repr=False)
class Trained(Results):
    """A run that has been trained, as far as it got.

    run: its folder. progress: its last record. sampler: its generator. signal: the number of the
    signal that stopped it, 0 for none. scores: at its end, on the validation split;
    unscored: why there are none. diagnosis: healthy or not, at its end, if it was diagnosed.
    notes: what else is worth reading, such as a logger that was dropped at the end.
    """

    run: Run
    progress: Progress
    sampler: Sampler
    grid: Path | None = None
    overview: Path | None = None
    signal: int = 0
    scores: Records[Score] = Records()
    unscored: str = ""
    diagnosis: Diagnosis | None = None
    notes: tuple[str, ...] = ()

    def closing(self) -> str:
        """The scores and the findings of its end as text, with remedies as calls."""
        diagnosis = "" if self.diagnosis is None else in_python(findings.text(self.diagnosis))
        scores = table(self.scores) if self.scores else self.unscored
        return "\n\n".join(filter(None, (scores, diagnosis)))

    @property
    def finished(self) -> bool:
        return self.progress.step >= self.progress.steps

    def __repr__(self) -> str:
        state = "finished" if self.finished else "stopped"
        return described(self.run, self.progress.step, self.progress.steps, state)


def where(subject: Any) -> Any:
    """The folder of a run, anything else unchanged."""
    return subject.path if isinstance(subject, Results) else subject


def described(run: Run, step: int, steps: int, state: str) -> str:
    """A run in one line: its recipe and data, its progress, its newest Frechet distance."""
    settings = run.settings()
    line = f"{settings.get('name')} on {settings.get('data')} in {run.path}: {state}"
    line += f" at step {step:,} of {steps:,}"
    score = or_nothing(lambda: store.newest(run))
    return line + (f", FD[{score.space}] {score.value:.4g}" if score else "")


def newest_scores(run: Run) -> list[Score]:
    """The scores of the newest step in scores.json, the test split before others."""
    entries = store.entries(run)
    if not entries:
        return []
    return store.cards(max(entries, key=store.rank))


def plot(run: Path | str, output: Path | str | None = None) -> Image.Image:
    """A run as a picture: loss curves, samples over time, for points real and generated ones.

    Args:
        run: run folder.
        output: a .png or, for the samples over time, a .gif to write.

    Returns:
        The picture, of a film its last frame; a notebook shows it.

    Raises:
        UsageError: another kind of file.
        DataError: there is no run, or nothing to draw yet.
    """
    found = folder.open_run(run)
    suffix = Path(output).suffix.lower() if output is not None else ".png"
    if suffix not in (".png", ".gif"):
        raise UsageError(f"{output}: expected a file name ending in .png or .gif")
    data = (strips.animation if suffix == ".gif" else overview.overview)(found)
    if output is not None:
        files.save_file(Path(output), data)
    picture = Image.open(io.BytesIO(data))
    picture.seek(getattr(picture, "n_frames", 1) - 1)
    return picture


def draw(run: Run) -> Path | None:
    """The run's overview as plot.png; None if there is nothing to draw yet."""
    try:
        return files.save_file(run.path / PLOT, overview.overview(run))
    except DataError:
        return None


def or_nothing(read: Callable[[], T]) -> T | None:
    """What `read` returns; None if a file of the run cannot be read, which a repr leaves out."""
    try:
        return read()
    except GanforgeError:
        return None


def as_table(record: Any) -> dict[str, Any]:
    """A record as a row: field -> value."""
    return dict(record if isinstance(record, Mapping) else json_values(record))


def html_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as an HTML table, a column for each name that any of them has."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[cell(row.get(name)) for name in names] for row in rows]
    lines = "".join(f"<tr>{''.join(f'<td>{c}</td>' for c in row)}</tr>" for row in cells)
    heads = "".join(f"<th>{html.escape(name)}</th>" for name in names)
    return f"<table><tr>{heads}</tr>{lines}</table>"


def cell(value: Any) -> str:
    """A value as HTML; numbers with five digits."""
    return html.escape(f"{value:.5g}" if isinstance(value, float) else str(value))
