"""Pictures of what was found, in the run folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from ganforge import files, images
from ganforge.data import spec as data_spec
from ganforge.diagnosis.findings import Diagnosis
from ganforge.diagnosis.snapshot import Patient
from ganforge.errors import DataError
from ganforge.evaluation import copying
from ganforge.plotting import curves, points, style

FOLDER = "diagnosis"
SHOWN, PAIRS = 64, 16  # samples in a grid; copies beside their originals


def illustrate(found: Diagnosis, patient: Patient, path: Path) -> Diagnosis:
    """`found`, with the pictures of its findings written below the run folder `path`."""
    made: dict[Callable[[Patient], bytes], Path] = {}
    findings = []
    for finding in found.findings:
        shown: tuple[Path, ...] = ()
        for draw in PICTURES.get(finding.code, ()):
            if draw not in made:
                try:
                    data = draw(patient)
                except DataError:  # nothing finite to draw
                    continue
                made[draw] = files.save(path / FOLDER / f"{draw.__name__}.png", data)
            shown += (made[draw],)
        if finding.code == "GF012" and (path / "scores.png").is_file():
            shown += (path / "scores.png",)
        findings.append(replace(finding, pictures=shown))
    return replace(found, findings=tuple(findings))


def samples(patient: Patient) -> bytes:
    """Fresh samples: a grid, a row a label where there are labels; points beside real ones."""
    assert patient.sampler is not None and patient.train is not None
    spec = patient.train.spec
    if not spec.is_image:
        return style.png(points.vectors(patient.real["held"], patient.drawn[0]))
    grid = patient.sampler.grid(SHOWN)
    _, columns = images.layout(SHOWN, patient.sampler.spec.classes)
    return images.png(images.grid(data_spec.as_uint8(grid, spec), columns), 2)


def neighbours(patient: Patient) -> bytes:
    """The samples nearest to the training data, each above its nearest training example."""
    assert patient.train is not None
    spec = patient.train.spec
    values = patient.drawn[0]
    if not spec.is_image:
        return style.png(points.vectors(patient.real["train"], values))
    placed = copying.place(patient.reference, patient.plain.embed(values))
    nearest = np.argsort(placed.distance)[:PAIRS]
    originals = np.asarray(patient.train.values[patient.known[placed.index[nearest]]])
    half = PAIRS // 2
    rows = [values[nearest[:half]], originals[:half], values[nearest[half:]], originals[half:]]
    shown = data_spec.as_uint8(np.concatenate(rows), spec)
    return images.png(images.grid(shown, half), 2)


def losses(patient: Patient) -> bytes:
    """Losses and D's verdicts along the run."""
    return style.png(curves.losses(patient.log, vars(patient.config.game)))


PICTURES: dict[str, tuple[Callable[[Patient], bytes], ...]] = {
    "GF001": (samples,),
    "GF002": (samples,),
    "GF003": (losses,),
    "GF004": (losses,),
    "GF005": (losses,),
    "GF006": (losses,),
    "GF007": (losses,),
    "GF008": (losses,),
    "GF009": (samples,),
    "GF010": (neighbours,),
}
