"""Pages of generators: the samples of Python, from the same seeds, in a text that is safe."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import ganforge as gf
from ganforge import nets, recipes
from ganforge.config.schema import Noise
from ganforge.data.spec import DataSpec
from ganforge.errors import DataError, UsageError
from ganforge.export.demo import page
from ganforge.export.demo.graph import Graph, of_generator
from ganforge.export.demo.reference import Reference
from ganforge.sampling import paths
from ganforge.sampling.sampler import Sampler
from tests.helpers.engine import in_node, needs_node, samples
from tests.helpers.pages import Reader
from tests.helpers.samplers import fresh, styled

DIGITS = DataSpec((1, 28, 28), 10)
HOSTILE = "</script><img src=x onerror=alert(1)>"
LOOPS = ["simd", "plain"]
PICTURES = {
    "cdcgan": DIGITS,
    "dcgan": DataSpec((3, 45, 71)),
    "dcgan-report": DataSpec((1, 28, 28)),
    "pictures": DataSpec((3, 32, 32)),
    "cgan": DIGITS,
    "mnist-mlp": DataSpec((1, 28, 28)),
    "mnist-dropout": DataSpec((1, 28, 28)),
    "parzen": DataSpec((1, 28, 28)),
    "wgan-gp": DataSpec((3, 32, 32)),
}
PLANE = DataSpec((2,), 0, "float32", False, (1.0, 2.0), (1.0, 2.1))
VECTORS = {
    "gaussian": PLANE,
    "ring": PLANE,
    "grid": PLANE,
    "wgan-gp-toy": PLANE,
    "figure1": DataSpec((1,), 0, "float32", False, (0.0,), (1.5,)),
}


@pytest.fixture(scope="module")
def digits() -> Sampler:
    return fresh(DIGITS)


CODED = replace(recipes.find("infogan").noise, law="normal")


def informed() -> Sampler:
    """A narrow generator with codes."""
    return replace(fresh(DataSpec((1, 28, 28)), "infogan", width=4, hidden=32), noise=CODED)


def stored(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Samples of Python in the order of the page, (N, C, H, W) or (N, F)."""
    return (x.transpose(0, 3, 1, 2) if x.ndim == 4 else x).astype(np.float64)


# --- the numbers ------------------------------------------------------------------------------


@needs_node
@pytest.mark.parametrize("loops", LOOPS)
def test_a_thousand_samples_of_the_default(digits: Sampler, tmp_path: Path, loops: str) -> None:
    count = 1000 if loops == "simd" else 100
    wanted = stored(digits.sample(count))
    gap = np.abs(samples(tmp_path, page.html(digits), loops, count) - wanted)
    # untrained pictures are grey: twice as many of their values as of digits are near a half
    assert gap.max() <= 1 and (gap > 0).mean() <= 0.02
    if loops == "simd":
        whole = np.abs(samples(tmp_path, page.html(digits, full=True), loops, count) - wanted)
        assert whole.max() <= 1 and (whole > 0).mean() <= 1e-4


@needs_node
@pytest.mark.parametrize("recipe", sorted(PICTURES))
def test_pictures_of_every_recipe(recipe: str, tmp_path: Path) -> None:
    sampler = fresh(PICTURES[recipe], recipe)
    asked = {"seed": 3, "first": 7, "truncation": 0.7}
    wanted = stored(sampler.sample(20, **asked))
    for full, most in ((False, 0.1), (True, 5e-4)):  # of few pixels
        made = samples(tmp_path, page.html(sampler, full), "simd", 20, **asked)
        assert np.abs(made - wanted).max() <= 1 and (made != wanted).mean() <= most


@needs_node
def test_codes_are_drawn_or_chosen(tmp_path: Path) -> None:
    sampler = informed()
    text = page.html(sampler, full=True)
    for codes in ({}, {"digit": 3}, {"digit": 9, "slant": -1.5}):
        asked = {"seed": 3, "first": 7, "truncation": 0.5, "codes": codes}
        wanted = stored(sampler.sample(20, **asked))
        made = samples(tmp_path, text, "simd", 20, **asked)
        assert np.abs(made - wanted).max() <= 1 and (made != wanted).mean() <= 5e-4, codes


@needs_node
def test_codes_on_a_walk_and_a_plane(tmp_path: Path) -> None:
    """On a walk between drawn codes they change on a line; on a plane they stay."""
    sampler = informed()
    ends = sampler.z(3)
    body = """
    const [a, b, c] = [0, 1, 2].map((i) => numbers(given.ends).subarray(74 * i, 74 * i + 74));
    answer([...between(a, b, 0.25, "normal", 62), ...onPlane([a, b, c], 0.5, 0.5, "normal", 62)]);
    """
    walk, plane = in_node(tmp_path, body, "plain", ends=ends.numpy()).reshape(2, 74)
    wanted = paths.path(ends[:1, None], ends[1:2, None], torch.tensor([0.25]), CODED, False)
    assert np.abs(walk - wanted.numpy()[0, 0]).max() < 1e-6
    assert (plane[62:] == ends[0, 62:].numpy()).all()
    assert np.abs(plane[:62] - ends[0, :62].numpy()).max() > 0.5


@needs_node
@pytest.mark.parametrize("recipe", sorted(VECTORS))
def test_vectors_of_every_recipe(recipe: str, tmp_path: Path) -> None:
    sampler = fresh(VECTORS[recipe], recipe)
    wanted = stored(sampler.sample(200, seed=-2))
    made = samples(tmp_path, page.html(sampler), "simd", 200, seed=-2)
    assert np.abs(made - wanted).max() <= 2e-3 * np.ptp(wanted)
    made = samples(tmp_path, page.html(sampler, full=True), "plain", 200, seed=-2)
    assert np.abs(made - wanted).max() <= 1e-5 * np.ptp(wanted)


@needs_node
@pytest.mark.parametrize("loops", LOOPS)
@pytest.mark.parametrize("classes", [0, 3])
def test_styles_and_their_truncation(classes: int, loops: str, tmp_path: Path) -> None:
    sampler = styled(classes)
    for t in (1.0, 0.6):
        wanted = stored(sampler.sample(6, truncation=t))
        made = samples(tmp_path, page.html(sampler, full=True), loops, 6, truncation=t)
        assert np.abs(made - wanted).max() <= 1 and (made != wanted).mean() <= 2e-3
    assert (wanted != stored(sampler.sample(6))).mean() > 0.5


@needs_node
def test_the_heap_may_grow_before_a_demodulation(tmp_path: Path) -> None:
    """Its inputs fill the heap, so that its output makes it grow."""
    graph, numbers = Graph(), np.random.default_rng(0)
    x = graph.add("constant", [], tensor=graph.tensor(numbers.normal(size=(4, 8, 8))))
    style = graph.add("constant", [], tensor=graph.tensor(numbers.normal(size=3)))
    weight = graph.tensor(numbers.normal(size=(4, 3, 3, 3)))
    graph.add("demodulate", [x, style], weight=weight, epsilon=1e-8)
    data, table, _ = page.stored(graph, full=True)
    model = {"operations": graph.operations, "tensors": table, "inputs": {}}
    body = """
    const bytes = new Uint8Array(Buffer.from(given.bytes, "base64"));
    const made = new engine.Engine(given.model, bytes, loops);
    const usual = made.run(1, {});
    made.weights = loops.heap.length - 600; // 516 for x and the style, 256 for the output
    answer([...usual, ...made.run(1, {})]);
    """
    values = in_node(tmp_path, body, "simd", model=model, bytes=base64.b64encode(data).decode())
    usual, grown = values.reshape(2, -1)
    assert np.isfinite(usual).all() and (usual == grown).all()


@needs_node
def test_labels_are_cycled(digits: Sampler, tmp_path: Path) -> None:
    made = samples(tmp_path, page.html(digits), "simd", 5, label=[3, 8], first=2)
    assert np.abs(made - stored(digits.sample(5, [3, 8], first=2))).max() <= 1


LAYERS: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "strides": (nn.Conv2d(3, 5, 4, 2, 1), (3, 9, 12)),
    "tall kernel": (nn.Conv2d(2, 3, (3, 1), padding=(1, 0), bias=False), (2, 6, 5)),
    "1 x 1": (nn.Conv2d(4, 7, 1), (4, 5, 3)),
    "reflected": (nn.Sequential(nn.ReflectionPad2d(3), nn.Conv2d(2, 4, 7)), (2, 8, 9)),
    "transposed": (nn.ConvTranspose2d(5, 3, (4, 3), 2, 1), (5, 4, 7)),
    "with extra pixels": (nn.ConvTranspose2d(3, 2, 3, 2, 1, 1), (3, 5, 4)),
    "bilinear": (nn.Upsample((11, 7), mode="bilinear"), (3, 6, 4)),
    "nearest": (nn.Upsample(scale_factor=2), (3, 4, 5)),
    "instance": (nn.InstanceNorm2d(4), (4, 5, 6)),
    "instance with weights": (nn.InstanceNorm2d(3, affine=True), (3, 5, 6)),
    "folded": (nn.Sequential(nn.Conv2d(2, 5, 3), nn.BatchNorm2d(5), nn.ReLU()), (2, 6, 6)),
    "not folded": (nn.Sequential(nn.ReLU(), nn.BatchNorm2d(3), nn.LeakyReLU(0.2)), (3, 4, 4)),
    "sigmoid": (nn.Sequential(nn.Sigmoid(), nn.Tanh()), (2, 3, 3)),
}


@needs_node
@pytest.mark.parametrize("loops", LOOPS)
@pytest.mark.parametrize("name", LAYERS)
def test_layers_are_those_of_torch(name: str, loops: str, tmp_path: Path) -> None:
    """Each in both sets of loops, with batch statistics and weights that are not 0 and 1."""
    module, shape = LAYERS[name]
    torch.manual_seed(1)
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean, norm.running_var = torch.randn(2, norm.num_features).exp()
        if isinstance(norm, nn.BatchNorm2d | nn.InstanceNorm2d) and norm.affine:
            nn.init.normal_(norm.weight)
            nn.init.normal_(norm.bias)
    x = torch.randn(3, *shape)
    wanted = module.eval()(x).detach()
    graph = of_generator(module, translates=True)
    data, table, tensors = page.stored(graph, full=True)
    torch.testing.assert_close(Reference(tensors, {"source": x}).run(graph.operations), wanted)
    model = {"operations": graph.operations, "tensors": table, "inputs": {"source": list(shape)}}
    body = """
    const bytes = new Uint8Array(Buffer.from(given.bytes, "base64"));
    answer(new engine.Engine(given.model, bytes, loops).run(3, { source: numbers(given.x) }));
    """
    made = in_node(
        tmp_path, body, loops, model=model, bytes=base64.b64encode(data).decode(), x=x.numpy()
    )
    np.testing.assert_allclose(made.reshape(wanted.shape), wanted.numpy(), rtol=1e-5, atol=2e-6)


@needs_node
@pytest.mark.parametrize("sizes", [(1, 1, 1), (3, 5, 7), (4, 3, 8), (9, 17, 31), (6, 2, 12)])
def test_products_of_any_size(sizes: tuple[int, int, int], tmp_path: Path) -> None:
    """The tiles of 4 x 8 and what is left over, with untouched neighbours."""
    m, k, n = sizes
    a, b = (np.random.default_rng(0).normal(size=s).astype("<f4") for s in ((m, k), (k, n)))
    body = """
    const [m, k, n] = given.sizes;
    loops.heap.fill(7, 0, 4096);
    loops.heap.set(numbers(given.a), 0);
    loops.heap.set(numbers(given.b), 1024);
    loops.gemm(0, 1024, 2048, m, k, n);
    answer(loops.heap.subarray(2047, 2049 + m * n));
    """
    made = in_node(tmp_path, body, "simd", sizes=sizes, a=a, b=b)
    np.testing.assert_allclose(made[1:-1].reshape(m, n), a @ b, rtol=1e-5, atol=1e-5)
    assert made[0] == made[-1] == 7


def test_the_engine_is_its_source() -> None:
    """engine.wasm is built from engine.wat."""
    wasmtime = pytest.importorskip("wasmtime", reason="wasmtime is not installed")
    text = (page.WEB / "engine.wat").read_text()
    assert bytes(wasmtime.wat2wasm(text)) == (page.WEB / "engine.wasm").read_bytes()


# --- the text ---------------------------------------------------------------------------------


def test_the_page_is_small_and_asks_for_nothing(digits: Sampler) -> None:
    text = page.html(digits)
    numbers = sum(p.numel() for p in digits.model.parameters())
    assert len(text.encode()) <= min(1_000_000, 1.4 * 2 * numbers + 120_000)
    assert "://" not in text and "url(" not in text
    seen = Reader(text)
    for tag, attrs in seen.tags:
        assert not {a for a in attrs if a.startswith("on") or a in ("src", "style")}, tag
    policy = page.policy_of(text)
    assert "'unsafe-inline'" not in policy and "'unsafe-eval'" not in policy
    assert policy.startswith("default-src 'none'; ") and "'wasm-unsafe-eval'" in policy
    script = next(t for t in seen.inside["script"] if "Philox" in t)
    for kind, inside in (("script", script), ("style", seen.inside["style"][0])):
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert not re.search(r"^(import|export) ", script, re.MULTILINE)


@pytest.mark.parametrize("recipe", [r for r in (*PICTURES, *VECTORS) if r != "wgan-gp"])
def test_pages_are_at_most_1_4_times_their_weights(recipe: str) -> None:
    sampler = fresh({**PICTURES, **VECTORS}[recipe], recipe)
    numbers = sum(p.numel() for p in sampler.model.parameters())
    assert len(page.html(sampler).encode()) <= 1.4 * 2 * numbers + 120_000


def test_the_same_model_makes_the_same_bytes(digits: Sampler, tmp_path: Path) -> None:
    first, second = (gf.demo(digits, tmp_path / f"{i}.html").read_bytes() for i in range(2))
    assert first == second and str(tmp_path).encode() not in first


def test_names_stay_text(digits: Sampler) -> None:
    named = replace(digits, name=HOSTILE, class_names=(HOSTILE, *"123456789"))
    text = page.html(named)
    assert "<img" not in text
    seen = Reader(text)
    assert seen.data["name"] == HOSTILE and seen.data["class_names"][0] == HOSTILE
    assert seen.inside["h1"] == [HOSTILE]


class Own(nn.Module):
    """A network of a user's."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, z: Tensor) -> Tensor:
        return self.layer(z).sin()


@pytest.mark.parametrize("shape", [(2,), (1, 1, 2)])
def test_other_networks_get_a_page_that_offers_onnx(shape: Any, tmp_path: Path) -> None:
    """A picture of samples for pictures; the module's name; the command."""
    wrapped = nets.PlainModule(nn.Sequential(Own(), nn.Unflatten(1, shape)), conditional=False)
    vectors = len(shape) == 1
    spec = DataSpec(shape, 0, "float32", False, (0.0,), (1.0,)) if vectors else DataSpec(shape)
    sampler = Sampler(wrapped, spec, Noise(4), HOSTILE)
    with pytest.raises(UsageError, match=r"PlainModule: .*ganforge export RUN -o model\.onnx"):
        page.html(sampler)
    seen = Reader(gf.demo(sampler, tmp_path / "demo.html").read_text())
    assert "cannot run in a page: PlainModule" in seen.text
    assert "ganforge export RUN -o model.onnx --noise" in seen.text
    assert [i["src"].partition(",")[0] for i in seen.all("img")] == ["data:image/png;base64"] * (
        not vectors
    )


def test_large_pages_are_refused_with_a_remedy(digits: Sampler, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"1\.\d MB, more than 1: leave out --full, .*--largest 2"):
        gf.demo(digits, tmp_path / "demo.html", full=True, largest=1.0)
    assert list(tmp_path.iterdir()) == []
    assert gf.demo(digits, tmp_path / "demo.html", largest=1.0).exists()
    for largest in (float("nan"), 0, float("inf")):
        with pytest.raises(UsageError, match="largest = "):
            gf.demo(digits, tmp_path / "demo.html", largest=largest)


def test_a_page_that_differs_is_not_written(digits: Sampler) -> None:
    graph: Graph = of_generator(digits.model)
    _, _, tensors = page.stored(graph, full=False)
    page.require_same(digits, graph, tensors)
    with pytest.raises(DataError, match=r"differ from the model by [\d.]+ levels"):
        page.require_same(digits, graph, [1.2 * t for t in tensors])
    with pytest.raises(UsageError, match=r"path = 'demo\.txt'"):
        gf.demo(digits, "demo.txt")
