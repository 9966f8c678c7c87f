"""What `ganforge train WHAT` names: a recipe, a run that goes on, or data for a recipe."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ganforge.errors import DataError, UsageError, did_you_mean


@dataclass(frozen=True)
class Target:
    """One of the three is set: a recipe by name or FILE.py:FUNCTION, a run folder, or data."""

    recipe: str | None = None
    run: Path | None = None
    data: str | None = None


def target(text: str | None) -> Target:
    """What a word on the command line names.

    A recipe's name comes first, then a known data set, then a path: `./dcgan` and `pictures/` are
    paths. A path is a run if it is a run folder.

    Raises:
        UsageError: nothing has this name.
        DataError: a path that does not exist.
    """
    from ganforge.data.load import NAMED, locate
    from ganforge.recipes import RECIPES
    from ganforge.runs.folder import Run

    if text is None or text in RECIPES or ".py" in text:
        return Target(recipe=text)
    if text in NAMED:
        return Target(data=text)
    path = Path(text)
    if Run(path).exists():
        return Target(run=path)
    try:
        locate(text)
    except UsageError:
        known = did_you_mean(text[:200], [*RECIPES, *NAMED])
        raise UsageError(
            f"{text[:200]!r} is no recipe, no data set and no path: {known} (`ganforge recipes` "
            "lists the recipes)"
        ) from None
    except DataError:
        if os.sep not in text:
            raise UsageError(f"{text[:200]!r}: no such recipe, file or folder") from None
        raise
    return Target(data=text)
