"""The entry: `main` runs one command, prints what it returns and turns errors into exit codes.

`ganforge --help` imports no torch: the table names modules, and they import it inside functions.
"""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
import threading
import traceback
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pkgutil import resolve_name
from types import FrameType
from typing import Any

from cyclopts import App, CycloptsError, MissingArgumentError, UnusedCliTokensError

from ganforge._version import __version__
from ganforge.cli.arguments import again, read
from ganforge.cli.commands import COMMANDS
from ganforge.errors import (
    BusyError,
    DiskError,
    GanforgeError,
    OutOfMemoryError,
    UsageError,
    lacks_memory,
)
from ganforge.text import ERRORS
from ganforge.training import openmp

NOTHING = "stopped before the first step, nothing new was saved; to start: {}"
BUG = "a bug of ours: {}: {}\nAdd --debug for the traceback, and please report it."
LONGEST = 1000  # letters of an error's line
OPTIONS = "Options"  # heading of what is no command
FULL_OR_BROKEN = (errno.ENOSPC, errno.EDQUOT, errno.EIO)


def application() -> App:
    """The parser of the commands in COMMANDS."""
    app = App(
        name="ganforge",
        help="Train, judge, diagnose and ship generative adversarial networks.",
        version=__version__,
        result_action="return_value",
        suppress_keyboard_interrupt=False,
        help_epilogue="First: `ganforge train` learns MNIST in a few minutes. `ganforge recipes` "
        "lists the systems. Add --debug to any command for a traceback.",
    )
    for name, where in COMMANDS.items():
        app.command(resolve_name(where), name=name)
    for name in app:
        if name.startswith("-"):
            app[name].group = OPTIONS
    return app


def main(given: Sequence[str] | None = None) -> int:
    """The `ganforge` command; returns the exit code."""
    entry = given is None  # of the console script, not a call from Python
    if entry:
        if hasattr(signal, "SIGUSR1"):  # "save": harmless before there is a run
            signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        _streams()
    left_out = openmp.unset()  # before torch is imported
    if left_out and _rank() == 0:
        print(f"ganforge: {left_out}", file=sys.stderr)
    code = run(sys.argv[1:] if given is None else given)
    if entry and (code > 128 or code == BusyError.exit_code):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # unloading torch costs a second, or waits for a lost process
    return code


@contextmanager
def loading() -> Iterator[None]:
    """Around the import of torch, whose C++ code aborts if Ctrl-C raises an exception in it."""

    def leave(number: int, frame: FrameType | None) -> None:
        print(NOTHING.format(again()), flush=True)
        os._exit(128 + number)  # nothing is open yet

    if os.environ.get("WORLD_SIZE", "1") != "1":  # a lost process is one line here, not torch's
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
    """Discard output to a closed stream; escape letters that the terminal lacks."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name) or os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
        setattr(sys, name, stream)
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=ERRORS)


def run(given: Sequence[str]) -> int:
    """Run one command; returns the exit code."""
    words = [word for word in given if word != "--debug"]
    try:
        code = show(application()(read(words), exit_on_error=False, print_error=False))
        sys.stdout.flush()
        return code
    except KeyboardInterrupt as error:
        if _rank() == 0:
            print(NOTHING.format(again()))
        return 128 + getattr(error, "signal", 2)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        known = explained(error)
        if len(words) < len(given):
            traceback.print_exception(known or error)
        elif known is None or known.printed_by(_rank()):
            text = str(known or BUG.format(type(error).__name__, error))
            if len(text) > LONGEST:  # somebody typed a value of thousands of letters
                text = f"{text[: LONGEST // 2]} ... {text[-LONGEST // 2 :]}"
            print(f"ganforge: {text}", file=sys.stderr)
        return known.exit_code if known else 1


def show(result: Any) -> int:
    """Print what a command returned or yields; its exit code."""
    if not isinstance(result, Generator):
        if result is not None:
            print(result)
        return 0
    while True:
        try:
            print(next(result), flush=True)
        except StopIteration as end:
            return int(end.value)


def explained(error: Exception) -> GanforgeError | None:
    """What happened, as an error with a remedy; None for a bug."""
    if isinstance(error, GanforgeError):
        return error
    if isinstance(error, CycloptsError):
        return mistyped(error)
    if lacks_memory(error):
        return OutOfMemoryError(
            "the machine has too little memory for this: use smaller networks, --size or --batch"
        )
    if isinstance(error, OSError) and (error.filename or error.errno in FULL_OR_BROKEN):
        where = error.filename or "standard output"
        return DiskError(f"{where}: {error.strerror}: choose another path, or check the disk")
    return None


def mistyped(error: CycloptsError) -> UsageError:
    """The parser's error in one line, with the usage if a word is missing or is too much."""
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
    application().help_print(list(command), console=Console(file=text, width=LONGEST))
    return text.getvalue().strip().splitlines()[0].removeprefix("Usage: ")


def _rank() -> int:
    """The number of this process, 0 if there is only one."""
    rank = os.environ.get("RANK", "0")
    return int(rank) if rank.isdecimal() else 0
