"""`lab divergence`: C(G) during a game, exact and as a fresh discriminator estimates it.

The game is `figure1`'s, where p_data and p_g are known, so that C(G) = max_D V(D, G) is a sum over
cells (theorem 1 of Goodfellow et al. 2014). The estimate is `metrics.divergence.divergence`: a
discriminator trained anew on fresh samples and scored on held-out ones. The value under the game's
own D is an integral too; it is no estimate of C(G).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from ganforge import recipes
from ganforge.data import toy
from ganforge.evaluation.judges import discriminate
from ganforge.evaluation.metrics import divergence as estimate
from ganforge.plotting import style
from ganforge.rng import Stream
from ganforge.theory import exact, page
from ganforge.theory.games import count_steps, play, with_steps
from ganforge.theory.page import Experiment, Shown
from ganforge.training.trainer import Trainer
from ganforge.types import Doubles

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LAW = toy.LAWS["mixture1d"]
EDGES = exact.cells(-6, 6, 600)
X = exact.midpoints(EDGES)
MOMENTS = 16  # at which C(G) is estimated
N = 40_000


@dataclass(frozen=True)
class Moment:
    """C(G) at one step: exact; estimated, with its standard error; and V of the game's own D."""

    step: int
    exact: float
    estimate: float
    error: float
    own: float


def divergence(
    seed: int = 0, steps: int | None = None, moments: int = MOMENTS, n: int = N
) -> Experiment:
    """Run the experiment.

    Args:
        seed: of the game, the examples and the fresh discriminators.
        steps: of the game. [default: the recipe's]
        moments: number of steps at which C(G) is computed.
        n: real examples for each estimate, and as many generated ones; half of each are held out.
    """
    config = replace(with_steps(recipes.find("figure1"), steps), seed=seed)
    fine = max(1, count_steps(config) // 150)
    # closer together where the game moves faster
    due = {round(150 * (i / (moments - 1)) ** 2) * fine for i in range(moments)}
    found: list[Moment] = []
    for training in play(config, fine):
        step = training.state.step
        if step in due or step == training.steps:
            found.append(measured(training, seed, n))
            yield (
                f"step {step:,} of {training.steps:,}: C(G) {found[-1].exact:.3f}, "
                f"estimated {found[-1].estimate:.3f}"
            )
    return Shown(draw(found), says(found, n), numbers={"moments": found})


def measured(training: Trainer, seed: int, n: int) -> Moment:
    """C(G) at the current step of a game."""
    players, law = training.state.players, training.config.noise.law
    p, q = exact.law_cells(LAW, EDGES), exact.generator_cells(players.generator, law, EDGES)
    # fresh examples at every moment: D knows those it was trained on
    first = training.state.step * n
    real = LAW.sample(n, Stream(seed, "lab/divergence/real"), first)
    z = torch.from_numpy(Stream(seed, "lab/divergence/z").draw(law, first, n, 1))
    with torch.no_grad():
        fake = players.generator(z, None, None).numpy()
    seen = estimate.divergence(discriminate(real, fake, seed))
    own = exact.value(p, q, exact.logits(players.discriminator, X[:, None]))
    return Moment(training.state.step, exact.best_value(p, q), seen.c, seen.error, own)


def says(found: Sequence[Moment], n: int) -> str:
    """The two sentences under the figure."""
    below = np.mean([m.exact - m.estimate for m in found])
    own = np.mean([m.exact - m.own for m in found])
    last = found[-1]
    return (
        f"The exact C(G) falls to {last.exact:.3f}, towards -log 4 = -1.386; a fresh "
        f"discriminator's held-out estimate from {n:,} examples, a lower bound, lies {below:.3f} "
        f"nats below it on average and ends at {last.estimate:.3f} +- {last.error:.3f}. The value "
        f"under the game's own D lies {own:.3f} below C(G) on average: D is never quite at its "
        "best, so neither that value nor the losses measure the divergence."
    )


def root(x: Doubles) -> Doubles:
    """The square root; 0 for negative x, which the margin of an axis may reach."""
    return np.sqrt(np.maximum(x, 0))


def draw(found: Sequence[Moment]) -> Figure:
    """C(G), its estimate and V of the game's own D against the step."""
    figure = style.page(400, page.WIDTH)
    axes = style.add_axes(figure, 70, 50, 480, 280)
    step = np.array([m.step for m in found])
    low = -exact.LOG4
    axes.axhline(low, color=style.INK, linewidth=1, linestyle=(0, (4, 3)))
    axes.plot(step, [m.own for m in found], color=style.D, linewidth=1.4)
    axes.plot(step, [m.exact for m in found], color=style.REAL, linewidth=2)
    seen, error = [m.estimate for m in found], [2 * m.error for m in found]
    axes.errorbar(step, seen, error, fmt="o", color=style.FAKE, markersize=4.5, capsize=2,
                  clip_on=False)  # fmt: skip
    axes.set_xscale("function", functions=(root, np.square))  # the game slows down
    axes.set(xlim=(0, step[-1]), ylim=(-1.62, 0.05))
    axes.set_xticks(np.unique(np.round(step[-1] * np.array([0.01, 0.05, 0.2, 0.4, 0.7, 1]), -1)))
    style.add_title(axes, "The value of the game, nats", "step of the game (square-root scale)")
    end = 1.04 * step[-1]
    style.add_label(axes, end, -1.14, "C(G) = max V over D, exact", style.REAL)
    style.add_label(axes, end, -1.24, "a fresh D, held out, +- 2 s.e.", style.FAKE)
    style.add_label(axes, end, low + 0.02, "-log 4 = -1.386: p_g = p_data", style.INK)
    style.add_label(axes, end, -1.48, "V of the game's own D", style.D)
    return figure
