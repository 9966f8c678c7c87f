"""Reading a report as a browser does."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from functools import partial
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ganforge.config import convert
from ganforge.config.schema import Config
from ganforge.diagnosis import Diagnosis
from ganforge.recipes import cdcgan
from ganforge.report import page as report
from ganforge.report import samples
from ganforge.runs import folder
from ganforge.runs.folder import Run

HEALTHY = Diagnosis((), ("GF001",), {}, 4)
few_neighbours = partial(samples.neighbours, searched=300, count=120)


class Reader(HTMLParser):
    """What a browser would see: tags with their attributes, and the text of each element."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.inside: dict[str, list[str]] = {}
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {k: v or "" for k, v in attrs}))
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self.open:
            self.inside.setdefault(self.open[-1], []).append(data)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attrs for name, attrs in self.tags if name == tag]

    @property
    def text(self) -> str:
        shown = (t for tag, parts in self.inside.items() if tag not in ("script", "style")
                 for t in parts)  # fmt: skip
        return " ".join(" ".join(shown).split())

    @property
    def data(self) -> Any:
        return json.loads(next(t for t in self.inside["script"] if t.startswith("{")))


def made(*paths: Path, diagnosis: Diagnosis = HEALTHY) -> tuple[str, Reader]:
    """The page about some runs, with this diagnosis of each, and neighbours among few examples."""
    html = report.render([
        report.read(
            folder.open_run(path), path.name, f"run-{i + 1}",
            diagnose=lambda path, **options: diagnosis, neighbours=few_neighbours,
        )
        for i, path in enumerate(paths)
    ])  # fmt: skip
    return html, Reader(html)


def decoded(uri: str) -> np.ndarray[Any, Any]:
    data = base64.b64decode(uri.partition("base64,")[2])
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"))


def check_whole(html: str, seen: Reader) -> None:
    """Self-contained, accessible, and without anything from outside."""
    assert "://" not in html
    for tag, attrs in seen.tags:
        assert not {a for a in attrs if a.startswith("on")}, (tag, attrs)
        for key in ("src", "href", "srcset", "action", "data", "poster"):
            assert attrs.get(key, "#").startswith(("#", "data:image/", "data:,")), (tag, attrs)
    assert not set(dict(seen.tags)) & {"iframe", "object", "embed", "base", "form", "a:link"}
    assert all(i.get("alt", "").strip() for i in seen.all("img"))
    assert all(s.get("aria-label") for s in seen.all("svg") if s.get("role") == "img")
    assert all("role" in s or "aria-hidden" in s for s in seen.all("svg"))
    ids = [a["id"] for _, a in seen.tags if "id" in a]
    assert len(ids) == len(set(ids))
    assert {u["href"][1:] for u in seen.all("use")} <= set(ids)
    levels = [int(tag[1]) for tag, _ in seen.tags if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b <= a + 1 for a, b in pairwise(levels))
    policy = next(m["content"] for m in seen.all("meta") if "http-equiv" in m)
    assert "default-src 'none'" in policy
    for tag in ("style", "script"):
        parts = [t for t in seen.inside[tag] if not t.startswith("{")]
        assert len(parts) == 1
        hashed = base64.b64encode(hashlib.sha256(parts[0].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{hashed}'" in policy


def bare(path: Path, recipe: Config | None = None, **info: Any) -> Run:
    """A run folder with nothing but its settings, and perhaps run.json."""
    run = Run(path)
    path.mkdir()
    (path / folder.CONFIG).write_text(convert.dumps(recipe or cdcgan()))
    if info:
        run.write_info(**info)
    return run
