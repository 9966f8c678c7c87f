"""The summary of many seeds: scores, losses and collapses over the seeds, as JSON and as text.

The median and the spread over the seeds are the result. The best seed is named so that its model
can be found; it is chosen on the validation split, so its score is no measure of the recipe.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ganforge import files
from ganforge.callbacks.evaluate import SEED, SHORTEST, N
from ganforge.errors import GanforgeError
from ganforge.evaluation import evaluate, store
from ganforge.evaluation.inputs import Real
from ganforge.evaluation.score import Score
from ganforge.experiments.plan import Plan, user_networks
from ganforge.plotting import overview
from ganforge.runs import folder
from ganforge.runs.folder import Run
from ganforge.runs.records import Control
from ganforge.text import columns, json_values

SUMMARY, PICTURE, FORMAT = "summary.json", "summary.png", 1
VARIETY = ("modes", "heavy-modes", "coverage")  # metrics whose bad verdict means a collapse
LOSSES, CHOSEN_BY, NONE = ("loss_d", "loss_g"), "frechet", "-"
SHOWN = 20  # rows of the table by seed in the text


def score(plan: Plan, control: Control) -> str:
    """Score every finished run that has no scores yet; returns why not, empty if all is scored."""
    todo = [run for run in plan.runs if plan.config.output.score and unscored(run)]
    if not todo:
        return ""
    try:
        real = Real(plan.data, plan.validation_part())
        for run in todo:
            if control.stop:
                break
            evaluate.evaluate(
                run.path, real, n=N, metrics=evaluate.QUICK, seed=SEED,
                networks=user_networks(plan.config),
            )  # fmt: skip
    except GanforgeError as error:
        return f"not scored: {error}"
    return ""


def unscored(run: Run) -> bool:
    """Whether a run is finished, was trained for long enough, and has no scores of its end."""
    info = run.info()
    return info.get("status") == "finished" and info.get("epoch", 0) >= SHORTEST and not cards(run)


def cards(run: Run) -> list[Score]:
    """The scores of a run's newest step that are comparable over the seeds.

    They are of the validation split of the data that trained the run, with N samples or as many as
    there are; none if there are no such scores.
    """
    return store.of_step(run, run.info().get("step"), N, SEED)


def row(seed: int, run: Run) -> dict[str, Any]:
    """The results of one seed: status, steps, mean losses over the last quarter, scores."""
    if not run.exists():
        return {"seed": seed, "status": "not begun", "step": 0}
    info, log = run.info(), run.log()
    last = log[-max(1, len(log) // 4) :]
    out: dict[str, Any] = {
        "seed": seed,
        "status": folder.state(run),
        "step": int(info.get("step", 0)),
        "skipped": int(info.get("skipped", 0)),
    }
    for key in LOSSES:
        known = [r[key] for r in last if isinstance(r.get(key), int | float)]
        out[key] = np.mean(known) if known else None
    scores = cards(run)
    if scores:
        out["scores"] = {s.name: s.value for s in scores}
        out["floors"] = {s.name: s.floor for s in scores}
        out["collapsed"] = any(s.name in VARIETY and s.verdict == "collapsed" for s in scores)
        out["stamp"] = {key: getattr(scores[0], key) for key in ("n", "space", "split")}
    made: dict[str, Any] = json_values(out)
    return made


def make(plan: Plan) -> dict[str, Any]:
    """Make the summary: a table by seed, and the spread of every score over the seeds.

    best: the seed with the lowest validation Frechet distance. examples_per_second: of all seeds
    together, over the seconds in which they were trained.
    """
    rows = [row(seed, run) for seed, run in zip(plan.seeds, plan.runs, strict=True)]
    scored = [r for r in rows if "scores" in r]
    scores = {}
    for name in dict.fromkeys(name for r in scored for name in r["scores"]):
        floor = spread(r["floors"].get(name) for r in scored).get("median")
        scores[name] = spread(r["scores"].get(name) for r in scored) | {"floor": floor}
    chosen = [(r["scores"].get(CHOSEN_BY), r["seed"]) for r in scored]
    value, seed = min((pair for pair in chosen if pair[0] is not None), default=(None, None))
    examples = sum(r["step"] for r in rows) * plan.config.batch * plan.config.game.d_steps
    seconds = sum(plan.seconds().values())
    return {
        "format": FORMAT,
        "name": plan.config.name,
        "data": plan.config.data,
        "seeds": list(plan.seeds),
        "statuses": dict(Counter(r["status"] for r in rows)),
        "examples": examples,
        "seconds": round(seconds, 3),
        "examples_per_second": round(examples / seconds, 1) if seconds else None,
        "scored": len(scored),
        "stamp": scored[0]["stamp"] if scored else None,
        "scores": scores,
        "losses": {k: spread(r.get(k) for r in rows) for k in LOSSES},
        "collapsed": {"seeds": [r["seed"] for r in scored if r["collapsed"]], "of": len(scored)},
        "best": None if seed is None else {
            "seed": seed, "by": CHOSEN_BY, "split": "validation",
            "value": value, "note": "chosen by this score, so no result",
        },
        "table": rows,
    }  # fmt: skip


def spread(values: Iterable[float | None]) -> dict[str, Any]:
    """Median, quartiles and extremes of the values that are not None, and their count."""
    known = [v for v in values if v is not None]
    if not known:
        return {"count": 0}
    least, low, middle, high, most = np.quantile(known, [0, 0.25, 0.5, 0.75, 1]).tolist()
    return {
        "count": len(known), "median": middle, "quartiles": [low, high], "least": least,
        "most": most,
    }  # fmt: skip


def write(plan: Plan, table: Mapping[str, Any], picture: bool = True) -> list[Path]:
    """Write summary.json, and summary.png if there is something to draw; returns their paths."""
    if not plan.folder.is_dir():
        return []
    written = [files.write_json(plan.folder / SUMMARY, table, finite=True)]
    if picture:
        page = overview.of_seeds(dict(zip(plan.seeds, plan.runs, strict=True)), len(table["seeds"]))
        if page is not None:
            written.append(files.save_file(plan.folder / PICTURE, page))
    return written


def lines(table: Mapping[str, Any]) -> list[str]:
    """The summary as text: scores over the seeds, collapsed seeds, the best, a table by seed."""
    states = ", ".join(f"{n} {status}" for status, n in sorted(table["statuses"].items()))
    out = [f"{len(table['seeds'])} seeds: {states}"]
    if table["examples_per_second"]:
        out.append(
            f"{table['examples']:,} examples of all seeds in {table['seconds']:,.1f} s: "
            f"{table['examples_per_second']:,.0f} a second"
        )
    if table.get("unscored"):
        out.append(table["unscored"])
    if table["scored"]:
        stamp, collapsed = table["stamp"], table["collapsed"]["seeds"]
        some = f" (seeds {', '.join(map(str, collapsed[:12]))})" if collapsed else ""
        out += [
            "",
            score_table(table["scores"]),
            f"over {table['scored']} seeds; N {stamp['n']:,}, {stamp['split']} split, space "
            f"{stamp['space']}, seed {SEED}",
            f"collapsed: {len(collapsed)} of {table['collapsed']['of']}{some}",
        ]
    if table["best"]:
        best = table["best"]
        out.append(
            f"lowest {best['by']} of the validation split: seed {best['seed']}, "
            f"{best['value']:.4g} (chosen by it: the median is the result)"
        )
    out += ["", seed_table(table["table"][:SHOWN])]
    if len(table["table"]) > SHOWN:
        out.append(f"and {len(table['table']) - SHOWN} more, in {SUMMARY}")
    return out


def score_table(scores: Mapping[str, Mapping[str, Any]]) -> str:
    """A row for each metric over the seeds."""
    rows: list[Sequence[str]] = [("", "median", "quartiles", "least", "most", "floor")]
    for name, found in scores.items():
        quartiles = " .. ".join(map(number, found.get("quartiles", ()))) or NONE
        median, *others = (number(found.get(k)) for k in ("median", "least", "most", "floor"))
        rows.append((name, median, quartiles, *others))
    return columns(rows, right=range(1, 6))


def seed_table(table: Iterable[Mapping[str, Any]]) -> str:
    """A row for each seed: status, step, losses and the score by which the best is chosen."""
    rows: list[Sequence[str]] = [("seed", "status", "step", "loss_D", "loss_G", CHOSEN_BY, "")]
    for r in table:
        losses = (number(r.get(key), ".3f") for key in LOSSES)
        chosen = number(r.get("scores", {}).get(CHOSEN_BY))
        collapsed = "collapsed" if r.get("collapsed") else ""
        rows.append((str(r["seed"]), r["status"], f"{r['step']:,}", *losses, chosen, collapsed))
    return columns(rows, right=(0, 2, 3, 4, 5))


def number(value: float | None, form: str = ".4g") -> str:
    """A number as text, "-" for None."""
    return NONE if value is None else format(value, form)
