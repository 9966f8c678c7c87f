"""The data of a run that are objects of the program: read once into a store in its folder."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from ganforge import registry
from ganforge.config.schema import Config
from ganforge.data import objects
from ganforge.data.dataset import Dataset, select
from ganforge.data.formats import packed
from ganforge.errors import DataError, UsageError
from ganforge.runs.folder import STORE, Run
from ganforge.training import distributed


@contextmanager
def stored(
    config: Config, path: Path, data: Any, labels: Any
) -> Iterator[tuple[Config, Dataset | None]]:
    """The config with the name of the data in it, and a part to train on that has no name.

    The store of an object, and the folders made for it, are removed if the run is refused.

    Args:
        config: of the run.
        path: run folder.
        data: a name or a path, a `Dataset` (used as it is), or an object that `objects.read` takes.
        labels: beside an object.
    """
    if data is None or isinstance(data, str | Path | Dataset):
        if labels is not None:
            given = "no data" if data is None else f"data of type {type(data).__name__}"
            raise UsageError(f"labels and {given}: labels belong to an array or a tensor")
        part = data if isinstance(data, Dataset) else None
        yield (config if data is part else replace(config, data=str(data))), part
        return
    if distributed.from_environment().size > 1:
        raise UsageError(
            "data that are an object, and several processes: save them as .npy or as pictures, and "
            "give the path"
        )
    place = path / STORE
    examples, name = objects.read(data, labels, size=config.size), type(data).__name__
    new: list[Path] = []
    if Run(path).exists():
        require_same(place, select(examples, name, "train", size=config.size, seed=0))
    else:
        new = [folder for folder in (path, *path.parents) if not folder.exists()]
        objects.store(examples, place, name, config.size)
    try:
        yield replace(config, data=str(place)), None
    finally:
        if not Run(path).exists():
            shutil.rmtree(place, ignore_errors=True)
            with suppress(OSError):  # somebody else wrote there
                for folder in new:
                    folder.rmdir()


def require_same(place: Path, part: Dataset) -> None:
    """DataError unless the store of a run has these examples."""
    known = packed.load(place).sha256 if packed.is_store(place) else "none"
    if known != part.sha256:
        raise DataError(
            f"{place.parent}: the data are not those that the run was trained on (their sha256 "
            "differs): give the same, or another folder with out="
        )


def of_code(text: str | None) -> Any:
    """The data that FILE.py:NAME or FILE.py:NAME:PATH stand for; None for any other text.

    NAME is an object, or a function without arguments or, with PATH, of this path.

    Raises:
        UsageError: see `registry.one_named`; or an exception in the function.
    """
    found = re.fullmatch(r"(.+?\.py):([A-Za-z_]\w*)(?::(.+))?", text or "")
    if found is None:
        return None
    file, name, path = found.groups()
    made = registry.one_named(f"{file}:{name}")
    if not callable(made):
        return made
    with registry.user_code(Path(file)):
        return made() if path is None else made(Path(path))


def part_of(data: Any, size: int | None) -> Dataset:
    """The training part of an object, in memory."""
    return select(objects.read(data, size=size), type(data).__name__, "train", size=size, seed=0)


def name_of(data: Any) -> str:
    """What the data are called in the name of a run folder."""
    named = isinstance(data, str | Path)
    return str(data) if named else getattr(data, "name", None) or type(data).__name__


def named(config: Config, data: Any) -> Config:
    """`config` with what the data are called, as the name of its folder has it."""
    return config if data is None else replace(config, data=name_of(data))
