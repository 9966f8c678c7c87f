"""`stylegan2`: a style-based generator with the settings of its authors for small pictures.

System   StyleGAN2 for 32 x 32 pictures: a mapping of 2 layers, modulated convolutions with noise,
         styles mixed in 9 of 10 pictures, a residual discriminator with minibatch standard
         deviation over 4; non-saturating loss; R1 (gamma 2e-4 side^2 / batch = 0.0064) at every
         16th step and path length (weight 2) at every 4th; Adam 2.5e-3 with betas (0, 0.99),
         batch 32; an averaged generator with a half-life of 10,000 images, of 0.05 of the images
         seen at first.
Source   Karras et al. 2020, "Analyzing and improving the image quality of StyleGAN" and "Training
         generative adversarial networks with limited data", the settings `auto`.
Differs  Penalties are part of the step at which they are due (published: a separate step, with
         other rates); coin and cut of mixed styles are drawn for each picture (published: for a
         batch); path length compares with the mean length before its update.
Reaches  not yet run to the end.
Takes    a GPU at these widths and this budget; 100 images a second on one CPU core with 32 channels
         (--networks.base 1024 --networks.most 32 --networks.styles 64 --noise.size 64).
Command  ganforge train stylegan2
"""

from ganforge.config.schema import Average, Config, Noise, Optimizer
from ganforge.gan.adversarial import Adversarial
from ganforge.gan.path_length import PathLength
from ganforge.gan.penalties import R1
from ganforge.nets.stylegan import StyleGAN2

SOURCES = ("karras2020analyzing", "karras2020training")


def stylegan2() -> Config:
    adam = Optimizer(lr=2.5e-3, betas=(0.0, 0.99))
    return Config(
        name="stylegan2",
        data="cifar10",
        size=32,
        networks=StyleGAN2(),
        game=Adversarial(loss="non-saturating", penalties=(R1(0.0064, 16), PathLength())),
        noise=Noise(512),
        batch=32,
        kimg=25_000,
        ema=Average(half_life=10_000, ramp_up=0.05),
        generator=adam,
        discriminator=adam,
    )
