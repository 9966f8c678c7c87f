"""What the schedules of a config say at a step, in one place for every way of training."""

from __future__ import annotations

from ganforge.config.schema import Average, Config
from ganforge.gan import ema
from ganforge.gan.state import StepHyperparameters
from ganforge.nets import SIDES


def hyperparameters(
    config: Config, step: int, steps: float, rate_scale: float = 1.0
) -> StepHyperparameters:
    """The hyperparameters of one step.

    Args:
        step: 0 for the first.
        steps: of the whole budget; rates and penalties fall with the fraction step / steps.
        rate_scale: a further factor of every learning rate.
    """
    used = step / steps
    choices = {side: getattr(config, side) for side in SIDES}
    scales = tuple(penalty.scale(used) for penalty in config.game.penalties)
    return StepHyperparameters(
        {side: choice.rate(used, step) * rate_scale for side, choice in choices.items()},
        ema.decay_at(config.ema, step, config.batch * config.game.g_steps),
        {s: c.momentum_at(step) for s, c in choices.items() if c.momentum_steps},
        scales if any(scale != 1 for scale in scales) else (),
        Average.of(config.ema).buffers == "average",
    )
