"""The model in the package: samples before anything is trained.

`python -m benchmarks.quality.builtin` makes its folder from a run; its README.md has the command,
the scores, the licences and the sha256.
"""

from __future__ import annotations

from pathlib import Path

NAME = "cdcgan-mnist"
FOLDER = Path(__file__).parent / NAME


def folder(path: Path | str) -> Path | None:
    """The folder of the model in the package, if `path` is that folder or its name.

    A file or folder of that name comes first.
    """
    named = str(path) == NAME and not Path(path).exists()
    return FOLDER if named or Path(path) == FOLDER else None
