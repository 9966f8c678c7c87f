"""Layers that several networks have: activations, sines, labels joined and projected."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from ganforge.nets import spectral

NORMS = ("none", "batch", "batch-after-first")
SPECTRAL = "spectral"  # of a discriminator only
LABELS = ("concat", "projection")
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "leaky": partial(nn.LeakyReLU, 0.2),
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}


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


class Join(nn.Module):
    """A label's embedding, joined to a vector: (B, F), (B,) -> (B, outputs).

    With classes = 0 the vector stays as it is. A label may be shares of all classes, (B, K).
    """

    def __init__(self, inputs: int, classes: int, embedding: int):
        super().__init__()
        self.embedding = nn.Embedding(classes, embedding) if classes else None
        self.outputs = inputs + (embedding if classes else 0)

    def forward(self, x: Tensor, label: Tensor | None) -> Tensor:
        if self.embedding is None:
            return x
        return torch.cat([x, embedded(self.embedding, required(label)).to(x.dtype)], dim=1)


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
            # as the weights of the linear layer, so that neither term drowns the other at the start
            nn.init.uniform_(self.embedding.weight, -(features**-0.5), features**-0.5)

    def forward(self, features: Tensor, label: Tensor | None = None) -> Tensor:
        logit: Tensor = self.linear(features)
        if self.embedding is None:
            return logit.squeeze(1)
        label = required(label)
        if label.dim() > 1 and isinstance(self.embedding, nn.Embedding):  # in a tenth of the time
            table = self.embedding.weight
            if isinstance(self.embedding, spectral.Embedding):
                table = self.embedding.normal()
            every: Tensor = features @ table.T.to(features.dtype)
            return logit + every.gather(1, label)
        rows: Tensor = self.embedding(label).to(features.dtype)
        if label.dim() == 1:
            return logit.squeeze(1) + (rows * features).sum(1)
        return logit + (rows * features.unsqueeze(1)).sum(-1)


def embedded(table: nn.Embedding, label: Tensor) -> Tensor:
    """The rows of labels (B,); or of shares of all classes (B, K), floats, the weighted sums."""
    if label.is_floating_point():
        return label.to(table.weight.dtype) @ table.weight
    rows: Tensor = table(label)
    return rows


def required(label: Tensor | None) -> Tensor:
    """The label of a conditional player, which must be there."""
    if label is None:
        raise ValueError("a conditional player was called without labels")
    return label
