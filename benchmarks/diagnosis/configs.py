"""The configs of the scenarios: small networks and short budgets."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ganforge import recipes
from ganforge.config.schema import Config, Noise, Optimizer
from ganforge.gan.adversarial import Adversarial
from ganforge.gan.penalties import R1, R2
from ganforge.nets import MLP

ADAM = Optimizer(lr=1e-3, betas=(0.0, 0.99), decay_from=0.5)
STABLE = Adversarial(loss="relativistic", penalties=(R1(0.1, 4), R2(0.1, 4)))


def short(config: Config, steps: int, log_every: int = 20, **output: Any) -> Config:
    """For a number of steps, on one thread, with the log of a longer run."""
    images = steps * config.batch * config.game.d_steps
    usual = {"log_every": log_every, "sample_every": 1e6, "save_every": 1e6, "keep": 1,
            "score": False, "grid": 50}  # fmt: skip
    return replace(
        config, kimg=images / 1000, device="cpu", precision="fp32", threads=1,
        output=replace(config.output, **(usual | output)),
    )  # fmt: skip


def narrow(config: Config, width: int = 12) -> Config:
    """A convolutional recipe with fewer channels."""
    parts = replace(config.networks, generator_width=width, discriminator_width=width)
    return replace(config, networks=parts)


def cdcgan(steps: int = 1500) -> Config:
    return short(narrow(recipes.cdcgan()), steps)


def dcgan(steps: int = 1500) -> Config:
    return short(narrow(recipes.dcgan()), steps)


def folder(steps: int = 500, log_every: int = 20, **game: Any) -> Config:
    """The recipe for folders, with fewer channels: colour pictures of 64 x 64."""
    config = narrow(recipes.pictures())
    return short(replace(config, game=replace(config.game, **game)), steps, log_every)


def pix2pix(steps: int = 500, unseen: bool = False, **game: Any) -> Config:
    """The paired recipe with few channels; unseen: D does not see the source."""
    config = narrow(recipes.pix2pix(), 8)
    networks = replace(config.networks, patch_layers=1, conditional=not unseen)
    return short(
        replace(config, networks=networks, game=replace(config.game, **game), batch=8), steps
    )


def cyclegan(steps: int = 400, **game: Any) -> Config:
    """The unpaired recipe with few channels and two residual blocks."""
    config = narrow(recipes.cyclegan(), 8)
    networks = replace(config.networks, blocks=2, patch_layers=1)
    return short(replace(config, networks=networks, game=replace(config.game, **game)), steps)


def small_mlp(**game: Any) -> Config:
    """Perceptrons on MNIST, without labels, the paper's loss."""
    adam = Optimizer(lr=2e-4, betas=(0.5, 0.999))
    return Config(
        "scenario", MLP(generator=(128, 256), discriminator=(256, 128), generator_norm="batch"),
        Adversarial(**game), generator=adam, discriminator=adam, noise=Noise(64),
    )  # fmt: skip


def stable_mlp(**parts: Any) -> Config:
    """Perceptrons on MNIST by a game that converges."""
    mlp = MLP(generator=(128, 256), discriminator=(256, 128), generator_norm="batch")
    config = Config("scenario", mlp, STABLE, generator=ADAM, discriminator=ADAM, noise=Noise(64),
                    ema=0.995)  # fmt: skip
    return replace(config, **parts)


def toy(name: str, stable: bool = True, **game: Any) -> Config:
    """Perceptrons on a toy law."""
    adam = replace(ADAM, betas=(0.5, 0.99)) if stable else Optimizer(lr=1e-3, betas=(0.5, 0.999))
    played = replace(STABLE, penalties=(R1(0.1), R2(0.1))) if stable else Adversarial()
    return Config(
        "scenario", MLP(generator=(64, 64), discriminator=(64, 64)), replace(played, **game),
        data=name, noise=Noise(8), batch=128, generator=adam, discriminator=adam,
        ema=0.995 if stable else 0.0,
    )  # fmt: skip


def rates(config: Config, times: float) -> Config:
    """Both learning rates, multiplied."""
    g, d = config.generator, config.discriminator
    return replace(
        config,
        generator=replace(g, lr=g.lr * times),
        discriminator=replace(d, lr=d.lr * times),
    )


def orbit(momentum: float = 0.0) -> Config:
    """A linear D against a generator of means: the two go round each other.

    With momentum the circle widens (Gidel et al. 2019).
    """
    sgd = Optimizer("sgd", lr=0.02, momentum=momentum)
    return Config(
        "scenario", MLP(generator=(), discriminator=()), Adversarial("wasserstein"),
        data="gaussian", noise=Noise(2), batch=64, generator=sgd, discriminator=sgd,
    )  # fmt: skip


def relu_mlp() -> Config:
    """Perceptrons with ReLU and no norm, at a rate that kills units."""
    mlp = MLP(generator=(128, 256), discriminator=(256, 128),
              generator_activation="relu", discriminator_activation="relu")  # fmt: skip
    return rates(replace(small_mlp(), networks=mlp), 30)


def strong_minimax() -> Config:
    """The loss of the paper's first equation against a D that is far ahead."""
    config = small_mlp(loss="minimax", d_steps=5)
    return replace(config, discriminator=Optimizer(lr=2e-3, betas=(0.5, 0.999)))


def strong_folder() -> Config:
    """The same for colour pictures: D without penalties, with five steps at the recipe's rate."""
    config = folder(220, loss="minimax", d_steps=5, penalties=(), augment=())
    return replace(config, generator=replace(config.generator, lr=1e-4))


def overflow() -> Config:
    """Plain gradient steps on a critic without bound: products of weights outgrow the numbers."""
    sgd = Optimizer("sgd", lr=1.0)
    return replace(orbit(), game=Adversarial("wasserstein"), generator=sgd, discriminator=sgd,
                   networks=MLP(generator=(8,), discriminator=(8,)))  # fmt: skip
