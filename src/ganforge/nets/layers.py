"""What the networks share: the player's base class, activations, initialisation, dropout."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ganforge.errors import check, choice
from ganforge.nets import spectral

Masks = Mapping[str, Tensor]  # layer name -> (B, ...) factors, 0 or 1 / (1 - p)

NORMS = ("none", "batch", "batch-after-first")
SPECTRAL = "spectral"  # of a discriminator only
LABELS = ("concat", "projection")


ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "leaky": lambda: nn.LeakyReLU(0.2),
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}


class Player(nn.Module):
    """A network with no randomness inside: what it drops is passed in.

    forward(x, label, masks): x (B, ...), label (B,) int64 or None, masks the dropout factors by
    layer name or None for none. In eval mode, with masks None, it is a plain function.
    """

    def mask_shapes(self) -> dict[str, tuple[float, tuple[int, ...]]]:
        """Dropout layers: name -> (drop probability, shape for one example)."""
        return {}

    def normalised(self) -> list[spectral.Triple]:
        """(W, u, v) of every weight that is divided by its largest singular value."""
        return [m.triple() for m in self.modules() if isinstance(m, spectral.Spectral)]

    def start(self, mean: Callable[[], Tensor]) -> None:
        """Take from the data what the first weights need; nothing, unless a network says so.

        mean() -> the mean example, float64, in model values and of the data's shape.
        """

    def forward(self, x: Tensor, label: Tensor | None = None, masks: Masks | None = None) -> Tensor:
        raise NotImplementedError


class Headed(Player):
    """A discriminator in two parts: features of the examples, and their logits by `out`.

    alone: no example's features depend on another example of the batch, so that real and fake ones
    may share a pass. With batch norm they do.
    """

    alone = False
    out: nn.Module

    def features(self, x: Tensor, label: Tensor | None, masks: Masks | None) -> Tensor:
        """x (B, ...) -> (B, F)."""
        raise NotImplementedError

    def forward(self, x: Tensor, label: Tensor | None = None, masks: Masks | None = None) -> Tensor:
        logits: Tensor = self.out(self.features(x, label, masks), label)
        return logits


class Plain(Player):
    """A user's own module as a player: called with x, and with the label in a conditional game."""

    def __init__(self, module: nn.Module, conditional: bool):
        super().__init__()
        self.module = module
        self.conditional = conditional

    def forward(self, x: Tensor, label: Tensor | None = None, masks: Masks | None = None) -> Tensor:
        out: Tensor = self.module(x, label) if self.conditional else self.module(x)
        return out


def activation(name: str) -> nn.Module:
    """A fresh activation by name: leaky (slope 0.2), relu, tanh, sigmoid."""
    choice("activation", name, list(ACTIVATIONS))
    return ACTIVATIONS[name]()


class Maxout(nn.Module):
    """The largest of every `pieces` neighbours: (B, F pieces) -> (B, F). Goodfellow et al. 2013."""

    def __init__(self, pieces: int):
        super().__init__()
        self.pieces = pieces

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:-1], -1, self.pieces).max(-1).values


class Sines(nn.Module):
    """x and sin(w x + b) beside it: (B, F) -> (B, F + count). Tancik et al. 2020; w, b are trained.

    Each w starts as a normal vector times frequency 2^-u, u ~ U(0, 5): five octaves, the shortest
    wave about 2 pi / frequency; each b ~ U(-pi, pi).
    """

    def __init__(self, inputs: int, count: int, frequency: float):
        super().__init__()
        self.linear = nn.Linear(inputs, count)
        with torch.no_grad():
            self.linear.weight.normal_().mul_(frequency * torch.exp2(-5 * torch.rand(count, 1)))
            self.linear.bias.uniform_(-math.pi, math.pi)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, torch.sin(self.linear(x))], dim=-1)


@dataclass(frozen=True)
class Init:
    """How fresh weights are drawn.

    law: "default" (torch's own), "normal" N(0, scale^2) or "uniform" U(-scale, scale), for the
    weights of linear, convolution and embedding layers; scales of norm layers are N(1, scale^2).
    biases: draw biases from the same law; otherwise they are 0.
    """

    law: str = "default"
    scale: float = 0.02
    biases: bool = False

    def __post_init__(self) -> None:
        choice("law", self.law, ("default", "normal", "uniform"))
        check(0 < self.scale < math.inf, "scale", self.scale, "more than 0")

    def apply(self, module: nn.Module) -> None:
        """Draw every parameter of `module` anew, in place."""
        if self.law != "default":
            self._draw_all(module)
        for layer in module.modules():
            if isinstance(layer, spectral.Spectral):
                layer.begin()

    def _draw_all(self, module: nn.Module) -> None:
        waves = {
            m.linear for m in module.modules() if isinstance(m, Sines)
        }  # of a law of their own
        for layer in module.modules():
            if layer in waves:
                continue
            weight = getattr(layer, "weight", None)
            bias = getattr(layer, "bias", None)
            if isinstance(weight, nn.Parameter):
                if isinstance(layer, nn.modules.batchnorm._BatchNorm):
                    nn.init.normal_(weight, 1.0, self.scale)
                else:
                    self._draw(weight)
            if isinstance(bias, nn.Parameter):
                if self.biases and not isinstance(layer, nn.modules.batchnorm._BatchNorm):
                    self._draw(bias)
                else:
                    nn.init.zeros_(bias)

    def _draw(self, parameter: Tensor) -> None:
        if self.law == "normal":
            nn.init.normal_(parameter, 0.0, self.scale)
        else:
            nn.init.uniform_(parameter, -self.scale, self.scale)


class Join(nn.Module):
    """A label's embedding, joined to a vector: (B, F), (B,) -> (B, F + embedding)."""

    def __init__(self, classes: int, embedding: int):
        super().__init__()
        self.embedding = nn.Embedding(classes, embedding)

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        return torch.cat([x, self.embedding(label).to(x.dtype)], dim=1)


class Projection(nn.Module):
    """Miyato & Koyama 2018: a linear logit plus <embedding of the label, features>; (B, F) -> (B,).

    With classes = 0 it is the linear logit alone. Several labels of each example, (B, L), give as
    many logits, (B, L). norm: "spectral" normalises both weights.
    """

    def __init__(self, features: int, classes: int = 0, norm: str = "none"):
        super().__init__()
        linear, embedding = nn.Linear, nn.Embedding
        if norm == SPECTRAL:
            linear, embedding = spectral.Linear, spectral.Embedding
        self.linear = linear(features, 1)
        self.embedding = embedding(classes, features) if classes else None
        if self.embedding is not None:
            # as the linear layer's own weights, so that neither term drowns the other at the start
            nn.init.uniform_(self.embedding.weight, -(features**-0.5), features**-0.5)

    def forward(self, features: Tensor, label: Tensor | None = None) -> Tensor:
        logit: Tensor = self.linear(features)
        if self.embedding is None:
            return logit.squeeze(1)
        label = required(label)
        if label.dim() == 1:
            own: Tensor = self.embedding(label).to(features.dtype)
            return logit.squeeze(1) + (own * features).sum(1)
        if isinstance(self.embedding, nn.Embedding):  # a tenth of the time of what follows
            table = self.embedding.weight
            if isinstance(self.embedding, spectral.Embedding):
                table = self.embedding.normal()
            every: Tensor = features @ table.T.to(features.dtype)
            logit = logit + every.gather(1, label)
            return logit
        rows: Tensor = self.embedding(label).to(features.dtype)
        return logit + (rows * features.unsqueeze(1)).sum(-1)


def required(label: Tensor | None) -> Tensor:
    """The label of a conditional player, which must be there."""
    if label is None:
        raise ValueError("a conditional player was called without labels")
    return label


def conv_like(values: Tensor, x: Tensor) -> Tensor:
    """(C,) values shaped to multiply the channels of x (B, C, ...)."""
    return values.view(1, -1, *[1] * (x.dim() - 2))
