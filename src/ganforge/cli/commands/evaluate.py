"""ganforge evaluate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganforge.cli.options import Count, Format, Lines, user_code

if TYPE_CHECKING:
    from ganforge.evaluation.score import Score


def evaluate(
    path: Path,
    /,
    *,
    data: str | None = None,
    size: int | None = None,
    n: Count = 10_000,
    metrics: str | None = None,
    split: str = "test",
    seed: int = 0,
    space: str | None = None,
    code: Path | None = None,
    format: Format = "text",
) -> Lines:
    """Score a run, a model or samples: every metric with its floor and verdict.

    Parameters
    ----------
    path
        A run folder, a model folder, cdcgan-mnist (the model in the package), or an .npz file
        with samples (and labels).
    data
        The real data. [default: the data of the training]
    size
        Pictures are cropped and resized to SIZE x SIZE. [default: as in training]
    n
        The number of samples, which are compared with as many real examples.
    metrics
        Names of metrics, or FILE.py:FUNCTION of (samples, real examples), separated by commas.
        [default: all that fit]
    split
        The real examples: test or validation. Choose by validation, and look at test once.
    seed
        The seed of the noise, the subsets and the judges.
    space
        The feature space, or FILE.py:FUNCTION of examples (N, ...). [default: the data's]
    code
        Your FILE.py, for a run or model with parts that are your code.
    format
        The table as text, md, csv, latex (booktabs) or json; if not text, all else goes to stderr.
    """
    from ganforge import bar
    from ganforge.cli import tables
    from ganforge.evaluation import evaluate as evaluation
    from ganforge.evaluation import store
    from ganforge.evaluation.score import table
    from ganforge.registry import named
    from ganforge.runs import builtin

    words = None if metrics is None else [m.strip() for m in metrics.split(",") if m.strip()]
    names = None if words is None else [named(word) for word in words]
    with tables.remarks(format):
        with bar.shown(format == "text"):
            scores = evaluation.evaluate(
                path, data=data, size=size, n=n, metrics=names, space=named(space), seed=seed,
                split=split, networks=user_code(code),
            )  # fmt: skip
        yield table(scores)
        if data is not None:
            yield f"real examples of {data}"
        if builtin.folder(path) is None:
            yield f"saved in {store.scores_path(path)}"
    if format != "text":
        yield tables.render(records(scores), format)
    return 0


def records(scores: Sequence[Score]) -> list[dict[str, Any]]:
    """A record for each score, with what it depends on."""
    from ganforge.experiments.statistics import Estimate

    def estimate(value: float, spread: float) -> Estimate:
        if math.isnan(spread):
            return Estimate(value, None, f"{value:.4g}")
        return Estimate(value, spread, f"{value:.4g} +- {spread:.2g}")

    return [
        {
            "metric": s.name, "value": estimate(s.value, s.spread),
            "floor": estimate(s.floor, s.floor_spread), "verdict": s.verdict, "N": s.n,
            "split": s.split, "space": s.space, "seed": s.seed,
        }
        for s in scores
    ]  # fmt: skip
