"""The contract of every metric, and what a case of arrays refuses."""

import json
import math
from dataclasses import replace
from pkgutil import resolve_name

import numpy as np
import pytest
import torch

from ganforge.data.dataset import Examples
from ganforge.data.spec import DataSpec
from ganforge.errors import DataError, GanforgeError, UsageError
from ganforge.evaluation import features, metrics
from ganforge.evaluation.inputs import LEAST, make_case
from ganforge.evaluation.metrics import METRICS, NEEDS, fitting
from ganforge.evaluation.metrics import scores as all_scores
from ganforge.evaluation.metrics.modes import ring
from ganforge.evaluation.score import Score

SPEC = DataSpec((2,), 8, "float32", False, (0.0,), (1.0,))
MIXTURE = ring(8, 1.0, 0.05)


def drawn(seed, n, modes=8):
    g = np.random.default_rng(seed)
    labels = g.integers(0, modes, n)
    return (MIXTURE.centres[labels] + 0.05 * g.normal(size=(n, 2))).astype("f4"), labels


def case_of(real_train, real_eval, fake, train_labels=None, eval_labels=None, fake_labels=None,
            **more):  # fmt: skip
    sets = (real_train, train_labels), (real_eval, eval_labels), (fake, fake_labels)
    return make_case(*(Examples(*part) for part in sets), **more)


def evaluate(*sets, metrics=None, **more):
    """The scores of arrays."""
    return all_scores(case_of(*sets, **more), metrics)


def given(fake, fake_labels, **more):
    train, train_labels = drawn(1, 500)
    real, real_labels = drawn(2, 240)
    return {
        "real_train": train,
        "real_eval": real,
        "fake": fake,
        "spec": SPEC,
        "train_labels": train_labels,
        "eval_labels": real_labels,
        "fake_labels": fake_labels,
        "mixture": MIXTURE,
        **more,
    }


@pytest.fixture(scope="module")
def scores():
    return {s.name: s for s in evaluate(**given(*drawn(3, 200), metrics=list(METRICS), seed=4))}


@pytest.mark.parametrize("name", METRICS)
def test_contract_stamped_with_a_floor(name, scores):
    score = scores[name]
    assert score.name == name
    assert math.isfinite(score.value) and math.isfinite(score.floor)
    assert score.spread >= 0
    assert 0 < score.n <= 200
    assert len(score.space_sha256) == 64 and int(score.space_sha256, 16) >= 0
    assert (score.seed, score.split) == (4, "validation")
    assert score.better in ("lower", "higher", "floor")
    assert "200 samples" in score.note  # N had to be limited: 240 real ones
    assert score.verdict in ("as real", "close", "far", "collapsed", "copies")
    card = json.loads(json.dumps(score.to_json(), allow_nan=False))
    assert Score.from_json(card) == score
    where = f"{metrics.__name__}.{METRICS[name].where}"
    assert METRICS[name].measures and resolve_name(where).__doc__


@pytest.mark.parametrize("name", METRICS)
def test_contract_perfect_samples_are_not_condemned(name, scores):
    assert scores[name].verdict in ("as real", "close")


@pytest.mark.parametrize("name", METRICS)
def test_contract_deterministic_whatever_the_global_state(name, scores):
    np.random.seed(7)
    torch.manual_seed(7)
    before = np.random.get_state()[1].copy(), torch.get_rng_state()
    (again,) = evaluate(**given(*drawn(3, 200), metrics=[name], seed=4))
    assert again == scores[name]
    assert (np.random.get_state()[1] == before[0]).all()
    assert torch.equal(torch.get_rng_state(), before[1])


@pytest.mark.parametrize("name", METRICS)
def test_contract_refuses_bad_input(name):
    fake, labels = drawn(3, 200)
    bad = fake.copy()
    bad[17, 1] = np.nan
    for broken, message in [
        ({"fake": bad}, "row 17"),
        ({"fake": fake[:0], "fake_labels": labels[:0]}, f"at least {LEAST}"),
        ({"fake": fake[:99], "fake_labels": labels[:99]}, f"99.*at least {LEAST}"),
        ({"fake": fake[:, :1]}, r"shape \(200, 1\)"),
        ({"fake": fake.astype("f8")}, "float64"),
        ({"fake_labels": labels + 1}, "0..7"),
        ({"fake_labels": labels[:-1]}, "199"),
        ({"real_eval": fake[:50], "eval_labels": labels[:50]}, "real examples: 50"),
    ]:
        with pytest.raises(DataError, match=message) as error:
            evaluate(**{**given(fake, labels), **broken, "metrics": [name]})
        assert "\n" not in str(error.value)


def test_another_seed_is_another_figure(scores):
    (other,) = evaluate(**given(*drawn(3, 200), metrics=["frechet"], seed=5))
    assert other.value != scores["frechet"].value


def test_every_need_is_described_and_met_by_some_case():
    assert {need for m in METRICS.values() for need in m.needs} == set(NEEDS)
    assert case_of(**given(*drawn(3, 200))).given == set(NEEDS)


def test_unknown_metrics_are_refused_by_name():
    with pytest.raises(UsageError, match="did you mean 'frechet'"):
        evaluate(**given(*drawn(3, 200), metrics=["frechett"]))
    with pytest.raises(UsageError, match="did you mean 'identity'"):
        evaluate(**given(*drawn(3, 200), space="identiti"))
    with pytest.raises(UsageError, match="mnist-lenet"):
        evaluate(**given(*drawn(3, 200), space="mnist-lenet"))


def test_metrics_that_need_what_is_not_given():
    bare = given(drawn(3, 200)[0], None, train_labels=None, eval_labels=None, mixture=None)
    for name in ("label-accuracy", "worst-class", "cas", "modes", "mode-kl", "high-quality"):
        with pytest.raises(UsageError, match="need"):
            evaluate(**bare, metrics=[name])


def test_default_metrics_follow_what_is_given():
    case = case_of(**given(*drawn(3, 200)))
    everything = set(METRICS) - {"parzen", "inception-score"}
    assert set(fitting(case.given)) == everything
    names = fitting(case_of(**given(drawn(3, 200)[0], None, mixture=None)).given)
    assert "modes" in names and "cas" not in names and "high-quality" not in names
    bare = given(*drawn(3, 200), train_labels=None, eval_labels=None, mixture=None)
    assert "modes" not in fitting(case_of(**bare).given)


def test_equal_n_by_random_subsets_never_prefixes():
    case = case_of(**given(*drawn(3, 200)))
    drawn_sets = (case.real, case.fake, *case.stand_ins)
    assert {len(part.values) for part in drawn_sets} == {case.n} == {200}
    real, _ = drawn(2, 240)
    assert not np.array_equal(case.real.values, real[:200])
    rows = {tuple(r) for r in real}
    assert all(tuple(r) in rows for r in case.real.values)


def test_n_is_at_most_the_least_of_the_sets():
    case = case_of(**given(*drawn(3, 200), n=150))
    assert case.n == 150 and {len(p.values) for p in (case.real, case.fake)} == {150}
    with pytest.raises(UsageError, match=r"n = 201.*at most 200"):
        case_of(**given(*drawn(3, 200), n=201))


def test_pictures_in_the_wrong_range():
    g = np.random.default_rng(0)
    real = g.integers(0, 256, (200, 6, 6, 1), dtype=np.uint8)
    spec = DataSpec((1, 6, 6))
    with pytest.raises(DataError, match=r"0\.\.1.*0\.\.255"):
        evaluate(real, real, real // 128, spec=spec, metrics=["frechet"])
    black = evaluate(real, real, np.zeros_like(real), spec=spec, metrics=["recall"])
    assert black[0].verdict == "collapsed"  # what a generator gone black gets, not a hint on ranges
    with pytest.raises(DataError, match=r"float32.*uint8"):
        evaluate(real, real, (real / 255).astype("f4"), spec=spec, metrics=["frechet"])


def test_features_that_overflow_are_refused(monkeypatch):
    def broken(real, spec):
        return lambda x: np.full((len(x), 2), np.inf, "f4"), "0" * 64

    recipe = features.SPACES["identity"]
    monkeypatch.setitem(features.SPACES, "identity", replace(recipe, load=broken))
    with pytest.raises(GanforgeError, match="not finite"):
        evaluate(**given(*drawn(3, 200), metrics=["frechet"]))
