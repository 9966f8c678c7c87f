"""ganforge translate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Literal

from ganforge import bar
from ganforge.cli.options import (
    Count,
    Flag,
    Lines,
    Output,
    Unless,
    replaced,
    require_new,
    user_code,
)
from ganforge.errors import DataError, UsageError, check

if TYPE_CHECKING:
    from ganforge.data.archives import Store
    from ganforge.sampling.translate import Translator
    from ganforge.types import Pixels

LISTED = 20  # bad pictures shown one by one


def translate(
    run: Path,
    pictures: Path,
    /,
    *,
    output: Output = None,
    direction: Literal["a2b", "b2a"] = "a2b",
    seed: int = 0,
    n: Count = 1,
    tile: Annotated[int, Unless] = 0,
    overwrite: Annotated[bool, Flag] = False,
    code: Path | None = None,
) -> Lines:
    """Translate pictures of any size by a run or a model of pix2pix or cyclegan.

    Parameters
    ----------
    run
        A run folder or a model folder.
    pictures
        A picture, or a folder or zip of pictures.
    output
        The folder of the translated pictures, which keep their names and are PNG files; of one
        picture, a folder or a .png. [default: translated/ in the run]
    direction
        a2b from sources to targets; b2a back, by a model that translates both ways.
    seed
        The seed; a translation depends on the picture, the seed and its place among the names.
    n
        The number of translations of each picture, with the seeds SEED, SEED + 1, ...
    tile
        Translate in square pieces of TILE pixels a side, for pictures that do not fit in memory;
        norms leave seams between the pieces. [default: whole pictures]
    overwrite
        Replace files that exist.
    code
        Your FILE.py, for a model whose networks are your code.
    """
    from ganforge.runs import load
    from ganforge.sampling.translate import Translator

    check(n >= 1, "n", n, "at least 1 translation")
    translator = load.open_sampler(run, user_code(code))
    if not isinstance(translator, Translator):
        raise UsageError(
            f"{run}: {translator.name} makes pictures from noise and translates none: use "
            "`ganforge sample`, or train pix2pix or cyclegan"
        )
    if n > 1 and not translator.is_random(direction):
        raise UsageError(f"-n {n}: {translator.name} has no randomness, its translations are one")
    work = Work(translator, direction, seed, n, tile)
    store, names = found(pictures)
    out = output or run / "translated"
    targets = planned(pictures, names, out, n)
    files = [path for paths in targets.values() for path in paths]
    require_new(files if output else [], overwrite)
    remark = replaced(output, files)

    bad: list[str] = []
    done = 0
    sizes: set[tuple[int, int]] = set()
    each = ((1, done) for done in work.translated(store, names, bad))
    for name, made in bar.counted(each, len(names), "pictures"):
        sizes.add((made[0].shape[0], made[0].shape[1]))
        for target, picture in zip(targets[name], made, strict=True):
            write(target, picture)
        done += 1
    if not done:
        raise DataError(f"{pictures}: none of {len(names)} pictures can be read: {bad[0]}")
    yield f"{done} of {len(names)} pictures translated into {out}{remark}"
    fitted = {note for size in sorted(sizes) if (note := translator.fitted(*size, direction))}
    yield from (f"pictures of other sizes were {note}" for note in sorted(fitted))
    if bad:
        yield f"{len(bad)} could not be read:"
        yield from (f"  {reason}" for reason in bad[:LISTED])
        yield from ["  ..."] * (len(bad) > LISTED)
    return 0


@dataclass(frozen=True)
class Work:
    """What is done to every picture; see `translate`."""

    translator: Translator
    direction: str
    seed: int
    n: int
    tile: int

    def translated(
        self, store: Store, names: list[str], bad: list[str]
    ) -> Iterator[tuple[str, list[Pixels]]]:
        """Each readable picture's name and translations; `bad` gets the others and why.

        One picture is in memory at a time.
        """
        from ganforge.data.decode import decode, quiet
        from ganforge.data.spec import as_uint8

        _, target = self.translator.ends(self.direction)
        channels = self.translator.require_pictures(self.direction)
        for index, name in enumerate(names):
            try:
                with quiet(), store.open(name) as file:
                    picture = decode(file, name, None, channels)
            except DataError as error:
                bad.append(f"{name}: {error}")
                continue
            yield (
                name,
                [
                    as_uint8(
                        self.translator.translate(
                            picture[None], self.seed + k, self.direction, index, self.tile
                        ),
                        target,
                    )[0]
                    for k in range(self.n)
                ],
            )


def found(pictures: Path) -> tuple[Store, list[str]]:
    """Where the pictures lie, and their names in order; DataError if there are none."""
    from ganforge.data.archives import Folder
    from ganforge.data.decode import SUFFIXES
    from ganforge.data.listing import listed

    if not pictures.exists():
        raise DataError(f"{pictures}: no such picture, folder or zip")
    if pictures.is_dir() or pictures.suffix.lower() == ".zip":
        files, _ = listed(pictures)
        return files.store, files.names
    if pictures.suffix.lower() not in SUFFIXES:
        raise DataError(f"{pictures}: not a picture ({', '.join(SUFFIXES)}), folder or zip")
    return Folder(pictures.parent), [pictures.name]


def planned(pictures: Path, names: list[str], out: Path, n: int) -> dict[str, list[Path]]:
    """Name of each picture -> the files of its translations.

    The suffix becomes .png; where two pictures would be one file, both keep it inside the name.
    """
    stems = [str(PurePosixPath(name).with_suffix("")) for name in names]
    counts = Counter(stems)
    files = {}
    for name, stem in zip(names, stems, strict=True):
        single = len(names) == 1 and not pictures.is_dir() and out.suffix.lower() == ".png"
        path = out.with_suffix("") if single else out / (name if counts[stem] > 1 else stem)
        endings = [""] if n == 1 else [f"-{k}" for k in range(1, n + 1)]
        files[name] = [path.with_name(f"{path.name}{ending}.png") for ending in endings]
    return files


def write(path: Path, picture: Pixels) -> None:
    """A picture (H, W, C) as a PNG file."""
    from ganforge import files, images

    files.save_file(path, images.png(images.grid(picture[None], 1, gap=0)))
