"""Which parts there are: networks, games, penalties by kind; a user's own file."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ganforge.config.schema import Parts
from ganforge.config.user_code import UserCode
from ganforge.errors import GanforgeError, UsageError
from ganforge.gan.adversarial import Adversarial
from ganforge.gan.penalties import PENALTIES
from ganforge.gan.step import Game
from ganforge.nets import NETWORKS

GAMES: dict[str, type[Game]] = {"adversarial": Adversarial}


# Where the `kind` of a saved part is looked up.
PARTS: Parts = {
    "networks": {**NETWORKS, "python": UserCode},
    "games": GAMES,
    "penalties": PENALTIES,
}


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
