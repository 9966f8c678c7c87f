"""The parts of a game by kind, and functions from a user's file.

A new network, game or penalty is one file and one entry in `PARTS`.
"""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ganforge.augment.adaptive import Adaptive
from ganforge.augment.diffaugment import DiffAugment
from ganforge.config.schema import Parts
from ganforge.config.user_code import UserCode
from ganforge.errors import GanforgeError, UsageError
from ganforge.gan.adversarial import Adversarial
from ganforge.gan.cycle import Cycle
from ganforge.gan.path_length import PathLength
from ganforge.gan.penalties import R1, R2, GradientPenalty
from ganforge.gan.translation import Translation
from ganforge.nets import DCGAN, MLP, CycleNetworks, UNet
from ganforge.nets.resnet import ResNet
from ganforge.nets.stylegan import StyleGAN2

# The dataclass of each `kind` in a config.
PARTS: Parts = {
    "networks": {
        "mlp": MLP, "dcgan": DCGAN, "resnet": ResNet, "stylegan2": StyleGAN2, "unet": UNet,
        "cycle": CycleNetworks, "python": UserCode,
    },
    "games": {"adversarial": Adversarial, "translation": Translation, "cycle": Cycle},
    "penalties": {
        "r1": R1, "r2": R2, "gradient-penalty": GradientPenalty, "path-length": PathLength,
    },
    "augmentations": {"diffaugment": DiffAugment, "adaptive": Adaptive},
}  # fmt: skip


def pairing(settings: Mapping[str, Any]) -> str:
    """`Config.pairing` of the settings of a run, as they are stored."""
    game = PARTS["games"].get(dict(settings.get("game", {})).get("kind", ""))
    return str(getattr(game, "pairing", ""))


def load_function(path: Path, name: str) -> Callable[..., Any]:
    """A function of a user's Python file, which is executed.

    Raises:
        UsageError: no such file, no such function, or an exception in the file.
    """
    if not path.is_file():
        raise UsageError(f"{path}: no such recipe file")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    with user_code(path):
        spec.loader.exec_module(module)
    found = getattr(module, name, None)
    if not callable(found):
        raise UsageError(f"{path} defines no function {name!r}: name it, as {path}:run")
    return found  # type: ignore[no-any-return]


@contextmanager
def user_code(path: Path) -> Iterator[None]:
    """Around a run of code of the user's file `path`.

    Raises:
        UsageError: any exception of that code, with the line of the file that raised it.
    """
    try:
        yield
    except GanforgeError:
        raise
    except Exception as error:  # a user's code may raise anything
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == str(path)]
        line = getattr(error, "lineno", None) or (lines[-1] if lines else None)
        where = f"{path}, line {line}" if line else str(path)
        raise UsageError(f"{where}: {type(error).__name__}: {error}") from error
