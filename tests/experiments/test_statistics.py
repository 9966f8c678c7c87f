"""Statistics of a few runs, compared with closed forms, published results and simulation."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from scipy import integrate, stats

from ganforge.experiments import statistics

RNG = np.random.default_rng(0)
# P(T > t) of Student's t with so many degrees of freedom
TAILS: dict[int, Callable[[float], float]] = {
    1: lambda t: 0.5 - math.atan(t) / math.pi,
    2: lambda t: 0.5 - t / (2 * math.sqrt(2 + t * t)),
    3: lambda t: 0.5 - (math.atan(t / 3**0.5) + 3**0.5 * t / (3 + t * t)) / math.pi,
    4: lambda t: 0.5 - t * (6 + t * t) / (2 * (4 + t * t) ** 1.5),
}
# of every table of Student's t
QUANTILES = {
    1: 12.70620473617471,
    4: 2.776445105197793,
    9: 2.262157162740992,
    29: 2.045229642132703,
}
# Student 1908, extra hours of sleep of ten patients with two drugs
SLEEP = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0], [
    1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4,
]  # fmt: skip


def with_t(t: float, count: int) -> np.ndarray:
    """Differences whose paired t statistic is t."""
    d = RNG.normal(size=count)
    d -= d.mean()
    return d + t * d.std(ddof=1) / math.sqrt(count)


@pytest.mark.parametrize("freedom", TAILS)
@pytest.mark.parametrize("t", [0.01, 0.5, 1.0, 2.5, 10.0])
def test_p_of_the_t_test_is_the_closed_form(freedom: int, t: float) -> None:
    p = statistics.t_test(with_t(t, freedom + 1))
    assert p == pytest.approx(2 * TAILS[freedom](t), rel=1e-10)
    assert statistics.t_test(with_t(-t, freedom + 1)) == pytest.approx(p, rel=1e-10)


@pytest.mark.parametrize("freedom", [7, 30])
def test_p_of_the_t_test_is_the_integral_of_the_density(freedom: int) -> None:
    log = math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)
    scale = math.exp(log) / math.sqrt(freedom * math.pi)
    tail, _ = integrate.quad(
        lambda x: scale * (1 + x * x / freedom) ** (-(freedom + 1) / 2), 1.7, np.inf, epsabs=1e-14
    )
    assert statistics.t_test(with_t(1.7, freedom + 1)) == pytest.approx(2 * tail, rel=1e-9)


@pytest.mark.parametrize("freedom", QUANTILES)
def test_the_interval_has_the_published_quantile(freedom: int) -> None:
    x = RNG.normal(3, 2, freedom + 1)
    found = statistics.summarise(x)
    error = math.sqrt(sum((v - x.mean()) ** 2 for v in x) / freedom / len(x))
    assert found.mean == pytest.approx(x.mean()) and found.error == pytest.approx(error)
    half = QUANTILES[freedom] * error
    assert (found.low, found.high) == pytest.approx((x.mean() - half, x.mean() + half), rel=1e-10)


def test_students_sleep_data() -> None:
    """R: t.test(extra ~ group, data = sleep, paired = TRUE)."""
    found = statistics.compare("1", "2", *(dict(enumerate(drug)) for drug in SLEEP))
    assert found.difference.mean == pytest.approx(-1.58)
    assert found.t == pytest.approx(0.002833, abs=5e-7)
    assert (found.difference.low, found.difference.high) == pytest.approx(
        (-2.4598858, -0.7001142), abs=5e-8
    )


def test_the_interval_covers_the_mean_in_95_of_100_samples() -> None:
    found = [statistics.summarise(x) for x in np.random.default_rng(5).normal(1, 2, (4000, 5))]
    share = np.mean([s.low < 1 < s.high for s in found])
    assert share == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / 4000))


@pytest.mark.parametrize("count", [2, 4, 5, 8])
def test_sign_flips_are_scipys_exact_permutation_test(count: int) -> None:
    for shift in (0.0, 0.5, 2.0):
        a, b = RNG.normal(shift, 1, count), RNG.normal(0, 1, count)
        expected = stats.permutation_test(
            (a, b), lambda x, y: (x - y).mean(), permutation_type="samples", n_resamples=np.inf
        )
        assert statistics.sign_flips(a - b) == pytest.approx(expected.pvalue)


def test_many_sign_flips_are_sampled() -> None:
    d = RNG.normal(0.3, 1, 20)
    assert statistics.sign_flips(d) == statistics.sign_flips(d)
    more = np.concatenate([d, [1e-12]])  # one that decides nothing: the exact p stays
    assert statistics.sign_flips(more) == pytest.approx(statistics.sign_flips(d), abs=0.01)
    assert statistics.sign_flips([1.0] * 5) == 2 / 32


def test_what_few_or_equal_values_can_say() -> None:
    one = statistics.summarise([2.0])
    assert one.mean == 2.0 and math.isnan(one.error) and math.isnan(one.low)
    assert statistics.summarise([]).count == 0
    assert math.isnan(statistics.t_test([1.0])) and math.isnan(statistics.sign_flips([1.0]))
    assert statistics.t_test([0.0, 0.0]) == 1.0 and statistics.sign_flips([0.0, 0.0]) == 1.0
    assert statistics.t_test([1.0, 1.0]) == 0.0
    missing = [0.5, math.nan, 0.7]  # a value that one run does not have, and no p of 0
    assert math.isnan(statistics.t_test(missing)) and math.isnan(statistics.sign_flips(missing))
    only_shared = statistics.compare("a", "b", {0: 1.0, 1: 2.0, 7: 9.0}, {1: 1.0, 0: 1.5, 3: 4.0})
    assert only_shared.seeds == (0, 1) and only_shared.difference.mean == 0.25


def test_holms_correction() -> None:
    """R: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")."""
    assert statistics.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert statistics.holm([0.6, 0.7]) == [1.0, 1.0] and statistics.holm([]) == []
    given = statistics.holm([0.01, math.nan, 0.02])
    assert given[0] == 0.02 and math.isnan(given[1]) and given[2] == 0.02


def test_importing_the_comparison_does_not_import_scipy() -> None:
    code = "import sys, ganforge.experiments.compare; print('scipy' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == "False"
