"""Settings of how data are read, written behind the name or path: photos@held_out=0.1,white=4095.

They are a part of the name, so that everything that names the data (a config, a run, a report)
names the settings too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ganforge.errors import UsageError, check

BETWEEN = "|"  # of two folders in one name
_BEHIND = re.compile(r"(?P<name>.+)@(?P<settings>\w+=[^@=/,]*(?:,\w+=[^@=/,]*)*)", re.DOTALL)


@dataclass(frozen=True)
class Reading:
    """How data are read; formats use what concerns them.

    Args:
        held_out: fraction of the examples that validates, and as large a one that tests, in sets
            that have no published parts; 0 for neither.
        white: the stored number that is shown as white, 0 being black; 0 for the largest number
            of the type of the values.
        level: depth of the folders that are the classes, 1 for those at the top; 0 for no
            classes; -1 for the top ones if nothing speaks against it.
    """

    held_out: float = 0.05
    white: int = 0
    level: int = -1

    def __post_init__(self) -> None:
        check(0 <= self.held_out <= 0.4, "held_out", self.held_out, "a fraction from 0 to 0.4")
        check(0 <= self.white < 2**32, "white", self.white, "a whole number, 1 or more")
        check(-1 <= self.level < 100, "level", self.level, "0 or more")


def split_off(data: str) -> tuple[str, Reading]:
    """The name or path in `data`, and the settings behind it.

    A path that exists with all of the text in its name has no settings.

    Raises:
        UsageError: an unknown setting, or a value that it cannot have.
    """
    found = _BEHIND.fullmatch(data)
    if found is None or exists(Path(data)):
        return data, Reading()
    kinds = {field.name: type(getattr(Reading, field.name)) for field in fields(Reading)}
    values: dict[str, Any] = {}
    for pair in found["settings"].split(","):
        key, _, text = pair.partition("=")
        if key not in kinds:
            raise UsageError(
                f"data {data[:200]!r}: no setting {key!r}: data have {', '.join(kinds)}, as "
                "photos@held_out=0.1"
            )
        try:
            values[key] = kinds[key](text)
        except ValueError:
            raise UsageError(f"data {data[:200]!r}: {key} = {text!r} is not a number") from None
    return found["name"], Reading(**values)


def folders_in(data: str) -> list[str]:
    """The folders of "A|B", or a name alone, as of a path that exists with the | in its name."""
    return [data] if exists(Path(data)) else data.split(BETWEEN)


def exists(path: Path) -> bool:
    """Whether there is a file or folder; False for a path that the system refuses."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def short_name(data: str) -> str:
    """What data are called in the names of files: the last part of a path, without its suffix.

    Two folders have both names, as X-Y.
    """
    paths = [Path(each) for each in folders_in(split_off(data)[0])]
    names = [(path.resolve() if path.name in ("", "..") else path).name for path in paths]
    return "-".join(name.lstrip(".").split(".")[0] or "data" for name in names)
