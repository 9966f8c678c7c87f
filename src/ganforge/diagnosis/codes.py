"""The codes: stable, each with its check, its name, and what it needs to be looked at."""

from __future__ import annotations

import inspect

from ganforge.diagnosis import checks
from ganforge.errors import choice

CHECKS: dict[str, checks.Check] = {
    "GF001": checks.mode_collapse,
    "GF002": checks.partial_collapse,
    "GF003": checks.saturated,
    "GF004": checks.memorising,
    "GF005": checks.balance_lost,
    "GF006": checks.oscillation,
    "GF007": checks.not_finite,
    "GF008": checks.dead_or_exploding,
    "GF009": checks.labels_ignored,
    "GF010": checks.copying,
    "GF011": checks.too_few,
    "GF012": checks.past_its_best,
}

NAMES = {
    "GF001": "mode collapse",
    "GF002": "partial collapse, classes or modes are missing",
    "GF003": "discriminator saturated",
    "GF004": "discriminator memorising",
    "GF005": "balance lost, the generator is ahead",
    "GF006": "oscillation",
    "GF007": "not finite",
    "GF008": "dead units or exploding weights",
    "GF009": "labels ignored",
    "GF010": "training data copied",
    "GF011": "too few samples for the metric",
    "GF012": "trained past its best",
}

# What a check looks at, any of these: where all of them are lacking, it is skipped.
NEEDS: dict[str, tuple[str, ...]] = {
    "GF001": ("samples",),
    "GF002": ("groups",),
    "GF003": ("cost",),
    "GF004": ("logits",),
    "GF005": ("cost",),
    "GF006": ("log",),
    "GF007": (),
    "GF008": ("log", "logits"),
    "GF009": ("labels",),
    "GF010": ("copies",),
    "GF011": ("scores",),
    "GF012": ("curve",),
}


def explain(code: str) -> str:
    """What a code means, why it is bad, what to do; UsageError for one that there is not."""
    choice("code", code, list(CHECKS))
    return f"{code} {NAMES[code]}\n\n{inspect.getdoc(CHECKS[code])}"
