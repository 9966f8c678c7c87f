"""Configs as tables and TOML, both ways."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import tomllib
import types
import typing
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import tomli_w

from ganforge.config.schema import CONTINUABLE, Config, Part, Parts
from ganforge.config.user_code import own_code
from ganforge.errors import UsageError, check, did_you_mean, in_range

if TYPE_CHECKING:
    pass


T = TypeVar("T")

# Settings that have no option of their own, reached as --name value beside the dotted ones.
TOP_LEVEL = ("ema", "labels", "threads", "micro-batch", "micro_batch", "on-nan", "on_nan")


def to_dict(part: Any) -> dict[str, Any]:
    """Plain tables, lists and values, ready for TOML or JSON; None is left out."""
    out: dict[str, Any] = {"kind": part.kind} if isinstance(part, Part) else {}
    for f in dataclasses.fields(part):
        if (value := getattr(part, f.name)) is not None:
            out[f.name] = _plain(value)
    return out


def _plain(value: Any) -> Any:
    if callable(value) and not dataclasses.is_dataclass(value):
        return to_dict(own_code(value))
    if dataclasses.is_dataclass(value):
        return to_dict(value)
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    return value


def from_dict(cls: type[T], table: Mapping[str, Any], parts: Parts, where: str = "") -> T:
    """The inverse of `to_dict`; every unknown key, wrong type or bad range is a UsageError."""
    if not isinstance(table, Mapping):
        raise UsageError(f"{where or 'config'} = {table!r}: expected a table of settings")
    hints = typing.get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(typing.cast(Any, cls))}
    values = {}
    for key, value in table.items():
        path = f"{where}.{key}" if where else key
        if key == "kind" and hasattr(cls, "kind"):
            continue
        if key not in fields:
            raise UsageError(f"unknown setting {path!r}: {did_you_mean(key, list(fields))}")
        tag = fields[key].metadata.get("parts")
        if tag is None:
            values[key] = _typed(hints[key], value, parts, path)
        elif isinstance(value, list):
            values[key] = tuple(
                read_part(v, parts, tag, f"{path}.{i}") for i, v in enumerate(value)
            )
        else:
            values[key] = read_part(value, parts, tag, path)
    for name, f in fields.items():
        if name not in values and f.default is f.default_factory is dataclasses.MISSING:
            raise UsageError(f"{where or 'config'}: the setting {name!r} is missing")
    try:
        return cls(**values)
    except UsageError as error:
        raise UsageError(f"{where}.{error}" if where else str(error)) from None


def read_part(value: Any, parts: Parts, tag: str, path: str = "") -> Any:
    """One member of the tagged union `tag` from its table."""
    path, kinds = path or tag, parts[tag]
    if not isinstance(value, Mapping) or "kind" not in value:
        known = f"""[{{kind = "{min(kinds)}"}}], kind one of {", ".join(sorted(kinds))}"""
        raise UsageError(f"{path} = {value!r}: expected a table, or a list of them as {known}")
    kind = value["kind"]
    if not isinstance(kind, str) or kind not in kinds:
        raise UsageError(f"{path}.kind = {kind!r}: {did_you_mean(str(kind), list(kinds))}")
    return from_dict(kinds[kind], value, parts, path)


def _typed(hint: Any, value: Any, parts: Parts, path: str) -> Any:
    """`value` as the annotated type, or a UsageError that names both."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        inner = [a for a in args if a is not type(None)]
        return None if value is None else _typed(inner[0], value, parts, path)
    if dataclasses.is_dataclass(hint):
        return from_dict(typing.cast(type, hint), value, parts, path)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise UsageError(f"{path} = {value!r}: expected a list such as [1, 2]")
        if args[-1] is not Ellipsis and len(value) != len(args):
            raise UsageError(f"{path} = {value!r}: expected {len(args)} values")
        return tuple(_typed(args[0], v, parts, path) for v in value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        in_range(path, value)
        return float(value)
    if hint is Any or (isinstance(value, hint) and (hint is bool or not isinstance(value, bool))):
        return value
    raise UsageError(f"{path} = {value!r}: expected {hint.__name__}, got {type(value).__name__}")


def override(config: T, settings: Mapping[str, str], parts: Parts) -> T:
    """`config` with each dotted key set to the value its text stands for.

    `{"generator.lr": "1e-3", "game.penalties.0.gamma": "1"}`; a new `kind` starts from that
    kind's own defaults.
    """
    table = to_dict(config)
    for path, text in settings.items():
        target: Any = table
        *parents, last = path.split(".")
        for name in parents:
            try:
                target = target[int(name)] if isinstance(target, list) else target[name]
            except (KeyError, ValueError, IndexError, TypeError):
                known = list(target) if isinstance(target, dict) else []
                raise UsageError(f"unknown setting {path!r}: {did_you_mean(name, known)}") from None
        value = _value(text)
        if isinstance(target, list):
            check(last.isdecimal() and int(last) < len(target), path, text, "an index in the list")
            target[int(last)] = value
        elif not isinstance(target, dict):
            raise UsageError(f"unknown setting {path!r}: {parents[-1]!r} holds no settings")
        elif last == "kind" and target.get("kind", value) != value:
            target.clear()
            target["kind"] = value
        elif value == "none":
            target.pop(last, None)
        else:
            target[last] = value
    return rebuild(config, table, parts)


def rebuild(config: T, table: Mapping[str, Any], parts: Parts) -> T:
    """`config` as `table` now has it; parts that are the user's own code stay where unchanged."""
    own = {}
    known = {tag: dict(kinds) for tag, kinds in parts.items()}
    for f in dataclasses.fields(typing.cast(Any, config)):
        part, tag = getattr(config, f.name), f.metadata.get("parts")
        if tag and isinstance(part, Part):
            known.setdefault(tag, {}).setdefault(part.kind, type(part))
        elif tag and callable(part) and table.get(f.name) == _plain(part):
            own[f.name] = part
    made: T = dataclasses.replace(typing.cast(Any, from_dict(type(config), table, known)), **own)
    return made


def _value(text: str) -> Any:
    try:  # with a 0 before .1, which is no number in TOML
        return text if "\n" in text else tomllib.loads(f"v={'0' * (text[:1] == '.')}{text}")["v"]
    except (ValueError, RecursionError):  # no TOML, a number of 5,000 digits, 5,000 brackets
        return text


def dumps(config: Any) -> str:
    """`config` as TOML."""
    return tomli_w.dumps(to_dict(config))


def loads(text: str, parts: Parts, source: str = "config") -> Config:
    """A `Config` from TOML text; errors name `source`."""
    try:
        return from_dict(Config, tomllib.loads(text), parts)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{source}: not valid TOML: {error}") from None
    except UsageError as error:
        raise UsageError(f"{source}: {error}") from None


def merge(config: Config, table: Mapping[str, Any], parts: Parts) -> Config:
    """`config` with the settings of a (partial) TOML table laid over it."""

    def lay(base: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
        if over.get("kind", base.get("kind")) != base.get("kind", over.get("kind")):
            return dict(over)
        out = dict(base)
        for key, value in over.items():
            both = isinstance(value, Mapping) and isinstance(out.get(key), dict)
            out[key] = lay(out[key], value) if both else value
        return out

    return rebuild(config, lay(to_dict(config), table), parts)


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
    """(key, old value, new value) of every setting that differs between two `to_dict` tables."""
    a, b = dict(flat(old)), dict(flat(new))
    return [(k, a.get(k), b.get(k)) for k in {**a, **b} if a.get(k) != b.get(k)]


def config_hash(config: Config) -> str:
    """sha256 of the settings that decide the weights (not the budget, device or output)."""
    pairs = [(k, _number(v)) for k, v in flat(to_dict(config)) if not k.startswith(CONTINUABLE)]
    return hashlib.sha256(json.dumps(pairs, sort_keys=True).encode()).hexdigest()


def _number(value: Any) -> Any:
    """1.0 as 1: Python code may say either, TOML gives back the annotated type."""
    if isinstance(value, list):
        return [_number(v) for v in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
