"""Signals of a translator: how its pictures depend on their sources."""

from __future__ import annotations

import numpy as np

from ganforge.data.describe import at_size
from ganforge.diagnosis.log_signals import Figures
from ganforge.evaluation.inputs import Real
from ganforge.evaluation.pairs import PairCase, l1, mean_picture, retrieval
from ganforge.evaluation.translation import case_of
from ganforge.rng import Stream
from ganforge.sampling.translate import OPPOSITE, Translator
from ganforge.types import Pixels

NOISE = 4  # grey levels, standard deviation, that spoil a hidden message and hardly a picture


def of_translator(translator: Translator, real: Real, n: int, seed: int) -> Figures:
    """The figures of both directions, each the worse one of the two.

    Args:
        translator: the generator.
        real: pictures that trained it, and others.
        n: held-out pictures of each domain, at most.
        seed: of the translations and of the noise.

    Returns:
        moved, variety, to_target, retrieval of `of_case`, and of a model with both directions
        cycle and hidden: the cycle error over that of the mean picture, and how much noise
        multiplies it.
    """
    found = []
    for direction in translator.directions:
        case = case_of(translator, real, direction, n, seed)
        figures = of_case(case)
        if case.again is not None:
            figures |= of_cycle(case, translator, direction, seed)
        found.append(figures)
    worst = {"to_target": max, "hidden": max}
    return {name: worst.get(name, min)(figures[name] for figures in found) for name in found[0]} | {
        "pairs": float(len(case.output))
    }


def of_case(case: PairCase) -> Figures:
    """How the outputs depend on their sources.

    Returns:
        moved: mean difference of output and source, over that of target and source;
        variety: mean difference of two outputs, over that of two targets;
        of pairs also to_target: mean difference of output and target, over that to other targets;
        retrieval: share of outputs whose nearest target is that of their source.
    """
    source = case.baselines["copy"]
    figures = {
        "moved": ratio(l1(case.output, source).mean(), l1(case.target, source).mean()),
        "variety": ratio(apart(case.output, case.output), apart(case.target, case.target)),
    }
    if case.paired:
        far = l1(case.output, case.target).mean()
        figures["to_target"] = ratio(far, apart(case.output, case.target))
        figures["retrieval"] = float(retrieval(case.output, case.target).mean())
    return figures


def of_cycle(case: PairCase, translator: Translator, direction: str, seed: int) -> Figures:
    """The cycle error, and what a little noise on the way does to it."""
    assert case.again is not None
    noise = Stream(seed, "diagnosis/cycle").normal(0, len(case.output), case.output[0].size)
    spoilt = case.output + NOISE * noise.reshape(case.output.shape)
    spoilt = np.clip(np.rint(spoilt), 0, 255).astype(np.uint8)
    source, target = translator.ends(direction)
    again = at_size(
        translator.translate(spoilt, seed, OPPOSITE[direction]), source, target.shape[1:]
    )
    error = float(l1(case.again, case.source).mean())
    floor = float(l1(mean_picture(case.train_source, len(case.source)), case.source).mean())
    level = 1 / 127.5  # below one grey level an error is none
    return {
        "cycle": ratio(error, floor),
        "hidden": (float(l1(again, case.source).mean()) + level) / (error + level),
    }


def apart(a: Pixels, b: Pixels) -> float:
    """The mean difference of pictures of a and of others of b."""
    steps = sorted({1, len(a) // 3, len(a) // 2} - {0})
    return float(np.mean([l1(a, np.roll(b, step, 0)).mean() for step in steps]))


def ratio(a: float, b: float) -> float:
    """a / b; 0 beside 0."""
    return float(a / max(b, 1e-9))
