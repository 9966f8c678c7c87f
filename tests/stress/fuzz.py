"""Malformed pictures, idx, npz, zip, safetensors, manifests, TOML and command lines.

No traceback, no hang of more than 5 s, less than 1 GB, and the right exit code. A case that takes
longer is given once more, for the machine may have been busy: then 5 s of its own CPU time, or a
minute by the clock, are a hang.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import json
import os
import resource
import signal
from pathlib import Path

import torch

from ganforge import cli
from ganforge.cli.commands.recipes import recipes
from tests.stress import malformed
from tests.stress.games import warm
from tests.stress.harness import Options, Tally, fork, run, wait

HANG, BLOCKED = 5, 60  # seconds
MEMORY = 10**9  # bytes resident
ROOM = 700 * 2**20  # bytes that a case may reserve beyond what the process holds
CHUNK = 250  # cases a process
M_ARENA_MAX = -8  # of malloc.h


def limit_memory() -> None:
    """Let what asks for too much be refused by the system.

    Every thread reserves 64 MB of addresses for its allocations unless all share one arena.
    """
    ctypes.CDLL(None).mallopt(M_ARENA_MAX, 1)
    held = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (held + ROOM,) * 2)


def one(case: malformed.Case, again: bool) -> list[str]:
    """Run a case in this process; what is wrong with how it went."""
    out, err = io.StringIO(), io.StringIO()
    faults = []
    # ends the process: the parent knows which case it was at
    signal.setitimer(signal.ITIMER_PROF, HANG if again else 0)
    signal.alarm(BLOCKED if again else HANG)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = cli.main(case.words)
    except BaseException as error:
        return [f"{type(error).__name__}: {error}"[:300]]
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(0)
        torch.set_num_threads(1)
    said = err.getvalue()
    if code not in case.codes:
        faults.append(f"exit code {code}: {said[:300]}")
    if "Traceback" in said or "a bug of ours" in said:
        faults.append(f"traceback: {said[-300:]}")
    if code and not said.startswith("ganforge: "):
        faults.append(f"exit code {code} without a word: {said[:200]!r}")
    return faults


def chunk(first: int, last: int, options: Options, again: bool = False) -> int:
    """Cases first .. last - 1, their faults in a file; the number under way in another."""
    limit_memory()
    os.chdir(options.scratch)
    for variable in ("HOME", "MPLCONFIGDIR"):
        os.environ[variable] = str(options.scratch)
    at, faults = open("at", "w"), open("faults", "a")  # noqa: SIM115
    for number in range(first, last):
        at.seek(0)
        at.write(f"{number:9}")
        at.flush()
        os.chdir(options.scratch)
        case = malformed.case(number, options.seed, Path("good"), Path("now"))
        os.chdir("now")
        kind = malformed.KINDS[number % len(malformed.KINDS)]
        for fault in one(case, again):
            faults.write(json.dumps(f"case {number}, {kind}, {case.words}: {fault}") + "\n")
            faults.flush()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    Path("../peak").write_text(str(peak))
    return 0 if peak < MEMORY else 9


def attack(options: Options, tally: Tally) -> None:
    """n cases, of all kinds in turn."""
    warm()
    recipes()
    made = wait(fork(lambda: malformed.good_files(options.scratch / "good"), Path("/dev/stderr")))
    if made != 0:
        raise RuntimeError("the good files could not be made")
    first, peak = 0, 0
    while first < options.n and not tally.hopeless:
        last = min(first + CHUNK, options.n)
        code = wait(fork(lambda a=first, b=last: chunk(a, b, options)))  # type: ignore[misc]
        if (options.scratch / "peak").exists():
            peak = max(peak, int((options.scratch / "peak").read_text()))
        tally.check(code != 9, f"cases {first} to {last}: {peak:,} bytes of memory")
        if code not in (0, 9):  # ended in the middle: go on with the next case
            last = int((options.scratch / "at").read_text()) + 1
            if code == -signal.SIGALRM:
                tally.add("given twice")
                code = wait(fork(lambda b=last: chunk(b - 1, b, options, again=True)))  # type: ignore[misc]
        if code not in (0, 9):
            slow = code in (-signal.SIGALRM, -signal.SIGPROF)
            what = f"hang of more than {HANG} s" if slow else f"ended by {code}"
            kind = malformed.KINDS[(last - 1) % len(malformed.KINDS)]
            tally.failures.append(f"case {last - 1}, {kind}: {what}")
        tally.tries += last - first
        faults = options.scratch / "faults"
        tally.failures += [json.loads(line) for line in faults.read_text().splitlines()]
        faults.unlink()
        first = last
    tally.facts["MB at most"] = round(peak / 1e6)


if __name__ == "__main__":
    raise SystemExit(run("fuzz", attack, 500, __doc__))
