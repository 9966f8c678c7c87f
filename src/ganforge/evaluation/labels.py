"""Do samples show what they were asked to show?"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ganforge.errors import UsageError
from ganforge.evaluation import judges
from ganforge.types import Array


def label_accuracy(logits: Array, labels: Array) -> LabelAccuracy:
    """Share of samples a classifier of real data gives the label they were asked for.

    Arguments:
        logits: (N, K), of a classifier trained on real examples alone.
        labels: asked for, (N,), 0..K-1.
    """
    if logits.ndim != 2 or labels.shape != (len(logits),) or not len(labels):
        raise UsageError(
            f"logits {logits.shape} and labels {labels.shape}: expected (N, K) and (N,), N >= 1"
        )
    k = logits.shape[1]
    if labels.min() < 0 or labels.max() >= k:
        raise UsageError(f"labels {labels.min()}..{labels.max()}: the classifier knows 0..{k - 1}")
    hits = logits.argmax(1) == labels
    counts = np.bincount(labels, minlength=k)
    right = np.bincount(labels, weights=hits, minlength=k)
    per_class = tuple(float(r / c) if c else math.nan for r, c in zip(right, counts, strict=True))
    worst = int(np.nanargmin(per_class))
    return LabelAccuracy(float(hits.mean()), per_class, worst, per_class[worst], counts)


def cas(
    train: Array, train_labels: Array, test: Array, test_labels: Array, *, classes: int, seed: int
) -> float:
    """Classification accuracy score: train on the first set, accuracy on the second.

    Trained on generated examples and tested on real ones it says how much of the classes the
    generator holds; read it beside the same classifier trained on equally many real ones (Ravuri &
    Vinyals 2019).

    Arguments:
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

    Arguments:
        logits: (N, K).
    """
    x = logits.astype(np.float64)
    log_p = x - np.logaddexp.reduce(x, 1, keepdims=True)
    p = np.exp(log_p)
    marginal = np.log(np.maximum(p.mean(0), 1e-300))
    return float(np.exp((p * (log_p - marginal)).sum(1).mean()))


@dataclass(frozen=True)
class LabelAccuracy:
    """Shares in [0, 1].

    overall: of all samples. per_class: (K,), nan for a class nobody asked for.
    worst, worst_accuracy: the class with the lowest share, and that share.
    counts: samples asked for of each class, (K,).
    """

    overall: float
    per_class: tuple[float, ...]
    worst: int
    worst_accuracy: float
    counts: npt.NDArray[np.int64]
