"""Maxout, dropped inputs, unit pixels and biases from the data, against plain arithmetic."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ganforge import recipes
from ganforge.config.schema import Config
from ganforge.data.dataset import Dataset
from ganforge.data.spec import DataSpec, decode
from ganforge.errors import UsageError
from ganforge.experiments.ensemble import stack
from ganforge.gan.adversarial import Adversarial
from ganforge.gan.batch import RandomInputs
from ganforge.gan.penalties import squared_gradient
from ganforge.gan.players import Players
from ganforge.nets import MLP, Init, Network, RandomInput
from ganforge.nets.layers import Sines
from ganforge.training import build
from tests.helpers.tiny import VECTORS, fp64_state, normal, pictures

PICTURES = DataSpec((1, 2, 3))
SMALL = {"generator": (4,), "discriminator": (4, 3)}


def players(networks: MLP, spec: DataSpec = PICTURES, noise: int = 2) -> dict[str, Any]:
    torch.manual_seed(0)
    return {side: module.double() for side, module in networks(spec, noise).items()}


def arrays(module: Any) -> list[Any]:
    return [p.detach().numpy() for p in module.parameters()]


def maxout(x: Any, weight: Any, bias: Any, pieces: int) -> Any:
    return (x @ weight.T + bias).reshape(len(x), -1, pieces).max(2)


def test_maxout_takes_the_largest_of_neighbours() -> None:
    networks = MLP(**SMALL, discriminator_activation="maxout", pieces=3)  # type: ignore[arg-type]
    d = players(networks)["discriminator"]
    x = normal("x", 5, 1, 2, 3)
    w1, b1, w2, b2, w3, b3 = arrays(d)
    assert w1.shape == (12, 6) and w2.shape == (9, 4) and w3.shape == (1, 3)
    hidden = maxout(maxout(x.flatten(1).numpy(), w1, b1, 3), w2, b2, 3)
    expected = (hidden @ w3.T + b3)[:, 0]
    assert d(x).detach().numpy() == pytest.approx(expected, rel=1e-12)


def test_maxout_of_both_players_and_its_second_derivative() -> None:
    networks = MLP((4,), (4,), generator_activation="maxout", discriminator_activation="maxout")
    config = Config("test", networks, Adversarial())
    both = fp64_state(config, VECTORS).players
    x, weight = normal("x", 3, 2), next(both.discriminator.parameters())

    def penalty(w: Tensor) -> Tensor:
        d = _With(both.discriminator, w)
        return squared_gradient(Players(both.generator, d), x, None, None, RandomInputs(x))

    assert torch.autograd.gradcheck(penalty, (weight.detach().clone().requires_grad_(),))
    assert both.generate(normal("z", 3, 100)).shape == (3, 2)


class _With(torch.nn.Module):
    """A module with its first parameter given from outside."""

    def __init__(self, module: torch.nn.Module, weight: Tensor):
        super().__init__()
        self.inner, self.weight = [module], weight

    def forward(self, *inputs: Any) -> Tensor:
        name = next(name for name, _ in self.inner[0].named_parameters())
        out: Tensor = torch.func.functional_call(self.inner[0], {name: self.weight}, inputs)
        return out


def test_dropout_of_the_input_and_between() -> None:
    networks = MLP(
        (4,), (4, 3), discriminator_input_dropout=0.2, discriminator_dropout=0.5,
        discriminator_activation="relu",
    )  # fmt: skip
    made = players(networks)
    d, g = made["discriminator"], made["generator"]
    assert d.random_inputs() == {
        "input": RandomInput("dropout", (6,), 0.2),
        "hidden0": RandomInput("dropout", (4,), 0.5),
        "hidden1": RandomInput("dropout", (3,), 0.5),
    }
    assert g.random_inputs() == {}
    x = normal("x", 5, 1, 2, 3)
    masks = {
        name: (normal(name, 5, *wanted.shape).abs()) for name, wanted in d.random_inputs().items()
    }
    w1, b1, w2, b2, w3, b3 = arrays(d)
    drawn = {name: mask.numpy() for name, mask in masks.items()}
    hidden = np.maximum((x.flatten(1).numpy() * drawn["input"]) @ w1.T + b1, 0) * drawn["hidden0"]
    hidden = np.maximum(hidden @ w2.T + b2, 0) * drawn["hidden1"]
    expected = (hidden @ w3.T + b3)[:, 0]
    assert d(x, None, None, masks).detach().numpy() == pytest.approx(expected, rel=1e-12)


def test_unit_pixels_are_seen_and_made_in_0_to_1() -> None:
    signed, unit = (players(MLP(**SMALL, pixels=p)) for p in ("signed", "unit"))  # type: ignore[arg-type]
    x = normal("x", 5, 1, 2, 3).clamp(-1, 1)
    assert torch.equal(unit["discriminator"](x), signed["discriminator"]((x + 1) / 2))
    z = normal("z", 400, 2)
    a = torch.atanh(signed["generator"](z))  # what comes before the squashing
    torch.testing.assert_close(unit["generator"](z), 2 * torch.sigmoid(a) - 1, atol=1e-6, rtol=1e-6)
    stored = decode(unit["generator"](z), PICTURES)
    expected = (255 * torch.sigmoid(a.detach())).permute(0, 2, 3, 1)
    assert float((stored - expected).abs().max()) <= 0.5 + 1e-3
    vectors = (players(MLP(**SMALL, pixels=p), VECTORS) for p in ("signed", "unit"))  # type: ignore[arg-type]
    assert torch.equal(*(v["discriminator"](normal("v", 4, 2)) for v in vectors))


@pytest.mark.parametrize("pixels", ["signed", "unit"])
def test_the_output_bias_is_the_mean_of_the_data(pixels: str) -> None:
    data = pictures(40, side=3)
    data.values[:, 0, 0] = 0  # always black: its bias must be finite
    spec = replace(data.spec, classes=0)
    networks = MLP((4,), (4,), pixels=pixels, output_bias="data")
    config = Config("test", networks, Adversarial())
    g = build.initial(config, spec, data=data).players.generator
    with torch.no_grad():
        g.get_parameter("out.weight").zero_()
        made = decode(g(torch.zeros(1, 100), None, None), data.spec).numpy()[0]
    mean = data.values.astype(np.float64).mean(0)
    assert np.abs(made - mean).max() <= 0.5 + 1e-3
    assert torch.isfinite(g.get_parameter("out.bias")).all()
    other = build.initial(replace(config, networks=MLP((4,), (4,))), spec, data=data)
    assert not torch.equal(
        other.players.generator.get_parameter("out.bias"), g.get_parameter("out.bias")
    )


def test_the_output_bias_of_vectors_is_their_mean_in_model_values() -> None:
    spec = DataSpec((2,), 0, "float32", False, (1.0, -2.0), (2.0, 4.0))
    values = normal("v", 30, 2, dtype=torch.float32).numpy() + 3
    data = Dataset("v", "train", spec, values)
    config = Config("test", MLP((4,), (4,), output_bias="data"), Adversarial())
    bias = build.initial(config, spec, data=data).players.generator.get_parameter("out.bias")
    expected = (values.mean(0) - [1, -2]) / [2, 4]
    assert bias.detach().numpy() == pytest.approx(expected, rel=1e-5)


def test_each_player_has_its_own_law_of_weights() -> None:
    config = recipes.find("parzen")
    spec = replace(pictures(4).spec, classes=0)
    made = players(config.networks, spec, 100)
    counts = {side: sum(p.numel() for p in m.parameters()) for side, m in made.items()}
    hidden = 784 * 1200 + 1200 + 240 * 1200 + 1200
    assert counts["discriminator"] == hidden + 240 + 1
    assert counts["generator"] == 100 * 1200 + 1200 + 1200 * 1200 + 1200 + 1200 * 784 + 784
    for side, bound in (("generator", 0.05), ("discriminator", 0.005)):
        for name, p in made[side].named_parameters():
            if name.endswith("bias"):
                assert not p.any()
            else:
                assert float(p.detach().abs().max()) <= bound
                assert float(p.detach().std()) == pytest.approx(bound / 3**0.5, rel=0.1)


def test_stacked_members_are_the_members() -> None:
    networks = MLP(
        (4,), (4, 3), discriminator_activation="maxout", discriminator_input_dropout=0.2,
        discriminator_dropout=0.5, pixels="unit", init=Init("normal", 0.3),
    )  # fmt: skip
    made = [networks(PICTURES, 2) for _ in range(3)]
    for side, x in (
        ("generator", normal("z", 15, 2)),
        ("discriminator", normal("x", 15, 1, 2, 3)),
    ):
        modules: list[Network] = [m[side].double() for m in made]  # type: ignore[misc]
        wanted = modules[0].random_inputs()
        inputs = {n: normal(n, 15, *w.shape) for n, w in wanted.items()} or None
        whole = stack.Stacked(modules)(x, None, None, inputs)
        for i, module in enumerate(modules):
            rows = slice(5 * i, 5 * i + 5)
            one = None if inputs is None else {n: m[rows] for n, m in inputs.items()}
            alone = module(x[rows], None, None, one)
            torch.testing.assert_close(whole[rows], alone, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "settings",
    [{"pieces": 1}, {"pixels": "byte"}, {"output_bias": "mean"}, {"generator_sines": -1},
     {"discriminator_frequency": 0.0}, {"discriminator_input_dropout": 1.0},
     {"discriminator_activation": "minout"}],
)  # fmt: skip
def test_settings_that_cannot_be(settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as caught:
        MLP(**settings)
    assert next(iter(settings)) in str(caught.value)


@pytest.mark.parametrize("widths", [(), (4,)])
def test_sines_stand_beside_the_input(widths: tuple[int, ...]) -> None:
    networks = MLP(
        widths, widths, discriminator_sines=5, generator_sines=3, discriminator_activation="relu",
        init=Init("uniform", 0.1),
    )  # fmt: skip
    made = players(networks, VECTORS)
    d, x = made["discriminator"], normal("x", 6, 2)
    w0, b0 = (d.get_parameter(f"body.sines.linear.{n}") for n in ("weight", "bias"))
    inputs = torch.cat([x, torch.sin(x @ w0.T + b0)], 1)
    if widths:
        first = d.body.linears[0]
        assert first.weight.shape == (4, 7)
        inputs = torch.relu(inputs @ first.weight.T + first.bias)
    out = d.out.linear
    torch.testing.assert_close(d(x), (inputs @ out.weight.T + out.bias)[:, 0])
    assert made["generator"](normal("z", 6, 2)).shape == (6, 2)
    assert float(w0.detach().abs().max()) > 0.5  # not of the law of the other weights


def test_the_frequencies_of_sines() -> None:
    """Of a normal pair, |w|^2 / 2 is exponential with mean 1; times a log-uniform over octaves."""
    sines = Sines(2, 40_000, 16.0)
    norms = sines.linear.weight.detach().square().sum(1).div(2).log2().div(2)
    octaves = norms - float(np.log2(16.0))
    # E log2 of the root of an Exp(1) is -0.5772 / (2 ln 2) = -0.4164; five octaves average -2.5
    assert float(octaves.mean()) == pytest.approx(-2.5 - 0.4164, abs=0.03)
    assert float(octaves.std()) == pytest.approx(
        (25 / 12 + (np.pi**2 / 24) / np.log(2) ** 2) ** 0.5, rel=0.02
    )
    assert float(sines.linear.bias.detach().abs().max()) <= np.pi
