"""`ring`: 8 narrow Gaussians on a circle, all of them in every seed.

System   `grid` at a quarter of its size: G has three layers, D's sines reach four times the
         frequency, and gamma, a weight on squared gradients, falls from 1 to .0002.
Source   the law and the criteria: Srivastava et al. 2017, Lin et al. 2018 (PacGAN).
Reaches  8 of 8 in every one of ten seeds, high quality 96.8 %, reverse KL .003 (docs/results.md).
         docs/notes/search.md: what else was tried.
Takes    about 10 minutes for ten seeds, five at once on each of two CPU cores
         (`ganforge reproduce ring --seeds 10..14 --threads 1`, and 15..19 beside it).
Command  ganforge train ring
"""

from dataclasses import replace

from ganforge.config.schema import Config
from ganforge.gan.penalties import R1, R2
from ganforge.recipes.grid import grid
from ganforge.recipes.results import Reached

SOURCES = ("srivastava2017", "lin2018")
REACHED = (
    Reached(
        "ring",
        "8 of 8 modes in all ten seeds, high quality 96.8 +- .2 %, reverse KL .003 +- .0004",
        "40,000 iterations, 10.3 minutes for ten seeds on two CPU cores",
    ),
)


def ring() -> Config:
    base = grid()
    penalties = (R1(1.0, 4, 0.0002, 0.5), R2(1.0, 4, 0.0002, 0.5))
    return replace(
        base,
        name="ring",
        data="ring",
        networks=replace(base.networks, generator=(128,) * 3, discriminator_frequency=64.0),
        game=replace(base.game, penalties=penalties),
    )
