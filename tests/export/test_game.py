"""The game in the page: a step is that of `gan.step`, on the same draws."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ganforge import nets, recipes
from ganforge.config.schema import Config, Optimizer
from ganforge.data.spec import DataSpec
from ganforge.data.toy import LAWS
from ganforge.errors import UsageError
from ganforge.export.demo import game, page
from ganforge.gan import losses, optimizers
from ganforge.gan.batch import Batch, RandomInputs
from ganforge.gan.players import Players
from ganforge.gan.state import State, StepHyperparameters
from ganforge.gan.step import step
from ganforge.nets import Init
from ganforge.nets.mlp import Perceptron
from tests.helpers.engine import in_node, needs_node

STEPS = 5
SPEC = DataSpec((2,), 0, "float32", False, (0.0,), (1.0,))
SIDES = nets.SIDES
PRELUDE = """
const { computeWith, matrix, parameter } = await import("WEB/tape.mjs");
const { Game, Random } = await import("WEB/game.mjs");
computeWith(loops);
""".replace("WEB/", page.WEB.as_uri() + "/")
BODY = (
    PRELUDE
    + """
const game = new Game(given.game);
const sides = ["generator", "discriminator"];
const shaped = ({ rows, columns, data }) => matrix(rows, columns, numbers(data));
for (const side of sides) {
  game.weights[side] = given.weights[side].map(
    ({ rows, columns, data }) => parameter(rows, columns, numbers(data)));
}
for (const { discriminator, generator } of given.draws) {
  game.step({
    discriminator: discriminator.map((d) => ({
      real: shaped(d.real), z: shaped(d.z), epsilon: numbers(d.epsilon.data) })),
    generator: generator.map(shaped),
  });
}
const weights = sides.flatMap((side) => game.weights[side].flatMap((w) => [...w.data]));
answer([...weights, game.log.d.loss, game.log.g.loss]);
"""
)


def as_matrix(values: Tensor) -> dict[str, Any]:
    """A tensor for JavaScript."""
    table = values.detach().reshape(len(values), -1)
    return {"rows": len(table), "columns": table.shape[1], "data": table.numpy()}


def weights(network: torch.nn.Module) -> list[Tensor]:
    """The tensors of a player in the order of game.mjs, weights as (inputs, outputs)."""
    body: Perceptron = network.get_submodule("body")  # type: ignore[assignment]
    out = network.get_submodule("out")
    linears = [m for m in (*body.modules(), *out.modules()) if isinstance(m, torch.nn.Linear)]
    return [t for m in linears for t in (m.weight.T, m.bias[None])]


def played(config: Config, steps: int = STEPS) -> tuple[dict[str, Any], np.ndarray[Any, Any]]:
    """What JavaScript needs to play some steps, and where torch gets with them."""
    torch.manual_seed(0)
    built = nets.build(config.networks, SPEC, config.noise.size)
    start = {side: [as_matrix(t.clone()) for t in weights(built[side])] for side in SIDES}
    made = {s: optimizers.build(getattr(config, s), built[s].parameters()) for s in SIDES}
    state = State(Players(built["generator"], built["discriminator"]), made)
    count, draws = config.batch, []
    rates = {side: getattr(config, side).lr for side in SIDES}
    for _ in range(steps):
        reals = [torch.randn(count, 2) for _ in range(config.game.d_steps)]
        zs = [torch.randn(count, config.noise.size) for _ in reals]
        epsilons = [torch.rand(count, 1) for _ in reals]
        answers = [torch.randn(count, config.noise.size) for _ in range(config.game.g_steps)]
        inputs = {
            "discriminator": [RandomInputs(z, extra={"epsilon": e})
                              for z, e in zip(zs, epsilons, strict=True)],
            "generator": [RandomInputs(z) for z in answers],
        }  # fmt: skip
        log = step(
            state, config.game, [Batch(r) for r in reals], inputs, StepHyperparameters(rates)
        )
        draws.append({
            "discriminator": [
                {"real": as_matrix(r), "z": as_matrix(z), "epsilon": as_matrix(e)}
                for r, z, e in zip(reals, zs, epsilons, strict=True)
            ],
            "generator": [as_matrix(z) for z in answers],
        })  # fmt: skip
    end = [t.detach().numpy().ravel() for side in SIDES for t in weights(built[side])]
    logged = [[float(log.get("adversarial_d", log["loss_d"]))], [float(log["loss_g"])]]
    given = {"game": game.description(config), "weights": start, "draws": draws}
    return given, np.concatenate([*end, *logged])


def descended(config: Config, rate: float) -> Config:
    """The game by plain gradient descent.

    Adam divides a gradient by its size, so that one of 1e-8, which is rounding, moves a weight as
    far as one of 1.
    """
    plain = Optimizer("sgd", rate)
    # the usual weights: those of `gaussian` are so small at a start that G hardly moves
    networks = replace(config.networks, init=Init())
    return replace(config, generator=plain, discriminator=plain, networks=networks)


RECIPES = ("gaussian", "gaussian-stable", "ring", "grid", "wgan-gp-toy")
STABLE = recipes.find("gaussian-stable")
# rates at which no game runs away: the sines of `ring` and the widths of `wgan-gp-toy` are large
RATES = {"gaussian": 0.01, "gaussian-stable": 0.01, "ring": 5e-4, "wgan-gp-toy": 1e-4}
GAMES = {name: descended(recipes.find(name), rate) for name, rate in RATES.items()}
GAMES |= {
    loss: descended(replace(STABLE, game=replace(STABLE.game, loss=loss, d_steps=2)), 0.05)
    for loss in losses.LOSSES
}


@needs_node
@pytest.mark.parametrize("name", GAMES)
def test_a_step_is_that_of_torch(name: str, tmp_path: Path) -> None:
    """Weights of both players and their losses after some steps, on the same draws."""
    given, wanted = played(GAMES[name])
    made = in_node(tmp_path, BODY, "simd", **given)
    assert made.shape == wanted.shape
    np.testing.assert_allclose(made, wanted, rtol=1e-5, atol=1e-5)


@needs_node
@pytest.mark.parametrize("name", RECIPES)
def test_a_step_of_a_recipe_is_that_of_torch(name: str, tmp_path: Path) -> None:
    """With Adam: all but a few weights, and those by less than two updates."""
    config = recipes.find(name)
    given, wanted = played(config, steps=1)
    gap = np.abs(in_node(tmp_path, BODY, "simd", **given) - wanted)
    assert (gap > 1e-5).mean() <= 0.01
    assert gap.max() <= 2.1 * max(config.generator.lr, config.discriminator.lr)


@needs_node
def test_adam_is_that_of_torch(tmp_path: Path) -> None:
    gradients = torch.randn(6, 40) * torch.logspace(-9, 2, 40)
    weight = torch.nn.Parameter(torch.zeros(1, 40))
    choice = Optimizer(lr=0.01, betas=(0.5, 0.99))
    optimizer = optimizers.build(choice, [weight])
    for gradient in gradients:
        weight.grad = gradient[None].clone()
        optimizer.step()
    body = """
    const game = new Game(given.game);
    game.weights.generator = [matrix(1, 40, new Float32Array(40))];
    game.moments.generator = [{ first: new Float32Array(40), second: new Float32Array(40) }];
    const all = numbers(given.gradients);
    for (let i = 0; i < 6; i++) {
      game.update("generator", [matrix(1, 40, all.subarray(40 * i, 40 * i + 40))]);
    }
    game.update("generator", [matrix(1, 40, new Float32Array(40).fill(NaN))]);
    answer(game.weights.generator[0].data);
    """
    settings = game.description(replace(STABLE, generator=choice))
    made = in_node(tmp_path, PRELUDE + body, "plain", game=settings, gradients=gradients.numpy())
    np.testing.assert_allclose(made, weight.detach().numpy()[0], rtol=1e-5, atol=1e-8)


def test_every_loss_is_in_the_page() -> None:
    text = (page.WEB / "game.mjs").read_text()
    assert all(f"{name}:" in text or f'"{name}":' in text for name in losses.LOSSES)


def test_the_laws_are_those_of_python(tmp_path: Path) -> None:
    """Mean and spread of many draws."""
    for name, law in game.description(STABLE)["laws"].items():
        found = LAWS[name]
        assert law["offset"] == found.mean.tolist()
        np.testing.assert_allclose(np.square(law["scale"]), np.diag(found.covariance))


@needs_node
@pytest.mark.parametrize("name", game.PLANE)
def test_points_of_a_law_have_its_moments(name: str, tmp_path: Path) -> None:
    body = PRELUDE + "answer(new Random(3).points(given.law, 20000).data);"
    law = game.description(STABLE)["laws"][name]
    points = in_node(tmp_path, body, "plain", law=law).reshape(-1, 2)
    spread = np.array(law["scale"])
    assert (np.abs(points.mean(0) - law["offset"]) < 0.03 * spread).all()
    np.testing.assert_allclose(
        np.cov(points.T), LAWS[name].covariance, atol=0.05 * spread.max() ** 2
    )


REFUSED = {
    "data = 'mnist'": recipes.find("mnist-mlp"),
    "data = 'mixture1d'": recipes.find("figure1"),
    "networks.generator_norm = 'batch'": replace(
        STABLE, networks=replace(STABLE.networks, generator_norm="batch")
    ),
    "game.smoothing = 0.1": replace(
        STABLE, game=replace(STABLE.game, loss="minimax", smoothing=0.1)
    ),
    "discriminator_activation = 'maxout'": replace(
        STABLE, networks=replace(STABLE.networks, discriminator_activation="maxout")
    ),
    "optimizer = 'rmsprop'": replace(STABLE, generator=Optimizer("rmsprop")),
}


@pytest.mark.parametrize("says", REFUSED)
def test_what_the_page_cannot_play_is_refused(says: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as raised:
        game.game(REFUSED[says], tmp_path / "game.html")
    assert str(raised.value).startswith(says) and list(tmp_path.iterdir()) == []


def test_the_copy_in_the_documents_is_the_page() -> None:
    """Else: ganforge demo gaussian-stable --train -o docs/pages/game.html --overwrite"""
    copy = Path(__file__).parents[2] / "docs/pages/game.html"
    assert copy.read_text() == game.html("gaussian-stable")


def test_the_page_is_small_and_always_the_same(tmp_path: Path) -> None:
    for recipe in ("gaussian", "ring", "grid"):
        text = game.game(recipe, tmp_path / "game.html").read_text()
        assert len(text) <= 120_000 and "://" not in text
        assert game.html(recipe) == text
