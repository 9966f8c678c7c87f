"""One file a published system; each is a function that returns one complete frozen config.

Variants are `dataclasses.replace(recipe(), ...)`. A recipe outside the package is a function in a
file of the user's, named as `mine.py:run`; it is executed only when it is named so.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from ganforge.config.schema import Config
from ganforge.errors import UsageError, choice
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
from ganforge.registry import attribute, guarded

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


def describe(name: str) -> str:
    """The docstring of a recipe's file: system, source, what it reaches, cost, command."""
    choice("recipe", name, list(RECIPES))
    return (sys.modules[RECIPES[name].__module__].__doc__ or "").strip()
