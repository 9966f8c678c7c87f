"""`mnist-dropout`: perceptrons with dropout and one-sided label smoothing on MNIST.

System   z ~ U(-1, 1). D 784-128-64-32-1, G z-32-64-128-784, leaky ReLU and dropout 0.3 after each
         hidden layer, tanh. Binary cross-entropy, real target 0.9 for D alone, Adam 0.002 for both,
         100 epochs. 16 fixed noise vectors are drawn after every epoch.
Source   the report on three GANs (its first model); one-sided smoothing: Salimans et al. 2016.
Differs  The size of z and the batch size are not stated: ours are 100 and 64.
Reaches  blurred, speckled digits: the weakest pictures of the report's three.
Takes    about 10 s an epoch on two CPU cores.
Command  ganforge train mnist-dropout
"""

from ganforge.config.schema import Config, Noise, Optimizer, Output
from ganforge.gan.adversarial import Adversarial
from ganforge.nets import MLP
from ganforge.recipes.results import Reached

SOURCES = ("salimans2016",)
REACHED = (
    Reached(
        "mnist",
        "FD 970 +- 20 over five seeds, real examples 1.57 (mnist-lenet, 10,000 test digits)",
        "3 epochs of its 100, 17 seconds",
    ),
)


def mnist_dropout() -> Config:
    adam = Optimizer(lr=2e-3)
    sizes = (32, 64, 128)
    return Config(
        name="mnist-dropout",
        networks=MLP(sizes, sizes[::-1], generator_dropout=0.3, discriminator_dropout=0.3),
        game=Adversarial(smoothing=0.1),
        noise=Noise(law="uniform"),
        epochs=100,
        generator=adam,
        discriminator=adam,
        output=Output(grid=16),
    )
