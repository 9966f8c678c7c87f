"""Schedules: by the published arithmetic, in the update itself, over a resume, in TOML."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from ganforge import recipes, registry
from ganforge.config import convert
from ganforge.config.schema import Config, Optimizer
from ganforge.errors import UsageError
from ganforge.experiments.ensemble import stack
from ganforge.gan import optimizers, schedules, state
from ganforge.gan import step as game
from ganforge.gan.adversarial import Adversarial
from ganforge.gan.penalties import R1, R2, GradientPenalty
from ganforge.gan.state import StepHyperparameters
from tests.helpers.tiny import (
    StopAfter,
    batches,
    copies,
    data_for,
    fingerprint,
    run,
    shortened,
    toy,
    turns,
)

PUBLISHED = Optimizer(
    name="sgd", lr=0.1, shrink=1.000004, least=1e-6, momentum=0.5, momentum_to=0.7,
    momentum_steps=125_000,
)  # fmt: skip


def test_the_rate_of_2014() -> None:
    for step in (0, 1, 1_000, 125_000):
        assert PUBLISHED.rate(0.3, step) == pytest.approx(0.1 / 1.000004**step, rel=1e-12)
    assert PUBLISHED.rate(0.3, 10_000_000) == 1e-6
    both = replace(PUBLISHED, decay_from=0.5, decay_to=0.1)
    assert both.rate(0.75, 1_000) == pytest.approx(0.1 / 1.000004**1_000 * 0.55, rel=1e-12)


def test_the_momentum_of_2014() -> None:
    found = [PUBLISHED.momentum_at(s) for s in (0, 62_500, 125_000, 10**9)]
    assert found == pytest.approx([0.5, 0.6, 0.7, 0.7])
    assert Optimizer(name="sgd", momentum=0.4).momentum_at(77) == 0.4


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("first", [0.0, 0.5])
def test_sgd_under_a_momentum_schedule_by_hand(first: float, fused: bool) -> None:
    choice = replace(PUBLISHED, momentum=first, momentum_steps=3, shrink=1.5)
    parameter = nn.Parameter(torch.ones(3, dtype=torch.float64))
    optimizer = optimizers.build(choice, [parameter], fused)
    weight, velocity = np.ones(3), np.zeros(3)
    for step in range(5):
        gradient = np.array([1.0, -2.0, 0.5]) * (step + 1)
        parameter.grad = torch.from_numpy(gradient.copy())
        optimizers.set_rate(optimizer, choice.rate(0.0, step), choice.momentum_at(step))
        optimizer.step()
        velocity = (first + min(1, step / 3) * (0.7 - first)) * velocity + gradient
        weight = weight - 0.1 / 1.5**step * velocity
    assert parameter.detach().numpy() == pytest.approx(weight, rel=1e-12)


@pytest.mark.parametrize("kind", [R1, R2])
def test_a_penalty_falls_by_a_constant_factor(kind: type[R1] | type[R2]) -> None:
    penalty = kind(2.0, gamma_to=0.02, until=0.5)
    assert [penalty.scale(u) for u in (0.0, 0.25, 0.5, 1.0)] == pytest.approx([1, 0.1, 0.01, 0.01])
    assert kind(2.0).scale(0.7) == GradientPenalty(3.0).scale(0.7) == 1.0


def test_the_update_pays_the_scaled_penalty() -> None:
    """R1 at a scale of 1/4 is R1 with a quarter of its gamma; the other penalty stays."""
    after = []
    for first, scales in ((0.8, (0.25, 1.0)), (0.2, ())):
        st, rules = toy(Adversarial(penalties=(R1(first), R2(0.3))))
        knobs = StepHyperparameters({"generator": 1e-2, "discriminator": 1e-2}, penalties=scales)
        game.step(st, rules, batches(rules, 6, 2), turns(rules, 6, 3), knobs)
        after.append(copies(state.tensors(st)))
    for name, value in after[0].items():
        assert torch.allclose(value, after[1][name], rtol=1e-12, atol=1e-15), name
    st, rules = toy(Adversarial(penalties=(R1(0.8), R2(0.3))))
    plain = StepHyperparameters({"generator": 1e-2, "discriminator": 1e-2})
    game.step(st, rules, batches(rules, 6, 2), turns(rules, 6, 3), plain)
    unlike = [n for n, v in state.tensors(st).items() if not torch.allclose(v, after[1][n])]
    assert unlike


def scheduled() -> Config:
    """Every schedule there is, on a toy."""
    sgd = replace(PUBLISHED, lr=0.02, momentum_steps=80, shrink=1.001)
    return replace(
        shortened(recipes.find("gaussian-stable"), 100, log_every=20, sample_every=50.0),
        game=Adversarial(loss="relativistic", penalties=(R1(1.0, 1, 0.01), R2(1.0, 2, 0.1, 0.5))),
        generator=sgd,
        discriminator=replace(sgd, decay_from=0.5),
    )


def test_knobs_say_what_the_parts_say() -> None:
    wanted = scheduled()
    at = schedules.hyperparameters(wanted, 50, 100, rate_scale=0.5)
    assert at.rates["discriminator"] == pytest.approx(0.01 / 1.001**50)
    assert at.momenta == pytest.approx(dict.fromkeys(schedules.SIDES, 0.5 + 0.2 * 50 / 80))
    assert at.penalties == pytest.approx((0.1, 0.1))
    assert schedules.hyperparameters(recipes.find("cdcgan"), 50, 100).penalties == ()
    assert schedules.hyperparameters(recipes.find("cdcgan"), 50, 100).momenta == {}


def test_a_stopped_run_goes_on_in_its_schedules(tmp_path: Path) -> None:
    wanted = scheduled()
    data = data_for(wanted)
    run(wanted, tmp_path / "whole", data)
    run(wanted, tmp_path / "parts", data, StopAfter(60))
    run(wanted, tmp_path / "parts", data)
    ends = [weights(tmp_path / name) for name in ("whole", "parts")]
    assert ends[0] == ends[1]
    flat = replace(wanted, game=Adversarial(loss="relativistic", penalties=(R1(1.0), R2(1.0, 2))))
    run(flat, tmp_path / "flat", data)
    assert weights(tmp_path / "flat") != ends[0]


def weights(path: Path) -> str:
    from safetensors.torch import load_file

    return fingerprint(load_file(max(path.glob("checkpoints/step-*")) / "state.safetensors"))


def test_members_of_a_population_follow_them_too() -> None:
    wanted = scheduled()
    data = data_for(wanted)
    p = stack.Ensemble(wanted, (0, 1), data)
    for _ in range(3):
        p.step()
    for side, optimizer in p.state.optimizers.items():
        group: dict[str, Any] = optimizer.param_groups[0]
        assert group["lr"] == getattr(wanted, side).rate(2 / p.steps, 2)
        assert group["momentum"] == getattr(wanted, side).momentum_at(2) > 0.5


def test_they_come_back_from_toml() -> None:
    wanted = scheduled()
    assert convert.loads(convert.dumps(wanted), registry.PARTS) == wanted


@pytest.mark.parametrize(
    "settings",
    [{"shrink": 0.9}, {"least": -1e-6}, {"least": 1.0}, {"momentum_to": 1.0},
     {"momentum_steps": -1}, {"shrink": math.nan}],
)  # fmt: skip
def test_schedules_that_cannot_be(settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Optimizer(name="sgd", lr=0.1, **settings)


@pytest.mark.parametrize(
    "settings", [{"gamma": 0.0, "gamma_to": 0.1}, {"gamma_to": 0.0}, {"until": 0.0}, {"until": 2.0}]
)
def test_penalties_that_cannot_fall(settings: dict[str, float]) -> None:
    for kind in (R1, R2):
        with pytest.raises(UsageError):
            kind(**settings)  # type: ignore[arg-type]
