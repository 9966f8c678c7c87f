"""Published results, reproduced: each experiment trains, scores and returns the table with our row.

`run(folder, *, seeds, budget, threads) -> Outcome`; the same call continues where it was stopped.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ganforge.reproduce import fewshot, modes, parzen, ranking, translation
from ganforge.reproduce.outcome import Outcome

EXPERIMENTS: dict[str, Callable[..., Outcome]] = {
    "parzen": parzen.run,
    "ring": partial(modes.run, name="ring"),
    "grid": partial(modes.run, name="grid"),
    "ring-published": partial(modes.published, name="ring"),
    "grid-published": partial(modes.published, name="grid"),
    "ranking": ranking.run,
    "pix2pix": partial(translation.run, study=translation.pix2pix),
    "pix2pix-64": partial(translation.run, study=partial(translation.pix2pix, 64)),
    "cyclegan": partial(translation.run, study=translation.cyclegan),
    "fewshot": fewshot.run,
}
