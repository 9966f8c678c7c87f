"""How fresh weights are drawn."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import nn

from ganforge.errors import check, choice
from ganforge.nets import spectral
from ganforge.nets.layers import Sines

BATCH_NORM = nn.modules.batchnorm._BatchNorm
NORMS = (
    nn.modules.batchnorm._NormBase,  # batch norm and instance norm
    nn.LayerNorm,
    nn.GroupNorm,
    nn.RMSNorm,
)


@dataclass(frozen=True)
class Init:
    """How fresh weights are drawn.

    law: "default" (torch's), "normal" N(0, scale^2), "uniform" U(-scale, scale) or "he"
    U(-b, b), b = sqrt(6 / fan_in), for the weights of linear, convolution and embedding layers.
    Gains of batch norm are N(1, scale^2), as published for DCGAN, and those of other norm layers 1;
    with "he" all are 1.
    biases: draw biases from the same law; otherwise they are 0, as those of norm layers always are.
    """

    law: str = "default"
    scale: float = 0.02
    biases: bool = False

    def __post_init__(self) -> None:
        choice("law", self.law, ("default", "normal", "uniform", "he"))
        check(not (self.biases and self.law == "he"), "biases", True, 'false with law = "he"')
        check(0 < self.scale < math.inf, "scale", self.scale, "more than 0")

    def apply(self, module: nn.Module) -> None:
        """Draw every parameter of `module` anew, in place."""
        if self.law != "default":
            self._draw_all(module)
        for layer in module.modules():
            if isinstance(layer, spectral.Spectral):
                layer.reset()

    def _draw_all(self, module: nn.Module) -> None:
        sines = {m.linear for m in module.modules() if isinstance(m, Sines)}  # have another law
        for layer in module.modules():
            norm = isinstance(layer, NORMS)
            for name in ("weight", "bias"):
                parameter = getattr(layer, name, None)
                if layer in sines or not isinstance(parameter, nn.Parameter):
                    continue
                if name == "bias" and (norm or not self.biases):
                    nn.init.zeros_(parameter)
                elif norm and (self.law == "he" or not isinstance(layer, BATCH_NORM)):
                    nn.init.ones_(parameter)
                elif self.law == "he":
                    nn.init.kaiming_uniform_(parameter, nonlinearity="relu")
                elif norm or self.law == "normal":
                    nn.init.normal_(parameter, float(norm), self.scale)
                else:
                    nn.init.uniform_(parameter, -self.scale, self.scale)
