"""Networks trained afresh: a classifier of labels, a discriminator of real against fake.

Nothing of the game that made the samples is used: its discriminator would flatter it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ganforge.errors import UsageError
from ganforge.rng import Order, Stream
from ganforge.types import Array, Doubles, Floats

Net = TypeVar("Net", bound=nn.Module)

BATCH, WARM = 128, 0.2  # examples of a batch; share of the steps in which the rate rises
BATCHED = 500  # examples at once, without gradients
HIDDEN = 64
BLIND = "the classifier learnt nothing"  # part of a note
FARTHEST = 1e6  # deviations of the real examples to which features are clipped


def blank(build: Callable[[], Net]) -> Net:
    """A network whose weights are not yet set, made without a draw of the global generator."""
    with torch.device("meta"):
        net = build()
    return net.to_empty(device="cpu")


def initialise(net: nn.Module, seed: int, name: str) -> None:
    """Fill every layer with U(-1/sqrt(fan in), 1/sqrt(fan in)) from one random stream each.

    PyTorch's law for linear and convolution layers, drawn without the global generator.
    """
    for module_name, module in net.named_modules():
        if not isinstance(module, nn.Linear | nn.Conv2d):
            continue
        bound = 1 / math.sqrt(module.weight[0].numel())
        for kind, p in module.named_parameters(recurse=False):
            draws = Stream(seed, f"{name}/{module_name}.{kind}").uniform(0, p.numel())
            with torch.no_grad():
                p.copy_(torch.from_numpy(draws).reshape(p.shape).mul_(2 * bound).sub_(bound))


def batches(
    optimiser: torch.optim.Optimizer, seed: int, count: int, steps: int
) -> Iterator[tuple[int, Tensor]]:
    """Step and rows of every batch of a training whose learning rate goes through one cycle.

    The rate rises linearly to that of the optimiser over a fifth of the steps, then falls to 0 as a
    cosine.

    Args:
        optimiser: its rate is set before each batch.
        seed: of the order of the rows.
        count: rows N; a batch has 128 of them, or all.
        steps: how many.
    """
    order, size, peak = Order(seed, count), min(BATCH, count), optimiser.defaults["lr"]
    for step in range(steps):
        t = (step + 1) / steps
        fall = 0.5 * (1 + math.cos(math.pi * (t - WARM) / (1 - WARM)))
        for group in optimiser.param_groups:
            group["lr"] = peak * t / WARM if t < WARM else peak * fall
        yield step, torch.from_numpy(order.indices(step * size, size))


def in_batches(
    net: Callable[[Any], Any], rows: Array, prepare: Callable[[Array], Any], batch: int = BATCHED
) -> Floats:
    """net(prepare(rows)) as one array (N, ...), computed for a few rows at a time."""
    with torch.no_grad():
        parts = [
            np.asarray(net(prepare(np.array(rows[i : i + batch]))), dtype=np.float32)
            for i in range(0, len(rows), batch)
        ]
    return np.concatenate(parts)


def update(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    """One step of an optimiser on a loss."""
    optimiser.zero_grad()
    torch.autograd.backward(loss)
    optimiser.step()


def discriminate(real: Floats, fake: Floats, seed: int) -> HeldOut:
    """Train a discriminator on half of the examples and return its logits on the other half.

    F-64-64-1 leaky, logit > 0 for real, cross-entropy, Adam 2e-3. The training half is split 4 : 1
    and the weights of the epoch with the least loss on the fifth are used; before the first epoch
    the net says 1/2 everywhere, so a discriminator that learns nothing general gives C = -log 4
    exactly.

    Args:
        real, fake: features (N, F), equally many, N >= 20.
        seed: of the halves, the weights and the order.

    Raises:
        UsageError: fewer than 20 of either, or not equally many.
    """
    if len(real) != len(fake) or len(real) < 20:
        raise UsageError(
            f"a discriminator was given {len(real)} real and {len(fake)} fake examples: "
            "it takes equally many of both, at least 20"
        )
    n = len(real)
    a, b = 2 * n // 5, n // 2  # training, choosing the epoch, held out
    x, y = (
        side[np.argsort(Stream(seed, f"discriminate/{name}").words(0, n), kind="stable")]
        for side, name in ((real, "real"), (fake, "fake"))
    )
    mean, std = x[:b].mean(0), _scale(x[:b].std(0))

    def part(lo: int, hi: int) -> tuple[Tensor, Tensor]:
        rows = np.concatenate([x[lo:hi], y[lo:hi]])
        truth = torch.cat([torch.ones(hi - lo), torch.zeros(hi - lo)])
        return torch.from_numpy(((rows - mean) / std).clip(-FARTHEST, FARTHEST)), truth

    net = blank(lambda: _mlp(real.shape[1], 1, nn.LeakyReLU(0.2)))
    initialise(net, seed, "discriminate")
    for p in net[-1].parameters():
        nn.init.zeros_(p)
    _fit_binary(net, part(0, a), part(a, b), seed)
    with torch.no_grad():
        logits = net(part(b, n)[0]).squeeze(1).double().numpy()
    return HeldOut(logits[: n - b], logits[n - b :])


def _fit_binary(
    net: nn.Module,
    train: tuple[Tensor, Tensor],
    choose: tuple[Tensor, Tensor],
    seed: int,
) -> None:
    """Fit `net` in place; it ends with the weights of its best epoch on `choose`."""
    x, truth = train
    epoch = len(x) // min(BATCH, len(x))
    optimiser = torch.optim.Adam(net.parameters(), lr=2e-3)

    def loss(rows: Tensor, target: Tensor) -> Tensor:
        return functional.binary_cross_entropy_with_logits(net(rows).squeeze(1), target)

    def snapshot() -> tuple[float, dict[str, Tensor]]:
        with torch.no_grad():
            return float(loss(*choose)), {k: v.clone() for k, v in net.state_dict().items()}

    best = snapshot()
    for step, rows in batches(optimiser, seed, len(x), 20 * epoch):
        update(optimiser, loss(x[rows], truth[rows]))
        if (step + 1) % epoch == 0:
            best = min(best, snapshot(), key=lambda found: found[0])
    net.load_state_dict(best[1])


def classifier(values: Array, labels: Array, classes: int, seed: int) -> Classifier:
    """A fresh classifier of stored examples.

    Pictures: two 5 x 5 convolutions of stride 2, 128 features; vectors: F-64-64-K. AdamW 3e-3, one
    cycle, batch 128, six epochs but at least 400 steps, so that small sets are learnt too.

    Args:
        values: (N, H, W, C) or (N, F), stored.
        labels: (N,), 0..K-1.
        classes: K.
        seed: of weights and order.
    """
    flat = values.reshape(len(values), -1)
    axis = None if values.ndim == 4 else 0  # pictures share one scale, each feature has one
    mean, std = (np.asarray(f(axis, dtype=np.float64), np.float32) for f in (flat.mean, flat.std))
    net = blank(lambda: _classifier_net(values.shape[1:], classes))
    initialise(net, seed, "classifier")
    made = Classifier(net, mean, _scale(std))
    optimiser = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=1e-2)
    targets = torch.from_numpy(np.asarray(labels, dtype=np.int64))
    steps = max(400, 6 * (len(values) // BATCH))
    for _, rows in batches(optimiser, seed, len(values), steps):
        given = made.prepare(values[rows.numpy()])
        update(optimiser, functional.cross_entropy(net(given), targets[rows]))
    return made


def _scale(std: Array) -> Floats:
    """Standard deviations to divide by, 1 for a constant."""
    return np.where(std > 1e-6, std, 1).astype(np.float32)


def _mlp(inputs: int, outputs: int, curve: nn.Module) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, HIDDEN),
        curve,
        nn.Linear(HIDDEN, HIDDEN),
        curve,
        nn.Linear(HIDDEN, outputs),
    )


def _classifier_net(shape: tuple[int, ...], classes: int) -> nn.Sequential:
    if len(shape) == 1:
        return _mlp(shape[0], classes, nn.ReLU())
    h, w, c = shape
    left = 32 * math.ceil(h / 4) * math.ceil(w / 4)
    return nn.Sequential(
        nn.Conv2d(c, 16, 5, 2, 2),
        nn.ReLU(),
        nn.Conv2d(16, 32, 5, 2, 2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(left, 128),
        nn.ReLU(),
        nn.Linear(128, classes),
    )


class HeldOut(NamedTuple):
    """Logits of a fresh discriminator on examples it has not seen, > 0 if it says real.

    real, fake: (M,) each, float64.
    """

    real: Doubles
    fake: Doubles

    @property
    def blind(self) -> bool:
        """Whether the discriminator learnt nothing: its logits are 0 for every example."""
        return not (self.real.any() or self.fake.any())


@dataclass(frozen=True)
class Classifier:
    """A trained classifier of stored examples: its net and the scaling of its input."""

    net: nn.Module
    mean: Floats
    scale: Floats

    def prepare(self, rows: Array) -> Tensor:
        """Stored (B, H, W, C) or (B, F) -> the net's input (B, C, H, W) or (B, F)."""
        x = torch.from_numpy((rows.astype(np.float32) - self.mean) / self.scale)
        return x.permute(0, 3, 1, 2).contiguous() if rows.ndim == 4 else x

    def logits(self, rows: Array) -> Floats:
        """Logits (N, K) of stored examples (N, ...)."""
        return in_batches(self.net, rows, self.prepare)

    def sha256(self) -> str:
        """Of the weights and the scaling."""
        weights = self.net.state_dict().items()
        parts = [self.mean.tobytes(), self.scale.tobytes()]
        parts += [key.encode() + value.numpy().tobytes() for key, value in weights]
        return hashlib.sha256(b"".join(parts)).hexdigest()
