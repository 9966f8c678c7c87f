"""A discriminator that judges several examples at once. Lin et al. 2018 (PacGAN).

    logit = D(x_1, ..., x_m)

D sees m examples of one law as one, joined on their channels (the numbers of vectors), so that a
generator with few modes gives packs that are too much alike. Only D's first layer grows.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn

from ganforge.data.spec import DataSpec
from ganforge.nets.base import Inputs, Network, RandomInput, TwoPartDiscriminator
from ganforge.nets.spectral import SpectralWeight


def pack_of(discriminator: nn.Module) -> int:
    """How many examples a discriminator judges together."""
    return discriminator.size if isinstance(discriminator, Packed) else 1


class Packed(TwoPartDiscriminator):
    """x (B, *shape) -> logits (B / m,): a network on packs of m neighbouring examples.

    Args:
        network: a discriminator of examples of `packed_spec`.
        size: m, of which the examples of a forward pass are a multiple.
    """

    def __init__(self, network: Network, size: int):
        super().__init__()
        self.network, self.size, self.group = network, size, size
        if isinstance(network, TwoPartDiscriminator):
            self.batch_independent = network.batch_independent
            self.group = size * network.group

    @property
    def out(self) -> nn.Module:  # type: ignore[override]  # a second name would be a second module
        """The last layer of the network."""
        assert isinstance(self.network, TwoPartDiscriminator)
        return self.network.out

    def random_inputs(self) -> dict[str, RandomInput]:
        return self.network.random_inputs()

    def spectral_weights(self) -> list[SpectralWeight]:
        return self.network.spectral_weights()

    def features(self, x: Tensor, label: Tensor | None, inputs: Inputs | None) -> Tensor:
        assert isinstance(self.network, TwoPartDiscriminator)
        packs, inputs = self.pack(x, inputs)
        return self.network.features(packs, None, inputs)

    def forward(
        self,
        x: Tensor,
        label: Tensor | None = None,
        source: Tensor | None = None,
        inputs: Inputs | None = None,
    ) -> Tensor:
        packs, inputs = self.pack(x, inputs)
        logits: Tensor = self.network(packs, None, None, inputs)
        return logits

    def pack(self, x: Tensor, inputs: Inputs | None) -> tuple[Tensor, Inputs | None]:
        """Packs (B / m, m C, ...), and their random inputs: those of each pack's first example."""
        packs = x.reshape(-1, self.size * x.shape[1], *x.shape[2:])
        if inputs is not None:
            inputs = {name: value[:: self.size] for name, value in inputs.items()}
        return packs, inputs


def packed_spec(spec: DataSpec, size: int) -> DataSpec:
    """What D sees of a pack: `size` times the channels, or the numbers of a vector."""
    repeats = 1 if len(spec.offset) == 1 else size
    return replace(
        spec,
        shape=(size * spec.shape[0], *spec.shape[1:]),
        offset=spec.offset * repeats,
        scale=spec.scale * repeats,
    )
