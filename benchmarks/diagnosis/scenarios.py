"""Scenarios: runs with a fault on purpose, one fault each, and healthy runs.

Small networks and short budgets: a run takes seconds to a minute of one core.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from benchmarks.diagnosis.configs import (
    cdcgan,
    cyclegan,
    dcgan,
    folder,
    narrow,
    orbit,
    overflow,
    pix2pix,
    rates,
    relu_mlp,
    short,
    small_mlp,
    stable_mlp,
    strong_folder,
    strong_minimax,
    toy,
)  # fmt: skip
from benchmarks.diagnosis.sets import (
    Sets,
    few,
    few_emoji,
    few_held_out,
    inked,
    mixed_up,
    mnist,
    named,
    noto,
    shuffled,
    tinted,
    unchanged,
    without_ones,
)  # fmt: skip
from ganforge import recipes
from ganforge.config.schema import Config, Optimizer


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
        "100 training pictures", ("GF004",), lambda: short(stable_mlp(), 1000), lambda: few(100)
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
        "32 training pictures", ("GF010",), lambda: short(stable_mlp(), 1200), lambda: few(32),
    ),
    "few": Scenario(
        "scored on 120 held-out examples", ("GF011",),
        lambda: short(recipes.gaussian_stable(), 500, score_every=7.0), few_held_out,
    ),
    "past": Scenario(
        "the same with momentum: the circle widens", ("GF012",),
        lambda: short(orbit(0.2), 2000, score_every=15.0), lambda: named("gaussian"),
    ),
    "emoji-20": Scenario(
        "emoji of 64 x 64, 20 generator steps to one of D", ("GF001", "GF002"),
        lambda: folder(30, log_every=1, g_steps=20), noto,
    ),
    "emoji-minimax": Scenario(
        "emoji of 64 x 64, the saturating loss, D with five steps, without penalties", ("GF003",),
        strong_folder, noto,
    ),
    "emoji-rate-30": Scenario(
        "emoji of 64 x 64, learning rates x 30", ("GF008", "GF007"),
        lambda: rates(folder(200), 30), noto,
    ),
    "emoji-32": Scenario(
        "32 emoji of 64 x 64, without augmentation", ("GF004", "GF010"),
        lambda: folder(600, augment=()), few_emoji,
    ),
    "mixed-up": Scenario(
        "every source with the target of another one", ("GF013",),
        lambda: pix2pix(l1=1.0), mixed_up, lambda: inked(True),
    ),
    "copied": Scenario(
        "every source is its target, diagnosed with the true pairs", ("GF014",),
        lambda: rates(pix2pix(), 5), unchanged, lambda: inked(True),
    ),
    "mean": Scenario(
        "every source with the target of another one, L1 alone", ("GF015", "GF013"),
        lambda: pix2pix(adversarial=0.0), mixed_up, lambda: inked(True),
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
    "tinted-64": Scenario(
        "the recipe for folders, narrow, colour pictures of 64 x 64", (),
        lambda: folder(800), lambda: tinted(64), seeds=4,
    ),
    "pix2pix": Scenario(
        "pix2pix, narrow, digits to inked digits", (), pix2pix, lambda: inked(True),
    ),
    "cyclegan": Scenario(
        "cyclegan, narrow, the same without pairs", (), cyclegan, lambda: inked(False),
    ),
}  # fmt: skip

# Neither: meant to be healthy, but its samples do lack classes after so little training (coverage
# .05 to .11 where real examples have .96).
UNRIPE: dict[str, Scenario] = {
    "dcgan": Scenario("dcgan, a fifth as wide, an epoch", (), lambda: dcgan(600), mnist, seeds=4),
    "emoji": Scenario(
        "the recipe for folders, narrow, 8,000 emoji of 64 x 64",
        (),
        folder,
        noto,
        seeds=4,
    ),
}
SCENARIOS = SICK | HEALTHY | UNRIPE
