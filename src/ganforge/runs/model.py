"""The model folder: what people share. config.json, model.safetensors, README.md.

Hugging Face layout; no time and no path in it, so the same weights make the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ganforge import files, nets, registry
from ganforge.config import convert
from ganforge.config.schema import Config, Noise
from ganforge.config.user_code import Code
from ganforge.data.spec import DataSpec, spec_table
from ganforge.errors import DataError, GanforgeError, UsageError
from ganforge.files import save_file
from ganforge.gan.state import require_same_tensors
from ganforge.runs import checkpoint
from ganforge.sampling.sampler import MICRO_BATCH, Sampler
from ganforge.sampling.translate import sampler_of
from ganforge.text import encoded, printable

FORMAT = 1
MOST = 2**31  # of any one size in a config.json
LARGEST = 3.4e38  # of any other number: that of single precision
LEAST_HALVED = 1_024  # numbers of a tensor that can be stored in 16 bits
FILLS = ("normal", "mul", "rmul", "exp2")  # what the layers fill themselves with, beside uniform_
CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"

NetworkFunction = Callable[[DataSpec, int], dict[str, nn.Module]]
OwnNetworks = NetworkFunction | Code  # the function, or a user's file as objects by name


def save(
    folder: Path, sampler: Sampler, of: Config, facts: dict[str, Any], half: bool = False
) -> Path:
    """Write the model folder: the generator of `sampler`, and how to build it again.

    facts: what else the card should say (step, samples_seen, data_sha256, ...). half: large tensors
    are stored in 16 bits.
    """
    table = {
        "library": "ganforge",
        "format": FORMAT,
        "name": sampler.name,
        "spec": spec_table(sampler.spec),
        "noise": convert.to_dict(sampler.noise),
        "networks": convert.to_dict(of)["networks"],
        "class_names": list(sampler.class_names),
        "sampling": {
            "micro_batch": dict(sampler.micro_batch),
            "truncation": {"law": sampler.truncation_law, "above": 0, "at_most": 1},
        },
        "training": {**facts, "config": without_paths(convert.to_dict(of))},
    }
    save_file(folder / WEIGHTS, encoded_weights(sampler, half))
    files.write_json(folder / CONFIG, table)
    save_file(folder / CARD, encoded(card(table)))
    return folder


def encoded_weights(sampler: Sampler, half: bool = False) -> bytes:
    """The tensors of a generator as a safetensors file.

    half: float32 tensors of at least 1,024 numbers within the range of 16 bits are stored as
    float16; `load` gives all in float32.
    """
    tensors = sampler.model.state_dict()
    most = torch.finfo(torch.float16).max
    for name, tensor in tensors.items() if half else ():
        large = tensor.dtype == torch.float32 and tensor.numel() >= LEAST_HALVED
        if large and float(tensor.abs().max()) <= most:
            tensors[name] = tensor.half()
    return checkpoint.encode_tensors(tensors)


def without_paths(config: dict[str, Any]) -> dict[str, Any]:
    """The settings of a run with the names of its data and models, and not where they lie."""
    named = {}
    for key in ("data", "init_from"):
        if config.get(key):
            paths = map(Path, str(config[key]).split("|"))  # of two folders, A|B
            named[key] = "|".join(path.name or path.resolve().name for path in paths)
    return config | named


def load(
    folder: Path | str, networks: OwnNetworks | None = None, device: str | torch.device = "cpu"
) -> Sampler:
    """The sampler of a model folder.

    networks: the user's function or code, for a model whose networks are code of the user's.
    Raises DataError if the folder is none, or damaged.
    """
    folder = Path(folder)
    path = folder / CONFIG
    if not path.is_file():
        raise DataError(f"{folder}: not a model folder, it has no {CONFIG}")
    with undamaged(path):
        table = json.loads(files.read_file(path))
        spec = read_spec(table["spec"])
        noise = convert.from_dict(Noise, table["noise"], {}, "noise")
        name, class_names = printable(str(table["name"])), read_names(table)
        build = networks_of(table["networks"], networks)
        version, (law, micro_batch) = table["format"], read_sampling(table)
        if max(*spec.shape, spec.classes, noise.size) >= MOST:
            raise ValueError(f"a size beyond {MOST:,}")
    if version != FORMAT:
        raise DataError(f"{path}: format {version}, this ganforge reads {FORMAT}")
    tensors = checkpoint.read_tensors(folder / WEIGHTS)
    model = built(build, spec, noise.size, tensors, folder)
    model.to(device).eval().requires_grad_(False)
    sampler = sampler_of(model, spec, noise, name, class_names, micro_batch)
    if law not in ("", sampler.truncation_law):
        raise DataError(
            f"{path}: truncation by {law!r}, but these networks truncate by "
            f"{sampler.truncation_law!r}: use the ganforge that made the model"
        )
    return sampler


def networks_of(table: Any, code: OwnNetworks | None) -> NetworkFunction:
    """The networks that a table names, if they are the user's with that code.

    Raises:
        UsageError: a table that names none.
    """
    if callable(code):
        return code
    found: NetworkFunction = convert.read_part(table, registry.with_code(code), "networks")
    return found


@contextmanager
def undamaged(path: Path) -> Iterator[None]:
    """Turns what a damaged file raises while it is read into a DataError that names it."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{path}: damaged ({error}): restore it from a copy") from None
    except GanforgeError as error:
        raise DataError(f"{path}: {error}") from None


class Unfilled(TorchFunctionMode):
    """Layers are laid out and not filled: on the meta device that arithmetic would import torch's
    compiler, which costs a second and makes a folder in the system's scratch space."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if getattr(func, "__name__", "").strip("_") in FILLS:
            values = (*args, *(kwargs or {}).values())
            return next(value for value in values if isinstance(value, Tensor))
        return func(*args, **(kwargs or {}))


def built(
    networks: NetworkFunction, spec: DataSpec, noise: int, tensors: dict[str, Tensor], folder: Path
) -> nn.Module:
    """The generator that the tensors of a folder fit, with them in it.

    Networks of the package are laid out without memory first, and get it once the tensors fit: a
    damaged config.json that asks for terabytes allocates none.
    """
    ours = nets.is_built_in(networks)
    model: nn.Module = (
        laid_out(networks, spec, noise, folder)
        if ours
        else nets.build(networks, spec, noise)["generator"]
    )
    wanted = model.state_dict()
    for name, tensor in tensors.items():
        if tensor.dtype == torch.float16 and name in wanted and wanted[name].dtype == torch.float32:
            tensors[name] = tensor.float()
    require_same_tensors(wanted, tensors, str(folder / WEIGHTS))
    if ours:
        model.to_empty(device="cpu")
    model.load_state_dict(tensors)
    return model


def laid_out(networks: NetworkFunction, spec: DataSpec, noise: int, folder: Path) -> nn.Module:
    """The generator without memory; DataError if there can be none of these sizes."""
    try:
        with torch.device("meta"), Unfilled():
            return nets.build(networks, spec, noise)["generator"]
    except UsageError as error:
        raise DataError(f"{folder / CONFIG}: damaged ({error})") from None


def training(folder: Path) -> dict[str, Any]:
    """What a model's config.json says of its training.

    data, size, data_sha256, step, each None if it does not say; pairing, see `Config.pairing`.

    Raises DataError if it is damaged.
    """
    path = folder / CONFIG
    with undamaged(path):
        facts = dict(json.loads(files.read_file(path)).get("training", {}))
        facts |= dict(facts.get("config", {}))
        found = {key: facts.get(key) for key in ("data", "size", "data_sha256", "step")}
        for key, value in found.items():
            if value is not None and type(value) is not (int if key in ("size", "step") else str):
                raise TypeError(f"{key} = {value!r}")
        pairing = registry.pairing(facts)
    return found | {"pairing": pairing}


def read_spec(table: dict[str, Any]) -> DataSpec:
    """The DataSpec of a config.json; raises what `undamaged` turns into a DataError."""
    spec = convert.from_dict(DataSpec, table, {}, "spec")
    for numbers in (spec.offset, spec.scale):
        if len(numbers) != 1 and (spec.is_image or len(numbers) != spec.size):
            raise ValueError("offset and scale do not fit the shape")
        if not all(abs(number) <= LARGEST for number in numbers):
            raise ValueError(f"{numbers} are too large")
    return spec


def read_names(table: dict[str, Any]) -> tuple[str, ...]:
    """The class names of a config.json; raises what `undamaged` turns into a DataError."""
    return tuple(printable(str(name)) for name in table["class_names"])


def read_sampling(table: dict[str, Any]) -> tuple[str, Mapping[str, int]]:
    """The law of truncation and the micro-batches of a config.json, "" and the usual ones if it
    has none; raises what `undamaged` turns into a DataError."""
    sampling = table.get("sampling", {})
    sizes = sampling.get("micro_batch", MICRO_BATCH)
    if not all(type(size) is int and 0 < size < MOST for size in sizes.values()):
        raise ValueError(f"micro_batch = {sizes!r}")
    return str(sampling.get("truncation", {}).get("law", "")), {**MICRO_BATCH, **sizes}


def task(spec: Mapping[str, Any]) -> str:
    """What the hub calls the work of a generator, from the table of its data; "" of vectors."""
    if not spec["shape"][1:]:
        return ""
    return "image-to-image" if spec.get("source") else "unconditional-image-generation"


def card(table: dict[str, Any]) -> str:
    """README.md of the folder, a model card in the Hugging Face form."""
    training, spec, noise = table["training"], table["spec"], table["noise"]
    conditional = ", conditional" if spec["classes"] else ""
    inputs = f"{noise['size']} numbers of {noise['law']} noise"
    use = f"sample(16{', labels=0' if spec['classes'] else ''}, seed=0)"
    if spec.get("source"):
        inputs = f"pictures of shape {tuple(spec['source']['shape'])}"
        use = "translate(pictures)  # (N, H, W, C) uint8"
    tags = ", ".join(filter(None, ("gan", task(spec))))
    data = training["config"]["data"]
    facts = "".join(
        f"| {key.replace('_', ' ')} | {value} |\n"
        for key, value in training.items()
        if key != "config"
    )
    return f"""---
library_name: ganforge
tags: [{tags}]
---
# {table["name"]}

A generator trained with ganforge: examples of shape {tuple(spec["shape"])}{conditional}, from
{inputs}.

```python
import ganforge as gf
samples = gf.load("path/to/this/folder").{use}
```

| training | |
|---|---|
| recipe | {table["name"]} |
| data | {Path(data).name} |
{facts}
The settings of the run are in `config.json`. What a generator shows is in its training data:
say where they come from before you share it.
"""
