"""How a run shows itself while it trains: a bar on a terminal, lines elsewhere, pictures in a
notebook. They take `Progress` records and write to the stream they are given.

    with display.choose("auto") as shown:
        for progress in gf.iterate(config, "runs/a"):
            shown.show(progress)
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from ganforge.diagnosis.calls import in_python
from ganforge.errors import GanforgeError, UsageError, choice
from ganforge.runs.folder import Run
from ganforge.runs.records import Progress
from ganforge.text import preformatted, printable

if TYPE_CHECKING:
    from rich.table import Table

PLAIN_SECONDS = 5.0  # between two plain lines
NOTEBOOK_SECONDS = 5.0  # between two drawings in a notebook, at least
NOTEBOOK_SHARE = 0.05  # of the time that drawing may take
NOTEBOOK_WIDTH = 900  # units of a page
TERMINAL_SECONDS = 0.1  # between two refreshes of a bar


def clock(seconds: float) -> str:
    """1:02:03 or 2:03; --:-- if it is not finite."""
    if not math.isfinite(seconds):
        return "--:--"
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def measured(p: Progress) -> bool:
    """Whether an interval has ended, so that its means are in the record."""
    return p.images_per_second > 0


def shown(p: Progress, value: float, digits: int) -> str:
    """A figure of the last interval; "-" before the first has ended."""
    return f"{value:.{digits}f}" if measured(p) else "-"


def pace(p: Progress) -> str:
    """Real examples so far and a second, and the time that is left."""
    speed = shown(p, p.images_per_second, 0)
    seen = f"{p.samples_seen / 1000:.1f} {'kimg' if p.unit == 'pictures' else f'k {p.unit}'}"
    return f"{seen}  {speed} {p.unit}/s  left {clock(p.seconds_left)}"


def losses(p: Progress) -> str:
    """Both losses, and what D says of real and generated examples."""
    return (
        f"loss_D {shown(p, p.loss_d, 3)} loss_G {shown(p, p.loss_g, 3)}  "
        f"D(real) {shown(p, p.d_real, 2)} D(fake) {shown(p, p.d_fake, 2)}"
    )


def line(p: Progress) -> str:
    """One record as a plain line."""
    return f"epoch {p.epoch:.2f}  step {p.step:,}/{p.steps:,}  {pace(p)}  {losses(p)}"


def closing(p: Progress) -> str:
    """The totals of a run, all its sessions together."""
    done = "finished" if p.step >= p.steps else f"stopped at step {p.step:,} of {p.steps:,}"
    total = f"{done}: epoch {p.epoch:.2f}, {p.samples_seen:,} {p.unit} in "
    if p.seconds <= 0:
        return total + clock(math.inf)
    return f"{total}{clock(p.seconds)} ({p.samples_seen / p.seconds:.0f} {p.unit}/s in the mean)"


class Display(AbstractContextManager[Any], Protocol):
    """Enter it, show it every record, leave it."""

    def show(self, progress: Progress) -> None: ...


class Quiet(ExitStack):
    """Shows nothing; the base of the others."""

    def show(self, progress: Progress) -> None:
        """Show one record."""


class Lines(Quiet):
    """What lines have in common: a note once, each interval at most once, the totals.

    Between two intervals come records of a grid or a checkpoint, with the figures of the interval
    before: they are no news.
    """

    def __init__(self, now: Callable[[], float]):
        super().__init__()
        self.now = now
        self.last = -math.inf  # when something was shown
        self.note = ""
        self.means: Mapping[str, float] = {}
        self.newest: Progress | None = None  # the newest interval, until it is shown

    def write(self, text: str) -> None:
        raise NotImplementedError

    def news(self, p: Progress) -> None:
        """Write a note that was not the last one too; remember the interval that has ended.

        A record that brings a note has the figures of an earlier one.
        """
        fresh = p.note not in ("", self.note)
        if fresh:
            self.write(p.note)
        elif measured(p) and p.means != self.means:
            self.newest = p
        self.note, self.means = p.note, p.means

    def record(self, p: Progress) -> None:
        """The newest interval as a line, unless it has one, and the totals."""
        if self.newest:
            self.last = self.now()
            self.write(line(self.newest))
            self.newest = None
        if p.done:
            self.write(closing(p))


class Plain(Lines):
    """Lines for a file or a pipe: the first, the last, and one about every five seconds."""

    def __init__(self, stream: TextIO | None = None, now: Callable[[], float] = time.monotonic):
        super().__init__(now)
        self.stream = stream or sys.stdout

    def write(self, text: str) -> None:
        print(printable(text), file=self.stream, flush=True)

    def show(self, progress: Progress) -> None:
        self.news(progress)
        if progress.done or self.now() - self.last >= PLAIN_SECONDS:
            self.record(progress)


class Terminal(Lines):
    """A bar with the newest figures below it that stays in its place, and notes above it."""

    def __init__(self, stream: TextIO | None = None, now: Callable[[], float] = time.monotonic):
        from rich.console import Console
        from rich.live import Live

        super().__init__(now)
        self.console = Console(file=stream or sys.stdout, highlight=False)
        self.live = Live(console=self.console, auto_refresh=False, transient=True)
        self.grid = ""

    def __enter__(self) -> Terminal:
        self.enter_context(self.live)
        return self

    def write(self, text: str) -> None:
        self.console.print(printable(text), markup=False, soft_wrap=True)

    def show(self, progress: Progress) -> None:
        self.news(progress)
        if progress.grid is not None:
            self.grid = f"samples {progress.grid}"
        if progress.done:
            self.live.stop()
            self.record(progress)
        elif self.now() - self.last >= TERMINAL_SECONDS or progress.grid is not None:
            self.last = self.now()
            self.live.update(self.panel(progress), refresh=True)

    def panel(self, p: Progress) -> Table:
        """The bar, the figures and the newest grid: three lines of the terminal's width."""
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        done = f"{100 * p.step / max(1, p.steps):.0f} %  {pace(p)}"
        bar = Table.grid(padding=(0, 2), expand=True)
        for wide in (None, 1, None):
            bar.add_column(no_wrap=True, overflow="ellipsis", ratio=wide)
        bar.add_row(Text(f"epoch {p.epoch:.2f}"), ProgressBar(max(1, p.steps), p.step), Text(done))
        table = Table.grid(expand=True)
        table.add_column(no_wrap=True, overflow="ellipsis")
        table.add_row(bar)
        table.add_row(Text(losses(p)))
        if self.grid:
            table.add_row(Text(self.grid, style="dim"))
        return table


class Notebook(Lines):
    """The run's overview (losses, newest samples, samples over time), redrawn in its place.

    Above it stand the newest record and the notes, their remedies as calls; below it, at the end,
    what `end` is given. It is drawn at most every five seconds, and more seldom if drawing would
    take more than a twentieth of the time. Raises UsageError if IPython is not installed.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic):
        try:
            from IPython import display as ipython
        except ImportError:
            raise UsageError(
                "show = 'notebook' needs IPython: run it in a notebook, or choose 'plain'"
            ) from None
        super().__init__(now)
        self.ipython: Any = ipython
        self.wait = NOTEBOOK_SECONDS
        self.log: list[dict[str, Any]] = []
        self.head, self.closing = "", ""
        self.notes: list[str] = []
        self.run: Run | None = None
        self.slot: Any = None

    def write(self, text: str) -> None:
        self.notes.append(in_python(text))

    def show(self, progress: Progress) -> None:
        self.news(progress)
        if self.newest:
            self.head, self.newest = line(progress), None
            self.log.append({**vars(progress), **progress.means})
        if progress.grid is not None:
            self.run = Run(progress.grid.parent.parent)
        if progress.done:
            self.write(closing(progress))
        began = self.now()
        if progress.done or began - self.last >= self.wait:
            self.draw()
            self.last = self.now()
            self.wait = max(NOTEBOOK_SECONDS, (self.last - began) / NOTEBOOK_SHARE)

    def picture(self) -> bytes | None:
        """The overview; the losses of this session if the folder is not known; None so far."""
        from ganforge.plotting import curves, overview, style

        try:
            if self.run:
                return overview.overview(self.run)
            return style.png(curves.losses(self.log))
        except GanforgeError:
            return None  # nothing to draw yet, or a file damaged: training goes on all the same

    def end(self, text: str) -> None:
        """Add scores and findings below the figure."""
        self.closing = text
        self.draw()

    def draw(self) -> None:
        from ganforge import images

        lines = "\n".join(filter(None, (self.head, *self.notes)))
        page = preformatted(lines or "the first steps")
        picture = self.picture()
        if picture:
            page += images.element(picture, NOTEBOOK_WIDTH)
        if self.closing:
            page += preformatted(self.closing)
        shown = self.ipython.HTML(page)
        if self.slot is None:
            self.slot = self.ipython.display(shown, display_id=True)
        else:
            self.slot.update(shown)


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return getattr(shell, "kernel", None) is not None


def choose(kind: str = "auto", stream: TextIO | None = None) -> Display:
    """A display by name; "auto" looks at where it writes.

    stream: standard output if none is given. Raises UsageError for another name.
    """
    choice("show", kind, ("auto", "terminal", "plain", "notebook", "quiet"))
    stream = stream or sys.stdout
    if kind == "quiet" or stream is None:  # a process without output, such as a service
        return Quiet()
    if kind == "auto":
        bar = stream.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")
        kind = "notebook" if in_notebook() else "terminal" if bar else "plain"
    if kind == "notebook":
        return Notebook()
    return Terminal(stream) if kind == "terminal" else Plain(stream)
