"""ganforge: train, judge, diagnose and ship generative adversarial networks.

    import ganforge as gf

    run = gf.train(gf.recipes.cdcgan(), out="runs/a")
    eights = gf.load("runs/a").sample(16, labels=8, seed=0)     # (16, 28, 28, 1) uint8

Names are imported when they are first used, so that `import ganforge` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ganforge import _deprecated
from ganforge._version import __version__

if TYPE_CHECKING:
    from ganforge import config, data, nets, recipes
    from ganforge.api import Trained, train
    from ganforge.config import Average, Config, Noise, Optimizer, Output
    from ganforge.data.load import Dataset
    from ganforge.data.load import load as load_data
    from ganforge.errors import GanforgeError
    from ganforge.experiments import compare
    from ganforge.experiments.seeds import train as population
    from ganforge.gan import losses, penalties
    from ganforge.gan.adversarial import Adversarial
    from ganforge.nets import DCGAN, MLP
    from ganforge.runs.load import open_sampler as load
    from ganforge.training import lightning
    from ganforge.training.loop import train as iterate

_MODULES = {
    "compare": "experiments.compare",
    "config": "config",
    "data": "data",
    "lightning": "training.lightning",
    "losses": "gan.losses",
    "nets": "nets",
    "penalties": "gan.penalties",
    "recipes": "recipes",
}
_NAMES = {
    "Average": ("config", "Average"),
    "Config": ("config", "Config"),
    "Noise": ("config", "Noise"),
    "Optimizer": ("config", "Optimizer"),
    "Output": ("config", "Output"),
    "Adversarial": ("gan.adversarial", "Adversarial"),
    "DCGAN": ("nets", "DCGAN"),
    "MLP": ("nets", "MLP"),
    "Dataset": ("data.load", "Dataset"),
    "GanforgeError": ("errors", "GanforgeError"),
    "Trained": ("api", "Trained"),
    "iterate": ("training.loop", "train"),
    "load": ("runs.load", "open_sampler"),
    "load_data": ("data.load", "load"),
    "population": ("experiments.seeds", "train"),
    "train": ("api", "train"),
}

__all__ = [
    "DCGAN", "MLP", "Adversarial", "Average", "Config", "Dataset", "GanforgeError", "Noise",
    "Optimizer", "Output", "Trained", "__version__", "compare", "config", "data", "iterate",
    "lightning", "load", "load_data", "losses", "nets", "penalties", "population", "recipes",
    "train",
]  # fmt: skip

_deprecated.install()


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"ganforge.{_MODULES[name]}")
    if name in _NAMES:
        module, attribute = _NAMES[name]
        return getattr(import_module(f"ganforge.{module}"), attribute)
    if name in _deprecated.MOVED:
        return import_module(f"ganforge.{name}")
    raise AttributeError(f"module 'ganforge' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
