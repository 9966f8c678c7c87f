"""Train, score, draw: what `ganforge train` and `gf.train` do around the loop.

    run = gf.train("cdcgan", epochs=1, out="runs/a")
    eights = run.sample(16, labels=8)

To put your code into the loop, iterate over `gf.iterate(...)` instead.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ganforge import bar
from ganforge.api import objects
from ganforge.api.results import PLOT, Records, Results, Saved, Trained, draw, plot
from ganforge.api.settings import changed, started
from ganforge.callbacks import display
from ganforge.callbacks.diagnose import Budget, DiagnoseCallback
from ganforge.callbacks.evaluate import Scorer
from ganforge.callbacks.log import Loggers, split, with_names
from ganforge.config import convert
from ganforge.config.schema import CONTINUABLE, Config
from ganforge.config.user_code import Code
from ganforge.data.load import Dataset
from ganforge.data.settings import short_name, split_off
from ganforge.errors import WHOLE, DataError, Interrupted, check
from ganforge.runs import folder as run_folder
from ganforge.runs.folder import Run
from ganforge.runs.records import Control
from ganforge.training import checks, distributed, loop, minutes, signals

__all__ = [
    "PLOT", "Records", "Results", "Saved", "Trained", "default_folder", "draw", "plot", "train",
]  # fmt: skip

LONGEST = 100  # letters of the name of a run folder


def train(
    what: str | Path | Config | Callable[[], Config] = "cdcgan",
    out: Path | str | None = None,
    *,
    data: Any = None,
    labels: Any = None,
    validation: Dataset | None = None,
    code: Path | str | Code | None = None,
    log: Any = None,
    show: str | display.Display = "auto",
    take_over: bool = False,
    timeout: float = distributed.TIMEOUT,
    race: bool = True,
    **settings: Any,
) -> Trained:
    """Train a recipe in the folder `out`, or go on with the run that is there.

    Ctrl-C, SIGTERM: the step is finished, the run saved, and what is there returned; before there
    is a run, Interrupted (a KeyboardInterrupt) is raised.

    Args:
        what: a recipe's name or the recipe, FILE.py:FUNCTION, a `Config`, the folder of a run that
            goes on, or data by name or path, for which a recipe is chosen.
        out: the run folder. [default: runs/RECIPE]
        data: in place of the recipe's: a name, a path, an array or tensor (N, ...), a map-style
            data set (of torch or Hugging Face), a list of PIL pictures. An object is read once
            into a store in the run folder, so that nothing else needs it. Or a `Dataset`.
        labels: of an array or a tensor: integers 0..K-1, (N,). True or False: the setting `labels`.
        validation: examples that are not in a `Dataset` given as `data`, to score by.
        code: your FILE.py or your objects by name, for a run with parts that are code of yours.
        log: where records go besides log.jsonl: "csv,tensorboard,wandb", an object with the three
            methods of `callbacks.log.Logger`, or a list of these.
        show: "auto" (a bar on a terminal, pictures in a notebook, lines elsewhere), "terminal",
            "plain", "notebook", "quiet", or an object like those.
        take_over: see `ganforge train --help`.
        timeout: seconds that one of several processes waits for the others.
        race: whether `threads = 0` is settled by a race at the start of a fresh run (see
            `threads`); False for all cores.
        settings: of the config (epochs=1, generator={"lr": 1e-4}) or of its game (loss="hinge");
            lr is that of both players.

    Returns:
        The run, with its log, scores and samples.

    Raises:
        UsageError, DataError, DiskError: the run may not be trained.
        DivergedError, OutOfMemoryError, BusyError: the last good checkpoint stays.
    """
    check(0 < timeout < WHOLE, "timeout", timeout, "a number of seconds, more than 0")
    if isinstance(labels, bool):
        settings["labels"], labels = labels, None
    start, folder = started(what, out, settings, data, code)
    names, loggers = split(log)
    config = with_names(changed(start, settings), names)
    path = folder or default_folder(objects.named(config, data))
    control = Control(take_over=take_over, timeout=timeout)
    with objects.stored(config, path, data, labels) as (config, part):
        return carry_out(config, path, control, part, validation, loggers, show, race)


def carry_out(
    config: Config,
    path: Path,
    control: Control,
    data: Dataset | None,
    validation: Dataset | None,
    log: Sequence[Any],
    show: str | display.Display,
    race: bool,
) -> Trained:
    """Train, show, score and diagnose; see `train`."""
    leads = distributed.from_environment().is_main_process
    shown = display.choose(show if leads else "quiet") if isinstance(show, str) else show
    with signals.handling(control), Loggers(path, [*config.output.log, *log]) as loggers:
        with control.may_be_interrupted():
            config = minutes.resolved(config, path, data)
            validation = checks.require_callbacks(config, path, data, validation)
            scorer = Scorer(config, path, control, data, validation)
        diagnosing = DiagnoseCallback(config, path, Budget(scorer.validation))
        with shown:
            for t, progress in loop.training(config, path, control, data, race):
                noted = diagnosing.on_record(t, scorer.watch(t, progress))
                noted = noted.noted(*loggers.add(progress, scorer.newest))
                with suppress(OSError):  # nobody reads any more, or a full disk: the run goes on
                    shown.show(noted)
        picture = diagnosis = None
        # a process that was asked to end has seconds: `ganforge plot` draws the same
        with suppress(Interrupted), control.may_be_interrupted():
            picture = draw(t.run) if leads else None
        with bar.shown(isinstance(shown, display.Terminal)):
            scores, unscored = scorer.close(t)
        notes = tuple(loggers.finish(scores))
        with suppress(Interrupted), control.may_be_interrupted():
            diagnosis = diagnosing.on_end(t, scores)
    grid = max(t.run.samples.glob("*.*"), default=None)
    trained = Trained(
        t.run, progress, t.sampler(), grid, picture, control.signal, Records(scores), unscored,
        diagnosis, notes,
    )  # fmt: skip
    if isinstance(shown, display.Notebook):
        shown.end(trained.closing())
    return trained


def default_folder(config: Config) -> Path:
    """runs/<recipe>, with the data and the seed in the name if they are not the recipe's.

    If that folder holds a run with other settings, those are in the name, as runs/dcgan-loss-hinge.
    """
    from ganforge.recipes import RECIPES

    usual = RECIPES[config.name]().data if config.name in RECIPES else config.data
    name = config.name if config.data == usual else f"{config.name}-{short_name(config.data)}"
    # a name from somebody's config file must not lead out of runs/
    name = re.sub(r"[^\w.-]+", "-", name).strip(".-") or "run"
    if config.seed:
        name += f"-seed{config.seed}"
    path = Path("runs") / name
    changes = settings_beside(Run(path), config)
    if not changes:
        return path
    return path.with_name(re.sub(r"[^\w.-]+", "-", f"{name}-{changes}")[:LONGEST].strip(".-"))


def settings_beside(run: Run, config: Config) -> str:
    """The settings in which `config` is another run than the one in a folder, in one word."""
    try:
        there = run_folder.settings_now(run) if run.exists() else None
    except DataError:  # said when the folder is used
        return ""
    changed = [] if there is None else convert.difference(there, convert.to_dict(config))
    texts = [
        f"{key.rpartition('.')[2]}-{value}"
        for key, _, value in changed
        if not key.startswith((*CONTINUABLE, "data", "seed", "name"))
    ]
    if there is not None:  # the name of the data is in the folder's name, how they are read is not
        before, now = split_off(str(there.get("data", "")))[1], split_off(config.data)[1]
        texts += [f"{k}-{v}" for k, v in asdict(now).items() if v != getattr(before, k)]
    return "-".join(texts)
