"""Pictures made for the page: samples of each label, and nearest training examples."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ganforge import images
from ganforge.data import spec as data_spec
from ganforge.data.describe import spread_rows
from ganforge.data.load import Dataset
from ganforge.errors import GanforgeError
from ganforge.evaluation import evaluate, features
from ganforge.evaluation.inputs import LEAST, subset
from ganforge.evaluation.metrics import copying
from ganforge.plotting.strips import mosaic
from ganforge.report.encoding import data_uri, encoded, opaque
from ganforge.report.facts import Entry
from ganforge.report.film import GAP
from ganforge.runs import load
from ganforge.runs.folder import Run
from ganforge.sampling.sampler import Sampler
from ganforge.sampling.translate import Translator
from ganforge.types import Array, Pixels

COLUMNS = 12  # samples of a label
SHOWN = 6  # pairs of a sample and its neighbour, twice: the first ones, and the closest
SEED = 0
WIDEST = 1000  # pixels across a finding's picture


@dataclass(frozen=True)
class ClassRow:
    """Samples of one label. accuracy: share that a classifier assigns to it; None if unknown."""

    name: str
    image: str
    width: int
    height: int
    alt: str
    accuracy: float | None = None


@dataclass(frozen=True)
class ClassRows:
    """A row for each label. stamp: of the accuracies. left_out: number of labels not shown."""

    rows: tuple[ClassRow, ...]
    stamp: str = ""
    left_out: int = 0


@dataclass(frozen=True)
class Pair:
    """A sample and its nearest training example; ratio: see `Neighbours`."""

    sample: str
    neighbour: str
    ratio: float


@dataclass(frozen=True)
class Neighbours:
    """How near samples are to the training data.

    first: the first samples; closest: those nearest to the training data; both empty for vectors.
    size: pixels across one picture. authentic, floor: AuthPct of `count` samples, and of `real`
    held-out examples (NaN without any). A ratio is a distance over the median distance of held-out
    examples. searched, of: training examples searched, and all.
    """

    first: tuple[Pair, ...]
    closest: tuple[Pair, ...]
    size: int
    space: str
    count: int
    real: int
    authentic: float
    floor: float
    searched: int
    of: int

    @property
    def unit(self) -> str:
        """Whose median distance is the unit of the ratios."""
        return "held-out real examples" if self.real else "the samples themselves"


def class_rows(sampler: Sampler, entries: Sequence[Entry]) -> ClassRows | None:
    """Samples of every label; None for a generator without labels, or of vectors."""
    classes = sampler.spec.classes
    if not classes or not sampler.spec.is_image:
        return None
    shown = min(classes, images.LABEL_ROWS)
    scored = next((e for e in entries if e.named("label-accuracy")), None)
    each = accuracies(scored, classes)
    names = sampler.class_names if len(sampler.class_names) == classes else ()
    scale = max(1, round(56 / sampler.spec.shape[1]))
    rows = []
    for label in range(shown):
        drawn = data_spec.as_uint8(sampler.sample(COLUMNS, label, SEED), sampler.spec)
        tiles = images.tiles(images.grid(drawn, COLUMNS), *sampler.spec.shape[1:])
        image = mosaic(opaque(tiles), COLUMNS, gap=GAP, ground=0)
        name = names[label] if names else str(label)
        share = each[label] if each and math.isfinite(each[label]) else None
        height, width = image.shape[:2]
        rows.append(ClassRow(
            name, data_uri(encoded(image)), width * scale, height * scale,
            f"{COLUMNS} samples of label {name}", share,
        ))  # fmt: skip
    return ClassRows(tuple(rows), scored.stamp if scored and each else "", classes - shown)


def accuracies(scored: Entry | None, classes: int) -> list[float]:
    """The accuracy of each class in [0, 1], from the label-accuracy score; [] without one.

    NaN for a label of which no sample was drawn.
    """
    score = scored.named("label-accuracy") if scored else None
    each = list(score.per_class) if score else []
    return each if len(each) == classes else []


def data_of_run(run: Run) -> tuple[Dataset, Dataset | None]:
    """The data the run was trained on, and their validation part, if there is one.

    Raises:
        DataError: the data are no longer there, or have changed.
    """
    train = load.training_data(run)
    try:
        return train, load.load_part(run, "validation")
    except GanforgeError:
        return train, None


def translations(translator: Translator, data: Dataset, count: int) -> Array:
    """Translations of at most `count` sources, evenly spread over the data."""
    assert data.source is not None
    return translator.translate(np.asarray(data.source[spread_rows(len(data.source), count)]), SEED)


def neighbours(
    run: Run,
    sampler: Sampler,
    searched: int = 60_000,
    count: int = 500,
    data: Callable[[Run], tuple[Dataset, Dataset | None]] = data_of_run,
) -> Neighbours:
    """The training examples nearest to samples, in the classifier's space or by pixels (pca).

    Args:
        searched: training examples at most among which the nearest is searched.
        count: samples at most whose neighbours are searched.
        data: the training and the validation data of a run.
    """
    train, validation = data(run)
    spec = train.spec
    space = features.space(features.small_space(spec), spec, train.values)
    rows = subset(len(train), min(searched, len(train)), SEED, "searched")
    count = min(count, len(train))  # the samples' labels are those of training rows, each used once
    if isinstance(sampler, Translator):
        fake = translations(sampler, train if validation is None else validation, count)
        count = len(fake)
    else:
        fake, _ = evaluate.draw(sampler, train, count, SEED)
    known = copying.reference(space.embed(np.asarray(train.values[rows])), SEED, cells=1)
    placed = copying.place(known, space.embed(fake))
    real_count = 0 if validation is None else min(count, len(validation))
    floor, unit = np.nan, float(np.median(placed.distance))
    if validation is not None and real_count >= LEAST:
        real = validation.values[subset(len(validation), real_count, SEED, "real")]
        away = copying.place(known, space.embed(np.asarray(real)))
        floor, unit = copying.authentic(known, away), float(np.median(away.distance))
    else:
        real_count = 0
    ratios = placed.distance / max(unit, 1e-12)
    closest = np.argsort(ratios, kind="stable")[:SHOWN]

    def pairs(chosen: Array) -> tuple[Pair, ...]:
        if not spec.is_image:
            return ()
        drawn = data_spec.as_uint8(fake[chosen], spec)
        nearest = data_spec.as_uint8(np.asarray(train.values[rows[placed.index[chosen]]]), spec)
        return tuple(
            Pair(picture(a), picture(b), float(r))
            for a, b, r in zip(drawn, nearest, ratios[chosen], strict=True)
        )

    return Neighbours(
        pairs(np.arange(min(SHOWN, count))), pairs(closest),
        spec.shape[-1] * max(1, round(56 / spec.shape[-1])) if spec.is_image else 0,
        space.name, count, real_count, copying.authentic(known, placed), floor, len(rows),
        len(train),
    )  # fmt: skip


def picture(image: Pixels) -> str:
    """One picture (H, W, C) uint8, one channel or three, as a data address."""
    return data_uri(encoded(opaque(images.grid(image[None], 1, gap=0))))


def evidence(path: Path) -> str:
    """A PNG file as a data address, at most `WIDEST` pixels across; empty if it is damaged."""
    from PIL import Image

    try:
        with Image.open(path, formats=["PNG"]) as image:
            image.thumbnail((WIDEST, 2 * WIDEST))
            return data_uri(encoded(np.asarray(image.convert("RGBA"))))
    except (OSError, ValueError, SyntaxError):
        return ""


def state_of_model(run: Run) -> str:
    """Why there is no model, in a sentence."""
    saved = any(run.checkpoints.glob("step-*")) if run.checkpoints.is_dir() else False
    if saved:
        return "The run has checkpoints but no model folder: train on to write one."
    return "The run has no checkpoint yet, so there is no model to sample."
