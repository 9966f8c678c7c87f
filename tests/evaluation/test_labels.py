"""Label accuracy, CAS and the inception-type score on labels that are known."""

import math

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from ganforge.errors import UsageError
from ganforge.evaluation.metrics.labels import cas, inception_score, label_accuracy

G = np.random.default_rng(0)


def test_overall_per_class_and_worst():
    logits = np.eye(3)[[0, 0, 1, 1, 1, 2]]
    out = label_accuracy(logits, np.array([0, 0, 1, 1, 2, 2]))
    assert out.overall == pytest.approx(5 / 6)
    assert out.per_class == (1, 1, 0.5)
    assert (out.worst, out.per_class[out.worst]) == (2, 0.5)
    assert list(out.counts) == [2, 2, 2]


def test_a_class_nobody_asked_for_is_nan_and_never_the_worst():
    out = label_accuracy(np.eye(3)[[0, 1]], np.array([0, 0]))
    assert math.isnan(out.per_class[1]) and out.worst == 0


@pytest.mark.parametrize("labels", [np.array([0]), np.array([0, 3]), np.array([0, -1])])
def test_labels_that_are_no_classes_are_refused(labels):
    with pytest.raises(UsageError, match="labels"):
        label_accuracy(np.zeros((2, 3)), labels)


def test_cas_of_real_pictures_is_near_a_linear_classifier():
    data = load_digits()
    x = (data.images * 15).astype("u1")[..., None]
    y = data.target
    score = cas(x[:1000], y[:1000], x[1000:], y[1000:], classes=10, seed=0)
    linear = LogisticRegression(max_iter=2000).fit(data.data[:1000] / 16, y[:1000])
    assert score > linear.score(data.data[1000:] / 16, y[1000:]) - 0.03
    assert score == cas(x[:1000], y[:1000], x[1000:], y[1000:], classes=10, seed=0)


def test_cas_of_vectors_and_of_shuffled_labels():
    y = G.integers(0, 3, 1200)
    x = (np.eye(3)[y] * 4 + G.normal(size=(1200, 3))).astype("f4")
    assert cas(x[:600], y[:600], x[600:], y[600:], classes=3, seed=0) > 0.9
    wrong = (y[:600] + 1) % 3
    assert cas(x[:600], wrong, x[600:], y[600:], classes=3, seed=0) < 0.1


def test_inception_score_from_one_to_k():
    assert inception_score(np.zeros((50, 7))) == pytest.approx(1)
    assert inception_score(100 * np.eye(7)[np.arange(70) % 7]) == pytest.approx(7)
