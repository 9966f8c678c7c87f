"""Train, draw and keep: the body around the loop that the command line and `gf.train` run.

    run = gf.train(gf.recipes.cdcgan(), out="runs/a")
    eights = run.sample(16, labels=8)

For code of one's own, iterate over `gf.loop.train(...)` instead.
"""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from ganforge import display, distributed, loop, model, plots, runs, second_signal
from ganforge.codec import Array
from ganforge.config import Config
from ganforge.data.source import Dataset
from ganforge.diagnosis import Diagnosis
from ganforge.diagnosis.watch import Watcher
from ganforge.errors import WHOLE, DataError, Interrupted, UsageError, check
from ganforge.evaluation.score import Score
from ganforge.model import OwnNetworks
from ganforge.progress import Control, Progress
from ganforge.runs import Run
from ganforge.sampling import Labels, Sampler
from ganforge.scoring import Scorer

PLOT = "plot.png"


@dataclass(frozen=True)
class Trained:
    """A run that has been trained, as far as it got.

    run: its folder. progress: its last record. sampler: its generator. signal: the number of the
    signal that stopped it, 0 for none. scores: at its end, on the validation split;
    unscored: why there are none. diagnosis: healthy or not, at its end, where it was looked at.
    """

    run: Run
    progress: Progress
    sampler: Sampler
    grid: Path | None = None
    plot: Path | None = None
    signal: int = 0
    scores: tuple[Score, ...] = ()
    unscored: str = ""
    diagnosis: Diagnosis | None = None

    @property
    def path(self) -> Path:
        return self.run.path

    @property
    def finished(self) -> bool:
        return self.progress.step >= self.progress.steps

    def sample(self, count: int = 16, labels: Labels = None, seed: int = 0) -> Array:
        """`count` samples, see `Sampler.sample`."""
        return self.sampler.sample(count, labels, seed)


def train(
    config: Config,
    out: Path | str | None = None,
    *,
    show: str | display.Display = "auto",
    data: Dataset | None = None,
    validation: Dataset | None = None,
    take_over: bool = False,
    timeout: float = distributed.TIMEOUT,
    race: bool = True,
) -> Trained:
    """Train a config in the folder `out`, or go on with the run that is there.

    out: `runs/<name>` where none is given. show: "auto" (a bar on a terminal, pictures in a
    notebook, lines elsewhere), "terminal", "plain", "notebook", "quiet", or an object like those.
    data: a `Dataset` of your own in place of what `config.data` names; validation: examples held
    out of it, to score by. race: whether `threads = 0` is settled by a race at the start of a fresh
    run (see `threads`); False takes all cores.
    Ctrl-C, SIGTERM: the step is finished, the run saved, and what is there returned; before there
    is a run, while data are loaded, Interrupted (a KeyboardInterrupt) is raised.
    """
    if not isinstance(config, Config):
        raise UsageError(f"{config!r}: expected a Config; call the recipe, as gf.recipes.cdcgan()")
    check(0 < timeout < WHOLE, "timeout", timeout, "a number of seconds, more than 0")
    path = Path(out) if out is not None else default_folder(config)
    leads = distributed.from_environment().leads
    shown = display.choose(show if leads else "quiet") if isinstance(show, str) else show
    control = Control(take_over=take_over, timeout=timeout)
    with signals(control):
        with control.may_give_up():
            scorer = Scorer(config, path, control, data, validation)
        watcher = Watcher(config, path, scorer.validation)
        last = None
        with shown, events(config, path) as record:
            for last in loop.training(config, path, control, data, race):
                record(last[1])
                told = watcher.watch(last[0], scorer.watch(*last))
                with suppress(OSError):  # nobody reads any more, or a full disk: the run goes on
                    shown.show(told)
        if last is None:
            raise DataError(f"{path}: the run gave no record")
        training, progress = last
        plot = None
        # a process that was told to go has seconds: `ganforge plot` draws the same
        with suppress(Interrupted), control.may_give_up():
            plot = draw(training.run) if leads else None
        scores, unscored = scorer.close(training)
        found = None
        with suppress(Interrupted), control.may_give_up():
            found = watcher.close(training, scores)
    grids = sorted(training.run.samples.glob("*.*"))
    return Trained(
        training.run,
        progress,
        training.sampler(),
        grids[-1] if grids else None,
        plot,
        control.signal,
        scores,
        unscored,
        found,
    )


def default_folder(config: Config) -> Path:
    """runs/<recipe>, with the data and the seed in the name where they are not the recipe's."""
    from ganforge.recipes import RECIPES

    # a name from somebody's config file must not lead out of runs/
    name = re.sub(r"[^\w.-]+", "-", config.name).strip(".-") or "run"
    usual = RECIPES[config.name]().data if config.name in RECIPES else config.data
    if config.data != usual:
        name += f"-{Path(config.data).name.split('.')[0]}"
    if config.seed:
        name += f"-seed{config.seed}"
    return Path("runs") / name


@contextmanager
def events(config: Config, path: Path) -> Iterator[Callable[[Progress], None]]:
    """Where records go beside the log: TensorBoard event files, where the config asks for them."""
    if not (config.output.tensorboard and distributed.from_environment().leads):
        yield lambda progress: None
        return
    from ganforge import tensorboard

    with tensorboard.Events(path) as writer:
        yield writer.add


@contextmanager
def signals(control: Control) -> Iterator[list[int]]:
    """SIGINT and SIGTERM end the loop after its step, SIGUSR1 saves; a second one leaves at once.

    So does SIGHUP, of a terminal that was closed, unless it is ignored already (nohup). What need
    not be finished (loading, building, a score, a plot) is given up: `Interrupted`.

    The second one does so inside a native call too (see `second_signal`).

    Yields a list to which the number of the signal is added. Outside the main thread, where
    handlers cannot be set, nothing is changed.
    """
    caught: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield caught
        return

    def stop(number: int, frame: FrameType | None) -> None:
        if caught:
            os._exit(128 + number)  # checkpoints are renamed into place: nothing is half written
        caught.append(number)
        control.interrupt(number)

    def save(number: int, frame: FrameType | None) -> None:
        control.save = True

    handlers: dict[int, Any] = {signal.SIGINT: stop, signal.SIGTERM: stop}
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        handlers[signal.SIGHUP] = stop
    if hasattr(signal, "SIGUSR1"):
        handlers[signal.SIGUSR1] = save
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    stops = frozenset(number for number, handler in handlers.items() if handler is stop)
    try:
        with second_signal.watched(stops):
            yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def draw(run: Run) -> Path | None:
    """The run's overview as plot.png; None where there is nothing to draw yet."""
    from ganforge import pictures

    try:
        return pictures.save(run.path / PLOT, plots.overview(run))
    except DataError:
        return None


def open_sampler(
    path: Path | str, networks: OwnNetworks | None = None, device: str = "cpu"
) -> Sampler:
    """The generator of a run folder or a model folder (`gf.load`).

    networks: your own function, where the model was trained with one.
    Raises DataError where there is no model, or it is damaged.
    """
    folder = Path(path)
    if not folder.exists():
        raise DataError(f"{folder}: no such run or model folder (`ganforge runs` lists the runs)")
    if (folder / model.CONFIG).is_file():
        return model.load(folder, networks, torch.device(device))
    run = runs.open_run(folder)
    if not (run.model / model.CONFIG).is_file():
        raise DataError(
            f"{folder}: this run has no model yet; it gets one with its first checkpoint"
        )
    return model.load(run.model, networks, torch.device(device))


def run_of(path: Path | str) -> Run | None:
    """The run a path belongs to, where it is a run folder."""
    run = Run(Path(path))
    return run if run.exists() else None


def true_moments(name: str) -> tuple[Array, Array] | None:
    """Mean (F,) and covariance (F, F) of a toy law, where they are known."""
    from ganforge.data import toy

    law = toy.LAWS.get(name)
    if law is None:
        return None
    mean, covariance = getattr(law, "mean", None), getattr(law, "covariance", None)
    return None if mean is None or covariance is None else (mean, covariance)
