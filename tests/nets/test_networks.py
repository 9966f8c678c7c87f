"""The players: shapes at every size, one logit for each example, labels, initial weights."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ganforge import nets, recipes
from ganforge.config.schema import Noise
from ganforge.data.spec import DataSpec
from ganforge.errors import UsageError
from ganforge.gan import state
from ganforge.nets import DCGAN, MLP, Init, Network, PlainModule, RandomInput
from ganforge.nets import dcgan as convolutional
from ganforge.nets.resnet import ResNet
from ganforge.nets.stylegan import StyleGAN2
from ganforge.recipes import RECIPES
from ganforge.registry import PARTS
from ganforge.rng import Stream
from ganforge.training import build
from tests.helpers.tiny import data_for, narrow

Z = 7
VECTORS = DataSpec((2,), 0, "float32", False, (0.0,), (1.0,))
MNIST = DataSpec((1, 28, 28), 0)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def players(networks: Any, spec: DataSpec, noise: int = Z) -> tuple[Network, Network]:
    made = nets.build(networks, spec, noise)
    return made["generator"], made["discriminator"]


def shapes(module: nn.Module, *kinds: type[nn.Module]) -> list[tuple[int, ...]]:
    """Weight shapes of the layers of these kinds, in order."""
    return [tuple(m.weight.shape) for m in module.modules() if isinstance(m, kinds)]  # type: ignore[arg-type]


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


# --- the contract, for every network there is, with labels and without ------------------------

CONTRACT = [
    ("mlp", MLP((8, 9), (7,)), VECTORS),
    ("mlp", MLP((8, 9), (7,), generator_norm="batch", discriminator_norm="batch"), MNIST),
    ("mlp", MLP((8,), (7,)), DataSpec((3, 5, 4), 4)),
    ("mlp", MLP((8,), (7,), label="projection"), DataSpec((2,), 3, "float32", False)),
    ("mlp", MLP((), ()), VECTORS),
    ("dcgan", DCGAN(3, 2), MNIST),
    ("dcgan", DCGAN(3, 2), DataSpec((3, 20, 33), 5)),
    ("dcgan", DCGAN(3, 2, label="projection"), DataSpec((2, 16, 16), 5)),
    ("dcgan", DCGAN(3, 2, "none", False, True), DataSpec((4, 31, 17), 0)),
    ("resnet", ResNet(3, 2), DataSpec((3, 16, 24), 5)),
    ("resnet", ResNet(3, 2, "none", "layer", "sum"), DataSpec((1, 32, 32))),
    ("resnet", ResNet(3, 2, discriminator_norm="spectral"), DataSpec((1, 16, 16), 4)),
    ("stylegan2", StyleGAN2(64, 5, 9, group=1), DataSpec((1, 16, 16), 4)),
    ("stylegan2", StyleGAN2(64, 5, 9, group=2), DataSpec((3, 8, 8))),
    *(
        (name, narrow(make()).networks, data_for(make()).spec)
        for name, make in RECIPES.items()
        if not make().pairing  # translators have no z: tests/nets/test_translators.py
    ),
]


def test_every_network_keeps_the_contract() -> None:
    translate = {"unet", "cycle"} | {name for name, make in RECIPES.items() if make().pairing}
    every = set(PARTS["networks"]) - {"python"} | set(RECIPES)
    assert {name for name, _, _ in CONTRACT} == every - translate


def labels(spec: DataSpec, n: int) -> Tensor | None:
    return torch.arange(n) % spec.classes if spec.classes else None


@pytest.mark.parametrize(("name", "networks", "spec"), CONTRACT)
def test_shapes_and_neighbours(name: str, networks: Any, spec: DataSpec) -> None:
    g, d = players(networks, spec)
    z = torch.from_numpy(Stream(0, "z").normal(0, 6, Z))
    label = labels(spec, 6)
    for module in (g, d):
        module.train()
    x = g(z, label, None)  # moves the batch statistics
    assert x.shape == (6, *spec.shape)
    assert d(x, label, None).shape[:1] == (6,)
    g.eval(), d.eval()
    x = g(z, label, None)
    styled = isinstance(networks, StyleGAN2)
    if spec.bounded and not styled:
        assert x.abs().max() <= 1
    group = networks.group if styled else 1
    logits = d(x, label, None)
    assert logits.shape == (6,)
    for i in (0, 3, 5):
        one = None if label is None else label[i : i + 1]
        alone = g(z[i : i + 1], one, None)
        assert torch.allclose(alone[0], x[i], atol=1e-5)
        if group == 1:
            assert torch.allclose(d(x[i : i + 1], one, None)[0], logits[i], atol=1e-5)
    other = x.clone()
    other[3] += 1
    moved = (d(other, label, None) - logits).abs() > 1e-7
    assert moved.tolist() == [i // group == 3 // group for i in range(6)]  # one picture, one logit


@pytest.mark.parametrize(("name", "networks", "spec"), CONTRACT)
def test_labels_reach_both_players(name: str, networks: Any, spec: DataSpec) -> None:
    g, d = players(networks, spec)
    g.eval(), d.eval()
    z, x = torch.randn(4, Z), torch.randn(4, *spec.shape)
    if spec.classes:
        one, other = torch.zeros(4, dtype=torch.int64), torch.full((4,), spec.classes - 1)
        assert not torch.equal(g(z, one, None), g(z, other, None))
        assert not torch.equal(d(x, one, None), d(x, other, None))
        with pytest.raises(ValueError, match="without labels"):
            g(z, None, None)
        with pytest.raises(ValueError, match="without labels"):
            d(x, None, None)
    else:
        g(z, None, None), d(x, None, None)


@pytest.mark.parametrize(("name", "networks", "spec"), CONTRACT)
def test_nothing_is_drawn_inside(name: str, networks: Any, spec: DataSpec) -> None:
    g, d = players(networks, spec)
    before = torch.get_rng_state()
    for module in (g, d):
        drawn = [type(m).__name__ for m in module.modules() if "Dropout" in type(m).__name__]
        assert not drawn  # torch's layers would draw from its global generator
    label = labels(spec, 4)
    d(g(torch.zeros(4, Z), label, None), label, None)
    assert torch.equal(torch.get_rng_state(), before)


# --- convolutions at every size ---------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_as_many_logits_as_pictures_at_every_size(channels: int) -> None:
    """64 pictures of 28 x 28 gave the report's discriminator 36 logits."""
    sizes = [(s, s) for s in range(16, 129)]
    if channels > 1:
        sizes = [(16, 128), (128, 16), (17, 31), (28, 20), (45, 64), (127, 33), (128, 128)]
    with torch.no_grad():
        for height, width in sizes:
            spec = DataSpec((channels, height, width), 0)
            g, d = players(DCGAN(1, 1, init=Init("default")), spec)
            x = g(torch.zeros(3, Z), None, None)
            assert x.shape == (3, channels, height, width)
            assert d(x, None, None).shape == (3,)


@pytest.mark.parametrize("size", [16, 28, 33, 64])
@pytest.mark.parametrize("label", ["concat", "projection"])
def test_real_values_at_some_sizes(size: int, label: str) -> None:
    g, d = players(DCGAN(2, 2, label=label), DataSpec((3, size, size), 4))
    kinds = torch.tensor([0, 3])
    x = g(torch.randn(2, Z), kinds, None)
    assert x.shape == (2, 3, size, size)
    assert torch.isfinite(d(x, kinds, None)).all()


@pytest.mark.parametrize(
    "networks", [DCGAN(2, 2, label="projection"), MLP((3,), (3,), label="projection")]
)
def test_a_projection_gives_a_logit_for_each_of_several_labels(networks: Any) -> None:
    _, d = players(networks, DataSpec((3, 16, 16), 4))
    x, asked = (
        torch.randn(5, 3, 16, 16),
        torch.tensor([[2, 0, 3], [1, 1, 0], [3, 2, 1], [0, 1, 2], [2, 2, 2]]),
    )
    several = d(x, asked, None)
    assert several.shape == (5, 3)
    for i in range(3):
        assert torch.allclose(several[:, i], d(x, asked[:, i], None), atol=1e-6)


@pytest.mark.parametrize(("height", "width"), [(15, 15), (16, 257), (8, 64), (300, 300), (1, 16)])
def test_sizes_it_cannot_make(height: int, width: int) -> None:
    with pytest.raises(UsageError, match=f"{height} x {width}"):
        DCGAN()(DataSpec((1, height, width)), Z)


def test_vectors_are_not_pictures() -> None:
    with pytest.raises(UsageError, match="mlp"):
        DCGAN()(VECTORS, Z)


def test_how_sides_are_halved() -> None:
    assert convolutional.sides(28, 3) == [4, 7, 14, 28]
    assert convolutional.sides(64, 4) == [4, 8, 16, 32, 64]
    assert convolutional.halvings(16, 128) == 2
    assert convolutional.halvings(128, 128) == 5
    assert convolutional.widths(32, 3) == [32, 64, 128]
    assert convolutional.widths(64, 5) == [64, 128, 256, 512, 512]
    for side in range(16, 129):
        steps = convolutional.sides(side, convolutional.halvings(side, side))
        assert steps[-1] == side
        assert 3 <= steps[0] <= 4


# --- the published shapes ---------------------------------------------------------------------


def test_the_reports_dcgan() -> None:
    config = recipes.find("dcgan-report")
    g, d = players(config.networks, MNIST, 100)
    assert shapes(d, nn.Conv2d) == [(32, 1, 4, 4), (64, 32, 4, 4), (128, 64, 4, 4)]
    assert shapes(d, nn.Linear) == [(1, 128 * 3 * 3)]
    assert shapes(d, nn.BatchNorm2d) == [(64,), (128,)]
    assert shapes(g, nn.Linear) == [(128 * 4 * 4, 100)]
    transposed = [(128, 64, 3, 3), (64, 32, 4, 4), (32, 1, 4, 4)]
    assert shapes(g, nn.ConvTranspose2d) == transposed
    assert shapes(g, nn.BatchNorm2d) == [(64,), (32,)]
    convolutions = [
        m for m in (*g.modules(), *d.modules()) if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)
    ]
    assert all(m.bias is None and m.stride == (2, 2) for m in convolutions)
    seen: list[tuple[int, ...]] = []
    for layer in (m for m in g.modules() if isinstance(m, nn.ConvTranspose2d)):
        layer.register_forward_hook(lambda m, i, o: seen.append(tuple(o.shape[1:])))
    g(torch.zeros(2, 100), None, None)
    assert seen == [(64, 7, 7), (32, 14, 14), (1, 28, 28)]
    assert count(d) == 32 * 16 + 64 * 32 * 16 + 128 * 64 * 16 + 2 * 64 + 2 * 128 + 1152 + 1


def test_the_perceptrons() -> None:
    chains = {
        "gaussian": ([(2, 2)], [(5, 2), (3, 5), (1, 3)]),
        "mnist-mlp": (
            [(256, 100), (512, 256), (1024, 512), (784, 1024)],
            [(512, 784), (256, 512), (1, 256)],
        ),
        "mnist-dropout": (
            [(32, 100), (64, 32), (128, 64), (784, 128)],
            [(128, 784), (64, 128), (32, 64), (1, 32)],
        ),
        "cgan": (
            [(256, 110), (512, 256), (1024, 512), (784, 1024)],
            [(1024, 794), (512, 1024), (256, 512), (1, 256)],
        ),
    }
    for name, (g_shapes, d_shapes) in chains.items():
        config = recipes.find(name)
        spec = build.players_spec(config, data_for(config).spec)
        g, d = players(config.networks, spec, config.noise.size)
        assert shapes(g, nn.Linear) == g_shapes, name
        assert shapes(d, nn.Linear) == d_shapes, name
    g, d = players(recipes.find("mnist-mlp").networks, MNIST, 100)
    assert shapes(g, nn.BatchNorm1d) == [(256,), (512,), (1024,)]
    assert shapes(d, nn.BatchNorm1d) == []


def test_parameter_counts() -> None:
    g, d = players(recipes.find("gaussian").networks, VECTORS, 2)
    assert (count(g), count(d)) == (6, 37)
    g, d = players(recipes.find("mnist-mlp").networks, MNIST, 100)
    linear = 100 * 256 + 256 * 512 + 512 * 1024 + 1024 * 784
    assert count(g) == linear + (256 + 512 + 1024 + 784) + 2 * (256 + 512 + 1024)
    assert count(d) == 784 * 512 + 512 * 256 + 256 + 512 + 256 + 1
    config = recipes.find("cgan")
    g, d = players(config.networks, DataSpec((1, 28, 28), 10), 100)
    assert shapes(g, nn.Embedding) == shapes(d, nn.Embedding) == [(10, 10)]
    shared = {id(p) for p in g.parameters()} & {id(p) for p in d.parameters()}
    assert not shared  # each player has a separate embedding


def test_the_lightning_tutorials_generator() -> None:
    networks = MLP((128, 256, 512, 1024), (512, 256), generator_norm="batch-after-first")
    g, _ = players(networks, MNIST, 100)
    assert shapes(g, nn.BatchNorm1d) == [(256,), (512,), (1024,)]


# --- initial weights --------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [0.02, 0.1])
@pytest.mark.parametrize("law", ["normal", "uniform"])
def test_initial_weights_are_drawn_from_their_law(law: str, scale: float) -> None:
    torch.manual_seed(0)
    spec = DataSpec((3, 32, 32), 6)
    for networks in (
        MLP((300,), (300,), generator_norm="batch", init=Init(law, scale)),
        DCGAN(32, 32, label="projection", init=Init(law, scale)),
    ):
        for module in networks(spec, 100).values():
            for name, p in module.named_parameters():
                owner = module.get_submodule(name.rpartition(".")[0])
                batch_norm = isinstance(owner, nn.BatchNorm1d | nn.BatchNorm2d)
                if name.endswith("bias"):
                    assert not p.any(), name
                elif batch_norm:
                    assert p.mean().item() == pytest.approx(1, abs=5 * scale / len(p) ** 0.5)
                elif p.numel() > 1000:
                    std = scale if law == "normal" else scale / 3**0.5
                    assert abs(p.mean().item()) < 5 * std / p.numel() ** 0.5, name
                    assert p.std().item() == pytest.approx(std, rel=0.08), name
                    assert law == "normal" or p.abs().max() <= scale


def test_biases_from_the_law_too() -> None:
    torch.manual_seed(0)
    networks = MLP((3000,), (3000,), init=Init("normal", 0.01, biases=True))
    for module in networks(DataSpec((2,), 4), 3).values():
        bias = max((p for n, p in module.named_parameters() if "bias" in n), key=len)
        assert bias.std().item() == pytest.approx(0.01, rel=0.1)
        embeddings = [m.weight for m in module.modules() if isinstance(m, nn.Embedding)]
        assert embeddings
        assert all(0.005 < e.std().item() < 0.02 for e in embeddings)


def test_torchs_own_law_is_left_alone() -> None:
    torch.manual_seed(3)
    ours = MLP((5,), (5,), init=Init("default"))(VECTORS, 2)["generator"]
    torch.manual_seed(3)
    theirs = nn.Linear(2, 5)
    assert torch.equal(next(ours.parameters()), theirs.weight)


@pytest.mark.parametrize("bad", [{"law": "gauss"}, {"scale": 0.0}, {"scale": float("inf")}])
def test_laws_out_of_range(bad: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Init(**bad)


# --- dropout ----------------------------------------------------------------------------------


def test_given_masks_are_used_and_none_means_none() -> None:
    networks = MLP((40, 30), (50,), generator_dropout=0.3, discriminator_dropout=0.6)
    g, d = players(networks, VECTORS)
    assert g.random_inputs() == {
        "hidden0": RandomInput("dropout", (40,), 0.3),
        "hidden1": RandomInput("dropout", (30,), 0.3),
    }
    assert d.random_inputs() == {"hidden0": RandomInput("dropout", (50,), 0.6)}
    z = torch.randn(5, Z)
    ones = {"hidden0": torch.ones(5, 40), "hidden1": torch.ones(5, 30)}
    for mode in (True, False):
        g.train(mode)
        assert torch.equal(g(z, None, None, ones), g(z, None, None))
    gone = {"hidden0": torch.zeros(5, 40), "hidden1": torch.zeros(5, 30)}
    assert torch.allclose(g(z, None, None, gone), g.out.bias.expand(5, 2))  # type: ignore[union-attr,operator]


def test_masks_keep_the_mean() -> None:
    networks = MLP((400,), (4,), generator_dropout=0.3, generator_activation="relu")
    g, _ = players(networks, VECTORS)
    z = torch.randn(1, Z).expand(20_000, Z)
    mask = torch.from_numpy(Stream(0, "mask").dropout_mask(0, 20_000, 400, 0.3))
    dropped = g(z, None, None, {"hidden0": mask})
    spread = dropped.std(0) / 20_000**0.5
    assert ((dropped.mean(0) - g(z[:1], None, None)[0]).abs() < 5 * spread).all()


def test_without_dropout_there_are_no_masks() -> None:
    g, d = players(MLP((4,), (4,)), VECTORS)
    assert g.random_inputs() == d.random_inputs() == {}


# --- the user's -------------------------------------------------------------------------------


def test_plain_modules_are_wrapped() -> None:
    def users(spec: DataSpec, noise: int) -> dict[str, nn.Module]:
        return {"generator": nn.Linear(noise, spec.size), "discriminator": nn.Linear(spec.size, 1)}

    g, d = players(users, VECTORS)
    assert isinstance(g, PlainModule) and isinstance(d, PlainModule)
    z = torch.randn(3, Z)
    assert torch.equal(g(z, None, None, {}), g.module(z))
    assert d(g(z), None).shape == (3, 1)
    conditional = PlainModule(nn.Bilinear(2, 3, 1), True)
    assert conditional(torch.zeros(4, 2), torch.zeros(4, 3)).shape == (4, 1)


@pytest.mark.parametrize(
    "bad",
    [lambda s, n: {"generator": nn.Identity()}, lambda s, n: nn.Identity(), "mlp", 3,
     lambda s, n: {"generator": nn.Identity(), "netD": nn.Identity()}],
)  # fmt: skip
def test_networks_that_are_none(bad: Any) -> None:
    with pytest.raises(UsageError, match="networks"):
        nets.build(bad, VECTORS, Z)


@pytest.mark.parametrize(
    "bad",
    [
        (MLP, {"generator": (0,)}), (MLP, {"generator_dropout": 1.0}), (MLP, {"label": "sum"}),
        (MLP, {"generator_norm": "layer"}), (MLP, {"discriminator_activation": "swish"}),
        (MLP, {"embedding": 0}), (DCGAN, {"generator_width": 0}),
        (DCGAN, {"discriminator_norm": "layer"}), (DCGAN, {"label": "plane"}),
        (MLP, {"generator_norm": "spectral"}),
    ],
)  # fmt: skip
def test_arguments_out_of_range(bad: tuple[type, dict[str, Any]]) -> None:
    kind, arguments = bad
    with pytest.raises(UsageError, match=next(iter(arguments)).rpartition("_")[2]):
        kind(**arguments)


def test_the_initial_state_is_a_function_of_the_seed() -> None:
    config = narrow(recipes.find("cdcgan"))
    spec = data_for(config).spec
    before = torch.get_rng_state()
    states = [state.tensors(build.initial(replace(config, seed=s), spec)) for s in (0, 0, 1)]
    assert torch.equal(torch.get_rng_state(), before)
    names = [n for n in states[0] if n.startswith(("generator.", "discriminator."))]
    assert all(torch.equal(states[0][n], states[1][n]) for n in names)
    assert any(not torch.equal(states[0][n], states[2][n]) for n in names)
    assert replace(config, noise=Noise(3)).noise.size == 3
    assert np.isfinite(float(sum(states[0][n].sum() for n in names)))


@pytest.mark.parametrize(
    "layer",
    [nn.LayerNorm(64), nn.GroupNorm(4, 64), nn.InstanceNorm2d(64, affine=True), nn.RMSNorm(64)],
)
def test_gains_of_norm_layers_start_at_one(layer: nn.Module) -> None:
    """As weights they would start around 0, and the network would be silent."""
    Init("normal", 0.02, biases=True).apply(layer)
    assert torch.equal(layer.weight, torch.ones_like(layer.weight))
    if getattr(layer, "bias", None) is not None:
        assert not layer.bias.any()


class Wider(MLP):
    """A class of the user's, made from one of the package."""


def test_networks_of_the_package_are_distinguished_from_those_of_the_user() -> None:
    assert all(nets.is_built_in(networks) for networks in (MLP((4,), (4,)), DCGAN(), Wider()))
    assert not any(nets.is_built_in(networks) for networks in (players, MLP, nn.Linear(2, 2)))
