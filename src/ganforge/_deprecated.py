"""Names from before version 0.2: each still works, with a DeprecationWarning that says what is new.

To be removed in version 0.3.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

# old module -> the modules that hold its names now; all inside `ganforge`
MOVED: dict[str, tuple[str, ...]] = {
    "charts": ("plotting.style", "plotting.curves", "plotting.points"),
    "checkpoint": ("runs.checkpoint", "files"),
    "codec": ("data.spec",),
    "compare": ("experiments.compare",),
    "data.source": ("data.load",),
    "devices": ("training.device",),
    "distributed": ("training.distributed", "nets.norm"),
    "draws": ("training.random_inputs",),
    "ema": ("gan.ema",),
    "game": ("gan.step", "gan.adversarial", "gan.batch", "gan.players", "gan.state", "registry"),
    "judging": ("evaluation.evaluate", "evaluation.store", "evaluation.inputs", "evaluation.score"),
    "lab": ("theory",),
    "lightning": ("training.lightning",),
    "loop": ("training.loop",),
    "losses": ("gan.losses",),
    "members": ("experiments.ensemble.stack",),
    "model": ("runs.model",),
    "optimizers": ("gan.optimizers",),
    "own": ("config.user_code",),
    "penalties": ("gan.penalties",),
    "pictures": ("images", "files"),
    "players": ("gan.players", "gan.batch", "gan.state"),
    "plots": (
        "plotting.overview",
        "plotting.strips",
        "plotting.curves",
        "plotting.points",
        "plotting.style",
    ),
    "progress": ("runs.records",),
    "sampling": ("sampling.sampler",),
    "schedules": ("gan.schedules",),
    "scoring": ("callbacks.evaluate",),
    "seeds": ("experiments.seeds",),
    "session": ("api", "runs.load", "training.signals"),
    "state": ("gan.state", "training.build"),
    "tensorboard": ("callbacks.log",),
}


def find(old: str, name: str) -> Any:
    """What the old module `old` called `name`, with a DeprecationWarning.

    Raises AttributeError if no module has it now.
    """
    if name.startswith("__"):  # `inspect` looks for them on every module, amid other imports
        raise AttributeError(name)
    for new in MOVED[old]:
        module = import_module(f"ganforge.{new}")
        if hasattr(module, name):
            message = (
                f"ganforge.{old}.{name} is now ganforge.{new}.{name}; the old name goes in 0.3"
            )
            warnings.warn(message, DeprecationWarning, stacklevel=3)
            return getattr(module, name)
    raise AttributeError(f"module 'ganforge.{old}' has no attribute {name!r}")


class OldModules(MetaPathFinder, Loader):
    """Gives an import of an old module one that looks its names up where they are now."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        old = fullname.removeprefix("ganforge.")
        return ModuleSpec(fullname, self) if old != fullname and old in MOVED else None

    def exec_module(self, module: ModuleType) -> None:
        old = module.__name__.removeprefix("ganforge.")
        module.__dict__["__getattr__"] = lambda name: find(old, name)


def install() -> None:
    """Let the old modules be imported."""
    if not any(isinstance(finder, OldModules) for finder in sys.meta_path):
        sys.meta_path.append(OldModules())
