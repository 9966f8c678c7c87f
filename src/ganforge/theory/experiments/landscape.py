"""`lab landscape`: a game in the plane: D's surface, the samples, and where G's loss moves them.

Eight Gaussians on a ring. Arrows are -dL_G/dx, the direction in which G's loss would move a sample
there (G follows as far as its weights allow). Two games are shown, which differ in one number: one
turn of G for each turn of D, and twenty. Proposition 2 of Goodfellow et al. 2014 requires that D
reaches its best before p_g moves; the second game breaks that condition.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from ganforge.config.schema import Config, Noise, Optimizer
from ganforge.data import toy
from ganforge.data.dataset import Dataset, digest
from ganforge.data.spec import DataSpec
from ganforge.evaluation.inputs import Mixture
from ganforge.evaluation.metrics import modes
from ganforge.gan.adversarial import Adversarial
from ganforge.gan.losses import LOSSES
from ganforge.gan.penalties import R1
from ganforge.gan.players import Players
from ganforge.nets import MLP
from ganforge.plotting import style
from ganforge.rng import Stream
from ganforge.theory import exact, page
from ganforge.theory.games import play
from ganforge.theory.page import Experiment, Shown
from ganforge.training.trainer import Trainer
from ganforge.types import Doubles, Floats

LAW = toy.ring(8, radius=2.0, sigma=0.1)
MODES = np.asarray(LAW.modes, dtype=np.float64)
REACH = 3.2  # half of the square that is shown
MANY = 20  # turns of G to one of D in the second game
ROUNDS = 1000
SIDE = 81  # points of D's surface along a side
ARROWS = 15
SAMPLES = 400
DOT, ARROW = "#B34700", "#555555"
TITLES = ("One turn of G to one of D", f"{MANY} turns of G to one of D")


@dataclass(frozen=True)
class Moment:
    """One state of a game.

    surface: D on a SIDE x SIDE lattice. flow: (A, 2) -dL_G/dx at `arrow_places`. samples: (N, 2).
    step: of the game. modes: those with a third of their share of samples.
    """

    surface: Doubles
    flow: Doubles
    samples: Floats
    step: int
    modes: int


def config(g_steps: int = 1, rounds: int = ROUNDS) -> Config:
    """The game: perceptrons, the non-saturating loss, R1."""
    adam = Optimizer(lr=1e-3, betas=(0.5, 0.99))
    return Config(
        name="landscape",
        data="ring",
        networks=MLP(generator=(64, 64), discriminator=(64, 64)),
        game=Adversarial(g_steps=g_steps, penalties=(R1(0.1),)),
        noise=Noise(2),
        batch=256,
        kimg=rounds * 256 / 1000,
        generator=adam,
        discriminator=adam,
        precision="fp32",
    )


def landscape(seed: int = 0, rounds: int = ROUNDS, frames: int = 24) -> Experiment:
    """Run the experiment: the two games at four moments, and both as a film.

    Args:
        seed: of the games and the samples.
        rounds: turns of D in each game.
        frames: of the film.
    """
    data = ring_data(seed)
    games: dict[int, list[Moment]] = {}
    for many in (1, MANY):
        chosen = replace(config(many, rounds), seed=seed)
        every = max(1, rounds // (4 * frames))
        games[many] = [moment(t, seed) for t in play(chosen, every, data)]
        end = games[many][-1].modes
        yield f"{many} of G to 1 of D: {rounds:,} rounds, {end} of 8 modes at the end"
    rows = [spread(game, 4) for game in games.values()]
    films = zip(*(spread(game, frames) for game in games.values()), strict=True)
    return Shown(draw(rows), says(games), page.frames(map(pair, films)))


def ring_data(seed: int) -> Dataset:
    """20,000 draws of the law."""
    values = LAW.sample(20_000, Stream(seed, "lab/landscape/data"))
    spec = DataSpec((2,), 0, "float32", False, (0.0,), (1.0,))
    return Dataset("ring", "train", spec, values, sha256=digest(values, None))


def spread(game: Sequence[Moment], count: int) -> list[Moment]:
    """The first moment, the last, and others between, closer together at the start."""
    at = np.round(np.linspace(0, 1, count) ** 2 * (len(game) - 1)).astype(int)
    return [game[i] for i in at]


def square(side: int, reach: float = REACH) -> Doubles:
    """(side^2, 2) points of a lattice on the square, x fastest."""
    line = np.linspace(-reach, reach, side)
    x, y = np.meshgrid(line, line)
    return np.stack([x.ravel(), y.ravel()], axis=1)


def moment(training: Trainer, seed: int) -> Moment:
    """What is drawn of a game at its current step."""
    players = training.state.players
    logit = exact.logits(players.discriminator, square(SIDE))
    z = torch.from_numpy(Stream(seed, "lab/landscape/z").normal(0, 2000, 2))
    with torch.no_grad():
        samples = players.generator(z, None, None).numpy()
    heavy = modes.count_modes(samples, Mixture(MODES, 0.1)).heavy
    surface = 1 / (1 + np.exp(-logit.reshape(SIDE, SIDE)))
    return Moment(surface, flow(players), samples, training.state.step, heavy)


def flow(players: Players) -> Doubles:
    """-dL_G/dx at the arrows' places, (A, 2): the direction in which a sample there would move."""
    x = torch.from_numpy(square(ARROWS, REACH * 0.93).astype(np.float32)).requires_grad_()
    logit = players.discriminate(x)
    loss_g = LOSSES["non-saturating"].generator(logit, logit)
    (slope,) = torch.autograd.grad(loss_g.sum(), x)
    return -slope.double().numpy()


def says(games: Mapping[int, Sequence[Moment]]) -> str:
    """The two sentences under the figure."""
    fair, hasty = (game[-1].modes for game in games.values())
    best = max(m.modes for m in games[MANY])
    return (
        "With one turn each, D's surface rises where the data lack samples, the arrows lead there, "
        f"and the samples end on {fair} of the 8 modes. With {MANY} turns of G to one of D the "
        f"samples all move together to where D was last high, and end on {hasty} of 8 (never on "
        f"more than {best}): a G that outruns D collapses the game."
    )


def draw(rows: Sequence[Sequence[Moment]]) -> Figure:
    """A row a game, four moments each."""
    figure = style.page(508, page.WIDTH)
    page.add_names(
        figure, 8, 8.5,
        (20, "circles: data (2 sigma)", style.REAL), (180, "dots: samples", DOT),
        (284, "arrows: -dL_G/dx", ARROW),
        (420, "shade: D, 0.3 (orange, fake) to 0.7 (blue, real)", style.INK),
    )  # fmt: skip
    for i, (moments, title) in enumerate(zip(rows, TITLES, strict=True)):
        top = 34 + i * 236
        style.add_heading(figure, 20, top, title)
        for j, now in enumerate(moments):
            left = 20 + j * 192
            panel(style.add_axes(figure, left, top + 38, 184, 184), now)
            caption = f"{now.step:,} turns of D, {now.modes} of 8 modes"
            style.add_text(figure, left, top + 20, caption, 8.5, color=style.MUTED)
    return figure


def panel(axes: Axes, now: Moment) -> None:
    """D's surface from orange (fake) to blue (real), arrows, data and samples."""
    shades = LinearSegmentedColormap.from_list("D", ["#F2B25C", "#FFFFFF", "#6FB1DC"])
    line = np.linspace(-REACH, REACH, SIDE)
    axes.contourf(line, line, now.surface.clip(0.3, 0.7), np.linspace(0.3, 0.7, 17), cmap=shades)
    places = square(ARROWS, REACH * 0.93)
    length = np.linalg.norm(now.flow, axis=1, keepdims=True)
    arrows = now.flow / np.maximum(length, 1e-9) * np.minimum(length, 1.0) ** 0.5
    axes.quiver(*places.T, *arrows.T, color=ARROW, angles="xy", scale_units="xy", scale=2.6,
                width=0.005, headwidth=4)  # fmt: skip
    for x, y in MODES:  # two standard deviations
        axes.add_patch(Circle((x, y), 0.2, fill=False, color=style.REAL, lw=1.4))
    samples = now.samples[:SAMPLES]
    axes.scatter(samples[:, 0], samples[:, 1], 3, DOT, linewidths=0, zorder=3)
    away = float((np.abs(now.samples) > REACH).any(1).mean())
    if away > 0.005:
        style.add_label(axes, 0.97, 0.03, f"{100 * away:.0f} % outside", DOT, 8, ha="right",
                        va="bottom", transform=axes.transAxes)  # fmt: skip
    axes.set(xlim=(-REACH, REACH), ylim=(-REACH, REACH), aspect="equal")
    style.frame(axes)


def pair(moments: Sequence[Moment]) -> Figure:
    """One frame of the film: both games."""
    figure = style.page(300, 540)
    for i, (now, title) in enumerate(zip(moments, TITLES, strict=True)):
        left = 12 + i * 264
        panel(style.add_axes(figure, left, 42, 252, 252), now)
        style.add_heading(figure, left, 4, title)
        style.add_text(figure, left, 22, f"{now.step:,} turns of D", color=style.MUTED)
    return figure
