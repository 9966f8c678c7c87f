"""The game that infers codes of z: its term, who learns what, and a run that goes on."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, distributions, nn

from ganforge import recipes
from ganforge.config.noise import LatentCode, Noise
from ganforge.config.schema import Config
from ganforge.errors import UsageError
from ganforge.gan import state
from ganforge.gan.adversarial import Adversarial
from ganforge.gan.batch import Batch, RandomInputs
from ganforge.gan.information import Information
from ganforge.gan.state import State
from ganforge.gan.step import StepOptions, compute_gradients, turn
from ganforge.nets import MLP
from ganforge.nets.codes import Inferring, entropy
from ganforge.training import build, loop
from ganforge.training.checks import require_config
from ganforge.training.random_inputs import RandomInputSource
from tests.helpers.tiny import (
    KNOBS,
    VECTORS,
    StopAfter,
    copies,
    fingerprint,
    newest,
    normal,
    pictures,
    shortened,
)

CODES = (
    LatentCode("digit", "categorical", 3),
    LatentCode("slant", "uniform", 2),
    LatentCode("width", "normal", 1),
)
NOISE = Noise(9, "normal", CODES)
CONFIG = Config("test", MLP((8,), (8,)), Information(), noise=NOISE, batch=16)


def begun(config: Config = CONFIG) -> State:
    return build.initial(config, VECTORS)


def inputs(config: Config = CONFIG) -> RandomInputs:
    (drawn,) = RandomInputSource(config, VECTORS, begun(config).players).at(0)["generator"]
    return drawn


def head(st: State) -> Inferring:
    assert isinstance(st.players.discriminator, Inferring)
    return st.players.discriminator


def batch() -> Batch:
    return Batch(normal("real", 16, 2, dtype=torch.float32))


# --- the term -----------------------------------------------------------------------------------


def test_the_term_is_that_of_the_laws() -> None:
    """log Q(c | x) - log p(c), against torch's laws, code by code."""
    z, said = NOISE.draw(0, "z", 0, 50), normal("said", 50, 6)
    found = head(begun()).information(torch.from_numpy(z).double(), said)
    digit, slant, width = torch.from_numpy(z[:, 3:]).double().split([3, 2, 1], 1)
    one = torch.ones(())
    by_law = {
        "digit": distributions.Categorical(logits=said[:, :3]).log_prob(digit.argmax(1))
        + math.log(3),
        "slant": distributions.Normal(said[:, 3:5], one).log_prob(slant).sum(1) + 2 * math.log(2),
        "width": distributions.Normal(said[:, 5:], one).log_prob(width).sum(1)
        + distributions.Normal(0.0, 1.0).entropy(),
    }
    assert list(found) == list(by_law)
    for name, wanted in by_law.items():
        torch.testing.assert_close(found[name], wanted.double(), msg=name)


def test_who_knows_the_class_has_the_whole_entropy_and_who_knows_nothing_has_none() -> None:
    z = torch.from_numpy(NOISE.draw(0, "z", 0, 8))
    q = head(begun())
    sure = torch.cat([1000 * z[:, 3:6], z[:, 6:]], 1)
    assert torch.allclose(q.information(z, sure)["digit"], torch.tensor(entropy(CODES[0])))
    blind = torch.zeros(8, 6)
    assert q.information(z, blind)["digit"].abs().max() < 1e-6


@pytest.mark.parametrize("side", ["discriminator", "generator"])
def test_both_objectives_have_minus_the_bound_with_its_weight(side: str) -> None:
    drawn, real, found = inputs(), batch(), {}
    for weight in (0.0, 1.0, 3.0):
        game, st = replace(CONFIG.game, information=weight), begun()
        made = compute_gradients(st, game, side, real, drawn, KNOBS, StepOptions())
        flat = torch.cat([g.flatten() for g in made.gradients])
        found[weight] = flat, made.log[f"information_{side[0]}"]
    assert found[0.0][1] == 0 != found[1.0][1]
    torch.testing.assert_close(found[3.0][1], 3 * found[1.0][1])
    extra = found[1.0][0] - found[0.0][0]
    assert extra.abs().max() > 1e-4
    torch.testing.assert_close(found[3.0][0] - found[0.0][0], 3 * extra, rtol=1e-4, atol=1e-6)


def test_with_weight_0_it_is_the_game_without_codes() -> None:
    """The same gradients of G and of all of D but Q, at the same weights and numbers."""
    plain, drawn = Adversarial(), inputs()
    for side in ("discriminator", "generator"):
        coded = compute_gradients(
            begun(), replace(CONFIG.game, information=0.0), side, batch(), drawn, KNOBS,
            StepOptions(),
        )  # fmt: skip
        st = begun(replace(CONFIG, game=plain))
        usual = compute_gradients(st, plain, side, batch(), drawn, KNOBS, StepOptions())
        for ours, theirs in zip(coded.gradients, usual.gradients, strict=False):
            torch.testing.assert_close(ours, theirs)


# --- who sees and who learns what -----------------------------------------------------------------


def test_codes_reach_the_generator() -> None:
    g = begun().players.generator
    z = torch.from_numpy(NOISE.draw(0, "z", 0, 1)).repeat(3, 1)
    z[:, NOISE.columns()["digit"]] = torch.eye(3)
    made = g(z)
    assert (made[0] - made[1]).abs().max() > 1e-4 < (made[1] - made[2]).abs().max()


def test_q_sees_the_features_of_d_and_nothing_else() -> None:
    d = head(begun())
    seen: list[Tensor] = []
    d.head.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    x = normal("x", 16, 2, dtype=torch.float32)
    logits, _ = d.logits_and_codes(x)
    assert torch.equal(seen[0], d.features(x, None, None))
    assert torch.equal(logits, d(x))  # the logits are those of D alone


def test_q_moves_in_the_turn_of_d_alone() -> None:
    """As in the published code, where its weights are D's."""
    for side in ("discriminator", "generator"):
        st = begun()
        before = copies(dict(head(st).head.named_parameters()))
        turn(st, CONFIG.game, side, batch(), inputs())
        after = dict(head(st).head.named_parameters())
        moved = [not torch.equal(after[name], before[name]) for name in before]
        assert any(moved) == (side == "discriminator")


def test_playing_teaches_the_code() -> None:
    """A generator that shows its code in the plane, and a Q that reads it, in 300 steps."""
    config = replace(CONFIG, noise=Noise(4, "normal", CODES[:1]), batch=64)
    st, draws = begun(config), RandomInputSource(config, VECTORS, begun(config).players)
    bound = []
    for at in range(300):
        real = Batch(normal(f"real{at}", 64, 2, dtype=torch.float32))
        for side, (drawn,) in draws.at(at).items():
            for optimizer in st.optimizers.values():
                optimizer.param_groups[0]["lr"] = 3e-3
            log = turn(st, config.game, side, real, drawn)
            bound += [float(log["code_digit"])] if side == "discriminator" else []
    assert abs(bound[0]) < 0.3 < 0.8 * math.log(3) < bound[-1] <= math.log(3)


# --- a run ------------------------------------------------------------------------------------


def test_a_run_goes_on_bit_for_bit(tmp_path: Path) -> None:
    config = shortened(recipes.find("infogan"), 12, log_every=4)
    data = pictures(40)
    list(loop.train(config, tmp_path / "whole", data=data))
    list(loop.train(config, tmp_path / "parts", StopAfter(7), data))
    list(loop.train(config, tmp_path / "parts", data=data))
    ends = [fingerprint(newest(tmp_path / name)) for name in ("whole", "parts")]
    assert ends[0] == ends[1]
    assert any(name.startswith("discriminator.head.") for name in newest(tmp_path / "parts"))


# --- what is refused ----------------------------------------------------------------------------


def plain_networks(spec: Any, noise: int) -> dict[str, nn.Module]:
    return {"generator": nn.Linear(noise, 2), "discriminator": nn.Linear(2, 1)}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"noise": Noise(9)}, "noise has no codes"),
        ({"labels": True}, "has no labels: add --labels false"),
        ({"networks": plain_networks}, "no TwoPartDiscriminator"),
    ],
)
def test_a_game_that_cannot_infer_is_a_line(changes: dict[str, Any], said: str) -> None:
    config = replace(CONFIG, **changes)
    with pytest.raises(UsageError, match=said):
        require_infers(config)


def require_infers(config: Config) -> None:
    """What is asked before such a run begins."""
    require_config(config)
    build.initial(config, replace(VECTORS, classes=2) if config.labels else VECTORS)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: LatentCode("Digit"), "small letters"),
        (lambda: LatentCode("digit", "bernoulli"), "known: categorical"),
        (lambda: LatentCode("digit", "categorical", 1), "at least 2"),
        (lambda: Noise(5, codes=CODES), "at least the 6 numbers of the codes"),
        (lambda: Noise(9, codes=(CODES[0], CODES[0])), "different names"),
        (lambda: Information(information=-1.0), "a weight of 0 or more"),
        (lambda: Information(pack=2), "1 in a game that infers codes"),
        (lambda: Information(classify=1.0), "0 in a game that infers codes"),
    ],
)
def test_settings_that_make_no_sense(make: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        make()


def test_codes_have_the_laws_that_they_name() -> None:
    z = NOISE.draw(1, "z", 0, 4000)
    digit, slant, width = z[:, 3:6], z[:, 6:8], z[:, 8]
    assert (digit.sum(1) == 1).all() and abs(digit.mean(0) - 1 / 3).max() < 0.03
    assert slant.min() >= -1 and slant.max() < 1 and abs(slant.var() - 1 / 3) < 0.03
    assert abs(width.std() - 1) < 0.05 and abs(z[:, :3].std() - 1) < 0.03
    assert (NOISE.draw(1, "z", 100, 7) == z[100:107]).all()
    assert fingerprint(state.tensors(begun())) != fingerprint(
        state.tensors(begun(replace(CONFIG, seed=1)))
    )
