"""The command line: what it prints, what it writes, and one clear line for every bad input."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import ganforge as gf
from ganforge.cli import main
from ganforge.recipes import RECIPES, find
from ganforge.runs.folder import Run

TINY = ("--networks.generator_width", "4", "--networks.discriminator_width", "4", "--batch", "8",
        "--kimg", "0.08", "--precision", "fp32", "--threads", "1")  # fmt: skip


def picture(path: Path) -> tuple[int, int]:
    """(width, frames) of a PNG or GIF."""
    with Image.open(path) as image:
        return image.size[0], getattr(image, "n_frames", 1)


def run(*words: object) -> int:
    return main([str(w) for w in words])


@pytest.fixture(scope="module")
def gaussian(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "g"
    assert run("train", "gaussian", "--epochs", 2, "--out", out) == 0
    return out


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "c"
    assert run("train", "--out", out, *TINY) == 0
    return out


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of colour pictures of different sizes."""
    root = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for i in range(24):
        path = root / ("cats" if i % 2 else "dogs") / f"{i}.png"
        path.parent.mkdir(exist_ok=True)
        size = (20 + i, 30, 3)
        Image.fromarray(rng.integers(0, 256, size, dtype=np.uint8)).save(path)
    return root


def test_help_is_quick_and_imports_no_torch() -> None:
    code = (
        "import sys; sys.argv = ['ganforge', '--help']\n"
        "from ganforge.cli import main\n"
        "assert main() == 0\n"
        "assert 'torch' not in sys.modules and 'numpy' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "train" in done.stdout and "recipes" in done.stdout


@pytest.mark.parametrize(
    ("words", "first"),
    [
        ([], "ganforge COMMAND"),
        (["help"], "ganforge COMMAND"),
        (["data"], "ganforge data COMMAND"),
        (["help", "data"], "ganforge data COMMAND"),
        (["help", "train"], "ganforge train [OPTIONS] [ARGS]"),
        (["help", "data", "show"], "ganforge data show [OPTIONS] SOURCE"),
    ],
)
def test_help_of_everything_and_of_one_command(
    words: list[str], first: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[0] == f"Usage: {first}" and not err


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["help", "trian"], "command = 'trian': did you mean 'train'?"),
        (["help", "data", "shw"], "command = 'shw': did you mean 'show'?"),
        (["help", "train", "gaussian"], "train has no command 'gaussian'"),
    ],
)
def test_help_of_what_is_no_command(
    words: list[str], wanted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert wanted in err and err.count("\n") == 1 and not out


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["data", "show"], "data show: SOURCE is missing; usage: ganforge data show [OPTIONS]"),
        (["data", "pack", "a"], "data pack: OUT is missing; usage: ganforge data pack"),
        (["train", "--seeds"], "train: --seeds needs a value; usage: ganforge train [OPTIONS]"),
        (["sample", "runs/a", "-n"], "sample: -n needs a value; usage: ganforge sample"),
        (["plot", "a", "b"], "plot: 'b' is too much; usage: ganforge plot [OPTIONS] RUN"),
        (["diagnose"], "`ganforge diagnose runs/cdcgan`"),
        (["compare"], "`ganforge compare runs/a runs/b`"),
        (["compare", "a", "--recipes", "b"], "not both"),
        (["report"], "`ganforge report runs/cdcgan`"),
    ],
)
def test_a_word_too_few_or_too_many(
    words: list[str], wanted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    err = capsys.readouterr().err
    assert wanted in err and err.count("\n") == 1


def test_the_module_without_a_command_prints_the_help() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ganforge"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and done.stdout.startswith("Usage: ganforge COMMAND")
    assert not done.stderr


def test_a_run_tells_where_everything_is(
    gaussian: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {p: p.read_bytes() for p in gaussian.rglob("*") if p.is_file()}
    assert run("train", "gaussian", "--epochs", 2, "--out", gaussian) == 0
    out = capsys.readouterr().out
    assert "already finished" in out
    for line in ("loss_D 0.", "covariance", "model ", "plot ", f"ganforge sample {gaussian}"):
        assert line in out
    after = {p: p.read_bytes() for p in gaussian.rglob("*") if p.is_file()}
    assert before == after


def test_sample_png_and_npz(digits: Path, tmp_path: Path) -> None:
    assert run("sample", digits, "-n", 20, "-o", tmp_path / "a.png") == 0
    assert picture(tmp_path / "a.png")[0] > 200
    assert run("sample", digits, "-n", 25, "-o", tmp_path / "a.npz") == 0
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        samples, labels = file["samples"], file["labels"]
    assert samples.shape == (25, 28, 28, 1) and samples.dtype == np.uint8
    np.testing.assert_array_equal(labels, np.arange(25) % 10)
    assert run("sample", digits, "-n", 3, "--label", 8, "-o", tmp_path / "b.npz") == 0
    with np.load(tmp_path / "b.npz", allow_pickle=False) as file:
        assert file["labels"].tolist() == [8, 8, 8]
    assert run("sample", digits, "-n", 4, "--label", 3, 8, "-o", tmp_path / "c.npz") == 0
    with np.load(tmp_path / "c.npz", allow_pickle=False) as file:
        assert file["labels"].tolist() == [3, 8, 3, 8]


def test_vectors_are_sampled_and_drawn(gaussian: Path, tmp_path: Path) -> None:
    assert run("sample", gaussian, "-n", 50, "-o", tmp_path / "v.npz") == 0
    with np.load(tmp_path / "v.npz", allow_pickle=False) as file:
        assert file["samples"].shape == (50, 2) and file["samples"].dtype == np.float32
    assert run("sample", gaussian, "-o", tmp_path / "v.png") == 0
    assert picture(tmp_path / "v.png")[0] > 300


def test_interpolate_plot_and_gif(digits: Path, tmp_path: Path) -> None:
    assert run("interpolate", digits, "-o", tmp_path / "i.png", "--rows", 2, "--steps", 3) == 0
    assert run("interpolate", digits, "-o", tmp_path / "i.gif", "--rows", 2, "--steps", 3) == 0
    assert picture(tmp_path / "i.gif")[1] == 4
    assert run("plot", digits) == 0
    assert (digits / "plot.png").stat().st_size > 10_000
    assert run("plot", digits, "-o", tmp_path / "p.gif") == 0
    assert picture(tmp_path / "p.gif")[1] >= 2


def test_runs_and_recipes(gaussian: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("runs", gaussian.parent) == 0
    out = capsys.readouterr().out
    assert "gaussian" in out and "finished" in out and "2.0" in out
    assert re.search(r"FD\[identity\] [\d.]+, floor [\d.]+ \(validation, N 500\)", out)
    assert run("recipes") == 0
    lines = capsys.readouterr().out.splitlines()
    groups = [line for line in lines if line.isupper()]
    assert groups == ["CLASSICS", "PICTURES", "RESEARCH"]
    for name in gf.recipes.RECIPES:
        (at,) = [i for i, line in enumerate(lines) if line.split(" ")[0] == name]
        assert re.match(r" +takes \S", lines[at + 1]), name
    assert "No time on a GPU has been measured" in lines[-1]
    assert run("recipes", "dcgan-report") == 0
    out = capsys.readouterr().out
    assert "36 logits" in out and 'kind = "dcgan"' in out


def test_print_config_is_a_config(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("train", "dcgan", "--print-config", "--game.loss", "hinge", "--seed", 3) == 0
    text = capsys.readouterr().out
    assert 'loss = "hinge"' in text and "seed = 3" in text
    (tmp_path / "mine.toml").write_text(text)
    assert run("train", "--config", tmp_path / "mine.toml", "--print-config") == 0
    assert capsys.readouterr().out == text


def test_dry_run_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("train", "gaussian", "--dry-run", "--out", tmp_path / "x") == 0
    assert "2,500 steps" in capsys.readouterr().out
    assert not (tmp_path / "x").exists()


def test_a_folder_of_pictures_from_look_to_samples(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("data", "show", folder, "--size", 16, "-o", tmp_path / "d.png") == 0
    out = capsys.readouterr().out
    assert "cats" in out and "16" in out
    assert run("data", "pack", folder, tmp_path / "packed", "--size", 16) == 0
    assert (tmp_path / "packed" / "images.npy").exists()
    words = ["dcgan", "--data", tmp_path / "packed", "--out", tmp_path / "r", *TINY]
    assert run("train", *words) == 0
    assert run("sample", tmp_path / "r", "-n", 4, "-o", tmp_path / "s.npz") == 0
    with np.load(tmp_path / "s.npz", allow_pickle=False) as file:
        assert file["samples"].shape == (4, 16, 16, 3)
    words = ["cdcgan", "--data", folder, "--size", 16, "--out", tmp_path / "c", *TINY]
    assert run("train", *words) == 0
    assert run("sample", tmp_path / "c", "-n", 4, "-o", tmp_path / "l.npz") == 0
    with np.load(tmp_path / "l.npz", allow_pickle=False) as file:
        assert file["labels"].tolist() == [0, 1, 0, 1]


def test_data_of_one_name_in_two_folders_have_a_picture_each(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for place in ("a", "b"):
        shutil.copytree(folder, tmp_path / place / "train")
        assert run("data", "show", f"{place}/train/", "--size", 16) == 0
    assert {p.name for p in tmp_path.glob("*.png")} == {"data-a-train.png", "data-b-train.png"}


def save_pictures(folder: Path, count: int, side: int) -> Path:
    """Pictures of one colour each, 0.png, 1.png and so on."""
    folder.mkdir()
    for i in range(count):
        Image.new("RGB", (side, side), (6 * i, 100, 0)).save(folder / f"{i}.png")
    return folder


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_runs_two_steps_from_its_command(recipe: str, tmp_path: Path) -> None:
    settings = find(recipe)
    kimg = 2 * settings.batch * settings.game.d_steps / 1000
    words = ["train", recipe, "--kimg", kimg, "--out", tmp_path / "r", "--threads", 1]
    if settings.data == "cifar10":  # not to be downloaded here
        words += ["--data", "mnist", "--labels", "false"]
    if settings.pairing:
        two = [save_pictures(tmp_path / domain, 40, 32) for domain in "AB"]
        words += ["--data", *two, "--output.score", "false"]
    assert run(*words) == 0
    assert Run(tmp_path / "r").info()["step"] == 2
    if settings.pairing:
        assert run("translate", tmp_path / "r", tmp_path / "A", "-o", tmp_path / "out") == 0
        assert len(list((tmp_path / "out").glob("*.png"))) == 40
        return
    assert run("sample", tmp_path / "r", "-n", 2, "-o", tmp_path / "s.npz") == 0


OWN = """
from dataclasses import replace
from torch import nn
import ganforge as gf

def networks(spec, noise):
    G = nn.Sequential(nn.Linear(noise, spec.size), nn.Dropout(0.1))
    D = nn.Sequential(nn.Linear(spec.size, 8), nn.Tanh(), nn.Linear(8, 1))
    return {"generator": G, "discriminator": D}

def run():
    return replace(gf.recipes.gaussian(), name="mine", networks=networks, epochs=1)
"""


def test_a_recipe_file_of_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = tmp_path / "mine.py"
    code.write_text(OWN)
    assert run("train", f"{code}:run", "--out", tmp_path / "r") == 0
    assert run("train", code, "--out", tmp_path / "r") == 0
    assert "already finished" in capsys.readouterr().out
    assert run("sample", tmp_path / "r", "-o", tmp_path / "s.npz") == 2
    assert "--code" in capsys.readouterr().err
    assert run("sample", tmp_path / "r", "-o", tmp_path / "s.npz", "--code", code) == 0


def test_own_networks_take_overrides(tmp_path: Path) -> None:
    code = tmp_path / "mine.py"
    code.write_text(OWN)
    words = ["train", f"{code}:run", "--game.loss", "hinge", "--ema", "0.9"]
    assert run(*words, "--out", tmp_path / "r") == 0
    assert Run(tmp_path / "r").settings()["game"]["loss"] == "hinge"


BROKEN = {
    "def run(:": "line 1",
    "def run():\n    return 1 / 0": "line 2: ZeroDivisionError",
    OWN.replace("spec.size)", "3)"): "your generator gives (2, 3)",
    OWN.replace("Linear(noise,", "Linear(7,"): "cannot",
    OWN.replace(
        "nn.Linear(8, 1)", "nn.Linear(8, 1), nn.Flatten(0), nn.Unflatten(0, (1, -1))"
    ): "row",
}


@pytest.mark.parametrize("code", BROKEN)
def test_mistakes_in_own_code_are_told_as_theirs(
    code: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.py").write_text(code)
    assert run("train", tmp_path / "mine.py", "--out", tmp_path / "r") == 2
    err = capsys.readouterr().err
    assert BROKEN[code] in err and "bug" not in err, err
    assert not (tmp_path / "r").exists()


def test_a_smaller_budget_is_refused(gaussian: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (gaussian / "config.toml").read_bytes()
    assert run("train", "gaussian", "--epochs", 1, "--out", gaussian) == 2
    assert "larger" in capsys.readouterr().err
    assert (gaussian / "config.toml").read_bytes() == before


def test_labels_with_gaps_are_numbered_anew_and_the_names_are_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = np.zeros((40, 16, 16, 1), np.uint8)
    np.savez(tmp_path / "gap.npz", images=images, labels=np.arange(40) % 2 * 5)
    command = ("train", "cdcgan", "--data", tmp_path / "gap.npz", "--out", tmp_path / "r")
    for more in ("--dry-run",), ("--kimg", 0.06):
        assert run(*command, *more) == 0
        assert "the labels 0, 5 are 2 classes" in capsys.readouterr().out
    assert (
        json.loads((tmp_path / "r" / "model" / "config.json").read_text())["spec"]["classes"] == 2
    )


def test_one_example_is_too_few_for_batch_norm(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("train", "mnist-mlp", "--batch", 1, "--out", tmp_path / "r") == 2
    assert "batch norm needs 2" in capsys.readouterr().err
    assert not (tmp_path / "r").exists()


BAD: dict[str, tuple[list[str], int, list[str]]] = {
    "unknown recipe": (["train", "cdcgn"], 2, ["cdcgn", "did you mean 'cdcgan'"]),
    "unknown command": (["trian"], 2, ["trian", "train"]),
    "unknown option": (["train", "--epoch", "3"], 2, ["--epoch", "--epochs"]),
    "unknown key": (["train", "--game.los", "hinge"], 2, ["game.los", "did you mean 'loss'"]),
    "unknown table": (["train", "--gane.loss", "hinge"], 2, ["gane.loss", "game"]),
    "wrong type": (["train", "--epochs", "many"], 2, ["--epochs", "many"]),
    "wrong type of a key": (["train", "--generator.lr", "fast"], 2, ["generator.lr", "fast"]),
    "no value": (["train", "--game.loss"], 2, ["--game.loss", "needs a value"]),
    "range": (["train", "--batch", "0"], 2, ["batch", "0", "at least 1"]),
    "negative rate": (["train", "--generator.lr", "-1"], 2, ["lr", "-1"]),
    "unknown loss": (["train", "--game.loss", "hing"], 2, ["hing", "hinge"]),
    "smoothing": (["train", "--game.smoothing", "0.1"], 2, ["smoothing", "relativistic"]),
    "a fraction": (["train", "--batch", "7.6"], 2, ["--batch", "7.6", "whole number"]),
    "no machine holds": (["sample", "x", "-n", "9" * 30], 2, ["-n", "2,147,483,647"]),
    "nor these": (["interpolate", "x", "--rows=99999999999"], 2, ["--rows", "at most"]),
    "two budgets": (["train", "--epochs", "1", "--kimg", "1"], 2, ["--epochs", "--kimg"]),
    "missing data": (["train", "--data", "nowhere/at/all"], 65, ["nowhere/at/all"]),
    "unlabelled data": (["train", "cdcgan", "--data", "ring"], 2, ["labels", "ring"]),
    "vectors for dcgan": (["train", "dcgan", "--data", "ring"], 2, ["vectors", "mlp"]),
    "size not to be made": (["train", "dcgan", "--size", "300"], 2, ["300", "256"]),
    "no such device": (["train", "--device", "cuda"], 2, ["cuda", "cpu"]),
    "unknown device": (["train", "--device", "gpu"], 2, ["gpu", "cuda"]),
    "no such run": (["sample", "runs/nothing"], 65, ["runs/nothing", "ganforge runs"]),
    "no runs": (["runs", "nothing"], 65, ["nothing"]),
    "no such config": (["train", "--config", "no.toml"], 65, ["no.toml"]),
    "no such code": (["train", "nope.py:run"], 2, ["nope.py"]),
    "data show": (["data", "show", "mnits"], 2, ["mnits", "mnist"]),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_clear_line(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words, code, wanted = BAD[name]
    monkeypatch.chdir(tmp_path)
    assert main(words) == code
    err = capsys.readouterr().err
    assert err.startswith("ganforge: ") and "Traceback" not in err and "bug" not in err
    assert len(err.strip().splitlines()) <= 12
    for part in wanted:
        assert part in err, err
    assert not list(tmp_path.iterdir())


def test_a_label_by_the_name_of_its_class(tmp_path: Path) -> None:
    for number, name in enumerate(("cat", "dog")):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for i in range(20):
            tone = 60 * number + i
            Image.new("L", (16, 16), tone).save(tmp_path / f"pets/{name}/{i}.png")
    out = tmp_path / "run"
    small = ["--kimg", "0.016", "--batch", "8", "--networks.generator_width", "4"]
    assert run("train", "--data", tmp_path / "pets", "--size", 16, *small, "--out", out) == 0
    assert run("sample", out, "-n", 4, "--label", "dog", 0, "-o", tmp_path / "d.npz") == 0
    with np.load(tmp_path / "d.npz", allow_pickle=False) as file:
        assert file["labels"].tolist() == [1, 0, 1, 0]
        np.testing.assert_array_equal(
            file["samples"], gf.load(out).sample(4, labels=["dog", "cat"])
        )
    with pytest.raises(gf.GanforgeError, match=r"label cow: .* 0 to 1 \(cat, dog\)"):
        gf.load(out).sample(1, labels="cow")
    with pytest.raises(gf.GanforgeError, match="give at least one"):
        gf.load(out).sample(1, labels=[])


def test_a_gradient_penalty_between_two_labels_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "cgan", "--dry-run", "--out", tmp_path / "run", "--game.loss", "wasserstein"]
    words += ["--game.penalties", "[{kind='gradient-penalty'}]"]
    assert run(*words) == 2
    assert "--game.fake_labels data" in capsys.readouterr().err
    assert run(*words, "--game.fake_labels", "data") == 0


def test_sample_refuses_labels_and_files_it_cannot_use(
    digits: Path, gaussian: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("sample", digits, "--label", 10) == 2
    assert "label 10" in capsys.readouterr().err
    assert run("sample", gaussian, "--label", 1) == 2
    assert "takes no labels" in capsys.readouterr().err
    assert run("sample", digits, "-o", "x.jpg") == 2
    assert "x.jpg" in capsys.readouterr().err


def test_unreadable_data_are_named_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "readme.txt").write_text("no picture")
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 and then nothing")
    (tmp_path / "broken.zip").write_bytes(b"PK\x03\x04 and then nothing")
    (tmp_path / "train-images-idx3-ubyte").write_bytes(b"\x00\x00\x08\x03\x00\x00\x00\x05")
    with zipfile.ZipFile(tmp_path / "none.zip", "w") as file:
        file.writestr("a.txt", "no picture")
    for path in sorted(tmp_path.iterdir()):
        assert run("train", "dcgan", "--data", path, "--out", tmp_path / "r") == 65, path
        err = capsys.readouterr().err
        assert path.name in err and "Traceback" not in err and err.count("\n") == 1, err
    assert not (tmp_path / "r").exists()


def test_a_folder_that_is_not_this_run(
    gaussian: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file.txt").write_text("mine")
    assert run("train", "gaussian", "--out", tmp_path) == 2
    assert "not empty" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["file.txt"]
    assert run("train", "gaussian", "--batch", 16, "--epochs", 2, "--out", gaussian) == 2
    err = capsys.readouterr().err
    assert "batch: 8 there, 16 here" in err and "--out" in err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_no_permission(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tmp_path.chmod(0o500)
    assert run("train", "gaussian", "--out", tmp_path / "r") == 74
    assert "cannot be written" in capsys.readouterr().err


def test_a_folder_that_cannot_be_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert run("train", "gaussian", "--out", tmp_path / "file" / "r") == 74
    assert "cannot be written" in capsys.readouterr().err


def test_debug_gives_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "cdcgn", "--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.slow
def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "ganforge", "train", "gaussian", "--epochs", "2000"]
    words += ["--out", str(tmp_path / "r")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "examples/s" in line:
                break
        process.send_signal(2)
        rest = process.stdout.read()
        assert process.wait(timeout=60) == 130
    assert "to go on: ganforge train gaussian --epochs 2000" in rest
    assert len(list((tmp_path / "r" / "checkpoints").iterdir())) >= 1
    shutil.rmtree(tmp_path / "r")


@pytest.mark.parametrize("where", ["/etc/passwd", "../secret", "~/secret", "~root/secret"])
def test_a_config_names_no_data_outside_unless_the_user_does(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.toml").write_text(f'name = "gaussian"\ndata = "{where}"\n')
    assert main(["train", "--config", "mine.toml", "--dry-run"]) == 2
    assert f"--data {shlex.quote(where)}" in capsys.readouterr().err
    assert main(["train", "--config", "mine.toml", "--data", "gaussian", "--dry-run"]) == 0
