"""Samples of a generator: pictures that depend on (seed, index, label) and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ganforge import images
from ganforge.config.schema import Noise
from ganforge.data.spec import DataSpec, decode
from ganforge.errors import UsageError
from ganforge.rng import Stream
from ganforge.text import printable
from ganforge.types import Array

Labels = int | str | Sequence[int | str] | Array | None
CHUNK = 256  # examples a forward pass


@dataclass(frozen=True)
class Sampler:
    """A generator with all it needs to be sampled.

    model: G, or its average. spec: of one example, with classes = 0 where G takes no labels.
    noise: the law of z. name: what the model is called. class_names: of the labels, or empty.
    """

    model: nn.Module
    spec: DataSpec
    noise: Noise
    name: str = "generator"
    class_names: tuple[str, ...] = ()

    @property
    def device(self) -> torch.device:
        return next((p.device for p in self.model.parameters()), torch.device("cpu"))

    def z(self, count: int, seed: int = 0, first: int = 0, stream: str = "sample/z") -> Tensor:
        """The noise of samples first .. first + count - 1, (count, Z)."""
        drawn = Stream(seed, stream).draw(self.noise.law, first, count, self.noise.size)
        return torch.from_numpy(np.ascontiguousarray(drawn)).to(self.device)

    def labels(self, count: int, labels: Labels = None) -> Array | None:
        """(count,) int64: the label asked for, repeated or cycled; None cycles through all."""
        classes = self.spec.classes
        if not classes:
            if labels is not None:
                raise UsageError(
                    f"label {labels!r}: {self.name} takes no labels; leave the label out, or train "
                    "a conditional recipe such as cdcgan"
                )
            return None
        if labels is None:
            return np.resize(np.arange(classes), count).astype(np.int64)
        given = np.atleast_1d(np.asarray(labels)).tolist()
        if not given:
            raise UsageError("labels []: give at least one, or None for all in turn")
        return np.resize([self.label(one) for one in given], count).astype(np.int64)

    def label(self, given: int | str) -> int:
        """A label by its number or its class name."""
        names, last = self.class_names, self.spec.classes - 1
        if isinstance(given, str):
            given = printable(given)
            if given in names:
                return names.index(given)
            if given.removeprefix("-").isdecimal():
                given = int(given)
        if type(given) is int and 0 <= given <= last:
            return given
        shown = [name for name in names if not name.isdecimal()]
        shown[12:] = ["..."] * (len(shown) > 12)
        known = f" ({', '.join(shown)})" if shown else ""
        raise UsageError(f"label {given}: {self.name} knows the labels 0 to {last}{known}")

    @torch.no_grad()
    def generate(self, z: Tensor, labels: Array | None = None) -> Array:
        """z (N, Z), labels (N,) -> stored values (N, H, W, C) uint8 or (N, F) float32."""
        training = [m for m in self.model.modules() if m.training]
        self.model.eval()
        try:
            out = [np.empty((0, *self.spec.stored_shape), self.spec.dtype)]
            for start in range(0, len(z), CHUNK):
                chunk, label = slice(start, start + CHUNK), None
                if labels is not None:
                    label = torch.from_numpy(labels[chunk]).to(self.device)
                x = self.model(z[chunk], label, None)
                out.append(decode(x, self.spec).cpu().numpy())
        finally:
            for module in training:
                module.training = True
        return np.concatenate(out)

    def sample(
        self, count: int = 16, labels: Labels = None, seed: int = 0, first: int = 0
    ) -> Array:
        """`count` samples: (N, H, W, C) uint8 pictures, or (N, F) float32 in data units.

        labels: one label, by number or class name, or a list that is cycled; None cycles through
        all of them. Sample i depends on seed, i (counted from `first`) and its label, not on the
        others.
        """
        if not 1 <= count < 2**31:
            raise UsageError(f"{count} samples: ask for at least 1, and fewer than 2^31")
        return self.generate(self.z(count, seed, first), self.labels(count, labels))

    def grid(self, count: int = 64, seed: int = 0, stream: str = "grid/z") -> Array:
        """Samples laid out for a grid: with labels, a row a label and the same z down a column."""
        rows, columns = images.layout(count, self.spec.classes)
        if not self.spec.classes:
            return self.generate(self.z(count, seed, stream=stream))
        z = self.z(columns, seed, stream=stream).repeat(rows, 1)
        return self.generate(z, np.repeat(np.arange(rows), columns))

    def interpolate(self, rows: int = 8, steps: int = 10, seed: int = 0) -> Array:
        """(rows * steps, ...) samples along paths between two noises, one path a row.

        Spherical for normal noise, whose mass lies on a sphere; straight for uniform noise. With
        labels, each row keeps one.
        """
        if rows < 1 or steps < 2 or rows * steps >= 2**31:
            raise UsageError(
                f"{rows} rows of {steps} steps: expected at least 1 row of 2 steps, and fewer than "
                "2^31 samples"
            )
        a, b = self.z(2 * rows, seed, stream="interpolate/z").unsqueeze(1).chunk(2)
        t = torch.linspace(0, 1, steps, device=self.device).unsqueeze(1)
        if self.noise.law == "normal":
            cosine = nn.functional.cosine_similarity(a, b, dim=2).unsqueeze(2)
            angle = torch.acos(cosine.clamp(-1 + 1e-6, 1 - 1e-6))
            z = (torch.sin((1 - t) * angle) * a + torch.sin(t * angle) * b) / torch.sin(angle)
        else:
            z = (1 - t) * a + t * b
        labels = self.labels(rows)
        return self.generate(z.flatten(0, 1), None if labels is None else np.repeat(labels, steps))
