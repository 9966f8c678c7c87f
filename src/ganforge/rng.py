"""Every random number of a run, as a function of (seed, stream, position).

Nothing here has a state to save. A stream is a Philox 4x64 counter generator whose key is a hash
of (seed, name); position n of a stream is its n-th 32-bit word, in every order of calls. So the
noise of picture i is the same in a batch of 1 and of 64, on one rank or eight, before and after a
resume, and sampling or scoring at other times shifts nothing.

Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Any

import numpy as np

from ganforge.types import Floats, Ints, Words

_WORDS_A_BLOCK = 8  # one Philox counter value gives 4 x 64 bits


class Stream:
    """One named sequence of random words.

    Arguments:
        seed: any integer.
        name: what the numbers are for, such as "z/discriminator"; other names are independent.
    """

    def __init__(self, seed: int, name: str):
        digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
        self._philox = np.random.Philox(key=np.frombuffer(digest[:16], dtype=np.uint64))
        self._state: Any = self._philox.state

    def words(self, first: int, count: int) -> Words:
        """Words first .. first + count - 1 of the stream, uint32 of shape (count,)."""
        block, skip = divmod(first, _WORDS_A_BLOCK)
        self._state["state"]["counter"] = np.array([block, 0, 0, 0], dtype=np.uint64)
        self._philox.state = self._state  # ten times cheaper than a new generator
        blocks = -(-(skip + count) // _WORDS_A_BLOCK)
        raw = self._philox.random_raw(blocks * 4)
        return np.asarray(raw, dtype="<u8").view(np.uint32)[skip : skip + count]

    def uniform(self, first: int, count: int, size: int = 1) -> Floats:
        """U[0, 1) for samples first .. first + count - 1, float32 of shape (count, size)."""
        words = self.words(first * size, count * size)
        return ((words >> 8).astype(np.float32) * np.float32(2.0**-24)).reshape(count, size)

    def normal(self, first: int, count: int, size: int = 1) -> Floats:
        """N(0, 1) for samples first .. first + count - 1, float32 of shape (count, size).

        Box-Muller on pairs of words: an odd size leaves its last word unused, so that a sample's
        numbers depend on nothing but its index.
        """
        even = size + size % 2
        words = self.words(first * even, count * even).reshape(count, even // 2, 2)
        u = (words[..., 0].astype(np.float32) + np.float32(1)) * np.float32(2.0**-32)
        angle = words[..., 1].astype(np.float32) * np.float32(2.0**-32 * 2 * np.pi)
        radius = np.sqrt(np.float32(-2) * np.log(u))
        pairs = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)
        return pairs.reshape(count, even)[:, :size]

    def draw(self, law: str, first: int, count: int, size: int) -> Floats:
        """Noise of a named law: "normal" is N(0, 1), "uniform" is U(-1, 1); (count, size)."""
        if law == "normal":
            return self.normal(first, count, size)
        if law == "uniform":
            return self.uniform(first, count, size) * np.float32(2) - np.float32(1)
        raise ValueError(f"noise law {law!r}: normal or uniform")

    def dropout_mask(self, first: int, count: int, size: int, drop: float) -> Floats:
        """Dropout factors, 0 with probability `drop` and 1 / (1 - drop) else; (count, size).

        One 16-bit half of a word each: the error of `drop` is below 2^-17.
        """
        pairs = (size + 1) // 2
        halves = self.words(first * pairs, count * pairs).view(np.uint16).reshape(count, pairs * 2)
        return (halves[:, :size] >= round(drop * 65536)) * np.float32(1 / (1 - drop))

    def integers(self, first: int, count: int, below: int) -> Ints:
        """Uniform integers 0 .. below - 1 for samples first .. first + count - 1, int64."""
        words = self.words(first, count).astype(np.uint64)
        return ((words * np.uint64(below)) >> np.uint64(32)).astype(np.int64)


class Order:
    """The endless shuffled pass over a data set: the n-th index is a function of (seed, n).

    Every epoch is a fresh permutation of 0 .. size - 1; a batch may contain the end of one epoch
    and the start of the next, so no batch is ever short.

    Args:
        seed: any integer.
        size: number of examples N.
        name: of the stream; two passes of other names are independent.
    """

    def __init__(self, seed: int, size: int, name: str = "order"):
        self.seed, self.size, self.name = seed, size, name
        self._epoch = lru_cache(maxsize=2)(self._permutation)  # a batch may lie in two epochs

    def _permutation(self, epoch: int) -> Ints:
        keys = Stream(self.seed, f"{self.name}/{epoch}").words(0, self.size).astype(np.uint64)
        # a stable sort: each key is joined with its place, in its low half, and sorted as one
        # number, in a fifth of the time of a stable argsort
        keys = (keys << np.uint64(32)) | np.arange(self.size, dtype=np.uint64)
        keys.sort()
        return (keys & np.uint64(2**32 - 1)).astype(np.int64)

    def indices(self, first: int, count: int) -> Ints:
        """Data indices first .. first + count - 1 of the pass, int64 of shape (count,)."""
        parts = [np.empty(0, dtype=np.int64)]
        while count > 0:
            epoch, start = divmod(first, self.size)
            part = self._epoch(epoch)[start : start + count]
            parts.append(part)
            first, count = first + len(part), count - len(part)
        return np.concatenate(parts)
