"""`parzen`: the adversarial nets of 2014 on MNIST, with the figure they were judged by.

System   z ~ N(0, I_100). G 100-1200-1200-784 ReLU, sigmoid, weights U(-.05, .05), output bias
         from the pixels' means. D two layers of 240 maxout units of 5 pieces, weights
         U(-.005, .005), inputs of its layers stay with probability .8, .5, .5. Non-saturating
         loss, k = 1, both players' gradients at one point. Both by SGD, batch 100, rate
         .1 / 1.000004^step but at least 1e-6, momentum .5 rising to .7 over 250 epochs. MNIST's
         first 50,000.
Source   Goodfellow et al. 2014, table 1: 225 +- 2 nats of the Parzen window; conditional nets 132.
Differs  The epochs are not stated: ours are 200. The paper does not state z; its MNIST file has
         100 numbers and leaves their law at its code's default, the normal one.
Reaches  180.7 +- 2.3 nats on the test digits (seed 0), still rising: docs/results.md.
Takes    about 45 minutes on one CPU core with bf16 (`ganforge reproduce parzen`).
Command  ganforge train parzen
"""

from ganforge.config.schema import Config, Optimizer, Output
from ganforge.gan.adversarial import Adversarial
from ganforge.nets import MLP, Init
from ganforge.recipes.results import Reached

SOURCES = ("goodfellow2014",)
REACHED = (
    Reached(
        "mnist-50000",
        "180.7 +- 2.3 nats, seed 0; published 225, 10,000 training digits 242.6",
        "200 epochs, about 45 minutes on one CPU core with bf16",
    ),
)


def parzen() -> Config:
    sgd = Optimizer(
        name="sgd",
        lr=0.1,
        shrink=1.000004,
        least=1e-6,
        momentum=0.5,
        momentum_to=0.7,
        momentum_steps=250 * 500,
    )
    return Config(
        name="parzen",
        networks=MLP(
            generator=(1200, 1200),
            discriminator=(240, 240),
            generator_activation="relu",
            discriminator_activation="maxout",
            discriminator_input_dropout=0.2,
            discriminator_dropout=0.5,
            pixels="unit",
            output_bias="data",
            init=Init("uniform", 0.05),
            discriminator_init=Init("uniform", 0.005),
        ),
        game=Adversarial(halve=True, fresh_noise=False, simultaneous=True),
        data="mnist-50000",
        batch=100,
        epochs=200,
        generator=sgd,
        discriminator=sgd,
        output=Output(sample_every=10, save_every=5),
    )
