"""ganforge compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ganforge.cli.arguments import overrides
from ganforge.cli.options import Count, Format, Lines, given, user_code
from ganforge.errors import UsageError

FOLDER = Path("runs/compare")


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
    format: Format = "text",
) -> Lines:
    """Compare finished runs, or train recipes with several seeds and compare these.

    Prints every run with mean, standard error, 95 % interval and paired tests, best first. Recipes
    are trained with every seed in OUT/RECIPE/seed-N; a run that is there is not trained again, and
    the same command goes on with a comparison that was stopped.

    Settings for every recipe are given as in training: --game.loss hinge, --generator.lr 1e-4.

    Parameters
    ----------
    runs
        Run folders, or folders of runs; those that differ only in their seed are one recipe.
    recipes
        Names of recipes, separated by commas; a variant is written cdcgan:game.loss=hinge.
    seeds
        The seeds, as 0..4 or 0,1,2; a claim needs about five. [default: 0..4]
    metric
        Names of metrics, separated by commas; docs/evaluation.md lists them.
    epochs
        The budget of every run, in passes over the data. [default: that of the recipes, if equal]
    kimg
        The budget, in thousands of real images.
    seconds
        The budget, in seconds of training on this machine: the same time for every recipe.
    data
        The data of every recipe.
    size
        Pictures are cropped and resized to SIZE x SIZE.
    batch
        The number of real examples in a step, for every recipe.
    n
        The number of samples, which are compared with as many real examples.
    split
        The real examples: test or validation. Choose by validation, and look at test once.
    space
        The feature space. [default: the data's]
    out
        The folder for compare.json, compare.png and the trained runs. [default: a folder in
        runs/compare that is named after the recipes and seeds; trained runs in runs/compare]
    code
        Your FILE.py, for runs with parts that are your code.
    format
        The table as text, md, csv, latex (booktabs) or json; if not text, all else goes to stderr.
    """
    from ganforge.cli import tables
    from ganforge.experiments import compare as comparing
    from ganforge.experiments.compare import jobs as training
    from ganforge.experiments.compare import recipes as planning
    from ganforge.experiments.compare import runs as finished
    from ganforge.experiments.compare import show
    from ganforge.experiments.plan import parse

    if bool(runs) == (recipes is not None):
        raise UsageError(
            "compare: name runs (`ganforge compare runs/a runs/b`) or recipes (`ganforge compare "
            "--recipes a,b`)" + (", not both" if runs else "")
        )
    scoring = comparing.Scoring(tuple(parts(metric)), n, split, space)
    budget = given(epochs=epochs, kimg=kimg, seconds=seconds)
    options = given(data=data, size=size, batch=batch)
    settings = {key: str(value) for key, value in options.items()} | overrides
    if recipes is None:
        for name in (*settings, *budget, *given(seeds=seeds)):
            raise UsageError(f"--{name} is for training: it needs --recipes")
        groups = finished.by_recipe(runs)
        named = {k: [(int(r.settings()["seed"]), r.path) for r in v] for k, v in groups.items()}
        folder = result_folder(named, out)
        found = finished.judge(groups, dict.fromkeys(groups, user_code(code)), scoring)
    else:
        if code is not None:
            raise UsageError(
                "--code is for runs that are there: a recipe in your code is FILE.py:NAME"
            )
        numbers, trained = parse(seeds or "0..4"), out or FOLDER
        configs = planning.variants(parts(recipes), settings)
        named = {k: [(s, planning.run_folder(trained, k, s)) for s in numbers] for k in configs}
        folder = result_folder(named, out)
        jobs = planning.plan_jobs(configs, numbers, comparing.Budget(**budget), trained)
        with tables.remarks(format):
            yield from training.progress_lines(jobs, scoring)
        found = planning.of_jobs(jobs, scoring)
    with tables.remarks(format):
        yield "\n" + (comparing.text(found) if format == "text" else show.remarks(found))
        yield "\nsaved in " + " and ".join(map(str, comparing.save(found, folder)))
    if format != "text":
        yield tables.render(show.records(found), format)
    return 0


def result_folder(runs: Mapping[str, Sequence[tuple[int, Path]]], out: Path | None) -> Path:
    """`out`, or a folder named by what is compared.

    runs: (seed, run folder) by recipe. UsageError if the folder has another comparison in it.
    """
    from ganforge.experiments.compare import subject

    folder = out or FOLDER / subject.name({k: [seed for seed, _ in v] for k, v in runs.items()})
    subject.refuse_another(folder, subject.subject(runs, folder))
    return folder


def parts(text: str) -> list[str]:
    """The parts between commas; a comma in brackets or quotes does not divide."""
    out, depth, quoted = [""], 0, False
    for letter in text:
        quoted ^= letter == '"'
        depth += (letter in "[{") - (letter in "]}")
        if letter == "," and not depth and not quoted:
            out.append("")
        else:
            out[-1] += letter
    return [word.strip() for word in out if word.strip()]
