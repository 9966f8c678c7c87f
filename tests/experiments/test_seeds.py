"""Many seeds from the user's side: folders, resume, divergence, grouping, the summary."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import ganforge as gf
from ganforge import api, recipes
from ganforge.callbacks import evaluate
from ganforge.callbacks.diagnose import Budget
from ganforge.callbacks.display import Quiet
from ganforge.cli import main
from ganforge.config.schema import Config
from ganforge.data.spec import DataSpec
from ganforge.errors import BusyError, DivergedError, OutOfMemoryError, UsageError
from ganforge.evaluation import evaluate as evaluation
from ganforge.evaluation import store
from ganforge.experiments import plan as plans
from ganforge.experiments import seeds
from ganforge.experiments.ensemble import capability, stack
from ganforge.experiments.ensemble import train as ensembles
from ganforge.experiments.seeds import summary
from ganforge.gan.batch import Batch
from ganforge.plotting import overview
from ganforge.runs import folder as runs
from ganforge.runs.records import Control, Progress
from ganforge.training import loop
from ganforge.training.device import resolve
from tests.helpers.tiny import StopAfter, fingerprint, killed_in_save, newest, pictures, shortened

THREE = (0, 3, 5)


def quick(patch: pytest.MonkeyPatch) -> None:
    """Looks at the weights five times as often as in earnest."""
    patch.setattr(loop, "CHECK_STEPS", 10)


@pytest.fixture(autouse=True)
def no_picture(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes longer than such a population."""
    quick(monkeypatch)
    monkeypatch.setattr(api, "draw", lambda run: None)
    if "drawing" not in request.fixturenames:
        monkeypatch.setattr(overview, "of_seeds", lambda *rest: None)


def gaussian(steps: int = 100, **output: Any) -> Config:
    """A hundred steps of the small game; in these tests a save falls on every 25th."""
    wanted = {
        "log_every": 10,
        "min_gap": 25,
        "save_every": 0.2,
        "sample_every": 0.4,
        "score": False,
        **output,
    }
    return shortened(recipes.gaussian(), steps, **wanted)


@pytest.fixture
def drawing() -> None:
    """For a test that draws."""


def prints(folder: Path, which: Sequence[int] = THREE) -> list[str]:
    """A hash of each member's last checkpoint."""
    return [fingerprint(newest(folder / f"seed-{seed}")) for seed in which]


def logs(folder: Path) -> list[dict[str, Any]]:
    skip = ("seconds", "images_per_second")
    return [{k: v for k, v in r.items() if k not in skip} for r in runs.Run(folder).log()]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seeds of the small game, never stopped."""
    out = tmp_path_factory.mktemp("whole") / "g"
    with pytest.MonkeyPatch.context() as patch:
        quick(patch)
        patch.setattr(overview, "of_seeds", lambda *rest: None)
        trained = gf.population(gaussian(), out=out, seeds=THREE, show="quiet")
    assert [run.path.name for run in trained.runs] == ["seed-0", "seed-3", "seed-5"]
    assert list(trained) == [run.path for run in trained.runs]
    return out


class Heard(Quiet):
    """Keeps the notes."""

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[str] = []

    def show(self, progress: Progress) -> None:
        self.notes += [progress.note] if progress.note else []


# --- folders ----------------------------------------------------------------------------------


def test_each_folder_is_that_of_its_single_run(whole: Path, tmp_path: Path) -> None:
    config = replace(gaussian(), seed=3)
    list(loop.train(config, tmp_path / "alone"))
    single, member = runs.Run(tmp_path / "alone"), runs.Run(whole / "seed-3")
    assert member.settings() == single.settings()
    a, b = newest(single.path), newest(member.path)
    assert a.keys() == b.keys()
    for name in a:
        torch.testing.assert_close(a[name], b[name], rtol=1e-3, atol=1e-4, msg=name)
    changing = {"timing", "seconds"}
    one, other = single.info(), member.info()
    assert one["resolved"].pop("stacked") == 0 and other["resolved"].pop("stacked") == 3
    assert {k: v for k, v in one.items() if k not in changing} == {
        k: v for k, v in other.items() if k not in changing
    }
    assert [r["step"] for r in logs(single.path)] == [r["step"] for r in logs(member.path)]
    assert logs(single.path)[0].keys() == logs(member.path)[0].keys()
    assert logs(single.path)[-1]["loss_d"] == pytest.approx(
        logs(member.path)[-1]["loss_d"], rel=1e-3
    )
    assert sorted(p.name for p in single.samples.iterdir()) == sorted(
        p.name for p in member.samples.iterdir()
    )
    assert not (member.path / "run.lock").exists()


def test_a_finding_of_one_seed_is_noted_while_it_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ensembles, "Budget", partial(Budget, share=1e9, shortest=0.0))
    config = gaussian(200)
    still = replace(config, generator=replace(config.generator, lr=0.0))
    heard = Heard()
    gf.population(still, out=tmp_path / "still", seeds=(4, 7), show=heard)
    noted = "; ".join(heard.notes)
    assert re.search(r"seed [47]: GF00[13] ", noted)
    assert all(noted.count(f" {code} ") <= 1 for code in ("GF001", "GF003", "GF008"))


def test_the_look_at_health_changes_nothing(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ensembles, "Budget", partial(Budget, share=1e9, shortest=0.0))
    gf.population(gaussian(), out=tmp_path / "g", seeds=THREE, show="quiet")
    assert prints(tmp_path / "g") == prints(whole)


def test_other_commands_read_a_seeds_folder(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(whole / "seed-3")
    assert main(["runs", str(whole)]) == 0
    assert capsys.readouterr().out.count("seed-") == 3
    assert main(["sample", folder, "-n", "50", "-o", str(tmp_path / "s.npz")]) == 0
    assert main(["evaluate", folder, "-n", "100", "--metrics", "frechet"]) == 0
    assert main(["plot", folder, "-o", str(tmp_path / "plot.png")]) == 0
    assert gf.load(folder).sample(3).shape == (3, 2)


@pytest.mark.parametrize(("keep", "groups"), [(3, [(0, 3)]), (1, [(0,), (3,)])])
def test_a_member_goes_on_alone_and_comes_back(
    whole: Path, tmp_path: Path, keep: int, groups: list[tuple[int, ...]]
) -> None:
    """Where both still have a step in common they continue from there, else each by itself."""
    out = tmp_path / "g"
    gf.population(gaussian(50, keep=keep), out=out, seeds=(0, 3), show="quiet")
    api.train(replace(gaussian(75, keep=keep), seed=3), out / "seed-3", show="quiet")
    assert runs.Run(out / "seed-3").info()["step"] == 75
    trained = gf.population(gaussian(100, keep=keep), out=out, seeds=(0, 3), show="quiet")
    assert trained.summary["statuses"] == {"finished": 2}
    assert plans.read_groups(out) == groups
    end = newest(out / "seed-3")
    for name, value in newest(whole / "seed-3").items():
        torch.testing.assert_close(end[name], value, rtol=1e-3, atol=1e-4, msg=name)


def test_a_member_that_continues_alone_is_noted_and_marked(tmp_path: Path) -> None:
    """Its sums are over other shapes from there; one that has nothing left to do stays exact."""
    out, heard = tmp_path / "g", Heard()
    gf.population(gaussian(50), out=out, seeds=(0, 3), show="quiet")
    one = replace(gaussian(50), seed=3)
    api.train(one, out / "seed-3", show=heard)
    assert runs.Run(out / "seed-3").info()["exact"] is True
    api.train(replace(one, kimg=0.6), out / "seed-3", show=heard)
    assert "not bit-exact from here: stacked was 2, is 0" in heard.notes
    assert runs.Run(out / "seed-3").info()["exact"] is False
    assert runs.Run(out / "seed-0").info()["exact"] is True
    alone = replace(gaussian(50), seed=4)
    api.train(alone, out / "seed-4", show="quiet")
    gf.population(gaussian(75), out=out, seeds=(4, 5), show=heard)
    assert any("stacked was 0, is 1" in note for note in heard.notes)
    assert runs.Run(out / "seed-4").info()["exact"] is False
    assert runs.Run(out / "seed-5").info()["exact"] is True


# --- going on ---------------------------------------------------------------------------------


def test_a_stopped_population_goes_on_bit_for_bit(whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "g"
    for stop in (StopAfter(37), StopAfter(42), None):
        plan = plans.make(gaussian(), out, THREE)
        seeds.carry_out(plan, "quiet", stop)
    assert prints(out) == prints(whole)
    for seed in THREE:
        assert logs(out / f"seed-{seed}") == logs(whole / f"seed-{seed}")


@pytest.mark.parametrize("nth", [1, 2, 5, 8])
def test_a_killed_population_goes_on_bit_for_bit(whole: Path, tmp_path: Path, nth: int) -> None:
    """SIGKILL in the middle of a save: some members have that checkpoint, others have not."""
    out = tmp_path / "g"
    killed_in_save(nth, lambda: gf.population(gaussian(), out=out, seeds=THREE, show="quiet"))
    steps = [max(plans.whole_steps(runs.Run(out / f"seed-{seed}")), default=0) for seed in THREE]
    assert nth in (1,) or len(set(steps)) > 1
    trained = gf.population(gaussian(), out=out, seeds=THREE, show="quiet")
    assert trained.summary["statuses"] == {"finished": 3}
    assert prints(out) == prints(whole)
    assert plans.read_groups(out) == [THREE]


@pytest.mark.parametrize("damage", ["cut", "folder"])
def test_members_go_on_from_one_step_that_all_have_whole(
    whole: Path, tmp_path: Path, damage: str
) -> None:
    """One has no newest checkpoint, the one before is damaged in another: all go further back."""
    out = tmp_path / "g"
    gf.population(gaussian(75), out=out, seeds=THREE, show="quiet")
    shutil.rmtree(out / "seed-3/checkpoints/step-000000075")
    state = out / "seed-0/checkpoints/step-000000050/state.safetensors"
    data = state.read_bytes()
    state.unlink()
    if damage == "cut":
        state.write_bytes(data[:-3])
    else:
        state.mkdir()
    gf.population(gaussian(), out=out, seeds=THREE, show="quiet")
    assert prints(out) == prints(whole)


def test_finished_seeds_are_left_alone_and_new_ones_added(tmp_path: Path) -> None:
    out = tmp_path / "g"
    gf.population(gaussian(100), out=out, seeds=(0, 1), show="quiet")
    before = (out / "seed-0" / "run.json").stat().st_mtime_ns
    trained = gf.population(gaussian(100), out=out, seeds=(0, 1, 2, 4), show="quiet")
    assert trained.summary["statuses"] == {"finished": 4}
    assert (out / "seed-0" / "run.json").stat().st_mtime_ns == before
    assert sorted(plans.read_groups(out)) == [(0, 1), (2, 4)]


@pytest.mark.parametrize("at_once", [1, 2])
def test_in_turn_is_the_same_as_at_once(whole: Path, tmp_path: Path, at_once: int) -> None:
    out = tmp_path / "g"
    gf.population(gaussian(), out=out, seeds=THREE, at_once=at_once, show="quiet")
    assert len(plans.read_groups(out)) == (3 if at_once == 1 else 2)
    for seed in THREE:
        end = newest(out / f"seed-{seed}")
        for name, value in newest(whole / f"seed-{seed}").items():
            torch.testing.assert_close(end[name], value, rtol=1e-4, atol=1e-5, msg=name)


def test_stacked_seeds_are_not_compiled_and_say_so(tmp_path: Path) -> None:
    heard = Heard()
    wanted = replace(gaussian(25), compile=True)
    gf.population(wanted, out=tmp_path / "g", seeds=(0, 3), show=heard)
    assert any("not compiled" in note for note in heard.notes)
    assert runs.Run(tmp_path / "g/seed-3").info()["resolved"]["compile"] is False


# --- divergence -------------------------------------------------------------------------------


def poisoned(index: int | slice, first: int) -> Callable[[stack.Ensemble], list[Batch]]:
    """Batches with infinite examples for one member from a step on."""
    batches = stack.Ensemble.batches

    def made(self: stack.Ensemble) -> list[Batch]:
        out = batches(self)
        if self.state.step >= first and 3 in self.seeds:
            for batch in out:
                batch.real.unflatten(0, (len(self.seeds), -1))[index] = torch.inf
        return out

    return made


def test_one_that_diverges_stops_alone(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack.Ensemble, "batches", poisoned(1, 30))
    out = tmp_path / "g"
    trained = gf.population(gaussian(), out=out, seeds=THREE, show="quiet")
    assert trained.summary["statuses"] == {"finished": 2, "diverged": 1}
    run = runs.Run(out / "seed-3")
    assert run.info()["status"] == "diverged" and run.info()["step"] == 25
    assert prints(out, (0, 5)) == prints(whole, (0, 5))  # as if it had not been there
    # the same command leaves it so, and trains nothing
    monkeypatch.setattr(stack.Ensemble, "step", None)
    again = gf.population(gaussian(), out=out, seeds=THREE, show="quiet")
    assert again.summary["statuses"] == {"finished": 2, "diverged": 1}
    assert "diverged" in "\n".join(summary.lines(again.summary))


def test_a_population_with_an_empty_seat_goes_on_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack.Ensemble, "batches", poisoned(1, 5))
    for name, stops in (("a", [None]), ("b", [StopAfter(62), None])):
        for stop in stops:
            seeds.carry_out(plans.make(gaussian(), tmp_path / name, THREE), "quiet", stop)
    assert prints(tmp_path / "a", (0, 5)) == prints(tmp_path / "b", (0, 5))


def test_all_diverged_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes as soon as nobody is left to train."""
    monkeypatch.setattr(stack.Ensemble, "batches", poisoned(slice(None), 5))
    step, played = stack.Ensemble.step, []
    monkeypatch.setattr(stack.Ensemble, "step", lambda self: played.append(0) or step(self))
    with pytest.raises(DivergedError, match="all 3 seeds"):
        gf.population(gaussian(50), out=tmp_path / "g", seeds=THREE, show="quiet")
    assert len(played) == 20
    assert json.loads((tmp_path / "g/summary.json").read_text())["statuses"] == {"diverged": 3}


def test_rollback_is_for_the_member_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack.Ensemble, "batches", poisoned(1, 30))
    config = replace(gaussian(50), on_nan="rollback")
    trained = gf.population(config, out=tmp_path / "g", seeds=THREE, show="quiet")
    assert trained.summary["statuses"] == {"finished": 3}


def test_too_little_memory_is_an_error_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: stack.Ensemble, *rest: Any) -> None:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(stack.Ensemble, "step", full)
    with pytest.raises(OutOfMemoryError, match="--at-once 1"):
        gf.population(gaussian(), out=tmp_path / "g", seeds=THREE, show="quiet")


# --- what cannot be stacked -------------------------------------------------------------------


def with_dropout(spec: DataSpec, noise: int) -> dict[str, nn.Module]:
    d = nn.Sequential(nn.Linear(2, 8), nn.Dropout(0.5), nn.LeakyReLU(0.2), nn.Linear(8, 1))
    return {"generator": nn.Linear(noise, 2), "discriminator": d}


def over_the_batch(spec: DataSpec, noise: int) -> dict[str, nn.Module]:
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(4, 1)

        def forward(self, x: Tensor) -> Tensor:
            together = x.std(0, keepdim=True).expand_as(x)
            out: Tensor = self.linear(torch.cat([x, together], 1)).squeeze(1)
            return out

    return {"generator": nn.Linear(noise, 2), "discriminator": Mixed()}


def plain(spec: DataSpec, noise: int) -> dict[str, nn.Module]:
    d = nn.Sequential(nn.Linear(2, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1))
    return {"generator": nn.Linear(noise, 2), "discriminator": d}


def tied(spec: DataSpec, noise: int) -> dict[str, nn.Module]:
    first, second = nn.Linear(2, 2), nn.Linear(2, 2)
    second.weight = first.weight
    d = nn.Sequential(first, nn.LeakyReLU(0.2), second, nn.LeakyReLU(0.2), nn.Linear(2, 1))
    return {"generator": nn.Linear(noise, 2), "discriminator": d}


@pytest.mark.parametrize(
    ("networks", "why"),
    [(with_dropout, "stacked"), (over_the_batch, "other gradients"), (plain, ""), (tied, "")],
)
def test_networks_of_the_users_are_stacked_or_trained_alone(
    networks: Any, why: str, tmp_path: Path
) -> None:
    config = replace(gaussian(100), networks=networks)
    plan = plans.make(config, tmp_path / "g", (0, 1))
    assert why in plan.one_by_one and bool(why) == bool(plan.one_by_one)
    trained = gf.population(config, out=tmp_path / "g", seeds=(0, 1), show="quiet")
    assert trained.summary["statuses"] == {"finished": 2}
    list(loop.train(replace(config, seed=1), tmp_path / "alone"))
    single = newest(tmp_path / "alone")
    for name, value in newest(tmp_path / "g/seed-1").items():
        torch.testing.assert_close(value, single[name], rtol=1e-3, atol=1e-4, msg=name)


def test_what_is_trained_one_by_one(tmp_path: Path) -> None:
    config = gaussian(100)
    micro = plans.make(replace(config, micro_batch=4), tmp_path / "a", (0, 1))
    assert "micro_batch" in micro.one_by_one and micro.groups == ((0,), (1,))
    wide = replace(recipes.cgan(), threads=1, device="cpu", precision="fp32")
    assert "does not pay" in plans.make(wide, tmp_path / "b", (0, 1), data=pictures()).one_by_one
    assert "one seed" in plans.make(config, tmp_path / "c", (7,)).one_by_one


@pytest.mark.parametrize("name", ["mnist-mlp", "mnist-dropout", "dcgan", "cdcgan", "cgan"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_recipes_train_and_go_on(name: str, precision: str, tmp_path: Path) -> None:
    config = replace(shortened(recipes.find(name), 4, batch=4, score=False), precision=precision)
    data = pictures(40)
    ends = []
    for folder, stops in (("a", [None]), ("b", [StopAfter(2), None])):
        for stop in stops:
            plan = plans.make(config, tmp_path / folder, (0, 1), data=data)
            assert not plan.one_by_one
            seeds.carry_out(plan, "quiet", stop)
        ends.append(prints(tmp_path / folder, (0, 1)))
    assert ends[0] == ends[1] and ends[0][0] != ends[0][1]


# --- memory -----------------------------------------------------------------------------------


def test_memory_bounds_how_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack, "BLOCK_NUMBERS", 1000)
    config = gaussian(100)
    plan = plans.make(config, tmp_path / "g", range(40))
    assert plan.cost is not None and len(plan.groups) == 1
    assert 50_000 < plan.cost.member < 2_000_000
    room = plan.cost.shared * 2 + 2 * plan.cost.member * 16
    monkeypatch.setattr(capability, "free_memory", lambda device: room)
    small = plans.make(config, tmp_path / "g", range(40))
    assert 10 <= max(map(len, small.groups)) <= 20
    assert sorted(s for g in small.groups for s in g) == list(range(40))
    with pytest.raises(UsageError, match=r"at_once = 10000.*--at-once \d+ fits"):
        plans.make(config, tmp_path / "g", range(40), at_once=10_000)


def test_wider_games_cost_more() -> None:
    data = pictures()
    costs = []
    for width in (2, 8):
        config = shortened(recipes.dcgan(), 2)
        nets = replace(config.networks, generator_width=width, discriminator_width=width)
        config = replace(config, networks=nets)
        why, cost = capability.trial(config, data, resolve(config), 2)
        assert not why and cost is not None
        block = 4 * stack.BLOCK_NUMBERS  # bytes of float32 numbers; four of them are there at most
        assert cost.shared == data.values.nbytes + 4 * block
        costs.append(cost.member)
    assert costs[1] > 1.5 * costs[0]


# --- the summary ------------------------------------------------------------------------------


def test_the_summary_says_what_is_there(tmp_path: Path, drawing: None) -> None:
    config = gaussian(50, score=True)
    trained = gf.population(config, out=tmp_path / "g", seeds=range(5), show="quiet")
    table = json.loads((tmp_path / "g/summary.json").read_text())
    assert table == trained.summary
    values = [
        summary.cards(run)[[s.name for s in summary.cards(run)].index("frechet")].value
        for run in trained.runs
    ]
    assert table["scores"]["frechet"]["median"] == pytest.approx(np.median(values))
    assert table["best"]["seed"] == int(np.argmin(values))
    assert "no result" in table["best"]["note"]
    assert table["collapsed"]["of"] == 5
    assert table["examples"] == 5 * 50 * 8
    seconds = [run.info()["seconds"] for run in trained.runs]  # all of them those of the group
    assert table["seconds"] == pytest.approx(max(seconds), abs=1e-3)
    assert [r["seed"] for r in table["table"]] == list(range(5))
    assert table["losses"]["loss_d"]["count"] == 5
    text = "\n".join(summary.lines(table))
    assert "5 finished" in text and "the median is the result" in text
    assert (tmp_path / "g/summary.png").read_bytes().startswith(b"\x89PNG")


def test_scores_with_other_stamps_are_no_part_of_the_summary(whole: Path, tmp_path: Path) -> None:
    """Those by other data, of other seeds; of two that differ in N the larger counts."""
    run = runs.Run(Path(shutil.copytree(whole / "seed-3", tmp_path / "seed-3")))
    made = partial(evaluation.evaluate, run.path, metrics=["frechet"], split="validation")
    made(data="ring", n=100)
    made(seed=1, n=100)
    assert summary.cards(run) == [] and summary.unscored(run)
    made(n=100)
    larger = made(n=200)
    assert summary.cards(run) == larger


def test_the_last_step_is_scored_as_those_on_the_way_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be the best, and it is what the run's scores say; the curve is drawn at the end."""
    monkeypatch.setattr(evaluate, "N", 100)
    monkeypatch.setattr(evaluate, "SHORTEST", 0.0)
    monkeypatch.setattr(evaluate, "curve", lambda records: str(len(records)).encode())
    config = gaussian(75, score=True, score_every=0.2)
    trained = gf.population(config, out=tmp_path / "g", seeds=(0, 3), show="quiet")
    for run in trained.runs:
        found = list(runs.read_log(run.path / store.CURVE))
        assert [r["step"] for r in found] == [25, 50, 75]
        saved = store.entries(run)[-1]
        assert saved["step"] == 75 and store.cards(saved) == store.cards(found[-1])
        assert (run.path / evaluate.PICTURE).read_bytes() == b"3"


def test_networks_of_the_user_are_scored_at_the_end(tmp_path: Path) -> None:
    config = replace(gaussian(50, score=True), networks=plain)
    trained = gf.population(config, out=tmp_path / "g", seeds=(0, 1), show="quiet")
    assert trained.summary["unscored"] == "" and trained.summary["scored"] == 2


def test_the_reason_for_missing_scores_is_in_the_summary(tmp_path: Path) -> None:
    data = pictures(40)
    config = replace(shortened(recipes.mnist_mlp(), 40, score=True), data="nowhere.npz")
    trained = gf.population(config, out=tmp_path / "g", seeds=(0, 1), data=data, show="quiet")
    assert trained.summary["statuses"] == {"finished": 2}
    assert "not scored: " in "\n".join(summary.lines(trained.summary))


def test_a_collapsed_seed_is_counted(tmp_path: Path) -> None:
    """After 50 steps the published game's generator is a line: it covers little."""
    config = gaussian(50, score=True)
    gf.population(config, out=tmp_path / "g", seeds=range(2), show="quiet")
    table = json.loads((tmp_path / "g/summary.json").read_text())
    assert table["collapsed"] == {"seeds": [0, 1], "of": 2}


def test_progress_is_of_all(tmp_path: Path) -> None:
    noted: list[Progress] = []

    class Kept(Quiet):
        def show(self, progress: Progress) -> None:
            noted.append(progress)

    gf.population(gaussian(50), out=tmp_path / "g", seeds=range(4), at_once=2, show=Kept())
    assert noted[-1].done and noted[-1].step == noted[-1].steps == 4 * 50
    assert noted[-1].samples_seen == 4 * 50 * 8 and noted[-1].images_per_second > 0
    half = [p for p in noted if p.step == 2 * 50]
    assert half and half[0].seconds_left > 0  # the second group is still to come
    assert any("group 2 of 2" in p.note for p in noted)


# --- what cannot be meant ---------------------------------------------------------------------


def test_seeds_are_parsed() -> None:
    assert seeds.parse("0..3") == (0, 1, 2, 3)
    assert seeds.parse("0,3,7") == (0, 3, 7)
    assert seeds.parse("0..2, 9") == (0, 1, 2, 9)
    assert seeds.parse("5") == (5,)


@pytest.mark.parametrize(
    ("text", "match"),
    [("5..1", "goes down"), ("1,1", "twice"), ("0..3,2", "twice"), ("", "expected"),
     ("a", "expected"), ("-1", "expected"), ("0...3", "expected"), ("1.5", "expected"),
     ("0..9999999", "at most"), ("0..", "expected")],
)  # fmt: skip
def test_invalid_seeds_are_refused(text: str, match: str) -> None:
    with pytest.raises(UsageError, match=match):
        seeds.parse(text)


@pytest.mark.parametrize(
    ("words", "match"),
    [(["--seeds", "5..1"], "goes down"), (["--seeds", "0..3", "--seed", "1"], "one of them"),
     (["--seeds", "0..3", "--gpus", "2"], "one process"), (["--at-once", "2"], "--seeds too"),
     (["--seeds", "0..3", "--at-once", "0"], "at least 1"),
     (["--seeds", "0..3", "--at-once", "1.5"], "whole number")],
)  # fmt: skip
def test_seeds_that_cannot_be_trained_are_refused(
    words: list[str], match: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "gaussian", "--out", str(tmp_path / "g"), *words]) == 2
    assert match in capsys.readouterr().err
    assert not (tmp_path / "g").exists()


def test_the_command_trains_all_seeds_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "gaussian", "--seeds", "0..2", "--kimg", "0.8", "--threads", "1",
             "--output.score", "false", "--out", str(tmp_path / "g")]  # fmt: skip
    assert main([*words, "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "3 at once" in out and "of memory" in out and not (tmp_path / "g").exists()
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "3 seeds: 3 finished" in out and "summary.json" in out
    assert main(words) == 0  # nothing left to do


def test_another_config_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "g"
    gf.population(gaussian(100), out=out, seeds=(0, 1), show="quiet")
    other = replace(gaussian(100), batch=16)
    with pytest.raises(UsageError, match="holds another run"):
        gf.population(other, out=out, seeds=(0, 1), show="quiet")
    with pytest.raises(UsageError, match="already gone"):
        gf.population(gaussian(20), out=out, seeds=(0, 1), show="quiet")


def test_a_run_and_a_population_share_a_folder(tmp_path: Path) -> None:
    """`ganforge train X` and `ganforge train X --seeds 0..1` have one default folder."""
    for first in ("run", "seeds"):
        out = tmp_path / first
        for what in ("seeds", "run") if first == "seeds" else ("run", "seeds"):
            if what == "run":
                api.train(gaussian(50), out, show="quiet")
            else:
                gf.population(gaussian(50), out=out, seeds=(0, 1), show="quiet")
        assert [r.path.name for r in runs.find_runs(out)] == [first, "seed-0", "seed-1"]


def test_a_locked_member_is_named(tmp_path: Path) -> None:
    out = tmp_path / "g"
    stop = Control(stop=True)
    seeds.carry_out(plans.make(gaussian(100), out, (0, 1)), "quiet", stop)
    run = runs.prepare(out / "seed-1", replace(gaussian(100), seed=1))
    with runs.locked(run), pytest.raises(BusyError, match="seed-1 is being trained"):
        gf.population(gaussian(100), out=out, seeds=(0, 1), show="quiet")
    assert not (out / "seed-0" / "run.lock").exists()


@pytest.mark.parametrize(
    "groups", ["", "[[1e999]]}", "[[0, 0, 3, 5]]}", "[[]]}", "[[0, 3], [3, 5]]}"]
)
def test_a_damaged_record_is_made_anew(groups: str, tmp_path: Path) -> None:
    out = tmp_path / "g"
    seeds.carry_out(plans.make(gaussian(50), out, THREE), "quiet", StopAfter(37))
    (out / "population.json").write_text('{"format": 1, "groups": ' + groups)
    trained = gf.population(gaussian(50), out=out, seeds=THREE, show="quiet")
    assert trained.summary["statuses"] == {"finished": 3}
    assert [run.info()["exact"] for run in trained.runs] == [False] * 3


def test_a_group_that_goes_on_whole_stays_exact(tmp_path: Path) -> None:
    out = tmp_path / "g"
    seeds.carry_out(plans.make(gaussian(50), out, THREE), "quiet", StopAfter(37))
    trained = gf.population(gaussian(50), out=out, seeds=THREE, show="quiet")
    assert [run.info()["exact"] for run in trained.runs] == [True] * 3


def test_a_group_that_is_divided_is_told_before_it_has_a_step(tmp_path: Path) -> None:
    config = shortened(recipes.find("gaussian"), 4)
    plan = plans.make(config, tmp_path / "many", range(4))
    assert plans.with_groups(plan, plan.seeds, 2, bounded=True).notes == ()
    (tmp_path / "many").mkdir()
    plans.write_groups(replace(plan, groups=((0, 1, 2, 3),)))
    divided = plans.with_groups(plan, plan.seeds, 2, bounded=True)
    assert divided.groups == ((0, 1), (2, 3)) and not divided.moved
    assert divided.notes[0].startswith("seeds are grouped anew")
