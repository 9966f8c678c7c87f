"""The commands as functions: `gf.load`, `gf.evaluate`, `gf.diagnose`, `gf.plot`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL.Image import Image

from ganforge import bar, diagnosis
from ganforge.api import results
from ganforge.api.results import Records, Results, Saved, where
from ganforge.config.user_code import Code
from ganforge.diagnosis import Diagnosis
from ganforge.errors import UsageError
from ganforge.evaluation import evaluate as evaluation
from ganforge.evaluation.score import Score
from ganforge.registry import load_code
from ganforge.runs import load as loading
from ganforge.runs.folder import Run
from ganforge.runs.model import OwnNetworks
from ganforge.sampling.sampler import Sampler

__all__ = ["diagnose", "evaluate", "load", "plot"]


def load(
    path: Path | str,
    networks: OwnNetworks | None = None,
    device: str = "cpu",
    code: Path | str | Code | None = None,
) -> Saved | Sampler:
    """A run with its newest generator, or the generator of a model folder; both can `sample`.

    Args:
        path: run folder or model folder.
        networks: your function, if the model was trained with one.
        device: of the generator, "cpu", "cuda" or "mps".
        code: your FILE.py, or objects by name, in place of `networks`.

    Raises:
        DataError: there is no model, or it is damaged.
    """
    sampler = loading.open_sampler(where(path), of_user(networks, code), device)
    run = Run(Path(path))
    return Saved(run, sampler) if run.exists() else sampler


def evaluate(
    subject: Any, *, code: Path | str | Code | None = None, **options: Any
) -> Records[Score]:
    """Score a run, a model, a sampler or samples against real examples that did not train it.

    Args:
        subject: a run of `gf.train` or `gf.load`, a path of a run, a model or an .npz, a sampler.
        code: your FILE.py, or objects by name, for parts that are code of yours.
        options: metrics, n, split, data, size, space, seed and networks, see
            `evaluation.evaluate.evaluate`.

    Returns:
        A score for each metric, with floor and verdict; those of a path or run are saved too.

    Raises:
        UsageError, DataError: see `evaluation.evaluate.evaluate`.
    """
    options["networks"] = of_user(options.get("networks"), code)
    with bar.shown():
        return Records(evaluation.evaluate(where(subject), **options))


def diagnose(
    run: Results | Path | str, *, code: Path | str | Code | None = None, **options: Any
) -> Diagnosis:
    """What is wrong with a run, and what to do.

    Args:
        run: of `gf.train` or `gf.load`, or its folder.
        code: see `evaluate`.
        options: n, data, validation, networks and save, see `diagnosis.diagnose`.

    Raises:
        UsageError, DataError: see `diagnosis.diagnose`.
    """
    options["networks"] = of_user(options.get("networks"), code)
    return diagnosis.diagnose(folder(run), **options)


def plot(run: Results | Path | str, output: Path | str | None = None) -> Image:
    """A run as a picture, see `results.plot`; `run` is of `gf.train` or `gf.load`, or a folder."""
    return results.plot(folder(run), output)


def of_user(networks: OwnNetworks | None, code: Path | str | Code | None) -> OwnNetworks | None:
    """The user's code that was given as a function, a file or objects by name."""
    return networks if code is None else load_code(code)


def folder(run: Results | Path | str) -> Path:
    """The folder of a run; UsageError for an object that is none."""
    path = where(run)
    if not isinstance(path, str | Path):
        raise UsageError(
            f"{run!r:.80}: expected a run of gf.train or gf.load, or the path of its folder"
        )
    return Path(path)
