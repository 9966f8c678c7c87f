"""Who is diagnosed: what a run folder, or a run under way, has to show, and the figures of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import nn

from ganforge.config.schema import Config
from ganforge.data.dataset import Dataset
from ganforge.diagnosis import from_log, from_players, from_samples
from ganforge.diagnosis.from_log import Figures
from ganforge.diagnosis.from_samples import Groups
from ganforge.evaluation import evaluate, features
from ganforge.evaluation.inputs import LEAST, Real, subset
from ganforge.evaluation.metrics import copying
from ganforge.evaluation.score import Score
from ganforge.sampling.sampler import Sampler
from ganforge.types import Array

N = 1000  # samples looked at, and real examples beside them
KNOWN = 10_000  # training examples that copies are looked for among
FEWEST = 10  # training examples
SEED = 0  # of the samples, in streams that training does not read


@dataclass
class Patient:
    """A run as it stands; what it lacks is None, and `lacking` says why.

    players: "generator" and "discriminator", the weights that train. begun: the spectral norms of
    their first weights. held: real examples that did not train it.
    """

    config: Config
    log: Sequence[Mapping[str, Any]] = ()
    info: Mapping[str, Any] = field(default_factory=dict)
    cards: Sequence[Score] = ()
    curve: Sequence[Mapping[str, Any]] = ()
    players: Mapping[str, nn.Module] = field(default_factory=dict)
    begun: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    sampler: Sampler | None = None
    train: Dataset | None = None
    held: Dataset | None = None
    lacking: dict[str, str] = field(default_factory=dict)
    n: int = N
    step: int = 0

    def forget(self) -> None:
        """Everything of the generator, so that it is looked at anew; the real examples stay."""
        for name in ("drawn", "made", "seen", "groups"):
            self.__dict__.pop(name, None)
        self.lacking = {k: v for k, v in self.lacking.items() if k == "data"}

    def figures(self, copies: bool = True) -> Figures:
        """Everything there is to be known, by name; what could not be is in `lacking`."""
        out = from_log.of_state(self.info, self.log, self.turns)
        classes = self.train.spec.classes if self.train else 0
        found = from_log.of_log(self.log, self.config.game, classes)
        log = self.told("log", found, self.short_log())
        if "d_cost" not in log:
            free = "no loss of D says what guessing costs in its game"
            self.lacking["cost"] = self.lacking.get("log", free)
        out |= log
        curve = from_log.of_curve(self.curve)
        out |= self.told("curve", curve, "it has fewer than 5 scores on the way (train --every 1)")
        size = math.prod(self.train.spec.shape) if self.train else 1
        scores = from_log.of_scores(self.cards, size)
        out |= self.told("scores", scores, "it has not been scored (ganforge evaluate)")
        out |= self.of_players()
        if self.ready():
            out |= self.of_samples()
            out |= self.of_logits()
            out |= self.of_copies() if copies else {}
        return out

    def told(self, name: str, figures: Figures, why: str) -> Figures:
        """`figures`; where there are none, `why` is noted."""
        if not figures:
            self.lacking.setdefault(name, why)
        return figures

    @property
    def turns(self) -> int:
        """Updates in a step."""
        return int(self.config.game.d_steps) + int(self.config.game.g_steps)

    def short_log(self) -> str:
        count = len(self.log)
        many = "record" if count == 1 else "records"
        return f"its log has {count} {many}, fewer than {from_log.LEAST}"

    def ready(self) -> bool:
        """Whether there are samples, and real examples to lay beside them."""
        why = ""
        if self.sampler is None:
            why = self.lacking.get("players", "it has no checkpoint yet")
        elif self.train is None or self.held is None:
            why = self.lacking.get("data", "its data are not at hand")
        elif len(self.train) < FEWEST:
            why = f"{len(self.train)} training examples are too few to compare with"
        elif len(self.held) < LEAST:
            why = f"{len(self.held)} held-out examples are too few, at least {LEAST} are needed"
        elif self.sampler.spec.shape != self.train.spec.shape:
            why = f"the data have shape {self.train.spec.shape}, not {self.sampler.spec.shape}"
        elif self.sampler.spec.classes not in (0, self.train.spec.classes):
            why = (
                f"the data have {self.train.spec.classes} classes, not {self.sampler.spec.classes}"
            )
        for name in ("samples", "groups", "logits", "labels", "copies") if why else ():
            self.lacking[name] = why
        return not why

    def of_players(self) -> Figures:
        """The weights' size, and units that died."""
        if not self.players:
            self.lacking.setdefault("weights", self.lacking.get("players", "no checkpoint yet"))
            return {}
        now = {side: from_players.norms(module) for side, module in self.players.items()}
        out = from_players.of_norms(now, self.begun or {side: {} for side in now})
        finite = all(
            bool(torch.isfinite(p).all()) for m in self.players.values() for p in m.parameters()
        )
        return out | {"finite": float(finite)}

    # --- samples ------------------------------------------------------------------------------

    @cached_property
    def count(self) -> int:
        """How many samples are looked at: as many as there are held-out examples, n at most."""
        assert self.train is not None and self.held is not None
        return min(self.n, len(self.held))

    @cached_property
    def picked(self) -> dict[str, Any]:
        """Rows of the held-out and of the training examples."""
        assert self.train is not None and self.held is not None
        return {
            "held": subset(len(self.held), self.count, SEED, "real"),
            "train": subset(len(self.train), self.count, SEED, "stand-in"),
        }

    @cached_property
    def real(self) -> dict[str, Array]:
        """Stored values of both."""
        assert self.train is not None and self.held is not None
        return {
            "held": np.asarray(self.held.values[self.picked["held"]]),
            "train": np.asarray(self.train.values[self.picked["train"]]),
        }

    @cached_property
    def space(self) -> features.Space:
        assert self.train is not None
        spec = self.train.spec
        name = features.default_space(spec)
        name = name if name in ("identity", "mnist-lenet") else "pca"
        return features.space(name, spec, self.train.values)

    @cached_property
    def embedded(self) -> dict[str, Array]:
        """Features of the held-out and of training examples, (N, F)."""
        return {name: self.space.embed(values) for name, values in self.real.items()}

    @cached_property
    def drawn(self) -> tuple[Array, Array | None]:
        """Fresh samples, and the labels asked for: as often as each stands in the data."""
        assert self.sampler is not None and self.train is not None
        return evaluate.draw(self.sampler, self.train, self.count, SEED)

    @cached_property
    def made(self) -> Array:
        """Features of the samples, (N, F)."""
        return self.space.embed(self.drawn[0])

    @cached_property
    def judge(self) -> bool:
        """Whether the shipped classifier knows these data."""
        assert self.train is not None and self.held is not None
        labels = self.held.labels
        some = None if labels is None else labels[self.picked["held"]]
        return features.digit_logits(self.real["held"], some, self.train.spec) is not None

    @cached_property
    def seen(self) -> Array:
        """What the shipped classifier sees in the samples."""
        return np.asarray(features.classify(self.drawn[0]).argmax(1))

    @cached_property
    def groups(self) -> Groups:
        """The samples by known mode, by class, or by cell."""
        assert self.train is not None and self.held is not None
        mixture = Real(self.train, self.held).mixture
        if mixture is not None:
            return from_samples.by_mode(self.real["held"], self.drawn[0], mixture)
        if self.judge and self.held.labels is not None:
            real = self.held.labels[self.picked["held"]]
            names = self.train.class_names
            return from_samples.by_class(real, self.seen, names, self.train.spec.classes)
        return from_samples.by_cell(self.embedded["held"], self.made)

    def of_samples(self) -> Figures:
        """Variety, groups, labels."""
        if not np.isfinite(self.drawn[0].astype(np.float32)).all():
            for name in ("samples", "groups", "logits", "labels", "copies"):
                self.lacking[name] = "its samples are not finite"
            return {"finite_samples": 0.0}
        stand_in = self.embedded["train"]
        out = from_samples.of_variety(self.embedded["held"], stand_in, self.made)
        out["looked"] = float(self.count)
        out |= self.told(
            "groups", from_samples.of_groups(self.groups), "too few samples for groups"
        )
        assert self.held is not None
        labels, asked = self.held.labels, self.drawn[1]
        if asked is None:
            self.lacking["labels"] = "its game has no labels"
            out["askable"] = float(labels is not None)
        elif labels is None:
            self.lacking["labels"] = "the data have no labels"
        else:
            seen = self.seen if self.judge else None
            real = labels[self.picked["held"]]
            out |= from_samples.of_labels(self.made, asked, self.embedded["held"], real, seen)
        return out

    def of_logits(self) -> Figures:
        """What D says of training, held-out and fresh examples."""
        d = self.players.get("discriminator")
        if d is None or self.train is None or self.held is None or self.sampler is None:
            self.lacking.setdefault("logits", "the discriminator is not at hand")
            return {}
        values, asked = self.drawn
        labels: dict[str, Array | None] = {"held": None, "train": None}
        if self.config.labels and self.held.labels is not None and self.train.labels is not None:
            labels = {
                "held": self.held.labels[self.picked["held"]],
                "train": self.train.labels[self.picked["train"]],
            }
        spec = self.train.spec
        said = {k: from_players.logits(d, v, spec, labels[k]) for k, v in self.real.items()}
        fake = from_players.logits(d, values, spec, asked if self.config.labels else None)
        if not all(np.isfinite(a).all() for a in (*said.values(), fake)):
            self.lacking["logits"] = "D's logits are not finite"
            return {}
        out = from_players.of_logits(said["train"], said["held"], fake)
        g = self.players["generator"]
        z = self.sampler.z(len(fake), SEED)[: from_players.CHUNK]
        label = None if asked is None else torch.from_numpy(asked[: len(z)]).to(z.device)
        real = self.real["held"][: from_players.CHUNK]
        some = None if labels["held"] is None else labels["held"][: len(real)]
        out["dead_g"] = from_players.dead(g, lambda: g(z, label, None))
        out["dead_d"] = from_players.dead(d, lambda: from_players.logits(d, real, spec, some))
        return {k: v for k, v in out.items() if not math.isnan(v) or k == "by_heart"}

    @cached_property
    def reference(self) -> copying.Reference:
        """Training examples, as pixels' principal components or as they are."""
        assert self.train is not None
        known = np.asarray(self.train.values[self.known])
        return copying.reference(self.plain.embed(known), SEED, 1)

    @cached_property
    def known(self) -> Array:
        """Rows of the training examples that copies are looked for among."""
        assert self.train is not None
        return subset(len(self.train), min(KNOWN, len(self.train)), SEED, "known")

    @cached_property
    def plain(self) -> features.Space:
        """Where copies are looked for: near in pixels, not only in meaning."""
        assert self.train is not None
        name = "pca" if self.train.spec.is_image else "identity"
        return features.space(name, self.train.spec, self.train.values)

    def of_copies(self) -> Figures:
        """Do samples lie on training examples?"""
        held, made = self.plain.embed(self.real["held"]), self.plain.embed(self.drawn[0])
        return from_samples.of_copies(self.reference, held, made)
