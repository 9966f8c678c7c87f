"""Metrics of labels and modes, and the two that are kept for old tables."""

from __future__ import annotations

import math

import numpy as np

from ganforge.errors import UsageError
from ganforge.evaluation import density, features, labels, modes
from ganforge.evaluation.inputs import Case, subset
from ganforge.evaluation.stamp import Score, share, stamp


def label_accuracy(case: Case) -> Score:
    """Share of samples that show the label they were asked for; note: every class."""
    seen, floor, judge = _accuracies(case)
    each = " ".join(f"{100 * a:.1f}" for a in seen.per_class)
    return share(
        case,
        "label-accuracy",
        seen.overall,
        floor.overall,
        "higher",
        judge=judge,
        note=f"per class, %: {each}",
    )


def worst_class(case: Case) -> Score:
    """Label accuracy of the class that obeys least."""
    seen, floor, judge = _accuracies(case)
    return share(
        case,
        "worst-class",
        seen.worst_accuracy,
        floor.worst_accuracy,
        "higher",
        n=int(seen.counts[seen.worst]),
        judge=judge,
        note=f"class {seen.worst}; of the real ones class {floor.worst}",
    )


def cas(case: Case) -> Score:
    """Accuracy on real examples of a classifier trained on the samples; floor: on as many real."""
    if case.fake_labels is None or case.stand_in_labels is None or case.real_labels is None:
        raise UsageError("cas needs the labels of training, real and generated examples")
    k, test = case.spec.classes, (case.real, case.real_labels)
    seen = labels.cas(case.fake, case.fake_labels, *test, classes=k, seed=case.seed)
    floor = labels.cas(case.stand_in, case.stand_in_labels, *test, classes=k, seed=case.seed)
    judge = ("stored values", features.identity(case.spec).sha256)
    return share(case, "cas", seen, floor, "higher", judge=judge)


def held_modes(case: Case) -> Score:
    """Modes with at least one sample."""
    seen, floor, judge = _modes(case)
    value, least = float(seen.held), float(floor.held)
    note = f"of {seen.modes}"
    return stamp(
        case,
        "modes",
        value,
        floor=least,
        spread=0.0,
        better="higher",
        control=0.0,
        judge=judge,
        note=note,
    )


def heavy_modes(case: Case) -> Score:
    """Modes with at least a third of their share of all samples."""
    seen, floor, judge = _modes(case)
    value, least = float(seen.heavy), float(floor.heavy)
    note = f"of {seen.modes}; at least 1/{3 * seen.modes} of the samples each"
    return stamp(
        case,
        "heavy-modes",
        value,
        floor=least,
        spread=0.0,
        better="higher",
        control=0.0,
        judge=judge,
        note=note,
    )


def mode_kl(case: Case) -> Score:
    """Reverse KL of the mode histogram to uniform, nats."""
    seen, floor, judge = _modes(case)
    # 2n KL is about chi-square with K - 1 degrees of freedom for a perfect sampler
    spread = math.sqrt(2 * (seen.modes - 1)) / (2 * case.n)
    note = f"a perfect uniform sampler has {seen.kl_floor:.3g}"
    return stamp(
        case,
        "mode-kl",
        seen.reverse_kl,
        floor=floor.reverse_kl,
        spread=spread,
        better="lower",
        judge=judge,
        note=note,
    )


def high_quality(case: Case) -> Score:
    """Share of samples within three sigma of a mode."""
    if case.mixture is None:
        raise UsageError("high-quality needs the known modes of a toy")
    seen, floor, judge = _modes(case)
    return share(case, "high-quality", seen.high_quality, floor.high_quality, "higher", judge=judge)


def parzen(case: Case) -> Score:
    """Parzen log-likelihood of the real examples, nats; for the 2014 table only."""
    flat = features.identity(case.spec)
    real, fake, stand_in = (flat.embed(v) for v in (case.real, case.fake, case.stand_in))
    half = subset(case.n, case.n // 2, case.seed, "halves")
    choice, test = real[half], np.delete(real, half, 0)
    seen, floor = (density.parzen(c, choice, test) for c in (fake, stand_in))
    note = f"for the 2014 table only; sigma {seen.sigma:.3f}; scored on {len(test)}"
    return stamp(
        case,
        "parzen",
        seen.mean,
        floor=floor.mean,
        spread=seen.error,
        better="floor",
        judge=(flat.name, flat.sha256),
        note=note,
    )


def inception_score(case: Case) -> Score:
    """exp of the mutual information of sample and class; for old tables only."""
    fake, real, name, digest = case.judge
    groups = np.array_split(np.arange(case.n), 10)
    each = [labels.inception_score(fake[g]) for g in groups]
    return stamp(
        case,
        "inception-score",
        labels.inception_score(fake),
        floor=labels.inception_score(real),
        spread=float(np.std(each)),
        better="higher",
        judge=(name, digest),
        note="for old tables only",
    )


def _accuracies(
    case: Case,
) -> tuple[labels.LabelAccuracy, labels.LabelAccuracy, tuple[str, str]]:
    if case.fake_labels is None or case.real_labels is None:
        raise UsageError("label accuracy needs the labels the samples were asked for")
    fake, real, name, digest = case.judge
    seen = labels.label_accuracy(fake, case.fake_labels)
    return seen, labels.label_accuracy(real, case.real_labels), (name, digest)


def _modes(case: Case) -> tuple[modes.Modes, modes.Modes, tuple[str, str]]:
    """Modes of a known mixture, or else classes as a judge sees them; floor and judge."""
    if case.mixture is not None:
        flat = features.identity(case.spec)
        return (
            modes.count_modes(case.fake, case.mixture),
            modes.count_modes(case.stand_in, case.mixture),
            (flat.name, flat.sha256),
        )
    fake, real, name, digest = case.judge
    seen, floor = (modes.count_classes(x.argmax(1), case.spec.classes) for x in (fake, real))
    return seen, floor, (name, digest)
