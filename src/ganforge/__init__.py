"""ganforge: train, judge, diagnose and ship generative adversarial networks.

    import ganforge as gf

    run = gf.train("cdcgan", epochs=1, out="runs/a")
    eights = gf.load("runs/a").sample(16, labels=8, seed=0)     # (16, 28, 28, 1) uint8

Names are imported when they are first used, so that `import ganforge` costs nothing.
"""

from __future__ import annotations

from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from ganforge import _deprecated
from ganforge._version import __version__

if TYPE_CHECKING:
    from ganforge import config, data, nets, recipes, theory
    from ganforge.api import Saved, Trained, train
    from ganforge.api.surface import diagnose, evaluate, load, plot
    from ganforge.config import Average, Config, Noise, Optimizer, Output
    from ganforge.data.load import Dataset
    from ganforge.data.load import load as load_data
    from ganforge.errors import DataError, GanforgeError, UsageError
    from ganforge.experiments.compare.function import compare
    from ganforge.experiments.seeds import train as population
    from ganforge.export.demo.page import demo
    from ganforge.export.onnx import export
    from ganforge.gan import losses, penalties
    from ganforge.gan.adversarial import Adversarial
    from ganforge.nets import DCGAN, MLP
    from ganforge.report import report
    from ganforge.training import lightning
    from ganforge.training.loop import train as iterate

# name -> module, or module:name in it
_PLACES = {
    "Adversarial": "gan.adversarial:Adversarial",
    "Average": "config:Average",
    "Config": "config:Config",
    "DCGAN": "nets:DCGAN",
    "DataError": "errors:DataError",
    "Dataset": "data.load:Dataset",
    "GanforgeError": "errors:GanforgeError",
    "MLP": "nets:MLP",
    "Noise": "config:Noise",
    "Optimizer": "config:Optimizer",
    "Output": "config:Output",
    "Saved": "api:Saved",
    "Trained": "api:Trained",
    "UsageError": "errors:UsageError",
    "cite": "report.citations:cite",
    "compare": "experiments.compare.function:compare",
    "config": "config",
    "data": "data",
    "demo": "export.demo.page:demo",
    "diagnose": "api.surface:diagnose",
    "evaluate": "api.surface:evaluate",
    "export": "export",
    "iterate": "training.loop:train",
    "lightning": "training.lightning",
    "load": "api.surface:load",
    "load_data": "data.load:load",
    "losses": "gan.losses",
    "nets": "nets",
    "penalties": "gan.penalties",
    "plot": "api.surface:plot",
    "population": "experiments.seeds:train",
    "recipes": "recipes",
    "report": "report:report",
    "theory": "theory",
    "train": "api:train",
}

__all__ = [
    "DCGAN", "MLP", "Adversarial", "Average", "Config", "DataError", "Dataset", "GanforgeError",
    "Noise", "Optimizer", "Output", "Saved", "Trained", "UsageError", "__version__", "cite",
    "compare", "config", "data", "demo", "diagnose", "evaluate", "export", "iterate", "lightning",
    "load", "load_data", "losses", "nets", "penalties", "plot", "population", "recipes", "report",
    "theory", "train",
]  # fmt: skip

_deprecated.install()


def __getattr__(name: str) -> Any:
    if name in _PLACES or name in _deprecated.MOVED:
        return resolve_name(f"ganforge.{_PLACES.get(name, name)}")
    raise AttributeError(f"module 'ganforge' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
