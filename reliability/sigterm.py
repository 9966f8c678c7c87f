"""Signals: SIGTERM to saved and gone in 2 s with exit code 143, SIGINT 130, SIGUSR1 saves.

A second signal leaves at once, and nothing is half written; a second trainer is kept out. One game
in four spends most of its time on scores, and some signals come while a run starts. Most
runs are the command's function in a forked process, some the real `python -m ganforge train`.

The time is the user's, by the clock, from the signal to the end of the process; so it also holds
what other work on the machine takes. A run that was late is therefore followed by up to two others
like it: the bound is missed where all three are late, and every late one is counted and told.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from ganforge import checkpoint, cli, runs
from reliability.games import warm
from reliability.harness import Options, Tally, fork, run

LIMIT = 2.0  # seconds from the signal to the end of the process
PATIENCE = 60.0  # seconds until a run has started
RUNS = 3  # that must all be late to miss the bound
EPOCHS = "100000"
COMMON = ("--epochs", EPOCHS, "--threads", "1", "--output.log_every", "5", "--batch", "8")
GAMES = (
    ("gaussian",),
    ("mnist-dropout", "--networks.generator", "[8,8]", "--networks.discriminator", "[8,8]"),
    ("cdcgan", "--networks.generator_width", "4", "--networks.discriminator_width", "4",
     "--precision", "fp32"),
    ("gaussian", "--every", "0.01"),
)  # fmt: skip


def words(number: int, path: Path) -> list[str]:
    """The arguments of the number-th run, which would train for hours."""
    return ["train", *GAMES[number % len(GAMES)], *COMMON, "--out", str(path)]


def until(happened: Callable[[], bool], seconds: float) -> bool:
    """Wait for something; whether it happened in time."""
    end = time.perf_counter() + seconds
    while not happened():
        if time.perf_counter() > end:
            return False
        time.sleep(0.005)
    return True


def started(path: Path) -> bool:
    return len(runs.Run(path).log()) > 0


def newest(path: Path) -> int:
    """The step of the newest checkpoint, all of which must verify; -1 for none."""
    found, damaged = checkpoint.newest(path / "checkpoints")
    if damaged:
        raise ValueError(f"damaged: {damaged}")
    return found.step if found else -1


class Trainer:
    """A forked process that runs the command."""

    def __init__(self, arguments: list[str], said: Path | None = None):
        self.pid = fork(lambda: cli.main(arguments), said)
        self.status: int | None = None

    def send(self, number: int) -> None:
        os.kill(self.pid, number)

    def gone(self) -> bool:
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.status = os.waitstatus_to_exitcode(status) if pid else None
        return self.status is not None


class Command(Trainer):
    """The real command, in an interpreter of its own."""

    def __init__(self, arguments: list[str]):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ganforge", *arguments], stdout=subprocess.DEVNULL
        )
        self.pid, self.status = self.process.pid, None

    def gone(self) -> bool:
        self.status = self.process.poll()
        return self.status is not None


def one(make: type[Trainer], arguments: list[str], kind: str, pause: float, tally: Tally) -> float:
    """Start, signal, and look at how it left; the seconds that took."""
    trainer, path = make(arguments), Path(arguments[-1])
    try:
        if kind == "early":
            time.sleep(pause)
            return leave(trainer, path, kind, tally)
        if not until(lambda: started(path) or trainer.gone(), PATIENCE) or trainer.gone():
            tally.failures.append(f"{kind}: the run did not start ({trainer.status})")
            return 0.0
        time.sleep(pause)
        if kind == "SIGUSR1":
            before = newest(path)
            trainer.send(signal.SIGUSR1)
            ok = until(lambda: newest(path) > before, LIMIT + 3) and not trainer.gone()
            tally.check(ok, "SIGUSR1: no checkpoint, or the run ended")
            kept_out(arguments, tally)
        return leave(trainer, path, kind, tally)
    finally:
        if not trainer.gone():
            trainer.send(signal.SIGKILL)
            until(trainer.gone, 10)


def kept_out(arguments: list[str], tally: Tally) -> None:
    """The same command while it runs: refused, and told by which process."""
    said = Path(arguments[-1]).with_suffix(".second")
    second = Trainer(arguments, said)
    if not until(second.gone, PATIENCE / 4):
        second.send(signal.SIGKILL)
        until(second.gone, 10)
    told = said.read_text()
    ok = second.status == 75 and "is being trained by process" in told
    tally.check(ok, f"a second trainer was let in, or left with {second.status}: {told[-300:]}")


def leave(trainer: Trainer, path: Path, kind: str, tally: Tally) -> float:
    """Send the signal that ends the run, time it, and look at what it left; the seconds."""
    number = signal.SIGINT if kind == "SIGINT" else signal.SIGTERM
    logged = max((r["step"] for r in runs.Run(path).log()), default=-1)
    began = time.perf_counter()
    trainer.send(number)
    if kind == "second":
        time.sleep(0.005)
        if not trainer.gone():
            trainer.send(number)
    until(trainer.gone, LIMIT + 5)
    took = time.perf_counter() - began
    tally.tries += 1
    tally.add(kind)
    tally.facts["slowest (s)"] = max(tally.facts.get("slowest (s)", 0.0), round(took, 2))
    # before there are handlers the system ends it
    killed = -number if kind == "early" else 128 + number
    ok = trainer.status in (128 + number, killed)
    tally.check(ok, f"{kind}: exit code {trainer.status}")
    step, info = newest(path), runs.Run(path).info()
    begun = trainer.status != killed and path.exists()
    if kind != "second" and (kind != "early" or begun):
        tally.check(step >= logged, f"{kind}: saved step {step}, had logged step {logged}")
        ok = info.get("status") == "stopped" and info.get("step") == step
        tally.check(ok, f"{kind}: run.json says {info.get('status')} at step {info.get('step')}")
        tally.check(not (path / runs.LOCK).exists(), f"{kind}: the lock is still there")
    return took


def attack(options: Options, tally: Tally) -> None:
    """n runs are ended by SIGTERM while they train, a fifth as many in each of the other ways."""
    warm()
    chance = random.Random(options.seed)
    others = max(1, options.n // 5)
    real = min(6, max(1, options.n // 5))
    kinds = ["SIGTERM"] * options.n + ["SIGINT", "SIGUSR1", "second", "early"] * others
    for number, kind in enumerate(kinds):
        if tally.hopeless:
            return
        make = Command if options.n - real <= number < options.n else Trainer
        tally.add("of the real command", int(make is Command))
        late: list[float] = []
        while len(late) < RUNS and not tally.hopeless:
            path = options.scratch / f"{number}-{len(late)}"
            took = one(make, words(number, path), kind, chance.uniform(0, 0.3), tally)
            if took < LIMIT:
                break
            late.append(round(took, 2))
        tally.add("late", len(late))
        tally.check(len(late) < RUNS, f"{kind}: {late} s")


if __name__ == "__main__":
    raise SystemExit(run("sigterm", attack, 10, __doc__))
