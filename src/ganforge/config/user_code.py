"""What a saved config says of a user's function: its name and hash, never the code."""

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
class UserCode:
    """The record of a user's function in a saved config.

    name: of the function or class. sha256: of its source; empty if the source was not available.
    """

    kind: ClassVar[str] = "python"
    name: str = ""
    sha256: str = ""

    def __call__(self, spec: Any, noise: int) -> dict[str, nn.Module]:
        raise UsageError(
            f"these networks are code of yours, {self.name!r}, which is not stored with the model: "
            f"name it, as gf.load(path, networks={self.name}) or --code FILE.py"
        )


def record(function: Callable[..., Any]) -> UserCode:
    """The record of a user's function or class."""
    name = getattr(function, "__qualname__", type(function).__qualname__)
    try:
        source = inspect.getsource(function)
    except (OSError, TypeError):
        source = ""
    return UserCode(name, hashlib.sha256(source.encode()).hexdigest() if source else "")
