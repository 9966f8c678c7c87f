"""`ring`: 8 narrow Gaussians on a circle, all of them in every seed.

System   `grid` at a quarter of its size: D's sines reach four times the frequency, and gamma, a
         weight on squared gradients, falls from 1 to a sixteenth of the grid's last, .002.
Source   the law and the criteria: Srivastava et al. 2017, Lin et al. 2018 (PacGAN).
Reaches  8 of 8 in every one of ten seeds, high quality 93.6 %, reverse KL .004 (docs/results.md).
         docs/search.md: what else was tried.
Takes    about 11 minutes for ten seeds at once on one CPU core (`ganforge reproduce ring`).
Command  ganforge train ring
"""

from dataclasses import replace

from ganforge.config import Config
from ganforge.penalties import R1, R2
from ganforge.recipes.grid import grid


def ring() -> Config:
    base = grid()
    penalties = (R1(1.0, 4, 0.002, 0.5), R2(1.0, 4, 0.002, 0.5))
    return replace(
        base,
        name="ring",
        data="ring",
        networks=replace(base.networks, discriminator_frequency=64.0),
        game=replace(base.game, penalties=penalties),
    )
