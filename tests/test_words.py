"""The package speaks the field's plain words: a list of others does not occur in it."""

from __future__ import annotations

import re
from collections.abc import Set
from pathlib import Path

import pytest

import ganforge

ROOT = Path(ganforge.__file__).parent
REPOSITORY = Path(__file__).parents[1]

# The words of an old dialect, alone or in a name; a verdict is not a "word", an ensemble has no
# "seats", and no sentence needs "shall have" or "where there is".
FORBIDDEN = re.compile(
    r"(?<![a-z])(told|kept|taken|held|owns?|seats?|shall|let go of|where (there (is|are)|it has))"
    r"(?![a-z])",
    re.IGNORECASE,
)
# "held out" is the field's word, "your own" plain English
ALLOWED = re.compile(r"held[-_ ]?out|your own", re.IGNORECASE)
# names that files on disk and programs of earlier versions use
STORED = {
    "_deprecated.py": {"own"},
    "docs/migration.md": {"own"},
    "evaluation/metrics/labels.py": {"own"},
    "reproduce/modes.py": {"held"},
}
PAGES = [
    *sorted((REPOSITORY / "docs").rglob("*.md")),
    *(REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
]
SOURCES = [p for p in sorted(ROOT.rglob("*")) if p.suffix in {".py", ".html", ".css", ".js"}]


def dialect(text: str, stored: Set[str] = frozenset()) -> list[str]:
    """The lines of a text that hold a forbidden word."""
    return [
        f"{number}: {line.strip()}"
        for number, line in enumerate(text.splitlines(), 1)
        if {match[1].lower() for match in FORBIDDEN.finditer(ALLOWED.sub("", line))} - stored
    ]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_source_holds_the_old_dialect(path: Path) -> None:
    stored = STORED.get(str(path.relative_to(ROOT)), set())
    assert dialect(path.read_text(), stored) == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_no_page_holds_the_old_dialect(path: Path) -> None:
    stored = STORED.get(str(path.relative_to(REPOSITORY)), set())
    assert dialect(path.read_text(), stored) == []


@pytest.mark.parametrize(
    "text",
    ["what is told", "kept = 3", "of_own_law(x)", "(taken)", "as it is held", "the seats",
     "a run shall have it", "where there is a GPU", "Own weights"],
)  # fmt: skip
def test_the_check_sees_the_dialect(text: str) -> None:
    assert dialect(text)


@pytest.mark.parametrize(
    "text",
    [
        "where it is read",
        "held_out = 0.1",
        "held-out examples",
        "your own data",
        "known",
        "shown",
        "unown",
    ],
)
def test_the_check_leaves_plain_words(text: str) -> None:
    assert dialect(text) == []
