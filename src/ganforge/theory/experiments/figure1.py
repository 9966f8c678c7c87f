"""`lab figure1`: Figure 1 of Goodfellow et al. 2014, from a real game.

p_data is the density of the law; p_g comes by change of variables through G (see
`exact.generator_cells`) and is no estimate from samples; D* = p_data / (p_data + p_g). Moments (a)
and (d) are from the run of the recipe; (b) and (c) branch off from (a): only D is updated until it
stands still, then only G, a few turns, against that D.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ganforge.data import toy
from ganforge.gan.state import State
from ganforge.plotting import style
from ganforge.theory import exact, page
from ganforge.theory.games import count_steps, game, play, train_one_player
from ganforge.theory.page import Experiment, Shown
from ganforge.types import Doubles

EDGES = exact.cells(-4, 4, 200)
X, WIDTH = exact.midpoints(EDGES), np.diff(EDGES)
P = exact.law_cells(toy.LAWS["mixture1d"], EDGES)
TOP = 1.04  # of the y axis: D ends at 1
NEAR, HALF_RIGHT = 0.08, 0.05  # (a): JSD in nats below NEAR, mean |D - D*| above HALF_RIGHT
D_TURNS, G_TURNS = 1000, 2
TOO_MANY = 8  # turns of G after (c), against the same D: not drawn, but in the text
SHOWN = 0.004  # least sum of the densities at which D is drawn: elsewhere it sees no examples
FRAMES = 24  # of the film
TITLES = ("(a) near convergence", "(b) D updated", "(c) G updated", "(d) converged")


@dataclass(frozen=True)
class Moment:
    """One state of the game on the line's cells.

    q: p_g, the share of each cell. d: D(x). arrows: (2, K) z and G(z). step: of the run.
    """

    q: Doubles
    d: Doubles
    arrows: Doubles
    step: int

    @property
    def best(self) -> Doubles:
        """D*(x) against this p_g."""
        return exact.best_discriminator(P, self.q)

    @property
    def jsd(self) -> float:
        """JSD(p_data, p_g) in nats."""
        return exact.jensen_shannon(P, self.q)

    @property
    def gap(self) -> float:
        """The mean of |D - D*|, over data and samples in equal shares."""
        return float(np.nansum((P + self.q) / 2 * np.abs(self.d - self.best)))

    @property
    def seen(self) -> float:
        """The mean of D(G(z))."""
        return float((self.q * self.d).sum())


def figure1(seed: int = 0, steps: int | None = None, d_turns: int = D_TURNS) -> Experiment:
    """Run the experiment: the four moments, and the whole game as a film.

    Args:
        seed: of the game.
        steps: of the game. [default: the recipe's]
        d_turns: turns of D in (b).
    """
    config = game("figure1", seed, steps)
    law, total = config.noise.law, count_steps(config)
    film: list[Moment] = []
    shown: list[Moment] = []
    for training in play(config, max(1, total // 100)):
        now = moment(training.state, law)
        film.append(now)
        near = now.jsd < NEAR and now.gap > HALF_RIGHT
        if not shown and (near or now.step > total // 2):
            yield f"near convergence at step {now.step:,}: only D, then only G"
            branch = copy.deepcopy(training.state)
            shown.append(now)
            for side, turns in (
                ("discriminator", d_turns), ("generator", G_TURNS), ("generator", TOO_MANY),
            ):  # fmt: skip
                train_one_player(training, branch, side, turns)
                shown.append(moment(branch, law))
    yield f"converged: step {total:,} of {total:,}"
    *shown, hasty = shown
    shown.append(film[-1])
    chosen = np.unique(np.linspace(0, 1, FRAMES) ** 1.5 * (len(film) - 1)).astype(int)
    return Shown(
        draw(shown),
        says(shown, hasty),
        page.frames(single(film[i], total) for i in chosen),
    )


def moment(state: State, law: str) -> Moment:
    """What is drawn of a state."""
    generator = state.players.generator
    logit = exact.logits(state.players.discriminator, X[:, None])
    z = exact.quantiles(law, 25)
    arrows = np.stack([z.flatten().numpy(), generator(z, None, None).detach().flatten()])
    q = exact.generator_cells(generator, law, EDGES)
    return Moment(q, 1 / (1 + np.exp(-logit)), arrows, state.step)


def says(shown: Sequence[Moment], hasty: Moment) -> str:
    """The two sentences under the figure. hasty: after TOO_MANY more turns of G than in (c)."""
    a, b, c, d = shown
    half = float(((P + d.q) / 2 * np.abs(d.d - 0.5)).sum())
    return (
        f"From (a) to (b) only D is updated and its mean distance from D* goes from {a.gap:.3f} "
        f"to {b.gap:.3f}; from (b) to (c) only G is, {G_TURNS} turns up D's slope (mean D(G(z)) "
        f"{b.seen:.2f} to {c.seen:.2f}, JSD {b.jsd:.3f} to {c.jsd:.3f}), and {TOO_MANY} more "
        f"turns against that same D would overshoot (D(G(z)) {hasty.seen:.2f}, JSD "
        f"{hasty.jsd:.3f}). At the end of the game, (d), p_g is at a JSD of {d.jsd:.4f} from "
        f"p_data (of at most 0.693), and D at a mean distance of {half:.3f} from 1/2."
    )


def draw(shown: Sequence[Moment]) -> Figure:
    """The four moments side by side, on one scale."""
    figure = style.page(386, page.WIDTH)
    for i, (title, now) in enumerate(zip(TITLES, shown, strict=True)):
        panels(figure, 52 + i * 186, 60, 174, now, title, first=i == 0)
    page.add_names(
        figure, 8, 9.5,
        (52, "data p_data", style.REAL), (144, "generated p_g", style.FAKE), (252, "D(x)", style.D),
        (300, "dashed: the best D there can be, p_data / (p_data + p_g)", style.INK),
    )  # fmt: skip
    return figure


def single(now: Moment, total: int) -> Figure:
    """One frame of the film."""
    figure = style.page(360, 480)
    panels(figure, 52, 40, 400, now, f"step {now.step:,} of {total:,}")
    page.add_names(
        figure, 18, 10, (232, "p_data", style.REAL), (298, "p_g", style.FAKE), (338, "D", style.D),
        (364, "D*", style.INK), weight="bold",
    )  # fmt: skip
    return figure


def panels(
    figure: Figure, left: float, top: float, width: float, now: Moment, title: str,
    first: bool = True,
) -> None:  # fmt: skip
    """The densities above the arrows of G. first: the axes have their numbers and names."""
    axes = style.add_axes(figure, left, top, width, 200)
    draw_densities(axes, now)
    axes.set_title(title, fontsize=10, color=style.INK, loc="left", pad=6, weight="bold")
    axes.tick_params(labelbottom=False, labelleft=first)
    below = style.add_axes(figure, left, top + 212, width, 66)
    draw_arrows(below, now)
    if first:
        axes.set_ylabel("density per unit of x;  D(x)", fontsize=9, color=style.MUTED)
        style.add_label(below, -4.2, 0.1, "z", ha="right")
        style.add_label(below, -4.2, 1, "G(z)", ha="right")


def draw_densities(axes: Axes, now: Moment) -> None:
    """Densities, D and D* against x."""
    p, q = P / WIDTH, now.q / WIDTH
    axes.fill_between(X, q, color=style.FAKE, alpha=0.25, linewidth=0)
    axes.plot(X, q, color=style.FAKE, linewidth=1.3)
    axes.plot(X, p, color=style.REAL, linewidth=1.6)
    best, d = (np.where((P + now.q) / WIDTH > SHOWN, y, np.nan) for y in (now.best, now.d))
    axes.plot(X, best, color=style.INK, linewidth=1.1, linestyle=(0, (3, 2)))
    axes.plot(X, d, color=style.D, linewidth=1.8)
    axes.axhline(0.5, color=style.RULE, linewidth=0.7, zorder=0)
    axes.set(xlim=(-4, 4), ylim=(0, TOP), xticks=(-3, 0, 3), yticks=(0, 0.5, 1))


def draw_arrows(axes: Axes, now: Moment) -> None:
    """G as arrows from z, evenly spaced, up to x = G(z).

    If G falls with z, z is drawn from right to left: all arrows would cross otherwise.
    """
    z, x = now.arrows
    way = -1 if ((z - z.mean()) * (x - x.mean())).sum() < 0 else 1
    foot = 3 * way * z
    axes.quiver(foot, np.zeros_like(z), x - foot, np.ones_like(z), angles="xy", scale_units="xy",
                scale=1, units="inches", width=0.011, headwidth=4, headlength=5,
                color=style.FAKE)  # fmt: skip
    axes.set(xlim=(-4, 4), ylim=(-0.06, 1.0), xticks=(-3, 0, 3), yticks=())
    axes.set_xlabel("x", fontsize=9, color=style.MUTED)
    axes.spines["left"].set_visible(False)
    axes.plot([-3, 3], [0, 0], color=style.INK, linewidth=1.2, clip_on=False)
    for end, side in ((-1, "right"), (1, "left")):
        style.add_label(axes, 3.15 * end, 0.1, f"{end * way}", size=8, ha=side)
