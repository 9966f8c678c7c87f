"""ganforge compare."""

from __future__ import annotations

from pathlib import Path

from ganforge.cli.app import Count, app, overrides
from ganforge.errors import UsageError


@app.command
def compare(
    *runs: Path,
    recipes: str | None = None,
    seeds: str | None = None,
    metric: str = "frechet",
    epochs: float | None = None,
    kimg: float | None = None,
    seconds: float | None = None,
    data: str | None = None,
    size: int | None = None,
    batch: int | None = None,
    n: Count = 10_000,
    split: str = "test",
    space: str | None = None,
    out: Path | None = None,
    code: Path | None = None,
) -> int:
    """Which is better: finished runs, or recipes that are trained for it, over seeds.

    Prints every run with mean, standard error, 95 % interval and paired tests, best first. Recipes
    are trained with every seed in OUT/RECIPE/seed-N; a run that is there is not trained again, and
    the same command goes on with a comparison that was stopped.

    Settings for every recipe are given as in training: --game.loss hinge, --generator.lr 1e-4.

    Parameters
    ----------
    runs
        Run folders, or folders of runs; those that differ in their seed alone are one recipe.
    recipes
        Names with commas between; a variant is written cdcgan:game.loss=hinge.
    seeds
        As 0..4 or 0,1,2. Five make a claim. [default: 0..4]
    metric
        Names with commas between, see docs/evaluation.md.
    epochs
        The budget of every run, in passes over the data. [default: the recipes' own, if equal]
    kimg
        The budget, in thousands of real images.
    seconds
        The budget, in seconds of training on this machine: the same time for every recipe.
    data
        The data of every recipe.
    size
        Pictures are cropped and resized to SIZE x SIZE.
    batch
        Real examples a step, for every recipe.
    n
        Samples, and as many real examples.
    split
        test or validation. Choose by validation; look at test once.
    space
        The feature space. [default: the data's]
    out
        The folder for compare.json, compare.png and what is trained. [default: runs/compare for
        what is trained, in it a folder by the names of recipes and seeds for the rest]
    code
        Your own FILE.py, for runs whose networks are code of yours.
    """
    from ganforge.commands import compare as commands
    from ganforge.compare import Budget

    if bool(runs) == (recipes is not None):
        raise UsageError(
            "compare: name runs (`ganforge compare runs/a runs/b`) or recipes (`ganforge compare "
            "--recipes a,b`)" + (", not both" if runs else "")
        )
    asked = commands.scoring(metric, n, split, space)
    budget = {"epochs": epochs, "kimg": kimg, "seconds": seconds}
    own = {"data": data, "size": size, "batch": batch}
    given = {k: str(v) for k, v in own.items() if v is not None} | overrides
    if recipes is not None and code is not None:
        raise UsageError("--code is for runs that are there: a recipe of yours is FILE.py:NAME")
    if recipes is None:
        told = budget | {"seeds": seeds}
        extra = [*given, *(name for name, value in told.items() if value is not None)]
        if extra:
            raise UsageError(f"--{extra[0]} is for training: it needs --recipes")
        lines = commands.of_runs(runs, asked, out, code)
    else:
        lines = commands.of_recipes(recipes, given, seeds or "0..4", Budget(**budget), asked, out)
    for line in lines:
        print(line, flush=True)
    return 0
