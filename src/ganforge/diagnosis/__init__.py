"""What is wrong with a run, finished or under way: stable codes, evidence, one remedy each.

    for finding in diagnose("runs/cdcgan").findings:
        print(finding.code, finding.evidence, finding.remedy)

A check is a function of figures (checks.py), its code stands in codes.py. The figures come from the
log (from_log.py), the two players (from_players.py) and fresh samples (from_samples.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ganforge.data.dataset import Dataset
from ganforge.diagnosis import findings, folder, show
from ganforge.diagnosis.codes import CHECKS, NAMES, NEEDS, explain
from ganforge.diagnosis.findings import Diagnosis, Finding
from ganforge.diagnosis.snapshot import Patient
from ganforge.errors import DataError, DiskError
from ganforge.runs.model import OwnNetworks

KEPT = "diagnosis.json"


def diagnose(
    path: Path | str,
    *,
    data: Dataset | None = None,
    held: Dataset | None = None,
    networks: OwnNetworks | None = None,
    keep: bool = True,
) -> Diagnosis:
    """Every check on the run in a folder, from its log, its scores, its newest checkpoint and
    fresh samples; a trainer at work in it is not disturbed.

    data, held: training examples, and real ones that did not train it, in place of those the run
    names. networks: your own function, where the run was trained with one. keep: write
    diagnosis.json and pictures into the folder (where it can be written).
    Raises DataError where there is no run, it is damaged, or it has nothing to show yet, and where
    `data` are not of the kind that the run makes.
    """
    patient = folder.admit(path, data, held, networks)
    if data is not None and patient.sampler is not None:
        made = patient.sampler.spec.shape
        if data.spec.shape != made:
            raise DataError(
                f"{data.name}: examples of shape {data.spec.shape}, where {path} makes {made}: "
                "give data of its kind, or --size"
            )
    return examine(patient, Path(path) if keep else None)


def examine(patient: Patient, path: Path | None = None, codes: Sequence[str] = ()) -> Diagnosis:
    """Every check (or those of `codes`) of a patient; kept in the folder `path`, where given."""
    found = judge(patient.figures(), patient.lacking, codes or tuple(CHECKS), patient.step)
    if path is None:
        return found
    try:
        found = show.illustrate(found, patient, path)
        findings.save(path / KEPT, found)
    except DiskError:
        pass  # a folder that cannot be written can still be diagnosed
    return found


def judge(
    figures: Mapping[str, float], lacking: Mapping[str, str], codes: Sequence[str], step: int = 0
) -> Diagnosis:
    """The checks of `codes` on figures; `lacking` says which groups of those are not there."""
    out: list[Finding] = []
    checked, skipped = [], {}
    for code in codes:
        needs = NEEDS[code]
        if needs and all(name in lacking for name in needs):
            skipped[code] = lacking[needs[0]]
            continue
        checked.append(code)
        complaint = CHECKS[code](figures)
        if complaint is not None:
            kept = {name: figures[name] for name in complaint.figures if name in figures}
            out.append(Finding(code, NAMES[code], complaint.evidence, complaint.remedy, kept))
    return Diagnosis(tuple(out), tuple(checked), skipped, step)


__all__ = ["CHECKS", "NAMES", "Diagnosis", "Finding", "diagnose", "examine", "explain", "judge"]
