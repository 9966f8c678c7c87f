"""The parts of a game by kind, and functions from a user's file.

A new network, game or penalty is one file and one entry in `PARTS`.
"""

from __future__ import annotations

import importlib.util
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ganforge.augment.adaptive import Adaptive
from ganforge.augment.diffaugment import DiffAugment
from ganforge.config.schema import Parts
from ganforge.config.user_code import KIND, Code
from ganforge.errors import GanforgeError, UsageError
from ganforge.gan.adversarial import Adversarial
from ganforge.gan.cycle import Cycle
from ganforge.gan.information import Information
from ganforge.gan.losses import Loss
from ganforge.gan.path_length import PathLength
from ganforge.gan.penalties import R1, R2, GradientPenalty
from ganforge.gan.translation import Translation
from ganforge.nets import DCGAN, MLP, CycleNetworks, InfoGAN, UNet
from ganforge.nets.resnet import ResNet
from ganforge.nets.stylegan import StyleGAN2

# The dataclass of each `kind` in a config.
PARTS: Parts = {
    "networks": {
        "mlp": MLP, "dcgan": DCGAN, "resnet": ResNet, "stylegan2": StyleGAN2, "unet": UNet,
        "cycle": CycleNetworks, "infogan": InfoGAN,
    },
    "games": {
        "adversarial": Adversarial, "information": Information, "translation": Translation,
        "cycle": Cycle,
    },
    "penalties": {
        "r1": R1, "r2": R2, "gradient-penalty": GradientPenalty, "path-length": PathLength,
    },
    "losses": {KIND: Loss},
    "augmentations": {"diffaugment": DiffAugment, "adaptive": Adaptive},
}  # fmt: skip


def pairing(settings: Mapping[str, Any]) -> str:
    """`Config.pairing` of the settings of a run, as they are stored."""
    game = PARTS["games"].get(dict(settings.get("game", {})).get("kind", ""))
    return str(getattr(game, "pairing", ""))


NAMED = re.compile(r"(.+\.py):([A-Za-z_]\w*)")  # FILE.py:NAME, code that the user names


def with_code(code: Path | str | Code | None) -> Parts:
    """`PARTS` and the code of the user's: a file, which is executed, or objects by name."""
    return PARTS if code is None else {**PARTS, "code": load_code(code)}


def load_code(code: Path | str | Code) -> Code:
    """The objects of a user's Python file by name; the file is executed.

    Raises:
        UsageError: no such file, or an exception in the file.
    """
    if isinstance(code, Mapping):
        return code
    path = Path(code)
    if not path.is_file():
        raise UsageError(f"{path}: no such file of code")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    with user_code(path):
        spec.loader.exec_module(module)
    return vars(module)


def load_function(path: Path, name: str) -> Callable[..., Any]:
    """A function of a user's Python file, which is executed.

    Raises:
        UsageError: no such file, no such function, or an exception in the file.
    """
    found = load_code(path).get(name)
    if not callable(found):
        raise UsageError(f"{path} defines no function {name!r}: name it, as {path}:run")
    return found  # type: ignore[no-any-return]


def named(text: Any) -> Any:
    """What FILE.py:NAME names, in a list with commas too; any other value unchanged.

    Raises:
        UsageError: see `load_code`; or the file has no such name.
    """
    if not isinstance(text, str) or not NAMED.search(text):
        return text
    words = [word.strip() for word in text.split(",")]
    found = [one_named(word) if NAMED.fullmatch(word) else word for word in words]
    return found if len(found) > 1 else found[0]


def one_named(text: str) -> Any:
    """The object that FILE.py:NAME names."""
    file, _, name = text.rpartition(":")
    code = load_code(Path(file))
    if name not in code:
        raise UsageError(f"{file} defines no {name!r}")
    return code[name]


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
