"""The documentation as a site: it has every page, its commands work, it asks no other host."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tomllib
from dataclasses import fields
from functools import partial
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import ganforge as gf
from docs import site
from ganforge.cli import main
from ganforge.recipes import RECIPES
from ganforge.report import samples
from tests.helpers.tiny import shortened

ROOT = Path(__file__).parent.parent
GUIDES = ("tutorial", "loss", "better", "gpu", "gallery")
TEXTS = {name: (ROOT / f"docs/{name}.md").read_text() for name in GUIDES}


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXTS[page], re.DOTALL)


def pages_in(nav: list[object]) -> list[str]:
    """The pages of a nav, in order."""
    found: list[str] = []
    for one in nav:
        if isinstance(one, str):
            found.append(one)
        elif isinstance(one, dict):
            for below in one.values():
                found += pages_in(below if isinstance(below, list) else [below])
    return found


def test_the_nav_has_every_page_once() -> None:
    nav = tomllib.loads((ROOT / "zensical.toml").read_text())["project"]["nav"]
    assert sorted(pages_in(nav)) == sorted([*site.pages().values(), site.API])


def test_links_of_copied_pages_lead_to_copied_files(tmp_path: Path) -> None:
    site.stage(tmp_path / "docs")
    for page in (tmp_path / "docs").rglob("*.md"):
        for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)[^)]*\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
    theory = (tmp_path / "docs/theory.md").read_text()
    assert "in `gan/step.py`)" in theory  # without an address of the repository


def test_a_link_out_of_docs_leads_to_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site, "repository", lambda: "https://example.org/ganforge/blob/main")
    text = site.moved("docs/theory.md", "[step](../src/ganforge/gan/step.py) [game](game.md#a)")
    address = "https://example.org/ganforge/blob/main/src/ganforge/gan/step.py"
    assert text == f"[step]({address}) [game](game.md#a)"
    assert site.moved("docs/notes/search.md", "[all](../../README.md)") == "[all](../overview.md)"


def test_a_list_below_a_paragraph_gets_an_empty_line() -> None:
    text = "What:\n- a\n- b\n\n```\nx:\n- y\n```\n"
    assert site.moved("docs/game.md", text) == "What:\n\n- a\n- b\n\n```\nx:\n- y\n```\n"


def test_the_reference_has_every_public_name_with_its_docstring() -> None:
    text = site.api()
    for name in set(gf.__all__) - {"__version__"}:
        assert f"### gf.{name}\n" in text, name
    train = text.split("### gf.train\n")[1].split("### ")[0]
    assert "    **settings: Any,\n) -> Trained" in train
    assert "- `out`: the run folder. \\[default: runs/RECIPE\\]" in train
    assert "- `sample`: " in text.split("### gf.Trained\n")[1]


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every recipe narrowed to three steps; an empty folder."""
    monkeypatch.chdir(tmp_path)
    for name, recipe in RECIPES.items():
        small = partial(shortened, recipe(), steps=3)
        monkeypatch.setattr(gf.recipes, name.replace("-", "_"), small)
        monkeypatch.setitem(RECIPES, name, small)


@pytest.mark.usefixtures("short")
def test_a_loss_in_ten_lines() -> None:
    first, compared = blocks("loss", "python")
    assert len([line for line in first.splitlines() if line.strip()]) <= 10
    names: dict[str, object] = {}
    exec(compile(first, "loss.md", "exec"), names)  # noqa: S102 (a page of this package)
    run = names["run"]
    assert isinstance(run, gf.Trained) and run.finished
    exec(compile(compared.replace("range(5)", "range(2)"), "loss.md", "exec"), names)  # noqa: S102
    assert "exponential" in gf.compare.text(names["found"])

    defined = first.partition("run = ")[0] + "exponential = (d_loss, g_loss)\n"
    Path("mine.py").write_text(defined)
    (command,) = blocks("loss", "sh")
    assert main(shlex.split(command)[1:]) == 0


@pytest.mark.usefixtures("short")
def test_the_tutorial_in_python() -> None:
    (block,) = blocks("tutorial", "python")
    names: dict[str, object] = {}
    exec(compile(block.replace("epochs=5", "kimg=0.024"), "tutorial.md", "exec"), names)  # noqa: S102
    assert isinstance(names["eights"], np.ndarray) and names["eights"].shape == (16, 28, 28, 1)


README = (ROOT / "README.md").read_text()
# the test of README runs the commands that it has too, but for those that others here build on
COMMANDS = [
    command
    for block in blocks("tutorial", "sh")
    for command in block.splitlines()
    if command.startswith("ganforge train") or f"`{command}`" not in README
]
SHORT = "--kimg 0.08 --batch 8 --threads 1"
NARROW = "--networks.generator_width 4 --networks.discriminator_width 4"
LESS = {  # what a command of the tutorial gets in its test
    "train": SHORT,
    "evaluate": "-n 120 --metrics frechet --space pca",
    "compare": f"-n 120 --kimg 0.08 --batch 8 {NARROW}",
}
SMALLER = {"--epochs 2": "", "--epochs 0.5": "", "0..4": "0..1", "--minutes 30": ""}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the tutorial is read, with some pictures."""
    root = tmp_path_factory.mktemp("tutorial")
    (root / "photos").mkdir()
    rng = np.random.default_rng(0)
    for i, pixels in enumerate(rng.integers(0, 256, (2040, 16, 16), dtype=np.uint8)):
        Image.fromarray(pixels).save(root / "photos" / f"{i}.png", compress_level=0)
    return root


def shorter(command: str) -> list[str]:
    """A command of the tutorial with a budget of ten steps."""
    for long, less in SMALLER.items():
        command = command.replace(long, less)
    words = shlex.split(command)[1:]
    more = shlex.split(LESS.get(words[0], ""))
    if words[0] == "train" and words[1:2] in ([], ["dcgan"], ["photos/"]):
        more += NARROW.split()
    return words + more


def test_the_tutorial(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One test, since a command builds on those before it."""
    monkeypatch.chdir(place)
    monkeypatch.setattr(samples, "neighbours", partial(samples.neighbours, searched=500))
    for command in COMMANDS:
        assert main(shorter(command)) == 0, command


def test_options_that_the_pages_name_exist(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("train", "evaluate", "sample", "compare", "diagnose", "data show", "data pack"):
        assert main([*command.split(), "--help"]) == 0
    known = set(re.findall(r"--[a-z][a-z-]*", capsys.readouterr().out))
    known |= {"--" + field.name.replace("_", "-") for field in fields(gf.Config)}
    for name in ("better", "gpu"):
        for code in re.findall(r"`([^`\n]*--[^`\n]*)`", TEXTS[name]):
            if not code.startswith(("torchrun", "--signal", "ganforge reproduce")):
                found = re.findall(r"--[a-z][a-z-]*(?:\.[\w.]+)?", code)
                assert {o for o in found if "." not in o} <= known, f"{name}: {code}"


@pytest.mark.usefixtures("short")
def test_the_commands_for_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch.distributed.run import get_args_parser

    np.save("packed.npy", np.zeros((300, 16, 16), np.uint8))
    commands = [
        line
        for block in blocks("gpu", "sh")
        for line in block.replace("\\\n", " ").splitlines()
        if "ganforge" in line
    ]
    assert len(commands) == 5
    for line in commands:
        words = shlex.split(line.replace("packed/ --size 64", "packed.npy"))
        if "torchrun" in words:
            launched = get_args_parser().parse_args(words[words.index("torchrun") + 1 :])
            assert launched.module and launched.training_script == "ganforge"
            words = ["ganforge", *launched.training_script_args]
        assert main([*words[1:], *(["--dry-run"] * ("--dry-run" not in words))]) == 0, line


class Requests(HTMLParser):
    """What a browser fetches by itself for a page, and where its links lead."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.linked: list[str] = []
        self.ids: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id":
                self.ids.add(value or "")
            elif name == "href" and tag == "a":
                self.linked.append(value or "")
            elif name in ("src", "href", "srcset", "poster"):
                self.fetched.append(value or "")


@pytest.fixture(scope="module")
def built() -> Path:
    """The site, built with warnings as errors."""
    pytest.importorskip("zensical", reason="pip install '.[site]'")
    made = subprocess.run(
        [sys.executable, "-m", "docs.site"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stdout + made.stderr
    return ROOT / "build/site"


def test_the_site_asks_no_other_host_and_its_links_lead_somewhere(built: Path) -> None:
    pages = {}
    for file in built.rglob("*.html"):
        if file.parent.name != "pages" and file.name != "404.html":
            pages[file] = Requests()
            pages[file].feed(file.read_text())
    assert len(pages) == len(site.pages()) + 1
    for file, page in pages.items():
        for address in page.fetched:
            assert not address.startswith(("http:", "https:", "//")), f"{file.name}: {address}"
        for address in [*page.fetched, *page.linked]:
            target, _, anchor = address.partition("#")
            if address and not re.match(r"[a-z]+:", address):
                to = (file.parent / target).resolve() if target else file
                assert to.exists(), f"{file.name}: {address}"
                assert not anchor or to not in pages or anchor in pages[to].ids, address
    for file in [*built.rglob("*.css"), *built.rglob("*.html")]:
        text = file.read_text()
        assert "fonts.g" not in text and not re.search(r"(?:url\(|@import )['\"]?https?:", text), (
            file
        )
    found = json.loads((built / "search.json").read_text())
    assert "relativistic" in json.dumps(found)
