"""Do the spreads hold? Every metric on samples that are real: fresh draws of the data's law.

    python -m benchmarks.quality.null --repetitions 200 -n 500

Each repetition draws training examples, real examples and samples of one Gaussian law, and scores
the samples. A spread is right if it is the deviation of the values over repetitions, or a little
more; a verdict is right if it is "as real" in 99 % of them.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence

import numpy as np

from ganforge.data.dataset import Examples
from ganforge.data.spec import DataSpec
from ganforge.evaluation.inputs import FLOORS, make_case
from ganforge.evaluation.metrics import METRICS, scores
from ganforge.evaluation.score import Score

FEATURES, CLASSES = 16, 4
SPEC = DataSpec((FEATURES,), CLASSES, "float32", False, (0.0,) * FEATURES, (1.0,) * FEATURES)
NAMES = tuple(
    name for name, metric in METRICS.items() if metric.default and not {"law"} & {*metric.needs}
)
DISTANCES = ("frechet", "kernel", "mmd", "energy", "sliced-wasserstein")  # see `score.verdict`

ONE_SET = ("authentic", "label-accuracy", "worst-class")  # floors of the held-out examples


def scored(seed: int, n: int, names: Sequence[str] = NAMES, training: int = 0) -> list[Score]:
    """Scores of n real samples; every set is fresh.

    Args:
        seed: of the draws, and of the metrics.
        n: samples, and real examples.
        names: keys of `METRICS`.
        training: examples of the training part; 0 for as many as five floors need.
    """
    g = np.random.default_rng(seed)
    centres = np.eye(CLASSES, FEATURES) * 2

    def draw(count: int) -> Examples:
        labels = g.integers(0, CLASSES, count)
        return Examples((centres[labels] + g.normal(size=(count, FEATURES))).astype("f4"), labels)

    train, real, fake = (draw(count) for count in (training or FLOORS * n, n, n))
    return scores(make_case(train, real, fake, spec=SPEC, seed=seed), names)


def rows(repetitions: Sequence[Sequence[Score]]) -> list[tuple[str, ...]]:
    """A line a metric: deviation of the values, mean of both spreads, verdicts.

    z = (value - floor) / error, as `score.verdict` computes the error of the gap.
    """
    out = [("metric", "deviation", "spread", "floor spread", "z", "as real", "other verdicts")]
    for each in zip(*repetitions, strict=True):
        seen, spread, floor, floor_spread = (
            np.array([getattr(s, field) for s in each])
            for field in ("value", "spread", "floor", "floor_spread")
        )
        verdicts = Counter(s.verdict for s in each)
        real = verdicts.pop("as real", 0) / len(each)
        perfect = floor_spread if each[0].name in DISTANCES else spread
        sets = 1 if each[0].name in ONE_SET else FLOORS
        error = np.maximum(np.hypot(perfect, floor_spread / sets**0.5), 1e-300)
        z = (seen - floor) / error
        numbers = (seen.std(ddof=1), spread.mean(), floor_spread.mean())
        rest = ", ".join(f"{word} {count}" for word, count in verdicts.items())
        out.append(
            (
                each[0].name,
                *(f"{x:.3g}" for x in numbers),
                f"{z.mean():+.2f} +- {z.std(ddof=1):.2f}",
                f"{real:.1%}",
                rest,
            )
        )
    return out


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality.null", description=__doc__)
    parser.add_argument("--repetitions", type=int, default=200)
    parser.add_argument("-n", type=int, default=500)
    parser.add_argument("--training", type=int, default=0)
    parser.add_argument("--metrics", default=",".join(NAMES))
    given = parser.parse_args()
    names = given.metrics.split(",")
    found = [scored(seed, given.n, names, given.training) for seed in range(given.repetitions)]
    head, *body = rows(found)
    print(f"{given.repetitions} repetitions of N = {given.n:,}, {FEATURES} features\n")
    for row in (head, ["---"] * len(head), *body):
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
