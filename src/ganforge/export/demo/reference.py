"""The operations of a graph in torch: what the page computes, from the weights as it stores them.

A page is compared with its generator by these before it is written; the tests compare the
JavaScript with the generator.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ganforge.types import Array

ACTIVATIONS: dict[str, Callable[[Tensor, float], Tensor]] = {
    "relu": lambda x, slope: F.relu(x),
    "leaky": F.leaky_relu,
    "tanh": lambda x, slope: torch.tanh(x),
    "sigmoid": lambda x, slope: torch.sigmoid(x),
    "sin": lambda x, slope: torch.sin(x),
}


class Reference:
    """One pass of a graph.

    Args:
        tensors: as they are stored.
        inputs: z, label and source by name.
    """

    def __init__(self, tensors: Sequence[Array], inputs: Mapping[str, Tensor]):
        self.tensors = [torch.from_numpy(tensor).float() for tensor in tensors]
        self.inputs = inputs
        self.batch = len(next(iter(inputs.values())))

    def run(self, operations: Sequence[Mapping[str, Any]]) -> Tensor:
        """The last value."""
        values: list[Tensor] = []
        for operation in operations:
            settings = {k: v for k, v in operation.items() if k not in ("op", "from")}
            sources = [self.inputs[s] if isinstance(s, str) else values[s]
                       for s in operation["from"]]  # fmt: skip
            values.append(getattr(self, operation["op"])(*sources, **settings))
        return values[-1]

    def optional(self, place: int | None) -> Tensor | None:
        """A tensor, or None."""
        return None if place is None else self.tensors[place]

    def embed(self, label: Tensor, table: int) -> Tensor:
        """Rows of a table."""
        return self.tensors[table][label]

    def concat(self, *values: Tensor) -> Tensor:
        """Features or channels beside each other."""
        return torch.cat(values, 1)

    def linear(self, x: Tensor, weight: int, bias: int | None) -> Tensor:
        """(batch, inputs) -> (batch, outputs)."""
        return F.linear(x, self.tensors[weight].T, self.optional(bias))

    def grid(self, x: Tensor, shape: list[int]) -> Tensor:
        """Flat values as maps."""
        return x.reshape(len(x), *shape)

    def conv(
        self,
        x: Tensor,
        weight: int,
        bias: int | None,
        stride: list[int],
        padding: list[int],
        reflect: int,
    ) -> Tensor:
        """A convolution, after mirrored padding."""
        x = F.pad(x, [reflect] * 4, "reflect") if reflect else x
        return F.conv2d(x, self.tensors[weight], self.optional(bias), stride, padding)

    def transposed(
        self,
        x: Tensor,
        weight: int,
        bias: int | None,
        stride: list[int],
        padding: list[int],
        extra: list[int],
        kernel: list[int],
    ) -> Tensor:
        """A transposed convolution."""
        shaped = self.tensors[weight].T.reshape(x.shape[1], -1, *kernel)
        return F.conv_transpose2d(x, shaped, self.optional(bias), stride, padding, extra)

    def affine(self, x: Tensor, scale: int | list[float], shift: int | list[float]) -> Tensor:
        """x * scale + shift for each channel."""
        pair = (self.tensors[v] if isinstance(v, int) else torch.tensor(v) for v in (scale, shift))
        a, b = (numbers.view(-1, *[1] * (x.dim() - 2)) for numbers in pair)
        return x * a + b

    def activation(self, x: Tensor, kind: str, slope: float = 0.0, gain: float = 1.0) -> Tensor:
        """An activation, times a gain."""
        return ACTIVATIONS[kind](x, slope) * gain

    def maxout(self, x: Tensor, pieces: int) -> Tensor:
        """The largest of every `pieces` neighbours."""
        return x.reshape(len(x), -1, pieces).amax(2)

    def mask(self, x: Tensor, mask: Tensor) -> Tensor:
        """Dropout, by a mask that is an input."""
        return x * mask

    def add(self, x: Tensor, y: Tensor) -> Tensor:
        """A sum."""
        return x + y

    def resize(
        self, x: Tensor, size: tuple[int, int] | None, factor: float | None, mode: str
    ) -> Tensor:
        """Maps at another size, or with sides times a factor."""
        return F.interpolate(x, size, factor, mode)

    def instance(self, x: Tensor, epsilon: float, scale: int | None, shift: int | None) -> Tensor:
        """Instance norm."""
        return F.instance_norm(
            x, weight=self.optional(scale), bias=self.optional(shift), eps=epsilon
        )

    def unit(self, x: Tensor, epsilon: float) -> Tensor:
        """A mean square of 1 over the features."""
        return x * torch.rsqrt(x.square().mean(1, keepdim=True) + epsilon)

    def truncate(self, w: Tensor, mean: int) -> Tensor:
        """Styles with a truncation of 1."""
        return w

    def constant(self, tensor: int) -> Tensor:
        """A tensor for each example."""
        return self.tensors[tensor].expand(self.batch, *self.tensors[tensor].shape)

    def modulate(self, x: Tensor, style: Tensor) -> Tensor:
        """Each channel times its number of the style."""
        return x * style[:, :, None, None]

    def demodulate(self, x: Tensor, style: Tensor, weight: int, epsilon: float) -> Tensor:
        """Outputs of unit variance."""
        squares = style.square() @ self.tensors[weight].square().sum((2, 3)).T
        return x * torch.rsqrt(squares + epsilon)[:, :, None, None]

    def plus(self, x: Tensor, map: int) -> Tensor:
        """A map in every channel."""
        return x + self.tensors[map]

    def enlarge(self, x: Tensor, padding: int) -> Tensor:
        """Sides doubled through a filter."""
        line = torch.tensor([0.25, 0.75, 0.75, 0.25])
        taps = (line[:, None] * line).expand(x.shape[1], 1, 4, 4)
        return F.conv_transpose2d(x, taps, padding=padding, stride=2, groups=x.shape[1])
