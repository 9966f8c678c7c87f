"""Train, score, draw: what `ganforge train` and `gf.train` do around the loop.

    run = gf.train(gf.recipes.cdcgan(), out="runs/a")
    eights = run.sample(16, labels=8)

To put your code into the loop, iterate over `gf.iterate(...)` instead.
"""

from __future__ import annotations

import re
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from ganforge import files
from ganforge.callbacks import display, log
from ganforge.callbacks.diagnose import Budget, DiagnoseCallback
from ganforge.callbacks.evaluate import Scorer
from ganforge.config.schema import Config
from ganforge.data.load import Dataset
from ganforge.data.settings import short_name
from ganforge.diagnosis import Diagnosis
from ganforge.errors import WHOLE, DataError, Interrupted, UsageError, check
from ganforge.evaluation.score import Score
from ganforge.plotting import overview
from ganforge.runs.folder import Run
from ganforge.runs.records import Control, Progress
from ganforge.sampling.sampler import Labels, Sampler
from ganforge.training import checks, distributed, loop, minutes, signals
from ganforge.types import Array

PLOT = "plot.png"


@dataclass(frozen=True)
class Trained:
    """A run that has been trained, as far as it got.

    run: its folder. progress: its last record. sampler: its generator. signal: the number of the
    signal that stopped it, 0 for none. scores: at its end, on the validation split;
    unscored: why there are none. diagnosis: healthy or not, at its end, if it was diagnosed.
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

    def sample(
        self,
        count: int = 16,
        labels: Labels = None,
        seed: int = 0,
        first: int = 0,
        truncation: float = 1.0,
    ) -> Array:
        """Samples first .. first + count - 1 of a seed, see `Sampler.sample`."""
        return self.sampler.sample(count, labels, seed, first, truncation)


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

    out: `runs/<name>` if none is given. show: "auto" (a bar on a terminal, pictures in a notebook,
    lines elsewhere), "terminal", "plain", "notebook", "quiet", or an object like those. data: a
    `Dataset` in place of what `config.data` names; validation: examples that are not in it, to
    score by. race: whether `threads = 0` is settled by a race at the start of a fresh run (see
    `threads`); False for all cores. Ctrl-C, SIGTERM: the step is finished, the run saved, and what
    is there returned; before there is a run, Interrupted (a KeyboardInterrupt) is raised.
    """
    if not isinstance(config, Config):
        raise UsageError(f"{config!r}: expected a Config; call the recipe, as gf.recipes.cdcgan()")
    check(0 < timeout < WHOLE, "timeout", timeout, "a number of seconds, more than 0")
    path = Path(out) if out is not None else default_folder(config)
    leads = distributed.from_environment().is_main_process
    shown = display.choose(show if leads else "quiet") if isinstance(show, str) else show
    control = Control(take_over=take_over, timeout=timeout)
    with signals.handling(control):
        with control.may_be_interrupted():
            config = minutes.resolved(config, path, data)
            validation = checks.require_callbacks(config, path, data, validation)
            scorer = Scorer(config, path, control, data, validation)
        diagnosing = DiagnoseCallback(config, path, Budget(scorer.validation))
        with shown, log.Events(path) if config.output.tensorboard else nullcontext() as events:
            for t, progress in loop.training(config, path, control, data, race):
                if events:
                    events.add(progress)
                noted = diagnosing.on_record(t, scorer.watch(t, progress))
                with suppress(OSError):  # nobody reads any more, or a full disk: the run goes on
                    shown.show(noted)
        plot = diagnosis = None
        # a process that was asked to end has seconds: `ganforge plot` draws the same
        with suppress(Interrupted), control.may_be_interrupted():
            plot = draw(t.run) if leads else None
        scores, unscored = scorer.close(t)
        with suppress(Interrupted), control.may_be_interrupted():
            diagnosis = diagnosing.on_end(t, scores)
    grid = max(t.run.samples.glob("*.*"), default=None)
    return Trained(
        t.run, progress, t.sampler(), grid, plot, control.signal, scores, unscored, diagnosis
    )


def default_folder(config: Config) -> Path:
    """runs/<recipe>, with the data and the seed in the name if they are not the recipe's."""
    from ganforge.recipes import RECIPES

    usual = RECIPES[config.name]().data if config.name in RECIPES else config.data
    name = config.name if config.data == usual else f"{config.name}-{short_name(config.data)}"
    # a name from somebody's config file must not lead out of runs/
    name = re.sub(r"[^\w.-]+", "-", name).strip(".-") or "run"
    if config.seed:
        name += f"-seed{config.seed}"
    return Path("runs") / name


def draw(run: Run) -> Path | None:
    """The run's overview as plot.png; None if there is nothing to draw yet."""
    try:
        return files.save_file(run.path / PLOT, overview.overview(run))
    except DataError:
        return None
