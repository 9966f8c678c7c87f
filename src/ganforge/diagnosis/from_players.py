"""Figures from the two networks: what D says of examples, the size of weights, units that died."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from ganforge.data.spec import DataSpec, encode
from ganforge.diagnosis.from_log import Figures
from ganforge.nets.spectral import Spectral
from ganforge.rng import Stream
from ganforge.types import Array, Doubles

CHUNK = 250  # examples a forward pass
ROUNDS = 12  # of the power iteration
ALIVE = 1e-6  # of a layer's largest deviation, below which a unit says the same to everything
CURVES = (nn.ReLU, nn.LeakyReLU, nn.Tanh, nn.Sigmoid, nn.ELU, nn.GELU, nn.SiLU)


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """`module` in evaluation mode and without gradients; each part as it was afterwards."""
    training = [m for m in module.modules() if m.training]
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for m in training:
            m.training = True


def logits(
    discriminator: nn.Module, values: Array, spec: DataSpec, labels: Array | None
) -> Doubles:
    """D's logit of stored examples (N, ...), float64 (N,); the mean over patches where it has many.

    spec: of the examples. labels: (N,), for a conditional D.
    """
    device = next((p.device for p in discriminator.parameters()), torch.device("cpu"))
    out = []
    with evaluating(discriminator):
        for i in range(0, len(values), CHUNK):
            x = encode(torch.from_numpy(np.array(values[i : i + CHUNK])).to(device), spec)
            label = None if labels is None else torch.from_numpy(labels[i : i + CHUNK]).to(device)
            a = discriminator(x, label, None)
            out.append(a.reshape(len(x), -1).double().mean(1).cpu().numpy())
    return np.concatenate(out)


def of_logits(train: Doubles, held: Doubles, fake: Doubles) -> Figures:
    """memory: P(D rates a training example above a held-out one), 1/2 without memory.

    by_heart: of what parts training examples from fakes, the share that held-out ones lack: 0
    where D rates them alike, 1 where it takes what it has not seen for fake. memory_error: the
    standard error of `memory`, where there is none.
    """
    ordered = np.sort(held)
    below = np.searchsorted(ordered, train, "left") + np.searchsorted(ordered, train, "right")
    n, m = len(train), len(held)
    between = float(train.mean() - fake.mean())
    lost = float(train.mean() - held.mean())
    return {
        "memory": float(below.sum()) / (2 * n * m),
        "memory_error": math.sqrt((n + m + 1) / (12 * n * m)),
        "by_heart": lost / between if between > 0 else math.nan,
        "logit_train": float(train.mean()),
        "logit_held": float(held.mean()),
        "logit_fresh": float(fake.mean()),
    }


def norms(module: nn.Module) -> dict[str, float]:
    """The spectral norm of every weight matrix (convolutions as (out, in * h * w)), by name.

    Of a weight that is normalised, as it is used: its own length means nothing, and grows.
    """
    used = {m.weight: m.normal() for m in module.modules() if isinstance(m, Spectral)}
    weights = {name: p for name, p in module.named_parameters() if p.dim() > 1}
    return {name: spectral(used.get(p, p).detach()) for name, p in weights.items()}


def spectral(weight: Tensor) -> float:
    """The largest singular value, from below, by twelve rounds of power iteration."""
    w = weight.reshape(len(weight), -1).float()
    start = Stream(0, "spectral").normal(0, w.shape[1], 1)
    v = torch.from_numpy(start).float().reshape(-1).to(w.device)
    for _ in range(ROUNDS):
        v = w.T @ (w @ v)
        length = float(v.norm())
        if not math.isfinite(length) or length == 0:
            return length
        v = v / length
    return float((w @ v).norm())


def of_norms(
    now: Mapping[str, Mapping[str, float]], begun: Mapping[str, Mapping[str, float]]
) -> Figures:
    """sigma_d, sigma_g: the largest spectral norm of a player's weights. growth_d, growth_g: the
    largest of how many times that of a matrix is what it was at the start, or 1 where it was less
    (recipes that start near 0 are to grow), where the start is known."""
    out = {}
    for side, values in now.items():
        letter = side[0]
        out[f"sigma_{letter}"] = max(values.values(), default=0.0)
        ratios = [v / max(begun[side][k], 1.0) for k, v in values.items() if k in begun[side]]
        if ratios:
            out[f"growth_{letter}"] = max(ratios)
    return out


def dead(module: nn.Module, forward: Callable[[], object]) -> float:
    """The largest share, over hidden layers, of units that give the same to every input of a pass.

    A channel of a convolution is one unit. nan where the activations are no modules.
    """
    shares: list[float] = []

    def look(layer: nn.Module, inputs: object, out: Tensor) -> None:
        if isinstance(out, Tensor) and out.dim() > 1 and out.shape[1] > 1:
            rows = out.transpose(0, 1).reshape(out.shape[1], -1).float()
            deviation = rows.std(1)
            most = float(deviation.max())
            shares.append(float((deviation <= ALIVE * most).float().mean()) if most > 0 else 1.0)

    handles = [m.register_forward_hook(look) for m in module.modules() if isinstance(m, CURVES)]
    try:
        with evaluating(module):
            forward()
    finally:
        for handle in handles:
            handle.remove()
    return max(shares, default=math.nan)
