"""`wgan-gp-toy`: the gradient penalty on 8 Gaussians on a circle, with perceptrons.

System   Perceptrons of 4 layers, 512 wide, with ReLU in both players, weights by He; z in R^2;
         D descends D(G(z)) - D(x) + 0.1 (|grad D| - 1)^2, five turns to one of G; Adam 1e-4 with
         betas (0.5, 0.9), batch 256.
Source   Gulrajani et al. 2017, "Improved training of Wasserstein GANs", the toy laws.
Differs  Radius and deviation are 1 and 0.01 (published: the same ratio, 2 and 0.02, over 1.414);
         10,000 steps (published: 100,000).
Reaches  not yet run to the end.
Takes    about 10 minutes on two CPU cores.
Command  ganforge train wgan-gp-toy
"""

from ganforge.config.schema import Config, Noise, Optimizer
from ganforge.gan.adversarial import Adversarial
from ganforge.gan.penalties import GradientPenalty
from ganforge.nets import MLP, Init

SOURCES = ("gulrajani2017",)


def wgan_gp_toy() -> Config:
    adam = Optimizer(lr=1e-4, betas=(0.5, 0.9))
    return Config(
        name="wgan-gp-toy",
        data="ring",
        networks=MLP(
            generator=(512,) * 3,
            discriminator=(512,) * 3,
            generator_activation="relu",
            discriminator_activation="relu",
            init=Init("he"),
        ),
        game=Adversarial(loss="wasserstein", d_steps=5, penalties=(GradientPenalty(0.1),)),
        noise=Noise(2),
        batch=256,
        kimg=12_800,  # 10,000 steps of 5 batches of 256
        generator=adam,
        discriminator=adam,
    )
