"""`pictures`: the default for a folder of pictures: `ganforge train PICTURES/` adapts it to them.

System   DCGAN's discriminator without norms; a generator of 3x3 convolutions with batch norm and
         bilinear doubling; relativistic loss with R1 + R2 (gamma 1, every 4th step), labels, if
         there are any, by projection; every picture in front of D moved by up to an eighth of its
         side, its border repeated; batch 16, Adam 1e-3 with betas (0, 0.99), falling to 0 over the
         second half; an averaged generator with a half-life of 10,000 images, at most 5 % of those
         seen.
Source   Radford et al. 2015 (nets); Huang et al. 2024 (loss and penalties); Karras et al. 2020
         (lazy penalties, average); Zhao et al. 2020 (augmentation). Found by search on two sets.
Reaches  docs/pictures.md has what was measured so far, of one seed.
Takes    about half an hour on two CPU cores at 64 x 64; on a GPU: unmeasured.
Command  ganforge train pictures
"""

from ganforge.augment.diffaugment import DiffAugment
from ganforge.config.schema import Average, Config, Optimizer
from ganforge.gan.adversarial import Adversarial
from ganforge.gan.penalties import R1, R2
from ganforge.nets import DCGAN
from ganforge.nets.init import Init

SOURCES = ("radford2015", "huang2024", "karras2020analyzing", "zhao2020")


def pictures() -> Config:
    adam = Optimizer(lr=1e-3, betas=(0.0, 0.99), decay_from=0.5)
    return Config(
        name="pictures",
        networks=DCGAN(
            generator_width=32,
            discriminator_width=32,
            discriminator_norm="none",
            biases=True,
            label="projection",
            init=Init("default"),
            upsampling="bilinear",
        ),
        game=Adversarial(
            loss="relativistic",
            fake_labels="data",
            penalties=(R1(1.0, 4), R2(1.0, 4)),
            augment=(DiffAugment(),),
        ),
        data="cifar10",
        batch=16,
        kimg=300,
        ema=Average(half_life=10_000, ramp_up=0.05),
        generator=adam,
        discriminator=adam,
    )
