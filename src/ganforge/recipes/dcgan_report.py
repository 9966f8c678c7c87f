"""`dcgan-report`: the small convolutional GAN of the report, for 28 x 28.

System   D: convolutions 4x4/2, 1-32-64-128, batch norm from the second, leaky ReLU, one linear
         logit. G: a linear layer to 128 x 4 x 4, transposed convolutions to 7, 14, 28, batch norm
         and ReLU, tanh. No bias in convolutions. Losses, noise and optimisers of `mnist-dropout`.
Source   the report on three GANs (its second model).
Differs  Its D flattens with view(-1, 128 * 4 * 4), but a 28 x 28 picture leaves 3 x 3 there: batch
         elements are mixed silently and 64 pictures give 36 logits. Ours derives the size.
Reaches  sharper digits than the perceptrons.
Takes    about 45 s an epoch on two CPU cores.
Command  ganforge train dcgan-report
"""

from dataclasses import replace

from ganforge.config.schema import Config
from ganforge.nets import DCGAN, Init
from ganforge.recipes.mnist_dropout import mnist_dropout
from ganforge.recipes.results import Reached

REACHED = (
    Reached(
        "mnist",
        "FD 187 +- 31 over five seeds, real examples 1.57 (mnist-lenet, 10,000 test digits)",
        "3 epochs, 121 seconds",
    ),
)


def dcgan_report() -> Config:
    networks = DCGAN(32, 32, project_norm=False, init=Init())
    return replace(mnist_dropout(), name="dcgan-report", networks=networks)
