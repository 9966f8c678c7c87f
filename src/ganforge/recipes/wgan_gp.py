"""`wgan-gp`: a Wasserstein critic whose gradient is penalised, with residual networks.

System   ResNet of 128 channels for 32 x 32 pictures: G doubles the side three times, with batch
         norm; the critic has no norm. D descends D(G(z)) - D(x) + 10 (|grad D| - 1)^2 between real
         and generated examples, five turns to one of G. Adam 2e-4 with betas (0, 0.9), falling
         linearly to 0; batch 64; weights of the 3x3 convolutions by He, the others by Glorot.
Source   Gulrajani et al. 2017, "Improved training of Wasserstein GANs", section 5.
Differs  G's batch is that of D (published: twice as large), and bytes are not dequantised.
Reaches  published: inception score 7.86 after 100,000 steps, the budget of this recipe; not yet
         run here.
Takes    a GPU at these widths and this budget; on CPU cores give smaller widths and --kimg, with
         which the rates fall over the shorter run.
Command  ganforge train wgan-gp
"""

from ganforge.config.schema import Config, Noise, Optimizer
from ganforge.gan.adversarial import Adversarial
from ganforge.gan.penalties import GradientPenalty
from ganforge.nets.resnet import ResNet

SOURCES = ("gulrajani2017",)


def wgan_gp() -> Config:
    adam = Optimizer(lr=2e-4, betas=(0.0, 0.9), decay_from=0.0)
    return Config(
        name="wgan-gp",
        data="cifar10",
        size=32,
        networks=ResNet(),
        game=Adversarial(loss="wasserstein", d_steps=5, penalties=(GradientPenalty(10.0),)),
        noise=Noise(128),
        batch=64,
        kimg=32_000,  # 100,000 steps of 5 batches of 64
        generator=adam,
        discriminator=adam,
    )
