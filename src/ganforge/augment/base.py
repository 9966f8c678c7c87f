"""What every augmentation is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor

from ganforge.nets.base import Inputs, RandomInput


class Augmentation:
    """A change of the pictures in front of D, in every pass of D, differentiable twice.

    The same law changes real and generated pictures, so D cannot learn a difference from it, and
    the gradients of G and of penalties go through it. Kinds are frozen dataclasses.

    controlled: the strength p follows the game, see `initial` and `adjusted`. interval: steps
    between two changes of p.
    """

    kind: ClassVar[str] = "python"  # of classes of the user's
    controlled: ClassVar[bool] = False
    interval: int = 1

    def random_inputs(self) -> dict[str, RandomInput]:
        """The random numbers wanted for each picture, by name."""
        raise NotImplementedError

    def initial(self) -> dict[str, Tensor]:
        """The first state of the controller, with "p" if there is one."""
        return {}

    def adjusted(
        self, state: Mapping[str, Tensor], log: Mapping[str, Tensor], step: int, images: int
    ) -> dict[str, Tensor]:
        """The controller's state after a turn of D; everything stays on the device.

        Args:
            state: as `initial` gives it.
            log: what D's turn logs, with "sign_real", means over all processes.
            step: the number of steps before this one.
            images: real pictures in one step.
        """
        return dict(state)

    def __call__(self, x: Tensor, numbers: Inputs) -> Tensor:
        """Pictures (B, C, H, W) in [-1, 1] -> the same, changed.

        Args:
            numbers: the random inputs by name, (B, ...); "strength" (B,) is p, if it is controlled.
        """
        raise NotImplementedError
