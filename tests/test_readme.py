"""README does what it says: every command and every Python block is run, shortened."""

from __future__ import annotations

import io
import re
import shlex
import socket
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import HTTPCookieProcessor, build_opener

import numpy as np
import pytest
from PIL import Image

import ganforge as gf
from ganforge.cli import main
from ganforge.config.schema import Config
from ganforge.recipes import RECIPES
from ganforge.report import samples
from ganforge.serve import server
from ganforge.serve.limits import Limits
from tests.helpers.served import running
from tests.helpers.tiny import shortened

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
NARROW = "--kimg 0.01 --threads 1 --networks.generator_width 2 --networks.discriminator_width 2"
SHORT = {
    "cdcgan": "--kimg 0.08 --batch 8 --networks.generator_width 4 --networks.discriminator_width 4",
    "dcgan": "--kimg 0.08 --batch 8 --networks.generator_width 4 --networks.discriminator_width 4",
    "FILE.py": "--kimg 0.08 --batch 8",
    "pictures/": "--kimg 0.08 --batch 8 --size 16 --networks.generator_width 4",
    "gaussian": "--epochs 1",
    "infogan": "--kimg 0.08 --batch 8 --networks.width 2 --networks.hidden 12",
    "pix2pix": f"{NARROW}",
    "cyclegan": f"{NARROW} --networks.blocks 1",
}
EXTRAS = {"export": "onnxscript"}  # a module of the extra that a command needs
COMMANDS = list(dict.fromkeys(re.findall(r"`(ganforge [^`]+)`", README)))
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as README's reader has it: pictures, pairs, sketches, and two runs."""
    root = tmp_path_factory.mktemp("readme")
    rng = np.random.default_rng(0)
    (root / "pictures").mkdir()
    for i in range(20):
        pixels = rng.integers(0, 256, (70, 80, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / "pictures" / f"{i}.png")
    for folder in ("PAIRS/A", "PAIRS/B", "A", "B", "sketches"):
        (root / folder).mkdir(parents=True)
        for i in range(12):
            pixels = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / folder / f"{i}.png")
    pix2pix = ["train", "pix2pix", "--data", str(root / "PAIRS"), *shlex.split(SHORT["pix2pix"])]
    assert main([*pix2pix, "--out", str(root / "runs/pix2pix-PAIRS")]) == 0
    assert main(["train", "--out", str(root / "runs/cdcgan"), *shlex.split(SHORT["cdcgan"])]) == 0
    coded = ["train", "infogan", "--out", str(root / "runs/infogan")]
    assert main([*coded, *shlex.split(SHORT["infogan"])]) == 0
    Image.fromarray(rng.integers(0, 256, (40, 40), dtype=np.uint8)).save(root / "three.png")
    assert main(["directions", str(root / "runs/cdcgan"), "--count", "2"]) == 0
    return root


def test_the_commands_of_readme_are_found() -> None:
    assert len(COMMANDS) >= 10
    assert {c.split()[1] for c in COMMANDS} >= {"train", "sample", "plot", "data", "runs"}


@pytest.mark.parametrize("command", COMMANDS)
def test_command(command: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    words = shlex.split(command.replace("NAME", "dcgan"))[1:]
    if words[0] == "train":
        if words[1:2] == ["mine.py:run"]:
            Path("mine.py").write_text(
                "import dataclasses, ganforge as gf\n"
                "def run(): return dataclasses.replace(gf.recipes.gaussian(), epochs=1)\n"
            )
        recipe = words[1] if len(words) > 1 else "cdcgan"
        if "--networks" in words:
            defined = next(b for b in BLOCKS if "def networks" in b)
            Path("mine.py").write_text(defined.partition("\nrun = ")[0])
            recipe = "FILE.py"
        if "--minutes" in words:
            words[words.index("--minutes") + 1] = "0.001"
        short = SHORT.get(recipe, "").replace("--kimg 0.08" if "--minutes" in words else "none", "")
        words += shlex.split(short)
        if "--dry-run" not in words:
            words += ["--out", f"runs/{abs(hash(command))}"]
    if "--seeds" in words and words[0] == "train":
        words[words.index("--seeds") + 1] = "0..2"
    if words[0] == "evaluate":
        words += ["-n", "120", "--metrics", "frechet,label-accuracy"]
    if words[0] == "compare":
        for given, less in (("0..4", "0..1"), ("2", "0.0015")):
            words[words.index(given)] = less
        words += ["-n", "120", *shlex.split(SHORT["dcgan"])[2:]]
    if words[0] == "reproduce":
        words += ["--budget", "0.01", "--seeds", "0,1", "--threads", "1"]
    if words[0] in ("serve", "watch"):
        monkeypatch.setattr(server, "run", lambda app, listening, **_: listening.close())
        words += ["--port", "0"]
    pytest.importorskip(EXTRAS.get(words[0], "ganforge"))
    if words[0] == "report":
        monkeypatch.setattr(samples, "neighbours", partial(samples.neighbours, searched=500))
    assert main(words) == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_two_commands_lead_to_pictures_from_curl_and_to_a_page_on_a_phone(
    host: str, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`ganforge train`, which `place` has run, and `ganforge serve` as README says."""
    monkeypatch.chdir(place)
    (command,) = [
        c for c in COMMANDS if "ganforge serve" in c and ("--host" in c) == (host[0] == "0")
    ]
    found: list[tuple[Any, socket.socket]] = []
    monkeypatch.setattr(server, "run", lambda app, at, **_: found.append((app, at.dup())))
    capsys.readouterr()
    assert main([*shlex.split(command)[1:], "--port", "0"]) == 0
    address = re.findall(r"http://\S+", capsys.readouterr().out)[0]
    ((app, listening),) = found
    opener = build_opener(HTTPCookieProcessor())  # a browser stores the token as a cookie
    with running(app, listening, Limits()):
        page = opener.open(address, timeout=30).read().decode()
        assert '<meta name="viewport"' in page and 'id="weights"' in page
        curl = re.findall(r"`curl '([^']+)' -o eight.png`", README)[0]
        asked = curl.replace("127.0.0.1:8000", urlsplit(address).netloc)
        with Image.open(io.BytesIO(opener.open(asked, timeout=30).read())) as picture:
            assert (picture.format, picture.size) == ("PNG", (28, 28))


def lacking(command: str) -> list[tuple[str, ...]]:
    """A command of README's with each of its arguments left out in turn, and with all of them."""
    words = tuple(shlex.split(command)[1:])
    named = 2 if words[0] == "data" else 1
    each = [words[:i] + words[i + 1 :] for i in range(named, len(words))]
    return [words[:i] for i in range(1, named + 1)] + each


LACKING = list(dict.fromkeys([(), *(w for command in COMMANDS for w in lacking(command))]))


@pytest.mark.parametrize("words", LACKING, ids=" ".join)
def test_a_command_that_lacks_an_argument_says_so_in_a_line(
    words: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    given = [*words, "--dry-run"] if words[:1] == ("train",) else list(words)
    code = main(given)
    out, err = capsys.readouterr()
    assert code in (0, 2, 65), err
    assert "Traceback" not in out + err and "bug of ours" not in err
    if code:
        assert err.startswith("ganforge: ") and err.count("\n") == 1, err
        usage = f"ganforge {' '.join(words)}"
        assert code == 65 or len(words) > 1 + (words[0] == "data") or usage in err, err
    else:
        assert out and not err
    sampled = code == 0 and words[:1] == ("sample",)  # without a run: the model in the package
    assert sampled or not list(tmp_path.iterdir())


def test_the_first_commands_are_one_line_each() -> None:
    lines = [line for line in README.splitlines() if line.startswith("python3 -m venv")]
    assert len(lines) == 2
    assert lines[0].endswith(".venv/bin/ganforge sample --label 8 -o eights.png")
    assert "constraints.txt" in lines[0]
    assert README.index(lines[0]) < README.index("\n.venv/bin/ganforge train\n")
    assert "'.[test]'" in lines[1] and "pytest" in lines[1]
    assert (ROOT / "constraints.txt").exists()


def test_powershell_has_the_same_commands() -> None:
    shells = "".join(re.findall(r"```sh\n(.*?)```", README, re.DOTALL))
    [windows] = re.findall(r"```powershell\n(.*?)```", README, re.DOTALL)
    for old, new in (("python3 -m", "py -m"), (".venv/bin/", ".venv\\Scripts\\"), (" && ", "; ")):
        shells = shells.replace(old, new)
    assert windows == shells and "untried" in README.partition("```powershell")[0]


def short(recipe: Callable[[], Config]) -> Callable[[], Config]:
    return lambda: shortened(recipe(), steps=3)


@pytest.mark.parametrize("block", BLOCKS, ids=[b.splitlines()[-1][:40] for b in BLOCKS])
def test_python(block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, recipe in RECIPES.items():
        monkeypatch.setattr(gf.recipes, name.replace("-", "_"), short(recipe))
        monkeypatch.setitem(RECIPES, name, short(recipe))
    block = re.sub(r"epochs=\d+", "kimg=0.4", block)
    names: dict[str, object] = {}
    exec(compile(block, "README.md", "exec"), names)  # noqa: S102 (the README of this package)
    if "eights" in names:
        eights = names["eights"]
        assert isinstance(eights, np.ndarray)
        assert eights.shape == (16, 28, 28, 1) and eights.dtype == np.uint8
    if "networks" in names:
        run = names["run"]
        assert isinstance(run, gf.Trained)
        networks = names["networks"]
        again = gf.load("runs/mine", networks=networks)  # type: ignore[arg-type]
        np.testing.assert_array_equal(again.sample(4), run.sample(4))


def test_the_recipes_table_is_complete() -> None:
    for name in RECIPES:
        assert f"| `{name}` |" in README, name


def test_the_file_tree_is_true() -> None:
    contributing = (ROOT / "CONTRIBUTING.md").read_text()
    tree = contributing.split("src/ganforge/\n", 1)[1].split("benchmarks/", 1)[0]
    named = {line.split()[0].rstrip("/") for line in tree.splitlines() if line.strip()}
    there = {
        p.name
        for p in (ROOT / "src/ganforge").iterdir()
        if not p.name.startswith("_") and p.name != "py.typed"
    }
    assert named == there


def test_its_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_a_longer_budget_is_a_replaced_recipe() -> None:
    assert replace(gf.recipes.gaussian(), epochs=5).epochs == 5
