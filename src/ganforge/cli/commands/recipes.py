"""ganforge recipes."""

from __future__ import annotations

from ganforge.config import convert
from ganforge.text import columns


def recipes(name: str | None = None, /) -> str:
    """List the recipes, or describe one: claim, source, cost and settings.

    Parameters
    ----------
    name
        The recipe to describe. [default: list all]
    """
    from ganforge.recipes import RECIPES, describe, find

    if name is not None:
        return f"{describe(name)}\n\n{convert.dumps(find(name))}".rstrip()
    firsts = {known: describe(known).splitlines()[0] for known in RECIPES}
    rows = [(known, line.partition(":")[2].strip(" .")) for known, line in firsts.items()]
    return f"{columns(rows)}\n\n`ganforge recipes NAME` describes one; `ganforge train NAME`."
