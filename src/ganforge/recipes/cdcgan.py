"""`cdcgan`: the default: a convolutional, conditional GAN that learns MNIST in minutes.

System   DCGAN's generator with the label embedded and joined to z; a discriminator of the same
         widths without batch norm, which reads the label by projection; relativistic loss with
         R1 + R2 (gamma 0.1, every 4th step), pairs share their label; an auxiliary
         classification of weight 0.1; Adam 2e-3 with betas (0, 0.99), falling to 0 over the second
         half; an averaged generator with decay min(0.998, (1 + t) / (10 + t)) at step t. The five
         epochs (4,297 steps) end in its warm-up, which takes 4,490: the last decay is
         4297 / 4306 = 0.9979, a half-life of 21,200 images, and 0.998 is never reached.
Source   Radford et al. 2015 (nets); Miyato & Koyama 2018 (projection); Huang et al. 2024 (R3GAN's
         loss and penalties); Karras et al. 2020 (lazy penalties); Odena et al. 2017
         (classification). Rate and weight were searched for: docs/notes/search.md.
Reaches  FD 2.3 beside 1.6 of real digits in mnist-lenet; 99.9 % of the digits obey their labels.
Takes    about 2 minutes on two CPU cores.
Command  ganforge train
"""

from ganforge.config.schema import Config, Optimizer
from ganforge.gan.adversarial import Adversarial
from ganforge.gan.penalties import R1, R2
from ganforge.nets import DCGAN
from ganforge.recipes.results import Reached

SOURCES = ("radford2015", "miyato2018", "huang2024", "karras2020analyzing", "odena2017")
REACHED = (
    Reached(
        "mnist",
        "FD 2.27 to 2.53 in ten seeds, real examples 1.57 (mnist-lenet, 10,000 test digits)",
        "5 epochs, 2 minutes on two cores of an AMD EPYC",
    ),
    Reached(
        "fashion-mnist",
        "FD 1.43 +- .30, real examples .70 (mnist-lenet, 2,500 validation pictures), one seed",
        "275,008 images, 334 seconds on one thread",
    ),
    Reached(
        "cifar10",
        "FD 3.06 +- .31, real examples .94 (pca, 2,500 validation pictures), one seed",
        "225,024 images, 386 seconds on one thread",
    ),
)


def cdcgan() -> Config:
    adam = Optimizer(lr=2e-3, betas=(0.0, 0.99), decay_from=0.5)
    penalties = (R1(0.1, 4), R2(0.1, 4))
    return Config(
        name="cdcgan",
        labels=True,
        networks=DCGAN(32, 32, discriminator_norm="none", biases=True, label="projection"),
        game=Adversarial("relativistic", classify=0.1, fake_labels="data", penalties=penalties),
        epochs=5,
        ema=0.998,
        generator=adam,
        discriminator=adam,
    )
