"""Mutants chosen by hand, and those that no test can see."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Named:
    """A change of the text in one function.

    Args:
        file: relative to the package.
        function: qualified name; "" for the whole file.
        old: a text that the function has once.
        new: what takes its place.
    """

    file: str
    function: str
    old: str
    new: str

    @property
    def name(self) -> str:
        return f"{self.file}:{self.function} {self.old} -> {self.new}"


NAMED: tuple[Named, ...] = ()

# name of a mutant of `operators` -> why no test can tell it from the code
EQUIVALENTS: dict[str, str] = {}
