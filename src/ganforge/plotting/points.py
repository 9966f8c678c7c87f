"""Points of the plane."""

from __future__ import annotations

from ganforge.types import Array


def true_moments(name: str) -> tuple[Array, Array] | None:
    """Mean (F,) and covariance (F, F) of a toy law, where they are known."""
    from ganforge.data import toy

    law = toy.LAWS.get(name)
    if law is None:
        return None
    mean, covariance = getattr(law, "mean", None), getattr(law, "covariance", None)
    return None if mean is None or covariance is None else (mean, covariance)
