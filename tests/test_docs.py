"""What the documents name is there: files, modules, make targets, anchors, names of the package."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from pydoc import locate

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("docs/notes/*.md")])
TEXTS = {str(p.relative_to(ROOT)): p.read_text() for p in PAGES}
PRESENT = {page: text for page, text in TEXTS.items() if page != "CHANGELOG.md"}  # has old names
PLACES = (ROOT, ROOT / "src/ganforge")
FROM_RUNS = ("runs/", "best/", ".bench/")  # made by commands


def found(pattern: str, texts: dict[str, str] = PRESENT) -> list[tuple[str, str]]:
    """(page, name) for every match of a pattern's group in the documents."""
    return sorted({(page, m) for page, text in texts.items() for m in re.findall(pattern, text)})


@pytest.mark.parametrize(
    ("page", "name"), found(r"`([\w/.]+(?:/|\.(?:py|html|txt|toml|jsonl)))[:`]")
)
def test_files(page: str, name: str) -> None:
    if "/" in name and not name.startswith(FROM_RUNS):
        assert any((place / name).exists() for place in PLACES), f"{page}: {name}"


@pytest.mark.parametrize(("page", "name"), found(r"python -m ([a-z_][\w.]*)"))
def test_modules(page: str, name: str) -> None:
    if name.partition(".")[0] in ("ganforge", "benchmarks", "tests"):
        assert find_spec(name), f"{page}: {name}"


@pytest.mark.parametrize(("page", "name"), found(r"(?:`|^)make (?:--\S+ \d )?([a-z-]+)"))
def test_make_targets(page: str, name: str) -> None:
    assert re.search(rf"^{name}:", (ROOT / "Makefile").read_text(), re.MULTILINE), f"{page}: {name}"


@pytest.mark.parametrize(("page", "name"), found(r"`((?:gf|ganforge)\.[a-z_]+(?:\.\w+)*)"))
def test_names(page: str, name: str) -> None:
    if not name.endswith((".toml", ".py")):
        assert locate(name.replace("gf.", "ganforge.")) is not None, f"{page}: {name}"


@pytest.mark.parametrize(("page", "target"), found(r"\]\((?!http)([^)]+)\)", TEXTS))
def test_links(page: str, target: str) -> None:
    path, _, anchor = target.partition("#")
    file = (ROOT / page).parent / path if path else ROOT / page
    assert file.exists(), f"{page}: {target}"
    if anchor:
        headings = re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE)
        made = {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}
        assert anchor in made, f"{page}: {target}"


def test_every_page_is_in_the_index() -> None:
    index = set(re.findall(r"\]\(([^)#]+)\)", TEXTS["docs/README.md"]))
    pages = {page.removeprefix("docs/") for page in TEXTS if page.startswith("docs/")}
    assert pages - {"README.md"} == index
