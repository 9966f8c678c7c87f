"""Every signal of a run: figures by name, and why others are not available."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch

from ganforge.data.dataset import LEAST_PAIRS
from ganforge.diagnosis import log_signals, player_signals, sample_signals, translation_signals
from ganforge.diagnosis.log_signals import Figures
from ganforge.diagnosis.sample_signals import Groups
from ganforge.diagnosis.snapshot import (
    NO_CHECKPOINT,
    SEED,
    Compared,
    RealExamples,
    Samples,
    Snapshot,
)
from ganforge.evaluation.inputs import LEAST, Real
from ganforge.nets import SIDES
from ganforge.sampling.translate import Translator
from ganforge.types import Doubles

FEWEST = 10  # training examples
OF_SAMPLES = ("samples", "groups", "logits", "labels", "copies", "translations")


@dataclass
class Signals:
    """What is known of a run.

    Args:
        figures: by name.
        unavailable: group of figures -> why there are none.
    """

    figures: Figures = field(default_factory=dict)
    unavailable: dict[str, str] = field(default_factory=dict)

    def add(self, group: str, figures: Figures, otherwise: str) -> None:
        """Add the figures of a group; if there are none, note why."""
        self.figures |= figures
        if not figures:
            self.unavailable.setdefault(group, otherwise)


def measure(snapshot: Snapshot) -> Signals:
    """All signals of a snapshot.

    Args:
        snapshot: of a run.

    Returns:
        Figures, and the groups "log", "cost", "curve", "scores", "samples", "groups", "labels",
        "logits" and "copies" as far as they are not available.
    """
    signals = of_log(snapshot)
    signals.unavailable |= snapshot.unavailable
    if snapshot.real is not None:
        signals.figures["held_out"] = float(len(snapshot.real.validation))
    curve = log_signals.of_curve(snapshot.curve)
    signals.add("curve", curve, "it has fewer than 5 scores on the way (ganforge train --every 1)")
    numbers = math.prod(snapshot.spec.shape) if snapshot.spec else 1
    scores = log_signals.of_scores(snapshot.scores, numbers)
    signals.add("scores", scores, "it has no Frechet distance yet (ganforge evaluate)")
    add_weights(signals, snapshot)
    samples = add_samples(signals, snapshot)
    if samples is not None:
        add_copies(signals, samples)
    return signals


def of_log(snapshot: Snapshot) -> Signals:
    """The signals of log and state alone."""
    game, log = snapshot.config.game, snapshot.log
    figures = log_signals.of_state(snapshot.info, log, game.d_steps + game.g_steps)
    signals = Signals(figures)
    if snapshot.too_early:
        signals.unavailable["steps"] = snapshot.too_early
    classes = snapshot.spec.classes if snapshot.spec else 0
    records = "record" if len(log) == 1 else "records"
    short = f"its log has {len(log)} {records}, fewer than {log_signals.FEWEST}"
    signals.add("log", log_signals.of_log(log, game, classes), short)
    if "d_cost" not in figures:
        no_guess = "no known value of D's loss means guessing in its game"
        signals.unavailable["cost"] = signals.unavailable.get("log", no_guess)
    return signals


def of_samples(snapshot: Snapshot) -> Signals:
    """The signals of samples and of D's logits, without copies."""
    signals = Signals({}, dict(snapshot.unavailable))
    if snapshot.too_early:
        signals.unavailable["steps"] = snapshot.too_early
    add_samples(signals, snapshot)
    return signals


def add_samples(signals: Signals, snapshot: Snapshot) -> Samples | None:
    """Variety and D's logits of fresh samples; None if they cannot be compared, with the reason."""
    samples, unavailable = snapshot.samples, signals.unavailable
    if samples is not None and isinstance(samples.sampler, Translator):
        unavailable |= dict.fromkeys(OF_SAMPLES, "it translates pictures")
        add_translations(signals, samples.sampler, samples.real)
        return None
    if snapshot.sampler is None:
        why = unavailable.get("players", NO_CHECKPOINT)
    elif samples is None:
        why = unavailable.get("data", "its data are not available")
    else:
        unavailable["translations"] = "it does not translate pictures"
        why = incomparable(samples)
        if not why and not np.isfinite(samples.drawn[0].astype(np.float32)).all():
            signals.figures["finite_samples"], why = 0.0, "its samples are not finite"
    if samples is None or why:
        unavailable |= dict.fromkeys(OF_SAMPLES, why)
        return None
    add_variety(signals, samples)
    add_logits(signals, snapshot, samples)
    return samples


def add_translations(signals: Signals, translator: Translator, real: RealExamples) -> None:
    """How translations depend on their sources."""
    if len(real.validation) < LEAST_PAIRS:
        why = f"{len(real.validation)} held-out pictures are too few, {LEAST_PAIRS} are needed"
        signals.unavailable["translations"] = why
        return
    pictures = Real(real.data, real.validation)
    signals.figures |= translation_signals.of_translator(translator, pictures, real.n, SEED)
    del signals.unavailable["translations"]


def incomparable(samples: Samples) -> str:
    """Why samples and real examples cannot be compared, or ""."""
    real, spec = samples.real, samples.sampler.spec
    data = real.data.spec
    if len(real.data) < FEWEST:
        return f"{len(real.data)} training examples are too few to compare with"
    if len(real.validation) < LEAST:
        return f"{len(real.validation)} held-out examples are too few, at least {LEAST} are needed"
    if spec.shape != data.shape:
        return f"the data have shape {data.shape}, not {spec.shape}"
    if spec.classes not in (0, data.classes):
        return f"the data have {data.classes} classes, not {spec.classes}"
    return ""


def add_weights(signals: Signals, snapshot: Snapshot) -> None:
    """Size of the weights, and whether all are finite."""
    players = snapshot.players
    if not players:
        return
    now = {side: player_signals.norms(module) for side, module in players.items()}
    signals.figures |= player_signals.of_norms(now, snapshot.initial_norms)
    weights = (p for module in players.values() for p in module.parameters())
    signals.figures["finite"] = float(all(p.isfinite().all() for p in weights))


def add_variety(signals: Signals, samples: Samples) -> None:
    """Variety, groups, labels."""
    real, held_out, fake = samples.real, samples.real.held_out, samples.fake
    signals.figures |= sample_signals.of_variety(held_out.features, real.floors, fake.features)
    signals.figures |= {"samples": float(real.count), "examples": float(len(real.data))}
    groups = sample_signals.of_groups(grouped(samples))
    signals.add("groups", groups, "too few samples for groups")
    if fake.labels is None:
        signals.unavailable["labels"] = "its game has no labels"
        signals.figures["labels_available"] = float(held_out.labels is not None)
    elif held_out.labels is None:
        signals.unavailable["labels"] = "the data have no labels"
    else:
        classes = samples.classes if samples.real.are_digits else None
        signals.figures |= sample_signals.of_labels(
            fake.features, fake.labels, held_out.features, held_out.labels, classes
        )


def grouped(samples: Samples) -> Groups:
    """Samples and real examples by known mode, by class, or by cell."""
    real, held_out, fake = samples.real, samples.real.held_out, samples.fake
    mixture = Real(real.data, real.validation).mixture
    if mixture is not None:
        return sample_signals.by_mode(held_out.values, fake.values, mixture)
    if real.are_digits and held_out.labels is not None:
        return sample_signals.by_class(held_out.labels, samples.classes, real.data.spec.classes)
    return sample_signals.by_cell(held_out.features, fake.features)


def add_logits(signals: Signals, snapshot: Snapshot, samples: Samples) -> None:
    """D's logits of training, held-out and fresh examples, and dead units of both players."""
    g, d = (snapshot.players[side] for side in SIDES)
    real, fake, n = samples.real, samples.fake, player_signals.CHUNK
    labelled = snapshot.config.labels
    known = labelled and real.train.labels is not None and real.held_out.labels is not None

    def logits(x: Compared, with_labels: bool, count: int | None = None) -> Doubles:
        labels = x.labels[:count] if x.labels is not None and with_labels else None
        return player_signals.logits(d, x.values[:count], real.data.spec, labels)

    rated = logits(real.train, known), logits(real.held_out, known), logits(fake, labelled)
    if not all(np.isfinite(a).all() for a in rated):
        signals.unavailable["logits"] = "D's logits are not finite"
        return
    signals.figures |= player_signals.of_logits(*rated)
    z = samples.sampler.z(len(fake.values), SEED)[:n]
    label = None if fake.labels is None else torch.from_numpy(fake.labels[:n]).to(z.device)
    dead = {
        "dead_g": player_signals.dead_units(g, lambda: g(z, label, None)),
        "dead_d": player_signals.dead_units(d, lambda: logits(real.held_out, known, n)),
    }
    signals.figures |= {k: v for k, v in dead.items() if not math.isnan(v)}


def add_copies(signals: Signals, samples: Samples) -> None:
    """How near samples are to training examples."""
    real, embed = samples.real, samples.real.pixel_space.embed
    signals.figures |= sample_signals.of_copies(
        real.searched, embed(real.held_out.values), embed(samples.fake.values)
    )
