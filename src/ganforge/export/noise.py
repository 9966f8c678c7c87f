"""The noise that an exported model is fed with, from a seed: the noise of `gf.load(...).sample`.

This file needs numpy alone and can be copied beside a model; noise.mjs is the same in JavaScript.
Plain number j of sample i is a function of (seed, law, i, j): two words of a Philox 4x64-10 stream
(Salmon et al. 2011) whose key is sha256("<seed>/sample/z") make two normal numbers (Box-Muller).
The codes of a generator that has some follow, each from the stream "<seed>/sample/z/<name>".
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

LAWS = ("normal", "uniform")


def noise(
    count: int,
    size: int,
    law: str = "normal",
    seed: int = 0,
    first: int = 0,
    truncation: float = 1.0,
    codes: Sequence[Mapping[str, Any]] = (),
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """z of samples first .. first + count - 1: plain numbers times the truncation, then codes.

    Args:
        count: N, 0 or more.
        size: Z, the numbers of a sample; in the metadata of an exported model, as the law.
        law: "normal" N(0, 1) or "uniform" U(-1, 1).
        seed: any whole number.
        first: index of the first sample, 0 or more.
        truncation: t in (0, 1]. Leave it at 1 for a model that has an input "truncation".
        codes: tables of name, law and size, as in the metadata: a "categorical" code is a vector of
            zeros with a one, others are as plain numbers.

    Returns:
        (N, Z) float32.

    Raises:
        ValueError: an argument of another type or out of range.
    """
    require_whole(seed, count=(count, 0), size=(size, 1), first=(first, 0))
    if law not in LAWS:
        raise ValueError(f"law = {law!r}: expected one of {', '.join(LAWS)}")
    if not 0 < truncation <= 1:
        raise ValueError(f"truncation = {truncation!r}: expected more than 0 and at most 1")
    plain = size - sum(code["size"] for code in codes)
    z = numbers(count, plain, law, seed, first, "sample/z")
    parts = [z * np.float32(truncation) if truncation != 1 else z]
    for code in codes:
        stream = f"sample/z/{code['name']}"
        if code["law"] == "categorical":
            drawn = words(seed, first, count, stream).astype(np.uint64)
            chosen = (drawn * np.uint64(code["size"])) >> np.uint64(32)
            parts.append(np.eye(code["size"], dtype=np.float32)[chosen.astype(np.int64)])
        else:
            parts.append(numbers(count, code["size"], code["law"], seed, first, stream))
    return np.concatenate(parts, axis=1)


def masks(
    count: int, size: int, drop: float, stream: str, seed: int = 0, first: int = 0
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Dropout factors of pictures first .. first + count - 1 that a translator turns.

    Args:
        count, size: N pictures, and the numbers of the input for each of them.
        drop: probability; it and the stream stand in the metadata, under "inputs".
        stream: as "translate/a2b/dropout.0".
        seed: any whole number.
        first: index of the first picture, 0 or more.

    Returns:
        (N, size) float32, 0 or 1 / (1 - drop).

    Raises:
        ValueError: an argument of another type or out of range.
    """
    require_whole(seed, count=(count, 0), size=(size, 1), first=(first, 0))
    if not 0 <= drop < 1:
        raise ValueError(f"drop = {drop!r}: expected at least 0 and less than 1")
    pairs = (size + 1) // 2
    halves = words(seed, first * pairs, count * pairs, stream).view(np.uint16)
    passed = halves.reshape(count, 2 * pairs)[:, :size] >= round(drop * 65536)
    return passed * np.float32(1 / (1 - drop))


def require_whole(seed: int, **bounded: tuple[int, int]) -> None:
    """ValueError unless all are whole numbers; bounded: by name (value, the least one)."""
    for key, (value, least) in bounded.items():
        if type(value) is not int or value < least:
            raise ValueError(f"{key} = {value!r}: expected a whole number, at least {least}")
    if type(seed) is not int:
        raise ValueError(f"seed = {seed!r}: expected a whole number")


def numbers(
    count: int, size: int, law: str, seed: int, first: int, stream: str
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The numbers of a law of samples first .. first + count - 1 of a stream, (count, size)."""
    width = size + size % 2 if law == "normal" else size
    drawn = words(seed, first * width, count * width, stream).reshape(count, width)
    return box_muller(drawn)[:, :size] if law == "normal" else from_words(drawn)


def words(
    seed: int, first: int, count: int, stream: str = "sample/z"
) -> np.ndarray[Any, np.dtype[np.uint32]]:
    """Words first .. first + count - 1 of a stream of a seed, (count,)."""
    key = np.frombuffer(hashlib.sha256(f"{seed}/{stream}".encode()).digest()[:16], dtype="<u8")
    block, skip = divmod(first, 8)  # a value of the counter gives 4 x 64 bits
    philox = np.random.Philox(key=key.astype(np.uint64), counter=[block, 0, 0, 0])
    raw = philox.random_raw(-(-(skip + count) // 8) * 4)
    return np.asarray(raw, dtype="<u8").view("<u4")[skip : skip + count]


def box_muller(
    drawn: np.ndarray[Any, np.dtype[np.uint32]],
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Pairs of words (N, 2 P) -> pairs of N(0, 1) numbers (N, 2 P), in single precision."""
    pairs = drawn.reshape(len(drawn), drawn.shape[1] // 2, 2)
    u = (pairs[..., 0].astype(np.float32) + np.float32(1)) * np.float32(2.0**-32)
    angle = pairs[..., 1].astype(np.float32) * np.float32(2.0**-32 * 2 * np.pi)
    radius = np.sqrt(np.float32(-2) * np.log(u))
    made = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)
    return made.reshape(drawn.shape)


def from_words(
    drawn: np.ndarray[Any, np.dtype[np.uint32]],
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Words (N, Z) -> U(-1, 1) numbers (N, Z), in single precision."""
    unit = (drawn >> 8).astype(np.float32) * np.float32(2.0**-24)
    return unit * np.float32(2) - np.float32(1)
