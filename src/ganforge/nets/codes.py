"""A discriminator that also infers codes of z from the samples. Chen et al. 2016 (InfoGAN).

    logit = out(features(x)),   Q(c | x) = head(features(x))

Q shares all of D but its last layer. For a categorical code of K classes it gives K logits; for a
number it gives the mean of a normal law with standard deviation 1.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganforge.config.noise import LatentCode
from ganforge.data.spec import DataSpec
from ganforge.errors import UsageError
from ganforge.nets.base import Inputs, RandomInput, TwoPartDiscriminator, evaluating
from ganforge.nets.init import Init
from ganforge.nets.spectral import SpectralWeight

HIDDEN = 128
SLOPE = 0.01  # of the published code's leaky ReLU


class Inferring(TwoPartDiscriminator):
    """x (B, ...) -> logits (B,): a discriminator with a head Q for codes.

    Args:
        network: the discriminator, of which Q reads the features.
        codes: of z.
        spec: of an example.
    """

    def __init__(
        self, network: TwoPartDiscriminator, codes: tuple[LatentCode, ...], spec: DataSpec
    ):
        super().__init__()
        self.network, self.codes = network, codes
        self.group, self.batch_independent = network.group, False
        with evaluating(network):
            example = torch.zeros(network.group, *spec.shape)
            width = network.features(example, None, None).shape[1]
        self.head = nn.Sequential(
            nn.Linear(width, HIDDEN, bias=False),  # the norm would remove a bias
            nn.BatchNorm1d(HIDDEN),
            nn.LeakyReLU(SLOPE),
            nn.Linear(HIDDEN, sum(code.size for code in codes)),
        )
        Init("normal", 0.02).apply(self.head)

    @property
    def out(self) -> nn.Module:  # type: ignore[override]  # a second name would be a second module
        """The last layer of the network."""
        return self.network.out

    def random_inputs(self) -> dict[str, RandomInput]:
        return self.network.random_inputs()

    def spectral_weights(self) -> list[SpectralWeight]:
        return self.network.spectral_weights()

    def features(self, x: Tensor, label: Tensor | None, inputs: Inputs | None) -> Tensor:
        return self.network.features(x, label, inputs)

    def logits_and_codes(self, x: Tensor, inputs: Inputs | None = None) -> tuple[Tensor, Tensor]:
        """x (B, ...) -> logits (B,) and what Q says of the codes (B, P), in one pass."""
        features = self.features(x, None, inputs)
        return self.out(features, None), self.head(features)

    def information(self, z: Tensor, said: Tensor) -> dict[str, Tensor]:
        """log Q(c | x) - log p(c) of each code, (B,) in nats by name.

            categorical  log softmax(a)_c + log K
            number       -(c - a)^2 / 2 - log(2 pi) / 2 - log p(c), summed over the code

        Its mean is a lower bound of the mutual information of code and sample, if z was drawn by
        the law of the codes. log p(c) of a normal code is its mean, as its mean counts.

        Args:
            z: (B, Z) that the samples were made from; the codes are its last numbers.
            said: a (B, P), of `logits_and_codes`.
        """
        sizes = [code.size for code in self.codes]
        drawn = torch.split(z[:, z.shape[1] - sum(sizes) :], sizes, 1)
        pairs = zip(self.codes, drawn, torch.split(said, sizes, 1), strict=True)
        return {code.name: likelihood(code, c, a) + entropy(code) for code, c, a in pairs}


def likelihood(code: LatentCode, drawn: Tensor, said: Tensor) -> Tensor:
    """log Q(c | x) of a code c (B, size) by what Q says of it (B, size); (B,)."""
    if code.law == "categorical":
        return (F.log_softmax(said, 1) * drawn).sum(1)
    return -((drawn - said).square().sum(1) + code.size * math.log(2 * math.pi)) / 2


def entropy(code: LatentCode) -> float:
    """The entropy of a code's law, in nats."""
    if code.law == "categorical":
        return math.log(code.size)
    one = math.log(2) if code.law == "uniform" else (1 + math.log(2 * math.pi)) / 2
    return code.size * one


def limits(code: LatentCode) -> tuple[float, float]:
    """The bound of a code that is not shown at all, and of one that is shown exactly, in nats."""
    if code.law == "categorical":
        return 0.0, entropy(code)
    best = entropy(code) - code.size * math.log(2 * math.pi) / 2
    variance = 1 / 3 if code.law == "uniform" else 1.0
    return best - code.size * variance / 2, best


def inferring(discriminator: nn.Module, codes: tuple[LatentCode, ...], spec: DataSpec) -> nn.Module:
    """A discriminator with a head for the codes; UsageError if it has no features, or labels."""
    if spec.classes:
        raise UsageError("the game infers codes and has no labels: add --labels false")
    if not isinstance(discriminator, TwoPartDiscriminator):
        raise UsageError(
            "the game infers codes from the discriminator's features, and this discriminator is "
            "no TwoPartDiscriminator: choose networks of the package, or write such a one"
        )
    return Inferring(discriminator, codes, spec)
