"""Every signal of a run: figures by name, and why others are not available."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch

from ganforge.diagnosis import log_signals, player_signals, sample_signals
from ganforge.diagnosis.log_signals import Figures
from ganforge.diagnosis.sample_signals import Groups
from ganforge.diagnosis.snapshot import SEED, Samples, Snapshot
from ganforge.evaluation import features
from ganforge.evaluation.evaluate import Real
from ganforge.evaluation.inputs import LEAST

FEWEST = 10  # training examples
OF_SAMPLES = ("samples", "groups", "logits", "labels", "copies")


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
        Figures, and the groups "log", "cost", "curve", "scores", "weights", "samples", "groups",
        "labels", "logits" and "copies" as far as they are not available.
    """
    signals = of_log(snapshot)
    signals.unavailable |= snapshot.unavailable
    curve = log_signals.of_curve(snapshot.curve)
    signals.add("curve", curve, "it has fewer than 5 scores on the way (train --every 1)")
    size = math.prod(snapshot.spec.shape) if snapshot.spec else 1
    space = next((s.space for s in reversed(snapshot.scores) if s.name == "frechet"), "")
    scores = log_signals.of_scores(snapshot.scores, features.SIZES.get(space, size))
    signals.add("scores", scores, "it has not been scored (ganforge evaluate)")
    add_weights(signals, snapshot)
    samples = comparable(signals, snapshot)
    if samples is not None:
        add_variety(signals, samples)
        add_logits(signals, snapshot, samples)
        add_copies(signals, samples)
    return signals


def of_log(snapshot: Snapshot) -> Signals:
    """The signals of log and state alone."""
    game, log = snapshot.config.game, snapshot.log
    figures = log_signals.of_state(snapshot.info, log, int(game.d_steps) + int(game.g_steps))
    signals = Signals(figures)
    records = "record" if len(log) == 1 else "records"
    short = f"its log has {len(log)} {records}, fewer than {log_signals.FEWEST}"
    classes = snapshot.spec.classes if snapshot.spec else 0
    signals.add("log", log_signals.of_log(log, game, classes), short)
    if "d_cost" not in figures:
        no_guess = "no value of D's loss means guessing in its game"
        signals.unavailable["cost"] = signals.unavailable.get("log", no_guess)
    return signals


def of_samples(snapshot: Snapshot) -> Signals:
    """The signals of samples and of D's logits, without copies."""
    signals = Signals(unavailable=dict(snapshot.unavailable))
    samples = comparable(signals, snapshot)
    if samples is not None:
        add_variety(signals, samples)
        add_logits(signals, snapshot, samples)
    return signals


def comparable(signals: Signals, snapshot: Snapshot) -> Samples | None:
    """Fresh samples, if they can be compared with real examples; else why not, noted."""
    samples = snapshot.samples
    if samples is not None:
        why = incomparable(samples)
        if not why and not np.isfinite(samples.values.astype(np.float32)).all():
            signals.figures["finite_samples"], why = 0.0, "its samples are not finite"
    elif snapshot.sampler is None:
        why = signals.unavailable.get("players", "it has no checkpoint yet")
    else:
        why = signals.unavailable.get("data", "its data are not available")
    if not why:
        return samples
    signals.unavailable |= dict.fromkeys(OF_SAMPLES, why)
    return None


def incomparable(samples: Samples) -> str:
    """Why samples and real examples cannot be compared, or ""."""
    real, spec = samples.real, samples.sampler.spec
    data = real.train.spec
    if len(real.train) < FEWEST:
        return f"{len(real.train)} training examples are too few to compare with"
    if len(real.held_out) < LEAST:
        return f"{len(real.held_out)} held-out examples are too few, at least {LEAST} are needed"
    if spec.shape != data.shape:
        return f"the data have shape {data.shape}, not {spec.shape}"
    if spec.classes not in (0, data.classes):
        return f"the data have {data.classes} classes, not {spec.classes}"
    return ""


def add_weights(signals: Signals, snapshot: Snapshot) -> None:
    """Size of the weights, and whether all are finite."""
    players = snapshot.players
    if not players:
        why = signals.unavailable.get("players", "it has no checkpoint yet")
        signals.unavailable.setdefault("weights", why)
        return
    now = {side: player_signals.norms(module) for side, module in players.items()}
    signals.figures |= player_signals.of_norms(now, snapshot.initial_norms)
    weights = (p for module in players.values() for p in module.parameters())
    signals.figures["finite"] = float(all(bool(torch.isfinite(p).all()) for p in weights))


def add_variety(signals: Signals, samples: Samples) -> None:
    """Variety, groups, labels."""
    real, fake = samples.real, samples.features
    signals.figures |= sample_signals.of_variety(real.held_out_features, real.train_features, fake)
    signals.figures["samples"] = float(real.count)
    groups = sample_signals.of_groups(grouped(samples))
    signals.add("groups", groups, "too few samples for groups")
    if samples.labels is None:
        signals.unavailable["labels"] = "its game has no labels"
        signals.figures["labels_available"] = float(real.held_out_labels is not None)
    elif real.held_out_labels is None:
        signals.unavailable["labels"] = "the data have no labels"
    else:
        signals.figures |= sample_signals.of_labels(
            fake,
            samples.labels,
            real.held_out_features,
            real.held_out_labels,
            samples.classes if real.are_digits else None,
        )


def grouped(samples: Samples) -> Groups:
    """Samples and real examples by known mode, by class, or by cell."""
    real = samples.real
    mixture = Real(real.train, real.held_out).mixture
    if mixture is not None:
        return sample_signals.by_mode(real.held_out_values, samples.values, mixture)
    if real.are_digits and real.held_out_labels is not None:
        names, classes = real.train.class_names, real.train.spec.classes
        return sample_signals.by_class(real.held_out_labels, samples.classes, names, classes)
    return sample_signals.by_cell(real.held_out_features, samples.features)


def add_logits(signals: Signals, snapshot: Snapshot, samples: Samples) -> None:
    """D's logits of training, held-out and fresh examples, and dead units of both players."""
    d, real, spec = snapshot.players["discriminator"], samples.real, samples.real.train.spec
    labels = (real.train_labels, real.held_out_labels, samples.labels)
    if not snapshot.config.labels or labels[0] is None or labels[1] is None:
        labels = (None, None, samples.labels if snapshot.config.labels else None)
    values = (real.train_values, real.held_out_values, samples.values)
    train, held_out, fake = (
        player_signals.logits(d, x, spec, y) for x, y in zip(values, labels, strict=True)
    )
    if not all(np.isfinite(a).all() for a in (train, held_out, fake)):
        signals.unavailable["logits"] = "D's logits are not finite"
        return
    figures = player_signals.of_logits(train, held_out, fake)

    g, few = snapshot.players["generator"], player_signals.CHUNK
    z = samples.sampler.z(len(fake), SEED)[:few]
    label = None if samples.labels is None else torch.from_numpy(samples.labels[:few]).to(z.device)
    x, y = values[1][:few], None if labels[1] is None else labels[1][:few]
    dead = {
        "dead_g": player_signals.dead_units(g, lambda: g(z, label, None)),
        "dead_d": player_signals.dead_units(d, lambda: player_signals.logits(d, x, spec, y)),
    }
    signals.figures |= figures | {k: v for k, v in dead.items() if not math.isnan(v)}


def add_copies(signals: Signals, samples: Samples) -> None:
    """How near samples are to training examples."""
    embed = samples.real.pixel_space.embed
    signals.figures |= sample_signals.of_copies(
        samples.real.searched, embed(samples.real.held_out_values), embed(samples.values)
    )
