"""`cyclegan`: turn pictures of one kind into another, from two folders without pairs.

System   Two residual generators, each the other's inverse, and a patch discriminator for each
         domain; least squares + 10 cycle + 5 identity; the discriminators see a pool of 50 earlier
         pictures; Adam 2e-4 with betas (0.5, 0.999), rates flat for the first half and then linear
         to 0; weights N(0, 0.02).
Source   Zhu, Park, Isola, Efros 2017, "Unpaired image-to-image translation using cycle-consistent
         adversarial networks".
Differs  Width 32, 6 blocks, n = 2 and batch 4 at 64 pixels; the discriminators move first; one Adam
         for both generators and one for both discriminators, as in the authors' PyTorch port. As
         published, at 256 pixels on a GPU: --size 256 --batch 1 --networks.generator_width 64
         --networks.discriminator_width 64 --networks.blocks 9 --networks.patch_layers 3.
Reaches  colour and texture of the other domain, at the place where they were.
Cannot   change shapes: a dog does not become a cat. It hides what it needs for the way back, where
         the cycle alone is strong.
Takes    several times as long as pix2pix for a picture; a whole run has not been measured.
Yours    ganforge train cyclegan --data A/ B/ --size 64
Command  ganforge train cyclegan
"""

from ganforge.config.schema import Config, Noise, Optimizer
from ganforge.gan.cycle import Cycle
from ganforge.nets import CycleNetworks

SOURCES = ("zhu2017",)


def cyclegan() -> Config:
    adam = Optimizer(lr=2e-4, betas=(0.5, 0.999), decay_from=0.5)
    return Config(
        name="cyclegan",
        networks=CycleNetworks(
            generator_width=32, discriminator_width=32, blocks=6, patch_layers=2
        ),
        game=Cycle(),
        data="emoji-pairs",
        batch=4,
        epochs=200,
        noise=Noise(1),
        generator=adam,
        discriminator=adam,
    )
