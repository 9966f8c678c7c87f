"""`dcgan`: the convolutional GAN everybody means by the name, for 16 to 256 pixels.

System   Transposed convolutions up, strided convolutions down, batch norm in both (not at G's
         output or D's input), ReLU in G, leaky ReLU in D; weights N(0, 0.02); Adam 2e-4 with betas
         (0.5, 0.999).
Source   Radford, Metz, Chintala 2015, "Unsupervised representation learning with DCGANs".
Differs  As the tutorials do: normal z (the paper: uniform), batch 64 (the paper: 128), and G begins
         at 8 times 64 channels for 64 x 64 (the paper: 1,024).
Reaches  clean digits on MNIST after a few epochs; any folder of pictures with --data DIR --size 64.
Takes    about 2 minutes an epoch of MNIST on two CPU cores.
Command  ganforge train dcgan
"""

from ganforge.config.schema import Config, Optimizer
from ganforge.gan.adversarial import Adversarial
from ganforge.nets import DCGAN
from ganforge.recipes.results import Reached

SOURCES = ("radford2015",)
REACHED = (
    Reached(
        "mnist",
        "clean digits, by eye",
        "a few epochs, about 2 minutes an epoch on two CPU cores",
        "ganforge recipes dcgan",
    ),
)


def dcgan() -> Config:
    adam = Optimizer(betas=(0.5, 0.999))
    return Config("dcgan", DCGAN(), Adversarial(), generator=adam, discriminator=adam)
