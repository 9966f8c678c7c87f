"""The paper's theory in figures: each experiment trains what it needs and draws one figure.

    gf.theory.losses().save("losses.png")

One file for each experiment: a generator that yields lines on its progress and returns a
`page.Shown`, which holds the figure, two sentences on what it shows, and the numbers behind both.
The games are played in a temporary folder, see `games`.
"""

from __future__ import annotations

from collections.abc import Callable

from ganforge.theory import experiments
from ganforge.theory.page import Experiment, Shown

EXPERIMENTS: dict[str, Callable[..., Experiment]] = {
    "figure1": experiments.figure1.figure1,
    "losses": experiments.losses.losses,
    "divergence": experiments.divergence.divergence,
    "equilibrium": experiments.equilibrium.equilibrium,
    "noise": experiments.noise.noise,
    "landscape": experiments.landscape.landscape,
}


def played(name: str, seed: int) -> Shown:
    """What an experiment shows; its lines on the progress are left out."""
    experiment = EXPERIMENTS[name](seed)
    while True:
        try:
            next(experiment)
        except StopIteration as end:
            shown: Shown = end.value
            return shown


def figure1(seed: int = 0) -> Shown:
    """p_data, p_g, D and D* of the 1-D game at four moments, and as a film."""
    return played("figure1", seed)


def losses(seed: int = 0) -> Shown:
    """Every generator's loss and its gradient against D's logit: saturation."""
    return played("losses", seed)


def divergence(seed: int = 0) -> Shown:
    """C(G) along a game: exact, and as a fresh discriminator estimates it."""
    return played("divergence", seed)


def equilibrium(seed: int = 0) -> Shown:
    """p-values of two-sample tests against N: can D separate finite samples?"""
    return played("equilibrium", seed)


def noise(seed: int = 0) -> Shown:
    """Uniform against normal z, the same game, over seeds."""
    return played("noise", seed)


def landscape(seed: int = 0) -> Shown:
    """D's surface, the generator's flow and samples in the plane, and a collapse."""
    return played("landscape", seed)
