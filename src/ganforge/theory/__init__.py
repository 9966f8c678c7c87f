"""The paper's theory in figures: each experiment trains what it needs and draws one figure.

One file for each experiment: a generator that yields lines on its progress and returns a
`page.Shown`, which holds the figure, two sentences on what it shows, and the numbers behind both.
The games are played in a temporary folder, see `games`.
"""

from __future__ import annotations

from collections.abc import Callable

from ganforge.theory import divergence, equilibrium, figure1, landscape, losses, noise
from ganforge.theory.page import Experiment

EXPERIMENTS: dict[str, Callable[..., Experiment]] = {
    "figure1": figure1.figure1,
    "losses": losses.losses,
    "divergence": divergence.divergence,
    "equilibrium": equilibrium.equilibrium,
    "noise": noise.noise,
    "landscape": landscape.landscape,
}

ABOUT = {
    "figure1": "p_data, p_g, D and D* of the 1-D game at four moments, and as a film",
    "losses": "every generator's loss and its gradient against D's logit: saturation",
    "divergence": "C(G) along a game: exact, and as a fresh discriminator estimates it",
    "equilibrium": "p-values of two-sample tests against N: can D separate finite samples?",
    "noise": "uniform against normal z, the same game, over seeds",
    "landscape": "D's surface, the generator's flow and samples in the plane, and a collapse",
}
