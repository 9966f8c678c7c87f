"""The settings of a run: fields and ranges, TOML to configs and back, a user's code."""

from __future__ import annotations

from typing import Any

from ganforge import _deprecated
from ganforge.config.noise import LatentCode, Noise
from ganforge.config.schema import Average, Config, Optimizer, Output

__all__ = ["Average", "Config", "LatentCode", "Noise", "Optimizer", "Output"]


def __getattr__(name: str) -> Any:
    return _deprecated.find("config", name)
