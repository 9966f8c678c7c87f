"""What was played, and the Markdown of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks.speed.frameworks.gradients import EXACT, ROUGH, Case
from benchmarks.speed.frameworks.measure import CLOSE, NEAR, arrived, error


@dataclass(frozen=True)
class Side:
    """name: in the table. framework: its script and environment. slow: plays one seed only.

    gradients: the gradients in its row, where they are not its framework's.
    """

    name: str
    framework: str
    variant: str
    slow: bool = False
    gradients: str = ""


SIDES = (
    Side("TensorFlow, eager loop", "tensorflow", "eager", slow=True),
    Side("TensorFlow, step in tf.function", "tensorflow", "step"),
    Side("TensorFlow, epoch in tf.function", "tensorflow", "epoch"),
    Side("MXNet, Gluon", "mxnet", "plain"),
    Side("MXNet, Gluon, hybridised", "mxnet", "hybrid"),
    Side("JAX, jitted step", "jax", "step"),
    Side("JAX, epoch as lax.scan", "jax", "scan"),
    Side("PyTorch, plain loop", "torch", "plain"),
    Side("ganforge, one game", "torch", "ours", gradients="ours"),
)


def largest(errors: Mapping[str, Mapping[str, float]], cases: Sequence[Case]) -> str:
    """The largest relative difference of a gradient over the cases; a dash if there is none."""
    found = [value for case in cases for value in errors.get(case.name, {}).values()]
    return f"{max(found):.1e}" if found else "-"


def speed(result: Mapping[str, Any]) -> list[str]:
    """A row for each side: medians over its games, and the gradients of its framework."""
    lines = [
        "| side | examples per CPU second | per second | ratio to TensorFlow's eager loop, CPU | "
        "first epoch, CPU s | gradients, fp64 | fp32 |",
        "|---|---|---|---|---|---|---|",
    ]
    games = {s: [g for g in result["games"] if g["side"] == s.name] for s in SIDES}
    base = [g["rate_cpu"] for g in games[SIDES[0]]]
    for side, mine in games.items():
        if not mine:
            continue
        cpu, wall, first = (
            median(g[name] for g in mine) for name in ("rate_cpu", "rate", "first_cpu")
        )
        ratio = f"{cpu / median(base):.1f}" if base else "-"
        errors = result["gradients"].get(side.gradients or side.framework, {})
        lines.append(
            f"| {side.name} | {cpu:,.0f} | {wall:,.0f} | {ratio} | {first:.1f} | "
            f"{largest(errors, EXACT)} | {largest(errors, ROUGH)} |"
        )
    return lines


def outcome(result: Mapping[str, Any]) -> list[str]:
    """A row for each game: its losses at the end, and what it has learnt of the law."""
    lines = [
        "| side | seed | loss_D / loss_G | at 0.693 | covariance | largest error |",
        "|---|---|---|---|---|---|",
    ]
    for side in SIDES:
        for game in (g for g in result["games"] if g["side"] == side.name):
            (a, b), (_, c) = game["covariance"]
            lines.append(
                f"| {side.name} | {game['seed']} | {game['loss_D']:.3f} / {game['loss_G']:.3f} | "
                f"{'yes' if arrived(game) else 'no'} | {a:.2f}, {b:.2f}, {c:.2f} | "
                f"{error(game['covariance']):.0%} |"
            )
    return lines


def page(result: Mapping[str, Any]) -> str:
    """Both tables, and what is not in them and why."""
    games = result["games"]
    versions = {name: v for game in games for name, v in game["versions"].items()}
    close, near = sum(map(arrived, games)), sum(error(g["covariance"]) <= NEAR for g in games)
    return "\n".join(
        [
            f"{result['date']}, {result['machine']}, {result['epochs']} epochs, seeds "
            f"{', '.join(map(str, result['seeds']))}; "
            f"{', '.join(f'{name} {v}' for name, v in sorted(versions.items()))}.",
            "",
            *speed(result),
            "",
            *outcome(result),
            "",
            f"Both losses within {CLOSE:g} of log 2 in {close} of {len(games)} games; every entry "
            f"of the covariance (true: 1.01, 1.95, 4.25) within {NEAR:.0%} in {near}.",
            *(f"- {name} is left out: {why}" for name, why in result["missing"].items()),
            *(f"- FAILED: {why}" for why in result["failed"]),
        ]
    )
