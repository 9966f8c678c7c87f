"""The game itself as one HTML file: two players that learn a law of the plane in the browser.

    game("gaussian-stable", "game.html")

The step is that of `gan.step`, for perceptrons without norm and dropout.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ganforge import files
from ganforge.config.schema import Config, Optimizer
from ganforge.data.toy import LAWS, Gaussian, Law
from ganforge.errors import UsageError, check
from ganforge.export.demo.page import rendered
from ganforge.gan.adversarial import Adversarial
from ganforge.gan.penalties import R1, R2, GradientPenalty
from ganforge.nets import SIDES
from ganforge.nets.mlp import MLP
from ganforge.text import encoded, json_values

PLANE = tuple(name for name, law in LAWS.items() if law.features == 2)
ACTIVATIONS = ("leaky", "relu", "tanh")
PENALTIES = (R1, R2, GradientPenalty)
SIMPLE = {  # settings that the page has no others of
    "networks": {"generator_norm": "none", "discriminator_norm": "none", "generator_dropout": 0.0,
                 "discriminator_dropout": 0.0, "discriminator_input_dropout": 0.0,
                 "output_bias": "init"},
    "game": {"smoothing": 0.0, "classify": 0.0, "simultaneous": False, "augment": (), "pack": 1},
}  # fmt: skip


def game(recipe: str | Config, path: Path | str) -> Path:
    """Write the game of a recipe as an HTML page; a file of that name is replaced.

    Args:
        recipe: its name, or a config.
        path: of the file, ending in .html.

    Returns:
        The path.

    Raises:
        UsageError: a recipe whose data are not a law of the plane, or whose players are not plain
            perceptrons.
    """
    path = Path(path)
    check(path.suffix == ".html", "path", str(path), "a file name ending in .html")
    return files.save_file(path, encoded(html(recipe)))


def html(recipe: str | Config) -> str:
    """The page of a recipe's game; `game` says what it raises."""
    from ganforge import recipes

    config = recipes.find(recipe) if isinstance(recipe, str) else recipe
    return rendered(
        "game.html",
        ("engine.mjs", "tape.mjs", "game.mjs", "drawing.mjs", "lab.mjs"),
        title=config.name,
        game=json_values(description(config)),
    )


def description(config: Config) -> dict[str, Any]:
    """What game.mjs needs to know of a config, and the laws of the plane."""
    networks, played = config.networks, config.game
    check(config.data in PLANE, "data", config.data, f"a law of the plane: {', '.join(PLANE)}")
    if not (isinstance(networks, MLP) and isinstance(played, Adversarial)):
        raise UsageError(
            f"{config.name}: the page trains perceptrons in the adversarial game: choose gaussian, "
            "gaussian-stable, ring, grid or wgan-gp-toy"
        )
    for name, part in (("networks", networks), ("game", played)):
        for key, value in SIMPLE[name].items():
            check(getattr(part, key) == value, f"{name}.{key}", getattr(part, key), repr(value))
    for penalty in played.penalties:
        check(type(penalty) in PENALTIES, "penalties", penalty.kind, "r1, r2, gradient-penalty")
    return {
        "name": config.name,
        "law": config.data,
        "laws": {name: as_json(LAWS[name]) for name in PLANE},
        "noise": asdict(config.noise),
        "batch": config.batch,
        "players": {side: player(networks, side, config.noise.size) for side in SIDES},
        "optimizers": {side: optimizer(getattr(config, side)) for side in SIDES},
        "penalties": [{"kind": p.kind, **asdict(p)} for p in played.penalties],
        **{key: getattr(played, key) for key in
           ("loss", "reduction", "halve", "d_steps", "g_steps", "fresh_noise")},
    }  # fmt: skip


def player(networks: MLP, side: str, noise: int) -> dict[str, Any]:
    """The sizes of a player and the law of its fresh weights."""
    ours = side == "generator"
    activation = getattr(networks, f"{side}_activation")
    check(activation in ACTIVATIONS, f"{side}_activation", activation, ", ".join(ACTIVATIONS))
    init = networks.init if ours else networks.discriminator_init or networks.init
    return {
        "sizes": [noise if ours else 2, *getattr(networks, side), 2 if ours else 1],
        "activation": activation,
        "sines": getattr(networks, f"{side}_sines"),
        "frequency": getattr(networks, f"{side}_frequency"),
        "init": asdict(init),
    }


def optimizer(given: Optimizer) -> dict[str, Any]:
    """Adam, or plain gradient descent; the rate is constant in the page."""
    plain = given.name == "sgd" and not (given.momentum or given.momentum_steps)
    check(given.name == "adam" or plain, "optimizer", given.name, "adam, or sgd without momentum")
    check(given.weight_decay == 0, "weight_decay", given.weight_decay, "0")
    return {"name": given.name, "lr": given.lr, "betas": given.betas}


def as_json(law: Law) -> dict[str, Any]:
    """A law as game.mjs draws from it, with the mean and the spread that data are scaled by."""
    shape = {"matrix": law.matrix, "shift": law.shift} if isinstance(law, Gaussian) else {
        "means": np.round(law.means, 6).tolist(), "sigma": law.sigma}  # fmt: skip
    return shape | {"offset": law.mean.tolist(), "scale": np.sqrt(np.diag(law.covariance)).tolist()}
