"""What is on disk: the run folder, its log and its lock, checkpoints, model folders."""

from __future__ import annotations

from typing import Any

from ganforge import _deprecated


def __getattr__(name: str) -> Any:
    return _deprecated.find("runs", name)
