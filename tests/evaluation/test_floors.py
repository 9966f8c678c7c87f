"""Floors are means over subsets with an error, and spreads hold for samples that are real."""

import numpy as np
import pytest
from scipy.special import stdtrit

from benchmarks.quality.null import scored
from ganforge.data.dataset import Examples
from ganforge.data.spec import DataSpec
from ganforge.errors import DataError
from ganforge.evaluation.inputs import FLOORS, make_case, stand_ins
from ganforge.evaluation.judges import discriminate
from ganforge.evaluation.metrics import METRICS, frechet, scores
from ganforge.evaluation.metrics.divergence import divergence
from ganforge.evaluation.metrics.modes import ring
from ganforge.evaluation.score import ALPHA, LIMIT

SPEC = DataSpec((2,), 0, "float32", False, (0.0,) * 2, (1.0,) * 2)


def normal(seed, n, scale=1.0):
    return Examples((scale * np.random.default_rng(seed).normal(size=(n, 2))).astype("f4"), None)


def case_of(train, fake, seed=0, **more):
    return make_case(train, normal(1, 200), fake, spec=SPEC, seed=seed, **more)


def test_stand_ins_share_nothing_if_there_are_enough():
    picks, common = stand_ins(1000, 200, 3)
    assert len(picks) == FLOORS == 5 and common == 0
    assert sorted(np.concatenate(picks)) == list(range(1000))
    assert all((np.diff(pick) > 0).all() for pick in picks)
    assert not np.array_equal(picks[0], stand_ins(1000, 200, 4)[0][0])


def test_stand_ins_of_few_examples_differ_as_much_as_they_can():
    picks, common = stand_ins(400, 200, 3)
    assert {len(set(pick)) for pick in picks} == {200}
    assert len({tuple(pick) for pick in picks}) == FLOORS
    assert 0.3 < common < 0.5  # random choices share half


def test_the_floor_is_the_mean_over_the_stand_ins_with_its_error():
    case = case_of(normal(0, 1000), normal(2, 200))
    (score,) = scores(case, ["frechet"])
    each = [frechet.frechet(case.real.values, x.values) for x in case.stand_ins]
    assert len(each) == 5 and len(set(each)) == 5
    assert score.floor == pytest.approx(np.mean(each), rel=1e-9)
    assert score.floor_spread == pytest.approx(np.std(each, ddof=1), rel=1e-9)
    floor = case.floor(each)
    assert floor.error == pytest.approx(floor.spread / 5**0.5)


def test_the_spread_of_few_examples_is_that_of_many():
    """Stand-ins that overlap vary less; the spread allows for it."""
    spreads, errors = [], []
    for seed in range(60):
        case = case_of(normal(100 + seed, 400), normal(2, 200), seed)
        floor = case.floor(float(x.values.mean()) for x in case.stand_ins)
        spreads.append(floor.spread)
        errors.append(floor.value)
    truth = 1 / 400**0.5  # of the mean of 200 x 2 standard normal numbers
    assert np.sqrt(np.square(spreads).mean()) == pytest.approx(truth, rel=0.15)
    assert floor.error / floor.spread == pytest.approx(np.std(errors) / truth, rel=0.25)


def test_half_of_the_training_examples_limit_n():
    case = case_of(normal(0, 300), normal(2, 200))
    assert case.n == 150 and "half of the training examples" in case.note
    with pytest.raises(DataError, match="150 training examples: at least 200"):
        case_of(normal(0, 150), normal(2, 200))


@pytest.mark.parametrize("name", METRICS)
def test_no_metric_takes_its_floor_from_the_samples(name):
    """The floor of one and the same real examples does not move with the samples."""
    g, law = np.random.default_rng(0), ring(4, 1.0, 0.1)
    spec = DataSpec((2,), 4, "float32", False, (0.0,) * 2, (1.0,) * 2)

    def drawn(count, modes=4):
        labels = np.arange(count) % modes
        return Examples((law.centres[labels] + 0.1 * g.normal(size=(count, 2))).astype("f4"),
                        labels)  # fmt: skip

    train, real, good = drawn(600), drawn(120), drawn(120)
    bad = Examples(np.repeat(train.values[:1], 120, 0), good.labels)
    more = {"spec": spec, "mixture": law, "seed": 1}
    (of_good,), (of_bad,) = (
        scores(make_case(train, real, fake, **more), [name]) for fake in (good, bad)
    )
    assert of_good.floor == of_bad.floor and of_good.floor_spread == of_bad.floor_spread
    assert of_good.floor_spread >= 0


# of four round Gaussians that lie far apart, N = 120
KNOWN = {
    "cas": (0.95, 1), "label-accuracy": (0.97, 1), "worst-class": (0.9, 1),
    "modes": (4, 4), "heavy-modes": (4, 4), "mode-kl": (1e-4, 0.05), "high-quality": (0.95, 1),
    "authentic": (0.3, 0.7), "data-copying": (1e-3, 1.5),
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "known_law"),
    [(name, True) for name in KNOWN] + [(n, False) for n in ("modes", "heavy-modes", "mode-kl")],
)
def test_the_floor_of_known_data_is_known_however_bad_the_samples(name, known_law):
    """A floor of 0, or one of these samples themselves, would call a collapsed ring real."""
    g, law = np.random.default_rng(0), ring(4, 1.0, 0.1)
    spec = DataSpec((2,), 4, "float32", False, (0.0,) * 2, (1.0,) * 2)

    def drawn(count, mode=None):
        labels = np.arange(count) % 4
        centres = law.centres[labels if mode is None else np.full(count, mode)]
        return Examples((centres + 0.1 * g.normal(size=(count, 2))).astype("f4"), labels)

    sets = drawn(600), drawn(120), drawn(120, mode=1)
    case = make_case(*sets, spec=spec, mixture=law if known_law else None, seed=1)
    (score,) = scores(case, [name])
    low, high = KNOWN[name]
    assert low <= abs(score.floor) <= high
    if name not in ("authentic", "data-copying", "high-quality"):  # these see no collapse
        assert score.verdict not in ("as real", "close")


def test_floors_are_computed_once_for_all_samples(monkeypatch):
    calls = []
    monkeypatch.setattr(frechet, "frechet", lambda a, b: calls.append(len(a)) or 1.0)
    floors, train = {}, normal(0, 1000)
    for seed in (2, 3):
        scores(case_of(train, normal(seed, 200), floors=floors), ["frechet"])
    whole = [n for n in calls if n == 200]  # the jackknife calls with fewer
    assert len(whole) == FLOORS + 2
    scores(case_of(train, normal(4, 200), seed=1, floors=floors), ["frechet"])
    assert len([n for n in calls if n == 200]) == 2 * FLOORS + 3  # other subsets: other floors


def test_c_t_of_real_samples_is_standard_normal_in_its_spread():
    z = [
        score.value / score.spread
        for seed in range(60)
        for score in scored(seed, 1000, ["data-copying"], training=2000)
    ]
    assert np.mean(z) == pytest.approx(0, abs=3 / 60**0.5)
    assert np.std(z) == pytest.approx(1, abs=0.28)  # three standard errors


def test_one_score_of_real_samples_in_a_hundred_is_condemned_at_most():
    names = ["frechet", "precision", "recall", "coverage", "density", "1nn-real", "1nn-fake",
             "sliced-wasserstein", "authentic"]  # fmt: skip
    bad = [
        (score.name, score.verdict)
        for seed in range(20)
        for score in scored(seed, 150, names)
        if score.verdict != "as real"
    ]
    assert len(bad) <= 5  # of 180; more than 5 in 1,000 trials if each is one in a hundred


def test_the_gaussian_toy_at_fourteen_times_its_floor():
    g = np.random.default_rng(0)
    spec = DataSpec((1,), 0, "float32", False, (0.0,), (1.0,))
    train, real = (Examples(g.normal(size=(n, 1)).astype("f4"), None) for n in (10000, 2000))
    case = make_case(train, real, Examples(real.values[::-1] * 1.0, None), spec=spec)
    (floor,) = scores(case, ["frechet"])
    shift = np.float32((14 * floor.floor) ** 0.5)
    (score,) = scores(make_case(train, real, Examples(real.values + shift, None), spec=spec),
                      ["frechet"])  # fmt: skip
    assert 13 < score.value / score.floor < 15 and score.verdict == "close"


def test_the_spread_of_the_kernel_distance_is_that_of_its_mean():
    """Not the five times larger one of a subset, which excused five times the floor."""
    g, values, spreads = np.random.default_rng(0), [], []
    for seed in range(12):
        train, real, fake = (
            Examples((g.normal(size=(n, 4)) + m).astype("f4"), None)
            for n, m in ((1000, 0.0), (400, 0.0), (400, 0.7))
        )
        spec = DataSpec((4,), 0, "float32", False, (0.0,) * 4, (1.0,) * 4)
        (score,) = scores(make_case(train, real, fake, spec=spec, seed=seed), ["kernel"])
        values.append(score.value)
        spreads.append(score.spread)
    assert 0.7 < np.mean(spreads) / np.std(values, ddof=1) < 2


def test_the_spread_of_jsd_has_the_training_of_the_discriminator():
    """The standard error over held-out examples alone was half of the deviation."""
    g = np.random.default_rng(0)
    train, real, fake = (Examples((g.normal(size=(n, 2)) + m).astype("f4"), None)
                         for n, m in ((2000, 0.0), (400, 0.0), (400, 0.5)))  # fmt: skip
    case = make_case(train, real, fake, spec=SPEC)
    (score,) = scores(case, ["jsd"])
    error = divergence(discriminate(*case.features, case.seed)).error / 2
    assert score.spread > max(error, score.floor_spread) > 0
    assert score.spread**2 == pytest.approx(error**2 + score.floor_spread**2)


def test_the_limit_of_noise_is_that_of_five_subsets():
    assert pytest.approx(stdtrit(FLOORS - 1, 1 - ALPHA), abs=0.005) == LIMIT
