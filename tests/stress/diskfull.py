"""A disk that is full (ENOSPC) or broken (EIO) from the k-th write on, for every k and writer.

Writers alone: whichever write fails first, what was there before still reads, and the next attempt
succeeds. In a run: it warns, goes on, tries again and ends the same; where the disk stays full to
the end the exit code is 74 and the last good checkpoint loads.
"""

from __future__ import annotations

import errno
import json
from pathlib import Path

import torch

from ganforge import files
from ganforge.errors import DiskError
from ganforge.runs import checkpoint, model
from ganforge.runs import folder as runs
from ganforge.sampling.sampler import Sampler
from ganforge.training import build, loop
from tests.stress.faults import Disk, failing
from tests.stress.games import difference, game, outcome, play, warm
from tests.stress.harness import Options, Tally, run

NUMBERS = {"ENOSPC": errno.ENOSPC, "EIO": errno.EIO}
STEPS, FULL, FREE = 100, 30, 70  # the disk is full between two log records of the run


def tensors(step: int) -> dict[str, torch.Tensor]:
    return {"a": torch.full((300, 300), float(step)), "b": torch.tensor(step)}


class Writer:
    """One kind of file: `write(version)`, and `read()` that gives the version, or raises."""

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir()

    def write(self, version: int) -> None:
        raise NotImplementedError

    def read(self) -> int:
        raise NotImplementedError


class Checkpoints(Writer):
    def write(self, version: int) -> None:
        checkpoint.save(self.folder, version, tensors(version), {})
        checkpoint.prune(self.folder, 1)

    def read(self) -> int:
        found, damaged = checkpoint.newest(self.folder)
        if found is None or damaged:
            raise ValueError(f"nothing loads: {damaged}")
        if float(found.tensors["a"].mean()) != found.step:
            raise ValueError("other tensors were loaded")
        return found.step


class Model(Writer):
    def write(self, version: int) -> None:
        config, data = game("toy")
        st = build.initial(config, data.spec)
        with torch.no_grad():
            next(st.players.generator.parameters()).fill_(version)
        sampler = Sampler(st.players.generator, data.spec, config.noise, "toy")
        model.save(self.folder, sampler, config, {"step": version})

    def read(self) -> int:
        return int(next(model.load(self.folder).model.parameters()).flatten()[0])


class Info(Writer):
    def write(self, version: int) -> None:
        runs.Run(self.folder).write_info(step=version, padding="x" * 5000)

    def read(self) -> int:
        return int(runs.Run(self.folder).info()["step"])


class Log(Writer):
    def write(self, version: int) -> None:
        record = {"step": version, "epoch": float(version), "padding": "x" * 300}
        runs.append_log(self.folder / "log.jsonl", [record])

    def read(self) -> int:
        steps = [int(r["step"]) for r in runs.read_log(self.folder / "log.jsonl")]
        if steps != list(range(1, steps[-1] + 1)):
            raise ValueError(f"the log lost a record: {steps}")
        return steps[-1]


class Grid(Writer):
    def write(self, version: int) -> None:
        files.save_file(self.folder / "samples" / "grid.json", json.dumps(version).encode())

    def read(self) -> int:
        return int(json.loads((self.folder / "samples" / "grid.json").read_bytes()))


class Lock(Writer):
    """Taking the folder and leaving it; a failed attempt must not keep the next one out."""

    def write(self, version: int) -> None:
        path = self.folder / "version"  # opened so that it does not fail
        with runs.locked(runs.Run(self.folder)), open(path, "w") as file:
            file.write(str(version))

    def read(self) -> int:
        return int((self.folder / "version").read_bytes())


WRITERS: dict[str, type[Writer]] = {
    "checkpoint": Checkpoints, "model": Model, "run.json": Info, "log": Log, "grid": Grid,
    "lock": Lock,
}  # fmt: skip


def writer_alone(name: str, kind: str, options: Options, tally: Tally) -> None:
    """Every k until a write goes through untouched."""
    k, through = 0, False
    while not through and not tally.hopeless:
        what = f"{name}, {kind} at write {k + 1}"
        subject = WRITERS[name](options.scratch / f"{name}-{kind}-{k}")
        subject.write(1)
        try:
            with failing(Disk(k, NUMBERS[kind])) as disk:
                subject.write(2)
            through = not disk.failed
        except DiskError:
            pass
        except Exception as error:
            tally.failures.append(f"{what}: {type(error).__name__}, not DiskError: {error}")
        tally.tries += 1
        try:
            found = subject.read()
            tally.check(found in (1, 2), f"{what}: version {found} reads")
            if found == 1:
                subject.write(2)
            tally.check(subject.read() == 2, f"{what}: the next attempt left the old version")
        except Exception as error:
            tally.failures.append(f"{what}: afterwards {type(error).__name__}: {error}")
        k += 1


def in_a_run(path: Path, k: int, number: int, until: int) -> tuple[Disk, list[str]]:
    """The toy on a disk that fails between two of its steps; what was told on the way."""
    config, data = game("toy", STEPS)
    disk = Disk(1 << 60, number)
    told = []
    with failing(disk):
        for progress in loop.train(config, path, data=data):
            told += [progress.note] if progress.note else []
            if progress.step == FULL and disk.k == 1 << 60:
                disk.k = disk.seen + k
            elif progress.step >= until:
                disk.k, disk.seen = 1 << 60, disk.seen + (1 << 40 if disk.failed else 0)
    return disk, told


def survives(
    kind: str, every: int, wanted: dict[str, object], options: Options, tally: Tally
) -> None:
    """For every k, or some: the disk recovers, and the run ends as if nothing had been."""
    k, reached = 0, True
    while reached and not tally.hopeless:
        path, what = options.scratch / f"run-{kind}-{k}", f"run, {kind} at write {k + 1}"
        try:
            disk, told = in_a_run(path, k, NUMBERS[kind], FREE)
            reached = disk.seen >= 1 << 40
            found = difference(wanted, outcome(path))
            tally.check(not found, f"{what}: ends with another {found}")
            warned = any("training goes on" in note for note in told)
            tally.add("runs that warned and went on", int(warned))
            tally.tries += 1
        except Exception as error:
            tally.failures.append(f"{what}: {type(error).__name__}: {error}")
        k += every


def stays_full(kind: str, options: Options, tally: Tally) -> None:
    """The disk never recovers: DiskError (exit code 74) at the end, and a resume from before."""
    path, what = options.scratch / f"full-{kind}", f"{kind} to the end"
    try:
        in_a_run(path, 0, NUMBERS[kind], STEPS + 1)
        tally.failures.append(f"{what}: no error at the end")
    except DiskError as error:
        tally.check(error.exit_code == 74, f"{what}: exit code {error.exit_code}")
        tally.check("last checkpoint" in str(error), f"{what}: ended early: {error}")
    found, damaged = checkpoint.newest(path / "checkpoints")
    ok = found is not None and found.step <= FULL and not damaged
    tally.check(ok, f"{what}: the last good checkpoint does not load: {damaged}")
    tally.tries += 1


def everything(options: Options, tally: Tally) -> None:
    for kind in NUMBERS:
        for name in WRITERS:
            writer_alone(name, kind, options, tally)
    tally.facts["in writers alone"] = tally.tries
    config, data = game("toy", STEPS)
    play(config, options.scratch / "whole", data)
    wanted = outcome(options.scratch / "whole")
    for kind in list(NUMBERS)[: max(1, options.n)]:
        survives(kind, 1 if options.n else 8, wanted, options, tally)
        stays_full(kind, options, tally)


def attack(options: Options, tally: Tally) -> None:
    """n: kinds of error (1 or 2) that the runs meet, at every k; 0: one kind, every eighth k.

    The writers alone always meet both, at every k.
    """
    warm()
    everything(options, tally)


if __name__ == "__main__":
    raise SystemExit(run("diskfull", attack, 1, __doc__))
