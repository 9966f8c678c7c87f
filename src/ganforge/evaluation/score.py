"""`evaluate`: every metric of generated samples, stamped and beside its floor.

A metric is one function of a `Case`, in metrics.py or class_metrics.py, and one line of `METRICS`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ganforge.data.spec import DataSpec
from ganforge.errors import UsageError, did_you_mean
from ganforge.evaluation import class_metrics as by_class
from ganforge.evaluation import metrics as in_space
from ganforge.evaluation.inputs import Case, make_case
from ganforge.evaluation.modes import Mixture
from ganforge.evaluation.stamp import Score
from ganforge.types import Array


def evaluate(
    real_train: Array,
    real_eval: Array,
    fake: Array,
    *,
    spec: DataSpec,
    train_labels: Array | None = None,
    eval_labels: Array | None = None,
    fake_labels: Array | None = None,
    metrics: Sequence[str] | None = None,
    space: str | None = None,
    mixture: Mixture | None = None,
    seed: int = 0,
    split: str = "validation",
) -> list[Score]:
    """Score samples against real examples that did not train the generator.

    All sets are cut to the same N, the least of the three, by seeded random subsets. The floor of
    a metric is its value where training examples take the place of the samples (of the copying
    metrics: where held-out examples do).

    Arguments:
        real_train: stored training examples (T, H, W, C) uint8 or (T, F) float32.
        real_eval: stored real examples of the split (M, ...).
        fake: stored samples (N, ...).
        spec: what one example looks like.
        train_labels, eval_labels: classes of the real examples, for the metrics of classes.
        fake_labels: classes the samples were asked for, for label accuracy.
        metrics: keys of `METRICS`; None for all of `default_metrics`.
        space: a key of `features.SPACES`; None for the default of the data.
        mixture: the known modes of a toy.
        seed: of the subsets and of every judge.
        split: the name of the real examples' part, stamped on the scores.

    Raises:
        UsageError: a metric or a space is not known, or does not fit what was given.
        DataError: too few examples, another shape, type or range than the data, NaN.
    """
    for name in metrics or ():
        if name not in METRICS:
            raise UsageError(f"metric {name!r}: {did_you_mean(name, list(METRICS))}")
    case = make_case(
        real_train,
        real_eval,
        fake,
        spec=spec,
        train_labels=train_labels,
        eval_labels=eval_labels,
        fake_labels=fake_labels,
        space=space,
        mixture=mixture,
        seed=seed,
        split=split,
    )
    return [METRICS[name](case) for name in (default_metrics(case) if metrics is None else metrics)]


def default_metrics(case: Case) -> tuple[str, ...]:
    """The names computed where none is asked for: all that the given labels and modes allow."""
    names = list(GENERAL)
    labelled = case.train_labels is not None and case.real_labels is not None
    if case.mixture is not None or labelled:
        names += ["modes", "heavy-modes", "mode-kl"]
    if case.mixture is not None:
        names += ["high-quality"]
    if labelled and case.fake_labels is not None:
        names += ["label-accuracy", "worst-class", "cas"]
    return tuple(names)


METRICS: dict[str, Callable[[Case], Score]] = {
    "frechet": in_space.frechet,
    "kernel": in_space.kernel,
    "precision": in_space.precision,
    "recall": in_space.recall,
    "density": in_space.density_score,
    "coverage": in_space.coverage,
    "c2st": in_space.c2st,
    "1nn-real": in_space.nn_real,
    "1nn-fake": in_space.nn_fake,
    "mmd": in_space.mmd,
    "energy": in_space.energy,
    "sliced-wasserstein": in_space.sliced_wasserstein,
    "jsd": in_space.jsd,
    "authentic": in_space.authentic,
    "data-copying": in_space.data_copying,
    "label-accuracy": by_class.label_accuracy,
    "worst-class": by_class.worst_class,
    "cas": by_class.cas,
    "modes": by_class.held_modes,
    "heavy-modes": by_class.heavy_modes,
    "mode-kl": by_class.mode_kl,
    "high-quality": by_class.high_quality,
    "parzen": by_class.parzen,
    "inception-score": by_class.inception_score,
}
GENERAL = tuple(METRICS)[: tuple(METRICS).index("label-accuracy")]

__all__ = ["METRICS", "Score", "default_metrics", "evaluate"]
