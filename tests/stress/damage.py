"""The newest checkpoint truncated, a bit flipped, a page zeroed: the one before it is used.

Every 25th time the damaged run is given again, and must end as the run that nothing happened to.
"""

from __future__ import annotations

import random
import shutil
from pathlib import Path

from ganforge.runs import checkpoint
from ganforge.runs.records import Control
from tests.stress.games import difference, game, outcome, play, warm
from tests.stress.harness import Options, Tally, fork, run, wait

PAGE = 4096
WAYS = ("truncated", "bit flipped", "page zeroed")
FILES = (checkpoint.STATE, checkpoint.STATE, checkpoint.MANIFEST)  # two of three times the state
STOP = 150


def stopped(path: Path) -> None:
    """A run of the toy, stopped halfway."""
    from ganforge.training import loop

    config, data = game("toy")
    control = Control()
    for progress in loop.train(config, path, control, data):
        control.stop = progress.step >= STOP


def damaged(data: bytes, way: str, chance: random.Random) -> bytes:
    """`data` after a fault of the disk; never the same as before."""
    at = chance.randrange(len(data))
    if way == "truncated":
        return data[:at]
    if way == "bit flipped":
        return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]
    page = at // PAGE * PAGE
    out = data[:page] + bytes(len(data[page : page + PAGE])) + data[page + PAGE :]
    return out if out != data else data[:-1]


def attack(options: Options, tally: Tally) -> None:
    """Damage copies of one run, a file and a place at random each time."""
    warm()
    chance = random.Random(options.seed)
    run_path, whole = options.scratch / "stopped", options.scratch / "whole"
    config, data = game("toy")
    for body in (lambda: stopped(run_path), lambda: play(config, whole, data) and None):
        if wait(fork(body)) != 0:
            raise RuntimeError("the undisturbed run failed")
    wanted = outcome(whole)
    good = {p.name: checkpoint.encode_tensors(checkpoint.read_tensors(p / checkpoint.STATE))
            for p in checkpoint.listed(run_path / "checkpoints")}  # fmt: skip
    while tally.tries < options.n and not tally.hopeless:
        way, file = WAYS[tally.tries % 3], chance.choice(FILES)
        copy = options.scratch / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(run_path, copy)
        newest, before = checkpoint.listed(copy / "checkpoints")[:2]
        raw = (newest / file).read_bytes()
        (newest / file).write_bytes(damaged(raw, way, chance))
        tally.tries += 1
        look(copy, newest.name, before.name, f"{file} {way}", good, tally)
        if tally.tries % 25 == 0:
            given_again(copy, wanted, f"{file} {way}", tally)


def look(
    path: Path, newest: str, before: str, what: str, good: dict[str, bytes], tally: Tally
) -> None:
    """The checkpoint that a resume would take."""
    try:
        found, lines = checkpoint.newest(path / "checkpoints")
    except Exception as error:
        tally.failures.append(f"{what}: {type(error).__name__}: {error}")
        return
    if not tally.check(found is not None, f"{what}: nothing loads") or found is None:
        return
    held = checkpoint.encode_tensors(found.tensors)
    tally.check(held == good[found.path.name], f"{what}: other tensors were loaded as good")
    # a bit flipped in the white space of a manifest leaves what it says, and may pass
    harmless = found.path.name == newest and what == f"{checkpoint.MANIFEST} bit flipped"
    if not harmless:
        ok = found.path.name == before and len(lines) == 1 and newest in lines[0]
        tally.check(ok, f"{what}: {found.path.name} was used, told: {lines}")
        tally.add("noticed")
    else:
        tally.add("harmless")


def given_again(path: Path, wanted: dict[str, object], what: str, tally: Tally) -> None:
    """The same command on the damaged run."""
    config, data = game("toy")
    if tally.check(wait(fork(lambda: play(config, path, data) and None)) == 0, f"{what}: fails"):
        now = outcome(path)
        # a grid where it was stopped: the undisturbed run has none, nor has one that goes on from
        # the checkpoint before
        now.pop(f"{STOP:09d}.npz", None)
        found = difference(wanted, now)
        tally.check(not found, f"{what}: given again it differs in {found}")
        tally.add("given again")


if __name__ == "__main__":
    raise SystemExit(run("damage", attack, 100, __doc__))
