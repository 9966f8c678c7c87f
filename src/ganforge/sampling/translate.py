"""Pictures translated by a trained generator: each depends on itself, the seed and its index."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from ganforge import bar
from ganforge.config.schema import Noise
from ganforge.data.dataset import Dataset, scaled
from ganforge.data.describe import beside, spread_rows
from ganforge.data.spec import DataSpec, decode, encode
from ganforge.errors import UsageError, check, choice
from ganforge.nets.base import Inputs, Network, evaluating
from ganforge.nets.cycle import ResidualGenerator
from ganforge.rng import Stream
from ganforge.sampling.codes import Codes
from ganforge.sampling.sampler import MICRO_BATCH, Labels, Sampler
from ganforge.types import Array, Pixels

FORTH, BACK = "a2b", "b2a"
OPPOSITE = {FORTH: BACK, BACK: FORTH}
PIXELS = 2**18  # of a forward pass, at most, unless one picture has more
MARGIN = 16  # pixels around a tile that are translated with it and thrown away


@dataclass(frozen=True, repr=False)
class Translator(Sampler):
    """A generator that translates pictures, with all it needs; see `Sampler`.

    spec: of the targets, with that of the sources in `spec.source`.
    """

    @property
    def directions(self) -> tuple[str, ...]:
        """ "a2b", from sources to targets, and "b2a" if there is a generator for the way back."""
        back = isinstance(self.model, nn.ModuleDict) and BACK in self.model
        return (FORTH, BACK) if back else (FORTH,)

    def network(self, direction: str = FORTH) -> nn.Module:
        """The generator of a direction; UsageError if there is none."""
        if direction not in self.directions:
            choice("direction", direction, (FORTH, BACK))
            raise UsageError(
                f"direction = {direction!r}: {self.name} translates from sources to targets only; "
                "train cyclegan for both ways"
            )
        return self.model[direction] if isinstance(self.model, nn.ModuleDict) else self.model

    def is_random(self, direction: str = FORTH) -> bool:
        """Whether another seed gives another translation."""
        network = self.network(direction)
        return not isinstance(network, Network) or bool(network.sampling_inputs())

    def ends(self, direction: str = FORTH) -> tuple[DataSpec, DataSpec]:
        """The specs of what goes in and of what comes out."""
        self.network(direction)
        assert self.spec.source is not None
        ends = (self.spec.source, replace(self.spec, source=None))
        return ends if direction == FORTH else (ends[1], ends[0])

    def require_pictures(self, direction: str = FORTH) -> int:
        """The channels, 1 or 3, of the picture files that go in; UsageError if none would fit."""
        source, _ = self.ends(direction)
        channels: int = source.shape[0]
        if channels not in (1, 3) or source.dtype != "uint8":
            raise UsageError(
                f"{self.name} takes pictures of {channels} channels of {source.dtype}, which "
                "picture files do not hold: use gf.load(run).translate(arrays)"
            )
        return channels

    def fitted(self, height: int, width: int, direction: str = FORTH) -> str:
        """What is done to pictures of a size, in words; "" if they are translated as they are."""
        network = self.network(direction)
        if isinstance(network, ResidualGenerator):
            fits = (network.fitting(height), network.fitting(width)) == (height, width)
            return "" if fits else f"padded to multiples of {network.stride}, and cropped again"
        _, tall, wide = self.ends(direction)[0].shape
        same = (height, width) == (tall, wide)
        return "" if same else f"resized to {tall} x {wide} and back: finer detail is lost"

    def translate(
        self,
        images: Array | Sequence[Array],
        seed: int = 0,
        direction: str = FORTH,
        first: int = 0,
        tile: int = 0,
    ) -> Array:
        """Translated pictures of the same sizes.

        Picture i depends on itself, the seed and its index `first + i`, not on the others.

        Args:
            images: (N, H, W, C) or one (H, W, C), as the sources are stored (uint8), any H and W; a
                sequence of (H, W, C) that have one size.
            seed: of dropout masks and other random inputs.
            direction: "a2b", or "b2a" of a model that translates both ways.
            first: index of the first picture.
            tile: pixels a side of pieces that are translated one by one; 0 for whole pictures.
                Norms by a picture's statistics leave seams between tiles.

        Returns:
            (N, H, W, C') or (H, W, C'), stored like the targets.

        Raises:
            UsageError: pictures of another kind or number of channels, or no such direction.
        """
        source, _ = self.ends(direction)
        values = np.asarray(images)
        single = values.ndim == 3
        values = values[None] if single else values
        if values.ndim != 4 or values.shape[-1] != source.shape[0]:
            raise UsageError(
                f"pictures of shape {values.shape}: {self.name} takes (N, H, W, {source.shape[0]})"
            )
        if str(values.dtype) != source.dtype:
            raise UsageError(
                f"pictures of {values.dtype}: {self.name} takes {source.dtype}, as the sources are "
                "stored"
            )
        check(tile >= 0, "tile", tile, "0 (whole pictures) or pixels")
        parts = []
        for start, chunk in self._chunks(values, direction):
            parts.append(self._tiled(chunk, seed, direction, first + start, tile))
            bar.advance("examples", len(chunk))
        out = np.concatenate(parts)
        return out[0] if single else out

    def _chunks(self, values: Array, direction: str) -> Iterator[tuple[int, Array]]:
        """(first index, pictures) of each forward pass."""
        size = max(1, PIXELS // (values.shape[1] * values.shape[2]))
        if not getattr(self.network(direction), "batch_independent", True):
            size = 1  # its norm looks at all pictures of a pass
        for start in range(0, len(values), size):
            yield start, values[start : start + size]

    def _tiled(self, values: Array, seed: int, direction: str, first: int, tile: int) -> Array:
        """Pictures of one size, whole or tile by tile."""
        _, height, width, _ = values.shape
        if not tile or (height <= tile and width <= tile):
            return self._fitted(values, seed, direction, first)
        _, target = self.ends(direction)
        out = np.empty((len(values), height, width, target.shape[0]), np.dtype(target.dtype))
        for top in range(0, height, tile):
            for left in range(0, width, tile):
                y, x = max(0, top - MARGIN), max(0, left - MARGIN)
                piece = values[:, y : top + tile + MARGIN, x : left + tile + MARGIN]
                made = self._fitted(piece, seed, direction, first)
                made = made[:, top - y : top - y + tile, left - x : left - x + tile]
                out[:, top : top + tile, left : left + tile] = made
        return out

    def _fitted(self, values: Array, seed: int, direction: str, first: int) -> Array:
        """Pictures of one size, brought to a size that the network takes, and back."""
        _, height, width, _ = values.shape
        source, _ = self.ends(direction)
        if not self.fitted(height, width, direction):
            return self._forward(values, seed, direction, first)
        network = self.network(direction)
        if isinstance(network, ResidualGenerator):
            pad = [(0, network.fitting(side) - side) for side in (height, width)]
            padded = np.pad(values, ((0, 0), *pad, (0, 0)), mode="reflect")
            return self._forward(padded, seed, direction, first)[:, :height, :width]
        small = scaled(values, *source.shape[1:])
        return scaled(self._forward(small, seed, direction, first), height, width)

    def _forward(self, values: Array, seed: int, direction: str, first: int) -> Array:
        network = self.network(direction)
        source, target = self.ends(direction)
        with evaluating(network):
            x = encode(torch.from_numpy(np.array(values)).to(self.device), source)
            inputs = self._inputs(network, seed, direction, first, len(values))
            z = self.z(len(values), seed, first, f"translate/{direction}/z")
            made: Tensor = network(z, None, x, inputs)
        return np.asarray(decode(made, target).cpu().numpy())

    def _inputs(
        self, network: nn.Module, seed: int, direction: str, first: int, count: int
    ) -> Inputs | None:
        """The random inputs that the network wants for these pictures."""
        wanted = network.sampling_inputs() if isinstance(network, Network) else {}
        found = {
            name: torch.from_numpy(
                np.ascontiguousarray(
                    one.draw(Stream(seed, f"translate/{direction}/{name}"), first, count)
                )
            ).to(self.device)
            for name, one in wanted.items()
        }
        return found or None

    # --- what needs no source, and so cannot be made ----------------------------------------------

    def generate(
        self,
        z: Tensor,
        labels: Array | None = None,
        truncation: float = 1.0,
        batch: int | None = None,
    ) -> Array:
        """UsageError: see `translate`."""
        raise UsageError(
            f"{self.name} translates pictures and makes none from noise: give them to translate, "
            "as `ganforge translate RUN PICTURES/` or gf.load(run).translate(pictures)"
        )

    def sample(
        self,
        count: int = 16,
        labels: Labels = None,
        seed: int = 0,
        first: int = 0,
        truncation: float = 1.0,
        codes: Codes | None = None,
    ) -> Array:
        """UsageError: see `translate`."""
        return self.generate(torch.empty(0))


def sampler_of(
    model: nn.Module,
    spec: DataSpec,
    noise: Noise,
    name: str,
    class_names: tuple[str, ...] = (),
    micro_batch: Mapping[str, int] = MICRO_BATCH,
) -> Sampler:
    """The sampler of a generator: a `Translator` if the data have a source."""
    kind = Translator if spec.source is not None else Sampler
    return kind(model, spec, noise, name, class_names, micro_batch)


def triples(translator: Translator, data: Dataset, most: int, seed: int = 0) -> Pixels:
    """Source, output and target of some pairs; of an unpaired model A, B', A'' and B, A', B''.

    Returns:
        (3 n, H, W, 3) uint8 of the targets' size, three pictures in a row for each example.
    """
    assert data.source is not None and data.spec.source is not None
    size = data.spec.shape[1:]
    rows = {
        FORTH: spread_rows(len(data.source), most),
        BACK: spread_rows(len(data.values), most),
    }
    chosen = {FORTH: np.asarray(data.source[rows[FORTH]])}
    if BACK not in translator.directions:
        columns = [
            (chosen[FORTH], data.spec.source),
            (translator.translate(chosen[FORTH], seed), data.spec),
            (np.asarray(data.values[rows[FORTH]]), data.spec),
        ]
        return beside(columns, size)
    chosen[BACK] = np.asarray(data.values[rows[BACK]])
    found = []
    for direction in (FORTH, BACK):
        source, target = translator.ends(direction)
        there = translator.translate(chosen[direction], seed, direction)
        again = translator.translate(there, seed, OPPOSITE[direction])
        columns = [(chosen[direction], source), (there, target), (again, source)]
        found.append(beside(columns, size))
    return np.concatenate(found)
