"""Frechet distance against closed forms, SciPy's matrix root and torchmetrics."""

import numpy as np
import pytest
import scipy.linalg
import torch
from torchmetrics.image.fid import FrechetInceptionDistance

from ganforge.evaluation.jackknife import jackknife
from ganforge.evaluation.metrics.frechet import between, frechet, moments


class Flat(torch.nn.Module):
    """Features are the pixels, so that torchmetrics works on our arrays."""

    num_features = 12

    def forward(self, x):
        return x.reshape(len(x), -1)


def features(seed, n=400, f=12):
    g = np.random.default_rng(seed)
    return (g.normal(size=(n, f)) @ g.normal(size=(f, f)) + g.normal(size=f)).astype("f4")


def test_one_dimension_closed_form():
    value = between(np.array([1.0]), np.array([[4.0]]), np.array([-2.0]), np.array([[9.0]]))
    assert value == pytest.approx(3**2 + (2 - 3) ** 2)


def test_commuting_covariances_closed_form():
    a, b = np.array([1.0, 4.0, 9.0]), np.array([4.0, 4.0, 1.0])
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    value = between(np.zeros(3), turn * a @ turn.T, np.ones(3), turn * b @ turn.T)
    assert value == pytest.approx(3 + np.square(np.sqrt(a) - np.sqrt(b)).sum())


def test_against_scipy_matrix_root():
    m1, c1 = moments(features(1))
    m2, c2 = moments(features(2))
    root = scipy.linalg.sqrtm(c1 @ c2).real
    expected = np.square(m1 - m2).sum() + np.trace(c1 + c2 - 2 * root)
    assert between(m1, c1, m2, c2) == pytest.approx(expected, rel=1e-8)


def test_against_torchmetrics():
    x, y = features(3), features(4)
    oracle = FrechetInceptionDistance(feature=Flat(), normalize=True)
    oracle.set_dtype(torch.float64)
    oracle.update(torch.from_numpy(x).double().reshape(-1, 3, 2, 2), real=True)
    oracle.update(torch.from_numpy(y).double().reshape(-1, 3, 2, 2), real=False)
    assert frechet(x, y) == pytest.approx(float(oracle.compute()), rel=1e-4)


def test_zero_on_itself_and_for_singular_covariance():
    x = np.repeat(features(5, n=50), 2, axis=1)  # rank 12 of 24
    assert abs(frechet(x, x)) < 1e-4
    assert frechet(x, x + 1) == pytest.approx(24, rel=1e-4)


def test_jackknife_agrees_with_the_spread_over_repetitions():
    g = np.random.default_rng(0)
    values, errors = [], []
    for seed in range(30):
        x, y = g.normal(size=(300, 3)), g.normal(size=(300, 3)) + 0.5
        values.append(frechet(x, y))
        errors.append(jackknife(frechet, x, y, seed))
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.5)
