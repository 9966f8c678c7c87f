"""Where data lie: moved data go on, printed commands can be pasted, models name no path."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pooch
import pytest

from ganforge.cli import main
from ganforge.data import download
from ganforge.runs.folder import Run
from tests.data.test_folders import save


def test_downloads_go_to_the_cache_of_the_system_or_to_the_chosen_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GANFORGE_DATA", raising=False)
    assert download.cache() == Path(pooch.os_cache("ganforge"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GANFORGE_DATA", "~/pictures")
    assert download.cache() == tmp_path / "pictures"


SHORT = ("--size", "16", "--threads", "1", "--networks.generator_width", "4",
         "--networks.discriminator_width", "4", "--batch", "8")  # fmt: skip


def train(data: Path, out: Path, kimg: float) -> int:
    words = ["train", "dcgan", "--data", str(data), "--out", str(out), "--kimg", str(kimg)]
    return main([*words, *SHORT])


def test_moved_data_go_on_and_the_new_path_is_recorded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, after = save(tmp_path / "a"), tmp_path / "b"
    run = tmp_path / "run"
    assert train(before, run, 0.1) == 0
    before.rename(after)
    capsys.readouterr()
    assert train(after, run, 0.2) == 0
    out = capsys.readouterr().out
    assert f"the same by their sha256, moved from {before} to {after}" in out
    assert "resumed at step" in out and Run(run).settings()["data"] == str(after)
    other = save(tmp_path / "c")
    config = (run / "config.toml").read_bytes()
    assert train(other, run, 0.3) == 65
    assert f"{other}: not the data {run} was trained on" in capsys.readouterr().err
    assert (run / "config.toml").read_bytes() == config


def test_commands_that_are_printed_can_be_pasted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "my photos")
    assert train(Path("my photos"), Path("my run"), 0.1) == 0
    lines = capsys.readouterr().out.splitlines()
    line = next(line for line in lines if line.startswith("sample   ganforge"))
    assert shlex.split(line)[2:4] == ["sample", "my run"]
    assert main(shlex.split(line)[2:]) == 0
    assert main(["data", "pack", "my photos", "my store", "--size", "16"]) == 0
    words = shlex.split(capsys.readouterr().out.splitlines()[-1].partition("; ")[2])
    assert words[-2:] == ["--data", "my store"]
    for name in ("train", "test", "other"):
        save(tmp_path / "my parts" / name, 2)
    assert main(["data", "show", "my parts"]) == 65
    assert shlex.split(capsys.readouterr().err)[-2:] == ["--data", "my parts/train"]


def test_a_model_folder_names_its_data_without_their_path(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = Path(f"{save(tmp_path / 'photos', 900)}@held_out=0.3")
    run = tmp_path / "run"
    assert train(data, run, 0.1) == 0
    table = json.loads((run / "model" / "config.json").read_text())
    assert table["training"]["config"]["data"] == "photos@held_out=0.3"
    for file in (run / "model").iterdir():
        assert str(tmp_path).encode() not in file.read_bytes()
    words = ["-n", "100", "--metrics", "mmd"]
    for subject in (run, run / "model"):  # the run beside the model says where the data lie
        assert main(["evaluate", str(subject), *words]) == 0
    model = (run / "model").rename(tmp_path / "model")
    capsys.readouterr()
    assert main(["evaluate", str(model), *words]) == 65
    assert "--data names other data to score with" in capsys.readouterr().err
    assert main(["evaluate", str(model), "--data", str(data), *words]) == 0


@pytest.mark.parametrize("name", ["-dash", "--size", "a|b", "a b|c"])
def test_names_that_look_like_something_else(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    save(tmp_path / name)
    words = ["train", "dcgan", f"--data={name}", "--size", "16", "--kimg", "0.1", "--threads", "1"]
    assert main([*words, f"--out=run{name}"]) == 0
    (tmp_path / f"run{name}").rename(tmp_path / f"{name}-run")
    assert main([*words, f"--out={name}-run"]) == 0
    line = next(r for r in capsys.readouterr().out.splitlines()[::-1] if r.startswith("sample "))
    assert main(shlex.split(line)[2:]) == 0
    assert main(["data", "pack", f"./{name}", "packed"]) == 0


def test_a_run_whose_data_are_gone_says_how_to_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "d")
    words = ["--size", "16", "--kimg", "0.1", "--threads", "1"]
    assert main(["train", "dcgan", "--data", "d", "--out", "run", *words]) == 0
    (tmp_path / "d").rename(tmp_path / "e")
    assert main(["train", "run"]) == 65
    assert "have moved: ganforge train RUN --data PATH" in capsys.readouterr().err
    assert main(["train", "run", "--data", "e"]) == 0
    assert main(["train", "run"]) == 0
