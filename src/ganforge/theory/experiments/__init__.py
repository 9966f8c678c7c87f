"""One file for each experiment: a generator of lines that returns a `page.Shown`."""

from ganforge.theory.experiments import (
    divergence,
    equilibrium,
    figure1,
    landscape,
    losses,
    noise,
)

__all__ = ["divergence", "equilibrium", "figure1", "landscape", "losses", "noise"]
