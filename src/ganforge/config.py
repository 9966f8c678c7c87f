"""The configuration of a run: frozen typed dataclasses, TOML both ways, overrides, differences.

A config is complete: all that decides the outcome of a run stands in it. Parts that come in kinds
(networks, games, penalties) are tables whose `kind` is looked up in the `Parts` that are passed in.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import tomllib
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar, runtime_checkable

import tomli_w

from ganforge.errors import UsageError, check, choice, did_you_mean, in_range
from ganforge.own import own_code
from ganforge.printable import printable

if TYPE_CHECKING:
    from torch import nn

    from ganforge.codec import DataSpec

Parts = Mapping[str, Mapping[str, type]]  # field name -> kind -> dataclass
T = TypeVar("T")

DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "fp32", "bf16")


@runtime_checkable
class Part(Protocol):
    """One member of a tagged union: a frozen dataclass that names its kind."""

    kind: ClassVar[str]


class Networks(Protocol):
    """Makes the two players. Any callable with this signature will do."""

    def __call__(self, spec: DataSpec, noise: int) -> dict[str, nn.Module]:
        """{"generator": z (B, noise) -> x, "discriminator": x -> logits} for examples of `spec`."""
        ...


@dataclass(frozen=True)
class Noise:
    """The law of z: `size` numbers from N(0, 1) ("normal") or U(-1, 1) ("uniform")."""

    size: int = 100
    law: str = "normal"

    def __post_init__(self) -> None:
        check(self.size >= 1, "size", self.size, "at least 1")
        choice("law", self.law, ("normal", "uniform"))


@dataclass(frozen=True)
class Optimizer:
    """One player's optimiser.

    name: adam, sgd or rmsprop (torch.optim). betas: of Adam. momentum: of SGD and RMSprop.
    decay_from: the fraction of the budget after which the rate falls linearly to lr * decay_to;
    1 keeps it constant. shrink: the rate is divided by it at every step, but not below least.
    momentum_steps: in which the momentum goes linearly to momentum_to; 0 keeps it.
    """

    name: str = "adam"
    lr: float = 2e-4
    betas: tuple[float, float] = (0.9, 0.999)
    momentum: float = 0.0
    weight_decay: float = 0.0
    decay_from: float = 1.0
    decay_to: float = 0.0
    shrink: float = 1.0
    least: float = 0.0
    momentum_to: float = 0.0
    momentum_steps: int = 0

    def __post_init__(self) -> None:
        choice("name", self.name, ("adam", "sgd", "rmsprop"))
        check(self.least <= self.lr < math.inf, "lr", self.lr, f"a number from {self.least} up")
        check(all(0 <= b < 1 for b in self.betas), "betas", self.betas, "two numbers in [0, 1)")
        for key in ("momentum", "momentum_to"):
            check(0 <= getattr(self, key) < 1, key, getattr(self, key), "in [0, 1)")
        for key in ("decay_from", "decay_to"):
            check(0 <= getattr(self, key) <= 1, key, getattr(self, key), "a fraction in [0, 1]")
        for key, low in (("weight_decay", 0), ("least", 0), ("momentum_steps", 0), ("shrink", 1)):
            check(getattr(self, key) >= low, key, getattr(self, key), f"{low} or more")

    def rate(self, progress: float, step: int = 0) -> float:
        """The learning rate at a step, when the fraction `progress` of the budget is used."""
        lr = max(self.least, self.lr * math.exp(-step * math.log(self.shrink)))
        fallen = max(0.0, min(1.0, progress) - self.decay_from) / ((1 - self.decay_from) or 1.0)
        return lr * (1 - fallen * (1 - self.decay_to))

    def momentum_at(self, step: int) -> float:
        """The momentum at a step."""
        risen = min(1.0, step / self.momentum_steps) if self.momentum_steps else 0.0
        return self.momentum + risen * (self.momentum_to - self.momentum)


@dataclass(frozen=True)
class Output:
    """What a run writes, and how often. None of it changes the weights.

    log_every: steps between log records. sample_every, save_every: passes over the data between
    sample grids and between checkpoints (at least 100 steps apart; a checkpoint is also written
    after ten minutes without one). grid: pictures in a grid (rows = labels where there are
    labels). keep: newest checkpoints kept. keep_every: also keep the first of every n steps, 0 for
    none. tensorboard: write event files too. score: end with scores on the validation part.
    score_every: epochs between such scores on the way, the best checkpoint being kept; 0 for none.
    patience: epochs without a better one after which the run ends; 0 for never.
    """

    log_every: int = 50
    sample_every: float = 1.0
    save_every: float = 1.0
    grid: int = 64
    keep: int = 3
    keep_every: int = 0
    tensorboard: bool = False
    score: bool = True
    score_every: float = 0.0
    patience: float = 0.0

    def __post_init__(self) -> None:
        for key in ("log_every", "grid", "keep"):
            check(getattr(self, key) >= 1, key, getattr(self, key), "at least 1")
        for key in ("sample_every", "save_every"):
            check(0 < getattr(self, key) < math.inf, key, getattr(self, key), "more than 0 epochs")
        for key in ("keep_every", "score_every", "patience"):
            check(0 <= getattr(self, key) < math.inf, key, getattr(self, key), "0 or more")
        check(self.score_every > 0 or not self.patience, "patience", self.patience, "score_every>0")


@dataclass(frozen=True)
class Config:
    """One run, complete. `ganforge recipes` lists ready ones; `replace(recipe, ...)` varies them.

    name: the recipe it came from. data: a data set's name or a path. size: pictures are cropped
    and resized to size x size; None keeps them. labels: a conditional game, which needs labelled
    data. micro_batch: examples a forward pass, 0 for the whole batch; the update is the same where
    there is no batch norm. epochs: the budget, in passes of D over the real data; kimg, where
    given, is the budget in thousands of real images instead. ema: decay a step of the averaged
    generator, 0 for none. threads: CPU threads, 0 for one or all, by a race at the start
    (docs/performance.md). compile: small games on the CPU many steps a call, GPUs by captured
    graphs (docs/performance.md). sync_bn: batch norm over the whole batch of all processes.
    on_nan: "stop", or "rollback" to the last checkpoint at half the rates.
    """

    name: str
    networks: Any = field(metadata={"parts": "networks"})
    game: Any = field(metadata={"parts": "games"})
    data: str = "mnist"
    size: int | None = None
    labels: bool = False
    seed: int = 0
    batch: int = 64
    micro_batch: int = 0
    epochs: float = 10.0
    kimg: float | None = None
    noise: Noise = Noise()
    generator: Optimizer = Optimizer()
    discriminator: Optimizer = Optimizer()
    ema: float = 0.0
    device: str = "auto"
    precision: str = "auto"
    threads: int = 0
    compile: bool = False
    sync_bn: bool = False
    on_nan: str = "stop"
    output: Output = Output()

    def __post_init__(self) -> None:
        for key, text in (("name", self.name), ("data", self.data)):
            check(isinstance(text, str), key, text, "a string")
            object.__setattr__(self, key, printable(text))  # TOML holds no other; see on_disk
        check(self.size is None or 1 <= self.size <= 4096, "size", self.size, "1 to 4096 pixels")
        check(self.batch >= 1, "batch", self.batch, "at least 1")
        check(self.micro_batch >= 0, "micro_batch", self.micro_batch, "0 (off) or more")
        choice("on_nan", self.on_nan, ("stop", "rollback"))
        check(0 < self.epochs < math.inf, "epochs", self.epochs, "more than 0")
        check(self.kimg is None or 0 < self.kimg < math.inf, "kimg", self.kimg, "more than 0")
        check(0 <= self.ema < 1, "ema", self.ema, "a decay in [0, 1)")
        choice("device", self.device.split(":")[0], DEVICES)
        choice("precision", self.precision, PRECISIONS)
        check(0 <= self.threads <= 1024, "threads", self.threads, "0 (auto) to 1024")
        for key, value in flat(to_dict(self)):
            in_range(key, value)

    def images(self, examples: int) -> int:
        """The budget in real images, for a training part of `examples` examples."""
        images = self.kimg * 1000 if self.kimg is not None else self.epochs * examples
        check(images < 2**53, "budget", f"{images:.3g} images", "fewer than 9e15")
        return round(images)


# Two configs that differ only in these may continue each other: none of them touches a past step.
CONTINUABLE = ("epochs", "kimg", "device", "precision", "threads", "compile", "on_nan", "output.")


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
