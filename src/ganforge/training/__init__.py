"""A run: built, stepped, compiled, saved and resumed, on one process or on many."""

from __future__ import annotations

from typing import Any

from ganforge import _deprecated


def __getattr__(name: str) -> Any:
    return _deprecated.find("training", name)
