"""Signals from the two networks: D's logits of examples, sizes of weights, dead units."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import ExitStack

import numpy as np
import torch
from torch import Tensor, nn

from ganforge.data.spec import DataSpec, encode
from ganforge.diagnosis.log_signals import Figures
from ganforge.nets.base import evaluating
from ganforge.nets.packing import pack_of
from ganforge.nets.spectral import Spectral
from ganforge.rng import Stream
from ganforge.types import Array, Doubles

CHUNK = 250  # examples a forward pass
ROUNDS = 12  # of the power iteration
ALIVE = 1e-6  # of a layer's largest deviation: a unit that deviates less is dead
ACTIVATIONS = (nn.ReLU, nn.LeakyReLU, nn.Tanh, nn.Sigmoid, nn.ELU, nn.GELU, nn.SiLU)


def logits(
    discriminator: nn.Module, values: Array, spec: DataSpec, labels: Array | None
) -> Doubles:
    """D's logits of examples, averaged over patches.

    Args:
        discriminator: D.
        values: (N, H, W, C) or (N, F), as stored.
        spec: of the examples.
        labels: (N,) in 0..K-1 for a conditional D, else None.

    Returns:
        (N,), or (N / m,) of a D that judges m examples together: those of neighbours.
    """
    pack = pack_of(discriminator)
    values, chunk = values[: len(values) // pack * pack], CHUNK // pack * pack
    device = next((p.device for p in discriminator.parameters()), torch.device("cpu"))
    out = []
    with evaluating(discriminator):
        for i in range(0, len(values), chunk):
            rows = slice(i, i + chunk)
            x = encode(torch.from_numpy(np.array(values[rows])).to(device), spec)
            label = None if labels is None else torch.from_numpy(labels[rows]).to(device)
            found = discriminator(x, label, None)
            out.append(found.reshape(len(found), -1).double().mean(1).cpu())
    return np.asarray(torch.cat(out))


def of_logits(train: Doubles, held_out: Doubles, fake: Doubles) -> Figures:
    """How differently D rates training and held-out examples.

    Args:
        train: (N,) logits of training examples.
        held_out: (M,) logits of real examples that did not train D.
        fake: logits of samples.

    Returns:
        memory: P(logit of a training example > logit of a held-out one), 1/2 without memory;
        by_heart: (mean train - mean held_out) / (mean train - mean fake), 0 if D rates real
        examples alike, 1 if D takes those that did not train it for fakes;
        logit_train, logit_held_out, logit_fresh: means.
    """
    ordered = np.sort(held_out)
    below = np.searchsorted(ordered, train, "left") + np.searchsorted(ordered, train, "right")
    mean, unseen, made = (float(logits.mean()) for logits in (train, held_out, fake))
    return {
        "memory": float(below.sum()) / (2 * len(train) * len(held_out)),
        "by_heart": (mean - unseen) / (mean - made) if mean > made else math.nan,
        "logit_train": mean,
        "logit_held_out": unseen,
        "logit_fresh": made,
    }


def norms(module: nn.Module) -> dict[str, float]:
    """The spectral norm of every weight matrix by name; a convolution as (out, in * h * w).

    A spectrally normalised weight is measured as it is used: the length of its parameter means
    nothing, and grows.
    """
    used = {m.weight: m.normal() for m in module.modules() if isinstance(m, Spectral)}
    weights = {name: p for name, p in module.named_parameters() if p.dim() > 1}
    return {name: spectral_norm(used.get(p, p).detach()) for name, p in weights.items()}


def spectral_norm(weight: Tensor) -> float:
    """The largest singular value, approximated from below by 12 rounds of power iteration."""
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
    now: Mapping[str, Mapping[str, float]], initial: Mapping[str, Mapping[str, float]]
) -> Figures:
    """How large weights are, and how much they have grown since the first step.

    Args:
        now: spectral norms by weight, for "generator" and "discriminator".
        initial: the same before the first step; may be empty.

    Returns:
        sigma_g, sigma_d: a player's largest norm; growth_g, growth_d: the largest of
        norm / max(initial norm, 1): weights that start near 0 are meant to grow.
    """
    out = {}
    for side, values in now.items():
        first = initial.get(side, {})
        out[f"sigma_{side[0]}"] = max(values.values(), default=0.0)
        if ratios := [values[name] / max(norm, 1.0) for name, norm in first.items()]:
            out[f"growth_{side[0]}"] = max(ratios)
    return out


def dead_units(module: nn.Module, forward: Callable[[], object]) -> float:
    """The largest share, over hidden layers, of units with the same output for every input.

    Args:
        module: a network; a channel of its convolutions is one unit.
        forward: runs one forward pass of it.

    Returns:
        In [0, 1]; nan if its activations are no modules.
    """
    shares: list[float] = []

    def measure(layer: nn.Module, inputs: object, out: Tensor) -> None:
        if isinstance(out, Tensor) and out.dim() > 1 and out.shape[1] > 1:
            deviation = out.transpose(0, 1).reshape(out.shape[1], -1).float().std(1)
            most = float(deviation.max())
            shares.append(float((deviation <= ALIVE * most).float().mean()) if most > 0 else 1.0)

    with evaluating(module), ExitStack() as hooks:
        for layer in module.modules():
            if isinstance(layer, ACTIVATIONS):
                hooks.enter_context(layer.register_forward_hook(measure))
        forward()
    return max(shares, default=math.nan)
