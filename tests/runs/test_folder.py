"""The run folder: one run, one trainer, a log that always reads."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ganforge import api, cli, recipes
from ganforge.cli.commands.runs import runs as listing
from ganforge.errors import DataError, UsageError
from ganforge.runs import checkpoint
from ganforge.runs import folder as runs
from ganforge.training import loop
from tests.helpers.tiny import StopAfter, data_for, folder_hashes, run, setting, shortened


def test_readers_of_a_log_never_raise(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    assert list(runs.read_log(log)) == []
    deep = b"[" * 100_000
    one, two = (b'{"step": %d, "epoch": 0.1}\n' % step for step in (1, 2))
    strange = b'not json\n[1]\n\xff\xfe\n{}\n{"step": 1}\n{"epoch": 1.0}\n'
    log.write_bytes(deep + b"\n" + one + strange + two + b'{"step": 3')
    assert [r["step"] for r in runs.read_log(log)] == [1, 2]


def test_files_that_somebody_has_changed_by_hand_stop_no_run(tmp_path: Path) -> None:
    """Records, numbers and manifests that no run writes are left out, without a traceback."""
    wanted = shortened(recipes.gaussian(), 50, score=False, score_every=0.1, patience=90.0)
    path = tmp_path / "run"
    api.train(replace(wanted, kimg=0.32), path, show="quiet")
    for name in ("log.jsonl", "scores.jsonl"):
        with (path / name).open("a") as file:
            file.write('{}\n{"step": 1}\n{"epoch": 1.0, "frechet": 1.0}\n')
    (path / "checkpoints" / "best.json").write_text('{"step": 1e999, "frechet": 1.0}')
    (path / runs.LOCK).write_text('{"pid": 1e999, "started": 1, "host": "x"}')
    manifest = checkpoint.listed(path / "checkpoints")[0] / checkpoint.MANIFEST
    table = json.loads(manifest.read_bytes())
    del table["sha256"]
    table["means"] |= {"foo": 1, "step": 2, "loss_d": "x"}
    manifest.write_bytes(checkpoint.seal(table))
    trained = api.train(wanted, path, show="quiet")
    assert trained.progress.step == 50
    assert [r["step"] for r in trained.run.log()][-1] == 50
    assert "finished" in listing(tmp_path)


def test_a_log_that_cannot_be_read_is_a_line_of_the_table(tmp_path: Path) -> None:
    for name in ("a", "b"):
        api.train(shortened(recipes.gaussian(), 10, score=False), tmp_path / name, show="quiet")
    (tmp_path / "a" / "log.jsonl").unlink()
    (tmp_path / "a" / "log.jsonl").mkdir()
    table = listing(tmp_path)
    assert "log.jsonl: cannot be read" in table and "finished" in table


def test_the_last_checkpoint_is_in_the_record_of_the_time(tmp_path: Path) -> None:
    """A run of one save too: where its time went is read from run.json."""
    config, data = setting("gaussian", 20)
    run(replace(config, output=replace(config.output, save_every=50.0)), tmp_path / "a", data)
    info = runs.open_run(tmp_path / "a").info()
    assert {"step", "log", "sample", "save"} <= info["timing"].keys()


@pytest.mark.parametrize("text", ["", "networks = 5", "[networks]\n[game]\noutput = 3"])
def test_a_damaged_config_is_damaged_and_not_another_run(text: str, tmp_path: Path) -> None:
    wanted = shortened(recipes.gaussian(), 10)
    run = runs.prepare(tmp_path / "run", wanted)
    (run.path / "config.toml").write_text(text)
    with pytest.raises(DataError, match=r"config\.toml: not what a run writes there"):
        runs.refuse_changes(run, wanted)


def test_a_changed_config_is_refused_with_every_difference(tmp_path: Path) -> None:
    config, data = setting("gaussian", 20)
    path = tmp_path / "run"
    run(config, path, data)
    before = folder_hashes(path)
    other = replace(config, seed=5, batch=4, ema=0.9, generator=replace(config.generator, lr=0.125))
    with pytest.raises(UsageError) as caught:
        run(other, path, data)
    message = str(caught.value)
    for line in ("seed: 0 there, 5 here", "batch: 8 there, 4 here", "lr: 0.005 there, 0.125 here"):
        assert line in message
    assert "ema: " in message
    assert folder_hashes(path) == before


def test_every_difference_is_listed_and_budget_and_device_are_none(tmp_path: Path) -> None:
    config, data = setting("gaussian", 20)
    run(config, tmp_path, data, StopAfter(10))
    other = replace(
        config, name="x", labels=True, size=9, seed=1, batch=2, micro_batch=1, ema=0.5,
        noise=replace(config.noise, size=3, law="uniform"), sync_bn=True, epochs=9.0, kimg=None,
        device="cpu", threads=2, on_nan="rollback",
        generator=replace(config.generator, lr=1.0, weight_decay=0.5, momentum=0.5),
        output=replace(config.output, keep=9),
    )  # fmt: skip
    with pytest.raises(UsageError) as caught:
        runs.refuse_changes(runs.Run(tmp_path), other)
    listed = [line.partition(":")[0].strip() for line in str(caught.value).splitlines()[1:-1]]
    assert sorted(listed) == sorted(
        ["name", "labels", "size", "seed", "batch", "micro_batch", "ema", "noise.size", "noise.law",
         "sync_bn", "generator.lr", "generator.weight_decay", "generator.momentum"]
    )  # fmt: skip


def test_what_a_run_folder_holds(tmp_path: Path) -> None:
    """The newest, the best, and the first of every 50 steps, though none falls on a 50th."""
    config, data = setting("gaussian", 200)
    output = replace(config.output, save_every=0.01, keep=2, keep_every=50, min_gap=20)
    for _ in loop.train(replace(config, output=output), tmp_path, data=data):
        folder = tmp_path / "checkpoints"
        if (folder / "step-000000020").exists():
            (folder / "best.json").write_text('{"step": 20, "frechet": 1.0}')
    found = [int(p.name[5:]) for p in checkpoint.listed(tmp_path / "checkpoints")]
    assert found == [200, 180, 160, 100, 60, 20]


def test_a_large_seed_is_read_again(tmp_path: Path) -> None:
    config, data = setting("gaussian", 20)
    config = replace(config, seed=2**62)
    run(config, tmp_path, data, StopAfter(10))
    assert run(config, tmp_path, data)[-1].done


def test_a_run_of_before_a_setting_came_can_go_on(tmp_path: Path) -> None:
    """What its config.toml does not know is at its default."""
    wanted = recipes.cdcgan()
    runs.prepare(tmp_path, wanted)
    path = tmp_path / "config.toml"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if not line.startswith(("least", "halve"))))
    runs.refuse_changes(runs.Run(tmp_path), wanted)
    other = replace(wanted, generator=replace(wanted.generator, least=1e-9))
    with pytest.raises(UsageError, match=r"generator.least: 0.0 there, 1e-09 here"):
        runs.refuse_changes(runs.Run(tmp_path), other)


def test_other_data_are_a_difference_like_any(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are listed with the others, even where they cannot be loaded any more."""
    words = ["train", "gaussian", "--kimg", "0.08", "--output.score", "false"]
    words += ["--threads", "1", "--out", str(tmp_path)]
    assert cli.main(words) == 0
    assert cli.main([*words, "--data", "nowhere.npz", "--batch", "16"]) == 2
    said = capsys.readouterr().err
    assert "data: 'gaussian' there, 'nowhere.npz' here" in said
    assert "batch: 8 there, 16 here" in said


def test_other_data_are_refused(tmp_path: Path) -> None:
    config, data = setting("cdcgan", 20)
    run(config, tmp_path / "run", data, StopAfter(10))
    with pytest.raises(DataError, match="sha256"):
        run(config, tmp_path / "run", data_for(config, count=41))


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    config, data = setting("gaussian", 20)
    (tmp_path / "thesis.txt").write_text("chapter 1")
    with pytest.raises(UsageError, match="not empty"):
        run(config, tmp_path, data)
    with pytest.raises(UsageError):
        run(config, tmp_path / "thesis.txt", data)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


# --- one trainer at a time --------------------------------------------------------------------


def test_a_folder_of_runs_names_one_of_them(tmp_path: Path) -> None:
    runs.prepare(tmp_path / "group" / "seed-0", recipes.find("gaussian"))
    (tmp_path / "group" / "seed-0" / runs.INFO).write_text("{}")
    with pytest.raises(DataError, match=r"its runs are inside, such as .*seed-0"):
        runs.open_run(tmp_path / "group")


def test_a_run_that_is_trained_says_so(tmp_path: Path) -> None:
    config = shortened(recipes.find("gaussian"), 2)
    said = [
        runs.Run(tmp_path).info()["status"]
        for _ in loop.training(config, tmp_path, data=data_for(config))
    ]
    assert said[0] == "running"
    assert runs.Run(tmp_path).info()["status"] == "finished"
