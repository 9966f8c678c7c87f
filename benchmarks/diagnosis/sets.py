"""The data of the scenarios: MNIST, sets made of it, and emoji."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from ganforge.data import load
from ganforge.data.dataset import Dataset, digest
from ganforge.data.spec import DataSpec
from ganforge.rng import Stream
from ganforge.types import Floats, Pixels

Sets = tuple[Dataset, Dataset]  # training and held-out examples


@lru_cache(maxsize=4)
def named(name: str) -> Sets:
    """A data set that ships with the package, and its validation part."""
    return load.load(name), load.load(name, part="validation")


def mnist() -> Sets:
    """All training pictures."""
    return named("mnist")


def part(sets: Sets, rows: Any, name: str) -> Sets:
    """Some of the training examples, and all held-out ones."""
    train, held_out = sets
    values = np.ascontiguousarray(train.values[rows])
    labels = None if train.labels is None else train.labels[rows]
    sha = digest(values, labels)
    return replace(train, name=name, values=values, labels=labels, sha256=sha), held_out


@lru_cache(maxsize=4)
def few(count: int) -> Sets:
    """A few training pictures, chosen by a fixed seed."""
    # the streams are called as when the figures were measured: they choose the same pictures
    order = np.argsort(Stream(0, "clinic/few").words(0, len(mnist()[0])), kind="stable")
    return part(mnist(), np.sort(order[:count]), f"mnist-{count}")


def few_held_out() -> Sets:
    """The Gaussian with 120 held-out examples to score by."""
    train, held_out = named("gaussian")
    values = np.ascontiguousarray(held_out.values[:120])
    return train, replace(held_out, values=values, sha256=digest(values, None))


@lru_cache(maxsize=1)
def without_ones() -> Sets:
    """MNIST without the digit 1."""
    labels = mnist()[0].labels
    assert labels is not None
    return part(mnist(), np.flatnonzero(labels != 1), "mnist-without-1")


@lru_cache(maxsize=1)
def shuffled() -> Sets:
    """MNIST with each picture's label drawn at random, in both parts."""

    def shuffle(data: Dataset) -> Dataset:
        drawn = Stream(0, f"clinic/labels/{data.part}").integers(0, len(data), 10)
        labels = drawn.astype(np.int64)
        return replace(
            data, name="mnist-shuffled", labels=labels, sha256=digest(data.values, labels)
        )

    train, held_out = mnist()
    return shuffle(train), shuffle(held_out)


@lru_cache(maxsize=2)
def tinted(side: int = 32) -> Sets:
    """Colour pictures: a digit of one colour on a darker ground of another, no labels."""

    def tint(data: Dataset) -> Dataset:
        grey = digits(data, 12_000 if side == 32 else 4_000, side)
        colours = Stream(0, f"clinic/tint/{data.part}").uniform(0, len(grey) * 6)
        inks = 255 * colours.reshape(-1, 2, 1, 1, 3).astype(np.float32)
        mixed = grey * (127 + inks[:, 0] / 2) + (1 - grey) * inks[:, 1] / 2
        return pictures("tinted" if side == 32 else f"tinted-{side}", data.part, rounded(mixed))

    train, held_out = mnist()
    return tint(train), tint(held_out)


@lru_cache(maxsize=1)
def noto() -> Sets:
    """Google's Noto emoji (Apache-2.0), 64 x 64: 1,200 colour pictures and some 600 held out."""
    values = np.concatenate([data.values for data in named("emoji-pairs")])
    order = np.argsort(Stream(0, "clinic/noto").words(0, len(values)), kind="stable")
    train, held_out = np.sort(order[:1200]), np.sort(order[1200:])
    return pictures("noto", "train", values[train]), pictures(
        "noto", "validation", values[held_out]
    )


@lru_cache(maxsize=1)
def few_emoji() -> Sets:
    """The first 32 of them."""
    return part(noto(), np.arange(32), "noto-32")


@lru_cache(maxsize=2)
def inked(paired: bool) -> Sets:
    """White digits on black (source), and digits in the ink of their class on yellow (target).

    Args:
        paired: source and target of a row are of one digit; else target are other digits.
    """
    inks = Stream(0, "clinic/inks").uniform(0, 30).reshape(10, 3).astype(np.float32) * 160

    def ink(data: Dataset) -> Dataset:
        grey = digits(data, 3_000 if data.part == "train" else 400)
        half = len(grey) // 2
        drawn = slice(None) if paired else slice(half, None)
        shown = slice(None) if paired else slice(half)
        labels = data.labels
        assert labels is not None
        colours = inks[labels[: len(grey)]][drawn, None, None, :]
        target = rounded(grey[drawn] * colours + (1 - grey[drawn]) * np.float32((255, 230, 120)))
        source = np.repeat(rounded(255 * grey[shown]), 3, axis=3)
        return translated("inked", data.part, source, target, unpaired=not paired)

    train, held_out = mnist()
    return ink(train), ink(held_out)


@lru_cache(maxsize=1)
def mixed_up() -> Sets:
    """`inked` pairs, in which every training source has the target of another one."""
    train, held_out = inked(True)
    assert train.source is not None
    wrong = np.roll(train.values, 7, axis=0)
    return translated("mixed-up", "train", train.source, wrong), held_out


@lru_cache(maxsize=1)
def unchanged() -> Sets:
    """`inked` pairs, in which every training source is its target: a folder given twice."""
    train, held_out = inked(True)
    assert train.source is not None
    return translated("unchanged", "train", train.source, train.source), held_out


# --- how they are made ------------------------------------------------------------------------


def digits(data: Dataset, count: int, side: int = 32) -> Floats:
    """The first pictures of MNIST in 0..1, (N, side, side, 1), on a wider ground."""
    times = side // 32
    grey = np.pad(data.values[:count], ((0, 0), (2, 2), (2, 2), (0, 0))).astype(np.float32) / 255
    return grey.repeat(times, axis=1).repeat(times, axis=2)


def rounded(values: Floats) -> Pixels:
    """Values of 0..255 as stored ones."""
    return values.round().clip(0, 255).astype(np.uint8)


def pictures(name: str, part: str, values: Pixels) -> Dataset:
    """Pictures without labels."""
    height, width, channels = values.shape[1:]
    spec = DataSpec((channels, height, width))
    return Dataset(name, part, spec, values, sha256=digest(values, None))


def translated(
    name: str, part: str, source: Pixels, target: Pixels, unpaired: bool = False
) -> Dataset:
    """Pictures with what they are translated from."""
    data = pictures(name, part, np.ascontiguousarray(target))
    source = np.ascontiguousarray(source)
    spec = replace(data.spec, source=pictures(name, part, source).spec)
    return replace(data, spec=spec, source=source, unpaired=unpaired)
