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
from importlib.util import find_spec
from types import ModuleType
from typing import Any

# old module -> the modules that have its names now; all inside `ganforge`
MOVED = {
    "arguments": "cli.arguments text",
    "charts": "plotting.style plotting.curves plotting.points",
    "checkpoint": "runs.checkpoint files",
    "codec": "data.spec",
    "columns": "text",
    "compare": "experiments.compare",
    "config": "config.convert config.schema",
    "data.arrays": "data.formats.arrays",
    "data.cifar": "data.formats.cifar",
    "data.idx": "data.formats.idx",
    "data.images": "data.formats.image_folder",
    "data.packed": "data.pack data.formats.packed",
    "data.pictures": "data.decode",
    "data.show": "data.describe",
    "data.source": "data.load",
    "devices": "training.device",
    "display": "callbacks.display",
    "distributed": "training.distributed nets.norm",
    "draws": "training.random_inputs",
    "ema": "gan.ema",
    "evaluation.case": "evaluation.inputs",
    "evaluation.copying": "evaluation.metrics.copying",
    "evaluation.density": "evaluation.metrics.parzen evaluation.metrics.divergence",
    "evaluation.frechet": "evaluation.metrics.frechet",
    "evaluation.kernel": "evaluation.metrics.kernel",
    "evaluation.labels": "evaluation.metrics.labels",
    "evaluation.modes": "evaluation.metrics.modes evaluation.inputs",
    "evaluation.neighbours": "evaluation.metrics.neighbours",
    "evaluation.stamp": "evaluation.score",
    "evaluation.twosample": "evaluation.metrics.twosample evaluation.metrics.sliced",
    "evaluation.verdict": "evaluation.score",
    "game": "gan.step gan.adversarial gan.batch gan.players gan.state registry",
    "history": "plotting.strips plotting.points runs.samples",
    "judging": "evaluation.evaluate evaluation.store evaluation.inputs evaluation.score",
    "lab": "theory",
    "lightning": "training.lightning",
    "loop": "training.loop",
    "losses": "gan.losses",
    "members": "experiments.ensemble.stack",
    "model": "runs.model",
    "optimizers": "gan.optimizers",
    "own": "config.user_code",
    "penalties": "gan.penalties",
    "pictures": "images files",
    "players": "gan.players gan.batch gan.state",
    "plots": "plotting.overview plotting.strips plotting.curves plotting.points plotting.style",
    "progress": "runs.records",
    "runs": "runs.folder runs.lock",
    "sampling": "sampling.sampler",
    "schedules": "gan.schedules",
    "scoring": "callbacks.evaluate",
    "seeds": "experiments.seeds",
    "session": "api runs.load training.signals",
    "state": "gan.state training.build",
    "tensorboard": "callbacks.log",
    "training": "training.trainer training.restore",
}

FUNCTIONS = ("report",)  # of `import ganforge as gf`, with the name of a folder

# old name -> new name, if the name itself changed
RENAMED = {
    "charts.head": "plotting.style.add_title",
    "charts.legend": "plotting.style.add_legend",
    "charts.place": "plotting.style.add_axes",
    "charts.write": "plotting.style.add_text",
    "draws.Drawer": "training.random_inputs.RandomInputSource",
    "draws.Need": "nets.base.RandomInput",
    "game.Draws": "gan.batch.RandomInputs",
    "game.How": "gan.step.StepOptions",
    "judging.judge": "evaluation.evaluate.evaluate",
    "judging.keep": "evaluation.store.add",
    "judging.measure": "evaluation.evaluate.evaluate",
    "judging.own_entries": "evaluation.store.entries",
    "lab.divergence": "theory.experiments.divergence",
    "lab.equilibrium": "theory.experiments.equilibrium",
    "lab.figure1": "theory.experiments.figure1",
    "lab.landscape": "theory.experiments.landscape",
    "lab.losses": "theory.experiments.losses",
    "lab.noise": "theory.experiments.noise",
    "members.Population": "experiments.ensemble.stack.Ensemble",
    "members.build": "experiments.ensemble.stack.Ensemble",
    "own.OwnCode": "config.user_code.UserCode",
    "pictures.as_uint8": "data.spec.as_uint8",
    "pictures.save": "files.save_file",
    "players.Draws": "gan.batch.RandomInputs",
    "players.Knobs": "gan.state.StepHyperparameters",
    "plots.points": "plotting.points.vectors",
    "schedules.knobs": "gan.schedules.hyperparameters",
    "training.Training": "training.trainer.Trainer",
}


def find(old: str, name: str) -> Any:
    """What the old module `old` called `name`, with a DeprecationWarning.

    Raises AttributeError if no module has it now.
    """
    # `inspect` looks for dunder names, and `from package import module` for modules, amid imports
    package = "__path__" in vars(sys.modules.get(f"ganforge.{old}", sys))
    if name.startswith("__") or (package and find_spec(f"ganforge.{old}.{name}")):
        raise AttributeError(name)
    renamed = RENAMED.get(f"{old}.{name}")
    for new in [renamed] if renamed else [f"{place}.{name}" for place in MOVED[old].split()]:
        place, _, now = new.rpartition(".")
        found = getattr(import_module(f"ganforge.{place}"), now, None)
        if found is not None:
            message = f"ganforge.{old}.{name} is now ganforge.{new}; the old name goes in 0.3"
            warnings.warn(message, DeprecationWarning, stacklevel=3)
            return found
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


class Package(ModuleType):
    """`ganforge`: an import of an old module does not take the place of today's `gf.losses`.

    Nor does an import of the folder `report` take the place of the function `gf.report`.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if name in FUNCTIONS and isinstance(value, ModuleType):
            return
        if not isinstance(getattr(value, "__loader__", None), OldModules):
            super().__setattr__(name, value)


def install() -> None:
    """Let the old modules be imported."""
    if not any(isinstance(finder, OldModules) for finder in sys.meta_path):
        sys.meta_path.append(OldModules())
    sys.modules["ganforge"].__class__ = Package
