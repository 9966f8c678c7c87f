"""The captured and the compiled step are `gan.step.step`; a run with them is the run without."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector

from ganforge import cli, recipes
from ganforge.config.schema import Average, Config, Noise, Optimizer
from ganforge.data import load
from ganforge.data.dataset import Dataset
from ganforge.data.spec import DataSpec
from ganforge.gan import optimizers, schedules, state
from ganforge.gan import step as game
from ganforge.gan.adversarial import Adversarial
from ganforge.gan.batch import Log, RandomInputs
from ganforge.gan.penalties import R1, R2, GradientPenalty
from ganforge.gan.state import State, StepHyperparameters
from ganforge.gan.step import Batch, StepOptions
from ganforge.nets import DCGAN, MLP, SIDES, PlainModule
from ganforge.nets.layers import SPECTRAL
from ganforge.runs import folder
from ganforge.training import build, device, loop
from ganforge.training.compiled import compile, flat
from ganforge.training.compiled.compile import Compiled
from ganforge.training.compiled.flat import Block
from ganforge.training.compiled.formulas import Formula
from ganforge.training.cuda_graph import Captured
from ganforge.training.inputs import NotCompiledError, StaticInputs, due, tree_map
from ganforge.training.random_inputs import RandomInputSource, inputs_of
from ganforge.training.trainer import Trainer
from tests.helpers.tiny import StopAfter, copies, fp64_state, run, setting
from tests.training.test_resume import outcome

PAIRS = DataSpec((2,), 3, "float32", False, (0.0,), (1.0,))
MOVING = Optimizer("sgd", 0.05, momentum=0.1, momentum_to=0.7, momentum_steps=20, shrink=1.01)
LAZY = Adversarial("relativistic", penalties=(R1(1.0, 2, 0.1, 0.5), R2(0.5, 3)), d_steps=2)
BASE = replace(recipes.gaussian(), batch=4, ema=0.9)
GAMES: dict[str, Config] = {
    "gaussian": recipes.gaussian(),
    "gaussian-stable": recipes.gaussian_stable(),
    "ring": replace(recipes.ring(), batch=10, networks=replace(
        recipes.ring().networks, generator=(8,), discriminator=(8, 8), generator_sines=4,
        discriminator_sines=4)),
    "lazy": replace(BASE, game=replace(LAZY, penalties=(R1(1.0, 2, 0.1, 0.5), R2(0.5, 2)))),
    "half-life": replace(BASE, ema=Average(half_life=40, ramp_up=0.5)),
    "late average": replace(BASE, ema=Average(decay=0.9, start=4)),
    "descent": replace(BASE, generator=MOVING, discriminator=Optimizer("rmsprop", 0.01,
                       momentum=0.5, weight_decay=0.01), game=Adversarial(g_steps=2)),
    "mixed": replace(BASE, game=Adversarial("wasserstein", penalties=(GradientPenalty(),))),
    "labels": replace(BASE, labels=True, noise=Noise(3, "uniform"), networks=MLP(
        (4,), (8,), discriminator_dropout=0.5, label="projection"), game=Adversarial(classify=0.2)),
}  # fmt: skip
STEPS = 1000  # of the budget: schedules move


class Play:
    """A game in double precision, its examples and draws, by step."""

    def __init__(self, config: Config):
        self.config = config
        spec = PAIRS if config.labels else load.load("gaussian").spec
        self.state = fp64_state(config, spec)
        if config.ema:
            made = build.initial(config, spec).average
            assert made is not None
            self.state.average = made.double()
            self.state.average.load_state_dict(self.state.players.generator.state_dict())
        classes = 3 if config.labels else 0
        self.state.players = replace(self.state.players, classes=classes)
        self.drawer = RandomInputSource(config, spec, self.state.players)
        self.spec = spec

    def given(self, step: int, count: int) -> tuple[list[Batch], dict[str, list[RandomInputs]]]:
        """Of `count` steps, with their number in front."""
        rules, b = self.config.game, self.config.batch
        make = torch.Generator().manual_seed(0)
        values = torch.randn(200, rules.d_steps, b, *self.spec.shape, generator=make)
        real = values[step : step + count].double() * 2 + 1
        label = torch.arange(b).remainder(3).expand(count, b) if self.config.labels else None
        place, block = self.drawer.block(step)
        rows = slice(place, place + count)
        draws = inputs_of(block, self.drawer.turns, rows)
        batches = [Batch(real[:, j], label) for j in range(rules.d_steps)]
        return tree_map(lambda t: t.double() if t.is_floating_point() else t, batches, draws)

    def one(self, step: int) -> tuple[list[Batch], dict[str, list[RandomInputs]]]:
        """Of one step."""
        return tree_map(lambda t: t[0], *self.given(step, 1))

    def hyper(self, step: int) -> StepHyperparameters:
        return schedules.hyperparameters(self.config, step, STEPS)


def eagerly(block: Block, given: Sequence[Tensor]) -> compile.Run:
    """In place of a compiler: the traced graph, played operation by operation."""

    def played(now: Sequence[Tensor]) -> list[Tensor]:
        inputs, carried = now[1 : 1 + block.inputs], list(now[1 + block.inputs :])
        for place in range(int(now[0])):
            carried = block.step(torch.tensor(place), inputs, carried)
        return carried

    return played


def replayed(step: Callable[[], Log]) -> tuple[Callable[[], None], Log]:
    """In place of a recording, which wants a GPU: every replay calls the step again."""
    stats = copies(step())

    def replay() -> None:
        for name, value in step().items():
            stats[name].copy_(value)

    return replay, stats


def eager_steps(config: Config, count: int) -> tuple[State, dict[str, Tensor]]:
    """The state after `count` steps of the game, and its statistics added up."""
    play, totals = Play(config), {}
    for step in range(count):
        batches, draws = play.one(step)
        rules = config.game
        stats = game.step(play.state, rules, batches, draws, play.hyper(step), StepOptions())
        totals = {k: totals.get(k, 0.0) + v for k, v in stats.items()}
    return play.state, totals


def compiled_steps(config: Config, count: int, most: int = 64) -> tuple[State, dict[str, Tensor]]:
    play = Play(config)
    steps = Compiled(play.state, config, eagerly)
    steps.prepare((*play.given(0, 1), [play.hyper(0)]))
    totals: dict[str, Tensor] = {}
    while (step := play.state.step) < count:
        n = steps.reach(min(most, count - step))
        hypers = [play.hyper(s) for s in range(step, step + n)]
        totals = steps.play((*play.given(step, n), hypers), totals)
    return play.state, totals


def gap(a: dict[str, Tensor], b: dict[str, Tensor]) -> float:
    assert a.keys() == b.keys()
    return max((a[k].double() - b[k].double()).abs().max().item() for k in a)


# --- compiled -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GAMES)
def test_fifty_traced_steps_are_the_games(name: str) -> None:
    steps = 50 if name in recipes.RECIPES else 15
    wanted, totals = eager_steps(GAMES[name], steps)
    found, sums = compiled_steps(GAMES[name], steps)
    assert found.step == wanted.step == steps
    assert gap(state.tensors(found), state.tensors(wanted)) < 1e-6
    assert gap(sums, totals) < 1e-5
    start = state.tensors(Play(GAMES[name]).state)
    assert gap(start, state.tensors(wanted)) > 1e-3  # they have gone somewhere


def test_a_bias_that_no_loss_sees_stays() -> None:
    """In single precision: its gradient is 0 to the last bit, of which Adam would make steps."""
    config, data = setting("gaussian-stable", 8)
    t = Trainer.build(config, folder.Run(Path("nowhere")), data, device.resolve(config))
    t.compiled = Compiled(t.state, config, eagerly)
    t.prepare_steps()
    d = t.state.players.discriminator
    weight, bias = (p.detach().clone() for p in d.out.linear.parameters())
    while t.state.step < 8:
        t.step()
    assert torch.equal(d.out.linear.bias, bias)
    assert not torch.equal(d.out.linear.weight, weight)


def test_where_blocks_end_does_not_matter() -> None:
    one, sums = compiled_steps(GAMES["gaussian"], 12, most=64)
    other, totals = compiled_steps(GAMES["gaussian"], 12, most=1)
    assert gap(state.tensors(one), state.tensors(other)) == 0
    assert gap(sums, totals) == 0


def reach(steps: Compiled, step: int) -> int:
    steps.state.step = step
    return steps.reach(64)


def test_a_block_has_the_same_penalties_due() -> None:
    config = replace(BASE, game=LAZY)
    steps = Compiled(Play(config).state, config, eagerly)
    assert [reach(steps, s) for s in range(6)] == [1, 1, 1, 1, 1, 1]
    assert [due(config.game, s) for s in (0, 1, 2, 3)] == [
        (True, True), (False, False), (True, False), (False, True)]  # fmt: skip
    ring = GAMES["ring"]
    steps = Compiled(Play(ring).state, ring, eagerly)
    assert [reach(steps, s) for s in range(4)] == [1, 3, 2, 1]
    assert Compiled(Play(BASE).state, BASE, eagerly).reach(20) == 20


def test_an_update_that_is_not_finite_is_skipped_and_counted() -> None:
    config = GAMES["gaussian"]
    play, other = Play(config), Play(config)
    given, drawn = play.given(0, 3)
    given[0].real[1, 0, 0] = torch.nan
    steps = Compiled(play.state, config, eagerly)
    steps.prepare((*play.given(0, 1), [play.hyper(0)]))
    totals = steps.play((given, drawn, [play.hyper(s) for s in range(3)]), {})
    assert totals["skipped_d"] == 1 and totals["skipped_g"] == 0
    for step in range(3):
        batches, draws = tree_map(lambda t, s=step: t[s], given, drawn)
        game.step(other.state, config.game, batches, draws, other.hyper(step), StepOptions())
    assert gap(state.tensors(play.state), state.tensors(other.state)) < 1e-9


@pytest.mark.parametrize("choice", [
    Optimizer("adam", 0.1, (0.3, 0.8), weight_decay=0.1),
    Optimizer("sgd", 0.1, momentum=0.6, weight_decay=0.1), Optimizer("sgd", 0.1),
    Optimizer("rmsprop", 0.1, momentum=0.6), Optimizer("rmsprop", 0.1),
])  # fmt: skip
def test_a_formula_is_torchs_optimiser(choice: Optimizer) -> None:
    make = torch.Generator().manual_seed(1)
    ones = [torch.nn.Parameter(torch.randn(s, generator=make).double()) for s in ((3, 2), (4,))]
    torchs = optimizers.build(choice, ones, fused=False)
    module = torch.nn.ParameterList(ones)
    names = torchs.state[ones[0]].keys()
    vectors = {k: parameters_to_vector([torchs.state[p][k] for p in ones]) for k in names}
    vectors["weights"] = parameters_to_vector(ones).detach()
    ours = Formula(torchs, copy.deepcopy(module), vectors)
    for step in range(6):
        gradients = [torch.randn(p.shape, generator=make).double() for p in ones]
        optimizers.set_rate(torchs, 0.1 / (step + 1))
        optimizers.set_rate(ours, torch.tensor(0.1 / (step + 1), dtype=torch.float64))  # type: ignore[arg-type]
        ours.found_inf = torch.tensor(float(step == 3))
        for p, g in zip(ones, gradients, strict=True):
            p.grad = g
        ours.param_groups[0]["params"][0].grad = parameters_to_vector(gradients)
        ours.step()
        if step != 3:
            torchs.step()
        shown = parameters_to_vector(ours.module.parameters())
        torch.testing.assert_close(shown, parameters_to_vector(ones), rtol=1e-9, atol=1e-12)


def wrong(block: Block, given: Sequence[Tensor]) -> compile.Run:
    """A compiler that gets the discriminator's update wrong by a twentieth."""

    def played(now: Sequence[Tensor]) -> list[Tensor]:
        out = list(eagerly(block, given)(now))
        place = list(flat.lists(Play(GAMES["gaussian"]).state)).index("discriminator.weights")
        before = now[1 + block.inputs + place]
        out[place] = before + 1.05 * (out[place] - before)
        return out

    return played


def test_a_wrong_compiler_is_found_out() -> None:
    play = Play(GAMES["gaussian"])
    steps = Compiled(play.state, GAMES["gaussian"], wrong)
    with pytest.raises(NotCompiledError, match=r"discriminator\.weights is off"):
        steps.prepare((*play.given(0, 1), [play.hyper(0)]))


# --- in a run -----------------------------------------------------------------------------------


@pytest.fixture
def traced_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs play the traced graph, without a compiler."""
    monkeypatch.setattr(compile, "from_cache", eagerly)


def small(name: str = "gaussian", steps: int = 60, **more: Any) -> tuple[Config, Dataset]:
    config, data = setting(name, steps)
    return replace(config, compile=True, **more), data


@pytest.mark.parametrize("name", ["gaussian", "gaussian-stable"])
def test_a_run_with_it_is_the_run_without(name: str, tmp_path: Path, traced_only: None) -> None:
    config, data = small(name)
    found = run(config, tmp_path / "a", data)
    wanted = run(replace(config, compile=False), tmp_path / "b", data)
    assert [p.step for p in found if p.note == ""] == [p.step for p in wanted if p.note == ""]
    assert folder.open_run(tmp_path / "a").info()["resolved"]["compile"] is True
    for a, b in zip(
        [p for p in found if not p.note], [p for p in wanted if not p.note], strict=True
    ):
        assert a.loss_d == pytest.approx(b.loss_d, rel=5e-3, nan_ok=True)
        assert a.gradient_g == pytest.approx(b.gradient_g, rel=2e-2, nan_ok=True)


@pytest.mark.parametrize("average", [0.9, Average(half_life=100, ramp_up=0.5)])
@pytest.mark.parametrize("asked", [1, 2])
def test_stopped_and_resumed_it_is_the_same_run(
    asked: int, average: float | Average, tmp_path: Path, traced_only: None
) -> None:
    config, data = small("gaussian", ema=average)
    run(config, tmp_path / "whole", data)
    first = run(config, tmp_path / "parts", data, StopAfter(asked))
    assert 0 < first[-1].step < 60 and first[-1].done
    run(config, tmp_path / "parts", data)
    assert outcome(tmp_path / "parts") == outcome(tmp_path / "whole")
    assert folder.open_run(tmp_path / "parts").info()["exact"] is True


def test_going_on_without_it_is_reported(tmp_path: Path, traced_only: None) -> None:
    config, data = small()
    run(config, tmp_path / "a", data, StopAfter(1))
    notes = [p.note for p in run(replace(config, compile=False), tmp_path / "a", data)]
    assert any("compile was True, is False" in note for note in notes)


class Own(torch.nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.sum(1)


@pytest.mark.parametrize(("changes", "why"), [
    ({"micro_batch": 4}, "micro-batches"),
    ({"networks": MLP((4,), (4,), generator_norm="batch")}, "batch norm"),
    ({"networks": MLP((4,), (4,), discriminator_norm=SPECTRAL)}, "spectral norm"),
    ({"networks": MLP((512, 512), (4,))}, "parameters"),
])  # fmt: skip
def test_what_is_not_compiled_is_played_all_the_same(
    changes: dict[str, Any], why: str, tmp_path: Path
) -> None:
    config, data = small(steps=20)
    records = run(replace(config, **changes), tmp_path / "a", data)
    (note,) = [p.note for p in records if "not compiled" in p.note]
    assert why in note and "\n" not in note
    assert records[-1].step == 20
    assert folder.open_run(tmp_path / "a").info()["resolved"]["compile"] is False


def test_without_a_compiler_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compile, "compiler", lambda: None)
    config, data = small(steps=20)
    records = run(config, tmp_path / "a", data)
    assert any("there is no C++ compiler" in p.note for p in records)
    assert records[-1].step == 20 and records[-1].done


def test_going_on_without_a_compiler_is_exact_where_there_was_none_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compile, "compiler", lambda: None)
    config, data = small()
    run(config, tmp_path / "whole", data)
    run(config, tmp_path / "parts", data, StopAfter(1))
    notes = [p.note for p in run(config, tmp_path / "parts", data)]
    assert not any("bit-exact" in note for note in notes)
    assert outcome(tmp_path / "parts") == outcome(tmp_path / "whole")
    assert folder.open_run(tmp_path / "parts").info()["exact"] is True


def test_pictures_and_own_modules_are_refused() -> None:
    config = replace(recipes.dcgan(), networks=DCGAN(4, 4))
    made = build.initial(config, DataSpec((1, 28, 28), 0))
    with pytest.raises(NotCompiledError, match="convolutions"):
        Compiled(made, config, eagerly)
    play = Play(BASE)
    for foreign in (Own(), PlainModule(Own(), conditional=False)):
        play.state.players = replace(play.state.players, discriminator=foreign)
        with pytest.raises(NotCompiledError, match="not of this package"):
            Compiled(play.state, BASE, eagerly)


def test_code_is_kept_where_nobody_else_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GANFORGE_CACHE", str(tmp_path / "code"))
    assert compile.folder() == tmp_path / "code"
    assert (tmp_path / "code").stat().st_mode & 0o077 == 0
    (tmp_path / "code").chmod(0o777)
    with pytest.raises(NotCompiledError, match="others may write"):
        compile.folder()
    monkeypatch.setenv("GANFORGE_CACHE", "/proc/nowhere")
    with pytest.raises(NotCompiledError, match="no folder"):
        compile.folder()


def test_it_is_a_flag(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", "gaussian", "--compile", "--print-config"]) == 0
    assert "compile = true" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.skipif(compile.compiler() is None, reason="no C++ compiler")
def test_machine_code_is_the_game(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANFORGE_CACHE", str(tmp_path / "code"))
    config, data = small(steps=40, networks=MLP((), (3,)))
    run(config, tmp_path / "a", data)
    run(replace(config, compile=False), tmp_path / "b", data)
    a, b = (loaded(tmp_path / n, config, data) for n in "ab")
    assert gap(a, b) < 1e-4
    # a second run takes the code from the cache, and is the same to the last bit when resumed
    monkeypatch.setattr(compile, "write", None)
    run(config, tmp_path / "c", data, StopAfter(1))
    run(config, tmp_path / "c", data)
    assert outcome(tmp_path / "c") == outcome(tmp_path / "a")


def loaded(path: Path, config: Config, data: Dataset) -> dict[str, Tensor]:
    """The tensors of a run's last checkpoint."""
    (last,) = list(loop.train(config, path, data=data))[-1:]
    assert last.done
    from ganforge.runs import checkpoint

    found, _ = checkpoint.newest(path / "checkpoints")
    assert found is not None
    return {k: v for k, v in found.tensors.items() if not k.startswith("log.")}


# --- captured -----------------------------------------------------------------------------------

NORMED = replace(BASE, networks=MLP((4, 4), (8,), generator_norm="batch"))
CAPTURED = {
    "lazy": replace(BASE, game=LAZY),
    "batch norm": NORMED,
    "half-life": replace(NORMED, ema=Average(half_life=40, ramp_up=0.5, buffers="average")),
    "late average": GAMES["late average"],
    "spectral norm": replace(
        BASE, game=LAZY, networks=MLP((4,), (8,), discriminator_norm=SPECTRAL)
    ),
    "labels": GAMES["labels"],
    "mixed": GAMES["mixed"],
    "reused noise": GAMES["gaussian"],
    "descent": replace(BASE, generator=Optimizer("sgd", 0.05, momentum=0.5)),
}


@pytest.mark.parametrize("name", CAPTURED)
def test_a_captured_step_is_the_step(name: str) -> None:
    """Bit for bit, with an ordinary call in place of a replay: places, copies, penalties due."""
    config = CAPTURED[name]
    wanted, totals = eager_steps(config, 14)
    play = Play(config)
    steps = Captured(play.state, config.game, StepOptions(), replayed)
    sums: dict[str, Tensor] = {}
    steps.prepare((*play.given(0, 1), [play.hyper(0)]))
    for step in range(14):
        batches, draws = play.given(step, 1)
        sums = steps.play((batches, draws, [play.hyper(step)]), sums)
        for old in (*batches, *draws["generator"]):  # it reads other tensors, not these
            (old.real if isinstance(old, Batch) else old.z).fill_(torch.nan)
    assert play.state.step == 14
    assert gap(state.tensors(play.state), state.tensors(wanted)) == 0
    assert gap(sums, totals) == 0
    assert set(steps.recordings) == {due(config.game, s) for s in range(14)}


def test_a_captured_step_that_is_not_finite_is_skipped() -> None:
    play, other = Play(NORMED), Play(NORMED)
    steps = Captured(play.state, NORMED.game, StepOptions(), replayed)
    steps.prepare((*play.given(0, 1), [play.hyper(0)]))
    for step in range(4):
        stacked, rows = play.given(step, 1)
        if step == 2:
            stacked[0].real[0, 0] = torch.inf
        stats = steps.play((stacked, rows, [play.hyper(step)]), {})
        batches, draws = tree_map(lambda t: t[0], stacked, rows)
        game.step(other.state, NORMED.game, batches, draws, other.hyper(step), StepOptions())
        assert stats["skipped_d"] == float(step == 2)
    assert gap(state.tensors(play.state), state.tensors(other.state)) == 0


def test_recordings_are_made_before_the_first_step() -> None:
    config = CAPTURED["lazy"]
    play = Play(config)
    before = copies(state.tensors(play.state))
    steps = Captured(play.state, config.game, StepOptions(), replayed)
    steps.prepare((*play.given(0, 1), [play.hyper(0)]))
    assert set(steps.recordings) == {due(config.game, s) for s in range(6)}
    assert play.state.step == 0
    assert gap(state.tensors(play.state), before) == 0


def captures(t: Trainer, record: Any) -> list[str]:
    """In place of `Trainer.choose_steps`, where there is no GPU."""
    t.compiled = Captured(t.state, t.config.game, t.options, record)
    return []


def fails(step: Any) -> Any:
    """A recording that breaks after it has played the step."""
    step()
    raise RuntimeError("operation not permitted when stream is capturing\nand more")


@pytest.mark.parametrize("average", [0.9, Average(half_life=100, ramp_up=0.5)])
@pytest.mark.parametrize("record", [replayed, fails])
def test_a_captured_run_is_the_run_also_where_recording_fails(
    record: Any, average: float | Average, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, data = small(steps=40, ema=average)
    plain = run(replace(config, compile=False), tmp_path / "plain", data)
    monkeypatch.setattr(Trainer, "choose_steps", lambda t: captures(t, record))
    records = run(config, tmp_path / "a", data)
    assert records[-1].step == plain[-1].step == 40
    notes = [p.note for p in records if "not compiled" in p.note]
    assert len(notes) == (record is fails)
    assert all("not permitted" in note and "\n" not in note for note in notes)
    assert folder.open_run(tmp_path / "a").info()["resolved"]["compile"] is (record is replayed)
    a, b = (loaded(tmp_path / n, c, data) for n, c in
            (("a", config), ("plain", replace(config, compile=False))))  # fmt: skip
    assert gap(a, b) == 0


def test_pictures_of_a_recorded_step_stay_channels_last() -> None:
    real = torch.randn(6, 3, 4, 4).to(memory_format=torch.channels_last).view(1, 2, 3, 3, 4, 4)
    drawn = {side: [RandomInputs(torch.zeros(1, 3, 2))] for side in SIDES}
    hyper = StepHyperparameters(dict.fromkeys(SIDES, 0.1))
    given = ([Batch(real[:, 0]), Batch(real[:, 1])], drawn, [hyper])
    places = StaticInputs(given, BASE.game, 1)
    batches, _, _ = places.shown([t[0] for t in places.tensors])
    assert torch.equal(batches[1].real, real[0, 1])
    assert batches[1].real.is_contiguous(memory_format=torch.channels_last)


def test_what_is_not_captured() -> None:
    play = Play(GAMES["descent"])
    with pytest.raises(NotCompiledError, match="no fused kernel"):
        Captured(play.state, BASE.game, StepOptions(), replayed)
    with pytest.raises(NotCompiledError, match="micro-batches"):
        Captured(Play(BASE).state, BASE.game, StepOptions(micro_batch=2), replayed)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_cuda_graphs_are_the_step(tmp_path: Path) -> None:
    config, data = small(steps=40, device="cuda")
    run(config, tmp_path / "a", data)
    run(replace(config, compile=False), tmp_path / "b", data)
    a, b = (loaded(tmp_path / n, config, data) for n in "ab")
    assert gap(a, b) < 1e-6
