"""What to cite: every key has an entry, every entry is whole and used, a run names its own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import ganforge as gf
from ganforge import recipes
from ganforge._version import __version__
from ganforge.cli import main
from ganforge.config.convert import to_dict
from ganforge.evaluation.metrics import METRICS
from ganforge.recipes import RECIPES
from ganforge.report import citations
from ganforge.report.citations import (
    DATA,
    ENTRY,
    OF_TRANSLATIONS,
    bibliography,
    cite,
    sources,
    system,
)
from tests.helpers import tiny

ROOT = Path(__file__).parents[2]
NO_PAPER = {"dcgan-report"}  # its source is a report that was not published


def keys(text: str) -> list[str]:
    return [found[1] for found in ENTRY.finditer(text)]


def test_every_entry_is_whole_and_used() -> None:
    entries = bibliography()
    text = (ROOT / "src/ganforge/recipes/papers.bib").read_text()
    assert len(entries) == text.count("\n@") and list(entries) == keys(text)
    for key, entry in entries.items():
        assert entry.count("{") == entry.count("}"), key
        fields = dict(re.findall(r"^  (\w+) = \{(.*)\},?$", entry, re.MULTILINE))
        assert {"title", "author", "year"} <= fields.keys(), key
        assert len(fields) == entry.count("\n") - 1, f"{key}: a line is no field"
        assert re.fullmatch(r"(19|20)\d\d", fields["year"]), key
    used = {key for name in RECIPES for key in sources(name) if not key.startswith("@")}
    used |= {key for some in DATA.values() for key in some} | set(OF_TRANSLATIONS.values())
    used |= {metric.paper for metric in METRICS.values() if metric.paper}
    assert used == entries.keys()


@pytest.mark.parametrize("name", RECIPES)
def test_the_papers_of_a_recipe_are_those_of_its_text(name: str) -> None:
    """Every paper's first author is named in the docstring, and a recipe without one says so."""
    entries, text = bibliography(), recipes.describe(name)
    assert bool(sources(name)) != (name in NO_PAPER)
    for key in sources(name):
        author = re.search(r"author = \{(\w+)", entries[key])
        assert author is not None and author[1] in text, key


def test_a_run_says_what_to_cite(tmp_path: Path, capsys: Any) -> None:
    config = tiny.shortened(recipes.gaussian_stable(), 4, score=False)
    run = gf.train(config, tmp_path / "run", loss="hinge", show="quiet")
    run.evaluate(n=100, metrics=["frechet", "precision", "recall"], split="validation")
    assert main(["cite", str(run.path)]) == 0
    text = capsys.readouterr().out
    assert text == cite(run) + "\n" == gf.cite(run.path) + "\n"
    assert keys(text) == [
        "mescheder2018", "huang2024", "zhang2023", "heusel2017", "kynkaanniemi2019", "ganforge"
    ]  # fmt: skip
    assert f"version = {{{__version__}}}" in text
    remarks = [line for line in text.splitlines() if line.startswith("%")]
    assert remarks[0].startswith("% system: recipe gaussian-stable; changed, and not cited here: ")
    assert "game.loss = hinge" in remarks[0]
    assert remarks[1].startswith("% data: gaussian, sha256 ")
    assert remarks[2:] == ["% metrics of the scores: frechet, precision, recall", "% software"]
    # outside of its entries BibTeX reads nothing but an at sign
    assert "@" not in ENTRY.sub("", text)


def test_code_of_the_user_is_one_change() -> None:
    settings = to_dict(recipes.gaussian_stable())
    loss = {"kind": "python", "name": "d_loss g_loss", "sha256": "0123456789", "uses_real": True}
    remark, _ = system({**settings, "game": {**settings["game"], "loss": loss}})
    assert remark.endswith(
        "gaussian-stable; changed, and not cited here: game.loss = d_loss g_loss"
    )


def test_what_is_not_known_is_said(tmp_path: Path) -> None:
    config = tiny.shortened(recipes.gaussian(), 2, score=False)
    data = gf.load_data("ring").values[:200]
    run = gf.train(config, tmp_path / "run", name="mine", data=data, show="quiet")
    text = cite(run)
    assert "% system: mine, no recipe of ganforge: cite its source yourself" in text
    assert "cite their source yourself" in text and keys(text) == ["ganforge"]


def test_a_recipe_may_have_an_entry_in_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = "@misc{mine,\n  title = {Mine}\n}"
    monkeypatch.setattr(citations, "sources", lambda name: (entry, "goodfellow2014"))
    config = tiny.shortened(recipes.gaussian(), 2, score=False)
    run = gf.train(config, tmp_path / "run", show="quiet")
    assert keys(cite(run))[:2] == ["mine", "goodfellow2014"] and entry in cite(run)


def test_the_citation_file_is_of_this_version() -> None:
    """By the fields that schema 1.2.0 of the Citation File Format requires."""
    lines = (ROOT / "CITATION.cff").read_text().splitlines()
    fields = dict(line.split(": ", 1) for line in lines if re.match(r"[a-z-]+: ", line))
    assert {"cff-version", "message", "title"} <= fields.keys() and "authors:" in lines
    assert fields["cff-version"] == "1.2.0" and fields["license"] == "Apache-2.0"
    assert fields["version"] == __version__
