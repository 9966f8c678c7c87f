"""Counter randomness: what is drawn depends on seed, stream and position, and on nothing else."""

import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ganforge.rng import Order, Stream

GOLDEN: dict[str, list[float]] = {
    "words": [4047142789, 1419164440, 1713153553, 1099677295],
    "far": [1367088355, 2861695323],
    "normal": [0.4801515, -0.9257685, 0.291521],
    "uniform": [0.49772220849990845, 0.10231888294219971],
    "integers": [0, 8, 4, 5, 7, 2, 4, 1],
    "dropout_mask": [0.0, 0.0, 2.0, 2.0, 0.0, 0.0, 0.0, 2.0],
    "order": [1, 3, 5, 2, 3, 4, 6, 1, 0],
}
LARGE = st.integers(0, 2**40)


# --- position ---------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(first=LARGE, count=st.integers(0, 70), cut=st.integers(0, 70), seed=st.integers())
def test_the_nth_word_does_not_depend_on_how_it_is_asked_for(
    first: int, count: int, cut: int, seed: int
) -> None:
    stream, cut = Stream(seed, "x"), min(cut, count)
    whole = stream.words(first, count)
    assert whole.shape == (count,)
    assert whole.dtype == np.uint32
    stream.words(5, 1000)  # something else in between
    parts = [Stream(seed, "x").words(first, cut), stream.words(first + cut, count - cut)]
    assert np.array_equal(whole, np.concatenate(parts))
    for i in range(0, count, 13):
        assert stream.words(first + i, 1)[0] == whole[i]


@settings(max_examples=40, deadline=None)
@given(
    first=st.integers(0, 2**30),
    count=st.integers(1, 40),
    size=st.integers(1, 9),
    law=st.sampled_from(["normal", "uniform", "unit", "dropout_mask", "integers"]),
)
def test_a_sample_depends_on_its_index_alone(first: int, count: int, size: int, law: str) -> None:
    """Bit for bit: the noise of picture i in a batch of 1 and of 40."""
    stream = Stream(1, law)

    def draw(first: int, count: int) -> np.ndarray:  # type: ignore[type-arg]
        if law == "dropout_mask":
            return stream.dropout_mask(first, count, size, 0.3)
        if law == "integers":
            return stream.integers(first, count, 10)
        if law == "unit":
            return stream.uniform(first, count, size)
        return stream.draw(law, first, count, size)

    whole = draw(first, count)
    assert whole.shape == ((count,) if law == "integers" else (count, size))
    for i in (0, count // 2, count - 1):
        assert np.array_equal(draw(first + i, 1)[0], whole[i])
    part = draw(first + count // 3, count - count // 3)
    assert np.array_equal(part, whole[count // 3 :])


def test_golden_values() -> None:
    """A change of the generator changes every published run: it must not go unnoticed."""
    words = Stream(0, "z/discriminator").words(0, 4)
    assert words.tolist() == GOLDEN["words"]
    assert Stream(2**70, "x").words(10**12, 2).tolist() == GOLDEN["far"]
    normal = Stream(0, "z/discriminator").normal(1, 1, 3)[0]
    assert normal == pytest.approx(GOLDEN["normal"], abs=1e-6)  # logarithms differ in last bits
    assert Stream(0, "x").uniform(3, 1, 2)[0].tolist() == GOLDEN["uniform"]
    assert Stream(0, "x").integers(0, 8, 10).tolist() == GOLDEN["integers"]
    assert Stream(0, "x").dropout_mask(0, 1, 8, 0.5)[0].tolist() == GOLDEN["dropout_mask"]
    assert Order(0, 7).indices(5, 9).tolist() == GOLDEN["order"]


# --- laws -------------------------------------------------------------------------------------

N = 200_000


def is_law(sample: np.ndarray, law: str, *arguments: float) -> bool:  # type: ignore[type-arg]
    return bool(stats.kstest(sample, law, args=arguments).pvalue > 1e-3)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_normal_numbers_follow_their_law(size: int) -> None:
    drawn = Stream(3, "normal").normal(0, N // size, size).astype(np.float64)
    assert np.isfinite(drawn).all()
    for column in drawn.T:
        assert is_law(column, "norm")
    assert is_law(drawn.ravel(), "norm")
    if size > 1:  # both halves of a Box-Muller pair, and neighbours, are independent
        assert abs(np.corrcoef(drawn[:, 0], drawn[:, 1])[0, 1]) < 5 / (N // size) ** 0.5
        radius = (drawn[:, :2] ** 2).sum(1)
        assert is_law(radius, "chi2", 2)
    assert abs(np.corrcoef(drawn[1:, 0], drawn[:-1, 0])[0, 1]) < 5 / (N // size) ** 0.5
    assert not is_law(drawn.ravel() * 1.02, "norm")  # the check sees 2 %


def test_uniform_numbers_follow_their_law() -> None:
    unit = Stream(3, "uniform").uniform(0, N, 1)[:, 0]
    assert unit.dtype == np.float32
    assert unit.min() >= 0
    assert unit.max() < 1
    assert is_law(unit, "uniform")
    both = Stream(3, "uniform").draw("uniform", 0, N, 1)[:, 0]
    assert both.min() >= -1
    assert is_law(both, "uniform", -1, 2)


@pytest.mark.parametrize("drop", [0.0, 0.1, 0.3, 0.5, 0.95, 0.999999])
def test_dropout_masks_drop_the_stated_share(drop: float) -> None:
    size = 3
    factors = Stream(3, "dropout_mask").dropout_mask(0, N // 2, size, drop)
    assert set(np.unique(factors)) <= {np.float32(0), np.float32(1 / (1 - drop))}
    passed = int((factors > 0).sum())
    assert stats.binomtest(passed, factors.size, 1 - drop).pvalue > 1e-3 or drop > 0.99
    for a, b in ((0, 1), (1, 2)):  # halves of one word
        together = int(((factors[:, a] > 0) & (factors[:, b] > 0)).sum())
        assert drop > 0.99 or stats.binomtest(together, N // 2, (1 - drop) ** 2).pvalue > 1e-3


@pytest.mark.parametrize("below", [1, 2, 10, 1000])
def test_integers_are_uniform(below: int) -> None:
    drawn = Stream(4, "integers").integers(0, N, below)
    assert drawn.dtype == np.int64
    counts = np.bincount(drawn, minlength=below)
    assert len(counts) == below
    assert stats.chisquare(counts).pvalue > 1e-3 or below == 1


def test_streams_and_seeds_are_independent() -> None:
    names = ["z/discriminator", "z/generator", "label/generator", "init", "x", "y"]
    columns = [Stream(seed, name).normal(0, 20_000)[:, 0] for name in names for seed in (0, 1, -1)]
    off = np.corrcoef(columns) - np.eye(len(columns))
    assert np.abs(off).max() < 5 / 20_000**0.5
    assert not np.array_equal(Stream(1, "1/x").words(0, 8), Stream(11, "/x").words(0, 8))


def test_an_unknown_law() -> None:
    with pytest.raises(ValueError, match="cauchy"):
        Stream(0, "x").draw("cauchy", 0, 1, 1)


# --- order ------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 7, 64, 1000])
def test_every_epoch_is_a_permutation(size: int) -> None:
    order = Order(5, size)
    for epoch in range(4):
        assert sorted(order.indices(epoch * size, size)) == list(range(size))
    if size >= 64:
        assert not np.array_equal(order.indices(0, size), order.indices(size, size))
        assert not np.array_equal(order.indices(0, size), Order(6, size).indices(0, size))


@settings(max_examples=40, deadline=None)
@given(first=st.integers(0, 500), count=st.integers(0, 60), size=st.integers(1, 23))
def test_the_nth_index_is_a_function_of_seed_and_n(first: int, count: int, size: int) -> None:
    order = Order(0, size)
    whole = Order(0, size).indices(0, first + count)
    order.indices(first + 300, 5)  # epochs in any order
    assert np.array_equal(order.indices(first, count), whole[first:])


def test_all_permutations_come_up() -> None:
    order = Order(0, 3)
    seen = [tuple(order.indices(3 * epoch, 3)) for epoch in range(1200)]
    counts = [seen.count(p) for p in set(seen)]
    assert len(counts) == 6
    assert stats.chisquare(counts).pvalue > 1e-3


# --- the generators of others -----------------------------------------------------------------


def test_global_generators_are_left_alone() -> None:
    before = (torch.get_rng_state(), np.random.get_state(), random.getstate())
    stream = Stream(0, "x")
    stream.normal(0, 10, 3), stream.uniform(0, 10), stream.dropout_mask(0, 10, 3, 0.5)
    stream.integers(0, 10, 5), Order(0, 10).indices(0, 25)
    assert torch.equal(before[0], torch.get_rng_state())
    assert str(before[1]) == str(np.random.get_state())
    assert before[2] == random.getstate()


def test_nor_do_they_decide_anything() -> None:
    np.random.seed(0), torch.manual_seed(0)
    one = Stream(0, "x").words(0, 4)
    np.random.seed(1), torch.manual_seed(1)
    assert np.array_equal(one, Stream(0, "x").words(0, 4))
