"""What a recipe has reached: figures that were measured, each with its budget, machine and page."""

from __future__ import annotations

import sys
from typing import NamedTuple

from ganforge.config.schema import Config
from ganforge.data.settings import split_off


class Reached(NamedTuple):
    """One measured result of a recipe, in the settings of its file if nothing else is said.

    data: its name. text: figures, with the floor beside them. budget: that the run had, with the
    machine. page: where it is recorded; the figures stand there or in the recipe's docstring.
    """

    data: str
    text: str
    budget: str
    page: str = "docs/results.md"


def known(name: str) -> tuple[Reached, ...]:
    """The results in a recipe's file; () for one that is not of the package."""
    from ganforge.recipes import RECIPES

    module = sys.modules[RECIPES[name].__module__] if name in RECIPES else None
    return tuple(getattr(module, "REACHED", ()))


def lines(config: Config) -> list[str]:
    """What the recipe of a config reached on its data; if that is not known, on which others.

    A setting that differs from the recipe's is not looked at.
    """
    results, data = known(config.name), split_off(config.data)[0]
    here = [r for r in results if r.data == data]
    if not results:
        return [f"unknown: no result of {config.name} is recorded"]
    first = [] if here else [f"unknown: no result of {config.name} on {config.data} is recorded"]
    return first + [f"on {r.data}: {r.text}; {r.budget} ({r.page})" for r in here or results]
