"""`gaussian`: the linear generator that learns a 2-D Gaussian, as published.

System   Data x = z A + b with A = [[1, 2], [-0.1, 0.5]], b = [1, 2], 1,000 points.
         G = Linear(2, 2), D = 2-5-3-1 with tanh. All parameters N(0, 0.02), Adam 0.05 for D and
         0.005 for G, batch 8, 20 epochs, binary cross-entropy summed over the batch, D's halved,
         G on D's last z.
Source   Zhang, Lipton, Li, Smola, "Dive into Deep Learning", chapter 20.1 (the GAN chapter).
Reaches  loss_D 0.693 and loss_G 0.693 (log 2: D can no longer tell). The game wanders all the same:
         the covariance of the samples ends within 10 % of the true one in few seeds only. For a
         game that arrives, see `gaussian-stable`.
Takes    about 3 s of training on one CPU core.
Command  ganforge train gaussian
"""

from ganforge.config.schema import Config, Noise, Optimizer, Output
from ganforge.gan.adversarial import Adversarial
from ganforge.nets import MLP, Init
from ganforge.recipes.results import Reached

SOURCES = ("zhang2023",)
REACHED = (
    Reached(
        "gaussian",
        "both losses within 0.006 of log 2 in 30 of 30 seeds, every entry of the covariance within "
        "10 % in 17 of 100",
        "20 epochs, about 3 s on one CPU core",
    ),
)


def gaussian() -> Config:
    init = Init("normal", 0.02, biases=True)
    return Config(
        name="gaussian",
        data="gaussian",
        networks=MLP((), (5, 3), discriminator_activation="tanh", init=init),
        game=Adversarial(reduction="sum", halve=True, fresh_noise=False),
        noise=Noise(2),
        batch=8,
        epochs=20,
        generator=Optimizer(lr=0.005),
        discriminator=Optimizer(lr=0.05),
        output=Output(grid=100, save_every=10),
    )
