"""`ganforge compare`: what was typed, told line by line, and the comparison at its end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ganforge.commands.text import own_networks
from ganforge.experiments import compare
from ganforge.experiments.compare import Budget, Comparison, Scoring, recipes, runs, subject
from ganforge.experiments.seeds.plan import parse

FOLDER = Path("runs/compare")


def parts(text: str) -> list[str]:
    """What stands between commas, but for those in brackets or quotes."""
    out, depth, quoted = [""], 0, False
    for letter in text:
        quoted ^= letter == '"'
        depth += (letter in "[{") - (letter in "]}")
        if letter == "," and not depth and not quoted:
            out.append("")
        else:
            out[-1] += letter
    return [word.strip() for word in out if word.strip()]


def scoring(metric: str, n: int, split: str, space: str | None) -> Scoring:
    """How runs are scored, from what was typed."""
    return Scoring(tuple(parts(metric)), n, split, space)


def of_runs(
    paths: Sequence[Path], asked: Scoring, out: Path | None, code: Path | None
) -> Iterator[str]:
    """The comparison of runs that are there."""
    groups = runs.by_recipe(paths)
    named = {k: [(int(r.settings()["seed"]), r.path) for r in v] for k, v in groups.items()}
    folder = results(named, out)
    yield from told(runs.score_groups(groups, own_networks(code, paths[0]), asked), folder)


def of_recipes(
    names: str,
    settings: Mapping[str, str],
    given: str,
    budget: Budget,
    asked: Scoring,
    out: Path | None,
) -> Iterator[str]:
    """What is trained, run by run, and the comparison at its end."""
    trained, seeds = out or FOLDER, parse(given)
    configs = recipes.variants(parts(names), settings)
    named = {k: [(s, recipes.run_folder(trained, k, s)) for s in seeds] for k in configs}
    folder = results(named, out)
    jobs = recipes.plan_jobs(configs, seeds, budget, trained)
    yield from recipes.progress_lines(jobs, scoring=asked)
    yield from told(recipes.of_jobs(jobs, asked), folder)


def results(runs: Mapping[str, Sequence[tuple[int, Path]]], out: Path | None) -> Path:
    """The folder for what is found: `out`, or one by the name of what is compared.

    runs: (seed, run folder) by recipe. UsageError where the folder holds another comparison.
    """
    folder = out or FOLDER / subject.name({k: [seed for seed, _ in v] for k, v in runs.items()})
    subject.refuse_another(folder, subject.subject(runs, folder))
    return folder


def told(found: Comparison, folder: Path) -> Iterator[str]:
    """The comparison as text, and the files it is kept in."""
    yield "\n" + compare.text(found)
    yield "\nsaved in " + " and ".join(map(str, compare.save(found, folder)))
