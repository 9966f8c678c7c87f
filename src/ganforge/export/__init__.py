"""Generators as files for other programs.

    gf.export("runs/cdcgan", "model.onnx")

onnx.py writes and checks ONNX files; noise.py and noise.mjs make the noise of a seed.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

CLIENTS = tuple(Path(__file__).with_name(name) for name in ("noise.py", "noise.mjs"))


class Callable(ModuleType):
    """This package: an import of a module in it sets `gf.export`, which is called as a function."""

    def __call__(self, *arguments: Any, **options: Any) -> Path:
        """See `ganforge.export.onnx.export`."""
        from ganforge.export.onnx import export

        return export(*arguments, **options)


sys.modules[__name__].__class__ = Callable
