"""Scenarios: runs with a fault on purpose, one fault each, and healthy runs.

Small networks and short budgets: a run takes seconds to a minute of one core.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from ganforge import recipes
from ganforge.config.schema import Config, Noise, Optimizer
from ganforge.data import load
from ganforge.data.dataset import Dataset, digest
from ganforge.data.spec import DataSpec
from ganforge.gan.adversarial import Adversarial
from ganforge.gan.penalties import R1, R2
from ganforge.nets import MLP
from ganforge.rng import Stream

Sets = tuple[Dataset, Dataset]  # training and held-out examples

ADAM = Optimizer(lr=1e-3, betas=(0.0, 0.99), decay_from=0.5)
STABLE = Adversarial(loss="relativistic", penalties=(R1(0.1, 4), R2(0.1, 4)))


@dataclass(frozen=True)
class Scenario:
    """One kind of run.

    Args:
        what: the fault in words.
        codes: the findings that name the fault, any of them; empty for a healthy run.
        config: of the run, without its seed.
        sets: training and held-out examples.
        diagnosed: the same for its diagnosis, if they are others.
        seeds: how many.
    """

    what: str
    codes: tuple[str, ...]
    config: Callable[[], Config]
    sets: Callable[[], Sets]
    diagnosed: Callable[[], Sets] | None = None
    seeds: int = 10


# --- data -------------------------------------------------------------------------------------


@lru_cache(maxsize=4)
def named(name: str) -> Sets:
    """A data set that ships with the package, and its validation part."""
    return load.load(name), load.load(name, part="validation")


def mnist() -> Sets:
    """All training pictures."""
    return named("mnist")


def part(sets: Sets, rows: Any, name: str) -> Sets:
    """Some of the training examples, and all held-out ones."""
    train, held_out = sets
    values = np.ascontiguousarray(train.values[rows])
    labels = None if train.labels is None else train.labels[rows]
    sha = digest(values, labels)
    return replace(train, name=name, values=values, labels=labels, sha256=sha), held_out


@lru_cache(maxsize=4)
def first(count: int) -> Sets:
    """A few training pictures, chosen by a fixed seed."""
    # the streams are called as when the figures were measured: they choose the same pictures
    order = np.argsort(Stream(0, "clinic/few").words(0, len(mnist()[0])), kind="stable")
    return part(mnist(), np.sort(order[:count]), f"mnist-{count}")


@lru_cache(maxsize=1)
def without_ones() -> Sets:
    """MNIST without the digit 1."""
    labels = mnist()[0].labels
    assert labels is not None
    return part(mnist(), np.flatnonzero(labels != 1), "mnist-without-1")


@lru_cache(maxsize=1)
def shuffled() -> Sets:
    """MNIST with each picture's label drawn at random, in both parts."""

    def shuffle(data: Dataset) -> Dataset:
        drawn = Stream(0, f"clinic/labels/{data.part}").integers(0, len(data), 10)
        labels = drawn.astype(np.int64)
        return replace(
            data, name="mnist-shuffled", labels=labels, sha256=digest(data.values, labels)
        )

    train, held_out = mnist()
    return shuffle(train), shuffle(held_out)


@lru_cache(maxsize=1)
def tinted() -> Sets:
    """Colour pictures, 32 x 32: a digit of one colour on a darker ground of another, no labels."""

    def tint(data: Dataset) -> Dataset:
        values = data.values[:12_000]
        grey = np.pad(values, ((0, 0), (2, 2), (2, 2), (0, 0))).astype(np.float32) / 255
        colours = Stream(0, f"clinic/tint/{data.part}").uniform(0, len(values) * 6)
        inks = 255 * colours.reshape(-1, 2, 1, 1, 3).astype(np.float32)
        mixed = grey * (127 + inks[:, 0] / 2) + (1 - grey) * inks[:, 1] / 2
        stored = mixed.round().clip(0, 255).astype(np.uint8)
        spec = DataSpec((3, 32, 32))
        return Dataset("tinted", data.part, spec, stored, sha256=digest(stored, None))

    train, held_out = mnist()
    return tint(train), tint(held_out)


# --- configs ----------------------------------------------------------------------------------


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


def few_held_out() -> Sets:
    """The Gaussian with 120 held-out examples to score by."""
    train, held_out = named("gaussian")
    values = np.ascontiguousarray(held_out.values[:120])
    return train, replace(held_out, values=values, sha256=digest(values, None))


SICK: dict[str, Scenario] = {
    "mnist-mlp": Scenario(
        "the recipe mnist-mlp, its first two epochs", ("GF001", "GF002"),
        lambda: short(recipes.mnist_mlp(), 573, 25), mnist,
    ),
    "ring-20": Scenario(
        "the ring of eight, 20 generator steps to one of D", ("GF001", "GF002"),
        lambda: short(toy("ring", False, g_steps=20), 300), lambda: named("ring"),
    ),
    "tinted-20": Scenario(
        "colour pictures, 20 generator steps to one of D", ("GF001", "GF002"),
        lambda: short(small_mlp(g_steps=20), 60, 3), tinted,
    ),
    "without-1": Scenario(
        "trained without the digit 1, diagnosed with it", ("GF002",),
        lambda: short(stable_mlp(), 1000), without_ones, mnist,
    ),
    "minimax": Scenario(
        "the saturating loss, D with five steps at ten times the rate", ("GF003",),
        lambda: short(strong_minimax(), 200, 10), mnist,
    ),
    "frozen": Scenario(
        "a generator that does not move", ("GF003",),
        lambda: short(replace(small_mlp(), generator=Optimizer(lr=0.0)), 400), mnist,
    ),
    "100": Scenario(
        "100 training pictures", ("GF004",), lambda: short(stable_mlp(), 1000), lambda: first(100)
    ),
    "mnist-20": Scenario(
        "perceptrons on MNIST, 20 generator steps to one of D", ("GF005",),
        lambda: short(small_mlp(g_steps=20), 120, 4), mnist,
    ),
    "orbit": Scenario(
        "a linear D, plain gradient steps: they circle", ("GF006",),
        lambda: short(orbit(), 3000), lambda: named("gaussian"),
    ),
    "nan": Scenario(
        "a rate at which the numbers overflow", ("GF007",),
        lambda: short(overflow(), 600), lambda: named("gaussian"),
    ),
    "rate-30": Scenario(
        "learning rates x 30", ("GF008", "GF007"),
        lambda: short(rates(stable_mlp(), 30), 500), mnist,
    ),
    "relu-30": Scenario(
        "ReLU without norm, learning rates x 30", ("GF008", "GF007"),
        lambda: short(relu_mlp(), 500), mnist,
    ),
    "shuffled": Scenario(
        "labels drawn at random", ("GF009",),
        lambda: short(stable_mlp(labels=True), 600), shuffled,
    ),
    "copies": Scenario(
        "32 training pictures", ("GF010",), lambda: short(stable_mlp(), 1200), lambda: first(32),
    ),
    "few": Scenario(
        "scored on 120 held-out examples", ("GF011",),
        lambda: short(recipes.gaussian_stable(), 500, score_every=7.0), few_held_out,
    ),
    "past": Scenario(
        "the same with momentum: the circle widens", ("GF012",),
        lambda: short(orbit(0.2), 2000, score_every=15.0), lambda: named("gaussian"),
    ),
}  # fmt: skip

HEALTHY: dict[str, Scenario] = {
    "mlp": Scenario("perceptrons on MNIST", (), lambda: short(stable_mlp(), 1000), mnist),
    "conditional-mlp": Scenario(
        "conditional perceptrons on MNIST", (),
        lambda: short(stable_mlp(labels=True), 1000), mnist,
    ),
    "ring": Scenario(
        "the ring of eight", (), lambda: short(toy("ring"), 2000), lambda: named("ring"),
    ),
    "gaussian-stable": Scenario(
        "the recipe gaussian-stable", (),
        lambda: short(recipes.gaussian_stable(), 3000, score_every=15.0), lambda: named("gaussian"),
    ),
    "cdcgan": Scenario(
        "cdcgan, a third as wide, an epoch", (), lambda: cdcgan(600), mnist, seeds=4,
    ),
    "tinted": Scenario(
        "cdcgan's game without labels, colour pictures", (),
        lambda: short(replace(narrow(recipes.cdcgan()), labels=False), 450), tinted, seeds=4,
    ),
}  # fmt: skip

# Neither: meant to be healthy, but its samples do lack classes after so little training (coverage
# .05 to .11 where real examples have .96).
UNRIPE: dict[str, Scenario] = {
    "dcgan": Scenario("dcgan, a fifth as wide, an epoch", (), lambda: dcgan(600), mnist, seeds=4),
}
SCENARIOS = SICK | HEALTHY | UNRIPE


def strong_minimax() -> Config:
    """The loss of the paper's first equation against a D that is far ahead."""
    config = small_mlp(loss="minimax", d_steps=5)
    return replace(config, discriminator=Optimizer(lr=2e-3, betas=(0.5, 0.999)))


def overflow() -> Config:
    """Plain gradient steps on a critic without bound: products of weights outgrow the numbers."""
    sgd = Optimizer("sgd", lr=1.0)
    return replace(orbit(), game=Adversarial("wasserstein"), generator=sgd, discriminator=sgd,
                   networks=MLP(generator=(8,), discriminator=(8,)))  # fmt: skip
