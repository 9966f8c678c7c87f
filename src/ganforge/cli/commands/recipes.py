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
    from ganforge.recipes import describe, find

    if name is not None:
        return f"{describe(name)}\n\n{convert.dumps(find(name))}".rstrip()
    return (
        f"{listed()}\n\nNo time on a GPU has been measured. `ganforge recipes NAME` describes one; "
        "`ganforge train NAME`."
    )


def listed() -> str:
    """All recipes by groups, each with its claim and its cost."""
    from ganforge.recipes import GROUPS, RECIPES, describe, field

    names = {recipe: name for name, recipe in RECIPES.items()}
    rows: list[tuple[str, str]] = []
    for group, recipes_of in GROUPS.items():
        rows += [("", ""), (group.upper(), "")] if rows else [(group.upper(), "")]
        for name in map(names.__getitem__, recipes_of):
            claim = describe(name).splitlines()[0].partition(":")[2].strip(" .")
            cost = field(name, "Takes").partition(" (")[0].partition("; on a GPU")[0]
            rows += [(name, claim), ("", f"takes {cost.rstrip('.')}")]
    return columns(rows)
