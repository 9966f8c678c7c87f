"""Two-sample tests against scikit-learn and SciPy, and their p under the null."""

import numpy as np
import pytest
import scipy.stats
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.model_selection import LeaveOneOut, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier

from ganforge.errors import UsageError
from ganforge.evaluation.judges import HeldOut
from ganforge.evaluation.metrics import twosample as ts

G = np.random.default_rng(0)


def mmd2(x, y):
    return ts.mmd_test(x, y, 0, 0).value


def energy(x, y):
    return ts.energy_test(x, y, 0, 0).value


X, Y = G.normal(size=(60, 4)), G.normal(size=(60, 4)) + 0.5


def test_nearest_neighbour_against_scikit_learn():
    pool, truth = np.concatenate([X, Y]), np.repeat([1, 0], 60)
    said = cross_val_predict(KNeighborsClassifier(1), pool, truth, cv=LeaveOneOut())
    hits = said == truth
    assert ts.nearest_neighbour_test(X, Y) == pytest.approx((hits[:60].mean(), hits[60:].mean()))


def test_near_copies_push_the_real_accuracy_below_a_half():
    assert ts.nearest_neighbour_test(X, X + 1e-6) == (0, 0)


def test_gaussian_mmd_against_scikit_learn():
    n = 60
    width = np.median([np.linalg.norm(a - b) for i, a in enumerate(X) for b in X[:i]])
    gamma = 1 / (2 * width**2)
    xx, yy, xy = rbf_kernel(X, X, gamma), rbf_kernel(Y, Y, gamma), rbf_kernel(X, Y, gamma)
    expected = (xx.sum() + yy.sum() - 2 * n) / (n * (n - 1)) - 2 * xy.mean()
    # torch takes the lower middle of an even number of distances
    assert mmd2(X, Y) == pytest.approx(expected, rel=1e-2)


def test_energy_against_scipy():
    x, y = X[:, :1], Y[:, :1]
    expected = scipy.stats.energy_distance(x[:, 0], y[:, 0]) ** 2
    assert energy(x, y) == pytest.approx(expected)


def test_permutation_p_against_a_loop():
    out = ts.energy_test(X[:20], Y[:20], 3)
    assert out.value == pytest.approx(energy(X[:20], Y[:20]))
    pool = np.concatenate([X[:20], Y[:20]])
    values = []
    for _ in range(2000):
        mixed = pool[G.permutation(40)]
        values.append(energy(mixed[:20], mixed[20:]))
    p = (1 + sum(v >= out.value for v in values)) / 2001
    assert out.p == pytest.approx(p, abs=0.03)
    assert out.spread == pytest.approx(np.std(values), rel=0.15)


@pytest.mark.parametrize("test", [ts.mmd_test, ts.energy_test])
def test_p_is_uniform_under_the_null_and_small_beside_it(test):
    ps = [test(G.normal(size=(25, 2)), G.normal(size=(25, 2)), seed).p for seed in range(20)]
    assert scipy.stats.kstest(ps, "uniform").pvalue > 1e-3
    assert test(X, Y + 1, 0).p == pytest.approx(1 / 1000)


def test_identical_samples_have_the_largest_p():
    assert ts.mmd_test(X, X, 0).p == 1


def test_bandwidth_comes_from_the_real_half():
    # However far the fakes lie, the kernel is as narrow as the real half makes it.
    assert mmd2(X, X + 1e3) == pytest.approx(mmd2(X, X + 1e5), rel=1e-6)


def test_classifier_test_against_the_binomial():
    real = np.array([1.0] * 600 + [-1.0] * 400)
    fake = np.array([-1.0] * 550 + [1.0] * 450)
    out = ts.classifier_test(HeldOut(real, fake))
    assert out.value == pytest.approx(0.575)
    assert out.p == pytest.approx(scipy.stats.norm.sf(0.075 / np.sqrt(0.25 / 2000)))
    undecided = ts.classifier_test(HeldOut(np.zeros(50), np.zeros(50)))
    assert (undecided.value, undecided.p) == (0.5, 0.5)


@pytest.mark.parametrize("test", [ts.mmd_test, ts.energy_test])
def test_unequal_sizes_and_few_permutations_are_refused(test):
    with pytest.raises(UsageError, match="equally many"):
        test(X, Y[:10], 0)
    with pytest.raises(UsageError, match="at least 999"):
        test(X, Y, 0, 100)
    with pytest.raises(UsageError, match="equally many"):
        ts.nearest_neighbour_test(X, Y[:10])
    with pytest.raises(UsageError, match="identical"):
        mmd2(np.ones((9, 2)), np.ones((9, 2)))
