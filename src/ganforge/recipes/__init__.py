"""One file a published system; each is a function that returns one complete frozen config.

Variants are `dataclasses.replace(recipe(), ...)`. A recipe outside the package is a function in a
file of the user's, named as `mine.py:run`; it is executed only when it is named so.
"""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ganforge.config import Config, Parts
from ganforge.errors import GanforgeError, UsageError, choice
from ganforge.game import GAMES
from ganforge.nets import NETWORKS
from ganforge.own import OwnCode
from ganforge.penalties import PENALTIES
from ganforge.recipes.cdcgan import cdcgan
from ganforge.recipes.cgan import cgan
from ganforge.recipes.dcgan import dcgan
from ganforge.recipes.dcgan_report import dcgan_report
from ganforge.recipes.figure1 import figure1
from ganforge.recipes.gaussian import gaussian
from ganforge.recipes.gaussian_stable import gaussian_stable
from ganforge.recipes.grid import grid
from ganforge.recipes.mnist_dropout import mnist_dropout
from ganforge.recipes.mnist_mlp import mnist_mlp
from ganforge.recipes.parzen import parzen
from ganforge.recipes.ring import ring

RECIPES: dict[str, Callable[[], Config]] = {
    "gaussian": gaussian,
    "gaussian-stable": gaussian_stable,
    "figure1": figure1,
    "mnist-mlp": mnist_mlp,
    "mnist-dropout": mnist_dropout,
    "dcgan-report": dcgan_report,
    "dcgan": dcgan,
    "cgan": cgan,
    "cdcgan": cdcgan,
    "parzen": parzen,
    "ring": ring,
    "grid": grid,
}

# Where the `kind` of a saved part is looked up.
PARTS: Parts = {
    "networks": {**NETWORKS, "python": OwnCode},
    "games": GAMES,
    "penalties": PENALTIES,
}


def find(name: str) -> Config:
    """The config of a recipe by name, or of a user's own as `file.py:function`."""
    if ".py" in name:
        path, _, function = name.partition(":")
        return own(Path(path), function or "run")
    choice("recipe", name, list(RECIPES))
    return RECIPES[name]()


def own(path: Path, function: str) -> Config:
    """Run a recipe file that the user named."""
    made = guarded(path, attribute(path, function))
    if not isinstance(made, Config):
        raise UsageError(f"{path}:{function} returned {type(made).__name__}: expected a Config")
    return made


def attribute(path: Path, name: str) -> Callable[..., Any]:
    """A function of a Python file that the user named; executes the file."""
    if not path.is_file():
        raise UsageError(f"{path}: no such recipe file")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    loader = spec.loader
    guarded(path, lambda: loader.exec_module(module))
    found = getattr(module, name, None)
    if not callable(found):
        raise UsageError(f"{path} defines no function {name!r}: name it, as {path}:run")
    return found  # type: ignore[no-any-return]


def guarded(path: Path, call: Callable[[], Any]) -> Any:
    """`call()`; what goes wrong in the user's own file is told with its line, as theirs."""
    try:
        return call()
    except GanforgeError:
        raise
    except Exception as error:  # whatever a user's code may raise
        lines = [
            f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)
        ]
        line = getattr(error, "lineno", None) or (lines[-1] if lines else None)
        where = f"{path}, line {line}" if line else str(path)
        raise UsageError(f"{where}: {type(error).__name__}: {error}") from error


def describe(name: str) -> str:
    """The docstring of a recipe's file: system, source, what it reaches, cost, command."""
    choice("recipe", name, list(RECIPES))
    return (sys.modules[RECIPES[name].__module__].__doc__ or "").strip()
