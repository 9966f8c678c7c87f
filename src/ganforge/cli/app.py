"""The application: its commands hang here, `main` runs one and says what went wrong in a line.

Heavy modules are imported inside the commands: `ganforge --help` imports no torch.
"""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

from cyclopts import App, CycloptsError, MissingArgumentError, Parameter, UnusedCliTokensError

from ganforge import __version__, openmp
from ganforge.arguments import split_overrides, whole_numbers
from ganforge.errors import (
    BusyError,
    DiskError,
    GanforgeError,
    OutOfMemoryError,
    UsageError,
    lacks_memory,
)
from ganforge.printable import ERRORS, command_line

app = App(
    name="ganforge",
    help="Train, judge, diagnose and ship generative adversarial networks.",
    version=__version__,
    result_action="return_value",
    suppress_keyboard_interrupt=False,
    help_epilogue="First: `ganforge train` learns MNIST in a few minutes. `ganforge recipes` lists "
    "the systems. Add --debug to any command for a traceback.",
)

# what several commands take
Flag = Parameter(negative="")
Count = Annotated[int, Parameter(alias="-n")]
Target = Annotated[Path | None, Parameter(alias="-o")]

NOTHING = "stopped before the first step, nothing new was saved; to start: {}"
LONGEST = 1000  # letters of an error's line
GIVEN_WAY = (errno.ENOSPC, errno.EDQUOT, errno.EIO)

overrides: dict[str, str] = {}
arguments: list[str] = []


def again() -> str:
    """The command as it was typed; the launcher of several processes has kept its --gpus."""
    size = os.environ.get("WORLD_SIZE", "1")
    here = size != "1" and size == os.environ.get("LOCAL_WORLD_SIZE")
    return command_line(["ganforge", *arguments, *(["--gpus", size] if here else [])])


def main(given: Sequence[str] | None = None) -> int:
    """The `ganforge` command; returns the exit code."""
    if given is None and hasattr(signal, "SIGUSR1"):  # "save": harmless where there is no run yet
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    if given is None:
        _streams()
    left_out = openmp.unset()  # before torch is imported
    if left_out and os.environ.get("RANK", "0") == "0":
        print(f"ganforge: {left_out}", file=sys.stderr)
    code = run(given)
    gone = code > 128 or code == BusyError.exit_code
    if given is None and gone:  # taking torch apart costs a second, or waits for who is missing
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


@contextmanager
def loading() -> Iterator[None]:
    """Round the import of torch: an exception that Ctrl-C raised in its C++ code would abort it."""

    def leave(number: int, frame: FrameType | None) -> None:
        print(NOTHING.format(again()), flush=True)
        os._exit(128 + number)  # nothing is open yet

    if os.environ.get("WORLD_SIZE", "1") != "1":  # a lost process is one line of ours, not torch's
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "FATAL")
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _streams() -> None:
    """Output that was closed goes nowhere; a letter that the terminal lacks is an escape."""
    sys.stdout = sys.stdout or os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    sys.stderr = sys.stderr or os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=ERRORS)


def run(given: Sequence[str] | None) -> int:
    """One command, None for what was typed; its exit code."""
    words = list(sys.argv[1:] if given is None else given)
    debug = "--debug" in words
    words = [w for w in words if w != "--debug"]
    arguments[:] = words
    overrides.clear()
    try:
        if words[:1] in (["train"], ["compare"]):
            words, found = split_overrides(words)
            overrides.update(found)
        whole_numbers(words)
        result: Any = app(words, exit_on_error=False, print_error=False)
        sys.stdout.flush()
        return int(result or 0)
    except CycloptsError as error:
        return _fail(mistyped(error), debug)
    except GanforgeError as error:
        return _fail(error, debug)
    except KeyboardInterrupt as error:
        if _rank() == 0:
            print(NOTHING.format(again()))
        return 128 + getattr(error, "signal", 2)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if debug:
            raise
        return _unforeseen(error)


def mistyped(error: CycloptsError) -> UsageError:
    """What the parser refuses, in one line; a word too few or too many with the usage."""
    chain = error.command_chain or ()
    if isinstance(error, UnusedCliTokensError):
        fault = f"{' '.join(error.unused_tokens or ())!r} is too much"
    elif isinstance(error, MissingArgumentError):
        name = error.keyword or (error.argument.name if error.argument else "an argument")
        fault = f"{name} {'needs a value' if name.startswith('-') else 'is missing'}"
    else:
        return UsageError(" ".join(str(error).split()))
    return UsageError(f"{' '.join(chain)}: {fault}; usage: {usage(chain)}")


def usage(command: Sequence[str]) -> str:
    """The first line of a command's help, as `ganforge data show [OPTIONS] SOURCE`."""
    from rich.console import Console

    text = io.StringIO()
    app.help_print(list(command), console=Console(file=text, width=LONGEST))
    return text.getvalue().strip().splitlines()[0].removeprefix("Usage: ")


def _unforeseen(error: Exception) -> int:
    if lacks_memory(error):
        text = "the machine has too little memory for this: use smaller networks, --size or --batch"
        return _fail(OutOfMemoryError(text), False)
    if isinstance(error, OSError) and (error.filename or error.errno in GIVEN_WAY):
        where = error.filename or "standard output"
        text = f"{where}: {error.strerror}: choose another path, or check the disk"
        return _fail(DiskError(text), False)
    print(
        f"ganforge: a bug of ours: {type(error).__name__}: {error}\n"
        "Add --debug for the traceback, and please report it.",
        file=sys.stderr,
    )
    return 1


def _rank() -> int:
    """This one of several processes; 0 alone."""
    rank = os.environ.get("RANK", "0")
    return int(rank) if rank.isdecimal() else 0


def _fail(error: GanforgeError, debug: bool) -> int:
    if debug:
        traceback.print_exception(error)
        return error.exit_code
    if error.printed_by(_rank()):
        text = str(error)
        if len(text) > LONGEST:  # somebody typed a value of thousands of letters
            text = f"{text[: LONGEST // 2]} ... {text[-LONGEST // 2 :]}"
        print(f"ganforge: {text}", file=sys.stderr)
    return error.exit_code
