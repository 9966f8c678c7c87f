"""Adaptive discriminator augmentation (ADA): its strength follows D's overfitting.

Karras et al. 2020. Every operation changes a picture with probability p times a factor; p
starts at 0 and rises while D says "real" of too many training pictures.

    r = E sign D(real),  p <- max(0, p + sign(r - target) images / speed)  every `interval` steps

The geometric operations are one affine map, carried out once: doubled by the filter of the symlet
of order 6, read bilinearly, halved by the same filter. Outside lies the mirrored picture.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from ganforge.augment.base import Augmentation
from ganforge.errors import check
from ganforge.nets.base import Inputs, RandomInput

# Scaling filter of the symlet of order 6: sum sqrt 2, orthogonal to its shifts by even numbers.
SYMLET = (
    0.015404109327027373, 0.0034907120842174702, -0.11799011114819057, -0.048311742585633,
    0.4910559419267466, 0.787641141030194, 0.3379294217276218, -0.07263752278646252,
    -0.021060292512300564, 0.04472490177066578, 0.0017677118642428036, -0.007800708325034148,
)  # fmt: skip
CENTRE = (len(SYMLET) - 1) / 2
REACH = 3  # pixels that the filter reaches beyond the border

GATES = (
    "flip", "quarter", "shift", "scale", "before", "stretch", "after", "move",
    "brightness", "contrast", "luma", "hue", "saturation",
)  # fmt: skip
UNIFORMS = ("quarter", "shift_x", "shift_y", "before", "after", "hue")
NORMALS = ("scale", "stretch", "move_x", "move_y", "brightness", "contrast", "saturation")


@dataclass(frozen=True)
class Adaptive(Augmentation):
    """The operations `bgc` of the paper: pixel blits, geometry, colour.

    Args:
        target: of r, in (-1, 1).
        interval: steps between two changes of p.
        speed: thousands of images in which p changes by 1; 500 as published, 100 to fine-tune.
        geometry, colour: factors of the probabilities of these operations, in [0, 1].
        start: the first p, 0 or more.
    """

    kind: ClassVar[str] = "adaptive"
    controlled: ClassVar[bool] = True
    target: float = 0.6
    interval: int = 4
    speed: float = 500.0
    geometry: float = 1.0
    colour: float = 1.0
    start: float = 0.0

    def __post_init__(self) -> None:
        check(-1 < self.target < 1, "target", self.target, "in (-1, 1)")
        check(self.interval >= 1, "interval", self.interval, "at least 1 step")
        check(self.speed > 0, "speed", self.speed, "more than 0 thousand images")
        for key in ("geometry", "colour"):
            check(0 <= getattr(self, key) <= 1, key, getattr(self, key), "a factor in [0, 1]")
        check(self.start >= 0, "start", self.start, "0 or more")

    def random_inputs(self) -> dict[str, RandomInput]:
        """Uniform numbers for the gates, and the numbers of the operations."""
        return {
            "gates": RandomInput("unit", (len(GATES),)),
            "uniforms": RandomInput("unit", (len(UNIFORMS),)),
            "normals": RandomInput("normal", (len(NORMALS),)),
        }

    def initial(self) -> dict[str, Tensor]:
        """The state of the controller: p, and the sum of E sign D(real) since its last change."""
        return {"p": torch.tensor(float(self.start)), "signs": torch.tensor(0.0)}

    def adjusted(
        self, state: Mapping[str, Tensor], log: Mapping[str, Tensor], step: int, images: int
    ) -> dict[str, Tensor]:
        """p rises or falls every `interval` steps."""
        signs = state["signs"] + log["sign_real"]
        if (step + 1) % self.interval:
            return {"p": state["p"], "signs": signs}
        rise = torch.sign(signs / self.interval - self.target)
        change = rise * (images * self.interval / (1000 * self.speed))
        return {"p": (state["p"] + change).clamp_min(0), "signs": torch.zeros_like(signs)}

    def __call__(self, x: Tensor, numbers: Inputs) -> Tensor:
        """Pictures (B, C, H, W); numbers["strength"] is p, (B,)."""
        draws = Draws(numbers, self.geometry, self.colour, x.shape)
        x = resampled(x, draws.geometry())
        return recoloured(x, draws.colours(x.shape[1]))


class Draws:
    """The random numbers of one pass, by the name of their operation."""

    def __init__(self, numbers: Inputs, geometry: float, colour: float, shape: torch.Size):
        self.shape = shape
        p = numbers["strength"]
        self.uniform = dict(zip(UNIFORMS, numbers["uniforms"].unbind(1), strict=True))
        self.normal = dict(zip(NORMALS, numbers["normals"].unbind(1), strict=True))
        # two rotations: neither, with probability 1 - p of both
        turned = 1 - (1 - (p * geometry).clamp(max=1)).sqrt()
        factor = {"before": turned, "after": turned}
        factor |= dict.fromkeys(("flip", "quarter", "shift"), p)
        factor |= dict.fromkeys(("scale", "stretch", "move"), p * geometry)
        gates = dict(zip(GATES, numbers["gates"].unbind(1), strict=True))
        self.on = {name: gate < factor.get(name, p * colour) for name, gate in gates.items()}
        self.gates = gates
        self.p = p

    def gated(self, name: str, value: Tensor, otherwise: float) -> Tensor:
        """`value` in the pictures that the operation changes, else a value that changes nothing."""
        return torch.where(self.on[name], value, torch.full_like(value, otherwise))

    def geometry(self) -> Tensor:
        """(B, 2, 3): from pixels of the new picture to pixels of the old one, about the centre."""
        height, width = self.shape[2:]
        u, n = self.uniform, self.normal
        # a flip or a quarter turn is itself one of 2 or 4 equally likely ones, none among them
        flip = torch.where(self.gates["flip"] < self.p / 2, -1.0, 1.0)
        quarter = self.gated("quarter", torch.floor(u["quarter"] * 4), 0.0) * (math.pi / 2)
        shift = [
            self.gated("shift", torch.round((2 * u[f"shift_{axis}"] - 1) * 0.125 * side), 0.0)
            for axis, side in (("x", width), ("y", height))
        ]
        scale = self.gated("scale", torch.exp2(0.2 * n["scale"]), 1.0)
        before = self.gated("before", (2 * u["before"] - 1) * math.pi, 0.0)
        stretch = self.gated("stretch", torch.exp2(0.2 * n["stretch"]), 1.0)
        after = self.gated("after", (2 * u["after"] - 1) * math.pi, 0.0)
        move = [
            self.gated("move", n[f"move_{axis}"] * 0.125 * side, 0.0)
            for axis, side in (("x", width), ("y", height))
        ]
        one, zero = torch.ones_like(flip), torch.zeros_like(flip)
        inverse = affine(1 / flip, zero, zero, zero, one, zero)
        for part in (
            rotation(-quarter),
            affine(one, zero, -shift[0], zero, one, -shift[1]),
            affine(1 / scale, zero, zero, zero, 1 / scale, zero),
            rotation(-before),
            affine(1 / stretch, zero, zero, zero, stretch, zero),
            rotation(-after),
            affine(one, zero, -move[0], zero, one, -move[1]),
        ):
            inverse = inverse @ part
        return inverse[:, :2]

    def colours(self, channels: int) -> Tensor:
        """(B, 3, 4) or, for grey pictures, (B, 1, 2): the affine map of a pixel's colour."""
        u, n = self.uniform, self.normal
        brightness = self.gated("brightness", 0.2 * n["brightness"], 0.0).view(-1, 1, 1)
        contrast = self.gated("contrast", torch.exp2(0.5 * n["contrast"]), 1.0).view(-1, 1, 1)
        luma = torch.where(self.gates["luma"] < self.p / 2, -1.0, 1.0).view(-1, 1, 1)
        if channels != 3:
            gain, offset = contrast * luma, contrast * brightness * luma
            return torch.cat([gain, offset], dim=2)
        eye = torch.eye(3, device=brightness.device)
        grey = torch.full((3, 3), 1 / 3, device=eye.device)  # onto the axis of grey
        hue = self.gated("hue", (2 * u["hue"] - 1) * math.pi, 0.0).view(-1, 1, 1)
        saturation = self.gated("saturation", torch.exp2(n["saturation"]), 1.0).view(-1, 1, 1)
        across = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]], device=eye.device)
        turn = grey + hue.cos() * (eye - grey) + hue.sin() * across / math.sqrt(3)
        linear = contrast * eye
        offset = contrast * brightness * torch.ones(3, 1, device=eye.device)
        mirror = eye - (1 - luma) * grey  # a mirror image in the plane across the axis of grey
        chosen = (grey + saturation * (eye - grey)) @ turn @ mirror
        return torch.cat([chosen @ linear, chosen @ offset], dim=2)


def affine(*entries: Tensor) -> Tensor:
    """(B, 3, 3) matrices from the six entries of their first two rows, (B,) each."""
    one, zero = torch.ones_like(entries[0]), torch.zeros_like(entries[0])
    return torch.stack([*entries, zero, zero, one], dim=1).view(-1, 3, 3)


def rotation(angle: Tensor) -> Tensor:
    """(B, 3, 3): by an angle (B,) about the centre."""
    c, s, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    return affine(c, -s, zero, s, c, zero)


def recoloured(x: Tensor, matrix: Tensor) -> Tensor:
    """x (B, C, H, W), matrix (B, C, C + 1), or (B, 1, 2) for every channel alone."""
    linear, offset = matrix[:, :, :-1], matrix[:, :, -1:].unsqueeze(3)
    if linear.shape[1] == 1:
        return x * linear.unsqueeze(3) + offset
    return (linear @ x.flatten(2)).view_as(x) + offset


def resampled(x: Tensor, inverse: Tensor) -> Tensor:
    """x (B, C, H, W) read at inverse (B, 2, 3) of each pixel's place, about the centre."""
    height, width = x.shape[2:]
    taps = torch.tensor(SYMLET, dtype=x.dtype, device=x.device) / math.sqrt(2)
    kernel = torch.outer(taps, taps).expand(x.shape[1], 1, -1, -1)
    around = [min(2 * REACH, side - 1) for side in (width, width, height, height)]
    fine = F.conv_transpose2d(
        F.pad(x, around, mode="reflect"), 4 * kernel, stride=2, groups=x.shape[1]
    )

    # pixel n of the doubled picture lies at (n - CENTRE) / 2 in pixels of the padded one
    columns, rows = (
        (torch.arange(2 * side + len(SYMLET) - 2, dtype=x.dtype, device=x.device) - CENTRE) / 2
        - (side - 1) / 2
        for side in (width, height)
    )
    down, across = torch.meshgrid(rows, columns, indexing="ij")
    new = torch.stack([across, down, torch.ones_like(across)]).flatten(1)
    old = inverse @ new
    read = [
        2 * (mirrored(old[:, axis] + (side - 1) / 2, side) + margin) + CENTRE
        for axis, (side, margin) in enumerate(((width, around[0]), (height, around[2])))
    ]
    scaled = [2 * n / (size - 1) - 1 for n, size in zip(read, fine.shape[:1:-1], strict=True)]
    grid = torch.stack(scaled, dim=-1).view(len(x), len(rows), len(columns), 2)
    changed = F.conv2d(read_at(fine, grid), kernel, stride=2, groups=x.shape[1])

    # what no operation changes stays as it is, to the last bit
    same = (inverse == torch.eye(2, 3, dtype=x.dtype, device=x.device)).flatten(1).all(1)
    return torch.where(same.view(-1, 1, 1, 1), x, changed)


def mirrored(place: Tensor, side: int) -> Tensor:
    """Places outside 0 .. side - 1 at their mirror image, but for what the padding has anyway."""
    period = max(1, 2 * (side - 1))
    folded = place.abs() % period
    near = (place >= -REACH) & (place <= side - 1 + REACH)
    return torch.where(near, place, torch.minimum(folded, period - folded))


class Read(torch.autograd.Function):
    """Bilinear reading of x (B, C, h, w) at a constant grid, differentiable in x as often as asked.

    torch's reading has no second derivative; in x it is linear, so its derivative is its adjoint,
    and that one's derivative is the reading again.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, grid: Tensor) -> Tensor:
        ctx.save_for_backward(grid)
        ctx.shape = x.shape
        return F.grid_sample(x, grid, align_corners=True)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (grid,) = ctx.saved_tensors
        out: Tensor = Spread.apply(gradient, grid, ctx.shape)  # type: ignore[no-untyped-call]
        return out, None


def read_at(x: Tensor, grid: Tensor) -> Tensor:
    """x (B, C, h, w) at places (B, H, W, 2) in [-1, 1] -> (B, C, H, W)."""
    out: Tensor = Read.apply(x, grid)  # type: ignore[no-untyped-call]
    return out


class Spread(torch.autograd.Function):
    """The adjoint of `Read`."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, grid: Tensor, shape: torch.Size) -> Tensor:
        ctx.save_for_backward(grid)
        empty = values.new_zeros(1).expand(shape)
        out: Tensor = torch.ops.aten.grid_sampler_2d_backward(
            values.contiguous(), empty, grid, 0, 0, True, (True, False)
        )[0]
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (grid,) = ctx.saved_tensors
        return read_at(gradient, grid), None, None
