"""`lab noise`: does the law of z matter? The same game with uniform and with normal noise.

The game is that of `figure1`; only the law of z differs, and each seed plays both. The score is the
exact Jensen-Shannon divergence between p_g and p_data, see `exact`: no sample is drawn, so all
spread comes from the games.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ganforge.config.schema import Noise
from ganforge.data import toy
from ganforge.experiments.statistics import summarise
from ganforge.plotting import style
from ganforge.theory import exact, page
from ganforge.theory.games import game, play_to_end
from ganforge.theory.page import Experiment, Shown
from ganforge.types import Doubles

EDGES = exact.cells(-6, 6, 300)
X, WIDTH = exact.midpoints(EDGES), np.diff(EDGES)
P = exact.law_cells(toy.LAWS["mixture1d"], EDGES)
SEEDS = 5
COLOURS = {"uniform": style.FAKE, "normal": style.G}


def noise(seed: int = 0, steps: int | None = None, seeds: int = SEEDS) -> Experiment:
    """Run the experiment: both laws of z, over seeds `seed` ... `seed + seeds - 1`.

    Args:
        seed: the first one.
        steps: of every game. [default: the recipe's]
        seeds: number of seeds, at least 2.
    """
    densities: dict[str, list[Doubles]] = {law: [] for law in COLOURS}
    jsd = {law: np.empty(seeds) for law in COLOURS}
    for i in range(seeds):
        config = game("figure1", seed + i, steps)
        for law, found in densities.items():
            state = play_to_end(replace(config, noise=Noise(1, law))).state
            generator = state.average or state.players.generator
            found.append(exact.generator_cells(generator, law, EDGES))
            jsd[law][i] = exact.jensen_shannon(P, found[-1])
        both = ", ".join(f"{law} {values[i]:.4f}" for law, values in jsd.items())
        yield f"seed {seed + i} ({i + 1} of {seeds}): JSD {both}"
    return Shown(draw(densities, jsd), says(jsd))


def says(jsd: Mapping[str, Doubles]) -> str:
    """The two sentences under the figure."""
    gap = summarise(jsd["uniform"] - jsd["normal"])
    means = " and ".join(f"{np.mean(v):.4f} with {law} z" for law, v in jsd.items())
    far = "no more than" if abs(gap.mean) <= 2 * gap.error else "more than"
    return (
        f"Over {len(jsd['uniform'])} seeds of the same game p_g ends at a mean JSD of {means} "
        f"(nats, of at most 0.693). The paired difference is {gap.mean:+.4f} +- {gap.error:.4f}, "
        f"{far} two standard errors, where the seeds of one law spread over "
        f"{max(np.ptp(v) for v in jsd.values()):.4f}."
    )


def draw(densities: Mapping[str, Sequence[Doubles]], jsd: Mapping[str, Doubles]) -> Figure:
    """Every seed's p_g for each law, and their divergences."""
    figure = style.page(330, page.WIDTH)
    for i, (law, found) in enumerate(densities.items()):
        span = "z ~ U(-1, 1)" if law == "uniform" else "z ~ N(0, 1)"
        axes = style.add_axes(figure, 56 + i * 268, 50, 236, 210, span, "x",
                              "" if i else "density per unit of x")  # fmt: skip
        axes.plot(X, np.transpose(found / WIDTH), color=COLOURS[law], linewidth=0.9, alpha=0.6)
        axes.plot(X, P / WIDTH, color=style.REAL, linewidth=2)
        axes.set(xlim=(-4, 4), ylim=(0, 0.8))
        axes.tick_params(labelleft=i == 0)
        for y, text, colour in (
            (0.95, f"p_g, {len(found)} seeds", COLOURS[law]), (0.87, "p_data", style.REAL),
        ):  # fmt: skip
            style.add_label(axes, 0.98, y, text, colour, ha="right", transform=axes.transAxes)
    strip(style.add_axes(figure, 622, 50, 150, 210, "JSD a seed, nats", "bars: mean +- s.e."), jsd)
    return figure


def strip(axes: Axes, jsd: Mapping[str, Doubles]) -> None:
    """One point a seed, joined over the laws; the mean and its standard error beside them."""
    both = np.stack(list(jsd.values()))
    axes.plot([0, 1], both, color=style.RULE, linewidth=0.8, zorder=0)
    for i, (law, values) in enumerate(jsd.items()):
        axes.plot(np.full(len(values), i), values, "o", color=COLOURS[law], markersize=4)
        found = summarise(values)
        axes.errorbar(i + (0.25 if i else -0.25), found.mean, found.error, fmt="_", capsize=3,
                      color=style.INK, markersize=10)  # fmt: skip
    axes.set(xlim=(-0.6, 1.6), ylim=(0, 1.15 * both.max()))
    axes.set_xticks([0, 1], list(jsd))
    axes.yaxis.set_major_locator(MaxNLocator(4))
