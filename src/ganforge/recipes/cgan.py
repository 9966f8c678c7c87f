"""`cgan`: the conditional perceptron GAN: ask for a digit, get that digit.

System   G: a label's embedding (10 numbers) joined to z in R^100 ~ N(0, I), 110-256-512-1024-784,
         leaky ReLU, tanh. D: the picture joined to another embedding, 794-1024-512-256-1,
         leaky ReLU and dropout 0.3. All parameters N(0, 0.01). Fakes' labels uniform over all ten.
Source   Mirza & Osindero 2014, "Conditional generative adversarial nets"; the report on three GANs
         (its third model).
Differs  Rate and epochs are not stated: ours are 1e-4 and 50. Its G step draws the nominal batch
         size on a short last batch; ours has no short batches.
Reaches  digits that obey their labels.
Takes    about 20 s an epoch on two CPU cores.
Command  ganforge train cgan
"""

from ganforge.config.schema import Config, Optimizer
from ganforge.gan.adversarial import Adversarial
from ganforge.nets import MLP, Init
from ganforge.recipes.results import Reached

SOURCES = ("mirza2014",)
REACHED = (
    Reached(
        "mnist",
        "89.1 % of 10,000 digits have the right label, the worst digit 78.7 %, one seed",
        "50 epochs, 14 minutes on one thread",
    ),
)


def cgan() -> Config:
    adam = Optimizer(lr=1e-4)
    init = Init("normal", 0.01, biases=True)
    return Config(
        name="cgan",
        labels=True,
        networks=MLP(discriminator=(1024, 512, 256), discriminator_dropout=0.3, init=init),
        game=Adversarial(),
        epochs=50,
        generator=adam,
        discriminator=adam,
    )
