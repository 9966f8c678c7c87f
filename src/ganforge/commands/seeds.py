"""`ganforge train --seeds`: what will be trained and what it takes, and how it came out."""

from __future__ import annotations

from pathlib import Path

from ganforge.config.schema import Config
from ganforge.errors import UsageError
from ganforge.experiments.seeds import plan as plans
from ganforge.experiments.seeds import summary
from ganforge.experiments.seeds.plan import Plan, size

lines = summary.lines


def plan(
    chosen: Config, text: str, out: Path | None, at_once: int | None, seed: int | None,
    gpus: int | None,
) -> Plan:  # fmt: skip
    """The plan of `--seeds TEXT`; UsageError for options that say something else."""
    named = plans.parse(text)
    if seed is not None:
        raise UsageError(f"--seed {seed} and --seeds {text}: give one of them")
    if gpus is not None:
        raise UsageError(
            f"--gpus {gpus} and --seeds {text}: a population is trained by one process; give "
            "--gpus for the run of one seed"
        )
    return plans.make(chosen, out, named, at_once)


def told(plan: Plan) -> list[str]:
    """What a plan comes to: seeds, steps, how they are trained, memory, folder."""
    count, left = len(plan.seeds), sum(plan.pending(seed) for seed in plan.seeds)
    out = [f"{count} seeds of {plan.config.name} on {plan.config.data}, {left} to be trained, in "
           f"{plan.folder}"]  # fmt: skip
    if plan.one_by_one and left:
        out.append(f"one by one: {plan.one_by_one}")
    elif plan.cost is not None:
        most = max(len(group) for group in plan.groups)
        turns = f"{most} at once" + (f", {len(plan.groups)} groups" if len(plan.groups) > 1 else "")
        out.append(
            f"{turns}: about {size(plan.cost.total(most))} of memory ({size(plan.cost.member)} a "
            f"game), {size(plan.free)} are free; figures are of all seeds together"
        )
    return out


def rehearsed(plan: Plan) -> list[str]:
    """The lines of `--dry-run`."""
    on = plan.resolved
    return [
        *told(plan),
        f"budget: {plan.steps:,} steps of {plan.config.batch} for each",
        f"device: {on.device}, {on.precision}, {on.threads} threads",
        "nothing was trained or written",
    ]
