"""A bar on the standard error, for commands that take a while."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def counted(pieces: Iterable[tuple[int, T]], total: int, what: str) -> Iterator[T]:
    """The pieces of some work, with a bar while they are made if the standard error is a terminal.

    Args:
        pieces: (units of the piece, the piece).
        total: units of all pieces.
        what: the name of the bar.
    """
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=total)
        for count, piece in pieces:
            bar.advance(task, count)
            yield piece
