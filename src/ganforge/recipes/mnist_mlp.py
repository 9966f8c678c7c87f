"""`mnist-mlp`: perceptrons with batch norm on MNIST, k = 3, as published (and it collapses).

System   z in R^100 ~ N(0, I). G 100-256-512-1024-784, batch norm and leaky ReLU, tanh.
         D 784-512-256-1, leaky ReLU. Adam 1e-4 for G, 2e-4 for D. Binary cross-entropy, D's
         halved, G on D's last z. 200 epochs of D's real images, k = 3.
Source   the 'paper explained' article on Goodfellow et al. 2014 and its PyTorch code.
Differs  Its inner loop skips `backward` in all but the last of the k steps, so its D takes one step
         and not k; ours takes k, each on fresh data and noise, where its k share one real batch.
         An epoch of ours is one pass of D, so 200 epochs are a third of its G steps. Its text has
         uniform z, its code normal: ours is the code's. Its batch size is not stated: ours is 64.
Reaches  digits late, mode collapse early: in its first epochs it emits a few shapes only.
Takes    about 25 s an epoch on two CPU cores.
Command  ganforge train mnist-mlp
"""

from ganforge.config.schema import Config, Optimizer, Output
from ganforge.gan.adversarial import Adversarial
from ganforge.nets import MLP
from ganforge.recipes.results import Reached

SOURCES = ("goodfellow2014",)
REACHED = (
    Reached(
        "mnist", "collapsed: a few shapes, loss_D 0.01, one seed", "2 epochs of its 200, one thread"
    ),
)


def mnist_mlp() -> Config:
    return Config(
        name="mnist-mlp",
        networks=MLP(generator_norm="batch"),
        game=Adversarial(halve=True, d_steps=3, fresh_noise=False),
        epochs=200,
        generator=Optimizer(lr=1e-4),
        output=Output(grid=25),
    )
