"""Style-based players: a second reading of every layer, derivatives, and whole runs."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganforge import recipes
from ganforge.config.schema import Config, Noise
from ganforge.data.spec import DataSpec
from ganforge.errors import UsageError
from ganforge.gan import state, step
from ganforge.gan.adversarial import Adversarial
from ganforge.gan.batch import Batch, Log, RandomInputs
from ganforge.gan.path_length import MEAN, PathLength
from ganforge.gan.penalties import R1, Penalty
from ganforge.gan.state import State
from ganforge.gan.step import StepOptions
from ganforge.nets import stylegan
from ganforge.nets.stylegan import DownBlock, Generator, Linear, Mapping, Modulated, StyleGAN2
from ganforge.training import checks
from ganforge.training.cuda_graph import Captured
from ganforge.training.distributed import World
from ganforge.training.inputs import tree_map
from tests.helpers.tiny import (
    KNOBS,
    StopAfter,
    copies,
    data_for,
    fp64_state,
    newest,
    normal,
    run,
    shortened,
)

SPEC = DataSpec((2, 16, 16))
NETS = StyleGAN2(64, 6, 5)
FIR = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=torch.float64) / 8


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def scattered(module: nn.Module) -> nn.Module:
    """The module in double precision, no parameter left at its start."""
    module.double()
    for p in module.parameters():
        nn.init.normal_(p, 0.3, 0.7)
    return module


def leaky(x: Tensor) -> Tensor:
    return torch.where(x > 0, x, 0.2 * x) * 2**0.5


def wide(x: Tensor, weight: Tensor, crop: int) -> Tensor:
    """A correlation on a plane of zeros without a border, `crop` pixels cut on every side."""
    full = F.conv2d(x, weight, padding=weight.shape[-1] - 1)
    return full[..., crop : full.shape[-2] - crop, crop : full.shape[-1] - crop]


def filtered(x: Tensor) -> Tensor:
    """The whole answer of the filter [1, 3, 3, 1], on a plane without a border."""
    kernel = (FIR[:, None] * FIR).expand(x.shape[1], 1, 4, 4)
    return F.conv2d(x, kernel, padding=3, groups=x.shape[1])


def spaced(x: Tensor) -> Tensor:
    """A zero after every pixel but the last one."""
    out = x.new_zeros(*x.shape[:2], 2 * x.shape[2] - 1, 2 * x.shape[3] - 1)
    out[..., ::2, ::2] = x
    return out


def modulated(layer: Modulated, x: Tensor, w: Tensor) -> Tensor:
    """A weight for each example."""
    scale = 1 / math.sqrt(w.shape[1])
    out = []
    for one, style in zip(x, w @ layer.affine.weight.T * scale + layer.affine.bias, strict=True):
        weight = layer.weight * style[:, None, None]
        if layer.demodulate:
            length = (weight.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
            weight = weight / length
        else:
            weight = weight / math.sqrt(layer.weight[0].numel())
        if layer.up:
            out.append(wide(4 * filtered(spaced(one[None])), weight, 2))
        else:
            out.append(F.conv2d(one[None], weight, padding=layer.padding))
    return torch.cat(out)


# --- layers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kernel", "up", "demodulate"), [(3, False, True), (3, True, True),
                                                          (1, False, False)])  # fmt: skip
def test_scales_before_and_after_are_a_weight_for_each_example(
    kernel: int, up: bool, demodulate: bool
) -> None:
    layer = scattered(Modulated(5, 4, 7, kernel, up, demodulate))
    x, w = normal("x", 3, 5, 6, 6), normal("w", 3, 7)
    wanted = modulated(layer, x, w)
    assert wanted.shape == (3, 4, *(((12, 12)) if up else (6, 6)))
    torch.testing.assert_close(layer(x, w), wanted)


def test_a_demodulated_layer_gives_unit_variance() -> None:
    layer = Modulated(64, 48, 16, 3).double()
    x, w = normal("x", 8, 64, 16, 16), 5 * normal("w", 8, 16)
    out = layer(x, w)[..., 1:-1, 1:-1]
    assert float(out.detach().var()) == pytest.approx(1.0, rel=0.05)


def test_enlarging_is_bilinear_but_for_the_border() -> None:
    x = normal("x", 2, 3, 8, 8)
    big = stylegan.enlarge(x)
    bilinear = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
    torch.testing.assert_close(big[..., 1:-1, 1:-1], bilinear[..., 1:-1, 1:-1])
    whole = 4 * filtered(spaced(x))  # 18 x 18
    torch.testing.assert_close(big, whole[..., 1:-1, 1:-1])
    torch.testing.assert_close(stylegan.enlarge(x, padding=0), whole)


def test_a_residual_block() -> None:
    block = scattered(DownBlock(4, 5))
    x = normal("x", 2, 4, 8, 8)
    first, second = block.main
    h = leaky(F.conv2d(x, first.weight / 6, first.bias, padding=1))
    h = wide(filtered(h), second.weight / 6, 2)[..., 1:-1:2, 1:-1:2]
    h = leaky(h + second.bias[:, None, None])
    skip = F.conv2d(filtered(x), block.skip.weight / 2)[..., 2:-2:2, 2:-2:2]
    torch.testing.assert_close(block(x), (h + skip) / math.sqrt(2))


def test_weights_are_scaled_where_they_are_used() -> None:
    layer = Linear(400, 300, bias=1.0, rate=0.01)
    assert float(layer.weight.detach().std()) == pytest.approx(100, rel=0.02)
    x = torch.randn(50, 400)
    wanted = x @ layer.weight.T * 0.01 / 20 + layer.bias * 0.01
    torch.testing.assert_close(layer(x), wanted)
    assert float((layer(x) - 1).detach().std()) == pytest.approx(1.0, rel=0.05)
    assert torch.allclose(layer.bias, torch.full((300,), 100.0))


def test_the_mapping_is_the_papers_formula() -> None:
    mapping = scattered(Mapping(6, 3, 5, 2))
    z, label = normal("z", 4, 6), torch.tensor([2, 0, 1, 2])
    shown = mapping.embed.weight[:, label].T / math.sqrt(3) + mapping.embed.bias
    parts = [v / (v.square().mean(1, keepdim=True) + 1e-8).sqrt() for v in (z, shown)]
    w = torch.cat(parts, 1)
    for layer in mapping.layers:
        scale = 0.01 / math.sqrt(w.shape[1])
        w = leaky(w @ layer.weight.T * scale + 0.01 * layer.bias)
    torch.testing.assert_close(mapping(z, label), w)


def test_a_label_asks_for_a_direction_of_the_features() -> None:
    head = scattered(stylegan.Head(6, 3, 2))
    features, label = normal("features", 4, 6), torch.tensor([2, 0, 1, 2])
    out = features @ head.linear.weight.T / math.sqrt(6) + head.linear.bias
    wanted = (out * head.mapping(None, label)).sum(1) / math.sqrt(6)
    torch.testing.assert_close(head(features, label), wanted)


@pytest.mark.parametrize("count", [8, 6, 3])
def test_the_spread_of_a_group(count: int) -> None:
    x = normal("x", count, 3, 2, 2)
    out = stylegan.spread(x, 4)
    torch.testing.assert_close(out[:, :3], x)
    for i in range(count):
        group = x[i // 4 * 4 : i // 4 * 4 + 4].numpy()
        wanted = np.sqrt(group.var(0) + 1e-8).mean()
        assert out[i, 3].numpy() == pytest.approx(np.full((2, 2), wanted))


# --- the generator --------------------------------------------------------------------------------


def drawn(g: Generator, count: int) -> dict[str, Tensor]:
    """Random inputs of a generator; no style is mixed."""
    found = {k: normal(k, count, *r.shape) for k, r in g.random_inputs().items()}
    return found | {"mixing": torch.ones(count, 2).double()}


def test_the_generator_is_a_weight_for_each_example_and_a_sum_of_colours() -> None:
    g = scattered(Generator(SPEC, 4, NETS))
    ws, inputs = normal("ws", 3, 6, 5), drawn(g, 3)
    x = g.start.repeat(3, 1, 1, 1)
    picture = torch.zeros(3, 2, 2, 2).double()
    for i, layer in enumerate(g.layers):
        x = modulated(layer.conv, x, ws[:, i]) + layer.strength * inputs[f"noise{i}"]
        x = leaky(x + layer.bias[:, None, None])
        if i in (0, 2, 4):
            colours = (
                modulated(g.colours[i // 2], x, ws[:, i + 1]) + g.biases[i // 2][:, None, None]
            )
            picture = stylegan.enlarge(picture) + colours
    assert picture.shape == (3, 2, 16, 16)
    torch.testing.assert_close(g.pictures(ws, inputs), picture)
    z = normal("z", 3, 4)
    made = g.pictures(g.styles(z, None, inputs), inputs)
    torch.testing.assert_close(g(z, None, None, inputs), made)


def test_noise_is_drawn_or_fixed() -> None:
    g = scattered(Generator(SPEC, 4, NETS)).eval()
    z = normal("z", 3, 4)
    fixed = drawn(g, 3) | {f"noise{i}": m.noise.repeat(3, 1, 1, 1) for i, m in enumerate(g.layers)}
    torch.testing.assert_close(g(z), g(z, None, None, fixed))
    assert not torch.allclose(g(z), g(z, None, None, drawn(g, 3)), atol=1e-3)
    sizes = [r.shape for k, r in g.random_inputs().items() if k.startswith("noise")]
    assert sizes == [(1, s, s) for s in (4, 8, 8, 16, 16)]
    with torch.no_grad():
        for layer in g.layers:
            layer.strength.zero_()
    torch.testing.assert_close(g(z), g(z, None, None, drawn(g, 3)))


def test_styles_are_mixed_from_a_cut_on() -> None:
    g = scattered(Generator(SPEC, 4, NETS)).eval()
    z, inputs = normal("z", 5, 4), drawn(g, 5)
    numbers = [(0.95, 0.5), (0.1, 0.0), (0.1, 0.999), (0.89, 0.4), (0.91, 0.0)]
    inputs["mixing"] = torch.tensor(numbers).double()
    a, b = g.mapping(z, None), g.mapping(inputs["other_z"], None)
    ws = g.styles(z, None, inputs)
    assert ws.shape == (5, 6, 5)  # 2 log2(16) - 2 styles
    for i, cut in enumerate((6, 1, 5, 3, 6)):
        torch.testing.assert_close(ws[i, :cut], a[i].expand(cut, -1))
        torch.testing.assert_close(ws[i, cut:], b[i].expand(6 - cut, -1))
    assert torch.equal(g.styles(z, None, None), a[:, None].expand(-1, 6, -1))


def test_the_average_style_moves_in_training_alone() -> None:
    g = Generator(SPEC, 4, NETS).double()
    z, inputs = normal("z", 6, 4), drawn(g, 6)
    inputs["mixing"] = torch.zeros(6, 2).double()  # all mixed: the other z does not count
    w = g.mapping(z, None)
    g(z, None, None, inputs)
    torch.testing.assert_close(g.w_mean, 0.005 * w.mean(0))
    before = g.w_mean.clone()
    g.eval()(z, None, None, inputs)
    assert torch.equal(g.w_mean, before)
    ws = g.styles(z, None, None)
    torch.testing.assert_close(g.truncated(ws, 0.0), before.expand_as(ws))
    torch.testing.assert_close(g.truncated(ws, 0.5) - before, (ws - before) / 2)


# --- penalties ------------------------------------------------------------------------------------


def started(penalties: tuple[Penalty, ...] = (), nets: StyleGAN2 = NETS) -> State:
    config = Config("test", nets, Adversarial(penalties=penalties), noise=Noise(4))
    st = fp64_state(config, SPEC)
    st.aux = {MEAN: torch.tensor(0.3).double()}
    return st


def turn_of(g: Generator, count: int, name: str = "") -> RandomInputs:
    inputs = {k: normal(name + k, count, *r.shape) for k, r in g.random_inputs().items()}
    inputs["mixing"] = inputs["mixing"].sigmoid()
    path = normal(name + "path", count, *SPEC.shape)
    z = normal(name + "z", count, 4)
    return RandomInputs(z, None, {"generator": inputs}, {"path": path})


def test_the_length_of_a_path_by_its_jacobian() -> None:
    st, penalty = started(), PathLength(weight=2.0, decay=0.1)
    g = scattered(st.players.generator)
    inputs = turn_of(g, 6)
    values, aux = penalty(st.players, Batch(normal("real", 6, 2, 16, 16)), inputs, st.aux)
    half = inputs.rows(slice(0, None, 2))
    maps = half.networks["generator"]
    lengths = []
    for i in range(3):
        one = {k: v[i : i + 1] for k, v in maps.items()}
        ws = g.styles(half.z[i : i + 1], None, one)
        jacobian = torch.autograd.functional.jacobian(
            lambda w, one=one: g.pictures(w, one)[0], ws
        )  # (C, H, W, 1, layers, styles)
        y = half.extra["path"][i] / 16
        lengths.append((jacobian * y[..., None, None, None]).sum((0, 1, 2, 3)).square())
    wanted = torch.stack([one.sum(1).mean().sqrt() for one in lengths])
    torch.testing.assert_close(values, 2 * (wanted - 0.3).square())
    assert float(aux[MEAN]) == pytest.approx(0.3 + 0.1 * (float(wanted.mean()) - 0.3))


def slopes(paid: Callable[[], Tensor], module: nn.Module) -> None:
    """The derivative in every parameter is that of differences."""
    parameters = list(module.parameters())
    gradients = torch.autograd.grad(paid(), parameters, materialize_grads=True)
    for p, gradient in zip(parameters, gradients, strict=True):
        way, values = torch.randn_like(p), []
        for size in (1e-8, -1e-8):
            with torch.no_grad():
                p.add_(size * way)
                before = p - size * way
            values.append(paid().item())
            with torch.no_grad():
                p.copy_(before)
        slope = (values[0] - values[1]) / 2e-8
        assert slope == pytest.approx((gradient * way).sum().item(), rel=2e-3, abs=2e-5)


def test_the_path_length_can_be_descended() -> None:
    st, penalty = started(), PathLength()
    g = st.players.generator
    inputs, batch = turn_of(g, 4), Batch(normal("real", 4, 2, 16, 16))

    def paid() -> Tensor:
        return penalty(st.players, batch, inputs, st.aux)[0].sum()

    slopes(paid, g)


def test_r1_can_be_descended_through_the_spread() -> None:
    st, penalty = started(), R1(1.0)
    batch = Batch(normal("real", 4, 2, 16, 16))
    inputs = RandomInputs(normal("z", 4, 4))

    def paid() -> Tensor:
        return penalty(st.players, batch, inputs, {})[0].sum()

    slopes(paid, st.players.discriminator)


def inputs_of(st: State, i: int) -> tuple[list[Batch], dict[str, list[RandomInputs]]]:
    """Examples and random inputs of a step."""
    g = st.players.generator
    inputs = {side: [turn_of(g, 8, f"{side}{i}")] for side in ("discriminator", "generator")}
    return [Batch(normal(f"real{i}", 8, *SPEC.shape))], inputs


def played(st: State, game: Adversarial, steps: int, micro: int = 0) -> None:
    for i in range(steps):
        step.step(st, game, *inputs_of(st, i), KNOBS, StepOptions(micro_batch=micro))


LAZY = Adversarial(penalties=(R1(1.0, 2), PathLength(interval=2)))


def test_pieces_of_the_batch_are_the_batch() -> None:
    """Groups and halves are the same, and the mean length is one of all pieces.

    The average style follows each piece by itself.
    """
    whole, pieces = started(), started()
    played(whole, LAZY, 5)
    played(pieces, LAZY, 5, micro=4)
    ours, theirs = state.tensors(whole), state.tensors(pieces)
    assert float(ours[f"aux.{MEAN}"]) != 0.3
    for name in ours.keys() - {"generator.w_mean"}:
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-6, atol=1e-9)


def replayed(step: Callable[[], Log]) -> tuple[Callable[[], None], Log]:
    """In place of a recording, which wants a GPU: every replay calls the step again."""
    log = copies(step())

    def replay() -> None:
        for name, value in step().items():
            log[name].copy_(value)

    return replay, log


def test_a_recorded_step_is_the_step() -> None:
    """The mean length too: recording a step leaves it as it was, and a replay moves it."""
    plain, recorded = started(), started()
    played(plain, LAZY, 6)
    steps = Captured(recorded, LAZY, StepOptions(), replayed)
    for i in range(6):
        rows = tree_map(lambda t: t[None], *inputs_of(recorded, i))
        if i == 0:
            steps.prepare((*rows, [KNOBS]))
        steps.play((*rows, [KNOBS]), {})
    ours, theirs = state.tensors(plain), state.tensors(recorded)
    for name, tensor in ours.items():
        torch.testing.assert_close(tensor, theirs[name], rtol=1e-9, atol=1e-12)


def test_a_skipped_turn_leaves_the_mean_length() -> None:
    st = started()
    played(st, LAZY, 2)
    before = copies(state.tensors(st))
    infinite = turn_of(st.players.generator, 8)
    infinite.z[0, 0] = torch.nan
    log = step.turn(st, LAZY, "generator", Batch(normal("real", 8, *SPEC.shape)), infinite)
    assert log["skipped_g"].item() == 1
    assert all(torch.equal(before[k], t) for k, t in state.tensors(st).items())


def test_path_length_needs_styles() -> None:
    config = replace(recipes.find("dcgan"), game=Adversarial(penalties=(PathLength(),)))
    st = fp64_state(config, DataSpec((1, 16, 16)))
    inputs = RandomInputs(normal("z", 2, 100), extra={"path": normal("y", 2, 1, 16, 16)})
    with pytest.raises(UsageError, match="stylegan2"):
        PathLength()(st.players, Batch(normal("x", 2, 1, 16, 16)), inputs, {})


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spec", [DataSpec((1, 28, 28)), DataSpec((3, 16, 32)), DataSpec((2,), 0, "float32", False)]
)
def test_other_sizes_are_refused(spec: DataSpec) -> None:
    with pytest.raises(UsageError, match="square pictures"):
        StyleGAN2()(spec, 4)


@pytest.mark.parametrize("bad", [{"group": 0}, {"mixing": 1.5}, {"most": 0}])
def test_out_of_range(bad: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        StyleGAN2(**bad)


@pytest.mark.parametrize("bad", [{"weight": -1.0}, {"decay": 0.0}, {"interval": 0}])
def test_a_penalty_out_of_range(bad: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        PathLength(**bad)


@pytest.mark.parametrize(("batch", "micro", "ranks"), [(6, 0, 1), (8, 2, 1), (12, 0, 2), (8, 3, 1)])
def test_a_pass_that_cuts_a_group_is_refused(batch: int, micro: int, ranks: int) -> None:
    config = Config("test", NETS, Adversarial(), noise=Noise(4), batch=batch, micro_batch=micro)
    with pytest.raises(UsageError, match="cut a group of the 4"):
        checks.require_playable(config, SPEC, world=World(0, ranks))
    fits = replace(config, batch=8, micro_batch=4)
    checks.require_playable(fits, SPEC, world=World(0, 2))


# --- a run ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("labels", [False, True])
def test_a_resumed_run_is_the_run(labels: bool, tmp_path: Path) -> None:
    config = replace(shortened(recipes.find("stylegan2"), 7), size=16, labels=labels)
    data = data_for(config, count=16)
    run(config, tmp_path / "whole", data)
    assert run(config, tmp_path / "parts", data, StopAfter(5))[-1].step == 5
    assert run(config, tmp_path / "parts", data)[-1].step == 7
    whole, parts = newest(tmp_path / "whole"), newest(tmp_path / "parts")
    assert {f"aux.{MEAN}", "generator.w_mean", "ema.w_mean"} <= whole.keys()
    assert float(whole[f"aux.{MEAN}"]) > 0 and bool(whole["generator.w_mean"].any())
    for name, tensor in whole.items():
        assert np.array_equal(tensor.numpy(), parts[name].numpy()), name
