"""What the runs of many seeds say together: read from their folders, kept beside them.

The median and the spread over the seeds are the result. The best seed is named so that its model
can be found, chosen on the validation split; its score is no measure of the recipe.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ganforge import checkpoint, judging, pictures, runs, session
from ganforge.config import Part
from ganforge.data.dataset import Dataset
from ganforge.data.source import load
from ganforge.errors import DataError, GanforgeError
from ganforge.evaluation.case import LEAST
from ganforge.evaluation.score import Score
from ganforge.judging import Real
from ganforge.printable import json_bytes
from ganforge.progress import Control
from ganforge.runs import Run
from ganforge.scoring import SEED, SHORTEST, N
from ganforge.seeds import picture as pages
from ganforge.seeds.plan import Plan, recorded

SUMMARY, PICTURE, FORMAT = "summary.json", "summary.png", 1
VARIETY = ("modes", "heavy-modes", "coverage")  # whose bad word says that a generator collapsed
CHOSEN_BY = "frechet"
SHOWN = 20  # rows of the table by seed that are printed


def held(plan: Plan) -> Dataset:
    """The validation part; DataError where it is too small to score by."""
    found = load(plan.config.data, part="validation", size=plan.config.size)
    if len(found) < LEAST:
        raise DataError(
            f"{plan.config.data}: {len(found)} validation examples are too few to score"
        )
    return found


def score(plan: Plan, control: Control, validation: Dataset | None = None) -> str:
    """Score every finished run that has no scores yet; why that was left out, empty else."""
    if not plan.config.output.score:
        return ""
    todo = [run for run in plan.runs if unscored(run)]
    if not todo:
        return ""
    try:
        real = Real(plan.data, validation or held(plan))
        own = None if isinstance(plan.config.networks, Part) else plan.config.networks
        for run in todo:
            if control.stop:
                break
            sampler = session.open_sampler(run.path, networks=own)
            metrics = judging.quick_metrics(real, sampler.spec.classes > 0)
            scores = judging.measure(
                sampler, real, n=N, metrics=metrics, seed=SEED, name="the generator"
            )
            judging.keep(run.path / judging.SCORES, scores, real, step=run.info().get("step"))
    except GanforgeError as error:
        return f"not scored: {error}"
    return ""


def unscored(run: Run) -> bool:
    """Whether a run has come to its end, trained for long enough, and has no scores of it."""
    info = run.info() if run.exists() else {}
    ready = info.get("status") == "finished" and float(info.get("epoch", 0.0)) >= SHORTEST
    return ready and not cards(run)


def cards(run: Run) -> list[Score]:
    """The scores of a run's newest step on the validation split, made as every seed's are: of N
    samples or of all there are, by the data that trained it."""
    step = run.info().get("step") if run.exists() else None
    wanted = (step, "validation", SEED)
    own = [
        entry
        for entry in judging.own_entries(run)
        if (entry["step"], entry["split"], entry.get("seed")) == wanted and entry["n"] <= N
    ]
    return judging.cards(max(own, key=lambda entry: int(entry["n"]))) if own else []


def row(seed: int, run: Run) -> dict[str, Any]:
    """What one seed has come to: status, steps, losses over the last quarter, scores."""
    if not run.exists():
        return {"seed": seed, "status": "not begun", "step": 0}
    info, log = run.info(), run.log()
    last = log[-max(1, len(log) // 4) :]
    scores = cards(run)
    out: dict[str, Any] = {
        "seed": seed,
        "status": runs.state(run),
        "step": int(info.get("step", 0)),
        "skipped": int(info.get("skipped", 0)),
    }
    for key in ("loss_d", "loss_g"):
        known = [r[key] for r in last if isinstance(r.get(key), int | float)]
        mean = float(np.mean(known)) if known else math.nan
        out[key] = mean if math.isfinite(mean) else None
    if scores:
        out["scores"] = {s.name: s.value if math.isfinite(s.value) else None for s in scores}
        out["floors"] = {s.name: s.floor if math.isfinite(s.floor) else None for s in scores}
        out["collapsed"] = any(s.name in VARIETY and s.word == "collapsed" for s in scores)
        out["stamp"] = {"n": scores[0].n, "space": scores[0].space, "split": scores[0].split}
    return out


def make(plan: Plan) -> dict[str, Any]:
    """The summary: a table by seed; median, quartiles, extremes of every score; who collapsed.

    best: the seed with the lowest validation Frechet distance. examples_per_second: of all seeds
    together, over the seconds in which they were trained.
    """
    table = [row(seed, run) for seed, run in zip(plan.seeds, plan.runs, strict=True)]
    names = list(dict.fromkeys(n for r in table for n in r.get("scores", {})))
    scores = {n: spread([r["scores"].get(n) for r in table if "scores" in r]) for n in names}
    for name, found in scores.items():
        floors = [r["floors"][name] for r in table if r.get("floors", {}).get(name) is not None]
        found["floor"] = float(np.median(floors)) if floors else None
    told = [r for r in table if "collapsed" in r]
    fallen = [r["seed"] for r in told if r["collapsed"]]
    chosen = [r for r in told if r["scores"].get(CHOSEN_BY) is not None]
    best = min(chosen, key=lambda r: float(r["scores"][CHOSEN_BY]), default=None)
    examples = sum(r["step"] for r in table) * plan.config.batch * int(plan.config.game.d_steps)
    seconds = taken(plan)
    return {
        "format": FORMAT,
        "name": plan.config.name,
        "data": plan.config.data,
        "seeds": list(plan.seeds),
        "statuses": dict(Counter(r["status"] for r in table)),
        "examples": examples,
        "seconds": round(seconds, 3),
        "examples_per_second": round(examples / seconds, 1) if seconds else None,
        "scored": len(told),
        "stamp": told[0]["stamp"] if told else None,
        "scores": scores,
        "losses": {k: spread([r.get(k) for r in table]) for k in ("loss_d", "loss_g")},
        "collapsed": {"seeds": fallen, "of": len(told)},
        "best": None if best is None else {
            "seed": best["seed"], "by": CHOSEN_BY, "split": "validation",
            "value": best["scores"][CHOSEN_BY], "note": "chosen by this score, so no result",
        },
        "table": table,
    }  # fmt: skip


def spread(values: Sequence[float | None]) -> dict[str, Any]:
    """Median, quartiles and extremes of the values that are numbers; how many they are."""
    known = np.array([v for v in values if v is not None], dtype=np.float64)
    if not len(known):
        return {"count": 0}
    low, middle, high = np.quantile(known, [0.25, 0.5, 0.75]).tolist()
    return {
        "count": len(known), "median": middle, "quartiles": [low, high],
        "least": float(known.min()), "most": float(known.max()),
    }  # fmt: skip


def taken(plan: Plan) -> float:
    """Seconds of training of all seeds: those of a group are counted once."""
    placed = {seed: group for group in recorded(plan.folder) for seed in group}
    seconds: dict[tuple[int, ...], float] = {}
    for seed, run in zip(plan.seeds, plan.runs, strict=True):
        own = float(run.info().get("seconds", 0.0)) if run.exists() else 0.0
        key = placed.get(seed, (seed,))
        seconds[key] = max(seconds.get(key, 0.0), own)
    return sum(seconds.values())


def write(plan: Plan, table: dict[str, Any], picture: bool = True) -> list[Path]:
    """summary.json, and summary.png where there is something to draw."""
    if not plan.folder.is_dir():
        return []
    data = json_bytes(table, indent=1, allow_nan=False)
    checkpoint.replace_file(plan.folder / SUMMARY, data)
    written = [plan.folder / SUMMARY]
    if picture:
        page = pages.draw(dict(zip(plan.seeds, plan.runs, strict=True)), table)
        if page is not None:
            written.append(pictures.save(plan.folder / PICTURE, page))
    return written


def lines(table: dict[str, Any]) -> list[str]:
    """The summary as text: scores over the seeds, who collapsed, the best, a table by seed."""
    count = len(table["seeds"])
    states = ", ".join(f"{n} {status}" for status, n in sorted(table["statuses"].items()))
    out = [f"{count} seeds: {states}"]
    if table["examples_per_second"]:
        out.append(
            f"{table['examples']:,} examples of all seeds in {table['seconds']:,.1f} s: "
            f"{table['examples_per_second']:,.0f} a second"
        )
    if table.get("unscored"):
        out.append(table["unscored"])
    if table["scored"]:
        stamp = table["stamp"]
        out += [
            "",
            f"{'':<20}{'median':>10}{'quartiles':>22}{'least':>10}{'most':>10}{'floor':>10}",
        ]
        out += [score_line(name, found) for name, found in table["scores"].items()]
        fallen = table["collapsed"]
        out.append(
            f"over {table['scored']} seeds; N {stamp['n']:,}, {stamp['split']} split, space "
            f"{stamp['space']}, seed {SEED}"
        )
        out.append(
            f"collapsed: {len(fallen['seeds'])} of {fallen['of']}"
            + (f" (seeds {', '.join(map(str, fallen['seeds'][:12]))})" if fallen["seeds"] else "")
        )
    if table["best"]:
        best = table["best"]
        out.append(
            f"lowest {best['by']} of the validation split: seed {best['seed']}, "
            f"{best['value']:.4g} (chosen by it: the median is the result)"
        )
    return [*out, "", *by_seed(table)]


def score_line(name: str, found: dict[str, Any]) -> str:
    """One metric over the seeds."""
    if not found.get("count"):
        return f"{name:<20}{'-':>10}"
    low, high = found["quartiles"]
    floor = "-" if found["floor"] is None else f"{found['floor']:.4g}"
    return (
        f"{name:<20}{found['median']:>10.4g}{f'{low:.4g} .. {high:.4g}':>22}{found['least']:>10.4g}"
        f"{found['most']:>10.4g}{floor:>10}"
    )


def by_seed(table: dict[str, Any]) -> list[str]:
    """The first rows of the table by seed."""
    out = [f"{'seed':>6}  {'status':<12}{'step':>9}{'loss_D':>9}{'loss_G':>9}{CHOSEN_BY:>10}"]
    for r in table["table"][:SHOWN]:
        losses = ["-" if r.get(k) is None else f"{r[k]:.3f}" for k in ("loss_d", "loss_g")]
        value = r.get("scores", {}).get(CHOSEN_BY)
        text = "-" if value is None else f"{value:.4g}"
        word = "  collapsed" if r.get("collapsed") else ""
        out.append(
            f"{r['seed']:>6}  {r['status']:<12}{r['step']:>9,}{losses[0]:>9}{losses[1]:>9}"
            f"{text:>10}{word}"
        )
    if len(table["table"]) > SHOWN:
        out.append(f"and {len(table['table']) - SHOWN} more, in {SUMMARY}")
    return out
