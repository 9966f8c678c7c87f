"""`pix2pix`: turn pictures of one kind into another, from a few hundred pairs.

System   A U-Net generator and a patch discriminator that sees the source beside the picture;
         cross-entropy + 100 L1; dropout in place of noise, in translation too; Adam 2e-4 with betas
         (0.5, 0.999), rates flat for the first half and then linear to 0; weights N(0, 0.02).
Source   Isola, Zhu, Zhou, Efros 2017, "Image-to-image translation with conditional adversarial
         networks"; the rates fall as in the authors' PyTorch port.
Differs  Instance norm (the paper: batch norm at batch 1, which is the same but for a gain and a
         shift), width 32, n = 2 and batch 4 at 64 pixels. As published, at 256 pixels on a GPU:
         --size 256 --batch 1 --networks.generator_width 64 --networks.discriminator_width 64
         --networks.patch_layers 3.
Reaches  with OpenMoji's line drawings at 32 pixels, after 29,632 pictures: 88 % of the held-out
         translations are nearest to their target of 110; in L1 and SSIM they are as near as a copy
         of the source. Longer runs have not been measured.
Cannot   change what the pairs do not settle: where source and target do not lie on each other it
         blurs, and it invents one answer of many.
Takes    7 minutes on one CPU core for 29,632 pictures (68 a second).
Yours    ganforge train pix2pix --data PAIRS/ --size 64
Command  ganforge train pix2pix
"""

from ganforge.config.schema import Config, Noise, Optimizer
from ganforge.gan.translation import Translation
from ganforge.nets import UNet
from ganforge.recipes.results import Reached

SOURCES = ("isola2017",)
REACHED = (
    Reached(
        "openmoji-lines",
        "l1 .129, SSIM .815, retrieval .882 of 110 at 32 pixels, one seed; a copy of the source "
        ".1272, .8215, .818",
        "29,632 pictures in 7 minutes on one thread with --size 32 --batch 8 "
        "--networks.patch_layers 1",
    ),
)


def pix2pix() -> Config:
    adam = Optimizer(lr=2e-4, betas=(0.5, 0.999), decay_from=0.5)
    return Config(
        name="pix2pix",
        networks=UNet(generator_width=32, discriminator_width=32, patch_layers=2),
        game=Translation(),
        data="openmoji-lines",
        batch=4,
        epochs=200,
        noise=Noise(1),
        generator=adam,
        discriminator=adam,
    )
