"""Samples as numbered pictures in a folder, a few of them in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ganforge import files, images
from ganforge.data.spec import as_uint8
from ganforge.errors import UsageError
from ganforge.experiments.naming import slug
from ganforge.sampling.codes import Codes
from ganforge.sampling.sampler import Labels, Sampler
from ganforge.types import Array

ROUND = 256  # samples in memory


@dataclass(frozen=True)
class Group:
    """Samples with the same labels: the name of their folder, "" for none, and the labels."""

    folder: str
    label: Labels


@dataclass(frozen=True)
class Asked:
    """Samples first .. first + n - 1 of a seed for each group, see `Sampler.sample`."""

    n: int
    groups: tuple[Group, ...]
    seed: int = 0
    first: int = 0
    truncation: float = 1.0
    codes: Codes = field(default_factory=dict)

    @property
    def total(self) -> int:
        return self.n * len(self.groups)


@dataclass(frozen=True)
class Part:
    """Some samples of a group, from number `first` on, with their labels."""

    group: Group
    first: int
    values: Array
    labels: Array | None


def groups(
    sampler: Sampler, label: Labels = None, classes: Sequence[int | str] | None = None
) -> tuple[Group, ...]:
    """The one group of some labels, or a group for each of some classes, ["all"] for all.

    Raises:
        UsageError: both are given, the generator takes no labels, or it has no such class.
    """
    if classes is None:
        return (Group("", label),)
    if label is not None:
        raise UsageError("--label and --classes both choose what is made: give one of them")
    if not sampler.spec.classes:
        raise UsageError(f"--classes: {sampler.name} takes no labels")
    every = list(classes) == ["all"]
    chosen = range(sampler.spec.classes) if every else map(sampler.label, classes)
    names = dict(enumerate(sampler.class_names))
    return tuple(Group(folder_name(one, names.get(one, "")), one) for one in chosen)


def folder_name(label: int, name: str) -> str:
    """As `3` or `3-cat`: a name from a stranger's model leads to no other folder."""
    short = slug(name)
    return f"{label}-{short}" if short and short != str(label) else str(label)


def paths(asked: Asked, out: Path, kind: str) -> Iterator[Path]:
    """The files that `write` makes."""
    for group in asked.groups:
        for i in range(asked.first, asked.first + asked.n):
            yield path(group, i, out, kind)


def path(group: Group, i: int, out: Path, kind: str) -> Path:
    """The file of sample i of a group."""
    return out / group.folder / f"{i:05}.{kind}"


def drawn(sampler: Sampler, asked: Asked) -> Iterator[Part]:
    """The samples, group by group, at most ROUND at a time."""
    for group in asked.groups:
        labels = sampler.labels(asked.n, group.label)
        for start in range(0, asked.n, ROUND):
            count, first = min(ROUND, asked.n - start), asked.first + start
            used = None if labels is None else labels[start : start + count]
            values = sampler.sample(count, used, asked.seed, first, asked.truncation, asked.codes)
            yield Part(group, first, values, used)


def write(
    sampler: Sampler, asked: Asked, out: Path, kind: str = "png", scale: int = 1
) -> Iterator[Part]:
    """Write each sample as OUT/GROUP/NUMBER.kind; yields what is written.

    kind: "png", "jpg" or "webp". scale: each pixel is enlarged to `scale` x `scale`.
    """
    for part in drawn(sampler, asked):
        for i, picture in enumerate(as_uint8(part.values, sampler.spec)):
            file = path(part.group, part.first + i, out, kind)
            with files.writing(file):
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(images.single(picture, kind, scale))
        yield part
