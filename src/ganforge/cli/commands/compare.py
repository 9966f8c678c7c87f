"""ganforge compare."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ganforge.cli.arguments import overrides
from ganforge.cli.options import Count, Lines, user_networks
from ganforge.errors import UsageError

if TYPE_CHECKING:
    from ganforge.experiments.compare import Budget, Comparison, Scoring

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
) -> Lines:
    """Which is better: finished runs, or recipes that are trained for it, over seeds.

    Prints every run with mean, standard error, 95 % interval and paired tests, best first. Recipes
    are trained with every seed in OUT/RECIPE/seed-N; a run that is there is not trained again, and
    the same command goes on with a comparison that was stopped.

    Settings for every recipe are given as in training: --game.loss hinge, --generator.lr 1e-4.

    Parameters
    ----------
    runs
        Run folders, or folders of runs; those that differ only in their seed are one recipe.
    recipes
        Names with commas between; a variant is written cdcgan:game.loss=hinge.
    seeds
        As 0..4 or 0,1,2. Five make a claim. [default: 0..4]
    metric
        Names with commas between, see docs/evaluation.md.
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
        Your FILE.py, for runs whose networks are your code.
    """
    from ganforge.experiments.compare import Budget, Scoring

    if bool(runs) == (recipes is not None):
        raise UsageError(
            "compare: name runs (`ganforge compare runs/a runs/b`) or recipes (`ganforge compare "
            "--recipes a,b`)" + (", not both" if runs else "")
        )
    scoring = Scoring(tuple(parts(metric)), n, split, space)
    budget = {"epochs": epochs, "kimg": kimg, "seconds": seconds}
    options = {"data": data, "size": size, "batch": batch}
    settings = {k: str(v) for k, v in options.items() if v is not None} | overrides
    if recipes is None:
        limits = budget | {"seeds": seeds}
        extra = [*settings, *(name for name, value in limits.items() if value is not None)]
        if extra:
            raise UsageError(f"--{extra[0]} is for training: it needs --recipes")
        yield from of_runs(runs, scoring, out, code)
        return 0
    if code is not None:
        raise UsageError("--code is for runs that are there: a recipe in your code is FILE.py:NAME")
    yield from of_recipes(recipes, settings, seeds or "0..4", Budget(**budget), scoring, out)
    return 0


def of_runs(
    paths: Sequence[Path], scoring: Scoring, out: Path | None, code: Path | None
) -> Iterator[str]:
    """Compare runs that are there; yields the lines to print."""
    from ganforge.experiments.compare import runs

    groups = runs.by_recipe(paths)
    named = {k: [(int(r.settings()["seed"]), r.path) for r in v] for k, v in groups.items()}
    folder = result_folder(named, out)
    networks = dict.fromkeys(groups, user_networks(code, paths[0]))
    yield from saved(runs.judge(groups, networks, scoring), folder)


def of_recipes(
    names: str,
    settings: Mapping[str, str],
    seed_text: str,
    budget: Budget,
    scoring: Scoring,
    out: Path | None,
) -> Iterator[str]:
    """Train recipes and compare them; yields the lines to print, run by run."""
    from ganforge.experiments.compare import jobs, recipes
    from ganforge.experiments.seeds.plan import parse

    trained, seeds = out or FOLDER, parse(seed_text)
    configs = recipes.variants(parts(names), settings)
    named = {k: [(s, recipes.run_folder(trained, k, s)) for s in seeds] for k in configs}
    folder = result_folder(named, out)
    planned = recipes.plan_jobs(configs, seeds, budget, trained)
    yield from jobs.progress_lines(planned, scoring)
    yield from saved(recipes.of_jobs(planned, scoring), folder)


def result_folder(runs: Mapping[str, Sequence[tuple[int, Path]]], out: Path | None) -> Path:
    """`out`, or a folder named by what is compared.

    runs: (seed, run folder) by recipe. UsageError if the folder has another comparison in it.
    """
    from ganforge.experiments.compare import subject

    folder = out or FOLDER / subject.name({k: [seed for seed, _ in v] for k, v in runs.items()})
    subject.refuse_another(folder, subject.subject(runs, folder))
    return folder


def saved(found: Comparison, folder: Path) -> Iterator[str]:
    """The comparison as text, and the files it is saved in."""
    from ganforge.experiments import compare

    yield "\n" + compare.text(found)
    yield "\nsaved in " + " and ".join(map(str, compare.save(found, folder)))


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
