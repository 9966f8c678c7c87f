"""ganforge: train, judge, diagnose and ship generative adversarial networks.

    import ganforge as gf

    run = gf.train(gf.recipes.cdcgan(), out="runs/a")
    eights = gf.load("runs/a").sample(16, labels=8, seed=0)     # (16, 28, 28, 1) uint8

Names are imported when they are first used, so that `import ganforge` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ganforge import (
        compare,
        config,
        data,
        game,
        lightning,
        loop,
        losses,
        nets,
        penalties,
        recipes,
    )
    from ganforge.config import Config, Noise, Optimizer, Output
    from ganforge.data.source import Dataset
    from ganforge.data.source import load as load_data
    from ganforge.errors import GanforgeError
    from ganforge.game import Adversarial
    from ganforge.nets import DCGAN, MLP
    from ganforge.seeds import train as population
    from ganforge.session import Trained, train
    from ganforge.session import open_sampler as load

__version__ = "0.1.0"

_MODULES = (
    "compare", "config", "data", "game", "lightning", "loop", "losses", "nets", "penalties",
    "recipes",
)  # fmt: skip
_NAMES = {
    "Config": ("config", "Config"),
    "Noise": ("config", "Noise"),
    "Optimizer": ("config", "Optimizer"),
    "Output": ("config", "Output"),
    "Adversarial": ("game", "Adversarial"),
    "DCGAN": ("nets", "DCGAN"),
    "MLP": ("nets", "MLP"),
    "Dataset": ("data.source", "Dataset"),
    "GanforgeError": ("errors", "GanforgeError"),
    "Trained": ("session", "Trained"),
    "load": ("session", "open_sampler"),
    "load_data": ("data.source", "load"),
    "population": ("seeds", "train"),
    "train": ("session", "train"),
}

__all__ = [
    "DCGAN", "MLP", "Adversarial", "Config", "Dataset", "GanforgeError", "Noise", "Optimizer",
    "Output", "Trained", "compare", "config", "data", "game", "lightning", "load", "load_data",
    "loop", "losses", "nets", "penalties", "population", "recipes", "train",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"ganforge.{name}")
    if name in _NAMES:
        module, attribute = _NAMES[name]
        return getattr(import_module(f"ganforge.{module}"), attribute)
    raise AttributeError(f"module 'ganforge' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
