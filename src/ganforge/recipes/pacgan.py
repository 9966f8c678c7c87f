"""`pacgan`: the discriminator judges two points at once, so that missing modes show.

System   z ~ N(0, I_2). G four layers of 400 with batch norm and ReLU; D three maxout layers of 200
         units with 5 pieces, on packs of two points; weights N(0, 0.02); cross-entropy; Adam 1e-4
         with betas (0.8, 0.999), batch 100.
Source   Lin et al. 2018, "PacGAN: the power of two samples in generative adversarial networks".
Differs  40,000 iterations (published: 400,000).
Reaches  not yet run on many seeds.
Takes    about 12 minutes a seed on one CPU core.
Yours    any game takes --game.pack 2: ganforge train dcgan --game.pack 2
Command  ganforge train pacgan
"""

from ganforge.config.schema import Config, Noise, Optimizer
from ganforge.gan.adversarial import Adversarial
from ganforge.nets import MLP, Init

SOURCES = ("lin2018",)


def pacgan() -> Config:
    adam = Optimizer(lr=1e-4, betas=(0.8, 0.999))
    return Config(
        name="pacgan",
        data="grid",
        networks=MLP(
            generator=(400,) * 4,
            discriminator=(200,) * 3,
            generator_norm="batch",
            generator_activation="relu",
            discriminator_activation="maxout",
            pieces=5,
            init=Init("normal", 0.02),
        ),
        game=Adversarial(pack=2),
        noise=Noise(2),
        batch=100,
        kimg=4_000,
        generator=adam,
        discriminator=adam,
    )
