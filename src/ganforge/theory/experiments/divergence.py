"""`lab divergence`: C(G) during a game, exact and as a fresh discriminator estimates it.

The game is `figure1`'s, where p_data and p_g are known, so that C(G) = max_D V(D, G) is a sum over
cells (theorem 1 of Goodfellow et al. 2014). The estimate is `metrics.divergence.divergence`: a
discriminator trained anew on fresh samples and scored on held-out ones. The value under the D of
the game is an integral too; it is no estimate of C(G).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.figure import Figure

from ganforge.data import toy
from ganforge.evaluation.judges import discriminate
from ganforge.evaluation.metrics import divergence as estimate
from ganforge.plotting import style
from ganforge.rng import Stream
from ganforge.theory import exact, page
from ganforge.theory.games import count_steps, game, play
from ganforge.theory.page import Experiment, Shown
from ganforge.training.trainer import Trainer
from ganforge.types import Doubles

LAW = toy.LAWS["mixture1d"]
EDGES = exact.cells(-6, 6, 600)
X, P = exact.midpoints(EDGES), exact.law_cells(LAW, EDGES)
MOMENTS = 16  # at which C(G) is estimated
N = 40_000


@dataclass(frozen=True)
class Moment:
    """C(G) at one step: exact; estimated, with its standard error; and V of the game's D."""

    step: int
    exact: float
    estimate: float
    error: float
    game: float


def divergence(seed: int = 0, steps: int | None = None, n: int = N) -> Experiment:
    """Run the experiment.

    Args:
        seed: of the game, the examples and the fresh discriminators.
        steps: of the game. [default: the recipe's]
        n: real examples for each estimate, and as many generated ones; half of each are held out.
    """
    config = game("figure1", seed, steps)
    fine = max(1, count_steps(config) // 150)
    # closer together where the game moves faster
    due = {round(150 * (i / (MOMENTS - 1)) ** 2) * fine for i in range(MOMENTS)}
    found: list[Moment] = []
    for training in play(config, fine):
        step = training.state.step
        if step in due or step == training.steps:
            now = measured(training, seed, n)
            found.append(now)
            yield (
                f"step {step:,} of {training.steps:,}: C(G) {now.exact:.3f}, "
                f"estimated {now.estimate:.3f}"
            )
    return Shown(draw(found), says(found, n))


def measured(training: Trainer, seed: int, n: int) -> Moment:
    """C(G) at the current step of a game."""
    step, players, law = training.state.step, training.state.players, training.config.noise.law
    q = exact.generator_cells(players.generator, law, EDGES)
    # fresh examples at every moment: D knows those it was trained on
    real = LAW.sample(n, Stream(seed, "lab/divergence/real"), step * n)
    z = torch.from_numpy(Stream(seed, "lab/divergence/z").draw(law, step * n, n, 1))
    with torch.no_grad():
        fake = players.generator(z, None, None).numpy()
    seen = estimate.divergence(discriminate(real, fake, seed))
    value = exact.value(P, q, exact.logits(players.discriminator, X[:, None]))
    return Moment(step, exact.best_value(P, q), seen.c, seen.error, value)


def says(found: Sequence[Moment], n: int) -> str:
    """The two sentences under the figure."""
    below = np.mean([m.exact - m.estimate for m in found])
    game = np.mean([m.exact - m.game for m in found])
    last = found[-1]
    return (
        f"The exact C(G) falls to {last.exact:.3f}, towards -log 4 = -1.386; a fresh "
        f"discriminator's held-out estimate from {n:,} examples, a lower bound, lies {below:.3f} "
        f"nats below it on average and ends at {last.estimate:.3f} +- {last.error:.3f}. The value "
        f"under the D of the game lies {game:.3f} below C(G) on average: D is never quite at its "
        "best, so neither that value nor the losses measure the divergence."
    )


def root(x: Doubles) -> Doubles:
    """The square root; 0 for negative x, which the margin of an axis may reach."""
    return np.sqrt(np.maximum(x, 0))


def draw(found: Sequence[Moment]) -> Figure:
    """C(G), its estimate and V of the game's D against the step."""
    figure = style.page(400, page.WIDTH)
    axes = style.add_axes(figure, 70, 50, 480, 280, "The value of the game, nats",
                          "step of the game (square-root scale)")  # fmt: skip
    step, value, seen, error, game = np.array(
        [(m.step, m.exact, m.estimate, m.error, m.game) for m in found]
    ).T
    axes.axhline(-exact.LOG4, color=style.INK, linewidth=1, linestyle=(0, (4, 3)))
    axes.plot(step, game, color=style.D, linewidth=1.4)
    axes.plot(step, value, color=style.REAL, linewidth=2)
    axes.errorbar(step, seen, 2 * error, fmt="o", color=style.FAKE, markersize=4.5, capsize=2,
                  clip_on=False)  # fmt: skip
    axes.set_xscale("function", functions=(root, np.square))  # the game slows down
    axes.set(xlim=(0, step[-1]), ylim=(-1.62, 0.05))
    axes.set_xticks(np.unique(np.round(step[-1] * np.array([0.01, 0.05, 0.2, 0.4, 0.7, 1]), -1)))
    for y, text, colour in (
        (-1.14, "C(G) = max V over D, exact", style.REAL),
        (-1.24, "a fresh D, held out, +- 2 s.e.", style.FAKE),
        (0.02 - exact.LOG4, "-log 4 = -1.386: p_g = p_data", style.INK),
        (-1.48, "V of the D of the game", style.D),
    ):
        style.add_label(axes, 1.04 * step[-1], y, text, colour)
    return figure
