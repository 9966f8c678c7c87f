"""A bar on the standard error for work that takes a while, if that is a terminal.

    with bar.shown(), bar.phase("samples", 10_000, "examples"):
        ...
        bar.advance("examples", 512)

Whoever does the work counts it; without `shown` nothing is drawn, so that functions may count
whoever calls them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress

T = TypeVar("T")

_progress: ContextVar[Progress | None] = ContextVar("bar", default=None)


def blank(wanted: bool = True, ahead: bool = True) -> Progress:
    """A bar without work; it draws nothing if it is not wanted or nobody can see it.

    ahead: whether it shows the time that is left, else that which has passed.
    """
    from rich import progress
    from rich.console import Console

    console = Console(stderr=True)
    columns = [*progress.Progress.get_default_columns()[:-1]]
    columns.append(progress.TimeRemainingColumn() if ahead else progress.TimeElapsedColumn())
    hidden = not (wanted and console.is_terminal)
    return progress.Progress(*columns, console=console, transient=True, disable=hidden)


@contextmanager
def shown(wanted: bool = True) -> Iterator[None]:
    """Show the phases of the work done within, one at a time."""
    with blank(wanted, ahead=False) as progress:  # metrics do not take equally long
        outer = _progress.set(progress)
        try:
            yield
        finally:
            _progress.reset(outer)


@contextmanager
def phase(what: str, total: int, unit: str) -> Iterator[None]:
    """A phase of the work; the phase around it is shown again at its end.

    Args:
        what: the name of the bar.
        total: units of the phase.
        unit: what `advance` counts.
    """
    progress = _progress.get()
    if progress is None:
        yield
        return
    around = progress.task_ids[-1:]
    for one in around:
        progress.update(one, visible=False)
    task = progress.add_task(what, total=total, unit=unit)
    try:
        yield
    finally:
        progress.remove_task(task)
        for one in around:
            progress.update(one, visible=True)


def advance(unit: str, count: int, what: str | None = None) -> None:
    """Count what is done, if the innermost phase is counted in that unit.

    what: a new name of the phase.
    """
    progress = _progress.get()
    if progress is not None and progress.tasks and progress.tasks[-1].fields["unit"] == unit:
        progress.update(
            progress.task_ids[-1], advance=count, description=what, refresh=what is not None
        )


def counted(pieces: Iterable[tuple[int, T]], total: int, what: str) -> Iterator[T]:
    """The pieces of some work, with a bar while they are made.

    Args:
        pieces: (units of the piece, the piece).
        total: units of all pieces.
        what: the name of the bar.
    """
    with blank() as progress:
        task = progress.add_task(what, total=total)
        for count, piece in pieces:
            progress.advance(task, count)
            yield piece
