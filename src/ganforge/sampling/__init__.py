"""Samples of a generator: each depends on (seed, index, label) alone."""

from __future__ import annotations

from typing import Any

from ganforge import _deprecated


def __getattr__(name: str) -> Any:
    return _deprecated.find("sampling", name)
