"""How many threads a run takes. Every time that decides is injected, none is asserted."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ganforge import api, recipes
from ganforge.augment.adaptive import Adaptive
from ganforge.cli import dry_run
from ganforge.config.schema import Config
from ganforge.data.dataset import Dataset
from ganforge.errors import OutOfMemoryError
from ganforge.experiments import seeds
from ganforge.experiments.compare import jobs as compared
from ganforge.experiments.compare.jobs import Job
from ganforge.gan import state
from ganforge.gan.penalties import R1
from ganforge.runs import folder
from ganforge.runs.folder import Run
from ganforge.runs.records import Control
from ganforge.training import device, loop, pairing, threads
from ganforge.training.clock import Clock
from ganforge.training.distributed import World
from ganforge.training.trainer import Trainer
from tests.helpers.tiny import StopAfter, data_for, fingerprint, newest, pictures, shortened

Times = dict[int, float]


@pytest.fixture(autouse=True)
def two_cores(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """And runs that a race may be longer than: a step of two threads is slow on a busy machine."""
    monkeypatch.setattr(device, "cores", lambda: 2)
    monkeypatch.setattr(threads, "SHARE", 2.0)
    yield
    torch.set_num_threads(1)


def game(steps: int = 2, **changes: Any) -> Config:
    """A convolutional game, a few channels wide, whose threads are not named."""
    made = shortened(recipes.find("cdcgan"), steps, score=False)
    return replace(made, threads=0, **changes)


def built(config: Config, data: Dataset | None = None, world: World | None = None) -> Trainer:
    data = data or data_for(config)
    t = Trainer.build(config, Run(Path("nowhere")), data, device.resolve(config, spec=data.spec))
    t.meeting = replace(t.meeting, world=world) if world else t.meeting
    return t


def never(*arguments: Any) -> dict[int, float]:
    raise AssertionError("a race was run")


def racing(rates: dict[int, float]) -> Callable[..., dict[int, float]]:
    return lambda t, numbers: dict(rates)


# --- the race itself ----------------------------------------------------------------------------


def raced(step: Times, part: Times | None = None, steps: int = 100) -> tuple[Times, list[Any]]:
    """The race of machines that take so many seconds a step, and what it asked for."""
    asked: list[Any] = []

    def measure(n: int, first: int, count: int) -> float:
        asked.append((n, first, count))
        return step[n] * count

    part = part or {n: seconds / 8 for n, seconds in step.items()}
    return threads.race(list(step), measure, part.__getitem__, steps), asked


@pytest.mark.parametrize(
    ("step", "choice"),
    [
        ({1: 0.1, 2: 0.06}, 2),
        ({1: 0.1, 2: 0.098}, 1),  # within what a measurement can be wrong by
        ({1: 0.1, 2: 3.2}, 1),
        ({1: 0.001, 4: 0.0007, 8: 0.0004}, 8),
        ({1: 0.001, 4: 0.0004, 8: 0.02}, 4),
    ],
)
def test_the_fastest_wins(step: Times, choice: int) -> None:
    found, _ = raced(step)
    assert found == pytest.approx(step)
    assert threads.fastest({n: 1 / seconds for n, seconds in found.items()}) == choice


def test_turns_are_of_the_same_steps_and_within_the_budget() -> None:
    _, asked = raced({1: 0.01, 2: 0.008}, steps=10)
    rounds = asked[3:]  # after each one's first step, and one more of one thread
    assert [a[0] for a in rounds] == [1, 2] * (len(rounds) // 2)
    assert [a[1:] for a in rounds[::2]] == [a[1:] for a in rounds[1::2]]
    assert all(first + count <= 10 for _, first, count in asked)
    assert len({first for _, first, _ in rounds}) > 1  # penalties are not due at every step
    assert threads.SECONDS <= sum({1: 0.01, 2: 0.008}[n] * c for n, _, c in rounds) <= 1.1


def test_steps_that_take_seconds_get_one_round() -> None:
    _, asked = raced({1: 5.0, 2: 3.0})
    assert [a[0] for a in asked] == [1, 1, 2, 1, 2] and {a[2] for a in asked} == {1}


def test_who_is_far_behind_plays_no_round() -> None:
    """Beside busy processes a step of two threads may take seconds: it is not asked for twice."""
    found, asked = raced({1: 0.1, 2: 3.2})
    assert [a[0] for a in asked] == [1, 1] and found[2] == pytest.approx(3.2)
    found, asked = raced({1: 0.1, 2: 3.2}, part={1: 0.01, 2: 0.1})
    assert [a[0] for a in asked] == [1, 1, 2] and found[2] == 3.2


# --- what is measured ---------------------------------------------------------------------------


class Drawing(nn.Module):
    """A discriminator of a user's that draws in its forward pass, and counts its passes."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.linear = nn.Linear(int(torch.tensor(shape).prod()), 1)
        self.register_buffer("passes", torch.zeros(()))

    def forward(self, x: Tensor, label: Any = None) -> Tensor:
        assert isinstance(self.passes, Tensor)
        self.passes += 1
        x = x.flatten(1)
        return self.linear(x + 0.1 * torch.randn_like(x)).squeeze(1)  # type: ignore[no-any-return]


class Making(nn.Module):
    def __init__(self, size: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.linear, self.shape = nn.Linear(size, int(torch.tensor(shape).prod())), shape

    def forward(self, z: Tensor, label: Any = None) -> Tensor:
        return self.linear(z).view(-1, *self.shape)  # type: ignore[no-any-return]


def users(spec: Any, size: int) -> dict[str, nn.Module]:
    return {"generator": Making(size, spec.shape), "discriminator": Drawing(spec.shape)}


@pytest.mark.parametrize("name", ["cdcgan", "mnist-dropout", "users", "adaptive"])
def test_a_race_leaves_the_run_as_it_was(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights, batch statistics, averages, moments, controllers, counters and random numbers."""
    monkeypatch.setattr(threads, "SECONDS", 0.01)
    monkeypatch.setattr(threads, "TINY_PRODUCTS", 0)
    recipe = {"users": "mnist-dropout", "adaptive": "cdcgan"}.get(name, name)
    config = replace(shortened(recipes.find(recipe), 8), threads=0, ema=0.9)
    if name == "users":
        config = replace(config, networks=users, labels=False)
    elif name == "cdcgan":
        config = replace(config, game=replace(config.game, penalties=(R1(1.0, 2),)))
    elif name == "adaptive":  # its strength comes from the state, not from the random inputs
        config = replace(config, game=replace(config.game, augment=(Adaptive(),)))
    t, after = built(config), built(config)
    t.step()  # so that there are moments to be changed
    after.step()
    t.state.step, before = 0, fingerprint(state.tensors(t.state))
    totals = fingerprint(t.totals)
    torch.manual_seed(123)
    random, count_before = torch.get_rng_state(), t.counted
    threads.settle(t, {})
    assert set(t.rates) == {1, 2} and min(t.rates.values()) > 0
    assert fingerprint(state.tensors(t.state)) == before
    assert (t.state.step, t.counted, t.skipped, t.clock.timing) == (0, count_before, 0, {})
    assert fingerprint(t.totals) == totals and torch.equal(torch.get_rng_state(), random)
    assert torch.get_num_threads() == t.resolved.threads
    # and what follows is what would have followed
    t.state.step = 1
    torch.set_num_threads(1)
    for one in (t, after):
        for _ in range(3):
            one.step()
    assert fingerprint(state.tensors(t.state)) == fingerprint(state.tensors(after.state))


@pytest.mark.parametrize(
    "error", [OutOfMemoryError("too large"), RuntimeError("can't allocate memory")]
)
def test_a_twin_that_does_not_fit_is_no_error(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: Any) -> None:
        torch.set_num_threads(1)
        raise error

    monkeypatch.setattr(threads, "race", full)
    t = built(game())
    threads.settle(t, {})
    assert (t.rates, t.resolved.threads, torch.get_num_threads()) == ({}, 2, 2)


def test_a_fault_of_the_game_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*arguments: Any) -> None:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(threads, "race", wrong)
    with pytest.raises(RuntimeError, match="shapes"):
        threads.settle(built(game()), {})


# --- when there is a race, and what becomes of it -----------------------------------------------


@pytest.mark.parametrize(("rates", "chosen"), [({1: 0.2, 2: 0.1}, 1), ({1: 0.1, 2: 0.2}, 2)])
def test_the_winner_is_kept_in_the_run_and_on_resume(
    rates: dict[int, float], chosen: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run is that of `--threads N`, bit for bit, also where it is stopped between."""
    config, data = game(), pictures(40)
    monkeypatch.setattr(threads, "measured", racing(rates))
    list(loop.train(config, tmp_path / "a", StopAfter(1), data))
    info = folder.Run(tmp_path / "a").info()
    assert (info["step"], info["resolved"]["threads"]) == (1, chosen)
    assert info["race"] == {"1": rates[1], "2": rates[2]}
    monkeypatch.setattr(threads, "measured", never)
    notes = [p.note for p in loop.train(config, tmp_path / "a", None, data)]
    assert not any("not bit-exact from here" in note for note in notes)
    info = folder.Run(tmp_path / "a").info()
    assert (info["step"], info["resolved"]["threads"]) == (2, chosen)
    assert info["race"] == {"1": rates[1], "2": rates[2]}
    list(loop.train(replace(config, threads=chosen), tmp_path / "b", None, data))
    assert fingerprint(newest(tmp_path / "a")) == fingerprint(newest(tmp_path / "b"))


@pytest.mark.parametrize(
    ("changes", "steps", "expected"),
    [
        ({"threads": 2}, 2, 2),
        ({"threads": 1}, 2, 1),
        ({}, 1, 2),  # a race would be more than its share of it
    ],
)
def test_runs_without_a_choice_of_threads_hold_no_race(
    changes: dict[str, int], steps: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "measured", never)
    t = built(replace(game(steps), **changes), pictures(10))
    threads.settle(t, {})
    assert t.resolved.threads == expected
    word = "thread" if expected == 1 else "threads"
    assert threads.planned(t) == f"{expected} {word}"


def test_no_race_of_a_run_that_has_begun_or_had_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "measured", never)
    t = built(game())
    threads.settle(t, {"race": {"1": 1.0, "2": 2.0}})
    assert (t.resolved.threads, t.rates) == (2, {1: 1.0, 2: 2.0})  # the pace is still looked at
    t = built(game())
    t.state.step = 1
    threads.settle(t, {"resolved": {"threads": 2}})
    assert t.resolved.threads == 2


def test_no_race_on_one_core_on_a_gpu_and_between_processes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(threads, "measured", never)
    threads.settle(built(game(), world=World(0, 2)), {})
    t = built(game())
    t.resolved = replace(t.resolved, device="cuda:0")
    threads.settle(t, {})
    assert t.resolved.threads == 2
    monkeypatch.setattr(device, "cores", lambda: 1)
    threads.settle(built(game()), {})


@pytest.mark.parametrize("name", ["gaussian", "gaussian-stable", "figure1"])
def test_tiny_games_take_one_thread(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "measured", never)
    config = replace(recipes.find(name), device="cpu")
    t = built(config)
    assert threads.planned(t) == "1 thread"
    threads.settle(t, {})
    assert t.resolved.threads == torch.get_num_threads() == 1
    large = replace(config, batch=10_000, epochs=10**4)
    assert "race" in threads.planned(built(large))


def test_seeds_and_comparisons_hold_no_race(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two variants must not differ by what else the machine was doing."""
    monkeypatch.setattr(threads, "measured", never)
    config, data = game(), pictures(40)
    trained = seeds.train(config, tmp_path / "s", seeds=[3], show="quiet", data=data)
    assert trained.runs[0].info()["resolved"]["threads"] == 2
    job = Job("x", replace(config, data="mnist"), tmp_path / "c")
    monkeypatch.setattr(api, "train", without_data(api.train, data))
    compared.train([job], None, "quiet", Control())
    assert folder.Run(job.folder).info()["resolved"]["threads"] == 2


def without_data(function: Callable[..., Any], data: Dataset) -> Callable[..., Any]:
    return lambda *arguments, **options: function(*arguments, data=data, **options)


def test_a_signal_gives_the_race_up_and_the_run_holds_one_when_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, data = game(), pictures(40)

    def interrupted(t: Trainer, numbers: Any) -> dict[int, float]:
        signal.raise_signal(signal.SIGTERM)
        return never()

    monkeypatch.setattr(threads, "measured", interrupted)
    stopped = api.train(config, tmp_path, show="quiet", data=data)
    assert (stopped.signal, stopped.progress.step) == (15, 0)
    assert folder.Run(tmp_path).info()["status"] == "stopped"
    monkeypatch.setattr(threads, "measured", racing({1: 2.0, 2: 1.0}))
    list(loop.train(config, tmp_path, StopAfter(1), data))
    assert folder.Run(tmp_path).info()["resolved"]["threads"] == 1


@pytest.mark.parametrize(
    "table", [None, 3, [], {"1": "fast"}, {"one": 1.0}, {"1": -1.0}, {"1": float("nan")}]
)
def test_what_is_no_race_in_run_json_is_no_race(table: Any) -> None:
    assert threads.known({"race": table}) == {}
    assert threads.known(json.loads('{"race": {"1": 560, "2": 20.5}}')) == {1: 560.0, 2: 20.5}


def test_the_rehearsal_says_what_is_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairing, "load_part", lambda *a, **k: pictures(40))
    lines = dry_run.one_run(game(), tmp_path / "r")
    assert any("1 to 2 threads, by a race at the start" in line for line in lines)


# --- the pace afterwards ------------------------------------------------------------------------


def paced(threads_now: int = 2, rates: dict[int, float] | None = None) -> Any:
    """A run under way, as far as a pace looks at it."""
    rates = {1: 560.0, 2: 900.0} if rates is None else rates
    resolved = SimpleNamespace(threads=threads_now)
    return SimpleNamespace(resolved=resolved, rates=rates, samples_seen=0, clock=Clock())


def go(t: Any, images: int, seconds: float) -> None:
    t.samples_seen += images
    t.clock.timing["step"] = t.clock.timing.get("step", 0.0) + seconds


def test_a_run_that_others_slow_down_says_so_once() -> None:
    t = paced()
    pace = threads.Pace(t)
    go(t, 1800, 2.0)
    assert pace.look() == ""
    go(t, 50, 0.9)  # too short to tell
    assert pace.look() == ""
    go(t, 190, 1.1)
    assert pace.look().startswith(
        "2 threads now make 120 examples/s, 1 thread made 560 at the start"
    )
    go(t, 240, 2.0)
    assert pace.look() == ""


@pytest.mark.parametrize(("now", "rates"), [(1, None), (2, {}), (2, {1: 130.0, 2: 90.0})])
def test_nothing_is_said_of_a_run_that_is_no_slower(now: int, rates: Any) -> None:
    t = paced(now, rates)
    pace = threads.Pace(t)
    go(t, 240, 2.0)
    assert pace.look() == ""


def test_the_note_comes_with_a_record_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "measured", racing({1: 1e9, 2: 2e9}))
    monkeypatch.setattr(threads, "LEAST_LOOK", 0.0)
    notes = [p.note for p in loop.train(game(), tmp_path, None, pictures(40))]
    assert sum("other programs use the cores" in note for note in notes) == 1
