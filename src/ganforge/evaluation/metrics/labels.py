"""Metrics of a classifier: do samples show the label that they were generated for?"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ganforge.data.dataset import Examples
from ganforge.errors import UsageError
from ganforge.evaluation import features, judges
from ganforge.evaluation.inputs import Case, Labelled
from ganforge.evaluation.score import Floor, Measured, share, share_floor
from ganforge.types import Array, Floats, Ints


def accuracy(case: Case) -> Measured:
    """Share of samples that show their label; per class too; spread: binomial standard error."""
    seen, floor, space = _accuracies(case)
    each = seen.per_class
    note = f"per class, %: {' '.join(f'{100 * a:.1f}' for a in each)}"
    real = share_floor(floor.overall, case.n)
    return share(seen.overall, real, case.n, note, space=space, per_class=each)


def worst_class(case: Case) -> Measured:
    """Label accuracy of the class with the lowest; spread: binomial standard error."""
    seen, floor, space = _accuracies(case)
    note = f"class {seen.worst}; of the real ones class {floor.worst}"
    real = share_floor(floor.per_class[floor.worst], int(floor.counts[floor.worst]))
    worst = seen.per_class[seen.worst]
    return share(worst, real, int(seen.counts[seen.worst]), note, space=space)


def cas_score(case: Case) -> Measured:
    """Accuracy on real examples of a classifier trained on samples; floor: on as many real."""
    real, k = case.real, case.spec.classes

    def taught_by(x: Examples) -> float:
        return cas(x.values, known(x), real.values, known(real), classes=k, seed=case.seed)

    seen = taught_by(case.fake)
    floor = case.floor(case.of_stand_ins(cas, lambda i: taught_by(case.stand_ins[i])))
    digest = features.space("identity", case.spec).sha256
    return share(seen, floor, case.n, space=("stored values", digest))


def inception(case: Case) -> Measured:
    """exp of the mutual information of sample and class; spread: standard error by ten parts."""
    found = case.once(class_logits)
    (value, spread), (floor, error) = map(_with_error, (found.fake, found.real))
    real = Floor(floor, error, error)
    return Measured(value, real, spread, "for old tables only", space=found.space)


def _with_error(logits: Array) -> tuple[float, float]:
    """The Inception score, and its standard error by the deviation over ten parts."""
    each = [inception_score(part) for part in np.array_split(logits, 10)]
    return inception_score(logits), float(np.std(each, ddof=1)) / math.sqrt(10)


class ClassLogits(NamedTuple):
    """Class logits (n, K) of samples and of real examples; name and sha256 of the classifier.

    classify: stored examples -> their logits.
    """

    fake: Floats
    real: Floats
    space: tuple[str, str]
    classify: Callable[[Array], Floats]


def class_logits(case: Case) -> ClassLogits:
    """What a classifier of real data says.

    The shipped MNIST classifier if it knows the data; else one trained afresh on all training
    examples.
    """
    fake, real = case.fake.values, case.real
    digits = features.digit_logits(real.values, real.labels, case.spec)
    if digits is not None:
        space = ("mnist-lenet", features.classifier_sha256())
        return ClassLogits(features.classify(fake), digits, space, features.classify)
    train = case.train
    made = judges.classifier(train.values, known(train), case.spec.classes, case.seed)
    space = ("own classifier", made.sha256())
    return ClassLogits(made.logits(fake), made.logits(real.values), space, made.logits)


def known(examples: Labelled) -> Ints:
    """The labels of examples that have them: the needs of these metrics are met."""
    assert examples.labels is not None
    return examples.labels


def _accuracies(case: Case) -> tuple[LabelAccuracy, LabelAccuracy, tuple[str, str]]:
    found = case.once(class_logits)
    seen, floor = (
        label_accuracy(logits, known(x))
        for logits, x in ((found.fake, case.fake), (found.real, case.real))
    )
    return seen, floor, found.space


class LabelAccuracy(NamedTuple):
    """Shares in [0, 1].

    overall: of all samples. per_class: (K,), NaN for a class without samples.
    worst: the class with the lowest share. counts: samples of each class, (K,).
    """

    overall: float
    per_class: tuple[float, ...]
    worst: int
    counts: Ints


def label_accuracy(logits: Array, labels: Array) -> LabelAccuracy:
    """Share of samples to which a classifier of real data gives their label.

    Args:
        logits: (N, K), of a classifier trained on real examples only.
        labels: that the samples were generated for, (N,), 0..K-1.
    """
    n, k = logits.shape
    if labels.shape != (n,) or not np.isin(labels, np.arange(k)).all():
        raise UsageError(
            f"labels {np.unique(labels)} of shape {labels.shape}: "
            f"{n} samples and a classifier of 0..{k - 1} need one of those for each"
        )
    hits = logits.argmax(1) == labels
    counts = np.bincount(labels, minlength=k)
    right = np.bincount(labels, weights=hits, minlength=k)
    per_class = tuple(float(r / c) if c else math.nan for r, c in zip(right, counts, strict=True))
    return LabelAccuracy(float(hits.mean()), per_class, int(np.nanargmin(per_class)), counts)


def cas(
    train: Array, train_labels: Array, test: Array, test_labels: Array, *, classes: int, seed: int
) -> float:
    """Classification accuracy score: train on the first set, accuracy on the second.

    Trained on generated examples and tested on real ones it says how much of the classes the
    generator has learnt; read it beside the same classifier trained on equally many real ones
    (Ravuri & Vinyals 2019).

    Args:
        train, test: stored examples (N, ...) and (M, ...).
        train_labels, test_labels: (N,) and (M,), 0..K-1.
        classes: K.
        seed: of the classifier's weights and order.
    """
    logits = judges.classifier(train, train_labels, classes, seed).logits(test)
    return float((logits.argmax(1) == test_labels).mean())


def inception_score(logits: Array) -> float:
    """exp of the mean KL(p(y|x) || p(y)), between 1 and K; for old tables only.

    500 memorised images score as well as the data (Barratt & Sharma 2018). Salimans et al. 2016.

    Args:
        logits: (N, K).
    """
    x = logits.astype(np.float64)
    log_p = x - np.logaddexp.reduce(x, 1, keepdims=True)
    p = np.exp(log_p)
    marginal = np.log(np.maximum(p.mean(0), 1e-300))
    return float(np.exp((p * (log_p - marginal)).sum(1).mean()))
