"""Samples of a generator: each depends on (seed, index, label, truncation) and nothing else.

A matrix product may round a row in another way if it has other rows beside it, or fewer. Forward
passes therefore always have the same number of examples: on one machine, device and number of
threads a sample has the same bits alone and among others.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
import torch
from torch import Tensor, nn

from ganforge import bar, images
from ganforge.config.schema import Noise
from ganforge.data.spec import DataSpec, as_uint8, decode
from ganforge.errors import SEEDS, WHOLE, UsageError, check, choice
from ganforge.nets.base import PlainModule, evaluating
from ganforge.sampling import paths, styles
from ganforge.sampling.codes import Codes, checked, with_values
from ganforge.text import printable
from ganforge.types import Array

if TYPE_CHECKING:
    from ganforge.sampling.directions import Directions
    from ganforge.sampling.project import Projection

Labels = int | str | Sequence[int | str] | Array | None
# Examples of a forward pass, by the type of the device. On the CPU 16 cost a third of the rate of
# 256 and give a sample alone in 1/60 s; sizes below 8 choose other kernels.
MICRO_BATCH = {"cpu": 16, "cuda": 64, "mps": 64}
FAST = 256  # examples of a forward pass if samples need not have the same bits in other company
INDICES = 2**53  # samples of a seed; JavaScript has no larger whole numbers
SHOWN = 64  # samples in the HTML of a notebook
OTHER_DEVICE = 16  # examples of a forward pass on a device that `micro_batch` does not name


@dataclass(frozen=True, repr=False)
class Sampler:
    """A generator with all it needs to be sampled.

    Args:
        model: G, or its average.
        spec: of one example, with classes = 0 if G takes no labels.
        noise: the law of z.
        name: what the model is called.
        class_names: of the labels, or empty.
        micro_batch: examples of a forward pass, by the type of the device.
        shift: what is added to all samples, ("z", Z numbers) or ("w", W numbers), see `moved`.
    """

    model: nn.Module
    spec: DataSpec
    noise: Noise
    name: str = "generator"
    class_names: tuple[str, ...] = ()
    micro_batch: Mapping[str, int] = field(default_factory=MICRO_BATCH.copy)
    shift: tuple[str, tuple[float, ...]] | None = None

    @property
    def truncation_law(self) -> str:
        """What truncation moves, "noise" or "style": see `sample`."""
        return str(getattr(self.model, "truncation", "noise"))

    @property
    def device(self) -> torch.device:
        return next((p.device for p in self.model.parameters()), torch.device("cpu"))

    def __repr__(self) -> str:
        labels = f", {self.spec.classes} labels" if self.spec.classes else ""
        return f"{self.name}: a generator of {self.spec.stored_shape} {self.spec.dtype}{labels}"

    def _repr_html_(self) -> str:
        """A grid of samples, if they are pictures that are made of noise alone."""
        line = f"<p>{html.escape(repr(self))}</p>"
        if not self.spec.is_image or self.spec.source is not None:
            return line
        columns = images.layout(SHOWN, self.spec.classes)[1]
        return line + images.page(as_uint8(self.grid(SHOWN), self.spec), columns)

    def z(self, count: int, seed: int = 0, first: int = 0, stream: str = "sample/z") -> Tensor:
        """The noise of samples first .. first + count - 1, (count, Z).

        Raises:
            UsageError: not whole numbers, or out of range.
        """
        count = whole("count", count, 0, WHOLE)
        seed, first = whole("seed", seed, 1 - SEEDS, SEEDS), whole("first", first, 0, INDICES)
        drawn = self.noise.draw(seed, stream, first, count)
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
        given: Any = labels.tolist() if hasattr(labels, "tolist") else labels
        several = isinstance(given, Sequence) and not isinstance(given, str | bytes)
        asked = [self.label(one) for one in (given if several else [given])]
        if not asked:
            raise UsageError("labels []: give at least one, or None for all in turn")
        return np.resize(asked, count).astype(np.int64)

    def label(self, given: object) -> int:
        """A label by its class name, or by its number, which counts the classes from 0.

        If all names are whole numbers, a text is a name only.

        Raises:
            UsageError: no such label.
        """
        names, last = self.class_names, self.spec.classes - 1
        if isinstance(given, str):
            given = printable(given)
            if given in names:
                return names.index(given)
            if names and all(name.removeprefix("-").isdecimal() for name in names):
                every = ", ".join(names[:12]) + ", ..." * (len(names) > 12)
                raise UsageError(f"label {given}: {self.name} knows the labels {every}")
            if len(given) < 20 and given.removeprefix("-").isdecimal():
                given = int(given)
        if (
            isinstance(given, int | np.integer)
            and not isinstance(given, bool)
            and 0 <= given <= last
        ):
            return int(given)
        shown = [name for name in names if not name.isdecimal()]
        shown[12:] = ["..."] * (len(shown) > 12)
        known = f" ({', '.join(shown)})" if shown else ""
        raise UsageError(f"label {given}: {self.name} knows the labels 0 to {last}{known}")

    def generate(
        self,
        z: Tensor,
        labels: Array | None = None,
        truncation: float = 1.0,
        batch: int | None = None,
    ) -> Array:
        """Noise -> samples as they are stored.

        Args:
            z: (N, Z), numbers of the noise's law.
            labels: (N,) int64, or shares of all classes (N, K) float32, or None.
            truncation: t of `sample`.
            batch: examples of a forward pass; None for the size in `micro_batch`, to which a
                smaller pass is filled up.

        Returns:
            (N, H, W, C) uint8 pictures, or (N, F) float32 in data units.

        Raises:
            UsageError: the truncation is not a number in (0, 1].
        """
        check_truncation(truncation)
        rows = [z] if labels is None else [z, torch.from_numpy(np.ascontiguousarray(labels))]

        def made(z: Tensor, label: Tensor | None = None) -> Tensor:
            return self.forward(z, label, truncation)

        return self.batched(rows, made, batch)

    def batched(
        self, rows: Sequence[Tensor], forward: Callable[..., Tensor], batch: int | None = None
    ) -> Array:
        """Samples as they are stored, of rows in passes of one size.

        Args:
            rows: tensors (N, ...), the arguments of `forward`.
            forward: a pass of the networks, to model values.
            batch: see `generate`.
        """
        fixed = batch is None
        size = batch or self.micro_batch.get(self.device.type, OTHER_DEVICE)
        with evaluating(self.model):
            out = [np.empty((0, *self.spec.stored_shape), self.spec.dtype)]
            for start in range(0, len(rows[0]), size):
                parts = [row[start : start + size].to(self.device) for row in rows]
                count = len(parts[0])
                if fixed:
                    parts = [filled(part, size) for part in parts]
                made = decode(forward(*parts), self.spec)
                out.append(made[:count].cpu().numpy())
                bar.advance("examples", count)
        return np.concatenate(out)

    def forward(self, z: Tensor, label: Tensor | None, truncation: float) -> Tensor:
        """z (B, Z), label (B,) -> model values (B, ...), truncated by the law of the networks."""
        if self.shift is not None:
            space, numbers = self.shift
            shift = torch.tensor(numbers, dtype=z.dtype, device=z.device)
            if space == "w":
                return styles.moved(self, z, label, shift, truncation)
            z = z + shift
        moves_style = self.truncation_law == "style" and truncation != 1
        inputs = None
        if moves_style:
            inputs = {"truncation": torch.full((len(z), 1), truncation, device=z.device)}
        elif truncation != 1:
            plain = self.noise.plain
            z = torch.cat([z[:, :plain] * truncation, z[:, plain:]], 1)
        out: Tensor = self.model(z, label, None, inputs)
        return out

    def sample(
        self,
        count: int = 16,
        labels: Labels = None,
        seed: int = 0,
        first: int = 0,
        truncation: float = 1.0,
        codes: Codes | None = None,
    ) -> Array:
        """Samples first .. first + count - 1 of a seed.

            z' = t z                      law "noise"
            w' = w_mean + t (w - w_mean)  law "style", w the style that the networks make of z

        Sample i depends on the seed, i, its label and t, not on the others, bit for bit on one
        machine, device and number of threads.

        Args:
            count: N, at least 1.
            labels: one label, by number or class name, or a list that is cycled; None cycles
                through all of them.
            seed: whole number, below 2^63 in size.
            first: index of the first sample, in [0, 2^53).
            truncation: t in (0, 1]; less variety below 1.
            codes: name -> a number, of a generator with codes; other codes are drawn.

        Returns:
            (N, H, W, C) uint8 pictures, or (N, F) float32 in data units.

        Raises:
            UsageError: an argument of another type or out of range.
        """
        if not 1 <= whole("count", count, -WHOLE, SEEDS) < WHOLE:
            raise UsageError(f"{count} samples: ask for at least 1, and fewer than 2^31")
        z = with_values(self.z(count, seed, first), self.noise, codes or {}, self.name)
        return self.generate(z, self.labels(count, labels), truncation)

    def grid(self, count: int = 64, seed: int = 0, stream: str = "grid/z") -> Array:
        """Samples laid out for a grid: with labels, a row a label and the same z down a column."""
        rows, columns = images.layout(count, self.spec.classes)
        if not self.spec.classes:
            return self.generate(self.z(count, seed, stream=stream))
        z = self.z(columns, seed, stream=stream).repeat(rows, 1)
        return self.generate(z, np.repeat(np.arange(rows), columns))

    def interpolate(
        self,
        rows: int = 8,
        steps: int = 10,
        seed: int = 0,
        labels: Labels = None,
        truncation: float = 1.0,
        loop: bool = False,
        codes: Codes | None = None,
        space: str = "z",
        morph: Labels = None,
    ) -> Array:
        """(rows * steps, ...) samples along paths, one path a row, see `sampling.paths`.

        A path goes from one noise to another; with space = "w" on a line between their styles, see
        `sampling.styles`. If a code has a range, the noise of a path stays and the code goes from
        one end to the other; of several such codes each path walks one, in turn. With `morph` the
        noise of a path stays and its label changes, by mixtures of neighbours in the list.

        Args:
            rows: paths, each with one label.
            steps: samples of a path, at least 2.
            seed: of the noises.
            labels, truncation: as in `sample`; a label for each row.
            loop: whether each path is closed.
            codes: name -> a number for all samples, or (from, to).
            space: "z", or "w" of a style-based generator.
            morph: at least two labels.

        Raises:
            UsageError: an argument out of range.
        """
        if rows < 1 or steps < 2 or rows * steps >= 2**31:
            raise UsageError(
                f"{rows} rows of {steps} steps: expected at least 1 row of 2 steps, and fewer than "
                "2^31 samples"
            )
        choice("space", space, ("z", "w"))
        alone = not codes and morph is None
        check(alone or space == "z", "space", space, "z beside codes or morph")
        ends = self.z(2 * rows, seed, stream="interpolate/z")
        t = torch.linspace(0, 1, steps + loop, device=self.device)[:steps]
        if morph is not None:
            return self._morph(ends[:rows], t, morph, truncation, loop, codes or {})
        used = self.labels(rows, labels)
        if space == "w":
            return styles.walk(self, ends, used, t, loop, truncation)
        z = paths.noises(ends, t, self.noise, checked(codes or {}, self.noise, self.name), loop)
        repeated = None if used is None else np.repeat(used, steps)
        return self.generate(z.flatten(0, 1), repeated, truncation)

    def _morph(
        self, z: Tensor, t: Tensor, through: Labels, truncation: float, loop: bool, codes: Codes
    ) -> Array:
        """Samples of noises (R, Z), each at times t (S,) on the way through labels."""
        stops = self.labels(np.size(np.asarray(through)), through)
        check(stops is not None and len(stops) > 1, "morph", through, "at least two labels")
        assert stops is not None
        if isinstance(self.model, PlainModule):
            raise UsageError(f"morph: {self.name} is of networks of yours, which take whole labels")
        shares = paths.shares(stops, self.spec.classes, t, loop).cpu().numpy()
        z = with_values(z, self.noise, codes, self.name).repeat_interleave(len(t), 0)
        return self.generate(z, np.tile(shares, (len(z) // len(t), 1)), truncation)

    def mix(
        self,
        rows: int = 4,
        columns: int = 6,
        seed: int = 0,
        labels: Labels = None,
        truncation: float = 1.0,
        cut: int | None = None,
    ) -> Array:
        """(rows * columns, ...) samples with the styles of two, of a style-based generator.

        Row r has the coarse layers of sample r of the seed, column c the fine layers of sample
        rows + c. Karras et al. 2019, section 3.1.

        Args:
            rows, columns: at least 1.
            seed, labels, truncation: of these rows + columns samples, as in `sample`.
            cut: the first fine layer, at least 1; None for the middle one.

        Raises:
            UsageError: another generator, or an argument out of range.
        """
        check(rows >= 1, "rows", rows, "at least 1")
        check(columns >= 1, "columns", columns, "at least 1")
        check_truncation(truncation)
        count = rows + columns
        w = styles.of_noise(self, self.z(count, seed), self.labels(count, labels))
        return styles.mix(self, w[:rows], w[rows:], cut, truncation)

    def project(
        self,
        pictures: Array,
        labels: Labels = None,
        steps: int = 200,
        starts: int = 16,
        seed: int = 0,
        space: str = "",
    ) -> Projection:
        """Where pictures are in the space of z or w: the samples nearest to them, by optimisation.

            z* = argmin over z of the squared difference of G(z) and the picture, on three scales

        Args:
            pictures: (N, H, W, C), as the generator makes them.
            labels: of the pictures, one or a list that is cycled; None tries all in turn.
            steps: of the search, at least 1.
            starts: noises with which it begins, at least 1.
            seed: of the starts; the same seed finds the same places.
            space: "z" or "w"; empty for w of a style-based generator, else z.

        Returns:
            The projections, with their errors and those of samples of the generator itself.

        Raises:
            UsageError: pictures of another shape, or an argument out of range.
        """
        from ganforge.sampling.project import project

        return project(self, pictures, labels, steps, starts, seed, space)

    def find_directions(self, count: int = 8, samples: int = 4096, seed: int = 0) -> Directions:
        """The directions along which samples differ most, see `sampling.directions`.

        Args:
            count: at least 1; fewer are found if the space has fewer.
            samples: of which they are computed, 64 or more.
            seed: of these samples.

        Raises:
            UsageError: networks without a layer, or an argument out of range.
        """
        from ganforge.sampling.directions import directions

        return directions(self, count, samples, seed)

    def moved(self, found: Directions, amounts: Mapping[str, float]) -> Sampler:
        """A sampler whose samples are moved along directions.

        Args:
            found: of `find_directions`.
            amounts: name -> standard deviations, as {"d1": 2.0}.

        Raises:
            UsageError: no such direction.
        """
        return replace(self, shift=(found.space, tuple(found.shift(amounts).tolist())))


def filled(rows: Tensor, size: int) -> Tensor:
    """Rows (n, ...), filled up to `size` with zeros."""
    return nn.functional.pad(rows, (*(0, 0) * (rows.dim() - 1), 0, size - len(rows)))


def is_whole(value: object) -> TypeGuard[int]:
    """Whether a value is a whole number of Python or numpy; True and False are none."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def whole(key: str, value: object, least: int, below: int) -> int:
    """`value` as an int; UsageError unless it is a whole number in [least, below)."""
    if is_whole(value) and least <= value < below:
        return int(value)
    raise UsageError(f"{key} = {value!r}: expected a whole number from {least:,} to {below - 1:,}")


def check_truncation(value: object) -> None:
    """UsageError unless the truncation is a number in (0, 1]."""
    numbers = int | float | np.integer | np.floating
    valid = isinstance(value, numbers) and not isinstance(value, bool) and 0 < value <= 1
    check(bool(valid), "truncation", value, "a number, more than 0 and at most 1")
