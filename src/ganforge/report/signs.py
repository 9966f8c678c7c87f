"""Signs of health that belong to one system: its codes, its augmentation, its styles."""

from __future__ import annotations

import math

from ganforge.errors import GanforgeError
from ganforge.nets.codes import limits
from ganforge.plotting.curves import column
from ganforge.report.facts import Facts, Pair
from ganforge.runs import checkpoint, load, model

LATEST = 0.25  # of the log's records are averaged


def signs(known: Facts) -> list[Pair]:
    """What the system of a run says of itself, by name; [] for a system without such signs."""
    return [*of_codes(known), *of_augmentation(known), *of_styles(known)]


def of_codes(known: Facts) -> list[Pair]:
    """How much of each code Q reads from the samples, over the last quarter of the log."""
    try:
        config = load.load_config(known.run)
    except GanforgeError:  # of parts that are code which is not at hand
        return []
    window = known.log[-max(1, math.ceil(LATEST * len(known.log))) :]
    found = []
    for code in config.inferred:
        bound = float(column(window, f"code_{code.name}").mean()) if window else math.nan
        if math.isfinite(bound):
            blind, best = limits(code)
            share = (bound - blind) / (best - blind)
            said = f"{share:.0%} shown: {bound:.2f} nats, {best:.2f} at most, {blind:.2f} for none"
            found.append((f"code {code.name}", said))
    return found


def of_augmentation(known: Facts) -> list[Pair]:
    """The strength that a controller has chosen."""
    strengths = column(known.log, "augment_p")
    if not len(strengths) or not math.isfinite(strengths[-1]):
        return []
    return [("augmentation", f"p = {strengths[-1]:.3g} at the end, {strengths.max():.3g} at most")]


def of_styles(known: Facts) -> list[Pair]:
    """Noise strengths and the average style of a style-based generator."""
    path = known.run.model / model.WEIGHTS
    try:
        tensors = checkpoint.read_tensors(path) if path.is_file() else {}
    except GanforgeError:  # the page says elsewhere that the model is damaged
        return []
    strengths = [abs(float(t)) for name, t in tensors.items() if name.endswith(".strength")]
    if not strengths or "w_mean" not in tensors:
        return []
    shown = ", ".join(f"{strength:.3g}" for strength in strengths)
    average = float(tensors["w_mean"].float().square().mean().sqrt())
    return [
        ("noise strengths", f"{shown} from 4 pixels on (all 0 at the start)"),
        ("average style", f"root mean square {average:.3g} (0 at the start)"),
    ]
