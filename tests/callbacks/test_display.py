"""How a run shows itself: exact lines, how often, in a terminal of 80 columns, in a notebook."""

import io
import math
import re
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from ganforge import recipes
from ganforge.callbacks import display
from ganforge.config import convert
from ganforge.errors import UsageError
from ganforge.runs.folder import Run
from ganforge.runs.records import Progress
from ganforge.text import preformatted
from ganforge.training import loop

P = Progress(
    step=1000, steps=4297, samples_seen=64_000, epoch=64_000 / 55_000, seconds=11.5,
    images_per_second=1520.4,
    means={"loss_d": 0.4021, "loss_g": 1.1126, "d_real": 0.7149, "d_fake": 0.29},
)  # fmt: skip
LINE = (
    "epoch 1.16  step 1,000/4,297  64.0 kimg  1520 pictures/s  left 0:38  "
    "loss_D 0.402 loss_G 1.113  D(real) 0.71 D(fake) 0.29"
)
TOTALS = "finished: epoch 5.00, 275,008 pictures in 2:31 (1819 pictures/s in the mean)"
EMPTY = Progress(0, 4297, 0, 0.0)


def interval(step: int, **more: Any) -> Progress:
    """The record that ends an interval at a step."""
    return replace(P, step=step, means={**P.means, "loss_d": 0.4021 + 1e-9 * step}, **more)


LAST = interval(4297, samples_seen=275_008, epoch=5.0, seconds=151.2, done=True)


class Clock:
    """A clock that goes where it is set."""

    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


class Stream(io.StringIO):
    """Counts its flushes; may pass for a terminal."""

    def __init__(self, tty: bool = False) -> None:
        super().__init__()
        self.tty, self.flushes = tty, 0

    def isatty(self) -> bool:
        return self.tty

    def flush(self) -> None:
        self.flushes += 1

    @property
    def lines(self) -> list[str]:
        return self.getvalue().splitlines()


# words


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (37.9, "0:38"), (59.6, "1:00"), (3599.4, "59:59"), (3723, "1:02:03"),
     (math.inf, "--:--"), (math.nan, "--:--"), (-3, "0:00")],
)  # fmt: skip
def test_the_clock_shows_hours_minutes_and_seconds(seconds: float, text: str) -> None:
    assert display.clock(seconds) == text


def test_a_plain_line_has_the_records_own_numbers() -> None:
    assert display.line(P) == LINE
    assert re.search(r"\b\d+ pictures/s\b", display.line(P))


def test_nothing_is_invented_before_the_first_interval() -> None:
    assert display.line(EMPTY) == (
        "epoch 0.00  step 0/4,297  0.0 kimg  - pictures/s  left --:--  "
        "loss_D - loss_G -  D(real) - D(fake) -"
    )


def test_a_loss_that_is_not_finite_is_shown_as_it_is() -> None:
    assert "loss_D nan loss_G inf" in display.line(
        replace(P, means={**P.means, "loss_d": math.nan, "loss_g": math.inf})
    )


def test_the_last_line_has_the_totals() -> None:
    assert display.closing(LAST) == TOTALS
    stopped = replace(P, done=True)
    assert display.closing(stopped) == (
        "stopped at step 1,000 of 4,297: epoch 1.16, 64,000 pictures in 0:12 "
        "(5565 pictures/s in the mean)"
    )
    assert display.closing(EMPTY).endswith("epoch 0.00, 0 pictures in --:--")


# plain lines


def test_plain_lines_come_first_last_and_every_five_seconds() -> None:
    stream, now = Stream(), Clock()
    with display.Plain(stream, now) as shown:
        shown.show(EMPTY)  # a grid before the first step
        for i in range(120):
            now.time = 100 + i / 10
            shown.show(interval(1000 + i))
        shown.show(LAST)
    steps = [re.search(r"step ([\d,]+)/", text) for text in stream.lines[:-1]]
    assert [m and m[1] for m in steps] == ["1,000", "1,050", "1,100", "4,297"]
    assert stream.lines[-1] == TOTALS
    assert stream.flushes == 5


def test_the_last_record_is_not_repeated() -> None:
    stream = Stream()
    shown = display.Plain(stream, Clock())
    shown.show(replace(LAST, done=False))
    shown.show(LAST)
    assert len(stream.lines) == 2 and stream.lines[1] == TOTALS


def test_figures_are_not_shown_again_for_a_later_step() -> None:
    stream, now = Stream(), Clock()
    shown = display.Plain(stream, now)
    for record in (interval(1000), replace(P, step=1040), interval(1100), replace(P, step=1140)):
        now.time += 5
        shown.show(replace(record, means=interval(record.step // 100 * 100).means))
    shown.show(replace(LAST, step=1150, means=interval(1100).means))
    steps = [re.search(r"step ([\d,]+)/", text) for text in stream.lines[:-1]]
    assert [m and m[1] for m in steps] == ["1,000", "1,100"]


def test_a_note_is_written_once_and_hides_no_later_line() -> None:
    stream, now = Stream(), Clock()
    shown = display.Plain(stream, now)
    full = "no space left; training goes on"
    for i in range(3):
        now.time += 5
        shown.show(interval(1000 + i, note=full))
    assert stream.lines == [full, *(LINE.replace("1,000/", f"1,00{i}/") for i in (1, 2))]


def test_a_resumed_run_shows_no_figures_of_before() -> None:
    stream = Stream()
    display.Plain(stream, Clock()).show(replace(P, note="resumed at step 1,000 of 4,297"))
    assert stream.lines == ["resumed at step 1,000 of 4,297"]


def test_a_finished_run_gives_its_totals_again() -> None:
    stream = Stream()
    display.Plain(stream, Clock()).show(replace(LAST, note="already finished: nothing to do"))
    assert stream.lines == ["already finished: nothing to do", TOTALS]


def test_a_real_run_in_plain_lines(tmp_path: Path) -> None:
    recipe = replace(recipes.gaussian(), epochs=2, threads=1)
    stream = Stream()
    with display.Plain(stream, Clock()) as shown:
        for progress in loop.train(recipe, tmp_path / "run"):
            shown.show(progress)
    assert len(stream.lines) == 3
    assert re.fullmatch(
        r"epoch 0\.10  step 12/250  0\.1 k examples  \d+ examples/s  left \d+:\d\d  "
        r"loss_D 0\.\d{3} loss_G \d\.\d{3}  D\(real\) 0\.\d\d D\(fake\) 0\.\d\d", stream.lines[0],
    )  # fmt: skip
    assert stream.lines[-1].startswith("finished: epoch 2.00, 2,000 examples in 0:0")


# a terminal


@pytest.fixture
def columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")


def plain(text: str) -> list[str]:
    """The lines that went to a terminal, without their control codes."""
    bare = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)
    return [part.rstrip() for part in re.split(r"[\r\n]+", bare) if part.strip()]


@pytest.mark.usefixtures("columns")
def test_terminal_shows_all_in_eighty_columns() -> None:
    stream, now = Stream(tty=True), Clock()
    with display.Terminal(stream, now) as shown:
        now.time += 1
        shown.show(replace(P, grid=Path("runs/a/samples/000001000.png")))
    drawn = plain(stream.getvalue())
    bar = next(text for text in drawn if text.startswith("epoch 1.16"))
    assert bar.endswith("23 %  64.0 kimg  1520 pictures/s  left 0:38")
    assert len(bar) == 80 and "━" * 5 in bar
    assert "loss_D 0.402 loss_G 1.113  D(real) 0.71 D(fake) 0.29" in drawn
    assert "samples runs/a/samples/000001000.png" in drawn
    assert all(len(text) <= 80 for text in drawn)


@pytest.mark.usefixtures("columns")
def test_terminal_leaves_notes_and_totals() -> None:
    stream, now = Stream(tty=True), Clock()
    note = "resumed at step 1,000 of 4,297 [bold]" + "x" * 80
    with display.Terminal(stream, now) as shown:
        shown.show(replace(P, note=note))
        now.time += 1
        shown.show(LAST)
        after = len(stream.getvalue())
    drawn = plain(stream.getvalue())
    assert note in drawn  # whole, and its brackets are no markup
    assert drawn[-2].startswith("epoch 5.00  step 4,297/4,297") and drawn[-1] == TOTALS
    assert "\x1b[1A" not in stream.getvalue()[after:]  # nothing is erased any more


@pytest.mark.usefixtures("columns")
def test_terminal_is_not_redrawn_at_every_record() -> None:
    stream, now = Stream(tty=True), Clock()
    with display.Terminal(stream, now) as shown:
        for i in range(1000):
            now.time = 100 + i / 1000
            shown.show(replace(P, step=i))
        redrawn = stream.getvalue().count("pictures/s")
    assert 9 <= redrawn <= 11


@pytest.mark.usefixtures("columns")
def test_terminal_is_left_clean_by_an_error() -> None:
    stream = Stream(tty=True)

    def crash() -> None:
        with display.Terminal(stream, Clock()) as shown:
            shown.show(P)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        crash()
    assert stream.getvalue().rfind("\x1b[?25h") > stream.getvalue().rfind("\x1b[?25l")  # cursor


# a notebook


class Handle:
    """What IPython gives back to redraw in a place."""

    def __init__(self) -> None:
        self.shown: list[str] = []

    def update(self, html: str) -> None:
        self.shown.append(html)


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Handle:
    """A fake IPython whose kernel is running."""
    handle = Handle()

    def show(html: str, display_id: bool) -> Handle:
        assert display_id and not handle.shown
        handle.shown.append(html)
        return handle

    package: Any = ModuleType("IPython")
    inside: Any = ModuleType("IPython.display")
    inside.HTML, inside.display = str, show
    package.display, package.version_info = inside, (9, 0)
    package.get_ipython = lambda: SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", package)
    monkeypatch.setitem(sys.modules, "IPython.display", inside)
    return handle


def test_notebook_redraws_in_its_place(notebook: Handle, tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    run.samples.mkdir(parents=True)
    (run.path / "config.toml").write_text(convert.dumps(recipes.gaussian()))
    run.log_path.write_text('{"step": 1000, "epoch": 1.16, "loss_d": 0.4, "loss_g": 1.1}\n')
    now = Clock()
    with display.choose("auto") as shown:
        assert isinstance(shown, display.Notebook)
        shown.now = now
        shown.show(replace(EMPTY, grid=run.samples / "000000000.npz"))
        now.time += 4.9
        shown.show(P)
        assert len(notebook.shown) == 1
        now.time += 0.2
        shown.show(P)
        shown.show(LAST)
    assert len(notebook.shown) == 3
    assert all("<img" in html and "base64,iVBOR" in html for html in notebook.shown)
    assert notebook.shown[0].startswith(preformatted("the first steps"))
    assert notebook.shown[1].startswith(preformatted(LINE))
    assert TOTALS in notebook.shown[2]


def test_notebook_ends_with_scores_and_findings_in_its_place(notebook: Handle) -> None:
    with display.choose("auto") as shown:
        assert isinstance(shown, display.Notebook)
        shown.show(replace(P, note="GF003 x: 1 < 2. lower it: ganforge train --lr 1e-4"))
        shown.show(LAST)
        shown.end("frechet 2.3")
    assert "gf.train(..., lr=0.0001)" in notebook.shown[-1]
    assert notebook.shown[-1].endswith(preformatted("frechet 2.3"))
    assert notebook.shown[-1].startswith(notebook.shown[-2])


def test_notebook_has_a_record_once(notebook: Handle) -> None:
    shown = display.Notebook(Clock())
    for record in (EMPTY, P, replace(P, step=1500, saved=Path("a")), interval(2000), LAST):
        shown.show(record)
    assert [r["step"] for r in shown.log] == [1000, 2000, 4297]
    assert [r["loss_d"] for r in shown.log] == pytest.approx([0.4021] * 3, abs=1e-5)
    assert not any("nan" in page for page in notebook.shown)


def test_notebook_without_a_folder_draws_its_own_records(notebook: Handle) -> None:
    shown = display.Notebook(Clock())
    shown.show(replace(P, note="resumed at step <1,000>"))
    shown.show(interval(2000))
    shown.show(LAST)
    assert "<img" not in notebook.shown[0]  # no record yet
    assert "resumed at step &lt;1,000&gt;" in notebook.shown[0]
    assert "<img" in notebook.shown[1] and len(notebook.shown) == 2


def test_notebook_spends_a_twentieth_of_the_time_on_drawing(notebook: Handle) -> None:
    now = Clock()
    shown = display.Notebook(now)

    def slow() -> None:
        now.time += 2

    shown.picture = slow  # type: ignore[method-assign]
    for _ in range(1000):
        now.time += 0.1
        shown.show(P)
    assert len(notebook.shown) == 3


def test_notebook_needs_ipython(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "IPython", None)
    with pytest.raises(UsageError, match="needs IPython"):
        display.choose("notebook")


# which


def test_choose_looks_at_where_it_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(display.choose("auto", Stream(tty=True)), display.Terminal)
    assert isinstance(display.choose("auto", Stream()), display.Plain)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(display.choose("auto", Stream(tty=True)), display.Plain)
    assert isinstance(display.choose("terminal", Stream()), display.Terminal)
    assert isinstance(display.choose("plain", Stream(tty=True)), display.Plain)
    assert type(display.choose("quiet")) is display.Quiet


def test_ipython_in_a_terminal_is_no_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    package: Any = ModuleType("IPython")
    package.get_ipython = SimpleNamespace
    monkeypatch.setitem(sys.modules, "IPython", package)
    assert isinstance(display.choose("auto", Stream()), display.Plain)


def test_quiet_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    with display.choose("quiet") as shown:
        shown.show(LAST)
    assert capsys.readouterr() == ("", "")


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(UsageError, match="did you mean 'plain'"):
        display.choose("plane")
