"""A generator as a list of operations, which engine.mjs runs in a browser.

Operation i makes value i from the values in `from`: numbers of earlier operations, or the inputs
"z" (batch, Z), "label" (batch,) and "source" (batch, C, H, W). Values are flat (batch, F) or maps
(batch, C, H, W). The operations are the functions of `reference.OPERATIONS`. EMITTERS has a row
for each class of modules: another network needs another row, and no other change.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ganforge.errors import UsageError
from ganforge.nets import cycle, dcgan, infogan, layers, mlp, resnet, stylegan, unet
from ganforge.types import Array

Source = int | str  # the number of an operation, or the name of an input
WEIGHTED = ("linear", "conv", "transposed")
PAGE_REMEDY = "write a .onnx file, which any network has: ganforge export RUN -o model.onnx"


class UnknownModuleError(UsageError):
    """A module that EMITTERS does not have."""


@dataclass
class Graph:
    """Operations and tensors so far.

    tensors: float64 until they are stored, so that folding rounds nothing. shared: values that have
    a second reader, so that nothing is folded into the layers that make them.
    """

    operations: list[dict[str, Any]] = field(default_factory=list)
    tensors: list[Array] = field(default_factory=list)
    shared: set[Source] = field(default_factory=set)

    def tensor(self, values: Tensor | Array | None) -> int | None:
        """The number of a new tensor; None for None."""
        if values is None:
            return None
        if isinstance(values, Tensor):
            values = double(values)
        self.tensors.append(np.array(values, np.float64))
        return len(self.tensors) - 1

    def add(self, op: str, sources: Sequence[Source], **settings: Any) -> int:
        """The number of a new operation."""
        self.operations.append({"op": op, "from": list(sources), **settings})
        return len(self.operations) - 1

    def module(self, module: nn.Module, x: Source) -> Source:
        """The value of a module at x; UnknownModuleError if no row of EMITTERS has its class."""
        emit = EMITTERS.get(type(module))
        if emit is None:
            raise UnknownModuleError(
                f"{type(module).__name__}: the page has no such operation; {PAGE_REMEDY}"
            )
        return emit(self, module, x)

    def scaled(self, x: Source, scale: Array, shift: Array) -> Source:
        """x * scale + shift for each channel (C,), within the weights of x if x has weights."""
        last: dict[str, Any] = {"op": ""}
        if isinstance(x, int) and x not in self.shared:
            last = self.operations[x]
        spread = 1
        if last["op"] == "grid" and isinstance(last["from"][0], int):
            spread = int(np.prod(last["shape"][1:]))
            last = self.operations[last["from"][0]]
        if last["op"] not in WEIGHTED:
            return self.add("affine", [x], scale=self.tensor(scale), shift=self.tensor(shift))
        scale, shift = np.repeat(scale, spread), np.repeat(shift, spread)
        place, bias = last["weight"], last["bias"]
        weight = self.tensors[place]
        axis = 1 if last["op"] == "linear" else 0
        taps = len(weight) // len(scale) if last["op"] == "transposed" else 1
        shape = [-1 if i == axis else 1 for i in range(weight.ndim)]
        self.tensors[place] = weight * np.repeat(scale, taps).reshape(shape)
        if bias is None:
            last["bias"] = self.tensor(shift)
        else:
            self.tensors[bias] = self.tensors[bias] * scale + shift
        return x


Emit = Callable[[Graph, Any, Source], Source]


def double(values: Tensor) -> Array:
    """A tensor as float64."""
    return np.asarray(values.detach().cpu().double().numpy())


def linear(graph: Graph, m: nn.Linear, x: Source) -> Source:
    """Its weight lies as (inputs, outputs)."""
    bias = graph.tensor(m.bias)
    return graph.add("linear", [x], weight=graph.tensor(double(m.weight).T), bias=bias)


def conv(graph: Graph, m: nn.Conv2d, x: Source) -> Source:
    """A convolution with zero padding."""
    return convolved(graph, x, m.weight, m.bias, m.stride, m.padding)


def convolved(
    graph: Graph,
    x: Source,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int] = (1, 1),
    padding: Sequence[int] | str = (0, 0),
) -> int:
    """A convolution; a reflection padding right before it is done within it."""
    before = graph.operations[x] if isinstance(x, int) else {}
    reflect = 0
    if before.get("op") == "reflect":
        reflect, x = before["by"], before["from"][0]
        graph.operations.pop()
    return graph.add(
        "conv", [x], weight=graph.tensor(weight), bias=graph.tensor(bias), stride=list(stride),
        padding=list(padding), reflect=reflect,
    )  # fmt: skip


def transposed(graph: Graph, m: nn.ConvTranspose2d, x: Source) -> Source:
    """Its weight (I, O, h, w) lies as (O h w, I)."""
    weight = double(m.weight)
    return graph.add(
        "transposed", [x], weight=graph.tensor(weight.reshape(len(weight), -1).T),
        bias=graph.tensor(m.bias), stride=list(m.stride), padding=list(m.padding),
        extra=list(m.output_padding), kernel=list(m.kernel_size),
    )  # fmt: skip


def batch_norm(graph: Graph, m: nn.modules.batchnorm._BatchNorm, x: Source) -> Source:
    """Folded, in double precision, into the layer before it."""
    if m.running_var is None or m.running_mean is None:
        raise UnknownModuleError(
            "batch norm by the statistics of a forward pass: the page has no such operation; "
            + PAGE_REMEDY
        )
    scale = double(m.weight) / np.sqrt(double(m.running_var) + m.eps)
    return graph.scaled(x, scale, double(m.bias) - double(m.running_mean) * scale)


def instance_norm(graph: Graph, m: nn.InstanceNorm2d, x: Source) -> Source:
    """By the statistics of each example and channel."""
    scale, shift = graph.tensor(m.weight), graph.tensor(m.bias)
    return graph.add("instance", [x], epsilon=m.eps, scale=scale, shift=shift)


def sequence(graph: Graph, modules: Any, x: Source) -> Source:
    """Modules one after another."""
    for module in modules:
        x = graph.module(module, x)
    return x


def activation(kind: str, slope: str = "") -> Emit:
    """A row for an activation; slope: the attribute that has it."""

    def emit(graph: Graph, m: nn.Module, x: Source) -> Source:
        settings = {"slope": getattr(m, slope)} if slope else {}
        return graph.add("activation", [x], kind=kind, **settings)

    return emit


def resized(graph: Graph, m: nn.Upsample, x: Source) -> Source:
    """Bilinear to a size, or pixels repeated."""
    return graph.add("resize", [x], size=m.size, factor=m.scale_factor, mode=m.mode)


def reflected(graph: Graph, m: nn.ReflectionPad2d, x: Source) -> Source:
    """Mirrored pixels on every side; `convolved` takes them in."""
    return graph.add("reflect", [x], by=m.padding[0])


def sines(graph: Graph, m: layers.Sines, x: Source) -> Source:
    """x, and sines beside it."""
    waves = graph.add("activation", [linear(graph, m.linear, x)], kind="sin")
    return graph.add("concat", [x, waves])


def join(graph: Graph, m: layers.Join, x: Source) -> Source:
    """x, and the label's row beside it."""
    if m.embedding is None:
        return x
    row = graph.add("embed", ["label"], table=graph.tensor(m.embedding.weight))
    return graph.add("concat", [x, row])


def perceptron(graph: Graph, m: mlp.Perceptron, x: Source) -> Source:
    """Hidden layers; nothing is dropped."""
    x = x if m.sines is None else graph.module(m.sines, x)
    for i, layer in enumerate(m.linears):
        norm = [m.norms[str(i)]] if str(i) in m.norms else []
        x = sequence(graph, (layer, *norm, m.activation), x)
    return x


def mlp_generator(graph: Graph, m: mlp.Generator, x: Source) -> Source:
    """The last layer's tanh, or 2 sigmoid - 1, or nothing."""
    x = sequence(graph, (m.join, m.body, m.out), x)
    if m.unit:
        return unit_interval(graph, x)
    return graph.add("activation", [x], kind="tanh") if m.bounded else x


def unit_interval(graph: Graph, x: Source) -> Source:
    """2 sigmoid(x) - 1."""
    x = graph.add("activation", [x], kind="sigmoid")
    return graph.add("affine", [x], scale=[2.0], shift=[-1.0])


def infogan_generator(graph: Graph, m: infogan.Generator, x: Source) -> Source:
    """Linear layers, a grid, and the layers of the body."""
    x = sequence(graph, (m.join, m.linear), x)
    x = graph.add("grid", [x], shape=list(m.grid))
    return unit_interval(graph, graph.module(m.body, x))


def dcgan_generator(graph: Graph, m: dcgan.Generator, x: Source) -> Source:
    """A linear layer, a grid, and the layers of the body."""
    x = sequence(graph, (m.join, m.project), x)
    x = graph.add("grid", [x], shape=list(m.grid))
    return graph.add("activation", [sequence(graph, (m.project_norm, m.body), x)], kind="tanh")


def resnet_generator(graph: Graph, m: resnet.Generator, x: Source) -> Source:
    """A linear layer, a grid, and blocks."""
    x = sequence(graph, (m.join, m.project), x)
    x = graph.add("grid", [x], shape=list(m.grid))
    return graph.add("activation", [graph.module(m.body, x)], kind="tanh")


def block(graph: Graph, m: resnet.Block, x: Source) -> Source:
    """A residual beside a shortcut."""
    graph.shared.add(x)
    return graph.add("add", [graph.module(m.shortcut, x), graph.module(m.residual, x)])


def scaled_linear(graph: Graph, m: stylegan.Linear, x: Source, factor: float = 1.0) -> Source:
    """Weights as they are used, times a factor."""
    weight = graph.tensor(double(m.weight).T * (m.scale * factor))
    bias = graph.tensor(double(m.bias) * (m.rate * factor))
    return graph.add("linear", [x], weight=weight, bias=bias)


def leaky(graph: Graph, x: Source) -> Source:
    """sqrt(2) max(x, 0.2 x)."""
    return graph.add("activation", [x], kind="leaky", slope=0.2, gain=math.sqrt(2))


def mapping(graph: Graph, m: stylegan.Mapping, z: Source) -> Source:
    """Noise, and a label's row beside it, each of unit mean square; then layers."""
    w: Source = graph.add("unit", [z], epsilon=1e-8)
    if m.embed is not None:
        rows = double(m.embed.weight).T * m.embed.scale + double(m.embed.bias) * m.embed.rate
        row = graph.add("embed", ["label"], table=graph.tensor(rows))
        w = graph.add("concat", [w, graph.add("unit", [row], epsilon=1e-8)])
    for layer in m.layers:
        assert isinstance(layer, stylegan.Linear)
        w = leaky(graph, scaled_linear(graph, layer, w))
    return w


def modulated(graph: Graph, m: stylegan.Modulated, x: Source, w: Source) -> Source:
    """A convolution between two scales that the style gives."""
    style = scaled_linear(graph, m.affine, w, m.scale)
    x = graph.add("modulate", [x, style])
    padding = m.padding
    if m.up:
        x, padding = graph.add("enlarge", [x], padding=0), 0
    x = convolved(graph, x, m.weight, None, padding=(padding, padding))
    if m.demodulate:
        weight = graph.operations[x]["weight"]
        x = graph.add("demodulate", [x, style], weight=weight, epsilon=1e-8)
    return x


def shifted(graph: Graph, x: Source, bias: Tensor) -> Source:
    """x plus a number for each channel."""
    return graph.add("affine", [x], scale=[1.0], shift=graph.tensor(bias))


def style_generator(graph: Graph, m: stylegan.Generator, z: Source) -> Source:
    """A constant, layers whose noise is fixed, and colours of every resolution, added."""
    w = graph.add("truncate", [mapping(graph, m.mapping, z)], mean=graph.tensor(m.w_mean))
    x: Source = graph.add("constant", [], tensor=graph.tensor(m.start[0]))
    picture: Source | None = None
    for i, layer in enumerate(m.layers):
        assert isinstance(layer, stylegan.Layer)
        x = modulated(graph, layer.conv, x, w)
        noise = graph.tensor(double(layer.noise)[0, 0] * float(layer.strength))
        x = leaky(graph, shifted(graph, graph.add("plus", [x], map=noise), layer.bias))
        if i % 2 == 0:
            to_colours = m.colours[i // 2]
            assert isinstance(to_colours, stylegan.Modulated)
            colours = shifted(graph, modulated(graph, to_colours, x, w), m.biases[i // 2])
            if picture is not None:
                picture = graph.add("enlarge", [picture], padding=1)
                colours = graph.add("add", [picture, colours])
            picture = colours
    assert picture is not None
    return picture


def unet_generator(graph: Graph, m: unet.UNetGenerator, x: Source) -> Source:
    """Halvings, doublings beside the maps of the way down, and dropout masks that are inputs."""
    below: list[Source] = []
    for i, down in enumerate(m.down):
        if i:
            x = graph.add("activation", [x], kind="leaky", slope=0.2)
        x = graph.module(down, x)
        below.append(x)
    for i, up in enumerate(m.up):
        x = graph.module(up, graph.add("activation", [x], kind="relu"))
        if m.noisy_sampling and i < len(m.masks):
            x = graph.add("mask", [x, f"dropout.{i}"])
        if m.skips:
            x = graph.add("concat", [below[-2 - i], x])
    x = graph.module(m.out, graph.add("activation", [x], kind="relu"))
    return graph.add("activation", [x], kind="tanh")


def residual_block(graph: Graph, m: cycle.ResidualBlock, x: Source) -> Source:
    """A residual beside its input."""
    return graph.add("add", [x, graph.module(m.body, x)])


def residual_generator(graph: Graph, m: cycle.ResidualGenerator, x: Source) -> Source:
    """The layers, and tanh."""
    return graph.add("activation", [graph.module(m.body, x)], kind="tanh")


EMITTERS: dict[type, Emit] = {
    nn.Linear: linear,
    nn.Conv2d: conv,
    nn.ConvTranspose2d: transposed,
    nn.BatchNorm1d: batch_norm,
    nn.BatchNorm2d: batch_norm,
    nn.InstanceNorm2d: instance_norm,
    nn.Sequential: sequence,
    nn.Identity: lambda graph, m, x: x,
    nn.ReLU: activation("relu"),
    nn.LeakyReLU: activation("leaky", "negative_slope"),
    nn.Tanh: activation("tanh"),
    nn.Sigmoid: activation("sigmoid"),
    nn.Upsample: resized,
    nn.ReflectionPad2d: reflected,
    layers.Maxout: lambda graph, m, x: graph.add("maxout", [x], pieces=m.pieces),
    layers.Sines: sines,
    layers.Join: join,
    mlp.Perceptron: perceptron,
    mlp.Generator: mlp_generator,
    dcgan.Generator: dcgan_generator,
    infogan.Generator: infogan_generator,
    resnet.Block: block,
    resnet.Generator: resnet_generator,
    stylegan.Generator: style_generator,
    unet.UNetGenerator: unet_generator,
    cycle.ResidualBlock: residual_block,
    cycle.ResidualGenerator: residual_generator,
}


def of_generator(generator: nn.Module, translates: bool = False) -> Graph:
    """The graph of a generator in evaluation mode.

    Raises:
        UnknownModuleError: a module that EMITTERS does not have.
    """
    graph = Graph()
    with torch.no_grad():
        graph.module(generator, "source" if translates else "z")
    return graph
