"""`ganforge lab`: an experiment by name, its picture saved, its two sentences told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ganforge import lab, pictures
from ganforge.columns import columns
from ganforge.errors import UsageError, choice
from ganforge.lab import page

FOLDER = Path("runs/lab")


def experiments() -> str:
    """What there is to try."""
    return (
        f"{columns(list(lab.ABOUT.items()))}\n\n`ganforge lab NAME` trains what it needs and draws."
    )


def show(name: str, output: Path | None, seed: int) -> Iterator[str]:
    """Lines to print: how far it is, the files, what is to be seen."""
    choice("experiment", name, list(lab.EXPERIMENTS))
    default = FOLDER / (f"{name}-seed-{seed}.png" if seed else f"{name}.png")
    out = default if output is None else output
    if out.suffix.lower() != ".png":
        raise UsageError(f"{out}: expected a file name ending in .png; a film is put beside it")
    shown = yield from lab.EXPERIMENTS[name](seed)
    yield str(pictures.save(out, page.png(shown.figure)))
    if shown.film:
        yield str(pictures.save(out.with_suffix(".gif"), page.gif(shown.film)))
    yield shown.says
