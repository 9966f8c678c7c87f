"""Metrics: one file a family, one line of `METRICS` a metric."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from pkgutil import resolve_name
from typing import NamedTuple

from ganforge import bar
from ganforge.data.dataset import Examples
from ganforge.errors import UsageError, choice, one_line
from ganforge.evaluation.inputs import Case
from ganforge.evaluation.score import Better, Measured, Metric, Score, verdict
from ganforge.types import Array


class UserMetric(NamedTuple):
    """A user's metric: a function of stored (samples, real examples) -> a number.

    name, sha256: of the function. better: "lower", "higher" or "floor".
    """

    name: str
    sha256: str
    function: Callable[[Array, Array], float]
    better: Better = "floor"


# What a metric may need beside the features of samples and real examples.
NEEDS = {
    "law": "the known modes of a toy law",
    "modes": "the known modes of a toy law, or labels of the training and of the real examples",
    "labels": "labels of the training and of the real examples",
    "sample labels": "the labels that the samples were generated for",
}
OTHER_NAMES = {"fid": "frechet", "fd": "frechet", "kid": "kernel", "is": "inception-score"}
LABELLED = ("labels", "sample labels")
BOTH = ("images", "vectors")


def check_names(names: Collection[str | UserMetric]) -> None:
    """UsageError for a metric that does not exist."""
    for name in names:
        if isinstance(name, str):
            if name.lower() in OTHER_NAMES:
                ours = OTHER_NAMES[name.lower()]
                raise UsageError(f"metric = {name!r}: here it is called {ours!r}")
            choice("metric", name, list(METRICS))


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


def scores(case: Case, names: Sequence[str | UserMetric] | None = None) -> list[Score]:
    """Score the samples of a case.

    Args:
        case: of `inputs.make_case`.
        names: keys of `METRICS`, or metrics of a user's; None for all default metrics whose needs
            are met.

    Raises:
        UsageError: a metric does not exist or needs what the case does not have.
    """
    check_names(names or ())
    wanted = fitting(case.given) if names is None else names
    found = []
    with bar.phase("metrics", len(wanted), "metrics"):
        for one in wanted:
            bar.advance("metrics", 0, f"metric {one if isinstance(one, str) else one.name}")
            found.append(_score(one, case) if isinstance(one, str) else of_user(one, case))
            bar.advance("metrics", 1)
    return found


def of_user(metric: UserMetric, case: Case) -> Score:
    """The score of a user's metric, with the sha256 of its source in place of a feature space's.

    The floor is the mean of its values for the stand-ins; there are no limits for a verdict, and
    no spread of the value.

    Raises:
        UsageError: an exception in the function, or a result that is no number.
    """
    name = metric.name

    def measured(samples: Examples) -> float:
        return float(metric.function(samples.values, case.real.values))

    try:
        value = measured(case.fake)
        floor = case.floor(
            case.of_stand_ins((name, metric.sha256), lambda i: measured(case.stand_ins[i]))
        )
    except Exception as error:  # a user's code may raise anything
        raise UsageError(
            f"your metric {name!r} must return a number for (samples, real examples) of shape "
            f"{case.real.values.shape}: {one_line(error)}"
        ) from error
    return Score(
        name, value, math.nan, floor.value, case.n, name, metric.sha256, case.seed, case.split,
        metric.better, case.note, floor_spread=floor.spread,
    )  # fmt: skip


def _score(name: str, case: Case) -> Score:
    metric = METRICS[name]
    for need, what in NEEDS.items():
        if need in metric.needs and need not in case.given:
            raise UsageError(f"the metric {name!r} needs {what}")
    found: Measured = resolve_name(f"{__name__}.{metric.where}")(case)
    return Score(
        name,
        found.value,
        found.spread,
        found.floor.value,
        found.n or case.n,
        *(found.space or (case.space.name, case.space.sha256)),
        case.seed,
        case.split,
        metric.better,
        "; ".join(filter(None, (found.note, case.note))),
        verdict(metric, found),
        found.per_class,
        found.floor.spread,
    )


METRICS = {
    "frechet": Metric("frechet:score", "lower", 0.0, 0.02, "Frechet distance", quick=BOTH,
        paper="heusel2017"),
    "kernel": Metric("kernel:score", "lower", 0.0, 0.02, "Kernel distance", paper="binkowski2018"),
    "precision": Metric("neighbours:precision", "higher", 0.02, 0.1,
        "Share of samples within the real support", quick=BOTH, paper="kynkaanniemi2019"),
    "recall": Metric("neighbours:recall", "higher", 0.02, 0.15,
        "Share of real examples within the samples' support", "collapsed", quick=BOTH,
        paper="kynkaanniemi2019"),
    # Far above its floor density is no virtue: the samples crowd where the data are densest.
    "density": Metric("neighbours:density", "floor", 0.05, 0.2,
        "Real balls around a sample over k", paper="naeem2020"),
    "coverage": Metric("neighbours:coverage", "higher", 0.02, 0.1,
        "Share of real balls with a sample inside", "collapsed", quick=BOTH, paper="naeem2020"),
    "c2st": Metric("twosample:c2st", "lower", 0.0, 0.15,
        "Held-out accuracy of a fresh classifier of real against fake", paper="lopezpaz2017"),
    "1nn-real": Metric("twosample:nn_real", "floor", 0.02, 0.1,
        "Leave-one-out 1-NN accuracy on the real examples", paper="xu2018"),
    "1nn-fake": Metric("twosample:nn_fake", "floor", 0.02, 0.1,
        "Leave-one-out 1-NN accuracy on the samples", paper="xu2018"),
    "mmd": Metric("twosample:mmd", "lower", 0.0, 0.02, "Unbiased Gaussian MMD^2",
        paper="gretton2012"),
    "energy": Metric("twosample:energy", "lower", 0.0, 0.02, "Energy distance",
        paper="szekely2013"),
    "sliced-wasserstein": Metric("sliced:score", "lower", 0.0, 0.1,
        "Sliced 2-Wasserstein distance over 128 directions", quick=("vectors",),
        paper="bonneel2015"),
    "jsd": Metric("divergence:jsd", "lower", 0.01, 0.1,
        "Jensen-Shannon divergence seen by a fresh held-out discriminator, nats",
        paper="goodfellow2014"),
    "authentic": Metric("copying:authentic_share", "higher", 0.02, 0.1,
        "AuthPct as a share, against all training examples", "copies", paper="alaa2022"),
    "data-copying": Metric("copying:copying_score", "higher", 0.0, 10.0,
        "C_T against all training examples", "copies", paper="meehan2020"),
    "modes": Metric("modes:covered", "higher", 0.0, 0.05,
        "Modes with at least one sample",
        "collapsed", needs=("modes",), quick=("vectors",), paper="srivastava2017"),
    "heavy-modes": Metric("modes:heavy", "higher", 0.0, 0.05,
        "Modes with at least a third of their share of all samples",
        "collapsed", needs=("modes",), quick=BOTH),
    "mode-kl": Metric("modes:kl", "lower", 0.01, 0.05,
        "Reverse KL of the mode histogram to uniform, nats",
        "collapsed", needs=("modes",), quick=("vectors",), paper="srivastava2017"),
    "high-quality": Metric("modes:high_quality", "higher", 0.01, 0.05,
        "Share of samples within three sigma of a mode",
        needs=("law",), quick=BOTH, paper="srivastava2017"),
    "label-accuracy": Metric("labels:accuracy", "higher", 0.01, 0.05,
        "Share of samples that show the label they were generated for",
        needs=LABELLED, quick=("images",)),
    "worst-class": Metric("labels:worst_class", "higher", 0.03, 0.15,
        "Label accuracy of the class with the lowest",
        needs=LABELLED, quick=("images",), shares_n=False),
    "cas": Metric("labels:cas_score", "higher", 0.01, 0.05,
        "Accuracy on real examples of a classifier trained on the samples",
        needs=LABELLED, paper="ravuri2019"),
    "parzen": Metric("parzen:score", "floor", 4.0, 20.0,
        "Parzen log-likelihood of the real examples, nats", default=False, paper="goodfellow2014"),
    "inception-score": Metric("labels:inception", "higher", 0.05, 0.5,
        "exp of the mutual information of sample and class",
        needs=("labels",), default=False, paper="salimans2016"),
}  # fmt: skip
