"""ganforge evaluate."""

from __future__ import annotations

from pathlib import Path

from ganforge.cli.options import Count, user_code


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
) -> str:
    """Score a run, a model or samples: every metric with its floor and verdict.

    Parameters
    ----------
    path
        A run folder, a model folder, or an .npz file with samples (and labels).
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
    """
    from ganforge.evaluation import evaluate as evaluation
    from ganforge.evaluation import store
    from ganforge.evaluation.score import table
    from ganforge.registry import named

    words = None if metrics is None else [m.strip() for m in metrics.split(",") if m.strip()]
    names = None if words is None else [named(word) for word in words]
    scores = evaluation.evaluate(
        path, data=data, size=size, n=n, metrics=names, space=named(space), seed=seed, split=split,
        networks=user_code(code),
    )  # fmt: skip
    real = f"\nreal examples of {data}" if data is not None else ""
    return f"{table(scores)}{real}\nsaved in {store.scores_path(path)}"
