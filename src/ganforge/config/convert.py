"""Configs to tables and TOML and back, overrides, differences, hashes."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import tomllib
import typing
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import tomli_w

from ganforge.config import user_code
from ganforge.config.schema import CONTINUABLE, Average, Config, Part, Parts
from ganforge.config.user_code import KIND, UserCode
from ganforge.errors import UsageError, did_you_mean, in_range

T = TypeVar("T")

# Settings without an option in the command line, set as --name value like the dotted ones.
TOP_LEVEL = ("ema", "labels", "threads", "micro_batch", "on_nan", "networks", "game")
SEVERAL = ("penalties", "augmentations")  # parts of which a game has a list
LOSSES = "losses"


def to_dict(part: Any, live: bool = False) -> Any:
    """A config, or a part of one, as plain tables, lists and values; None is left out.

    live: a user's functions stay, and `kind` of a user's object is its class; else there are only
    their names and hashes.
    """
    kind: dict[str, Any] = {}
    if user_code.is_users(part):
        if not live:
            return to_dict(user_code.record(part))
        kind = {"kind": type(part)}
    elif isinstance(part, Part):
        kind = {"kind": part.kind}
    if isinstance(part, UserCode):
        table = {"name": part.name, "sha256": part.sha256, **part.settings}
    elif isinstance(part, dict):
        table = {name: to_dict(value, live) for name, value in part.items()}
    elif dataclasses.is_dataclass(part):
        table = {f.name: to_dict(getattr(part, f.name), live) for f in dataclasses.fields(part)}
    elif isinstance(part, tuple | list) and not kind:
        return [to_dict(value, live) for value in part]
    else:
        return part
    return {name: value for name, value in (kind | table).items() if value is not None}


def from_dict(cls: type[T], table: Mapping[str, Any], parts: Parts, where: str = "") -> T:
    """A dataclass from its table; the inverse of `to_dict`.

    Args:
        cls: the dataclass, with annotated fields.
        table: setting -> value; settings that are left out have their defaults.
        parts: field name -> kind -> dataclass, for the fields whose tables name a kind.
        where: dotted path of the table, for errors.

    Raises:
        UsageError: an unknown key, a wrong type, a value out of range or a missing setting.
    """
    if not isinstance(table, Mapping):
        raise UsageError(f"{where or 'config'} = {table!r}: expected a table of settings")
    kind: Any = cls
    hints = typing.get_type_hints(kind)
    fields = {f.name: f for f in dataclasses.fields(kind)}
    values = {}
    for key, value in table.items():
        path = f"{where}.{key}" if where else key
        if key == "kind" and hasattr(cls, key):
            continue
        if key not in fields:
            raise UsageError(f"unknown setting {path!r}: {did_you_mean(key, list(fields))}")
        hint = fields[key].metadata.get("parts", hints[key])
        values[key] = _value(value, parts, hint, path)
    for name, f in fields.items():
        if name not in values and f.default is f.default_factory is dataclasses.MISSING:
            raise UsageError(f"{where or 'config'}: the setting {name!r} is missing")
    try:
        return cls(**values)
    except UsageError as error:
        raise UsageError(f"{where}.{error}" if where else str(error)) from None


def read_part(value: Any, parts: Parts, tag: str, path: str = "") -> Any:
    """A part from a table that names its kind, or a tuple of parts from a list of tables.

    Args:
        value: the table, or the list of them.
        parts: tag -> kind -> dataclass.
        tag: which of `parts` are possible: "networks", "games" or "penalties".
        path: dotted path of the table, for errors.

    Raises:
        UsageError: no table, an unknown kind, or settings that do not fit the kind.
    """
    path, kinds = path or tag, parts[tag]
    if isinstance(value, list | tuple) and not hasattr(value, "_asdict") and tag != LOSSES:
        found = [read_part(v, parts, tag, f"{path}.{i}") for i, v in enumerate(value)]
        return tuple(part for one in found for part in (one if type(one) is tuple else (one,)))
    if isinstance(value, type) or (isinstance(value, Mapping) and value.get("kind") == KIND):
        return _users_part(value, parts, tag, path)
    if tag == LOSSES or callable(value) or dataclasses.is_dataclass(value):
        return value  # a name, which the game checks, or an object
    if isinstance(value, str) and set(names := value.replace(" ", "").split(",")) <= kinds.keys():
        made = tuple(from_dict(kinds[name], {}, parts, path) for name in names)
        return made if tag in SEVERAL else made[0]
    if not isinstance(value, Mapping) or "kind" not in value:
        raise UsageError(f"{path} = {value!r}: {_expected(value, kinds, tag)}")
    kind = value["kind"]
    if not isinstance(kind, type) and (not isinstance(kind, str) or kind not in kinds):
        raise UsageError(f"{path}.kind = {kind!r}: {did_you_mean(str(kind), list(kinds))}")
    return from_dict(kind if isinstance(kind, type) else kinds[kind], value, parts, path)


def _users_part(value: Any, parts: Parts, tag: str, path: str) -> Any:
    """The part that a user's class, or a table of `user_code.record`, stands for."""
    if isinstance(value, type):
        return _made(value, {}, parts, path)
    found = user_code.restored(value, parts.get("code", {}), path)
    if isinstance(found, UserCode):
        return found
    code, settings = found
    if tag == LOSSES:
        return parts[tag][KIND](*code, **settings)
    return _made(code[0], settings, parts, path) if isinstance(code[0], type) else code[0]


def _made(kind: type, settings: Mapping[str, Any], parts: Parts, path: str) -> Any:
    """An object of a user's class with its settings."""
    if dataclasses.is_dataclass(kind):
        return from_dict(kind, settings, parts, path)
    return kind(**settings)


def _expected(value: Any, kinds: Mapping[str, Any], tag: str) -> str:
    """What a part may be, for an error."""
    names = sorted(kind for kind in kinds if kind != KIND)
    if isinstance(value, str):
        for name in value.replace(" ", "").split(","):
            if name not in kinds:
                return did_you_mean(name, names)
    shown = ",".join(names[:2]) if tag in SEVERAL else names[0]
    table = f"""{{kind = "{names[0]}"}}"""
    return f"expected {shown} or a table as {table}, kind one of {', '.join(names)}"


def _value(value: Any, parts: Parts, hint: Any, path: str) -> Any:
    """`value` as the annotated type, or as a part if `hint` is a tag; a UsageError names both."""
    if isinstance(hint, str):
        part = read_part(value, parts, hint, path)
        return (part,) if hint in SEVERAL and not isinstance(part, tuple) else part
    args = typing.get_args(hint)
    if type(None) in args:
        return None if value is None else _value(value, parts, args[0], path)
    if Average in args:  # a number, or a table
        hint = Average if isinstance(value, Mapping) else float
    if dataclasses.is_dataclass(hint):
        return from_dict(typing.cast(type, hint), value, parts, path)
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, list | tuple):
            raise UsageError(f"{path} = {value!r}: expected a list such as [1, 2]")
        if ... not in args and len(value) != len(args):
            raise UsageError(f"{path} = {value!r}: expected {len(args)} values")
        return tuple(_value(v, parts, args[0], path) for v in value)
    if hint is float and type(value) is int:
        in_range(path, value)
        return float(value)
    if hint is Any or (isinstance(value, hint) and (hint is bool or not isinstance(value, bool))):
        return value
    raise UsageError(f"{path} = {value!r}: expected {hint.__name__}, got {type(value).__name__}")


def override(config: T, settings: Mapping[str, Any], parts: Parts) -> T:
    """`config` with each dotted key set to the value of its text.

    Args:
        config: the config to vary.
        settings: as {"generator.lr": "1e-3", "game.penalties.0.gamma": "1"}; the text "none" gives
            a setting its default back, and a new `kind` starts from the defaults of that kind.
        parts: see `from_dict`.

    Raises:
        UsageError: a key that does not exist, or a value that `from_dict` refuses.
    """
    below = {p[4:]: _parsed(text) for p, text in settings.items() if p.startswith("ema.")}
    table = _with_average(to_dict(config, live=True), below)
    for path, text in settings.items():
        target: Any = table
        *parents, last = path.split(".")
        for name in parents:
            try:
                target = target[int(name) if isinstance(target, list) else name]
            except (KeyError, ValueError, IndexError, TypeError):
                known = list(target) if isinstance(target, dict) else []
                if isinstance(target, list):
                    raise UsageError(_outside(path, name, len(target))) from None
                raise UsageError(f"unknown setting {path!r}: {did_you_mean(name, known)}") from None
        value = _parsed(text)
        if isinstance(target, list):
            if not (last.isdecimal() and int(last) < len(target)):
                raise UsageError(_outside(path, last, len(target)))
            target[int(last)] = value
        elif not isinstance(target, dict):
            raise UsageError(f"unknown setting {path!r}: {parents[-1]!r} has no settings")
        elif value == "none":
            target.pop(last, None)
        else:
            if last == "kind" and target.get(last, value) != value:
                target.clear()
            target[last] = value
        if any(other.startswith(f"{path}.") for other in settings):  # a list or a name so far
            table = to_dict(from_dict(type(config), table, parts), live=True)
    return from_dict(type(config), table, parts)


def _outside(path: str, index: str, count: int) -> str:
    """Why an index of a list is none: an error that says how the list is filled."""
    key = path[: path.index(f".{index}")]
    has = "is empty" if not count else f"has the entries 0 to {count - 1}"
    example = {"penalties": "r1,r2", "augment": "diffaugment"}.get(key.rpartition(".")[2], "...")
    return f"{path}: {key} {has}; --{key} {example} sets the whole list"


def _parsed(text: Any) -> Any:
    if not isinstance(text, str):  # an object of a program
        return text
    try:  # with a 0 before .1, which is no number in TOML
        return text if "\n" in text else tomllib.loads(f"v={'0' * (text[:1] == '.')}{text}")["v"]
    except (ValueError, RecursionError):  # no TOML, a number of 5,000 digits, 5,000 brackets
        return text


def dumps(config: Any) -> str:
    """`config` as TOML."""
    return tomli_w.dumps(to_dict(config))


def loads(text: str, parts: Parts, source: str = "config") -> Config:
    """A `Config` from TOML text; a UsageError names `source`."""
    try:
        return from_dict(Config, tomllib.loads(text), parts)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{source}: not valid TOML: {error}") from None
    except UsageError as error:
        raise UsageError(f"{source}: {error}") from None


def merge(config: Config, table: Mapping[str, Any], parts: Parts) -> Config:
    """`config` with the settings of a (partial) TOML table over it."""
    average = table.get("ema")
    base = _with_average(
        to_dict(config, live=True), average if isinstance(average, Mapping) else {}
    )
    return from_dict(Config, _merged(base, table), parts)


def _with_average(table: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """A config's table, with an average that the settings `over` can be laid over.

    A number becomes the table that it stands for, and a new form (half-life in place of a decay, or
    the reverse) starts without the settings of the other.
    """
    value = table.get("ema")
    if not over or value is None:
        return table
    whole = to_dict(Average.of(value)) if isinstance(value, int | float) else dict(value)
    forms = {"half_life": ("decay", "start", "warmup"), "decay": ("half_life", "ramp_up")}
    new = [form for form in forms if over.get(form, 0) not in ("none", 0)]
    gone = {other for form in new for other in forms[form]}
    return table | {"ema": {key: setting for key, setting in whole.items() if key not in gone}}


def _merged(base: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    if "kind" in base and over.get("kind", base["kind"]) != base["kind"]:
        return dict(over)  # another kind starts from the defaults of that kind
    return base | {
        key: _merged(base[key], value)
        if isinstance(value, Mapping) and isinstance(base.get(key), dict)
        else value
        for key, value in over.items()
    }


def flat(table: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted key, value) pairs of nested tables and lists of tables."""
    if isinstance(table, Mapping):
        for key, value in table.items():
            yield from flat(value, f"{prefix}.{key}" if prefix else key)
    elif isinstance(table, list) and any(isinstance(v, Mapping) for v in table):
        for i, value in enumerate(table):
            yield from flat(value, f"{prefix}.{i}")
    else:
        yield prefix, table


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """(dotted key, old value, new value) of each setting that differs between two tables."""
    a, b = dict(flat(old)), dict(flat(new))
    return [(k, a.get(k), b.get(k)) for k in {**a, **b} if a.get(k) != b.get(k)]


def config_hash(config: Config) -> str:
    """sha256 of the settings that decide the weights (not the budget, device or output)."""
    pairs = [(k, _number(v)) for k, v in flat(to_dict(config)) if not k.startswith(CONTINUABLE)]
    return hashlib.sha256(json.dumps(pairs, sort_keys=True).encode()).hexdigest()


def _number(value: Any) -> Any:
    """1.0 as 1: Python code may give either, TOML always gives the annotated type."""
    if isinstance(value, list):
        return list(map(_number, value))
    return int(value) if isinstance(value, float) and value.is_integer() else value
