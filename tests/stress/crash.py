"""kill -9 at random moments, a third of them inside saves; the run goes on and ends the same.

A run is killed again and again until one attempt comes to its end; weights, averages, moments,
model, grids and log must then be those of the run that nobody killed. Some kills are of the real
`python -m ganforge train`.
"""

from __future__ import annotations

import os
import random
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ganforge.runs import checkpoint, folder
from ganforge.training.trainer import Trainer
from tests.stress.games import GAMES, difference, game, outcome, play, warm
from tests.stress.harness import Options, Tally, fork, run, wait

KILLED = (*GAMES, "pix2pix", "cyclegan")
SAVES = ("save", "finish", "save_samples")  # of the trainer: what counts as inside a save
COMMAND = ("train", "gaussian", "--epochs", "6", "--threads", "1", "--output.save_every", "0.1",
           "--output.score", "false")  # fmt: skip


def told(pipe: int) -> None:
    """Let the loop say on a pipe when a save begins (S) and ends (E)."""

    def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            os.write(pipe, b"S")
            out = function(*arguments)
            os.write(pipe, b"E")
            return out

        return call

    for name in SAVES:
        setattr(Trainer, name, wrap(getattr(Trainer, name)))


class Attempt:
    """One child that trains a game in a folder, to be killed."""

    def __init__(self, name: str, path: Path):
        self.read, self.write = os.pipe()
        config, data = game(name)

        def body() -> None:
            told(self.write)
            play(config, path, data)

        self.pid = fork(body, path.with_suffix(".said"))
        os.close(self.write)
        self.heard = b""

    def listen(self, seconds: float, saves: int = 0) -> bool:
        """Read the pipe for so long, or until so many saves have begun; False once it closes."""
        end = time.perf_counter() + seconds
        while (left := end - time.perf_counter()) > 0:
            if not select.select([self.read], [], [], left)[0]:
                break
            heard = os.read(self.read, 4096)
            if not heard:
                return False
            self.heard += heard
            if saves and self.heard.count(b"S") >= saves:
                break
        return True

    def hold(self, saves: int, seconds: float, chance: random.Random) -> bool:
        """Stop the child inside its `saves`-th save or a later one; False once it has ended.

        How long a save lasts differs between machines, so the child is held still (SIGSTOP) and
        asked where it is: outside a save it goes on, up to the next.
        """
        while self.listen(seconds, saves):
            time.sleep(chance.uniform(0, 0.01))
            os.kill(self.pid, signal.SIGSTOP)
            state = os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
            if state is None or state.si_code != os.CLD_STOPPED:
                return False
            os.waitid(os.P_PID, self.pid, os.WSTOPPED)  # reported once: the next stop is another
            self.listen(0.001)
            if self.heard.endswith(b"S"):
                return True
            saves = self.heard.count(b"S") + 1
            os.kill(self.pid, signal.SIGCONT)
        return False

    def end(self, kill: bool) -> tuple[int, bool]:
        """(exit code, whether it was inside a save), after a kill or after its own end."""
        if kill:
            os.kill(self.pid, signal.SIGKILL)
        code = wait(self.pid)
        while heard := os.read(self.read, 4096):
            self.heard += heard
        os.close(self.read)
        return code, self.heard.endswith(b"S")


def attempt(name: str, path: Path, whole: float, chance: random.Random, tally: Tally) -> bool:
    """One child, killed at a random moment; whether it came to its end before."""
    child = Attempt(name, path)
    if chance.random() < 0.6:  # aimed at a save
        alive = child.hold(chance.randint(1, 4), 3 * whole, chance)
    else:
        alive = child.listen(chance.uniform(0, 0.7 * whole))
    code, inside = child.end(kill=alive)
    if code == -signal.SIGKILL:
        tally.tries += 1
        tally.add("inside saves", int(inside))
        damaged = checkpoint.newest(path / "checkpoints")[1]
        tally.check(not damaged, f"{name}: a kill left half a checkpoint: {damaged}")
    elif tally.check(code == 0, f"{name}: resumed run ended with {code}: {tail(path)}"):
        return True
    return False


def tail(path: Path) -> str:
    """The last line a child printed."""
    said = path.with_suffix(".said").read_text(errors="replace").strip().splitlines()
    return said[-1] if said else "nothing was said"


def reference(name: str, path: Path) -> tuple[dict[str, Any], float]:
    """The outcome and the seconds of the run that nobody kills."""
    config, data = game(name)
    began = time.perf_counter()
    if wait(fork(lambda: play(config, path, data) and None, path.with_suffix(".said"))) != 0:
        raise RuntimeError(f"the undisturbed run failed: {tail(path)}")
    return outcome(path), time.perf_counter() - began


def compare(path: Path, wanted: dict[str, Any], name: str, tally: Tally) -> None:
    """A run that came to its end against the one that was never killed; no leftovers either."""
    try:
        found = difference(wanted, outcome(path))
    except Exception as error:
        found = f"{type(error).__name__}: {error}"
    tally.check(not found, f"{name}: differs in {found}")
    left = [*path.rglob(".*tmp*"), *path.glob(folder.LOCK)]
    tally.check(not left, f"{name}: leftovers {left}")
    tally.add("runs compared")


def one_game(name: str, kills: int, options: Options, tally: Tally) -> None:
    """Kill runs of one game so many times; every run is driven to its end and compared."""
    chance = random.Random(f"{options.seed}/{name}")
    wanted, seconds = reference(name, options.scratch / f"{name}-whole")
    goal, number = tally.tries + kills, 0
    while tally.tries < goal and not tally.hopeless:
        path = options.scratch / f"{name}-{number}"
        ended = False
        while tally.tries < goal and not ended and not tally.hopeless:
            ended = attempt(name, path, seconds, chance, tally)
        if not ended:
            ended = Attempt(name, path).end(kill=False)[0] == 0
            tally.check(ended, f"{name}: the last resume failed: {tail(path)}")
        if ended:
            compare(path, wanted, name, tally)
        number += 1


def command(kills: int, options: Options, tally: Tally) -> None:
    """The same with the real command, killed from outside."""
    chance = random.Random(f"{options.seed}/command")
    whole, path = (options.scratch / f"command-{kind}" for kind in ("whole", "killed"))
    start(whole).wait()
    done = 0
    while done < kills and not tally.hopeless:
        process = start(path)
        step = until_trained(process, path)
        time.sleep(chance.uniform(0, 0.2))
        process.kill()
        killed = process.wait() == -signal.SIGKILL
        tally.check(killed or process.returncode == 0, f"the command ended: {process.returncode}")
        done += 1
        tally.tries += int(killed)
        tally.add("of the real command", int(killed))
        if not killed and step < 0:
            break
    code = start(path).wait()
    if tally.check(code == 0, f"the command, given again, ended with {code}"):
        compare(path, outcome(whole), "the command", tally)


def start(path: Path) -> subprocess.Popen[bytes]:
    """The real command, in an environment of its own."""
    words = [sys.executable, "-m", "ganforge", *COMMAND, "--out", str(path)]
    return subprocess.Popen(words, stdout=subprocess.DEVNULL)


def until_trained(process: subprocess.Popen[bytes], path: Path) -> int:
    """Wait for a log record that was not there before; its step, -1 where the process ended."""
    before = len(folder.Run(path).log())
    while process.poll() is None:
        log = folder.Run(path).log()
        if len(log) != before:
            return int(log[-1]["step"]) if log else 0
        time.sleep(0.005)
    return -1


def attack(options: Options, tally: Tally) -> None:
    """As many kills for each game, and a few of the real command."""
    warm()
    real = min(12, max(1, options.n // 10))
    for name in KILLED:
        one_game(name, max(1, (options.n - real) // len(KILLED)), options, tally)
    if not tally.hopeless:
        command(real, options, tally)
    inside = tally.facts.get("inside saves", 0)
    tally.check(3 * inside >= tally.tries - real, f"only {inside} kills were inside saves")


if __name__ == "__main__":
    raise SystemExit(run("crash", attack, 30, __doc__))
