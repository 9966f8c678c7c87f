"""ganforge recipes."""

from __future__ import annotations

from ganforge.config import convert
from ganforge.text import columns


def recipes(name: str | None = None, /) -> str:
    """List the recipes, or describe one: claim, source, cost, settings."""
    from ganforge.recipes import RECIPES, describe, find

    if name is not None:
        settings = convert.dumps(find(name))
        return f"{describe(name)}\n\n{settings}".rstrip()
    rows = []
    for known in RECIPES:
        first = describe(known).splitlines()[0]
        rows.append((known, first.partition(":")[2].strip().rstrip(".")))
    return f"{columns(rows)}\n\n`ganforge recipes NAME` describes one; `ganforge train NAME`."
