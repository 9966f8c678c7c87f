"""Four bad samplers, and which metric notices which: no figure means much without them.

`python -m benchmarks.quality.controls` prints the table for MNIST.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch.nn import functional

from ganforge.data.dataset import Examples
from ganforge.data.spec import DataSpec
from ganforge.errors import UsageError
from ganforge.evaluation.inputs import make_case, subset
from ganforge.evaluation.metrics import scores
from ganforge.evaluation.score import Score
from ganforge.rng import Stream
from ganforge.types import Array, Ints

Labelled = tuple[Array, Ints]

BLUR = 1.0  # standard deviation of the blur, pixels
NOISE = 0.1  # of the noise, in units of the values' range, or of a feature's deviation
DROPPED = 1  # the class left out
MEMORY = 500  # training examples of a memoriser


def blurred(values: Array, labels: Ints, seed: int) -> Labelled:
    """Pictures under a Gaussian blur of one pixel; vectors pulled halfway to their mean."""
    if values.ndim == 2:
        mean = values.mean(0, dtype=np.float64).astype(values.dtype)
        return mean + (values - mean) * values.dtype.type(0.5), labels
    line = torch.exp(-torch.arange(-3.0, 4.0).square() / (2 * BLUR**2))
    line /= line.sum()
    n, h, w, c = values.shape
    x = torch.from_numpy(np.array(values)).permute(0, 3, 1, 2).float().reshape(n * c, 1, h, w)
    x = functional.conv2d(x, line.reshape(1, 1, 7, 1), padding=(3, 0))
    x = functional.conv2d(x, line.reshape(1, 1, 1, 7), padding=(0, 3))
    return _stored(x.reshape(n, c, h, w).permute(0, 2, 3, 1).numpy(), values), labels


def noised(values: Array, labels: Ints, seed: int) -> Labelled:
    """Every value with Gaussian noise of a tenth of the range (uint8) or of its deviation."""
    flat = values.reshape(len(values), -1)
    noise = Stream(seed, "controls/noise").normal(0, *flat.shape)
    scale = 255.0 if values.dtype == np.uint8 else flat.std(0)
    return _stored((flat + NOISE * scale * noise).reshape(values.shape), values), labels


def dropped(values: Array, labels: Ints, seed: int) -> Labelled:
    """Every class but one: the examples of class 1 are replaced by others, drawn again."""
    left = np.flatnonzero(labels != DROPPED)
    if not len(left):
        raise UsageError("there is one class only: none can be dropped")
    pick = left[Stream(seed, "controls/dropped").integers(0, len(values), len(left))]
    chosen = np.where(labels == DROPPED, pick, np.arange(len(values)))
    return values[chosen], labels[chosen]


def memoriser(values: Array, labels: Ints, seed: int) -> Labelled:
    """500 of the examples, repeated."""
    known = subset(len(values), MEMORY, seed, "controls/memory")
    pick = known[Stream(seed, "controls/memoriser").integers(0, len(values), len(known))]
    return values[pick], labels[pick]


def halves(real: Labelled, seed: int) -> tuple[Labelled, Labelled]:
    """Real examples cut in two at random: one half to score against, one for the samplers."""
    values, labels = real
    first = subset(len(values), len(values) // 2, seed, "controls/halves")
    rest = np.setdiff1d(np.arange(len(values)), first)[: len(first)]
    return (values[first], labels[first]), (values[rest], labels[rest])


def table(
    train: Labelled,
    real: Labelled,
    source: Labelled,
    *,
    spec: DataSpec,
    metrics: Sequence[str] | None = None,
    seed: int = 0,
    split: str = "validation",
) -> dict[str, list[Score]]:
    """Every metric of every bad sampler, by its name; each score has its floor and verdict.

    The memoriser repeats training examples. The others spoil held-out ones, so that only the fault
    in their name is there.

    Args:
        train: examples (T, ...) and labels (T,) of the training part.
        real: of the part scored against (N, ...).
        source: of the same part, others (N, ...); see `halves`.
        metrics: as `metrics.scores`. spec, seed, split: as `make_case`.
    """
    if len(source[0]) > len(train[0]):
        raise UsageError(
            f"{len(source[0])} held-out and {len(train[0])} training examples: "
            "the memoriser cannot give as many, score fewer"
        )
    pick = subset(len(train[0]), len(source[0]), seed, "controls")
    remembered = train[0][pick], train[1][pick]
    out = {}
    for name, sampler in SAMPLERS.items():
        fake = sampler(*(remembered if name == "memoriser" else source), seed)
        sets = (Examples(*part) for part in (train, real, fake))
        out[name] = scores(make_case(*sets, spec=spec, seed=seed, split=split), metrics)
    return out


def rows(found: dict[str, list[Score]]) -> list[list[str]]:
    """The table metric x sampler as text: a heading, then value and verdict of every cell."""
    names = list(found)
    out = [["metric", "space", "N", "floor", *names]]
    for i, score in enumerate(found[names[0]]):
        cells = [f"{found[s][i].value:.4g} {found[s][i].verdict}" for s in names]
        out.append([score.name, score.space, str(score.n), f"{score.floor:.4g}", *cells])
    return out


def main() -> None:
    """Print the table for MNIST as Markdown. Arguments: [SPLIT [SEED]], test and 0 by default."""
    from ganforge.data.load import load

    given = dict(enumerate(sys.argv))
    split, seed = given.get(1, "test"), int(given.get(2, "0"))
    data, other = load("mnist"), load("mnist", part=split)
    train, scored = ((part.values, np.asarray(part.labels)) for part in (data, other))
    real, source = halves(scored, seed)
    head, *body = rows(table(train, real, source, spec=data.spec, seed=seed, split=split))
    print(f"seed {seed}, split {split}, N = {len(real[0])}\n")
    for row in (head, ["---"] * len(head), *body):
        print(f"| {' | '.join(row)} |")


def _stored(x: Array, like: Array) -> Array:
    """Float values rounded to the type of the stored ones, as a generator's are."""
    if like.dtype == np.uint8:
        return np.clip(np.rint(x), 0, 255).astype(np.uint8)
    return x.astype(like.dtype)


SAMPLERS: dict[str, Callable[[Array, Ints, int], Labelled]] = {
    "blurred": blurred,
    "noised": noised,
    "one class dropped": dropped,
    "memoriser": memoriser,
}


if __name__ == "__main__":
    main()
