"""Runs of a variant that a comparison trains at once: each as if it had been trained alone."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import ganforge as gf
from ganforge import api, recipes
from ganforge.callbacks import evaluate
from ganforge.errors import BusyError, DataError, OutOfMemoryError
from ganforge.evaluation import store
from ganforge.experiments import compare, seeds
from ganforge.experiments import plan as plans
from ganforge.experiments.compare import Budget, Job, Scoring
from ganforge.experiments.compare import jobs as together
from ganforge.experiments.compare.jobs import is_trained
from ganforge.experiments.compare.recipes import plan_jobs, variant
from ganforge.experiments.ensemble import capability
from ganforge.experiments.ensemble import stack as members
from ganforge.experiments.ensemble.stack import Ensemble
from ganforge.runs import checkpoint
from ganforge.runs import folder as runs
from ganforge.runs.folder import Run
from ganforge.training import loop
from ganforge.training.trainer import Trainer
from tests.helpers.tiny import StopAfter, folder_hashes, killed_in_save, log_without_times, newest

SHORT = Budget(kimg=0.8)  # 100 steps of the Gaussian, scored at every 20th
THREE = (0, 1, 3)


def shrink(patch: pytest.MonkeyPatch) -> None:
    """Scores of 100 samples, at steps as near to each other as is asked for, and small pictures."""
    patch.setattr(evaluate, "N", 100)
    patch.setattr(evaluate, "SHORTEST", 0.0)
    patch.setattr(Trainer, "min_gap", 1)
    patch.setattr(api, "draw", lambda run: (run.path / "plot.png").write_bytes(b""))
    patch.setattr(evaluate, "curve", lambda records: b"")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    shrink(monkeypatch)


def jobs(
    out: Path, which: Sequence[int] = THREE, label: str = "gaussian", **settings: str
) -> list[Job]:
    made = variant(label, {"threads": "1", **settings})
    return plan_jobs({label: made}, which, SHORT, out)


def trained(todo: Sequence[Job]) -> list[str]:
    return list(compare.train_missing(todo, "quiet"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seeds at once, never stopped."""
    out = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        shrink(patch)
        lines = trained(jobs(out))
    assert [line.partition(" to train")[0] for line in lines[:3]] == [
        f"gaussian, seed {seed}: run {i} of 3" for i, seed in enumerate(THREE, 1)
    ]
    assert lines[3:] == ["gaussian: these 3 are trained at once"]
    assert plans.read_groups(out / "gaussian") == [THREE]
    return out


def bits(out: Path, which: Sequence[int] = THREE) -> list[Any]:
    """What does not depend on the clock: weights, log, scores on the way, the best model."""
    each = []
    for seed in which:
        folder = out / f"gaussian/seed-{seed}"
        path = checkpoint.listed(folder / "checkpoints")[0] / "state.safetensors"
        scored = [{**r, "seconds": 0} for r in runs.read_log(folder / store.CURVE)]
        best = (folder / "best/model.safetensors").read_bytes()
        each.append((path.read_bytes(), log_without_times(folder), scored, best))
    return each


# --- the same folders -------------------------------------------------------------------------


def test_each_folder_is_that_of_its_single_run(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capability, "PAYS", 0)
    lines = trained(jobs(tmp_path))
    assert len(lines) == 3 and not (tmp_path / "gaussian/population.json").exists()
    for seed in THREE:
        single, member = (out / f"gaussian/seed-{seed}" for out in (tmp_path, whole))
        assert folder_hashes(single).keys() == folder_hashes(member).keys()
        assert Run(single).settings() == Run(member).settings()
        a, b = newest(single), newest(member)
        assert a.keys() == b.keys()
        for name in a:
            torch.testing.assert_close(a[name], b[name], rtol=1e-3, atol=1e-4, msg=name)
        one, other = (Run(p).info() for p in (single, member))
        assert one.pop("resolved") | {"stacked": 3} == other.pop("resolved")
        clock = ("seconds", "timing")
        assert {k: v for k, v in one.items() if k not in clock} == {
            k: v for k, v in other.items() if k not in clock
        }
        ways = [list(runs.read_log(p / store.CURVE)) for p in (single, member)]
        assert [[r["step"] for r in way] for way in ways] == [[20, 40, 60, 80, 100]] * 2
        for x, y in zip(*ways, strict=True):
            assert x["frechet"] == pytest.approx(y["frechet"], rel=1e-2)
        tables = [json.loads((p / "checkpoints/best.json").read_text()) for p in (single, member)]
        assert tables[0]["step"] == tables[1]["step"]
        found = [json.loads((p / "diagnosis.json").read_text()) for p in (single, member)]
        assert found[0].keys() == found[1].keys() and found[0]["step"] == found[1]["step"]
        assert found[0]["checked"] == found[1]["checked"]
        assert [f["code"] for f in found[0]["findings"]] == [
            f["code"] for f in found[1]["findings"]
        ]
        saved = [json.loads((p / "scores.json").read_text()) for p in (single, member)]
        assert saved[0].keys() == saved[1].keys()


def test_the_table_says_whose_seconds_they_are(whole: Path) -> None:
    text = compare.text(compare.of_runs([whole], Scoring(n=100)))
    assert "trained at once: 3 of gaussian" in text and "best model" in text


# --- stopped and gone on with -----------------------------------------------------------------


def at_step(patch: pytest.MonkeyPatch, step: int, act: Callable[[], None]) -> None:
    """Let `act` be called at the start of a step of a population."""
    played = Ensemble.step

    def acting(self: Ensemble) -> Any:
        if self.state.step == step:
            act()
        return played(self)

    patch.setattr(Ensemble, "step", acting)


@pytest.mark.parametrize("step", [37, 99])
def test_a_stopped_comparison_goes_on_bit_for_bit(whole: Path, tmp_path: Path, step: int) -> None:
    """Ctrl-C at a step, the last one too, whose scores are then still to be made."""
    with pytest.MonkeyPatch.context() as patch:
        at_step(patch, step, lambda: signal.raise_signal(signal.SIGINT))
        with pytest.raises(compare.StoppedError, match="gaussian, 3 seeds: stopped") as error:
            trained(jobs(tmp_path))
    assert error.value.exit_code == 130
    assert not any(is_trained(job) for job in jobs(tmp_path))
    lines = trained(jobs(tmp_path))
    assert "gaussian, seed 0: run 1 of 3" in lines[0]
    assert bits(tmp_path) == bits(whole)
    assert all(Run(job.folder).info()["exact"] for job in jobs(tmp_path))
    assert all((job.folder / "diagnosis.json").exists() for job in jobs(tmp_path))
    assert trained(jobs(tmp_path)) == []


@pytest.mark.parametrize("nth", [8, 14])
def test_a_signal_while_runs_are_scored_loses_no_score(
    whole: Path, tmp_path: Path, nth: int
) -> None:
    """15 scores in all, the last three at the end."""
    left, add = [nth], evaluate.Scorer.add

    def interrupted(self: evaluate.Scorer, t: Any) -> str:
        left[0] -= 1
        if not left[0]:
            signal.raise_signal(signal.SIGTERM)
        return add(self, t)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate.Scorer, "add", interrupted)
        with pytest.raises(compare.StoppedError):
            trained(jobs(tmp_path))
    trained(jobs(tmp_path))
    assert bits(tmp_path) == bits(whole)


@pytest.mark.parametrize("nth", [1, 5, 14])
def test_a_killed_comparison_goes_on_bit_for_bit(whole: Path, tmp_path: Path, nth: int) -> None:
    """SIGKILL in the middle of a save: some runs have that checkpoint, others have not."""
    killed_in_save(nth, lambda: trained(jobs(tmp_path)))
    trained(jobs(tmp_path))
    assert bits(tmp_path) == bits(whole)


def test_what_is_there_is_left_and_what_was_begun_alone_goes_on_alone(
    whole: Path, tmp_path: Path
) -> None:
    todo = jobs(tmp_path, (0, 1, 2, 3, 4))
    api.train(todo[0].config, todo[0].folder, show="quiet")
    for job in todo[2:4]:  # both at one step
        list(loop.train(job.config, job.folder, StopAfter(30)))
    before = folder_hashes(todo[0].folder)
    lines = trained(todo)
    assert [line.split(":")[0] for line in lines] == [
        "gaussian, seed 1", "gaussian, seed 4", "gaussian", "gaussian, seed 2", "gaussian, seed 3",
    ]  # fmt: skip
    assert folder_hashes(todo[0].folder) == before
    assert plans.read_groups(tmp_path / "gaussian") == [(1, 4)]
    api.train(todo[2].config, tmp_path / "alone", show="quiet")
    end, alone = newest(todo[2].folder), newest(tmp_path / "alone")
    assert all(torch.equal(end[name], alone[name]) for name in alone)
    assert [Run(job.folder).info()["exact"] for job in todo] == [True] * 5
    assert [Run(job.folder).info()["resolved"]["stacked"] for job in todo] == [0, 2, 0, 0, 2]


def test_a_group_of_which_one_is_left_goes_on_as_a_group(whole: Path, tmp_path: Path) -> None:
    """The others have ended: bits stay those of all three together."""
    shutil.copytree(whole / "gaussian", tmp_path / "gaussian")
    folder = tmp_path / "gaussian/seed-1"
    for step in (100, 80):
        shutil.rmtree(folder / f"checkpoints/step-{step:09d}")
    (folder / "scores.json").unlink()
    Run(folder).write_info(status="stopped", step=60)
    assert len(trained(jobs(tmp_path))) == 1
    assert bits(tmp_path) == bits(whole)


def test_fewer_seeds_than_before_are_marked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs of a group that is parted are no longer exact, stacked anew or alone."""
    noted: list[str] = []
    for which in ((0, 1), (0,)):
        out = tmp_path / str(len(which))
        with pytest.MonkeyPatch.context() as patch:
            at_step(patch, 50, lambda: signal.raise_signal(signal.SIGINT))
            with pytest.raises(compare.StoppedError):
                trained(jobs(out))
        list(compare.train_missing(jobs(out, which), "plain"))
        for seed in which:
            info = Run(out / f"gaussian/seed-{seed}").info()
            noted.append(f"{info['status']} {info['exact']} {info['resolved']['stacked']}")
    assert noted == ["finished False 2"] * 2 + ["finished False 0"]


def test_one_that_diverges_is_named_and_left(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = Ensemble.batches

    def poisoned(self: Ensemble) -> Any:
        made = batches(self)
        if self.state.step >= 30:
            made[0].real.unflatten(0, (len(self.seeds), -1))[1] = torch.inf
        return made

    monkeypatch.setattr(Ensemble, "batches", poisoned)
    lines = trained(jobs(tmp_path))
    assert len(lines) == 5 and lines[4].startswith("gaussian, seed 1: diverged by step 45")
    assert "a lower rate (--" in lines[4]
    assert bits(tmp_path, (0, 3)) == bits(whole, (0, 3))
    assert trained(jobs(tmp_path)) == []


# --- what is trained one by one ---------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [{"compile": "true"}, {"on_nan": "rollback"}, {"micro_batch": "4"},
     {"networks.discriminator": "[400, 400]"}],
)  # fmt: skip
def test_what_goes_one_by_one(
    settings: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each by `session.train`, seed by seed over all variants, as a single run."""
    monkeypatch.setattr(seeds, "play", None)
    labels = ("gaussian", "gaussian:batch=16")
    variants = {label: variant(label, {"threads": "1", **settings}) for label in labels}
    asked: list[tuple[str, int]] = []
    monkeypatch.setattr(
        api, "train", lambda config, folder, **_: asked.append((folder, config.seed)) or Done()
    )
    todo = plan_jobs(variants, (0, 1), SHORT, tmp_path)
    assert len(trained(todo)) == 4
    assert asked == [(job.folder, job.config.seed) for job in todo]
    assert [seed for _, seed in asked] == [0, 0, 1, 1]


class Done:
    """In place of a run that was trained."""

    signal = 0


def test_memory_bounds_how_many_go_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(members, "BLOCK_NUMBERS", 1000)
    todo = jobs(tmp_path, range(5))
    cost = plans.make(todo[0].config, tmp_path / "gaussian", range(5)).cost
    assert cost is not None
    room = 2 * cost.shared + int(5 * cost.member)
    monkeypatch.setattr(capability, "free_memory", lambda device: room)
    found = [(len(some), stack is not None) for some, stack in together.turns(todo, todo)]
    assert found == [(2, True), (2, True), (1, False)]


def test_no_memory_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Ensemble, *rest: Any) -> None:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(Ensemble, "step", full)
    with pytest.raises(OutOfMemoryError, match="gaussian: cpu cannot hold 3 games at once: ") as e:
        trained(jobs(tmp_path))
    assert "fewer --seeds" in str(e.value) and "--at-once" not in str(e.value)


# --- bad input --------------------------------------------------------------------------------


def test_a_run_that_is_being_trained_is_named(tmp_path: Path) -> None:
    todo = jobs(tmp_path)
    run = runs.prepare(todo[1].folder, todo[1].config)
    with runs.locked(run), pytest.raises(BusyError, match="seed-1 is being trained"):
        trained(todo)
    assert not (todo[0].folder / "run.lock").exists()


def test_other_data_in_the_folder_are_named_before_the_first_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    todo = jobs(tmp_path)
    list(loop.train(todo[0].config, todo[0].folder))
    Run(todo[0].folder).write_info(data_sha256="0" * 64)
    monkeypatch.setattr(Ensemble, "step", None)
    with pytest.raises(DataError, match=r"not the data .*seed-0 was trained on"):
        trained(todo)


def test_a_comparison_of_configs_of_the_users(tmp_path: Path) -> None:
    mine = replace(recipes.gaussian(), threads=1)
    given = {"mine": mine, "other": replace(mine, batch=16)}
    found = gf.compare.of_recipes(
        given, (0, 1), tmp_path, scoring=Scoring(n=100), budget=SHORT, show="quiet"
    )
    assert [len(g.entries) for g in found.groups] == [2, 2] and found.model == "best"
    assert plans.read_groups(tmp_path / "mine") == plans.read_groups(tmp_path / "other") == [(0, 1)]
