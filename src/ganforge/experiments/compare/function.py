"""`gf.compare`: a comparison in one call, with the names of its folder as attributes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ganforge import images
from ganforge.api.results import Results, where
from ganforge.config.schema import Config
from ganforge.errors import UsageError
from ganforge.experiments import compare as parts
from ganforge.experiments.compare.comparison import Comparison
from ganforge.plotting import style
from ganforge.runs.model import OwnNetworks
from ganforge.text import preformatted

FOLDER = Path("runs/compare")
WIDTH = 800  # units of a page


class Compared(Comparison):
    """A comparison that shows itself."""

    def __repr__(self) -> str:
        return parts.text(self)

    def _repr_html_(self) -> str:
        picture = images.element(style.png(parts.chart(self)), WIDTH)
        return picture + preformatted(repr(self))


class Compare:
    """Compare finished runs, or train recipes over seeds and compare them.

        found = gf.compare("runs/a", "runs/b")
        found = gf.compare(recipes=["cdcgan", "cdcgan:game.loss=hinge"], seeds=range(5), epochs=2)
        print(gf.compare.text(found))

    Args:
        runs: run folders or runs of `gf.train` and `gf.load`, if `recipes` are not given.
        recipes: names and variants, or configs by name, to be trained.
        seeds: of each recipe; five support a claim.
        out: folder of what is trained.
        epochs, kimg: the budget of each run. [default: those of the recipes, if they are equal]
        metrics, n, split, space: how each run is scored.
        networks: your function, if finished runs were trained with one.
        show: how training is shown, see `gf.train`.

    Returns:
        The comparison; its repr is the text of `gf.compare.text`, in a notebook with the figure of
        `chart`. `gf.compare.save` writes both.

    Raises:
        UsageError, DataError: see `of_runs` and `of_recipes`.
    """

    def __getattr__(self, name: str) -> Any:
        return getattr(parts, name)

    def __call__(
        self,
        *runs: Results | Path | str,
        recipes: Sequence[str] | Mapping[str, Config] | None = None,
        seeds: Iterable[int] = range(5),
        out: Path | str = FOLDER,
        epochs: float | None = None,
        kimg: float | None = None,
        metrics: Sequence[str] = ("frechet",),
        n: int = 10_000,
        split: str = "test",
        space: str | None = None,
        networks: OwnNetworks | None = None,
        show: str = "auto",
    ) -> Comparison:
        if bool(runs) == (recipes is not None):
            raise UsageError(
                "compare: give runs, as gf.compare('runs/a', 'runs/b'), or recipes=['a', 'b']"
                + (", not both" if runs else "")
            )
        scoring = parts.Scoring(tuple(metrics), n, split, space)
        if recipes is None:
            paths = list(map(where, runs))
            found = parts.of_runs(paths, scoring, networks)
        else:
            budget = parts.Budget(epochs=epochs, kimg=kimg)
            found = parts.of_recipes(
                recipes, list(seeds), out, scoring=scoring, budget=budget, show=show
            )
        return Compared(**vars(found))


compare = Compare()
