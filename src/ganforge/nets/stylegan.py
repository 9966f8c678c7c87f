"""A style-based generator and its discriminator, for square pictures of 8 to 128 pixels.

Karras et al. 2020 ("Analyzing and improving the image quality of StyleGAN"), in the sizes of their
training with limited data. A mapping turns z into a style w; each convolution scales its input
channels by an affine function of w (modulation) and its output channels to unit variance
(demodulation). Scales before and after one ordinary convolution are the same function as a weight
for each example. Every weight is N(0, 1) and is scaled where it is used, so that the optimiser
moves all layers alike. Pictures of all resolutions are enlarged and added; there is no tanh.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn import functional as F

from ganforge.data.spec import DataSpec
from ganforge.errors import UsageError, check
from ganforge.nets.base import Inputs, Network, RandomInput, TwoPartDiscriminator
from ganforge.nets.layers import required

MAPPING_RATE = 0.01  # of the weights of a mapping, beside those of the other layers
AVERAGED = 0.005  # share of a batch in the average style
SIDES = (8, 16, 32, 64, 128)


def leaky(x: Tensor) -> Tensor:
    """sqrt(2) max(x, 0.2 x)."""
    return F.leaky_relu(x, 0.2) * math.sqrt(2)


def unit(x: Tensor) -> Tensor:
    """x (B, F) with a mean square of 1 over the features."""
    return x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-8)


def taps(x: Tensor) -> Tensor:
    """The filter [1, 3, 3, 1] x [1, 3, 3, 1] / 64 for each channel of x, (C, 1, 4, 4)."""
    place = torch.arange(4, device=x.device, dtype=x.dtype)
    line = (1 + place * (3 - place)) / 8
    return (line[:, None] * line).expand(x.shape[1], 1, 4, 4)


def blur(x: Tensor, padding: int, stride: int = 1) -> Tensor:
    """x (B, C, h, w), filtered, and halved with a stride of 2."""
    return F.conv2d(x, taps(x), padding=padding, stride=stride, groups=x.shape[1])


def enlarge(x: Tensor, padding: int = 1) -> Tensor:
    """x (B, C, h, w) -> (B, C, 2h, 2w), filtered; with padding 0 a pixel more on every side."""
    return F.conv_transpose2d(x, 4 * taps(x), padding=padding, stride=2, groups=x.shape[1])


class Linear(nn.Module):
    """x (..., inputs) -> (..., outputs), with weights N(0, 1) scaled by rate / sqrt(inputs).

    Args:
        bias: at the start.
        rate: how fast the layer learns beside others; the weights start as N(0, 1) / rate.
    """

    def __init__(self, inputs: int, outputs: int, bias: float = 0.0, rate: float = 1.0):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / rate)
        self.bias = nn.Parameter(torch.full((outputs,), bias / rate))
        self.scale, self.rate = rate / math.sqrt(inputs), rate

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.scale, self.bias * self.rate)


class Conv(nn.Module):
    """A convolution with weights N(0, 1) scaled by 1 / sqrt(fan_in), bias and leaky ReLU.

    Args:
        down: the sides are halved, through the filter.
        bare: neither bias nor activation.
        gain: a factor of the output.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        down: bool = False,
        bare: bool = False,
        gain: float = 1.0,
    ):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = None if bare else nn.Parameter(torch.zeros(outputs))
        self.scale, self.gain = 1 / math.sqrt(inputs * kernel**2), gain
        self.down, self.padding = down, kernel // 2

    def forward(self, x: Tensor) -> Tensor:
        padding, stride = self.padding, 1
        if self.down:
            # the filter is 2 pixels wide on either side of a strided 3x3 convolution
            stride, padding = (2, 0) if self.padding else (1, 0)
            x = blur(x, 2) if self.padding else blur(x, 1, 2)
        x = F.conv2d(x, self.weight * self.scale, self.bias, stride, padding)
        return (x if self.bias is None else leaky(x)) * self.gain


class Modulated(nn.Module):
    """A convolution of x (B, I, h, w) whose weights an example's style w (B, W) scales.

        W'_oi = s_i W_oi,   s = affine(w)
        demodulated: W'_oi / sqrt(sum over i and pixels of W'_oi^2 + 1e-8)
        else:        W'_oi / sqrt(fan_in)

    Args:
        up: the sides are doubled before, through the filter.
        demodulate: False for the convolution to colours.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        styles: int,
        kernel: int,
        up: bool = False,
        demodulate: bool = True,
    ):
        super().__init__()
        self.affine = Linear(styles, inputs, bias=1.0)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.up, self.demodulate, self.padding = up, demodulate, kernel // 2
        self.scale = 1.0 if demodulate else 1 / math.sqrt(inputs * kernel**2)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        style = self.affine(w) * self.scale
        x = x * style[:, :, None, None]
        if self.up:  # the filter's last pixels beyond the border enter the convolution
            x = F.conv2d(enlarge(x, padding=0), self.weight)
        else:
            x = F.conv2d(x, self.weight, padding=self.padding)
        if self.demodulate:
            squares = style.square() @ self.weight.square().sum((2, 3)).T
            x = x * torch.rsqrt(squares + 1e-8)[:, :, None, None]
        return x


class Layer(nn.Module):
    """Modulated 3x3 convolution, noise, bias, leaky ReLU.

    noise: of a generator in which none is drawn, the same in every picture.
    """

    noise: Tensor

    def __init__(self, inputs: int, outputs: int, styles: int, side: int, up: bool):
        super().__init__()
        self.conv = Modulated(inputs, outputs, styles, 3, up)
        self.strength = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.register_buffer("noise", torch.randn(1, 1, side, side))

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None) -> Tensor:
        noise = self.noise if noise is None else noise
        x = self.conv(x, w) + self.strength * noise.to(x.dtype)
        return leaky(x + self.bias[:, None, None])


class Mapping(nn.Module):
    """z (B, Z), label (B,) -> w (B, widths): both of unit mean square, joined, through layers."""

    def __init__(self, noise: int, classes: int, width: int, layers: int):
        super().__init__()
        self.classes = classes
        self.embed = Linear(classes, width) if classes else None
        first = noise + (width if classes else 0)
        sizes = (first, *[width] * layers)
        self.layers = nn.Sequential(*(Linear(a, b, rate=MAPPING_RATE) for a, b in pairwise(sizes)))

    def forward(self, z: Tensor | None, label: Tensor | None) -> Tensor:
        parts = [] if z is None else [unit(z)]
        if self.embed is not None:
            shown = required(label)  # or shares of all classes, (B, K)
            if not shown.is_floating_point():
                shown = F.one_hot(shown, self.classes)
            parts.append(unit(self.embed(shown.to(self.embed.weight.dtype))))
        w = torch.cat(parts, 1)
        for layer in self.layers:
            w = leaky(layer(w))
        return w


class Generator(Network):
    """z (B, Z), label (B,) -> pictures (B, C, side, side), not bounded.

    truncation: of the style; the mapping normalises z, so that a smaller z changes nothing.
    w_mean: the average style, which moves in every training pass.
    """

    truncation = "style"
    w_mean: Tensor

    def __init__(self, spec: DataSpec, noise: int, config: StyleGAN2):
        super().__init__()
        channels, side = spec.shape[:2]
        sides = [4 * 2**i for i in range(int(math.log2(side)) - 1)]
        maps, styles = [config.channels(s) for s in sides], config.styles
        self.noise, self.mixing = noise, config.mixing
        self.mapping = Mapping(noise, spec.classes, styles, config.mapping)
        self.register_buffer("w_mean", torch.zeros(styles))
        self.start = nn.Parameter(torch.randn(1, maps[0], 4, 4))
        self.layer_sides = [4, *(s for s in sides[1:] for _ in range(2))]
        layers = [Layer(maps[0], maps[0], styles, 4, up=False)]
        for (a, b), s in zip(pairwise(maps), sides[1:], strict=True):
            layers += [Layer(a, b, styles, s, up=True), Layer(b, b, styles, s, up=False)]
        self.layers = nn.ModuleList(layers)
        self.colours = nn.ModuleList(
            Modulated(m, channels, styles, 1, demodulate=False) for m in maps
        )
        self.biases = nn.ParameterList(torch.zeros(channels) for _ in maps)
        self.count = len(layers) + 1  # of styles: one for each layer, and for the last colours

    def random_inputs(self) -> dict[str, RandomInput]:
        wanted = {
            f"noise{i}": RandomInput("normal", (1, side, side))
            for i, side in enumerate(self.layer_sides)
        }
        if self.mixing:
            wanted["other_z"] = RandomInput("normal", (self.noise,))
            wanted["mixing"] = RandomInput("unit", (2,))
        return wanted

    def styles(self, z: Tensor, label: Tensor | None, inputs: Inputs | None) -> Tensor:
        """The style of every layer, (B, layers, W).

        With probability `mixing` the layers from a uniform cut on have the style of another z. Each
        example has a coin and a cut, so that a part of a batch is treated as in the whole.
        """
        w: Tensor = self.mapping(z, label)
        if self.training:
            self.follow(w)
        ws = w.unsqueeze(1).repeat(1, self.count, 1)
        if not self.mixing or inputs is None or "mixing" not in inputs:
            return ws
        coin, place = inputs["mixing"].unbind(1)
        cut = 1 + (place * (self.count - 1)).floor()
        layer = torch.arange(self.count, device=z.device)
        mixed = (coin < self.mixing)[:, None] & (layer >= cut[:, None])
        other: Tensor = self.mapping(inputs["other_z"].to(z.dtype), label)
        return torch.where(mixed.unsqueeze(2), other.unsqueeze(1), ws)

    @torch.no_grad()
    def follow(self, w: Tensor) -> None:
        """Move the average style towards that of a batch, of all processes."""
        mean = w.mean(0).to(self.w_mean.dtype)
        if dist.is_initialized():
            dist.all_reduce(mean)
            mean /= dist.get_world_size()
        self.w_mean.lerp_(mean, AVERAGED)

    def truncated(self, ws: Tensor, psi: float | Tensor) -> Tensor:
        """Styles nearer to the average: w_mean + psi (w - w_mean)."""
        return self.w_mean + psi * (ws - self.w_mean)

    def pictures(self, ws: Tensor, inputs: Inputs | None) -> Tensor:
        """Styles (B, layers, W) -> pictures; the noise of each layer is an input, or fixed."""
        x = self.start.expand(ws.shape[0], -1, -1, -1)  # len would fix it in an exported graph
        picture: Tensor | None = None
        for i, layer in enumerate(self.layers):
            x = layer(x, ws[:, i], (inputs or {}).get(f"noise{i}"))
            if i % 2 == 0:  # the last layer of its resolution
                level = i // 2
                colours = self.colours[level](x, ws[:, i + 1])
                colours = colours + self.biases[level][:, None, None]
                picture = colours if picture is None else enlarge(picture) + colours
        assert picture is not None
        return picture

    def forward(
        self,
        x: Tensor,
        label: Tensor | None = None,
        source: Tensor | None = None,
        inputs: Inputs | None = None,
    ) -> Tensor:
        ws = self.styles(x, label, inputs)
        if inputs is not None and "truncation" in inputs:
            ws = self.truncated(ws, inputs["truncation"].unsqueeze(2))
        return self.pictures(ws, inputs)


class DownBlock(nn.Module):
    """Two 3x3 convolutions beside a 1x1 one, all halved: (B, I, h, w) -> (B, O, h / 2, w / 2)."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        half = math.sqrt(0.5)
        self.main = nn.Sequential(
            Conv(inputs, inputs, 3), Conv(inputs, outputs, 3, down=True, gain=half)
        )
        self.skip = Conv(inputs, outputs, 1, down=True, bare=True, gain=half)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.skip(x) + self.main(x)
        return out


def spread(x: Tensor, size: int) -> Tensor:
    """One channel beside x (B, C, h, w): how much the examples of a group differ.

    The mean over channels and pixels of the standard deviation over `size` neighbours. Neighbours,
    so that a part of a batch has the groups of the whole; the published code takes i, i + B / size,
    ..., which has the same law. A rest of the batch is a smaller group.
    """
    whole = len(x) - len(x) % size
    deviations = []
    for part, count in ((x[:whole], size), (x[whole:], len(x) - whole)):
        if count and len(part):
            groups = part.view(-1, count, *x.shape[1:])
            variance = (groups - groups.mean(1, keepdim=True)).square().mean(1)
            deviation = (variance + 1e-8).sqrt().mean((1, 2, 3))
            deviations.append(deviation.repeat_interleave(count))
    channel = torch.cat(deviations).view(-1, 1, 1, 1).expand(-1, 1, *x.shape[2:])
    return torch.cat([x, channel], 1)


class Discriminator(TwoPartDiscriminator):
    """Pictures (B, C, side, side), label (B,) -> logits (B,). Examples of a group are coupled."""

    def __init__(self, spec: DataSpec, config: StyleGAN2):
        super().__init__()
        channels, side = spec.shape[:2]
        sides = [side >> i for i in range(int(math.log2(side)) - 1)]
        maps = [config.channels(s) for s in sides]
        self.group = config.group
        blocks = [DownBlock(a, b) for a, b in pairwise(maps)]
        self.body = nn.Sequential(Conv(channels, maps[0], 1), *blocks)
        self.last = Conv(maps[-1] + 1, maps[-1], 3)
        self.flat = Linear(16 * maps[-1], maps[-1])
        self.out = Head(maps[-1], spec.classes, config.mapping)

    def features(self, x: Tensor, label: Tensor | None, inputs: Inputs | None) -> Tensor:
        x = self.last(spread(self.body(x), self.group))
        return leaky(self.flat(x.flatten(1)))


class Head(nn.Module):
    """Features (B, F), label (B,) -> logits (B,): <linear(features), mapped label> / sqrt(F)."""

    def __init__(self, features: int, classes: int, layers: int):
        super().__init__()
        self.linear = Linear(features, features if classes else 1)
        self.mapping = Mapping(0, classes, features, layers) if classes else None

    def forward(self, features: Tensor, label: Tensor | None = None) -> Tensor:
        out: Tensor = self.linear(features)
        if self.mapping is None:
            return out.squeeze(1)
        direction: Tensor = self.mapping(None, label)
        return (out * direction).sum(1) / math.sqrt(out.shape[1])


@dataclass(frozen=True)
class StyleGAN2:
    """A pair of style-based players for square pictures of 8 to 128 pixels, a power of 2.

    base, most: a resolution of r pixels has min(base / r, most) channels. styles: numbers in w.
    mapping: its layers. mixing: probability that a picture has the styles of two z. group: examples
    of which D sees the spread; 1 for none.
    """

    kind: ClassVar[str] = "stylegan2"
    base: int = 16384
    most: int = 512
    styles: int = 512
    mapping: int = 2
    mixing: float = 0.9
    group: int = 4

    def __post_init__(self) -> None:
        for key in ("base", "most", "styles", "mapping", "group"):
            check(getattr(self, key) >= 1, key, getattr(self, key), "at least 1")
        check(0 <= self.mixing <= 1, "mixing", self.mixing, "a probability in [0, 1]")

    def channels(self, side: int) -> int:
        """Channels of a resolution."""
        return max(1, min(self.base // side, self.most))

    def __call__(self, spec: DataSpec, noise: int) -> dict[str, nn.Module]:
        if not spec.is_image or spec.shape[1] != spec.shape[2] or spec.shape[1] not in SIDES:
            raise UsageError(
                f"networks.kind = 'stylegan2' makes square pictures of {SIDES} pixels a side, "
                f"these examples are {spec.shape}: give --size, such as --size 32"
            )
        return {
            "generator": Generator(spec, noise, self),
            "discriminator": Discriminator(spec, self),
        }
