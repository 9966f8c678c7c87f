"""Packs of examples in front of D: one logit for each, by hand, and no door that cuts one."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from ganforge import recipes
from ganforge.config.schema import Config, Noise
from ganforge.data import load as load_data
from ganforge.data.spec import DataSpec
from ganforge.diagnosis import player_signals
from ganforge.errors import UsageError
from ganforge.gan import state, step
from ganforge.gan.adversarial import Adversarial
from ganforge.gan.penalties import R1, R2, GradientPenalty
from ganforge.gan.state import State, StepHyperparameters
from ganforge.gan.step import Batch, Players, RandomInputs, StepOptions
from ganforge.nets import DCGAN, MLP
from ganforge.nets.packing import Packed
from ganforge.nets.stylegan import StyleGAN2
from ganforge.training import build, loop
from ganforge.training.checks import require_playable
from tests.helpers.tiny import (
    KNOBS,
    VECTORS,
    fingerprint,
    fp64_state,
    newest,
    normal,
    pictures,
    shortened,
)

NETWORKS = MLP((4,), (8, 8), discriminator_activation="relu")
RULES = Adversarial(pack=3, penalties=(R1(0.3), R2(0.2)))


def start(rules: Adversarial = RULES, networks: Any = NETWORKS, spec: DataSpec = VECTORS) -> State:
    return fp64_state(Config("test", networks, rules, noise=Noise(3)), spec)


def random_inputs(count: int, name: str, networks: dict[str, Any] | None = None) -> RandomInputs:
    return RandomInputs(normal(name, count, 3), networks=networks or {})


def play(st: State, rules: Adversarial, micro: int = 0, count: int = 6) -> dict[str, Tensor]:
    real = Batch(normal("real", count, 2))
    drawn = {side: [random_inputs(count, side)] for side in ("discriminator", "generator")}
    return step.step(st, rules, [real], drawn, KNOBS, StepOptions(micro_batch=micro))


def test_the_loss_and_its_penalties_are_those_of_packs_written_by_hand() -> None:
    st = start()
    d, g = st.players.discriminator, st.players.generator
    x, z = normal("real", 6, 2), normal("discriminator", 6, 3)
    w = [d.network.body.linears[0], d.network.body.linears[1], d.network.out.linear]  # type: ignore[union-attr,index]

    def logit(points: Tensor) -> Tensor:
        """Points (6, 2) -> two logits, of the first three and of the last three."""
        rows = torch.stack([torch.cat(list(points[:3])), torch.cat(list(points[3:]))])
        for layer in w[:2]:
            rows = F.relu(rows @ layer.weight.T + layer.bias)  # type: ignore[union-attr,operator]
        return (rows @ w[2].weight.T + w[2].bias).squeeze(1)  # type: ignore[union-attr,operator]

    fake = g(z).detach()
    real_points, fake_points = x.clone().requires_grad_(), fake.clone().requires_grad_()
    wanted = F.softplus(-logit(x)).mean() + F.softplus(logit(fake)).mean()
    for points, gamma in ((real_points, 0.3), (fake_points, 0.2)):
        (slope,) = torch.autograd.grad(logit(points).sum(), points, create_graph=True)
        per_pack = torch.stack([slope[:3].square().sum(), slope[3:].square().sum()])
        wanted = wanted + 0.5 * gamma * per_pack.mean()
    gradients = torch.autograd.grad(wanted, list(d.parameters()))

    batch, drawn = Batch(x), random_inputs(6, "discriminator")
    update = step.compute_gradients(
        st, RULES, "discriminator", batch, drawn, StepHyperparameters({}), StepOptions()
    )
    for found, by_hand in zip(update.gradients, gradients, strict=True):
        assert torch.allclose(found, by_hand, atol=1e-12)
    assert any(float(g.abs().max()) > 1e-6 for g in gradients)


def test_real_and_fake_share_a_pass_without_a_pack_of_both() -> None:
    together, apart = start(), start()
    apart.players.discriminator.batch_independent = False  # type: ignore[assignment]
    assert together.players.discriminator.batch_independent
    logs = [play(st, RULES) for st in (together, apart)]
    for name, tensor in state.tensors(together).items():
        assert torch.allclose(tensor, state.tensors(apart)[name], atol=1e-12), name
    assert logs[0].keys() == logs[1].keys()


def test_pieces_of_whole_packs_give_the_whole_batchs_step() -> None:
    whole, pieces = start(), start()
    play(whole, RULES)
    play(pieces, RULES, micro=3)
    for name, tensor in state.tensors(whole).items():
        assert torch.allclose(tensor, state.tensors(pieces)[name], atol=1e-12), name


def test_a_pack_is_mixed_by_one_number() -> None:
    penalty = GradientPenalty(1.0)

    class Seen(Players):
        def discriminate(self, x: Tensor, *more: Any, **other: Any) -> Tensor:
            seen.append(x)
            return super().discriminate(x, *more, **other)

    seen: list[Tensor] = []
    st = start(Adversarial(pack=3, penalties=(penalty,)))
    players = Seen(st.players.generator, st.players.discriminator)
    batch = Batch(torch.ones(6, 2).double(), fake=torch.zeros(6, 2).double())
    epsilon = torch.linspace(0.1, 0.6, 6).double()[:, None]
    inputs = RandomInputs(normal("z", 6, 3), extra={"epsilon": epsilon})
    values, _ = penalty(players, batch, inputs, {})
    assert values.shape == (2,)
    assert seen[0][:, 0].tolist() == pytest.approx([0.1] * 3 + [0.4] * 3)


def test_channels_of_a_pack_are_those_of_its_pictures() -> None:
    spec = DataSpec((3, 16, 16))
    d = start(Adversarial(pack=2), DCGAN(4, 4, discriminator_norm="none"), spec).players
    assert isinstance(d.discriminator, Packed)
    x = normal("pictures", 4, 3, 16, 16)
    seen: list[Tensor] = []
    d.discriminator.network.body.register_forward_pre_hook(lambda _, given: seen.append(given[0]))  # type: ignore[union-attr]
    for given in (x, x.contiguous(memory_format=torch.channels_last)):
        assert d.discriminate(given).shape == (2,)
        assert torch.equal(seen[-1][1, 3:], x[3]) and torch.equal(seen[-1][1, :3], x[2])


def test_groups_of_packs_are_groups_of_their_examples() -> None:
    networks = StyleGAN2(base=64, most=8, styles=8, group=4)
    d = start(Adversarial(pack=2), networks, DataSpec((3, 16, 16))).players.discriminator
    assert isinstance(d, Packed) and d.group == 8
    assert d(normal("pictures", 8, 3, 16, 16)).shape == (4,)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"batch": 7}, "group of the 2"),
        ({"batch": 8, "micro_batch": 3}, "group of the 2"),
        ({"labels": True}, "a pack of examples has no label"),
    ],
)
def test_what_packs_cannot_be_made_of_is_refused(change: dict[str, Any], said: str) -> None:
    base = recipes.find("dcgan")
    config = replace(shortened(base, 2), **{"game": replace(base.game, pack=2), **change})
    with pytest.raises(UsageError, match=said):
        require_playable(config, pictures().spec)


def test_a_size_below_one_is_refused() -> None:
    with pytest.raises(UsageError, match="pack"):
        Adversarial(pack=0)


def test_a_run_trains_goes_on_and_is_judged(tmp_path: Path) -> None:
    data = load_data.load("grid")
    config = shortened(recipes.find("pacgan"), 6, sample_every=6)
    for name, budgets in {"whole": (1.0,), "parts": (0.5, 1.0)}.items():
        for share in budgets:
            for _ in loop.train(
                replace(config, kimg=share * (config.kimg or 0)), tmp_path / name, data=data
            ):
                pass
    assert fingerprint(newest(tmp_path / "whole")) == fingerprint(newest(tmp_path / "parts"))
    d = build.initial(config, data.spec).players.discriminator
    logits = player_signals.logits(d, data.values[:501], data.spec, None)
    assert logits.shape == (250,) and np.isfinite(logits).all()
