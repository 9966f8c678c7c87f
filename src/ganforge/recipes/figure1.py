"""`figure1`: the one-dimensional game, in which everything can be drawn.

System   x from a 1-D law, z ~ U(-1, 1), perceptrons of 64-64 tanh units for both players, k = 2:
         p_data, p_g and D(x) = p_data / (p_data + p_g) can be seen moving (`ganforge plot
         runs/figure1`, `ganforge lab figure1`).
Source   Goodfellow et al. 2014, figure 1 (the text gives no sizes and no optimiser; ours are Adam,
         0.005 for D and 0.001 for G, falling to 0 from 30 % of the budget on, R1 with gamma 0.003,
         batch 512).
Reaches  a Jensen-Shannon divergence to p_data of 0.011 to 0.019 nats (of at most 0.693; seeds 0 to
         4, exact, `ganforge lab noise`): both modes and the valley, with D near D*. The far tails,
         from |x| = 2.6 on, stay bare: a bounded z through a smooth G ends somewhere. Normal z gets
         there.
Takes    about 30 s on one CPU core.
Command  ganforge train figure1
"""

from ganforge.config.schema import Config, Noise, Optimizer, Output
from ganforge.gan.adversarial import Adversarial
from ganforge.gan.penalties import R1
from ganforge.nets import MLP
from ganforge.recipes.results import Reached

SOURCES = ("goodfellow2014",)
REACHED = (
    Reached(
        "mixture1d",
        "a Jensen-Shannon divergence of 0.011 to 0.019 nats of at most 0.693, seeds 0 to 4",
        "about 30 s on one CPU core",
        "ganforge recipes figure1",
    ),
)


def figure1() -> Config:
    # D learns faster and plays twice, for a D that lags lets G fold the line onto itself for good;
    # a little R1 keeps it from chasing G into one mode
    networks = MLP((64, 64), (64, 64), generator_activation="tanh", discriminator_activation="tanh")
    g, d = (Optimizer(lr=lr, betas=(0.5, 0.99), decay_from=0.3) for lr in (1e-3, 5e-3))
    return Config(
        name="figure1",
        data="mixture1d",
        networks=networks,
        game=Adversarial(d_steps=2, penalties=(R1(0.003),)),
        noise=Noise(1, "uniform"),
        batch=512,
        kimg=3072,
        generator=g,
        discriminator=d,
        ema=0.99,
        output=Output(grid=2000, save_every=20, sample_every=5),
    )
