"""What to cite for a run, as BibTeX: the papers of its system, data set and metrics, and ganforge.

papers.bib has the entries. Lines of text stand between entries; BibTeX reads only the entries.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from ganforge import recipes
from ganforge.api.results import Results, where
from ganforge.config import convert
from ganforge.config.schema import CONTINUABLE
from ganforge.config.user_code import folded
from ganforge.data.settings import split_off
from ganforge.evaluation import store
from ganforge.evaluation.metrics import METRICS
from ganforge.runs import folder
from ganforge.runs.folder import Run

DATA = {
    "mnist": ("lecun1998",), "mnist-50000": ("lecun1998",), "fashion-mnist": ("xiao2017",),
    "cifar10": ("krizhevsky2009",), "cifar10-grey": ("krizhevsky2009",),
    "openmoji-lines": ("openmoji",), "emoji-pairs": ("twemoji", "notoemoji"),
    "gaussian": ("zhang2023",),
}  # fmt: skip
OF_TRANSLATIONS = {"ssim": "wang2004", "colours": "isola2017"}
ENTRY = re.compile(r"^@\w+\{([\w-]+),.*?^\}$", re.MULTILINE | re.DOTALL)
UNCHANGED = ("name", "data", "seed", "size", "labels", "batch", "micro_batch", "init_from")


def bibliography() -> dict[str, str]:
    """The entries of papers.bib by key."""
    text = files("ganforge.recipes").joinpath("papers.bib").read_text(encoding="utf-8")
    return {found[1]: found[0] for found in ENTRY.finditer(text)}


def sources(name: str) -> tuple[str, ...]:
    """SOURCES of a recipe's file: keys of papers.bib, or whole entries; () for none."""
    module = sys.modules[recipes.RECIPES[name].__module__]
    return tuple(getattr(module, "SOURCES", ()))


def cite(run: Results | Path | str) -> str:
    """What to cite for a run.

    Args:
        run: of `gf.train` or `gf.load`, or its folder.

    Returns:
        BibTeX entries, each once, with lines of text about what they are for.

    Raises:
        DataError: there is no run.
    """
    found = folder.open_run(where(run))
    settings, known = found.settings(), bibliography()
    used: set[str] = set()

    def entries(keys: Iterable[str]) -> Iterator[str]:
        for key in keys:
            if key not in used:
                used.add(key)
                yield key if key.startswith("@") else known[key]

    parts: list[str] = []
    for remark, keys in (system(settings), data_set(found, settings), metrics(found)):
        parts += [*([f"% {remark}"] if remark else []), *entries(keys)]
    return "\n\n".join([*parts, "% software", software(found)])


def system(settings: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    """(a remark on a run's system, the keys of its papers)."""
    name = str(settings.get("name"))
    if name not in recipes.RECIPES:
        return f"system: {name}, no recipe of ganforge: cite its source yourself", ()
    usual = convert.to_dict(recipes.find(name))
    changed = [
        f"{key} = {value}"
        for key, _, value in convert.difference(usual, folded(settings, 0))
        if not key.startswith((*CONTINUABLE, *UNCHANGED))
    ]
    remark = f"system: recipe {name}"
    if changed:
        remark += f"; changed, and not cited here: {', '.join(changed)}".replace("@", " ")
    if not sources(name):
        remark += f"; its source is no paper: `ganforge recipes {name}`"
    return remark, sources(name)


def data_set(run: Run, settings: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    """(a remark on a run's data, the keys of their papers)."""
    data = str(settings.get("data"))
    keys = DATA.get(split_off(data)[0], ())
    digest = str(run.info().get("data_sha256", "unknown"))[:12]
    remark = f"data: {data}, sha256 {digest}".replace("@", " ")
    return remark if keys else f"{remark}: cite their source yourself", keys


def metrics(run: Run) -> tuple[str, tuple[str, ...]]:
    """(the metrics of a run's scores, the keys of their papers)."""
    names = list(dict.fromkeys(s.name for e in store.entries(run) for s in store.cards(e)))
    papers = {n: METRICS[n].paper for n in names if n in METRICS} | {
        n: paper for n, paper in OF_TRANSLATIONS.items() if n in names
    }
    remark = f"metrics of the scores: {', '.join(names)}" if names else ""
    return remark, tuple(filter(None, papers.values()))


def software(run: Run) -> str:
    """The entry of ganforge, in the version that trained the run."""
    versions = run.info().get("versions", {})
    made = {**folder.versions(), **versions}
    return (
        "@software{ganforge,\n"
        "  title = {ganforge: train, judge, diagnose and ship generative adversarial networks},\n"
        "  author = {{The ganforge authors}},\n"
        f"  version = {{{made['ganforge']}}},\n"
        f"  note = {{Apache-2.0; with torch {made['torch']}}}\n"
        "}"
    )
