"""`lab losses`: every generator's loss and its gradient against D's logit on the fake.

The functions are those published losses of `losses.LOSSES` that SHOWN names, the gradients are by
autograd. "Squared error" is the texts' comparison with cross-entropy: least squares on the
probability D(G(z)), after the sigmoid, whereas `least-squares` reads the logit itself.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ganforge.gan.losses import LOSSES
from ganforge.plotting import style
from ganforge.theory import page
from ganforge.theory.page import Experiment, Shown
from ganforge.types import Doubles

REACH = 8.0  # logits shown: D(G(z)) from 0.0003 to 0.9997
REJECTED = -8.0  # the logit of a fake that D is sure of
GREY = "#555555"

# One line for each function (if two games share one, both are named): its name, colour and dashes,
# and where the name stands beside the loss and beside the gradient, a line of text from the next.
LINES = {
    "minimax": ("minimax, log(1 - D)", style.FAKE, "-", (8.3, -7.6), (8.3, 0.94)),
    "non-saturating": ("non-saturating, -log D\n(relativistic, real logit 0)", style.D, "-",
                       (8.3, -0.6), (8.3, -0.05)),
    "least-squares": ("least squares on the logit", style.G, "-", (6.0, 8.6), (-0.6, 1.8)),
    "wasserstein": ("Wasserstein and hinge", style.REAL, "-", (8.3, -6.2), (8.3, 1.12)),
    "squared error": ("squared error on D", GREY, (0, (4, 2)), (8.3, 1.6), (8.3, 0.2)),
}  # fmt: skip


def squared_error(real: Tensor, fake: Tensor) -> Tensor:
    """(D - 1)^2 / 2 with D = sigmoid(logit): the least-squares loss given a probability."""
    return LOSSES["least-squares"].generator(real, torch.sigmoid(fake))


# hinge has the generator's loss of wasserstein
SHOWN = ("minimax", "non-saturating", "least-squares", "wasserstein", "relativistic")
GENERATORS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    **{name: LOSSES[name].generator for name in SHOWN},
    "squared error": squared_error,
}


def curve(name: str, logits: Doubles) -> tuple[Doubles, Doubles]:
    """A generator loss and its derivative in D's logit on the fake, (N,) each.

    The real example's logit, which the relativistic loss reads, is 0.
    """
    fake = torch.from_numpy(logits).requires_grad_()
    loss = GENERATORS[name](torch.zeros_like(fake), fake)
    (slope,) = torch.autograd.grad(loss.sum(), fake)
    return loss.detach().numpy(), slope.numpy()


def losses(seed: int = 0) -> Experiment:
    """Run the experiment: values and gradients of every generator loss; nothing is random."""
    logits = np.linspace(-REACH, REACH, 401)
    yield f"{len(GENERATORS)} losses at {len(logits)} logits"
    slopes = {name: float(curve(name, np.array([REJECTED]))[1][0]) for name in GENERATORS}
    return Shown(
        draw(logits),
        f"Where D is sure of a fake (logit {REJECTED:.0f}, D = 0.0003) the minimax loss and the "
        f"squared error on D hardly move G, with gradients {slopes['minimax']:.5f} and "
        f"{slopes['squared error']:.1g}: they saturate. The non-saturating loss pulls there with "
        f"{slopes['non-saturating']:.4f}, and least squares on the logit with "
        f"{slopes['least-squares']:.0f}.",
    )


def draw(logits: Doubles) -> Figure:
    """The values above the gradients' sizes, on one axis of logits."""
    figure = style.page(560, page.WIDTH)
    value = style.add_axes(figure, 70, 60, 500, 190, "Loss of G (nats, for cross-entropies)")
    slope = style.add_axes(figure, 70, 315, 500, 190, "How hard it pulls: minus its gradient in "
                           "the logit", "D's logit on the fake")  # fmt: skip
    for name, (text, colour, dash, at_value, at_slope) in LINES.items():
        loss, gradient = curve(name, logits)
        for axes, y, at in ((value, loss, at_value), (slope, -gradient, at_slope)):
            axes.plot(logits, y, color=colour, linestyle=dash, linewidth=1.8)
            style.add_label(axes, *at, text, colour)
    for axes in (value, slope):
        axes.set_xlim(-REACH, REACH)
        axes.axhline(0, color=style.RULE, linewidth=0.7, zorder=0)
        axes.axvspan(-REACH, -4, color="#F3F3F3", zorder=-1)
    value.set(ylim=(-8, 10), yticks=(-8, -4, 0, 4, 8))
    slope.set(ylim=(-0.15, 2), yticks=(0, 0.5, 1, 1.5, 2))
    style.add_label(value, -7.8, -7.2, "D is sure: a fake", size=8, va="baseline")
    add_probabilities(value)
    return figure


def add_probabilities(axes: Axes) -> None:
    """D(G(z)) along the top of the axis of logits."""
    shown = np.array([0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999])
    top = axes.secondary_xaxis("top")
    top.set_xticks(np.log(shown / (1 - shown)), [f"{d:g}" for d in shown])
    top.tick_params(colors=style.MUTED, labelsize=8, length=3, width=0.6)
    top.spines["top"].set(color=style.MUTED, linewidth=0.6)
    style.add_label(axes, 1.03, 1.09, "D(G(z))", transform=axes.transAxes, va="baseline")
