"""The step's shortcuts: each gives the update of the step without it."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ganforge.config.schema import Config, Noise
from ganforge.data.spec import DataSpec
from ganforge.errors import UsageError
from ganforge.gan import optimizers, state, step
from ganforge.gan.adversarial import Adversarial
from ganforge.gan.batch import Log
from ganforge.gan.penalties import R1, R2
from ganforge.gan.players import Players
from ganforge.gan.state import State
from ganforge.gan.step import Batch, RandomInputs, StepOptions
from ganforge.nets import DCGAN, MLP
from ganforge.nets.base import TwoPartDiscriminator
from ganforge.training.random_inputs import RandomInputSource
from tests.helpers.tiny import KNOBS, VECTORS, copies, fp64_state, normal

DIGITS = DataSpec((1, 16, 16), 3)
PAIRS = DataSpec((2,), 3, "float32", False, (0.0,), (1.0,))
STABLE = Adversarial(
    "relativistic", classify=0.3, fake_labels="data", penalties=(R1(0.1, 2), R2(0.1, 2))
)
GAMES: dict[str, tuple[DataSpec, Any, Adversarial]] = {
    "dropout": (
        VECTORS,
        MLP((4,), (8, 8), discriminator_input_dropout=0.2, discriminator_dropout=0.5),
        Adversarial(),
    ),
    "labels joined": (PAIRS, MLP((4,), (8,)), Adversarial(smoothing=0.1, penalties=(R1(0.1),))),
    "labels projected": (PAIRS, MLP((4,), (8,), label="projection"), STABLE),
    "convolutions": (
        DIGITS,
        DCGAN(4, 4, discriminator_norm="none", biases=True, label="projection"),
        STABLE,
    ),
    "batch norm": (PAIRS, MLP((4,), (8,), discriminator_norm="batch"), Adversarial()),
}
NORMED = MLP((4, 4), (8,), generator_norm="batch")
REUSED = Adversarial(fresh_noise=False)


def start(spec: DataSpec, networks: Any, rules: Adversarial) -> State:
    config = Config("test", networks, rules, noise=Noise(3), labels=bool(spec.classes))
    st = fp64_state(config, spec)
    st.players = replace(st.players, classes=spec.classes)
    return st


def play(st: State, rules: Adversarial, spec: DataSpec, steps: int, micro: int = 0) -> Log:
    """Some steps on fresh examples, labels, noise and masks; what the last one reports."""
    stats: Log = {}
    for i in range(steps):
        label = torch.arange(6).remainder(3) if spec.classes else None
        z = normal(f"z{i}", 6, 3)
        drawn = {
            side: [RandomInputs(z, label, masks(st.players.discriminator, f"{side}/{i}"))]
            for side in ("discriminator", "generator")
        }
        drawn["generator"] *= rules.g_steps
        real = Batch(normal(f"real{i}", 6, *spec.shape), None if label is None else label.flip(0))
        stats = step.step(st, rules, [real], drawn, KNOBS, StepOptions(micro_batch=micro))
    return stats


def masks(player: nn.Module, name: str) -> dict[str, dict[str, Tensor]]:
    """Dropout factors for every role of a turn."""
    assert isinstance(player, TwoPartDiscriminator)
    wanted = player.random_inputs().items()
    return {
        role: {k: 2 * (normal(f"{name}/{role}/{k}", 6, *w.shape) > 0) for k, w in wanted}
        for role in ("real", "fake", "penalty")
    }


def differ(a: State, b: State) -> float:
    """The largest difference between the weights, moments and buffers of two states."""
    first, other = state.tensors(a), state.tensors(b)
    assert first.keys() == other.keys()
    return max((first[k].double() - other[k].double()).abs().max().item() for k in first)


# --- real and fake in one pass of D -----------------------------------------------------------


@pytest.mark.parametrize("name", GAMES)
def test_one_pass_is_two(name: str) -> None:
    spec, _, rules = GAMES[name]
    together, apart = start(*GAMES[name]), start(*GAMES[name])
    d = together.players.discriminator
    assert isinstance(d, TwoPartDiscriminator)
    assert d.batch_independent == (name != "batch norm")
    apart.players.discriminator.batch_independent = False  # type: ignore[assignment]
    sizes: list[int] = []
    d.body.register_forward_pre_hook(lambda _, x: sizes.append(len(x[0])))  # type: ignore[union-attr]
    seen = [play(st, rules, spec, 5) for st in (together, apart)]
    assert (12 in sizes) == d.batch_independent
    assert differ(together, apart) < 1e-9
    for key in seen[0]:
        assert seen[0][key].item() == pytest.approx(seen[1][key].item(), abs=1e-9)


def test_batch_norm_would_mix_real_and_fake() -> None:
    """The guard is needed: without it the update is another one."""
    mixed, apart = start(*GAMES["batch norm"]), start(*GAMES["batch norm"])
    mixed.players.discriminator.batch_independent = True  # type: ignore[assignment]
    for st in (mixed, apart):
        play(st, GAMES["batch norm"][2], PAIRS, 1)
    assert differ(mixed, apart) > 1e-3


def test_a_gradient_that_is_zero_stays_so_to_the_last_bit() -> None:
    """A relativistic loss sees no common shift of D's logits; Adam would blow up a rounding."""
    spec, networks, rules = GAMES["labels projected"]
    rules = replace(rules, classify=0.0)
    st = start(spec, networks, rules)
    bias = st.players.discriminator.out.linear.bias
    before = bias.detach().clone()
    play(st, rules, spec, 20)
    assert torch.equal(bias, before)


# --- D's fakes in G's turn --------------------------------------------------------------------


class Remade(Adversarial):
    """The same game, but G's turn makes its fakes anew, with batch statistics left as they are."""

    def generator_objective(self, players: Players, batch: Batch, *rest: Any) -> Any:
        before = copies(dict(players.generator.named_buffers()))
        out = super().generator_objective(players, replace(batch, fake_with_graph=None), *rest)
        if batch.fake_with_graph is not None:
            for name, buffer in players.generator.named_buffers():
                buffer.data.copy_(before[name])
        return out


def passes(st: State) -> list[int]:
    """Counts G's forward passes as they come."""
    seen: list[int] = []
    st.players.generator.register_forward_hook(lambda *_: seen.append(1))
    return seen


@pytest.mark.parametrize("g_steps", [1, 3])
def test_fakes_taken_up_are_fakes_made_anew(g_steps: int) -> None:
    rules, remade = (kind(fresh_noise=False, g_steps=g_steps) for kind in (Adversarial, Remade))
    once, anew = start(VECTORS, NORMED, rules), start(VECTORS, NORMED, remade)
    counts = passes(once), passes(anew)
    play(once, rules, VECTORS, 5)
    play(anew, remade, VECTORS, 5)
    assert differ(once, anew) < 1e-12
    # those after G's first step are new: D's fakes are stale by then
    assert tuple(map(len, counts)) == (5 * g_steps, 5 * (1 + g_steps))


def test_the_reused_fakes_count_once_in_the_batch_statistics() -> None:
    st = start(VECTORS, NORMED, REUSED)
    play(st, REUSED, VECTORS, 4)
    norm = next(m for m in st.players.generator.modules() if isinstance(m, nn.BatchNorm1d))
    assert norm.num_batches_tracked is not None
    assert int(norm.num_batches_tracked) == 4


def test_fakes_that_come_in_pieces_are_made_anew() -> None:
    whole, pieces = (start(VECTORS, MLP((4,), (8,)), REUSED) for _ in range(2))
    play(whole, REUSED, VECTORS, 5)
    play(pieces, REUSED, VECTORS, 5, micro=2)
    assert differ(whole, pieces) < 1e-9


@pytest.mark.parametrize("g_steps", [1, 2])
def test_fakes_taken_up_keep_the_labels_and_dropout_they_were_made_with(g_steps: int) -> None:
    """D is asked in G's turn about the labels that G was given, in a run."""
    rules = Adversarial(fresh_noise=False, g_steps=g_steps)
    nets = MLP((4,), (8,), generator_dropout=0.4, embedding=2)
    config = Config("test", nets, rules, noise=Noise(3), labels=True, batch=6)
    whole, pieces = (start(PAIRS, nets, rules) for _ in range(2))
    made: list[tuple[Tensor, Tensor]] = []
    asked: list[tuple[Tensor, Tensor]] = []  # in G's turn: D's turn goes through its features
    whole.players.generator.register_forward_hook(lambda _, x, y: made.append((y, x[1])))
    whole.players.discriminator.register_forward_hook(lambda _, x, y: asked.append((x[0], x[1])))
    for st, micro in ((whole, 0), (pieces, 2)):
        drawer = RandomInputSource(config, PAIRS, st.players)
        for i in range(4):
            real = Batch(normal(f"real{i}", 6, 2), torch.arange(6).remainder(3))
            drawn = {
                side: [replace(turn, z=turn.z.double()) for turn in turns]
                for side, turns in drawer.at(i).items()
            }
            step.step(st, rules, [real], drawn, KNOBS, StepOptions(micro_batch=micro))
    assert len(asked) == 4 * g_steps
    for x, label in asked:
        (given_label,) = [given for fake, given in made if torch.equal(fake, x)]
        assert torch.equal(given_label, label)
    assert differ(whole, pieces) < 1e-9


def test_a_skipped_turn_of_d_leaves_its_fakes_to_g() -> None:
    """The statistics go back to what they were under a graph that G's turn still goes through."""
    st = start(VECTORS, NORMED, REUSED)
    play(st, REUSED, VECTORS, 2)
    before = copies(dict(st.players.generator.named_buffers()))
    weights = copies(dict(st.players.discriminator.named_parameters()))
    moved = copies(dict(st.players.generator.named_parameters()))
    poisoned, draws = Batch(torch.full((6, 2), torch.nan).double()), RandomInputs(normal("z", 6, 3))
    drawn = {"discriminator": [draws], "generator": [draws]}
    stats = step.step(st, REUSED, [poisoned], drawn, KNOBS)
    assert stats["skipped_d"].item() == 1
    assert stats["skipped_g"].item() == 0
    after = dict(st.players.discriminator.named_parameters())
    assert all(torch.equal(weights[k], after[k]) for k in weights)
    assert any(not torch.equal(moved[k], p) for k, p in st.players.generator.named_parameters())
    buffers = dict(st.players.generator.named_buffers())
    assert all(torch.equal(before[k], buffers[k]) for k in before)


# --- both players at once ---------------------------------------------------------------------


@pytest.mark.parametrize("fresh", [True, False])
@pytest.mark.parametrize("micro", [0, 2])
def test_simultaneous_updates_are_those_of_two_turns_from_one_point(
    fresh: bool, micro: int
) -> None:
    at_once = Adversarial(simultaneous=True, fresh_noise=fresh)
    in_turn = Adversarial(fresh_noise=fresh)
    both, d_moved, g_moved = (start(VECTORS, MLP((4,), (8,)), at_once) for _ in range(3))
    z = normal("z", 6, 3), normal("other" if fresh else "z", 6, 3)
    real, drawn = Batch(normal("real", 6, 2)), {"discriminator": [RandomInputs(z[0])]}
    drawn["generator"] = [RandomInputs(z[1])]
    stats = step.step(both, at_once, [real], drawn, KNOBS, StepOptions(micro_batch=micro))
    for st in (d_moved, g_moved):
        for optimizer in st.optimizers.values():
            optimizers.set_rate(optimizer, 1e-2)
    seen = step.turn(d_moved, in_turn, "discriminator", real, RandomInputs(z[0]))
    seen |= step.turn(g_moved, in_turn, "generator", real, RandomInputs(z[1]))
    for side, alone in (("generator", g_moved), ("discriminator", d_moved)):
        theirs = dict(getattr(both.players, side).named_parameters())
        for name, p in getattr(alone.players, side).named_parameters():
            assert torch.allclose(theirs[name], p, rtol=0, atol=1e-12), (side, name)
    for name, value in seen.items():
        assert stats[name].item() == pytest.approx(value.item(), abs=1e-12), name


def test_simultaneous_updates_skipped_together_leave_everything_as_it_was() -> None:
    rules = Adversarial(simultaneous=True, fresh_noise=False)
    st = start(VECTORS, NORMED, rules)
    play(st, rules, VECTORS, 2)
    before = copies(state.tensors(st))
    z = normal("z", 6, 3)
    z[0, 0] = torch.nan
    drawn = {"discriminator": [RandomInputs(z)], "generator": [RandomInputs(z)]}
    stats = step.step(st, rules, [Batch(normal("real", 6, 2))], drawn, KNOBS)
    assert (stats["skipped_d"].item(), stats["skipped_g"].item()) == (1, 1)
    assert all(torch.equal(before[k], t) for k, t in state.tensors(st).items())


@pytest.mark.parametrize("options", [{"d_steps": 2}, {"g_steps": 2}, {"g_steps": 0}])
def test_simultaneous_updates_are_of_one_turn_each(options: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="simultaneous"):
        Adversarial(simultaneous=True, **options)
