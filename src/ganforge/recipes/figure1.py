"""`figure1`: the one-dimensional game, in which everything can be drawn.

System   x from a 1-D law, z ~ U(-1, 1), small perceptrons for both players: p_data, p_g and
         D(x) = p_data / (p_data + p_g) can be seen moving (`ganforge plot runs/figure1`).
Source   Goodfellow et al. 2014, figure 1 (the text gives no sizes; ours are 32 units, SGD-free
         Adam 1e-3, batch 128).
Reaches  p_g over the bulk of p_data; it leaves out the tails (recall 0.77 on seed 0), and D is
         near 1/2 only where p_g is.
Takes    about 10 s on one CPU core.
Command  ganforge train figure1
"""

from ganforge.config import Config, Noise, Optimizer, Output
from ganforge.game import Adversarial
from ganforge.nets import MLP


def figure1() -> Config:
    adam = Optimizer(lr=1e-3, betas=(0.5, 0.999))
    return Config(
        name="figure1",
        data="mixture1d",
        networks=MLP(
            generator=(32, 32),
            discriminator=(32, 32),
            generator_activation="tanh",
            discriminator_activation="tanh",
        ),
        game=Adversarial(loss="non-saturating"),
        noise=Noise(1, "uniform"),
        batch=128,
        epochs=40,
        generator=adam,
        discriminator=adam,
        ema=0.99,
        precision="fp32",
        output=Output(grid=2000, save_every=10, sample_every=2),
    )
