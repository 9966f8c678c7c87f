"""How good is a translator? Its held-out translations, measured by `pairs` and a Frechet distance.

Of an unpaired model with hidden pairs the same is measured both ways; without pairs, what is left.
"""

from __future__ import annotations

import numpy as np

from ganforge import bar
from ganforge.data.dataset import Dataset, Examples
from ganforge.data.describe import at_size
from ganforge.evaluation.inputs import LEAST, Real, make_case, subset
from ganforge.evaluation.metrics import METRICS, frechet
from ganforge.evaluation.pairs import COLOURS, PairCase, against_floor, measures
from ganforge.evaluation.score import Score, verdict
from ganforge.sampling.translate import BACK, FORTH, OPPOSITE, Translator
from ganforge.types import Array

SEEDS = 3  # translations of one source that diversity compares
SEARCHED = 2000  # training sources among which the nearest is searched


def scores(
    translator: Translator, real: Real, *, n: int, seed: int = 0, space: str | None = None
) -> list[Score]:
    """Every measure of a translator that its data allow, of each direction.

    Names of the way back end in "-b2a". N is n, or as many as are held out.

    Args:
        n: pictures of each domain.
        seed: of the translations, the subsets and the resamples.
        space: of the Frechet distance, see `features.SPACES`; None for the default of the data.
    """
    found: list[Score] = []
    for direction in translator.directions:
        case = case_of(translator, real, direction, n, seed)
        ending = "" if direction == FORTH else f"-{BACK}"
        split = real.held_out.part
        for name, (better, measured) in measures(case, translator.is_random(direction)).items():
            if name == "colours":
                judged = verdict(COLOURS, measured)
            else:
                judged = "unknown" if better == "floor" else against_floor(better, measured)
            found.append(
                Score(
                    f"{name}{ending}", measured.value, measured.spread, measured.floor.value,
                    len(case.output), "pixels", "", seed, split, better, measured.note, judged,
                )
            )  # fmt: skip
        if len(case.output) >= LEAST and len(case.train_target) >= max(2 * LEAST, len(case.output)):
            found.append(distance(translator, real, case, direction, seed, space, ending))
    return found


def distance(
    translator: Translator,
    real: Real,
    case: PairCase,
    direction: str,
    seed: int,
    space: str | None,
    ending: str,
) -> Score:
    """The Frechet distance of outputs and held-out targets; the sources' is in its note."""
    target = translator.ends(direction)[1]
    train, held_out = Examples(case.train_target), Examples(case.target)
    made = make_case(
        train, held_out, Examples(case.output), spec=target, space=space, seed=seed,
        split=real.held_out.part,
    )  # fmt: skip
    found = frechet.score(made)
    copies = case.baselines["copy"][subset(len(case.output), made.n, seed, "fake")]
    copy = frechet.frechet(made.features[0], made.embed(copies))
    note = "; ".join(filter(None, (found.note, f"copy {copy:.4g}")))
    return Score(
        f"frechet{ending}", found.value, found.spread, found.floor.value, made.n, made.space.name,
        made.space.sha256, seed, made.split, "lower", note, verdict(METRICS["frechet"], found),
    )  # fmt: skip


def case_of(translator: Translator, real: Real, direction: str, n: int, seed: int) -> PairCase:
    """One direction of a translator, on at most n held-out pictures."""
    source, target = translator.ends(direction)
    size = target.shape[1:]
    held_out, train = ends_of(real.held_out, direction), ends_of(real.train, direction)
    count = min(n, *(len(side) for side in held_out))
    known = min(SEARCHED, *(len(side) for side in train))
    paired, train_paired = not real.held_out.unpaired, not real.train.unpaired
    rows = [
        subset(len(side), count, seed, "pairs" if paired else f"pairs/{i}")
        for i, side in enumerate(held_out)
    ]
    train_rows = [
        subset(len(side), known, seed, "known" if train_paired else f"known/{i}")
        for i, side in enumerate(train)
    ]
    stored = np.asarray(held_out[0][rows[0]])
    both_ways = len(translator.directions) > 1
    seeds = range(1, SEEDS if translator.is_random(direction) else 1)
    passes = 1 + both_ways + len(seeds)
    with bar.phase(f"translations {direction}", passes * len(stored), "examples"):
        made = translator.translate(stored, seed, direction)
        again = None
        if both_ways:
            again = at_size(translator.translate(made, seed, OPPOSITE[direction]), source, size)
        others = tuple(
            at_size(translator.translate(stored, seed + k, direction), target, size) for k in seeds
        )
    return PairCase(
        at_size(stored, source, size),
        at_size(made, target, size),
        at_size(np.asarray(held_out[1][rows[1]]), target, size),
        at_size(np.asarray(train[0][train_rows[0]]), source, size),
        at_size(np.asarray(train[1][train_rows[1]]), target, size),
        paired,
        train_paired,
        again,
        others,
        seed,
    )


def ends_of(data: Dataset, direction: str) -> tuple[Array, Array]:
    """Stored sources and targets of a direction."""
    assert data.source is not None
    return (data.source, data.values) if direction == FORTH else (data.values, data.source)
