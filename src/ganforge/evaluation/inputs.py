"""One evaluation's input: checked, brought to equal N, embedded once.

Everything a metric may look at is here, so that a metric is one function of one `Case`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ganforge.data.spec import DataSpec
from ganforge.errors import DataError, UsageError
from ganforge.evaluation import copying, features, judges
from ganforge.evaluation.modes import Mixture
from ganforge.evaluation.neighbours import Prdc, prdc
from ganforge.evaluation.twosample import nearest_neighbour_test
from ganforge.rng import Stream
from ganforge.types import Array, Floats, Ints

LEAST = 100
TRUSTED = features.TRUSTED


def subset(count: int, n: int, seed: int, name: str) -> Ints:
    """n of 0 .. count - 1, ascending: a seeded random choice, never a prefix."""
    keys = Stream(seed, f"subset/{name}").words(0, count)
    return np.sort(np.argsort(keys, kind="stable")[:n]).astype(np.int64)


def check_samples(values: Array, spec: DataSpec, what: str, least: int = LEAST) -> None:
    """Raise a DataError unless `values` are at least `least` stored examples of `spec`.

    Arguments:
        values: (N, H, W, C) or (N, F).
        spec: what one example looks like.
        what: the noun of the message, such as "samples".
        least: the smallest N that can be scored.
    """
    if values.ndim < 1 or values.shape[1:] != spec.stored_shape:
        raise DataError(
            f"{what} have shape {values.shape}: the data are (N, "
            f"{', '.join(map(str, spec.stored_shape))})"
        )
    if str(values.dtype) != spec.dtype:
        raise DataError(
            f"{what} are {values.dtype}, the data are {spec.dtype}: store them as the data are "
            "stored (ganforge.data.spec.decode), or a test finds the rounding instead of the fake"
        )
    if len(values) < least:
        raise DataError(f"{what}: {len(values)} are too few to score, at least {least} are needed")
    if values.dtype != np.uint8 and not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values).reshape(len(values), -1).all(1))[0])
        raise DataError(f"{what}: row {row} is not finite: remove it, or see why it diverged")


def check_labels(labels: Array | None, count: int, classes: int, what: str) -> Ints | None:
    """Labels as int64 (N,), or a DataError unless they are N integers in 0..K-1."""
    if labels is None:
        return None
    if labels.shape != (count,) or labels.dtype.kind not in "iu":
        raise DataError(
            f"{what}: {labels.dtype} of shape {labels.shape} for {count} examples: "
            "give one integer for each"
        )
    if labels.min() < 0 or labels.max() >= classes:
        raise DataError(
            f"{what}: {int(labels.min())}..{int(labels.max())}, the data have classes "
            f"0..{classes - 1}"
        )
    return labels.astype(np.int64)


def make_case(
    real_train: Array,
    real_eval: Array,
    fake: Array,
    *,
    spec: DataSpec,
    train_labels: Array | None = None,
    eval_labels: Array | None = None,
    fake_labels: Array | None = None,
    space: str | None = None,
    mixture: Mixture | None = None,
    seed: int = 0,
    split: str = "validation",
) -> Case:
    """Check everything, cut to equal N by seeded random subsets and say so in the note.

    Arguments: as `ganforge.evaluation.score.evaluate`.
    """
    given = {"training examples": real_train, "real examples": real_eval, "samples": fake}
    for what, values in given.items():
        check_samples(values, spec, what)
    _check_range(real_eval, fake)
    n = min(map(len, given.values()))
    shortest = min(given, key=lambda what: len(given[what]))
    note = ""
    if not len(real_eval) == len(fake) == n:
        had = f"{len(real_eval)} real examples, {len(fake)} samples"
        note = f"N = {n}, as many as there are {shortest} (given {had})"
    labels = [
        check_labels(given_labels, len(values), spec.classes, what)
        for given_labels, values, what in (
            (train_labels, real_train, "training labels"),
            (eval_labels, real_eval, "real labels"),
            (fake_labels, fake, "sample labels"),
        )
    ]
    picks = {
        "stand-in": subset(len(real_train), n, seed, "stand-in"),
        "real": subset(len(real_eval), n, seed, "real"),
        "fake": subset(len(fake), n, seed, "fake"),
    }
    chosen = features.space(space or features.default_space(spec), spec, real_train)
    return Case(
        spec=spec,
        seed=seed,
        split=split,
        n=n,
        space=chosen,
        train=real_train,
        stand_in=real_train[picks["stand-in"]],
        real=real_eval[picks["real"]],
        fake=fake[picks["fake"]],
        train_labels=labels[0],
        stand_in_labels=None if labels[0] is None else labels[0][picks["stand-in"]],
        real_labels=None if labels[1] is None else labels[1][picks["real"]],
        fake_labels=None if labels[2] is None else labels[2][picks["fake"]],
        mixture=mixture,
        note=note,
    )


def _check_range(real: Array, fake: Array) -> None:
    """Pictures in 0..1 cast to uint8 are nearly black: a mistake, not a bad generator.

    Pictures that are all of one value may be one: they are scored.
    """
    if real.dtype == np.uint8 and fake.min() < fake.max() <= 1 < real.max():
        raise DataError(
            f"samples span {fake.min()}..{fake.max()}, the data {real.min()}..{real.max()}: "
            "scale them to 0..255 before storing them (ganforge.data.spec.decode)"
        )


@dataclass(frozen=True)
class Case:
    """What a metric may look at: stored examples, labels, and features computed once.

    n: examples of each of real, fake and stand_in; shapes (n, H, W, C) or (n, F).
    train: all training examples, for questions of copying.
    stand_in: training examples in the place of the samples; they give the floor.
    labels: int64 (n,), or None where there are none.
    mixture: the known modes of a toy, or None.
    """

    spec: DataSpec
    seed: int
    split: str
    n: int
    space: features.Space
    train: Array = field(repr=False)
    stand_in: Array = field(repr=False)
    real: Array = field(repr=False)
    fake: Array = field(repr=False)
    train_labels: Ints | None = field(default=None, repr=False)
    stand_in_labels: Ints | None = field(default=None, repr=False)
    real_labels: Ints | None = field(default=None, repr=False)
    fake_labels: Ints | None = field(default=None, repr=False)
    mixture: Mixture | None = None
    note: str = ""

    @cached_property
    def real_features(self) -> Floats:
        """(n, F)."""
        return self._embed(self.real)

    @cached_property
    def fake_features(self) -> Floats:
        """(n, F)."""
        return self._embed(self.fake)

    @cached_property
    def stand_in_features(self) -> Floats:
        """(n, F)."""
        return self._embed(self.stand_in)

    @cached_property
    def held_out(self) -> tuple[judges.HeldOut, judges.HeldOut]:
        """Logits of a fresh discriminator against the samples, and of one against the stand-in."""
        return (
            judges.discriminate(self.real_features, self.fake_features, self.seed),
            judges.discriminate(self.real_features, self.stand_in_features, self.seed),
        )

    @cached_property
    def neighbours(self) -> tuple[Prdc, Prdc]:
        """Precision, recall, density, coverage of the samples, and of the stand-in."""
        return (
            prdc(self.real_features, self.fake_features),
            prdc(self.real_features, self.stand_in_features),
        )

    @cached_property
    def nearest(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """1-NN accuracy on real and on fake, of the samples, and of the stand-in."""
        return (
            nearest_neighbour_test(self.real_features, self.fake_features),
            nearest_neighbour_test(self.real_features, self.stand_in_features),
        )

    @cached_property
    def copies(self) -> tuple[copying.Reference, copying.Placed, copying.Placed]:
        """All training examples, and samples and real examples placed among them."""
        cells = copying.CELLS if self.n >= 200 * copying.CELLS else 1
        train = copying.reference(self._embed(self.train), self.seed, cells)
        return (
            train,
            copying.place(train, self.fake_features),
            copying.place(train, self.real_features),
        )

    @cached_property
    def judge(self) -> tuple[Floats, Floats, str, str]:
        """Class logits of the samples and of the real examples, and the judge's name and sha256.

        The shipped MNIST classifier where the data are 28 x 28 with ten classes and it is right on
        97 % of the real ones; else one trained afresh on all training examples.
        """
        if self.real_labels is None or self.train_labels is None:
            raise UsageError(
                "a metric of classes needs the labels of the real and of the training examples"
            )
        if self.spec.shape == (1, 28, 28) and self.spec.classes == 10:
            real = features.classify(self.real)
            if (real.argmax(1) == self.real_labels).mean() >= TRUSTED:
                digest = features.classifier_sha256()
                return features.classify(self.fake), real, "mnist-lenet", digest
        own = judges.classifier(self.train, self.train_labels, self.spec.classes, self.seed)
        return own.logits(self.fake), own.logits(self.real), "own classifier", own.sha256()

    def _embed(self, values: Array) -> Floats:
        out = self.space.embed(values)
        if not np.isfinite(out).all():
            raise DataError(f"features in the space {self.space.name!r} are not finite")
        return out
