"""`infogan`: a code of ten classes and two numbers that find digit, slant and width by themselves.

System   z of 74 numbers: 62 from U(-1, 1), a categorical code of 10 classes, two codes from
         U(-1, 1). G: linear 1024, linear 7 x 7 x 128, two transposed convolutions, batch norm and
         ReLU. D: two convolutions and linear 1024, leaky ReLU of slope 0.01, batch norm but in the
         first layer; Q shares them, then linear 128. Non-saturating loss; both objectives have
         minus the mutual-information bound, weight 1. Adam with beta1 0.5, D 2e-4, G 1e-3, batch
         128, 5,000 steps.
Source   Chen et al. 2016, "InfoGAN: interpretable representation learning by information
         maximizing generative adversarial nets", in the form of the published code.
Differs  The codes are named digit, slant and width before anybody has looked: what the second and
         the third show differs from seed to seed, and they may be exchanged.
Reaches  the published widths have not been run. Narrow players (below), some 3,950 steps, two
         seeds: 25 and 38 % of the samples have another digit than their class is matched with.
Takes    77 minutes in bf16 on one busy CPU thread; narrow players about 35.
Narrow   --networks.width 16 --networks.hidden 128 --networks.init.law default: with the published
         N(0, 0.02) narrow players hardly learn.
Codes    ganforge sample runs/infogan --codes digit=0..9
         ganforge interpolate runs/infogan --codes digit=3,slant=-2..2
Command  ganforge train infogan
"""

from ganforge.config.noise import LatentCode, Noise
from ganforge.config.schema import Config, Optimizer
from ganforge.gan.information import Information
from ganforge.nets.infogan import InfoGAN

SOURCES = ("chen2016",)


def infogan() -> Config:
    codes = (
        LatentCode("digit", "categorical", 10),
        LatentCode("slant", "uniform", 1),
        LatentCode("width", "uniform", 1),
    )
    return Config(
        name="infogan",
        networks=InfoGAN(),
        game=Information(),
        noise=Noise(74, "uniform", codes),
        batch=128,
        kimg=640,
        generator=Optimizer(lr=1e-3, betas=(0.5, 0.999)),
        discriminator=Optimizer(lr=2e-4, betas=(0.5, 0.999)),
    )
