"""Copying metrics against brute force and SciPy, and on samples known to copy."""

import numpy as np
import pytest
import scipy.stats
import torch
from sklearn.cluster import KMeans

from ganforge.errors import UsageError
from ganforge.evaluation.metrics.copying import (
    Placed,
    authentic,
    cell_scores,
    k_means,
    mann_whitney,
    place,
    reference,
)

G = np.random.default_rng(0)
TRAIN, HELD_OUT = G.normal(size=(600, 8)), G.normal(size=(400, 8))
FRESH = G.normal(size=(400, 8))
COPIES = TRAIN[:400] + 0.01 * G.normal(size=(400, 8))


def test_nearest_training_indices():
    out = place(reference(TRAIN, 0), COPIES)
    assert (out.index == np.arange(400)).all()
    assert out.distance == pytest.approx(np.linalg.norm(COPIES - TRAIN[:400], axis=1))


@pytest.mark.parametrize("samples", [FRESH, COPIES])
def test_authentic_against_brute_force(samples):
    to_train = np.linalg.norm(samples[:, None] - TRAIN[None], axis=-1)
    within = np.linalg.norm(TRAIN[:, None] - TRAIN[None], axis=-1)
    np.fill_diagonal(within, np.inf)
    gap = within.min(1)[to_train.argmin(1)]
    train = reference(TRAIN, 0)
    assert authentic(train, place(train, samples)) == (gap < to_train.min(1)).mean()


@pytest.mark.parametrize("ties", [False, True])
def test_mann_whitney_against_scipy(ties):
    x, y = G.normal(size=50), G.normal(size=70) + 0.2
    if ties:
        x, y = x.round(1), y.round(1)
    n, m = 50, 70
    u = scipy.stats.mannwhitneyu(x, y).statistic
    z = (u - n * m / 2) / np.sqrt(n * m * (n + m + 1) / 12)
    assert mann_whitney(x, y) == pytest.approx(z)


def test_data_copying_is_a_z_score_for_fresh_samples_and_far_below_for_copies():
    scores = []
    for seed in range(30):
        g = np.random.default_rng(seed)
        train = reference(g.normal(size=(300, 4)), seed, 3)
        held_out, fresh = (place(train, g.normal(size=(300, 4))) for _ in "ab")
        scores.append(cell_scores(held_out, fresh).c_t)
    assert abs(np.mean(scores)) < 0.7 and np.std(scores) < 1.7
    train = reference(TRAIN, 0, 1)
    held_out = place(train, HELD_OUT)
    assert cell_scores(held_out, place(train, COPIES)).c_t < -15
    mixed = np.concatenate([FRESH[:320], COPIES[:80]])  # a fifth of them copied
    assert cell_scores(held_out, place(train, mixed)).c_t < -3


def test_cells_count_by_their_share_of_the_held_out_examples():
    """Fresh samples in the cell of 300, copies in the cell of 100: by hand, weight by weight."""
    g = np.random.default_rng(1)
    held_out = [g.exponential(1.0, n) for n in (300, 100)]
    fake = [g.exponential(1.0, 200), g.exponential(0.1, 200)]
    z = [mann_whitney(q, p) for q, p in zip(fake, held_out, strict=True)]
    placed = [
        Placed(np.zeros(sum(map(len, parts)), int), np.concatenate(parts),
               np.repeat([0, 1], [len(part) for part in parts]))
        for parts in (held_out, fake)
    ]  # fmt: skip
    found = cell_scores(*placed)
    assert found.c_t == pytest.approx(0.75 * z[0] + 0.25 * z[1]) and abs(z[0] - z[1]) > 5
    assert found.deviation == pytest.approx((0.75**2 + 0.25**2) ** 0.5)


def test_one_cell_is_one_mann_whitney_test():
    train = reference(TRAIN, 0, 1)
    held_out, fresh = place(train, HELD_OUT), place(train, FRESH)
    assert cell_scores(held_out, fresh).c_t == mann_whitney(fresh.distance, held_out.distance)


def test_k_means_is_as_tight_as_scikit_learn():
    x = np.concatenate([G.normal(size=(100, 2)) + c for c in ((0, 0), (8, 0), (0, 8))])
    centres = k_means(torch.from_numpy(x), 3, 0).numpy()
    inertia = np.square(x[:, None] - centres[None]).sum(-1).min(1).sum()
    assert inertia == pytest.approx(KMeans(3, n_init=5, random_state=0).fit(x).inertia_, rel=1e-3)


def test_too_few_examples_for_a_copying_test_are_refused():
    with pytest.raises(UsageError, match="at least 5"):
        reference(TRAIN[:4], 0)
    train = reference(TRAIN, 0)
    with pytest.raises(UsageError, match="no cell"):
        cell_scores(place(train, HELD_OUT[:15]), place(train, FRESH))
