"""One file for each published system, with a function that returns one complete config.

Its docstring says where the system comes from; SOURCES names the papers, by their keys in
papers.bib or as whole BibTeX entries, and REACHED what was measured, see `results`.
`dataclasses.replace(recipe(), ...)` varies the config. A recipe outside the package is a function
in a user's file, given as `mine.py:run`; only then is the file executed.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

from ganforge.config.schema import Config
from ganforge.errors import UsageError, choice
from ganforge.recipes.cdcgan import cdcgan
from ganforge.recipes.cgan import cgan
from ganforge.recipes.cyclegan import cyclegan
from ganforge.recipes.dcgan import dcgan
from ganforge.recipes.dcgan_report import dcgan_report
from ganforge.recipes.fewshot import fewshot
from ganforge.recipes.figure1 import figure1
from ganforge.recipes.gaussian import gaussian
from ganforge.recipes.gaussian_stable import gaussian_stable
from ganforge.recipes.grid import grid
from ganforge.recipes.infogan import infogan
from ganforge.recipes.mnist_dropout import mnist_dropout
from ganforge.recipes.mnist_mlp import mnist_mlp
from ganforge.recipes.pacgan import pacgan
from ganforge.recipes.parzen import parzen
from ganforge.recipes.pictures import pictures
from ganforge.recipes.pix2pix import pix2pix
from ganforge.recipes.ring import ring
from ganforge.recipes.stylegan2 import stylegan2
from ganforge.recipes.wgan_gp import wgan_gp
from ganforge.recipes.wgan_gp_toy import wgan_gp_toy
from ganforge.registry import load_function, user_code

GROUPS: dict[str, tuple[Callable[[], Config], ...]] = {
    "classics": (
        gaussian,
        gaussian_stable,
        figure1,
        mnist_mlp,
        mnist_dropout,
        parzen,
        dcgan_report,
        dcgan,
        cgan,
        cdcgan,
    ),
    "pictures": (pictures, fewshot, stylegan2, pix2pix, cyclegan),
    "research": (ring, grid, pacgan, wgan_gp, wgan_gp_toy, infogan),
}
RECIPES = {
    recipe.__name__.replace("_", "-"): recipe for group in GROUPS.values() for recipe in group
}

for _recipe in RECIPES.values():  # what `help(gf.recipes.cdcgan)` shows
    _recipe.__doc__ = _recipe.__doc__ or sys.modules[_recipe.__module__].__doc__


def find(name: str) -> Config:
    """The config of a recipe by name, or of a user's recipe given as `file.py:function`.

    Raises:
        UsageError: an unknown name, or a file that cannot be run or gives no Config.
    """
    if ".py" not in name:
        choice("recipe", name, list(RECIPES))
        return RECIPES[name]()
    file, _, function = name.partition(":")
    path, function = Path(file), function or "run"
    recipe = load_function(path, function)
    with user_code(path):
        config = recipe()
    if not isinstance(config, Config):
        raise UsageError(f"{path}:{function} returned {type(config).__name__}: expected a Config")
    return config


def describe(name: str) -> str:
    """The docstring of a recipe's file: system, source, what it reaches, cost, command."""
    choice("recipe", name, list(RECIPES))
    return (sys.modules[RECIPES[name].__module__].__doc__ or "").strip()


def field(name: str, key: str) -> str:
    """One field of a recipe's description, such as "Takes", in one line; "" without it."""
    found = re.search(rf"^{key} +(.*(?:\n +.*)*)", describe(name), re.MULTILINE)
    return " ".join(found[1].split()) if found else ""
