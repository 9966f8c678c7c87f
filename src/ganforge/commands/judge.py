"""`ganforge evaluate`."""

from __future__ import annotations

from pathlib import Path

from ganforge.commands.text import own_networks
from ganforge.evaluation import evaluate as evaluation
from ganforge.evaluation import store
from ganforge.evaluation.score import table


def evaluate(
    path: Path,
    data: str | None,
    size: int | None,
    n: int,
    metrics: str | None,
    split: str,
    seed: int,
    space: str | None,
    code: Path | None = None,
) -> str:
    """The scores of a run, a model or a file of samples as a table, and where they are saved."""
    names = None if metrics is None else [m.strip() for m in metrics.split(",") if m.strip()]
    scores = evaluation.evaluate(
        path,
        data=data,
        size=size,
        n=n,
        metrics=names,
        space=space,
        seed=seed,
        split=split,
        networks=own_networks(code, path),
    )
    real = f"\nreal examples of {data}" if data is not None else ""
    return f"{table(scores)}{real}\nsaved in {store.scores_path(path)}"
