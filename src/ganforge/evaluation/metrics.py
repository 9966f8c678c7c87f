"""Metrics of a feature space, each a function of one `Case`: value, floor, spread."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ganforge.evaluation import copying, density, twosample
from ganforge.evaluation import frechet as fd
from ganforge.evaluation import kernel as kd
from ganforge.evaluation.inputs import Case, subset
from ganforge.evaluation.stamp import Score, share, stamp
from ganforge.types import Array

PERMUTED = 2000  # examples a side of the permutation tests, whose memory grows with N^2


def frechet(case: Case) -> Score:
    """Frechet distance; spread: jackknife over five groups; control: trace of the covariance."""
    real, fake = case.real_features, case.fake_features
    return stamp(
        case,
        "frechet",
        fd.frechet(real, fake),
        floor=fd.frechet(real, case.stand_in_features),
        spread=fd.jackknife(real, fake, case.seed),
        better="lower",
        control=float(real.var(0, dtype=np.float64, ddof=1).sum()),
    )


def kernel(case: Case) -> Score:
    """Kernel distance; spread: standard deviation over the subsets."""
    real, size = case.real_features, min(kd.SIZE, case.n // 2)
    value, spread = kd.kernel_distance(real, case.fake_features, case.seed, size=size)
    floor, _ = kd.kernel_distance(real, case.stand_in_features, case.seed, size=size)
    control, _ = kd.kernel_distance(real, _average(real), case.seed, subsets=5, size=size)
    note = f"100 subsets of {size}"
    return stamp(
        case,
        "kernel",
        value,
        floor=floor,
        spread=spread,
        better="lower",
        control=control,
        note=note,
    )


def precision(case: Case) -> Score:
    """Share of samples within the real support, k = 3; spread: binomial standard error."""
    seen, floor = (p.precision for p in case.neighbours)
    return share(case, "precision", seen, floor, "higher", note="k = 3")


def recall(case: Case) -> Score:
    """Share of real examples within the samples' support, k = 3."""
    seen, floor = (p.recall for p in case.neighbours)
    return share(case, "recall", seen, floor, "higher", note="k = 3")


def density_score(case: Case) -> Score:
    """Real balls around a sample over k = 5; spread: standard error of the mean.

    Far above its floor it is no virtue: the samples crowd where the data are densest.
    """
    seen, floor = case.neighbours
    return stamp(
        case,
        "density",
        seen.density,
        floor=floor.density,
        spread=seen.density_error,
        better="floor",
        note="k = 5",
    )


def coverage(case: Case) -> Score:
    """Share of real balls that hold a sample, k = 5."""
    seen, floor = (p.coverage for p in case.neighbours)
    return share(case, "coverage", seen, floor, "higher", note="k = 5")


def c2st(case: Case) -> Score:
    """Held-out accuracy of a fresh classifier of real against fake."""
    seen, floor = (twosample.classifier_test(h) for h in case.held_out)
    note = f"{_p(seen.p)}; floor {_p(floor.p)}; half held out"
    return stamp(
        case,
        "c2st",
        seen.accuracy,
        floor=floor.accuracy,
        spread=seen.error,
        better="lower",
        note=note,
    )


def nn_real(case: Case) -> Score:
    """Leave-one-out 1-NN accuracy on the real examples."""
    return _nearest(case, 0)


def nn_fake(case: Case) -> Score:
    """Leave-one-out 1-NN accuracy on the samples."""
    return _nearest(case, 1)


def mmd(case: Case) -> Score:
    """Unbiased Gaussian MMD^2; spread: standard deviation under permutation."""
    return _permutation(case, "mmd", twosample.mmd_test, twosample.gaussian_mmd2)


def energy(case: Case) -> Score:
    """Energy distance; spread: standard deviation under permutation."""
    return _permutation(case, "energy", twosample.energy_test, twosample.energy_distance)


def sliced_wasserstein(case: Case) -> Score:
    """Sliced 2-Wasserstein distance over 128 directions; spread: standard error over them."""
    real = case.real_features
    u = twosample.random_directions(real.shape[1], case.seed)
    value, spread = twosample.sliced_wasserstein(real, case.fake_features, u)
    return stamp(
        case,
        "sliced-wasserstein",
        value,
        floor=twosample.sliced_wasserstein(real, case.stand_in_features, u)[0],
        spread=spread,
        better="lower",
        control=twosample.sliced_wasserstein(real, _average(real), u)[0],
        note=f"{len(u)} directions",
    )


def jsd(case: Case) -> Score:
    """Jensen-Shannon divergence seen by a fresh held-out discriminator, nats; a lower bound."""
    seen, floor = (density.divergence(h) for h in case.held_out)
    return stamp(
        case,
        "jsd",
        seen.jsd,
        floor=floor.jsd,
        spread=seen.error / 2,
        better="lower",
        note=f"C(G) = {seen.c:.4f}; half held out",
    )


def authentic(case: Case) -> Score:
    """AuthPct as a share, against all training examples; floor: held-out real examples."""
    train, fake, real = case.copies
    return share(
        case,
        "authentic",
        copying.authentic(train, fake),
        copying.authentic(train, real),
        "higher",
        note=f"{len(train.x)} training examples; floor is held-out real",
    )


def data_copying(case: Case) -> Score:
    """C_T against all training examples; floor: one half of the held-out against the other."""
    train, fake, real = case.copies
    half = subset(case.n, case.n // 2, case.seed, "halves")
    rest = np.setdiff1d(np.arange(case.n), half)
    return stamp(
        case,
        "data-copying",
        copying.data_copying(real, fake),
        floor=copying.data_copying(real.take(half), real.take(rest)),
        spread=1.0,  # of a z score
        better="higher",
        note=f"{len(train.x)} training examples; floor at N = {case.n // 2}",
    )


def _nearest(case: Case, side: int) -> Score:
    seen, floor = case.nearest
    return share(case, ("1nn-real", "1nn-fake")[side], seen[side], floor[side], "floor")


def _permutation(
    case: Case,
    name: str,
    test: Callable[[Array, Array, int], twosample.Permuted],
    statistic: Callable[[Array, Array], float],
) -> Score:
    """A permutation test on at most `PERMUTED` of each side; note: both p."""
    n = min(case.n, PERMUTED)
    pick = subset(case.n, n, case.seed, "permuted")
    real, fake, stand_in = (
        v[pick] for v in (case.real_features, case.fake_features, case.stand_in_features)
    )
    seen, floor = test(real, fake, case.seed), test(real, stand_in, case.seed)
    cut = f"; N = {n} of {case.n}, its cost grows with N^2" if n < case.n else ""
    return stamp(
        case,
        name,
        seen.value,
        floor=floor.value,
        spread=seen.null_spread,
        better="lower",
        control=statistic(real, _average(real)),
        n=n,
        note=f"{_p(seen.p)}; floor {_p(floor.p)}{cut}",
    )


def _average(real: Array) -> Array:
    """The control of distances: the average real example, repeated."""
    return np.repeat(real.mean(0, keepdims=True), len(real), 0)


def _p(p: float) -> str:
    return f"p = {p:.3g}" if p >= 1e-12 else "p < 1e-12"
