"""What stands in a saved config for code of the user's: its name and hash, never the code."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ganforge.errors import UsageError

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class OwnCode:
    """Stands in a saved config for a user's own function: what it was, not the code.

    name: of the function or class. sha256: of its source, or empty where that was not to be had.
    """

    kind: ClassVar[str] = "python"
    name: str = ""
    sha256: str = ""

    def __call__(self, spec: Any, noise: int) -> dict[str, nn.Module]:
        raise UsageError(
            f"these networks are code of yours, {self.name!r}, which is not stored with the model: "
            f"name it, as gf.load(path, networks={self.name}) or --code FILE.py"
        )


def own_code(value: Callable[..., Any]) -> OwnCode:
    """The stand-in for a function or class of the user's."""
    name = getattr(value, "__qualname__", type(value).__qualname__)
    try:
        source = inspect.getsource(value)
    except (OSError, TypeError):
        source = ""
    return OwnCode(name, hashlib.sha256(source.encode()).hexdigest() if source else "")
