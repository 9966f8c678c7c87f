"""Which mutants are run: the named ones, and of the others a sample of each package by a seed."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from tests.stress.mutations.named import EQUIVALENTS, NAMED, Named
from tests.stress.mutations.operators import Mutant, function, mutants
from tests.stress.mutations.related import package

# The looks of figures and pages: numbers, options and drawing calls there are taste, not behaviour.
LOOKS = (
    "plotting/", "theory/", "report/", "callbacks/display.py:Terminal.panel",
    "reproduce/modes.py:picture", "reproduce/ranking.py:picture", "reproduce/ranking.py:column",
)  # fmt: skip
TASTE = ("Constant", "Call", "Expr")


def named(root: Path) -> list[Mutant]:
    """The mutants of `NAMED`.

    Raises:
        ValueError: the code has moved: a pattern is not there exactly once.
    """
    return [_made(one, root) for one in NAMED]


def _made(one: Named, root: Path) -> Mutant:
    text = (root / one.file).read_text()
    try:
        first, last = function(text, one.function)
    except StopIteration:
        raise ValueError(
            f"{one.name}: there is no such function; say in tests/stress/mutations/named.py "
            "where the code is now"
        ) from None
    inside = text[first:last]
    if inside.count(one.old) != 1:
        raise ValueError(
            f"{one.name}: the pattern is there {inside.count(one.old)} times, not once; "
            "say in tests/stress/mutations/named.py how the code reads now"
        )
    changed = text[:first] + inside.replace(one.old, one.new) + text[last:]
    return Mutant(one.name, one.file, changed, f"{one.file}:{one.function}", "named", one.tests)


def sample(root: Path, each: int, seed: int, files: Iterable[Path] | None = None) -> list[Mutant]:
    """`each` mutants of every package, chosen by a digest of seed and name.

    Because a choice depends on its name alone, changes elsewhere in the code leave it as it is.
    Equivalents are not chosen.

    Args:
        root: the package's folder.
        each: mutants of a package, 0 or more.
        seed: of the choice.
        files: of the package; all if None.
    """
    found: dict[str, list[tuple[str, Mutant]]] = defaultdict(list)
    for path in files or sorted(root.rglob("*.py")):
        for mutant in mutants(path, root):
            part = package(mutant.file)
            drawn = mutant.kind in TASTE and mutant.name.startswith(LOOKS)
            if not drawn and mutant.name not in EQUIVALENTS:
                rank = hashlib.sha256(f"{seed}/{mutant.name}".encode()).hexdigest()
                found[part].append((rank, mutant))
    return [
        mutant
        for part in sorted(found)
        for _, mutant in sorted(found[part], key=lambda pair: pair[0])[:each]
    ]
