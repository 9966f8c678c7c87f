"""Metrics: one file a family, one line of `METRICS` a metric."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from ganforge.errors import UsageError, did_you_mean
from ganforge.evaluation.inputs import Case
from ganforge.evaluation.metrics import (
    copying,
    divergence,
    frechet,
    kernel,
    labels,
    modes,
    neighbours,
    parzen,
    sliced,
    twosample,
)
from ganforge.evaluation.score import Measured, Rule, Score, verdict

# What a metric may need beside the features of samples and real examples.
NEEDS = {
    "law": "the known modes of a toy law",
    "modes": "the known modes of a toy law, or labels of the training and of the real examples",
    "labels": "labels of the training and of the real examples",
    "sample labels": "the labels that the samples were generated for",
}
LABELLED = ("labels", "sample labels")
BOTH = ("images", "vectors")


@dataclass(frozen=True)
class Metric:
    """One metric.

    Args:
        function: value, floor and spread for a case.
        rule: which way is good, and the limits of the verdicts.
        measures: what it measures, in one clause.
        note: what stands on every score of it.
        needs: keys of `NEEDS`.
        default: computed if no metric is named and its needs are met.
        quick: "images", "vectors" or both if it takes a second or two at N = 2,500 on such data,
            and is computed while a run goes on.
        shares_n: whether its N is the N of the case; that of a part of the samples differs.
    """

    function: Callable[[Case], Measured]
    rule: Rule
    measures: str
    note: str = ""
    needs: tuple[str, ...] = ()
    default: bool = True
    quick: tuple[str, ...] = ()
    shares_n: bool = True


def check_names(names: Collection[str]) -> None:
    """UsageError for a metric that does not exist."""
    for name in names:
        if name not in METRICS:
            raise UsageError(f"metric {name!r}: {did_you_mean(name, list(METRICS))}")


def fitting(given: Collection[str], quick: str = "") -> tuple[str, ...]:
    """The default metrics whose needs are met.

    Args:
        given: what there is, see `inputs.given`.
        quick: "images" or "vectors" for the quick metrics of such data.
    """
    return tuple(
        name
        for name, metric in METRICS.items()
        if set(metric.needs) <= set(given) and (quick in metric.quick if quick else metric.default)
    )


def scores(case: Case, names: Sequence[str] | None = None) -> list[Score]:
    """Score the samples of a case.

    Args:
        case: of `inputs.make_case`.
        names: keys of `METRICS`; None for all default metrics whose needs are met.

    Raises:
        UsageError: a metric does not exist or needs what the case does not have.
    """
    check_names(names or ())
    return [_score(name, case) for name in (fitting(case.given) if names is None else names)]


def _score(name: str, case: Case) -> Score:
    metric = METRICS[name]
    for need, what in NEEDS.items():
        if need in metric.needs and need not in case.given:
            raise UsageError(f"the metric {name!r} needs {what}")
    found = metric.function(case)
    return Score(
        name,
        found.value,
        found.spread,
        found.floor,
        found.n or case.n,
        *(found.space or (case.space.name, case.space.sha256)),
        case.seed,
        case.split,
        metric.rule.better,
        "; ".join(filter(None, (metric.note, found.note, case.note))),
        verdict(metric.rule, found),
        found.per_class,
    )


METRICS = {
    "frechet": Metric(frechet.score, Rule("lower", 0.002, 0.02), "Frechet distance", quick=BOTH),
    "kernel": Metric(kernel.score, Rule("lower", 0.002, 0.02), "Kernel distance"),
    "precision": Metric(
        neighbours.precision,
        Rule("higher", 0.02, 0.1),
        "Share of samples within the real support",
        note=f"k = {neighbours.K_PRECISION}",
        quick=BOTH,
    ),
    "recall": Metric(
        neighbours.recall,
        Rule("higher", 0.02, 0.15, "collapsed"),
        "Share of real examples within the samples' support",
        note=f"k = {neighbours.K_PRECISION}",
        quick=BOTH,
    ),
    # Far above its floor density is no virtue: the samples crowd where the data are densest.
    "density": Metric(
        neighbours.density,
        Rule("floor", 0.05, 0.2),
        "Real balls around a sample over k",
        note=f"k = {neighbours.K_DENSITY}",
    ),
    "coverage": Metric(
        neighbours.coverage,
        Rule("higher", 0.02, 0.1, "collapsed"),
        "Share of real balls with a sample inside",
        note=f"k = {neighbours.K_DENSITY}",
        quick=BOTH,
    ),
    "c2st": Metric(
        twosample.c2st,
        Rule("lower", 0.02, 0.15),
        "Held-out accuracy of a fresh classifier of real against fake",
    ),
    "1nn-real": Metric(
        twosample.nn_real,
        Rule("floor", 0.02, 0.1),
        "Leave-one-out 1-NN accuracy on the real examples",
    ),
    "1nn-fake": Metric(
        twosample.nn_fake, Rule("floor", 0.02, 0.1), "Leave-one-out 1-NN accuracy on the samples"
    ),
    "mmd": Metric(twosample.mmd, Rule("lower", 0.002, 0.02), "Unbiased Gaussian MMD^2"),
    "energy": Metric(twosample.energy, Rule("lower", 0.002, 0.02), "Energy distance"),
    "sliced-wasserstein": Metric(
        sliced.score,
        Rule("lower", 0.02, 0.1),
        f"Sliced 2-Wasserstein distance over {sliced.PROJECTIONS} directions",
        quick=("vectors",),
    ),
    "jsd": Metric(
        divergence.jsd,
        Rule("lower", 0.01, 0.1),
        "Jensen-Shannon divergence seen by a fresh held-out discriminator, nats",
    ),
    "authentic": Metric(
        copying.authentic_share,
        Rule("higher", 0.02, 0.1, "copies"),
        "AuthPct as a share, against all training examples",
    ),
    "data-copying": Metric(
        copying.copying_score,
        Rule("higher", 3.0, 6.0, "copies"),
        "C_T against all training examples",
    ),
    "modes": Metric(
        modes.covered,
        Rule("higher", 0.0, 0.05, "collapsed"),
        "Modes with at least one sample",
        needs=("modes",),
        quick=("vectors",),
    ),
    "heavy-modes": Metric(
        modes.heavy,
        Rule("higher", 0.0, 0.05, "collapsed"),
        "Modes with at least a third of their share of all samples",
        needs=("modes",),
        quick=BOTH,
    ),
    "mode-kl": Metric(
        modes.kl,
        Rule("lower", 0.01, 0.05, "collapsed"),
        "Reverse KL of the mode histogram to uniform, nats",
        needs=("modes",),
        quick=("vectors",),
    ),
    "high-quality": Metric(
        modes.high_quality,
        Rule("higher", 0.01, 0.05),
        "Share of samples within three sigma of a mode",
        needs=("law",),
        quick=BOTH,
    ),
    "label-accuracy": Metric(
        labels.accuracy,
        Rule("higher", 0.01, 0.05),
        "Share of samples that show the label they were generated for",
        needs=LABELLED,
        quick=("images",),
    ),
    "worst-class": Metric(
        labels.worst_class,
        Rule("higher", 0.03, 0.15),
        "Label accuracy of the class with the lowest",
        needs=LABELLED,
        quick=("images",),
        shares_n=False,
    ),
    "cas": Metric(
        labels.cas_score,
        Rule("higher", 0.01, 0.05),
        "Accuracy on real examples of a classifier trained on the samples",
        needs=LABELLED,
    ),
    "parzen": Metric(
        parzen.score,
        Rule("floor", 4.0, 20.0),
        "Parzen log-likelihood of the real examples, nats",
        note="for the 2014 table only",
        default=False,
    ),
    "inception-score": Metric(
        labels.inception,
        Rule("higher", 0.05, 0.5),
        "exp of the mutual information of sample and class",
        note="for old tables only",
        needs=("labels",),
        default=False,
    ),
}
