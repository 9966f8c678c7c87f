"""Pictures with the pictures that they are translated from: pairs, or two unpaired domains.

    pairs.csv                             columns source, target and, if there is one, group
    A/ and B/                             one name in both is a pair
    trainA/ trainB/ [testA/ testB/]       the same, with a published test part
    A|B side by side in each picture      alone, or in train/ [val/] [test/]

A is the source, B the target. `--data A/ B/` names two folders or zips. An unpaired game takes the
folders as two sets of any length; if all names agree, the pairs held out stay known, to judge by.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from ganforge.data import labels, parts, tables
from ganforge.data.archives import Archive, Folder, Store
from ganforge.data.dataset import Examples, PictureOptions, check_size
from ganforge.data.decode import Header
from ganforge.data.formats import image_folder
from ganforge.data.listing import listed
from ganforge.errors import DataError
from ganforge.files import reading
from ganforge.text import printable
from ganforge.types import Array

CSV = "pairs.csv"
PUBLISHED = ("traina", "trainb", "testa", "testb")
DOMAINS = {"train": "train", "validation": "val", "test": "test"}  # beginnings of such names
PARTS = {"train": 0, "training": 0, "val": 1, "valid": 1, "validation": 1, "test": 2}
FORMS = f"give two folders, a folder with A/ and B/ or with trainA/ and trainB/, or a {CSV}"


@dataclass(frozen=True)
class Side:
    """The pictures of one domain. half: 0 or 1 if they are halves of pictures."""

    store: Store
    names: list[str]
    half: int | None = None


@dataclass(frozen=True)
class Listing:
    """What is to be read.

    Args:
        source, target: pictures; of pairs, the i-th of both belong together.
        unpaired: the two are separate sets.
        groups: of each pair, or empty.
        test, source_test, validation: how many of the last pictures are a published part.
        missing: pictures without a partner.
    """

    source: Side
    target: Side
    unpaired: bool = False
    groups: list[str] = field(default_factory=list)
    test: int = 0
    source_test: int = 0
    validation: int = 0
    missing: list[str] = field(default_factory=list)


def recognises(path: Path, head: bytes) -> bool:
    """Whether a folder or zip says by its names that it holds pairs or two domains."""
    if not image_folder.recognises(path, head):
        return False
    store: Store = Archive(path)  # of a zip, opened when it is asked for its names
    if path.is_dir():
        with reading(path):  # the top alone says no of most folders, without a walk of all files
            if not says_pairs(entry.name for entry in path.iterdir()):
                return False
        store = Folder(path)
    return says_pairs(name.partition("/")[0] for name in store.names())


def says_pairs(top: Iterable[str]) -> bool:
    """Whether names at the top of a folder or zip are those of pairs or two domains."""
    found = {name.lower() for name in top}
    return CSV in found or set(PUBLISHED[:2]) <= found


def read(path: Path, options: PictureOptions) -> Examples:
    """Every pair, or both domains, of a folder or zip.

    Raises:
        DataError: as `examples`, or side by side pictures for an unpaired game.
    """
    files, notes = listed(path)
    store, names, every = files.store, files.names, files.every
    within = by_top(path, names)
    if CSV in every:
        refuse_pair_file(path, f"its {CSV} names", options)
        listing = from_csv(path, store, names)
    elif set(PUBLISHED[:2]) <= set(within):
        listing = from_parts(path, store, within, options)
    elif set(within) == {"a", "b"}:
        listing = from_sides(path, Side(store, within["a"]), Side(store, within["b"]), options)
    else:
        refuse_pair_file(path, "it has no two folders, so it could only hold", options)
        listing = from_halves(store, within)
    used = {*listing.source.names, *listing.target.names}
    used |= {reason.partition(": ")[0] for reason in listing.missing}
    if others := [name for name in names if name not in used]:
        notes.append(f"left out: {len(others)} pictures of neither domain, as {others[0]}")
    return replace(examples(path, listing, options), notes=tuple(map(printable, notes)))


def read_two(paths: Sequence[Path], options: PictureOptions) -> Examples:
    """Sources of the first folder or zip, targets of the second.

    Raises:
        DataError: as `examples`.
    """
    sides, notes = [], []
    for domain, path in zip("AB", paths, strict=True):
        try:
            files, left_out = listed(path)
        except DataError as error:
            raise DataError(f"domain {domain}, {error}") from None
        sides.append(Side(files.store, files.names))
        notes += left_out
    whole = Path(f"{paths[0]}|{paths[1]}")
    found = examples(whole, from_sides(whole, sides[0], sides[1], options), options)
    return replace(found, notes=tuple(map(printable, notes)))


def examples(path: Path, listing: Listing, options: PictureOptions) -> Examples:
    """The pictures of a listing, decoded.

    Raises:
        DataError: a domain is empty; more than 1 % of the pictures are damaged or have no partner;
            source and target of a pair have different proportions; halves of a picture would be
            higher than wide; sizes differ and none is given.
    """
    check_size(options.size)
    sides = (listing.source, listing.target)
    for domain, side in zip("AB", sides, strict=True):
        if not side.names:
            missing = f"; {listing.missing[0]}" if listing.missing else ""
            raise DataError(f"{path}: domain {domain} has no pictures{missing}: {FORMS}")
    count = len(listing.source.names) + len(listing.missing)
    refuse_alone(path, listing.missing, max(count, len(listing.target.names)))
    probed = [image_folder.headers(s.store, s.names, options, s.half) for s in sides]
    skipped = reasons(probed)
    refuse_share(path, skipped, len(listing.source.names))
    good = [headers for headers, _ in probed]
    if listing.source.half is not None:
        require_two_wide(path, good[0])
    if not listing.unpaired:
        keep = [s in good[0] and t in good[1] for s, t in pairs(listing)]
        good = [
            {n: g[n] for n, whole_pair in zip(s.names, keep, strict=True) if whole_pair}
            for g, s in zip(good, sides, strict=True)
        ]
        for (s, t), whole_pair in zip(pairs(listing), keep, strict=True):
            if whole_pair:
                require_same_proportions(path, s, good[0][s], t, good[1][t])

    decoded = [
        image_folder.decode_all(s.store, g, options, s.half)
        for s, g in zip(sides, good, strict=True)
    ]
    skipped += reasons((names, left) for _, names, left in decoded)
    refuse_share(path, skipped, len(listing.source.names))
    return assembled(listing, decoded, [*listing.missing, *skipped])


def reasons(read: Iterable[tuple[Any, dict[str, str]]]) -> list[str]:
    """Why pictures were left out, as "name: reason"."""
    return [f"{name}: {reason}" for _, left in read for name, reason in left.items()]


def refuse_share(path: Path, left: list[str], count: int) -> None:
    """DataError if too many pictures are left out, each as "name: reason"."""
    image_folder.check_share(path, dict(each.partition(": ")[::2] for each in left), count)


def refuse_alone(path: Path, missing: list[str], count: int) -> None:
    """DataError if too many pictures have no partner, each as "name: reason"."""
    if len(missing) * 100 > image_folder.CORRUPT_PERCENT * count:
        raise DataError(
            f"{path}: {len(missing)} of {count} pictures have no partner, more than "
            f"{image_folder.CORRUPT_PERCENT} %; the first is {missing[0]}: pairs have one name in "
            "both domains; unpaired pictures are for the recipe cyclegan, and data show reads them "
            "with --pairing unpaired"
        )


def pairs(listing: Listing) -> list[tuple[str, str]]:
    """(source, target) names."""
    return list(zip(listing.source.names, listing.target.names, strict=True))


def assembled(
    listing: Listing, decoded: list[tuple[Array, list[str], dict[str, str]]], skipped: list[str]
) -> Examples:
    """The examples of decoded sides, without pairs of which one picture is missing."""
    (sources, source_names, _), (targets, target_names, _) = decoded
    notes = tuple(sorted({printable(reason) for reason in skipped}))
    gone = [set(side.names) - set(names) for side, names in (
        (listing.source, source_names), (listing.target, target_names))]  # fmt: skip
    if listing.unpaired:
        test = left(listing.target.names, listing.test, gone[1])
        return Examples(
            targets,
            skipped=notes,
            test=test,
            source=sources,
            unpaired=True,
            source_test=left(listing.source.names, listing.source_test, gone[0]),
        )
    row = [{n: i for i, n in enumerate(names)} for names in (source_names, target_names)]
    whole = [(s, t) for s, t in pairs(listing) if s in row[0] and t in row[1]]
    lost = {t for s, t in pairs(listing) if (s, t) not in set(whole)}
    if len(whole) < max(len(sources), len(targets)):
        sources = sources[[row[0][s] for s, _ in whole]]
        targets = targets[[row[1][t] for _, t in whole]]
    test = left(listing.target.names, listing.test, lost)
    before = listing.target.names[: len(listing.target.names) - listing.test]
    validation = left(before, listing.validation, lost)
    groups = None
    if listing.groups:
        group = dict(zip(listing.target.names, listing.groups, strict=True))
        groups = np.unique([group[t] for _, t in whole], return_inverse=True)[1].astype(np.int64)
    return Examples(
        targets,
        skipped=notes,
        test=test,
        validation=validation,
        drawn=not validation,
        source=sources,
        groups=groups,
    )


def left(names: list[str], last: int, gone: set[str]) -> int:
    """How many of the last names are still there."""
    return sum(name not in gone for name in names[len(names) - last :]) if last else 0


# --- the forms ----------------------------------------------------------------------------------


def from_sides(path: Path, source: Side, target: Side, options: PictureOptions) -> Listing:
    """Two folders: pairs by their names, or two unpaired domains."""
    found, missing = matched(source.names, target.names)
    if not found or options.pairing == "unpaired":
        if options.pairing == "paired" and source.names and target.names:
            raise DataError(
                f"{path}: no picture of A has the name of one of B, the first is "
                f"{source.names[0]!r}: pairs have one name in both; unpaired pictures are for the "
                "recipe cyclegan"
            )
        if missing or not found:
            return Listing(source, target, unpaired=True)
    return Listing(
        Side(source.store, [s for s, _ in found]),
        Side(target.store, [t for _, t in found]),
        missing=missing,
    )


def by_top(path: Path, names: list[str]) -> dict[str, list[str]]:
    """Folder at the top, in small letters -> the pictures in it; "" -> those in none.

    train_A and the like are traina. A folder that holds all of them is not counted, unless there
    are empty ones beside it.
    """
    beside = [p.name.lower() for p in path.iterdir() if p.is_dir()] if path.is_dir() else []
    top = labels.shared_folder(names) if len(beside) < 2 else ""
    found: dict[str, list[str]] = {name: [] for name in beside} if not top else {}
    for name in names:
        folder, slash, _ = name.removeprefix(top).partition("/")
        found.setdefault(folder.lower() if slash else "", []).append(name)
    for folder in sorted(found):
        part, domain = parts.part_of(folder)
        if part and domain and (named := DOMAINS[part] + domain.lower()) != folder:
            found[named] = found.get(named, []) + found.pop(folder)
    return found


def from_parts(
    path: Path, store: Store, within: dict[str, list[str]], options: PictureOptions
) -> Listing:
    """trainA/, trainB/ and perhaps testA/, testB/, else valA/ and valB/."""
    other = "test" if {*PUBLISHED[2:]} & set(within) else "val"
    sides = {top: within.get(top.replace("test", other), []) for top in PUBLISHED}
    if bool(sides["testa"]) != bool(sides["testb"]):
        lacking = "testA" if sides["testb"] else "testB"
        raise DataError(f"{path}: {lacking}/ has no pictures: give both domains one, or neither")
    train = from_sides(path, Side(store, sides["traina"]), Side(store, sides["trainb"]), options)
    if not sides["testa"]:
        return train
    test = from_sides(path, Side(store, sides["testa"]), Side(store, sides["testb"]), options)
    if train.unpaired != test.unpaired:  # two streams, whatever the names of one part say
        train, test = (
            Listing(Side(store, sides[a]), Side(store, sides[b]), unpaired=True)
            for a, b in (PUBLISHED[:2], PUBLISHED[2:])
        )
    return Listing(
        Side(store, train.source.names + test.source.names),
        Side(store, train.target.names + test.target.names),
        unpaired=train.unpaired,
        test=len(test.target.names),
        source_test=len(test.source.names) if train.unpaired else 0,
        missing=train.missing + test.missing,
    )


def from_halves(store: Store, within: dict[str, list[str]]) -> Listing:
    """A|B side by side in each picture."""
    part = {name: PARTS.get(top, 0) for top, names in within.items() for name in names}
    names = sorted(part, key=lambda name: (part[name], name))
    counts = [sum(p == number for p in part.values()) for number in range(3)]
    if not counts[2]:  # train/ and val/: the second is the published one
        counts = [counts[0], 0, counts[1]]
    if not counts[0]:
        counts = [len(names), 0, 0]
    return Listing(
        Side(store, names, 0), Side(store, names, 1), test=counts[2], validation=counts[1]
    )


def from_csv(path: Path, store: Store, names: list[str]) -> Listing:
    """pairs.csv: a line source,target or source,target,group for each pair."""
    where = f"{path}/{CSV}"
    rows = tables.csv_rows(store, CSV, "source,target")
    known = {printable(name): name for name in names}
    columns = [0, 1, 2]
    header = [cell.strip().lower() for cell in rows[0][1]] if rows else []
    if {"source", "target"} <= set(header):
        columns = [header.index(n) if n in header else -1 for n in ("source", "target", "group")]
        rows = rows[1:]
    source: dict[str, None] = {}  # in order, and quick to search
    target: dict[str, None] = {}
    groups: list[str] = []
    missing: list[str] = []
    for line, row in rows:
        cells = [row[c].strip() if 0 <= c < len(row) else "" for c in columns]
        if not (cells[0] and cells[1]):
            raise DataError(f"{where}: line {line} has no pair: each line is source,target[,group]")
        absent = next((cell for cell in cells[:2] if cell not in known), None)
        if absent is not None:
            missing.append(f"{CSV}, line {line}: there is no picture {absent[:200]!r}")
            continue
        if known[cells[1]] in target or known[cells[0]] in source:
            raise DataError(f"{where}: line {line} names a picture of an earlier line again")
        source[known[cells[0]]] = None
        target[known[cells[1]]] = None
        groups.append(cells[2])
    if any(groups) and not all(groups):
        raise DataError(f"{where}: a line has no group and others have one: give each line one")
    return Listing(
        Side(store, list(source)),
        Side(store, list(target)),
        groups=groups if any(groups) else [],
        missing=missing,
    )


def matched(source: list[str], target: list[str]) -> tuple[list[tuple[str, str]], list[str]]:
    """Pairs of two sides by their names, and the pictures without a partner.

    The folder that a side lies in and the suffix do not count.
    """
    keys = [keyed(source), keyed(target)]
    found = [(keys[0][k], keys[1][k]) for k in sorted(set(keys[0]) & set(keys[1]))]
    missing = [
        f"{names[k]}: it has no partner in {domain}"
        for names, other, domain in ((keys[0], keys[1], "B"), (keys[1], keys[0], "A"))
        for k in sorted(set(names) - set(other))
    ]
    return found, missing


def keyed(names: list[str]) -> dict[str, str]:
    """Name without suffix, below the folder that all share -> name."""
    top = labels.shared_folder(names) if names else ""
    return {str(PurePosixPath(name.removeprefix(top)).with_suffix("")): name for name in names}


def refuse_pair_file(path: Path, what: str, options: PictureOptions) -> None:
    """DataError for files that state pairs, if the game is unpaired."""
    if options.pairing == "unpaired":
        raise DataError(
            f"{path}: {what} pairs, and this recipe takes unpaired pictures: give two folders, as "
            "--data A/ B/, or train pix2pix"
        )


def require_two_wide(path: Path, halves: dict[str, Header]) -> None:
    """DataError for an ordinary picture, which would be cut into two narrow halves."""
    for name, half in halves.items():
        if half.width < half.height:
            raise DataError(
                f"{path}: halves of {printable(name)[:200]!r} would be {half.width} pixels wide "
                f"and {half.height} high, so it is not a pair side by side: give two folders, as "
                f"--data A/ B/, or a {CSV}"
            )


def require_same_proportions(path: Path, s: str, source: Header, t: str, target: Header) -> None:
    """DataError if a pair's pictures cannot lie on each other: crops would show other parts."""
    if source[0] * target[1] != source[1] * target[0]:
        raise DataError(
            f"{path}: the pair {printable(s)[:200]!r}, {printable(t)[:200]!r} has the sizes "
            f"{source[0]} x {source[1]} and {target[0]} x {target[1]}: crop one so "
            "that both show the same"
        )
