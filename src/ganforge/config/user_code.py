"""What a saved config says of a user's code: its name and hash, never the code.

A network function, a class of penalties, games or augmentations, and the two functions of a loss
are saved as {kind = "python", name, sha256} with the settings of the class. Whoever reads such a
config names the code again, as a file or as objects by name.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from tokenize import TokenError
from typing import TYPE_CHECKING, Any, ClassVar

from ganforge.errors import UsageError

if TYPE_CHECKING:
    from torch import nn

Code = Mapping[str, Any]  # the objects of a user's file by name
KIND = "python"
OURS = "ganforge."


def folded(value: Any, digits: int) -> Any:
    """Settings in which code of the user is its name with so many digits of its sha256."""
    if isinstance(value, Mapping):
        if value.get("kind") == KIND:
            return f"{value['name']} {str(value['sha256'])[:digits]}".strip()
        return {key: folded(each, digits) for key, each in value.items()}
    return [folded(each, digits) for each in value] if isinstance(value, list) else value


@dataclass(frozen=True)
class UserCode:
    """The record of a user's code in a saved config, in place of the code.

    name: of the function or class; two names for a loss. sha256: of the source; empty if it was
    not available. settings: the fields of the class.
    """

    kind: ClassVar[str] = KIND
    name: str = ""
    sha256: str = ""
    settings: dict[str, Any] = field(default_factory=dict)

    def missing(self) -> UsageError:
        """The error if the code is needed."""
        return UsageError(
            f"this part is code of yours, {self.name!r}, which is not stored with the model: "
            f"name it, as gf.load(path, code='FILE.py') or --code FILE.py"
        )

    def __call__(self, *args: Any) -> dict[str, nn.Module]:
        raise self.missing()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise self.missing()


def is_users(part: Any) -> bool:
    """Whether a part of a config is code of the user's: a function, or of a class outside of us."""
    if isinstance(part, tuple) and hasattr(part, "_asdict"):  # a loss
        return True
    places = [base.__module__.startswith(OURS) for base in type(part).__mro__]
    return not places[0] and (any(places) or callable(part))


def record(part: Any) -> dict[str, Any]:
    """The table of a user's function, object or loss: its name, hash and settings."""
    if isinstance(part, tuple):
        values = part._asdict()  # type: ignore[attr-defined]
        code = [value for value in values.values() if callable(value)]
        settings = {key: value for key, value in values.items() if not callable(value)}
    elif is_dataclass(part) and not isinstance(part, type):
        code = [type(part)]
        settings = {f.name: getattr(part, f.name) for f in fields(part)}
    else:
        code, settings = [part], {}
    sources = "".join(map(source, code))
    digest = hashlib.sha256(sources.encode()).hexdigest() if sources else ""
    return {"kind": KIND, "name": " ".join(map(name_of, code)), "sha256": digest, **settings}


def name_of(code: Any) -> str:
    """The name of a function or class; for any other object that of its class."""
    return str(getattr(code, "__qualname__", type(code).__qualname__))


def source(code: Any) -> str:
    """The source of a function or class; empty if it is not available.

    A file that has changed since, or another one of that name, may have no whole block there.
    """
    try:
        return inspect.getsource(code)
    except (OSError, TypeError, SyntaxError, TokenError):
        return ""


def restored(table: Mapping[str, Any], code: Code, path: str) -> Any:
    """What a table of `record` stands for: (objects, settings), or a `UserCode` without `code`.

    Raises:
        UsageError: the code has no object of this name, or the table no name.
    """
    settings = {k: v for k, v in table.items() if k not in ("kind", "name", "sha256")}
    name, digest = table.get("name", ""), table.get("sha256", "")
    if not (isinstance(name, str) and isinstance(digest, str)):
        raise UsageError(f"{path}: expected a name and a sha256, as a run writes them")
    if not code:
        return UserCode(name, digest, settings)
    for each in name.split():
        if each not in code:
            raise UsageError(f"{path} = {name!r}: the code that was named defines no {each!r}")
    return [code[each] for each in name.split()], settings
