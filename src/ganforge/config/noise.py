"""The law of z: plain numbers, and codes, which are numbers of z with a name and a law each.

The help of the command line reads settings, so numpy is imported only where numbers are drawn.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ganforge.errors import check, choice

if TYPE_CHECKING:
    from ganforge.rng import Stream
    from ganforge.types import Floats

LAWS = ("normal", "uniform")
CODES = ("categorical", *LAWS)
NAME = re.compile(r"[a-z][a-z0-9_-]*")


@dataclass(frozen=True)
class LatentCode:
    """Numbers of z that have a name, so that a game may ask the samples to show them.

    Args:
        name: small letters, digits, - and _.
        law: "categorical" for one of `size` classes, of equal probability, as a vector of zeros
            with a one; "uniform" U(-1, 1) or "normal" N(0, 1) for `size` independent numbers.
        size: classes, or numbers.

    Chen et al. 2016 (InfoGAN).
    """

    name: str
    law: str = "categorical"
    size: int = 10

    def __post_init__(self) -> None:
        named = isinstance(self.name, str) and NAME.fullmatch(self.name)
        check(bool(named), "name", self.name, "small letters, digits, - and _, a letter first")
        choice("law", self.law, CODES)
        least = 2 if self.law == "categorical" else 1
        check(self.size >= least, "size", self.size, f"at least {least}")

    def draw(self, stream: Stream, first: int, count: int) -> Floats:
        """The code of samples first .. first + count - 1 of a stream, (count, size)."""
        import numpy as np

        if self.law != "categorical":
            return stream.draw(self.law, first, count, self.size)
        return np.eye(self.size, dtype=np.float32)[stream.integers(first, count, self.size)]


@dataclass(frozen=True)
class Noise:
    """The law of z: `size` numbers, the codes last, in their order.

    Args:
        size: Z, all numbers of z, those of the codes among them.
        law: of the numbers before the codes, "normal" N(0, 1) or "uniform" U(-1, 1).
        codes: None for none.
    """

    size: int = 100
    law: str = "normal"
    codes: tuple[LatentCode, ...] | None = None

    def __post_init__(self) -> None:
        check(self.size >= 1, "size", self.size, "at least 1")
        choice("law", self.law, LAWS)
        names = [code.name for code in self.codes or ()]
        check(len(set(names)) == len(names), "codes", names, "different names")
        check(self.plain >= 0, "size", self.size, f"at least the {self.coded} numbers of the codes")
        object.__setattr__(self, "codes", self.codes or None)

    @property
    def coded(self) -> int:
        """How many of the last numbers of z are codes."""
        return sum(code.size for code in self.codes or ())

    @property
    def plain(self) -> int:
        """How many numbers of z come before the codes."""
        return self.size - self.coded

    def columns(self) -> Mapping[str, slice]:
        """Where the numbers of each code are in z."""
        places, start = {}, self.plain
        for code in self.codes or ():
            places[code.name] = slice(start, start + code.size)
            start += code.size
        return places

    def draw(self, seed: int, stream: str, first: int, count: int) -> Floats:
        """z of samples first .. first + count - 1, (count, Z); each code has a separate stream."""
        return self.reader(seed, stream)(first, count)

    def reader(self, seed: int, stream: str) -> Callable[[int, int], Floats]:
        """What `draw` reads of one stream, as a function of (first, count)."""
        import numpy as np

        from ganforge.rng import Stream

        plain = Stream(seed, stream)
        coded = [(code, Stream(seed, f"{stream}/{code.name}")) for code in self.codes or ()]

        def read(first: int, count: int) -> Floats:
            parts = [plain.draw(self.law, first, count, self.plain)]
            parts += [code.draw(numbers, first, count) for code, numbers in coded]
            return np.concatenate(parts, axis=1) if coded else parts[0]

        return read
