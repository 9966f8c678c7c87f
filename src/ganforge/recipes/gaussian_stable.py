"""`gaussian-stable`: the same 2-D Gaussian, by a game that converges.

System   Data and linear generator of `gaussian`. Relativistic loss, R1 + R2 with gamma 0.1 (a
         discriminator with penalised gradients at both sides makes the game contract), D 2-32-32-1
         leaky, Adam 0.005 betas (0.5, 0.99) falling to 0 over the second half, averaged generator.
Source   Mescheder et al. 2018, "Which training methods for GANs do actually converge?"; the loss
         of Huang et al. 2024 (R3GAN).
Reaches  every entry of the covariance within 10 % of [[1.01, 1.95], [1.95, 4.25]].
Takes    about 10 s on one CPU core.
Command  ganforge train gaussian-stable
"""

from dataclasses import replace

from ganforge.config.schema import Config, Optimizer
from ganforge.gan.adversarial import Adversarial
from ganforge.gan.penalties import R1, R2
from ganforge.nets import MLP
from ganforge.recipes.gaussian import gaussian
from ganforge.recipes.results import Reached

SOURCES = ("mescheder2018", "huang2024")
REACHED = (
    Reached(
        "gaussian",
        "every entry of the covariance within 10 % in 10 of 10 seeds",
        "about 10 s on one CPU core",
    ),
)


def gaussian_stable() -> Config:
    adam = Optimizer(lr=0.005, betas=(0.5, 0.99), decay_from=0.5)
    return replace(
        gaussian(),
        name="gaussian-stable",
        networks=MLP((), (32, 32)),
        game=Adversarial("relativistic", penalties=(R1(0.1), R2(0.1))),
        generator=adam,
        discriminator=adam,
        batch=64,
        epochs=200,
        ema=0.995,
    )
