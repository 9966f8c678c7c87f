"""ganforge evaluate."""

from __future__ import annotations

from pathlib import Path

from ganforge.cli.app import Count, app


@app.command
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
) -> int:
    """Score a run, a model or samples: every metric with its floor, and a word.

    Parameters
    ----------
    path
        A run folder, a model folder, or an .npz with samples (and labels).
    data
        The real data. [default: those of the training]
    size
        Pictures are cropped and resized to SIZE x SIZE. [default: as in training]
    n
        Samples, and as many real examples.
    metrics
        Names, with commas between. [default: all that fit]
    split
        test or validation. Choose by validation; look at test once.
    seed
        Of the noise, the subsets and the judges.
    space
        The feature space. [default: the data's]
    code
        Your own FILE.py, for a model whose networks are code of yours.
    """
    from ganforge.commands import judge as commands

    print(commands.evaluate(path, data, size, n, metrics, split, seed, space, code))
    return 0
