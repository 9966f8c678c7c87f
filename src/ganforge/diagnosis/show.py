"""Pictures of what was found, in the run folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from ganforge import files, images
from ganforge.data import spec as data_spec
from ganforge.diagnosis.checks import CHECKS
from ganforge.diagnosis.findings import Diagnosis
from ganforge.diagnosis.snapshot import Samples, Snapshot
from ganforge.errors import DataError
from ganforge.evaluation.metrics import copying
from ganforge.plotting import curves, points, style
from ganforge.sampling.translate import Translator, triples

FOLDER = "diagnosis"
SHOWN, PAIRS = 64, 16  # samples in a grid; copies beside their originals


def illustrate(found: Diagnosis, seen: Snapshot, path: Path) -> Diagnosis:
    """Draw the evidence of every finding.

    Args:
        found: of the snapshot.
        seen: what was looked at.
        path: run folder; pictures are written into its folder "diagnosis".

    Returns:
        `found`, with the pictures of its findings.
    """
    pictures = {"": (), "scores": tuple(path.glob("scores.png"))}
    for name in {CHECKS[code].picture for code in found.codes} - pictures.keys():
        try:
            data = DRAWINGS[name](seen)
        except DataError:  # nothing finite to draw
            pictures[name] = ()
        else:
            pictures[name] = (files.save_file(path / FOLDER / f"{name}.png", data),)
    shown = (replace(f, pictures=pictures[CHECKS[f.code].picture]) for f in found.findings)
    return replace(found, findings=tuple(shown))


def losses(seen: Snapshot) -> bytes:
    """Losses and D's outputs along the run."""
    return style.png(curves.losses(seen.log, vars(seen.config.game)))


def samples(seen: Snapshot) -> bytes:
    """Fresh samples: a grid with a row for each label, or points beside real ones."""
    fresh = compared(seen)
    spec = fresh.real.data.spec
    if not spec.is_image:
        return style.png(points.vectors(fresh.real.held_out.values, fresh.fake.values))
    grid = fresh.sampler.grid(SHOWN)
    _, columns = images.layout(SHOWN, fresh.sampler.spec.classes)
    return images.png(images.grid(data_spec.as_uint8(grid, spec), columns), 2)


def translations(seen: Snapshot) -> bytes:
    """Held-out sources, their translations, and the targets or the way back."""
    fresh = compared(seen)
    if not isinstance(fresh.sampler, Translator):
        raise DataError("there are no translations to draw")
    return images.png(images.grid(triples(fresh.sampler, fresh.real.validation, PAIRS), 6), 2)


def neighbours(seen: Snapshot) -> bytes:
    """The samples nearest to the training data, each above its nearest training example."""
    fresh = compared(seen)
    real, values = fresh.real, fresh.fake.values
    if not real.data.spec.is_image:
        return style.png(points.vectors(real.train.values, values))
    placed = copying.place(real.searched, real.pixel_space.embed(values))
    nearest = np.argsort(placed.distance)[:PAIRS]
    originals = np.asarray(real.data.values[real.searched_rows[placed.index[nearest]]])
    half = PAIRS // 2
    rows = [values[nearest[:half]], originals[:half], values[nearest[half:]], originals[half:]]
    shown = data_spec.as_uint8(np.concatenate(rows), real.data.spec)
    return images.png(images.grid(shown, half), 2)


def compared(seen: Snapshot) -> Samples:
    """The samples of a snapshot; DataError if there are none."""
    if seen.samples is None:
        raise DataError("there are no samples to draw")
    return seen.samples


# By the name that a line of `CHECKS` gives; "scores" is the curve that the run folder holds.
DRAWINGS: dict[str, Callable[[Snapshot], bytes]] = {
    "losses": losses,
    "neighbours": neighbours,
    "samples": samples,
    "translations": translations,
}
