"""Kernel distance against a double loop and torchmetrics."""

import numpy as np
import pytest
import torch
from torchmetrics.image.kid import poly_mmd

from ganforge.errors import UsageError
from ganforge.evaluation.metrics.kernel import kernel_distance, mmd2

G = np.random.default_rng(0)
X, Y = G.normal(size=(60, 5)), G.normal(size=(60, 5)) + 0.3


def test_against_a_double_loop():
    def k(a, b):
        return (a @ b / 5 + 1) ** 3

    n = len(X)
    xx = sum(k(X[i], X[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    yy = sum(k(Y[i], Y[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    xy = sum(k(a, b) for a in X for b in Y) / n**2
    assert mmd2(X, Y) == pytest.approx(xx + yy - 2 * xy)


def test_against_torchmetrics():
    expected = float(poly_mmd(torch.from_numpy(X), torch.from_numpy(Y)))
    assert mmd2(X, Y) == pytest.approx(expected)


def test_one_subset_of_all_is_mmd2_at_the_real_scale():
    rms = np.sqrt(np.square(X).mean())
    value, spread = kernel_distance(X, Y, 0, subsets=3, size=60)
    assert value == pytest.approx(mmd2(X / rms, Y / rms))
    assert spread == pytest.approx(0, abs=1e-12)


def test_scale_of_the_features_does_not_matter():
    one = kernel_distance(X, Y, 0, subsets=4, size=20)
    other = kernel_distance(50 * X, 50 * Y, 0, subsets=4, size=20)
    assert one == pytest.approx(other)


def test_unbiased_so_that_equal_laws_average_to_zero():
    values = [mmd2(G.normal(size=(40, 4)), G.normal(size=(40, 4))) for _ in range(200)]
    assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(200)
    assert min(values) < 0


def test_subsets_larger_than_the_sample_are_refused():
    with pytest.raises(UsageError, match="61"):
        kernel_distance(X, Y, 0, size=61)
