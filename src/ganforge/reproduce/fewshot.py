"""Augmentation with few pictures and with many: the claim of Zhao et al. 2020 on Fashion-MNIST.

The recipe `fewshot` with and without its augmentation, on a tenth of the training part and on all
of it, for the same number of pictures that D sees. Published for CIFAR-10, at 10 and 100 %: 36.02
to 14.50 and 11.07 to 9.89 (StyleGAN2), for all of FFHQ 3.81 to 4.24: the fewer pictures, the more
augmentation gains. Copying is tested against the pictures that trained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ganforge import api, files, recipes
from ganforge.config.schema import Config
from ganforge.data.dataset import Dataset, digest
from ganforge.evaluation import inputs
from ganforge.evaluation.evaluate import evaluate
from ganforge.evaluation.inputs import Real
from ganforge.experiments.compare.recipes import run_folder
from ganforge.experiments.seeds import StoppedError
from ganforge.experiments.statistics import estimated
from ganforge.reproduce.outcome import Outcome, text_table
from ganforge.reproduce.translation import SCORES, SEEDS, TABLE, Claim, Scores, read_scores, tested
from ganforge.training.pairing import load_part

PASSES = 2.0  # over the whole training part, for every row
N = 2_500
METRICS = ("frechet", "precision", "recall", "coverage", "authentic", "data-copying")
CLAIMS = (
    Claim("augmentation helps with few pictures", "frechet", -1, "10 % augmented", "10 %"),
    Claim("and not with many", "frechet", -1, "100 %", "100 % augmented"),
)


def rows() -> dict[str, tuple[float, Config]]:
    """Share of the training part and config of each row."""
    found = replace(recipes.find("fewshot"), data="fashion-mnist", precision="fp32")
    output = replace(found.output, score=False)
    augmented = replace(found, output=output)
    plain = replace(augmented, game=replace(found.game, augment=()))
    return {
        f"{share:.0%}".replace("%", " %") + ending: (share, config)
        for share in (0.1, 1.0)
        for ending, config in (("", plain), (" augmented", augmented))
    }


def run(
    folder: Path,
    *,
    seeds: Sequence[int] = SEEDS,
    budget: float | None = None,
    threads: int = 0,
    parts: Mapping[str, Dataset] | None = None,
    changes: Mapping[str, Any] | None = None,
    n: int = N,
    display: str = "auto",
) -> Outcome:
    """Train every row with every seed, one seed of all rows before the next; score each at once.

    The same call goes on where it was stopped; more seeds may be asked for later.

    Args:
        folder: for FOLDER/ROW/seed-N, scores.json and table.txt.
        seeds: of every row.
        budget: passes over the whole training part, the same pictures for every row. [default: 2]
        threads: of the CPU, 0 for all.
        parts: "train" and "test" in place of those of Fashion-MNIST.
        changes: settings of every row.
        n: samples that are scored.
        display: how training is shown, see `api.train`.

    Returns:
        The table and the tested claims.

    Raises:
        StoppedError: a signal ended a training.
        DataError: scores.json has scores of another budget.
    """
    passes = PASSES if budget is None else budget
    plan = rows()
    first = plan["100 %"][1]
    data = parts or {part: load_part(first, part) for part in ("train", "test")}
    kimg = passes * len(data["train"]) / 1000
    known = read_scores(folder, passes)
    for seed in seeds:
        for name, (share, config) in plan.items():
            if str(seed) in known.get(name, {}):
                continue
            place, train = run_folder(folder, name, seed), part_of(data["train"], share)
            wanted = replace(config, kimg=kimg, seed=seed, threads=threads, **(changes or {}))
            trained = api.train(wanted, place, show=display, data=train)
            if trained.signal:
                raise StoppedError(f"{name}, seed {seed}", trained.signal)
            found = evaluate(place, Real(train, data["test"]), n=n, metrics=METRICS)
            scores = {card.name: card.value for card in found}
            floors = {
                f"{card.name} floor": float(card.floor) for card in found if card.floor is not None
            }
            spent = {"seconds": trained.progress.seconds}
            known.setdefault(name, {})[str(seed)] = scores | floors | spent
            files.write_json(folder / SCORES, {"epochs": passes, "rows": known})
            files.save_file(folder / TABLE, f"{report(known).text}\n".encode())
    return report(known)


def part_of(data: Dataset, share: float) -> Dataset:
    """A share of a part, the same pictures for every seed."""
    pick = np.sort(inputs.subset(len(data), round(share * len(data)), 0, "fewshot"))
    values = data.values[pick]
    labels = None if data.labels is None else data.labels[pick]
    return replace(data, values=values, labels=labels, sha256=digest(values, labels), counts=())


def report(known: Scores) -> Outcome:
    """The rows, each beside the floor of real pictures, and the claims."""
    table: list[dict[str, Any]] = []
    for name, runs in known.items():
        for row, ending in ((name, ""), (f"{name}: training pictures", " floor")):
            cells = {
                m: estimated([one[m + ending] for one in runs.values()], 3)
                if all(m + ending in one for one in runs.values())
                else None
                for m in METRICS
            }
            table.append({"": row, "seeds": len(runs) if not ending else None, **cells})
    minutes = sum(one["seconds"] for runs in known.values() for one in runs.values()) / 60
    return Outcome(
        table,
        f"{text_table(table)}\n\nmean +- standard error over seeds; {minutes:,.1f} minutes of "
        f"training in all.\n\n{tested(CLAIMS, known)}",
    )
