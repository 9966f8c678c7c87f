"""`grid`: 25 narrow Gaussians on a 5 x 5 grid, all of them in every seed.

System   z ~ N(0, I_2). G 4 x 128 and D 3 x 128 leaky, each with 64 sines of its input beside the
         input (five octaves up to frequency 16). Relativistic loss, R1 + R2 every 4th step with
         gamma falling from 1 to .003 over the first half, Adam .001 betas (0, .99) falling to 0
         over the second, batch 100, averaged generator, 40,000 iterations.
Source   the law and the criteria: Srivastava et al. 2017, Lin et al. 2018 (PacGAN); the game: Huang
         et al. 2024 (R3GAN); the sines: Tancik et al. 2020.
Reaches  25 of 25 in every one of ten seeds, high quality 94.2 %, reverse KL .013
         (docs/results.md). docs/notes/search.md: what else was tried.
Takes    about 11 minutes for ten seeds, five at once on each of two CPU cores
         (`ganforge reproduce grid --seeds 10..14 --threads 1`, and 15..19 beside it).
Command  ganforge train grid
"""

from ganforge.config.schema import Config, Noise, Optimizer
from ganforge.gan.adversarial import Adversarial
from ganforge.gan.penalties import R1, R2
from ganforge.nets import MLP
from ganforge.recipes.results import Reached

SOURCES = ("srivastava2017", "lin2018", "huang2024", "tancik2020")
REACHED = (
    Reached(
        "grid",
        "25 of 25 modes in all ten seeds, high quality 94.2 +- .3 %, reverse KL .013 +- .001",
        "40,000 iterations, 11.0 minutes for ten seeds on two CPU cores",
    ),
)


def grid() -> Config:
    adam = Optimizer(lr=1e-3, betas=(0.0, 0.99), decay_from=0.5)
    penalties = (R1(1.0, 4, 0.003, 0.5), R2(1.0, 4, 0.003, 0.5))
    return Config(
        name="grid",
        networks=MLP((128,) * 4, (128,) * 3, generator_sines=64, discriminator_sines=64),
        game=Adversarial("relativistic", penalties=penalties),
        data="grid",
        noise=Noise(2),
        batch=100,
        epochs=40,
        generator=adam,
        discriminator=adam,
        ema=0.998,
    )
