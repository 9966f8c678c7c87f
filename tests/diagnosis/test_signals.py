"""The signals behind a diagnosis, each against a closed form or another library."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import nn

from ganforge import recipes
from ganforge.data.load import load
from ganforge.data.spec import DataSpec
from ganforge.diagnosis import (
    log_signals,
    player_signals,
    run_checks,
    sample_signals,
    signals,
)
from ganforge.diagnosis.snapshot import RealExamples, Snapshot
from ganforge.evaluation.metrics import copying
from ganforge.evaluation.metrics.modes import ring
from ganforge.evaluation.score import Score
from ganforge.gan.adversarial import Adversarial
from ganforge.gan.losses import LOSSES, Loss
from ganforge.nets import spectral
from ganforge.nets.spectral import Linear
from ganforge.rng import Stream
from ganforge.sampling.sampler import Sampler


def normal(name: str, count: int, width: int) -> Any:
    return Stream(0, name).normal(0, count * width, 1).reshape(count, width).astype(np.float32)


def log(count: int = 40, **columns: Any) -> list[dict[str, float]]:
    """Records of a game in balance, some of their columns replaced."""
    usual: dict[str, Any] = {"loss_d": 1.3, "loss_g": 0.8, "logit_real": 0.2, "logit_fake": -0.1,
                             "d_real": 0.55, "d_fake": 0.45, "gradient_d": 1.0, "gradient_g": 1.0,
                             "skipped": 0}  # fmt: skip
    table = {k: np.broadcast_to(v, count) for k, v in (usual | columns).items()}
    return [
        {"step": 20 * (i + 1), **{k: float(v[i]) for k, v in table.items()}} for i in range(count)
    ]


# --- the log ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "last"), [(80, 20), (12, 5), (900, 100)])
def test_figures_are_of_the_last_quarter_of_the_log(count: int, last: int) -> None:
    """Of 5 records at least, and of 100 at most."""
    gap = np.where(np.arange(count) < count - last, 4.0, -2.0)
    found = log_signals.of_log(log(count, logit_real=gap, logit_fake=0.0), Adversarial())
    assert (found["gap"], found["behind"]) == (-2.0, 1.0)
    gap[count - last] = 4.0
    more = log_signals.of_log(log(count, logit_real=gap, logit_fake=0.0), Adversarial())
    assert more["gap"] == pytest.approx(-2 + 6 / last)


@pytest.mark.parametrize(
    ("game", "guessing", "sure"),
    [
        (Adversarial(), 2 * math.log(2), 0.0),
        (Adversarial(halve=True), math.log(2), 0.0),
        (Adversarial("relativistic"), math.log(2), 0.0),
        (Adversarial("least-squares"), 0.25, 0.0),
        (Adversarial("hinge"), 2.0, 0.0),
        (Adversarial(smoothing=0.1), 2 * math.log(2), -0.1 * math.log(0.1) - 0.9 * math.log(0.9)),
    ],
)
def test_the_cost_of_d_is_1_for_a_guess_and_0_without_doubt(
    game: Adversarial, guessing: float, sure: float
) -> None:
    for loss, cost in ((guessing, 1.0), (sure, 0.0)):
        got = log_signals.of_log(log(loss_d=loss), game)["d_cost"]
        assert got == pytest.approx(cost, abs=1e-9)


def test_the_loss_of_guessing_the_class_is_part_of_the_peak() -> None:
    game = Adversarial("relativistic", classify=2.0)
    first = log(loss_d=math.log(2) + 2 * math.log(10))
    assert log_signals.of_log(first, game, 10)["cost_peak"] == pytest.approx(1)
    assert log_signals.of_log(first, Adversarial("relativistic"), 10)["cost_peak"] > 7


def test_the_slope_is_that_of_autograd() -> None:
    """Where all logits of a batch are the same, D(G(z)) is the sigmoid of that logit."""
    for name, loss in LOSSES.items():
        real, fake = torch.tensor([1.5]), torch.tensor([-2.0], requires_grad=True)
        (slope,) = torch.autograd.grad(loss.generator(real, fake).sum(), fake)
        said = log(logit_real=1.5, logit_fake=-2.0, d_fake=float(torch.sigmoid(fake.detach())))
        got = log_signals.of_log(said, Adversarial(name))["g_slope"]
        assert got == pytest.approx(abs(float(slope)), rel=1e-6), name


def test_a_loss_of_the_user_has_its_slope_and_no_cost_but_by_its_guess() -> None:
    def squared(real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
        return torch.relu(1 - real).square() + torch.relu(1 + fake).square()

    def answer(real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
        return torch.relu(1 - fake).square()

    loss = Loss(squared, answer)
    for game in (Adversarial((squared, answer)), Adversarial(loss)):
        found = log_signals.of_log(log(loss_d=1.0, logit_fake=-0.5), game)
        assert found["g_slope"] == pytest.approx(3.0) and "d_cost" not in found
    found = log_signals.of_log(log(loss_d=1.0), Adversarial(loss._replace(guess=2.0)))
    assert found["d_cost"] == found["cost_peak"] == pytest.approx(0.5)


def test_flips_count_swings_and_not_noise() -> None:
    t = np.arange(80)
    swing = log_signals.of_log(
        log(80, logit_real=np.sin(2 * np.pi * (t + 0.5) / 10)), Adversarial()
    )
    assert swing["flips"] in (7, 8) and swing["gap_memory"] > 0.7  # four periods in the last half
    quiet = log_signals.of_log(log(80, logit_real=2 + 0.1 * np.sin(t)), Adversarial())
    assert quiet["flips"] == 0
    noise = Stream(0, "noise").normal(0, 80, 1).reshape(-1)
    assert log_signals.of_log(log(80, logit_real=noise), Adversarial())["gap_memory"] < 0.3


def test_a_short_log_gives_no_figures() -> None:
    assert log_signals.of_log(log(4), Adversarial()) == {}
    assert log_signals.of_log([], Adversarial()) == {}
    assert log_signals.of_log(log(5), Adversarial())["gap"] == pytest.approx(0.3)


def test_a_game_of_the_users_has_no_cost() -> None:
    assert "d_cost" not in log_signals.of_log(log(), object())
    assert math.isnan(log_signals.of_log([{"step": i} for i in range(9)], Adversarial())["gap"])


def test_skipped_updates_and_rollbacks_are_counted() -> None:
    found = log_signals.of_state(
        {"step": 100, "status": "diverged", "rate_scale": 0.25},
        [*log(4), {"skipped": 6, "loss_d": math.nan, "loss_g": 1.0}],
        updates=2,
    )
    assert found == {"diverged": 1, "skipped": 0.03, "infinite": 0.2, "rolled_back": 2}


def test_the_newest_score_is_compared_with_the_best() -> None:
    values = [9.0, 5.0, 3.0, 4.0, 5.0, 7.0]
    card = Score("frechet", 9.0, 1.0, 1.0, 2500, "pca", "0" * 64, 0, "validation", "lower")
    cards = [replace(card, name="recall", n=1).to_json(), card.to_json()]
    curve = [
        {"frechet": v, "floor": 1.0, "epoch": float(i), "scores": cards}
        for i, v in enumerate(values)
    ]
    found = log_signals.of_curve(curve)
    assert found == {"worse": 10 / 8, "now": 5.0, "since_best": 3, "best": 3.0,
                     "best_epoch": 2.0, "curve_floor": 1.0, "curve_n": 2500}  # fmt: skip
    assert log_signals.of_curve(curve[:4]) == {}
    assert log_signals.of_curve([{"frechet": None}] * 9) == {}
    damaged = [{"frechet": 1.0, "scores": [3]}] * 9
    assert math.isnan(log_signals.of_curve(damaged)["curve_n"])


def test_the_newest_frechet_distance_gives_its_sample_size() -> None:
    card = Score("frechet", 9.0, 1.0, 5.0, 120, "mnist-lenet", "0" * 64, 0, "test", "lower")
    found = {"n": 120, "features": 128, "value": 9.0, "floor": 5.0, "far": 1.0}
    assert log_signals.of_scores([card], 128) == found
    assert log_signals.of_scores([replace(card, verdict="close")], 128)["far"] == 0
    assert log_signals.of_scores([], 784) == {}


@pytest.mark.parametrize(
    ("space", "features"),
    [("mnist-lenet", 128), ("pca", 64), ("inception-2015", 2048), ("identity", 2)],
)
def test_a_score_is_checked_by_the_size_of_its_space(space: str, features: int) -> None:
    card = Score("frechet", 9.0, 1.0, 5.0, 120, space, "0" * 64, 0, "test", "lower")
    spec = DataSpec((2,), 0, "float32", False, (0.0,), (1.0,))
    found = signals.measure(Snapshot(recipes.find("gaussian"), scores=[card], spec=spec))
    assert found.figures["features"] == features and "scores" not in found.unavailable


def test_samples_that_are_not_finite_are_a_finding_and_not_compared() -> None:
    class Broken(nn.Module):
        def forward(self, z: Any, *rest: Any) -> Any:
            return z[:, :2] * math.nan

    config, real = recipes.find("gaussian"), RealExamples(load("gaussian"), load("ring"), 120)
    sampler = Sampler(Broken(), real.data.spec, config.noise)
    found = signals.of_samples(Snapshot(config, real=real, sampler=sampler, step=200))
    assert found.figures == {"finite_samples": 0.0}
    assert found.unavailable == dict.fromkeys(signals.OF_SAMPLES, "its samples are not finite")
    assert run_checks(found.figures, found.unavailable).codes == ("GF007",)


# --- the players ------------------------------------------------------------------------------


def test_memory_is_the_area_under_the_roc_curve() -> None:
    train, held_out = normal("a", 60, 1)[:, 0].round(1) + 0.5, normal("b", 50, 1)[:, 0].round(1)
    found = player_signals.of_logits(train, held_out, held_out - 2)
    truth = np.r_[np.ones(60), np.zeros(50)]
    assert found["memory"] == pytest.approx(roc_auc_score(truth, np.r_[train, held_out]))
    gap = train.mean() - held_out.mean()
    assert found["by_heart"] == pytest.approx(gap / (gap + 2))


def test_the_spectral_norm_is_the_largest_singular_value() -> None:
    for shape in ((30, 20), (8, 4, 3, 3)):
        weight = torch.from_numpy(normal("w", shape[0], math.prod(shape[1:]))).reshape(shape)
        weight.view(shape[0], -1)[0] *= 5
        truth = np.linalg.svd(weight.reshape(shape[0], -1).numpy(), compute_uv=False)[0]
        assert player_signals.spectral_norm(weight) == pytest.approx(truth, rel=1e-2)
    assert player_signals.spectral_norm(torch.zeros(3, 4)) == 0
    assert math.isnan(player_signals.spectral_norm(torch.full((3, 4), math.nan)))


def test_a_normalised_weight_is_measured_as_it_is_used() -> None:
    layer = Linear(6, 5)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(normal("w", 5, 6)) * 100)
        layer.u.fill_(5**-0.5)
    for _ in range(10):
        spectral.iterate(*layer.parts())
    assert player_signals.norms(layer)["weight"] == pytest.approx(1, rel=0.05)


def test_growth_is_the_norm_divided_by_the_initial_norm() -> None:
    now = {"discriminator": {"a": 30.0, "b": 3.0}, "generator": {"a": 4.0}}
    initial = {"discriminator": {"a": 2.0, "b": 0.01}, "generator": {}}
    found = player_signals.of_norms(now, initial)
    assert found == {"sigma_d": 30.0, "growth_d": 15.0, "sigma_g": 4.0}


def test_dead_units_are_counted() -> None:
    net = nn.Sequential(nn.Linear(3, 10), nn.ReLU(), nn.Linear(10, 4), nn.LeakyReLU())
    with torch.no_grad():
        net[0].bias[:6] = -1e6  # six of ten never speak
    x = torch.from_numpy(normal("x", 50, 3))
    assert player_signals.dead_units(net, lambda: net(x)) == pytest.approx(0.6)
    assert math.isnan(player_signals.dead_units(nn.Linear(3, 2), lambda: None))


def test_logits_leave_a_player_unchanged() -> None:
    net = nn.Sequential(nn.Linear(2, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 1))
    net.train()
    net[1].eval()
    before = {k: v.clone() for k, v in net.state_dict().items()}

    class D(nn.Module):
        def forward(self, x: Any, label: Any, masks: Any) -> Any:
            return net(x)

    d = D()
    d.net = net
    said = player_signals.logits(
        d, normal("x", 600, 2), DataSpec((2,), 0, "float32", False, (0.0,), (1.0,)), None
    )
    assert said.shape == (600,) and said.dtype == np.float64
    assert net[0].training and not net[1].training and d.training
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name]), name


# --- samples ----------------------------------------------------------------------------------


def test_variety_of_the_data_themselves_and_of_one_example() -> None:
    held_out, other, fresh = (normal(name, 400, 8) for name in "abc")
    floor = sample_signals.floors(held_out, (other, normal("d", 400, 8)))
    same = sample_signals.of_variety(held_out, floor, fresh)
    assert same["apart"] == 0 and same["distance"] < 3 * same["distance_floor"]
    assert same["spread"] == pytest.approx(1, abs=0.05) and same["near"] == pytest.approx(
        1, abs=0.1
    )
    assert same["coverage"] > 0.9 * same["coverage_floor"]
    one = np.repeat(fresh[:1], 400, 0) + 0.01 * other
    gone = sample_signals.of_variety(held_out, floor, one)
    assert gone["apart"] == 1
    assert gone["near"] < 0.05 and gone["spread"] < 0.05 and gone["coverage"] < 0.1


def test_groups_by_mode_class_and_cell() -> None:
    law = ring()
    angle = Stream(0, "angle").integers(0, 1000, 8)
    real = law.centres[angle] + 0.005 * normal("r", 1000, 2)
    half = real[angle < 4]
    found = sample_signals.of_groups(sample_signals.by_mode(real, half, law))
    assert found["least"] == 0 and found["groups"] == 8
    assert found["missing"] == pytest.approx((angle >= 4).mean(), abs=0.02)
    full = sample_signals.of_groups(sample_signals.by_mode(real, real, law))
    assert full["least"] == pytest.approx(1) and full["missing"] == 0
    assert full["modes"] == 1 and full["cells"] == 0
    classes = sample_signals.by_class(angle, angle[angle != 2], 8)
    assert sample_signals.of_groups(classes)["rarest"] == 2
    assert [*np.flatnonzero(classes.shares() < 0.2)] == [2]
    cells = sample_signals.by_cell(real.astype(np.float32), half.astype(np.float32))
    assert sample_signals.of_groups(cells)["missing"] > 0.3


def test_a_group_of_few_expected_samples_is_not_missing() -> None:
    rare = sample_signals.by_class(
        np.r_[np.zeros(995), np.ones(5)].astype(int), np.zeros(900, int), 2
    )
    assert sample_signals.of_groups(rare)["least"] == pytest.approx(1, abs=0.01)
    assert (
        sample_signals.of_groups(sample_signals.by_class(np.array([0, 1]), np.array([0, 1]), 2))
        == {}
    )


def test_explained_variance_is_the_share_between_classes() -> None:
    labels = np.arange(900) % 3
    x = normal("x", 900, 4)
    assert abs(sample_signals.explained_variance(x, labels)) < 0.01
    moved = x + 3 * np.eye(4, dtype=np.float32)[labels]  # between-class variance 2 of 4 + 2 + ...
    between, within = 3**2 * (1 - 1 / 3), 4.0
    assert sample_signals.explained_variance(moved, labels) == pytest.approx(
        between / (between + within), abs=0.03
    )
    found = sample_signals.of_labels(moved, labels, x, labels, np.zeros(900))
    assert found["label_accuracy"] == pytest.approx(1 / 3)


def test_copies_lie_on_the_training_data() -> None:
    train, held_out, fresh = normal("t", 300, 5), normal("h", 300, 5), normal("f", 300, 5)
    reference = copying.reference(train, 0, 1)
    copied = sample_signals.of_copies(reference, held_out, train + 1e-3 * fresh)
    assert copied["c_t"] < -10 and copied["authentic"] < 0.01 and copied["copied"] > 0.9
    free = sample_signals.of_copies(reference, held_out, fresh)
    assert abs(free["c_t"]) < 4 and free["authentic"] == pytest.approx(
        free["authentic_held_out"], abs=0.1
    )
