"""All checks on a run: take a snapshot, measure its signals, report what is wrong."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from ganforge.config.schema import Config
from ganforge.data.dataset import Dataset
from ganforge.diagnosis import findings, show, signals, snapshot
from ganforge.diagnosis.checks import CHECKS, Figures
from ganforge.diagnosis.findings import Diagnosis, Finding
from ganforge.diagnosis.remedies import advice
from ganforge.diagnosis.snapshot import N, Snapshot
from ganforge.errors import DataError, DiskError, check
from ganforge.evaluation.inputs import LEAST
from ganforge.evaluation.metrics import METRICS
from ganforge.runs.model import OwnNetworks


def diagnose(
    path: Path | str,
    *,
    data: Dataset | None = None,
    validation: Dataset | None = None,
    networks: OwnNetworks | None = None,
    n: int = N,
    save: bool = True,
) -> Diagnosis:
    """Make every check on a run, from its log, scores, newest checkpoint and fresh samples.

    A trainer may be at work in the folder and is not disturbed.

    Args:
        path: run folder.
        data: training examples, in place of those that the run names.
        validation: real examples that did not train the run, given with `data`.
        networks: your function, for a run whose networks are code of yours.
        n: samples to look at, and as many held-out examples; at least 100.
        save: write diagnosis.json and pictures into the folder, if it can be written.

    Returns:
        Findings, and what was and was not checked.

    Raises:
        UsageError: `n` is too small.
        DataError: there is no run, it is damaged, it has nothing to show yet, or `data` have
            another shape than the run's samples.
    """
    check(n >= LEAST, "n", n, f"at least {LEAST} samples")
    seen = snapshot.of_run(path, data, validation, networks, n)
    if data is not None and seen.sampler is not None and data.spec.shape != seen.sampler.spec.shape:
        raise DataError(
            f"{data.name}: examples of shape {data.spec.shape}, where {path} makes "
            f"{seen.sampler.spec.shape}: give data of its kind, or --size"
        )
    return examine(seen, Path(path) if save else None)


def examine(seen: Snapshot, path: Path | None = None, earlier: Collection[str] = ()) -> Diagnosis:
    """Make every check on a snapshot; save the diagnosis in the folder `path`, if given.

    earlier: codes found while the run trained.
    """
    measured = signals.measure(seen)
    found = run_checks(
        measured.figures,
        measured.unavailable,
        step=seen.step,
        config=seen.config,
        path=seen.path if path is None else path,
    )
    gone = {*earlier} & {*found.checked} - {*found.codes}
    found = replace(found, passed=tuple(sorted(gone)))
    if path is None:
        return found
    try:
        found = show.illustrate(found, seen, path)
        findings.save(path / findings.FILE, found)
    except DiskError:
        pass  # a folder that cannot be written can still be diagnosed
    return found


def run_checks(
    figures: Mapping[str, float],
    unavailable: Mapping[str, str],
    codes: Iterable[str] = tuple(CHECKS),
    step: int = 0,
    config: Config | None = None,
    path: Path | None = None,
) -> Diagnosis:
    """Make checks on figures.

    Args:
        figures: by name.
        unavailable: group of figures -> why there are none; "steps" -> why it is too early.
        codes: keys of `CHECKS`.
        step: of the run.
        config, path: of the run, for its remedies.
    """
    out: list[Finding] = []
    checked, skipped, known = [], {}, Figures(figures)
    for code in codes:
        one = CHECKS[code]
        if "steps" in unavailable and not one.early:
            skipped[code] = unavailable["steps"]
            continue
        if one.needs and all(name in unavailable for name in one.needs):
            skipped[code] = unavailable[one.needs[0]]
            continue
        checked.append(code)
        complaint = one.function(known)
        if complaint is not None:
            used = {name: figures[name] for name in complaint.figures if name in figures}
            remedy = advice(complaint.remedy, config, path)
            out.append(Finding(code, one.name, complaint.evidence, remedy, used))
    translates = config is not None and bool(config.pairing)
    reason = not_healthy(known, unavailable, translates)
    return Diagnosis(tuple(out), tuple(checked), skipped, step, reason)


def not_healthy(f: Figures, unavailable: Mapping[str, str], translates: bool = False) -> str:
    """Why a run cannot be called healthy even if no check finds anything, or "".

    translates: whether the run turns pictures into others; it has translations and no samples.
    """
    for group in ("steps", "translations" if translates else "samples"):
        if group in unavailable:
            return unavailable[group]
    if translates:
        return ""
    if f["examples"] < LEAST:
        return f"{f['examples']:.0f} training examples are too few to say, at least {LEAST}"
    if f["coverage_floor"] - f["coverage"] > METRICS["coverage"].close:
        return (
            f"its samples cover {f['coverage']:.2f} of the data, real examples "
            f"{f['coverage_floor']:.2f}"
        )
    for value, floor, far in (("value", "floor", "far"), ("distance", "distance_floor", "apart")):
        if f[far] > 0:
            return f"its Frechet distance is {f[value]:.4g}, of real examples {f[floor]:.4g}"
    return ""
