"""A generator as one ONNX file, compared with the generator before it is on the disk.

    z (batch, Z) float32, label (batch,) int64  ->  image (batch, H, W, C) uint8, or x (batch, F)
    source (batch, H, W, C) uint8, dropout.0 (batch, ...) float32, ...  ->  image, of a translator

The decoding to stored values is in the graph, so that every program gets the same levels. The file
has no path and no time in it: the same weights and versions make the same bytes.
"""

from __future__ import annotations

import copy
import io
import json
import logging
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ganforge import files
from ganforge._version import __version__
from ganforge.api import Trained
from ganforge.config import convert
from ganforge.data.spec import DataSpec, decode, encode
from ganforge.errors import DataError, UsageError, check, one_line, require_extra
from ganforge.nets.base import Network, PlainModule
from ganforge.rng import Stream
from ganforge.runs import checkpoint
from ganforge.runs.load import open_sampler
from ganforge.runs.model import OwnNetworks
from ganforge.sampling.sampler import Sampler
from ganforge.sampling.translate import FORTH, Translator
from ganforge.types import Array

FORMAT = 1
OPSETS = range(17, 24)
CHECKED = (8, 64)  # samples that are compared: at least, at most
VALUES = 50_000  # of these samples, if as many do
TOLERANCE = 1e-5  # of vectors, as a fraction of their range
LEAST_HALVED = 64  # numbers of a tensor that --half stores in 16 bits
LARGEST = 2**31  # bytes of a protobuf message
# Of torch's exporter: about its internals, and about an axis that two inputs share.
KNOWN_WARNINGS = (
    (FutureWarning, ".*LeafSpec.* is deprecated"),
    (UserWarning, "# The axis name: batch will not be used"),
)


def export(
    source: Path | str | Sampler | Trained,
    path: Path | str,
    *,
    half: bool = False,
    opset: int = 18,
    raw: bool = False,
    direction: str = FORTH,
    networks: OwnNetworks | None = None,
) -> Path:
    """Write a generator as an ONNX file (`gf.export`); a file of that name is replaced.

    Args:
        source: a run or model folder, a sampler, or what `gf.train` returned.
        path: of the file, ending in .onnx.
        half: weights are stored in 16 bits and computed with in 32: half the size, and pictures
            differ by one level at most.
        opset: version of ONNX's operators, 17 to 23.
        raw: the output has model values, pictures (batch, C, H, W) in [-1, 1], not stored ones.
        direction: of a translator, "a2b" or "b2a".
        networks: your function, if the model was trained with one.

    Returns:
        The path.

    Raises:
        UsageError: the extra is not installed, a network that is no graph, or a bad argument.
        DataError: no model, or the file differs from it by more than one level (vectors: by more
            than 1e-5 of their range). Nothing is written then.
    """
    path = Path(path)
    check(path.suffix == ".onnx", "path", str(path), "a file name ending in .onnx")
    check(type(opset) is int and opset in OPSETS, "opset", opset, "a whole number from 17 to 23")
    require_extra("an ONNX file", "onnx", "onnx", "onnxruntime", "onnxscript")
    if isinstance(source, Sampler | Trained):
        sampler = source if isinstance(source, Sampler) else source.sampler
    else:
        sampler = open_sampler(source, networks)
    if isinstance(sampler, Translator):
        graph: Graph = ExportedTranslator(sampler, direction, raw)
    elif direction == FORTH:
        graph = Exported(sampler, raw)
    else:
        raise UsageError(f"direction = {direction!r}: {sampler.name} translates no pictures")
    data = encoded(sampler, graph, half, opset)
    require_same(data, sampler, graph)
    return files.save_file(path, data)


class Graph(nn.Module):
    """What is exported: the network, and the specs of what it gives and, if it translates, takes.

    Called with the tensors of `given(count)`, by name or, if the names are no names of Python's,
    in their order.
    """

    by_name = True
    most: int  # examples that are compared

    def __init__(self, network: nn.Module, spec: DataSpec, raw: bool):
        super().__init__()
        self.generator = copy.deepcopy(network).cpu().eval().requires_grad_(False)
        self.spec, self.raw = spec, raw

    def given(self, count: int) -> dict[str, Tensor]:
        """The inputs of the graph for examples 0 .. count - 1, by name."""
        raise NotImplementedError

    def facts(self) -> dict[str, Any]:
        """What a client has to know of the inputs."""
        raise NotImplementedError

    def decoded(self, x: Tensor) -> Tensor:
        """What the file gives."""
        return x if self.raw else decode(x, self.spec)

    def call(self, given: dict[str, Tensor]) -> Tensor:
        """The output for inputs by name."""
        made: Tensor = self(**given) if self.by_name else self(*given.values())
        return made


class Exported(Graph):
    """The generator from noise and label."""

    def __init__(self, sampler: Sampler, raw: bool):
        super().__init__(sampler.model, sampler.spec, raw)
        self.sampler = (sampler,)  # not a module of the graph
        self.most = int(np.clip(-(-VALUES // sampler.spec.size), *CHECKED))

    def forward(
        self, z: Tensor, label: Tensor | None = None, truncation: Tensor | None = None
    ) -> Tensor:
        inputs = None if truncation is None else {"truncation": truncation}
        return self.decoded(self.generator(z, label, None, inputs))

    def given(self, count: int) -> dict[str, Tensor]:
        """`truncation` (count, 1) is an input if the networks move the style; else it is in z."""
        (sampler,) = self.sampler
        labels = sampler.labels(count)
        given = {"z": sampler.z(count).cpu()}
        if labels is not None:
            given["label"] = torch.from_numpy(labels)
        if sampler.truncation_law == "style":
            given["truncation"] = torch.ones(count, 1)
        return given

    def facts(self) -> dict[str, Any]:
        (sampler,) = self.sampler
        return {
            "noise": convert.to_dict(sampler.noise),
            "labels": [0, self.spec.classes - 1] if self.spec.classes else [],
            "class_names": list(sampler.class_names),
            "truncation": {"law": sampler.truncation_law, "above": 0, "at_most": 1},
        }


class ExportedTranslator(Graph):
    """A translator from stored pictures, and random inputs if it has some, in one direction."""

    by_name, most = False, 2

    def __init__(self, translator: Translator, direction: str, raw: bool):
        network = translator.network(direction)
        if not isinstance(network, Network) or isinstance(network, PlainModule):
            raise UsageError(
                f"{translator.name}: a translator of your code cannot be written as an ONNX file"
            )
        source, target = translator.ends(direction)
        super().__init__(network, target, raw)
        self.source, self.direction, self.drawn = source, direction, network.sampling_inputs()

    def forward(self, source: Tensor, *drawn: Tensor) -> Tensor:
        x = encode(source, self.source)
        inputs = dict(zip(self.drawn, drawn, strict=True))
        return self.decoded(self.generator(x, None, x, inputs or None))

    def stream(self, name: str) -> str:
        """The stream of a random input's numbers, as `Translator` draws them."""
        return f"translate/{self.direction}/{name}"

    def given(self, count: int) -> dict[str, Tensor]:
        levels = np.random.default_rng(0).integers(0, 256, (count, *self.source.stored_shape))
        drawn = {
            name: torch.from_numpy(one.draw(Stream(0, self.stream(name)), 0, count))
            for name, one in self.drawn.items()
        }
        return {"source": torch.from_numpy(levels.astype(self.source.dtype))} | drawn

    def facts(self) -> dict[str, Any]:
        return {
            "source": asdict(self.source),
            "direction": self.direction,
            "inputs": {
                name: {"stream": self.stream(name), **asdict(one)}
                for name, one in self.drawn.items()
            },
        }


def encoded(sampler: Sampler, graph: Graph, half: bool, opset: int) -> bytes:
    """The bytes of the file."""
    given = graph.given(2)
    batch = {0: torch.export.Dim("batch")}
    if not getattr(graph.generator, "batch_independent", True):  # its norm looks at all pictures
        given, batch = graph.given(1), {}
    others = (batch,) * (len(given) - 1)
    call: dict[str, Any] = (
        {"kwargs": given, "dynamic_shapes": dict.fromkeys(given, batch)}
        if graph.by_name
        else {
            "args": tuple(given.values()),
            "dynamic_shapes": (batch, others) if others else (batch,),
        }
    )
    try:
        with quiet():
            program = torch.onnx.export(
                graph.eval(),
                **call,
                dynamo=True,
                opset_version=opset,
                input_names=list(given),
                output_names=["x" if graph.raw or not graph.spec.is_image else "image"],
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        raise UsageError(refusal(graph, error)) from error
    assert program is not None
    proto = program.model_proto
    if batch and not all(i.type.tensor_type.shape.dim[0].dim_param for i in proto.graph.input):
        network = getattr(graph.generator, "module", graph.generator)
        raise UsageError(
            f"{type(network).__name__} cannot be written as a graph: it fixes the number of "
            "examples; write x.shape[0] in place of len(x)"
        )
    clear(proto)
    if half:
        halve(proto.graph)
    proto.producer_name, proto.producer_version = "ganforge", __version__
    for key, value in sorted(metadata(sampler, graph).items()):
        proto.metadata_props.add(key=key, value=value)
    if proto.ByteSize() >= LARGEST:
        raise UsageError(
            f"{sampler.name}: {proto.ByteSize():,} bytes, but an ONNX file has fewer than 2 GiB: "
            "use --half"
        )
    return bytes(proto.SerializeToString(deterministic=True))


@contextmanager
def quiet() -> Iterator[None]:
    """Without the two known warnings of the exporter, its log and what it prints of a failure."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            for category, message in KNOWN_WARNINGS:
                warnings.filterwarnings("ignore", message, category)
            yield
    finally:
        logging.disable(before)


def refusal(exported: Graph, error: Exception) -> str:
    """The message for networks that the exporter cannot follow: the innermost module, its line."""
    cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
    modules = {id(module) for module in exported.generator.modules()}
    name, place = type(exported.generator).__name__, ""
    for frame, line in traceback.walk_tb(cause.__traceback__):
        module = frame.f_locals.get("self")
        if id(module) in modules:
            name = type(module).__name__
            place = f" ({Path(frame.f_code.co_filename).name}, line {line})"
    return (
        f"{name}{place} cannot be written as a graph: its steps must not depend on the values of "
        f"tensors ({one_line(cause)})"
    )


def clear(proto: Any) -> None:
    """Remove what the exporter notes of its making: stack traces with paths, names of internals."""
    graphs = [proto.graph, *proto.functions]
    parts = [proto, *graphs]
    for graph in graphs:
        parts += [*graph.node, *graph.value_info]
    parts += [*proto.graph.input, *proto.graph.output, *proto.graph.initializer]
    for part in parts:
        part.doc_string = ""
        del part.metadata_props[:]


def halve(graph: Any) -> None:
    """Store large weights in 16 bits; a Cast node gives each its old name, in 32 bits.

    Weights beyond the range of 16 bits stay as they are.
    """
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        fits = values.dtype == np.float32 and values.size >= LEAST_HALVED
        if not fits or np.abs(values).max() > np.finfo(np.float16).max:
            continue
        stored = f"{tensor.name}_half"
        casts.append(helper.make_node("Cast", [stored], [tensor.name], to=TensorProto.FLOAT))
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), stored))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def metadata(sampler: Sampler, graph: Graph) -> dict[str, str]:
    """What a client has to know, as the file's metadata: text, or JSON."""
    weights = sampler.model.state_dict()
    facts = {"spec": asdict(graph.spec), **graph.facts()}
    return {
        "ganforge": __version__,
        "format": str(FORMAT),
        "name": sampler.name,
        "output": "raw" if graph.raw else "stored",
        "weights_sha256": files.digest(checkpoint.encode_tensors(weights)),
        **{key: json.dumps(value) for key, value in facts.items()},
    }


def require_same(data: bytes, sampler: Sampler, graph: Graph) -> None:
    """DataError unless the graph is valid and makes the examples of the generator."""
    import onnx
    import onnxruntime

    onnx.checker.check_model(data, full_check=True)
    given = graph.given(graph.most if getattr(graph.generator, "batch_independent", True) else 1)
    with torch.no_grad():
        wanted = graph.call(given).numpy()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    made = session.run(None, {key: value.numpy() for key, value in given.items()})[0]
    found, most, unit = difference(wanted, np.asarray(made), graph.spec, graph.raw)
    if not found <= most:
        raise DataError(
            f"{sampler.name}: the file differs from the model by {found:.3g} {unit}, at most "
            f"{most:g} is allowed; nothing was written: export without --half, or with another "
            "--opset"
        )


def difference(wanted: Array, made: Array, spec: DataSpec, raw: bool) -> tuple[float, float, str]:
    """The largest difference, the largest that is allowed, and their unit."""
    worst = float(np.abs(wanted.astype(np.float64) - made.astype(np.float64)).max())
    if spec.dtype == "uint8":
        return worst * (spec.scale[0] if raw else 1), 1, "levels"
    extent = 2 * max(spec.scale) if spec.bounded and not raw else float(np.ptp(wanted)) or 1.0
    return worst / extent, TOLERANCE, "of the range"
