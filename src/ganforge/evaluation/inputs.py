"""The input of one evaluation: samples checked, brought to equal N, embedded once.

Everything that a metric may look at is here, so that a metric is one function of one `Case`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from typing import Any, TypeVar

import numpy as np

from ganforge import bar
from ganforge.data import toy
from ganforge.data.dataset import LEAST_SCORED, Dataset, Examples, check_labels
from ganforge.data.spec import DataSpec
from ganforge.errors import DataError, check
from ganforge.evaluation import features
from ganforge.evaluation.score import Floor
from ganforge.rng import Stream
from ganforge.types import Array, Doubles, Floats, Ints

T = TypeVar("T")
Labelled = Dataset | Examples

LEAST = LEAST_SCORED  # examples of each of real and fake
FLOORS = 5  # subsets of training examples that stand in for samples


@dataclass(frozen=True)
class Mixture:
    """A law of K equal round Gaussians: centres (K, F), float64, and one sigma, in data units."""

    centres: Doubles
    sigma: float

    @classmethod
    def of(cls, law: toy.Mixture) -> Mixture:
        """The components of a toy law, rounded as its samples are."""
        return cls(np.array(law.means, np.float32).astype(np.float64), law.sigma)


@dataclass(frozen=True)
class Real:
    """Real examples to score with: those that trained, and those of a split that did not.

    Args:
        floors: what is computed of these examples alone, for all samples that are scored with them.
    """

    train: Dataset
    held_out: Dataset
    floors: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def mixture(self) -> Mixture | None:
        """The modes of a toy law whose modes are separate and equally likely."""
        law = toy.LAWS.get(self.train.name)
        if isinstance(law, toy.Mixture) and law.separate and not law.weights:
            return Mixture.of(law)
        return None


def subset(count: int, n: int, seed: int, name: str) -> Ints:
    """n of 0 .. count - 1, ascending: a seeded random choice, never a prefix."""
    keys = Stream(seed, f"subset/{name}").words(0, count)
    return np.sort(np.argsort(keys, kind="stable")[:n]).astype(np.int64)


def stand_ins(count: int, n: int, seed: int) -> tuple[list[Ints], float]:
    """Five random choices of n of 0 .. count - 1, and the mean share that two have in common.

    Choices are evenly spaced parts of one random order, so that they share nothing if count >= 5 n,
    and as little as possible otherwise. n is at most count / 2.
    """
    order = np.argsort(Stream(seed, "subset/stand-in").words(0, count), kind="stable")
    starts = (k * count // FLOORS for k in range(FLOORS))
    picks = [np.sort(np.take(order, start + np.arange(n), mode="wrap")) for start in starts]
    common = [len(np.intersect1d(a, b)) / n for a, b in combinations(picks, 2)]
    return picks, float(np.mean(common))


def check_samples(values: Array, spec: DataSpec, what: str) -> None:
    """Raise a DataError unless `values` are at least 100 stored examples of `spec`.

    Args:
        values: (N, H, W, C) or (N, F).
        spec: what one example looks like.
        what: the noun of the message, such as "samples".
    """
    if values.shape[1:] != spec.stored_shape:
        raise DataError(
            f"{what} have shape {values.shape}: the data are (N, "
            f"{', '.join(map(str, spec.stored_shape))})"
        )
    if str(values.dtype) != spec.dtype:
        raise DataError(
            f"{what} are {values.dtype}, the data are {spec.dtype}: store them as the data are "
            "stored (ganforge.data.spec.decode), or a test finds the rounding instead of the fake"
        )
    if len(values) < LEAST:
        raise DataError(f"{what}: {len(values)} are too few to score, at least {LEAST} are needed")
    if values.dtype != np.uint8 and not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values).reshape(len(values), -1).all(1))[0])
        raise DataError(f"{what}: row {row} holds NaN or infinity: remove it, or find out why")


def make_case(
    train: Labelled,
    real: Labelled,
    fake: Labelled,
    *,
    spec: DataSpec,
    space: str | features.Space | None = None,
    mixture: Mixture | None = None,
    seed: int = 0,
    split: str = "validation",
    n: int | None = None,
    note: str = "",
    floors: dict[Any, Any] | None = None,
) -> Case:
    """Check everything and cut all sets to one N, by seeded random subsets.

    The floor of a metric is its mean value with five subsets of the training examples in the place
    of the samples (of the copying metrics: with held-out examples).

    Args:
        train: training examples, stored values (T, H, W, C) uint8 or (T, F) float32, and labels
            (T,) for the metrics of classes.
        real: real examples of the split (M, ...); they did not train the generator.
        fake: samples (N, ...), and the labels that they were generated for.
        spec: what one example looks like.
        space: a key of `features.SPACES`; None for the default of the data.
        mixture: the known modes of a toy law.
        seed: of the subsets and of every network that is trained afresh.
        split: the name of the real examples' part, stamped on the scores.
        n: examples of each, see `_common_size`; None for as many as there can be.
        note: on every score; with n = None it says what limited N.
        floors: `Real.floors` of the same examples, to compute floors once for many samples.

    Raises:
        UsageError: the space is not known or does not fit the data; n is too large.
        DataError: too few examples, another shape, type or range than the data, NaN.
    """
    for what, part in (("training examples", train), ("real examples", real), ("samples", fake)):
        check_samples(part.values, spec, what)
    _check_range(real.values, fake.values)
    size, limit = _common_size(len(train.values), len(real.values), len(fake.values), n)
    picks, common = stand_ins(len(train.values), size, seed)

    def cut(part: Labelled, pick: Ints, what: str) -> Examples:
        return _cut(part, pick, spec.classes, f"labels of the {what}")

    return Case(
        spec, seed, split, size,
        features.space(space or features.default_space(spec), spec, train.values),
        train,
        tuple(cut(train, pick, "training examples") for pick in picks),
        common,
        cut(real, subset(len(real.values), size, seed, "real"), "real examples"),
        cut(fake, subset(len(fake.values), size, seed, "fake"), "samples"),
        mixture,
        limit or note,
        {} if floors is None else floors,
    )  # fmt: skip


def _common_size(train: int, real: int, fake: int, n: int | None) -> tuple[int, str]:
    """N for sets of these sizes, and a note if it is less than the number of examples.

    At most the number of real examples, of samples, or half of the training examples, so that
    subsets differ.
    """
    if train < 2 * LEAST:
        raise DataError(
            f"{train} training examples: at least {2 * LEAST} are needed, since the floor is a "
            "mean over subsets of them"
        )
    sizes = {"real examples": real, "samples": fake, "half of the training examples": train // 2}
    least = min(sizes, key=lambda what: sizes[what])
    size = sizes[least] if n is None else n
    check(size <= sizes[least], "n", size, f"at most {sizes[least]} examples")
    if n is not None or size == max(real, fake):
        return size, ""
    given_sizes = f"given {real} real examples, {fake} samples"
    return size, f"N = {size}, as many as there are {least} ({given_sizes})"


def _cut(part: Labelled, pick: Ints, classes: int, what: str) -> Examples:
    """Some rows of a set; DataError for labels that are none of the data's classes."""
    labels = part.labels
    if labels is not None:
        labels = check_labels(labels, len(part.values), what)
        if labels.max() >= classes:
            raise DataError(
                f"{what}: {labels.min()}..{labels.max()}, the data have classes 0..{classes - 1}"
            )
        labels = labels[pick]
    return Examples(part.values[pick], labels)


def _check_range(real: Array, fake: Array) -> None:
    """Pictures in 0..1 cast to uint8 are nearly black: a mistake, not a bad generator.

    Pictures that are all of one value may be one: they are scored.
    """
    if real.dtype == np.uint8 and fake.min() < fake.max() <= 1 < real.max():
        raise DataError(
            f"samples span {fake.min()}..{fake.max()}, the data {real.min()}..{real.max()}: "
            "scale them to 0..255 before storing them (ganforge.data.spec.decode)"
        )


@dataclass(frozen=True, repr=False)
class Case:
    """What a metric may look at: stored examples, labels, and features computed once.

    Args:
        n: examples of each of real, fake and every stand-in; shapes (n, H, W, C) or (n, F).
        train: all training examples, for questions of copying.
        stand_ins: subsets of the training examples in the place of the samples; the floor is
            measured on them.
        common: mean share of examples that two of them have in common.
        mixture: the known modes of a toy law, or None.
        floors: what was computed of the stand-ins, see `Real.floors`.
    """

    spec: DataSpec
    seed: int
    split: str
    n: int
    space: features.Space
    train: Labelled
    stand_ins: tuple[Examples, ...]
    common: float
    real: Examples
    fake: Examples
    mixture: Mixture | None
    note: str
    floors: dict[Any, Any]
    memory: dict[Any, Any] = field(default_factory=dict)

    @cached_property
    def features(self) -> tuple[Floats, Floats]:
        """Of real and fake, (n, F) each."""
        with bar.phase("features", 2 * self.n, "examples"):
            return self.embed(self.real.values), self.embed(self.fake.values)

    @cached_property
    def stand_in_features(self) -> tuple[Floats, ...]:
        """Of every stand-in, (n, F)."""
        with bar.phase("features of the floor", FLOORS * self.n, "examples"):
            return tuple(self.embed(x.values) for x in self.stand_ins)

    @property
    def given(self) -> frozenset[str]:
        """What the metrics may rely on beside features, see `given`."""
        labels = self.train.labels is not None and self.real.labels is not None
        return given(self.mixture is not None, labels, self.fake.labels is not None)

    def embed(self, values: Array) -> Floats:
        """Features (N, F) of stored examples; DataError if they are not finite."""
        out = self.space.embed(values)
        if not np.isfinite(out).all():
            raise DataError(f"features in the space {self.space.name!r} are not finite")
        return out

    def once(self, compute: Callable[[Case], T]) -> T:
        """compute(self), computed at the first call: what several metrics share."""
        if compute not in self.memory:
            self.memory[compute] = compute(self)
        found: T = self.memory[compute]
        return found

    def both(self, compare: Callable[..., T], *options: Any) -> tuple[T, list[T]]:
        """compare(real, other, *options) of features, for the samples and for every stand-in.

        It is computed at the first call: what several metrics share.
        """
        real, fake = self.features
        if compare not in self.memory:
            self.memory[compare] = compare(real, fake, *options)
        found: T = self.memory[compare]
        return found, self.of_stand_ins(
            compare, lambda i: compare(real, self.stand_in_features[i], *options)
        )

    def of_stand_ins(self, name: Any, compute: Callable[[int], T]) -> list[T]:
        """compute(i) for every stand-in i, once for all samples scored with the same examples.

        Args:
            name: of the computation; one that depends on the case's n, seed and space alone.
        """
        key = (name, self.n, self.seed, self.space.sha256)
        if key not in self.floors:
            self.floors[key] = [compute(i) for i in range(FLOORS)]
        found: list[T] = self.floors[key]
        return found

    def floor(self, values: Iterable[float]) -> Floor:
        """The floor of a metric from its values for the stand-ins, one each.

        Stand-ins that share a share c of their examples vary less than independent ones: the
        variance of one value is the variance of all / (1 - c), that of their mean c + (1 - c) / 5
        times the former.
        """
        x, c = np.array(list(values), dtype=np.float64), self.common
        spread = float(x.std(ddof=1)) / math.sqrt(1 - c)
        return Floor(float(x.mean()), spread, spread * math.sqrt(c + (1 - c) / len(x)))


def repeated_mean(x: Floats) -> Floats:
    """The average row of (N, F), N times: the control of the distances."""
    return np.repeat(x.mean(0, keepdims=True), len(x), 0)


def given(law: bool, labels: bool, sample_labels: bool) -> frozenset[str]:
    """The names of what is there, of `metrics.NEEDS`: a law or labels make modes known."""
    facts = {
        "law": law,
        "modes": law or labels,
        "labels": labels,
        "sample labels": labels and sample_labels,
    }
    return frozenset(name for name, there in facts.items() if there)
