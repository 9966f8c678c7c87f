"""`lab figure1`: Figure 1 of Goodfellow et al. 2014, from a real game.

p_data is the density of the law; p_g comes by change of variables through G (see
`exact.generator_cells`) and is no estimate from samples; D* = p_data / (p_data + p_g). Moments (a)
and (d) are from the run of the recipe; (b) and (c) branch off from (a): only D is updated until it
stands still, then only G, a few turns, against that D.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ganforge import recipes
from ganforge.data import toy
from ganforge.gan.state import State
from ganforge.plotting import style
from ganforge.theory import exact, page
from ganforge.theory.games import count_steps, play, train_one_player, with_steps
from ganforge.theory.page import Experiment, Shown
from ganforge.types import Doubles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LAW = toy.LAWS["mixture1d"]
EDGES = exact.cells(-4, 4, 200)
X = exact.midpoints(EDGES)
TOP = 1.04  # of the y axis: D ends at 1
NEAR, HALF_RIGHT = 0.08, 0.05  # (a): JSD in nats below NEAR, mean |D - D*| above HALF_RIGHT
D_TURNS, G_TURNS = 1000, 2
TOO_MANY = 8  # turns of G after (c), against the same D: not drawn, but in the text
SHOWN = 0.004  # least sum of the densities at which D is drawn: elsewhere it sees no examples


@dataclass(frozen=True)
class Moment:
    """One state of the game on the line's cells.

    q: p_g, the share of each cell. d: D(x). arrows: (2, K) z and G(z). step: of the run.
    """

    q: Doubles
    d: Doubles
    arrows: Doubles
    step: int


def figure1(
    seed: int = 0,
    steps: int | None = None,
    d_turns: int = D_TURNS,
    g_turns: int = G_TURNS,
    frames: int = 24,
) -> Experiment:
    """Run the experiment: the four moments, and the whole game as a film.

    Args:
        seed: of the game.
        steps: of the game. [default: the recipe's]
        d_turns, g_turns: turns of D in (b) and of G in (c).
        frames: of the film.
    """
    config = replace(with_steps(recipes.find("figure1"), steps), seed=seed)
    p = exact.law_cells(LAW, EDGES)
    film: list[Moment] = []
    shown: list[Moment] = []
    total = 0
    for training in play(config, max(1, count_steps(config) // 100)):
        total = training.steps
        now = moment(training.state, config.noise.law)
        film.append(now)
        near = exact.jensen_shannon(p, now.q) < NEAR and gap(p, now) > HALF_RIGHT
        if not shown and (near or now.step > total // 2):
            yield f"near convergence at step {now.step:,}: only D, then only G"
            branch = copy.deepcopy(training.state)
            train_one_player(training, branch, "discriminator", d_turns)
            updated = moment(branch, config.noise.law)
            train_one_player(training, branch, "generator", g_turns)
            shown = [now, updated, moment(branch, config.noise.law)]
            train_one_player(training, branch, "generator", TOO_MANY)
            hasty = moment(branch, config.noise.law)
    yield f"converged: step {total:,} of {total:,}"
    shown.append(film[-1])
    chosen = np.unique(np.linspace(0, 1, frames) ** 1.5 * (len(film) - 1)).astype(int)
    return Shown(
        draw(p, shown),
        says(p, shown, g_turns, hasty),
        page.frames(single(p, film[i], total) for i in chosen),
        {"jsd": [exact.jensen_shannon(p, m.q) for m in shown], "steps": [m.step for m in shown],
         "gap": [gap(p, m) for m in shown]},
    )  # fmt: skip


def moment(state: State, law: str) -> Moment:
    """What is drawn of a state."""
    players = state.players
    q = exact.generator_cells(players.generator, law, EDGES)
    logit = exact.logits(players.discriminator, X[:, None])
    z = exact.quantiles(law, 25)
    arrows = np.stack([z.flatten().numpy(), players.generator(z, None, None).detach().flatten()])
    return Moment(q, 1 / (1 + np.exp(-logit)), arrows, state.step)


def gap(p: Doubles, now: Moment) -> float:
    """The mean of |D - D*|, over data and samples in equal shares."""
    best = exact.best_discriminator(p, now.q)
    weight = (p + now.q) / 2
    return float(np.nansum(weight * np.abs(now.d - best)))


def says(p: Doubles, shown: Sequence[Moment], g_turns: int, hasty: Moment) -> str:
    """The two sentences under the figure. hasty: after TOO_MANY more turns of G than in (c)."""
    jsd = [exact.jensen_shannon(p, m.q) for m in (*shown, hasty)]
    gaps = [gap(p, m) for m in shown]
    seen = [float((m.q * m.d).sum()) for m in (*shown, hasty)]
    half = float(((p + shown[3].q) / 2 * np.abs(shown[3].d - 0.5)).sum())
    return (
        f"From (a) to (b) only D is updated and its mean distance from D* goes from {gaps[0]:.3f} "
        f"to {gaps[1]:.3f}; from (b) to (c) only G is, {g_turns} turns up D's slope (mean D(G(z)) "
        f"{seen[1]:.2f} to {seen[2]:.2f}, JSD {jsd[1]:.3f} to {jsd[2]:.3f}), and {TOO_MANY} more "
        f"turns against that same D would overshoot (D(G(z)) {seen[4]:.2f}, JSD {jsd[4]:.3f}). At "
        f"the end of the game, (d), p_g is at a JSD of {jsd[3]:.4f} from p_data (of at most 0.693),"
        f" and D at a mean distance of {half:.3f} from 1/2."
    )


TITLES = ("(a) near convergence", "(b) D updated", "(c) G updated", "(d) converged")


def draw(p: Doubles, shown: Sequence[Moment]) -> Figure:
    """The four moments side by side, on one scale."""
    figure = style.page(386, page.WIDTH)
    for i, (title, now) in enumerate(zip(TITLES, shown, strict=True)):
        left = 52 + i * 186
        axes = style.add_axes(figure, left, 60, 174, 200)
        panel(axes, p, now, first=i == 0)
        axes.set_title(title, fontsize=10, color=style.INK, loc="left", pad=6, weight="bold")
        mapping(style.add_axes(figure, left, 272, 174, 66), now, first=i == 0)
    names(figure, 52, 8)
    return figure


def names(figure: Figure, left: float, top: float) -> None:
    """The names of the curves, in their colours."""
    for text, colour, at in (
        ("data p_data", style.REAL, 0),
        ("generated p_g", style.FAKE, 92),
        ("D(x)", style.D, 200),
        ("dashed: the best D there can be, p_data / (p_data + p_g)", style.INK, 248),
    ):
        style.add_text(figure, left + at, top, text, 9.5, color=colour)


def panel(axes: Axes, p: Doubles, now: Moment, first: bool = True) -> None:
    """Densities, D and D* against x."""
    width = np.diff(EDGES)
    axes.fill_between(X, now.q / width, color=style.FAKE, alpha=0.25, linewidth=0)
    axes.plot(X, now.q / width, color=style.FAKE, linewidth=1.3)
    axes.plot(X, p / width, color=style.REAL, linewidth=1.6)
    both = (p + now.q) / width
    best = np.where(both > SHOWN, exact.best_discriminator(p, now.q), np.nan)
    axes.plot(X, best, color=style.INK, linewidth=1.1, linestyle=(0, (3, 2)))
    axes.plot(X, np.where(both > SHOWN, now.d, np.nan), color=style.D, linewidth=1.8)
    axes.axhline(0.5, color=style.RULE, linewidth=0.7, zorder=0)
    axes.set(xlim=(EDGES[0], EDGES[-1]), ylim=(0, TOP), xticks=(-3, 0, 3), yticks=(0, 0.5, 1))
    axes.tick_params(labelbottom=False, labelleft=first)
    if first:
        axes.set_ylabel("density per unit of x;  D(x)", fontsize=9, color=style.MUTED)


def mapping(axes: Axes, now: Moment, first: bool = True) -> None:
    """G as arrows from z, evenly spaced, up to x = G(z).

    If G falls with z, z is drawn from right to left: all arrows would cross otherwise.
    """
    z, x = now.arrows
    way = -1 if ((z - z.mean()) * (x - x.mean())).sum() < 0 else 1
    foot = 3 * way * z
    axes.quiver(foot, np.zeros_like(z), x - foot, np.ones_like(z), angles="xy", scale_units="xy",
                scale=1, units="inches", width=0.011, headwidth=4, headlength=5,
                color=style.FAKE)  # fmt: skip
    axes.set(xlim=(EDGES[0], EDGES[-1]), ylim=(-0.06, 1.0), xticks=(-3, 0, 3), yticks=())
    axes.set_xlabel("x", fontsize=9, color=style.MUTED)
    axes.spines["left"].set_visible(False)
    axes.plot([-3, 3], [0, 0], color=style.INK, linewidth=1.2, clip_on=False)
    for end in (-1, 1):
        label = f"{end * way}"
        axes.text(3.15 * end, 0.1, label, fontsize=8, color=style.MUTED,
                  ha="left" if end > 0 else "right", va="center")  # fmt: skip
    if first:
        axes.text(-4.2, 0.1, "z", fontsize=9, color=style.MUTED, ha="right", va="center")
        axes.text(-4.2, 1, "G(z)", fontsize=9, color=style.MUTED, ha="right", va="center")


def single(p: Doubles, now: Moment, total: int) -> Figure:
    """One frame of the film."""
    figure = style.page(360, 480)
    axes = style.add_axes(figure, 52, 40, 400, 200)
    panel(axes, p, now)
    title = f"step {now.step:,} of {total:,}"
    axes.set_title(title, fontsize=10, color=style.INK, loc="left", pad=6, weight="bold")
    for text, colour, at in (("p_data", style.REAL, 180), ("p_g", style.FAKE, 246),
                             ("D", style.D, 286), ("D*", style.INK, 312)):  # fmt: skip
        style.add_text(figure, 52 + at, 18, text, 10, color=colour, weight="bold")
    mapping(style.add_axes(figure, 52, 252, 400, 66), now)
    return figure
