"""What a diagnosis looks at, gathered once: of a run folder, or of a run while it trains.

Nothing that a trainer uses is changed or locked: a trainer may be at work in the folder.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import nn

from ganforge.config.schema import Config
from ganforge.data.dataset import Dataset
from ganforge.data.spec import DataSpec
from ganforge.diagnosis.player_signals import norms
from ganforge.diagnosis.sample_signals import Floors, floors
from ganforge.errors import DataError, DiskError, UsageError
from ganforge.evaluation import evaluate, features, store
from ganforge.evaluation.inputs import LEAST, stand_ins, subset
from ganforge.evaluation.metrics import copying
from ganforge.evaluation.score import Score
from ganforge.nets import SIDES
from ganforge.runs import folder
from ganforge.runs import load as runs
from ganforge.runs.checkpoint import Checkpoint
from ganforge.runs.folder import Run
from ganforge.runs.model import OwnNetworks
from ganforge.sampling.sampler import Sampler
from ganforge.sampling.translate import sampler_of
from ganforge.training import build
from ganforge.training.trainer import Trainer
from ganforge.types import Array

N = 1000  # samples, and real examples of either kind, that are compared
SEARCHED = 10_000  # training examples that are searched for copies
FEWEST_UPDATES = 200
NO_CHECKPOINT = "it has no checkpoint yet"
SEED = 0  # of the samples, in streams that training does not read


class Compared(NamedTuple):
    """Examples that are compared with others.

    Args:
        values: (N, H, W, C) or (N, F), as stored.
        labels: (N,) in 0..K-1, or None.
        features: (N, F).
    """

    values: Array
    labels: Array | None
    features: Array


@dataclass(frozen=True)
class RealExamples:
    """Real examples to compare samples with, and what is computed of them alone, once.

    Args:
        data: examples that trained the run.
        validation: examples that did not.
        n: of each are compared, or as many as `validation` holds if that is fewer.
    """

    data: Dataset
    validation: Dataset
    n: int = N

    @property
    def count(self) -> int:
        """How many of each are compared."""
        return min(self.n, len(self.validation))

    @cached_property
    def train(self) -> Compared:
        """Some of `data`."""
        return self.pick(self.data, "stand-in")

    @cached_property
    def held_out(self) -> Compared:
        """Some of `validation`."""
        return self.pick(self.validation, "real")

    @cached_property
    def stand_ins(self) -> tuple[Array, ...]:
        """Features of subsets of `data` that stand in for samples; one set if there are few."""
        n = min(self.count, len(self.data) // 2)
        if n < LEAST:
            return (self.train.features,)
        picks, _ = stand_ins(len(self.data), n, SEED)
        return tuple(self.space.embed(np.asarray(self.data.values[pick])) for pick in picks)

    @cached_property
    def floors(self) -> Floors:
        """Coverage and Frechet distance of `stand_ins`."""
        return floors(self.held_out.features, self.stand_ins)

    def pick(self, data: Dataset, stream: str) -> Compared:
        """`count` examples of a data set, chosen by the random stream of that name."""
        rows = subset(len(data), self.count, SEED, stream)
        values = np.asarray(data.values[rows])
        labels = None if data.labels is None else data.labels[rows]
        return Compared(values, labels, self.space.embed(values))

    @cached_property
    def space(self) -> features.Space:
        """Where variety is measured: no larger network, it would take too long."""
        return self.in_space(features.small_space(self.data.spec))

    @cached_property
    def pixel_space(self) -> features.Space:
        """Where copies are searched: near in pixels, not only in meaning."""
        return self.in_space("pca" if self.data.spec.is_image else "identity")

    def in_space(self, name: str) -> features.Space:
        """A feature space of these data."""
        return features.space(name, self.data.spec, self.data.values)

    @cached_property
    def are_digits(self) -> bool:
        """Whether the shipped classifier knows these data."""
        held_out = self.held_out
        labels, spec = held_out.labels, self.data.spec
        return features.digit_logits(held_out.values, labels, spec) is not None

    @cached_property
    def searched_rows(self) -> Array:
        """The rows of `data` that are searched for copies."""
        return subset(len(self.data), min(SEARCHED, len(self.data)), SEED, "known")

    @cached_property
    def searched(self) -> copying.Reference:
        """Those training examples in `pixel_space`."""
        values = np.asarray(self.data.values[self.searched_rows])
        return copying.reference(self.pixel_space.embed(values), SEED, 1)


@dataclass(frozen=True)
class Samples:
    """Fresh samples of a generator, as many as real examples are compared.

    Args:
        sampler: the generator.
        real: what the samples are compared with.
    """

    sampler: Sampler
    real: RealExamples

    @cached_property
    def drawn(self) -> tuple[Array, Array | None]:
        """Stored values, and the requested labels, as frequent as in the data."""
        return evaluate.draw(self.sampler, self.real.data, self.real.count, SEED)

    @cached_property
    def fake(self) -> Compared:
        """The samples, with features in the space of the real examples."""
        return Compared(*self.drawn, self.real.space.embed(self.drawn[0]))

    @cached_property
    def classes(self) -> Array:
        """(N,) digits by the shipped classifier."""
        return np.asarray(features.classify(self.drawn[0]).argmax(1))


@dataclass(frozen=True)
class Snapshot:
    """A run as it stands.

    Args:
        config: of the run.
        log: records of log.jsonl.
        info: of run.json.
        scores: the newest ones.
        curve: records of scores.jsonl.
        spec: of the data, if known.
        real: examples to compare samples with, if available.
        players: "generator" and "discriminator" with the weights that train, or {}.
        initial_norms: spectral norms of the players' weights before the first step, or {}.
        sampler: of the generator, if there is one.
        unavailable: "data" or "players" -> why there are none.
        step: of the run.
        planned: steps of its whole budget, 0 if unknown.
        path: of its folder, if known.
        fewest: generator updates before most checks mean something.
    """

    config: Config
    log: Sequence[Mapping[str, Any]] = ()
    info: Mapping[str, Any] = field(default_factory=dict)
    scores: Sequence[Score] = ()
    curve: Sequence[Mapping[str, Any]] = ()
    spec: DataSpec | None = None
    real: RealExamples | None = None
    players: Mapping[str, nn.Module] = field(default_factory=dict)
    initial_norms: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    sampler: Sampler | None = None
    unavailable: Mapping[str, str] = field(default_factory=dict)
    step: int = 0
    planned: int = 0
    path: Path | None = None
    fewest: int = FEWEST_UPDATES

    @property
    def too_early(self) -> str:
        """Why most checks say nothing yet, or "".

        They need 200 updates of the generator, and a tenth of the budget up to 2,000 steps.
        """
        updates = math.ceil(self.fewest / max(1, self.config.game.g_steps))
        needed = max(updates, min(self.planned // 10, 10 * updates))
        return f"too early: {self.step} of {needed} steps" if self.step < needed else ""

    @cached_property
    def samples(self) -> Samples | None:
        """Fresh samples, if there are a generator and real examples."""
        if self.sampler is None or self.real is None:
            return None
        return Samples(self.sampler, self.real)


def of_training(t: Trainer, real: RealExamples | str, **more: Any) -> Snapshot:
    """A run while it trains.

    Args:
        t: the training.
        real: examples to compare samples with, or why there are none.
        more: further fields of the snapshot.
    """
    players = t.state.players
    return Snapshot(
        t.config,
        spec=t.data.spec,
        real=None if isinstance(real, str) else real,
        players={side: getattr(players, side) for side in SIDES},
        sampler=t.sampler(),
        unavailable={"data": real} if isinstance(real, str) else {},
        step=t.state.step,
        planned=t.steps,
        path=t.run.path,
        **more,
    )


def of_run(
    path: Path | str,
    data: Dataset | None = None,
    validation: Dataset | None = None,
    networks: OwnNetworks | None = None,
    n: int = N,
) -> Snapshot:
    """Everything that a run folder shows.

    Args:
        path: of the run.
        data, validation: training and held-out examples in place of those that the run names.
        networks: the user's function, for a run whose networks are code of the user's.
        n: samples to compare.

    Raises:
        DataError: there is no run, it is damaged, or it has neither log nor checkpoint.
    """
    run = folder.open_run(path)
    log, info = run.log(), run.info()
    config = runs.load_config(run, networks)
    saved = runs.newest_checkpoint(run)
    if saved is None and not log and info.get("status") != "diverged":
        raise DataError(f"{run.path}: nothing to diagnose yet, no log record and no checkpoint")

    unavailable: dict[str, str] = {}
    if data is None:
        data, validation = data_of_run(run, unavailable)
    elif validation is None:
        unavailable["data"] = "no held-out examples were given"
    seen = Snapshot(
        config,
        log,
        info,
        newest_scores(run),
        store.curve(run),
        spec=None if data is None else data.spec,
        real=None if data is None or validation is None else RealExamples(data, validation, n),
        unavailable=unavailable,
        step=int(info.get("step", 0) or (log[-1].get("step", 0) if log else 0)),
        planned=int(info.get("steps", 0) or 0),
        path=run.path,
    )

    spec = runs.load_spec(run) or seen.spec
    if saved is None or spec is None:
        unavailable["players"] = NO_CHECKPOINT if saved is None else "its model folder is missing"
        return seen
    seen = replace(seen, step=saved.step)
    try:
        names = data.class_names if data is not None and config.labels else ()
        return with_players(seen, spec, saved, names)
    except UsageError as error:  # code of the user's that was not given
        unavailable["players"] = str(error)
        return seen


def with_players(
    seen: Snapshot, spec: DataSpec, saved: Checkpoint, class_names: tuple[str, ...]
) -> Snapshot:
    """A snapshot with the networks of a checkpoint; UsageError if they cannot be built."""
    config = seen.config
    spec = build.players_spec(config, spec)
    loaded = runs.load_players(config, spec, saved)
    first = build.initial(config, spec).players
    return replace(
        seen,
        players={side: loaded[side] for side in SIDES},
        initial_norms={side: norms(getattr(first, side)) for side in SIDES},
        sampler=sampler_of(
            loaded.get("ema", loaded["generator"]), spec, config.noise, config.name, class_names
        ),
    )


def data_of_run(run: Run, unavailable: dict[str, str]) -> tuple[Dataset | None, Dataset | None]:
    """Training and held-out examples that a run names, as far as they are still available."""
    train = None
    try:
        train = runs.training_data(run)
        return train, runs.load_part(run, "validation")
    except (DataError, UsageError, DiskError) as error:
        unavailable["data"] = f"{error} (--data names other data)"
        return train, None


def newest_scores(run: Run) -> list[Score]:
    """The newest scores with a Frechet distance: of scores.json, else of the curve."""
    scored = [e for e in sorted(store.entries(run), key=store.rank) if store.frechet(e)]
    newest = (scored or store.curve(run))[-1:]
    try:
        return [score for entry in newest for score in store.cards(entry)]
    except (KeyError, TypeError, ValueError):
        return []
