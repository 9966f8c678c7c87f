"""`load`: from a name or a path to one part of a data set."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from ganforge.data import download, emoji, tables, toy
from ganforge.data.dataset import (
    PARTS,
    Dataset,
    Examples,
    PictureOptions,
    check_stored,
    digest,
    resized_spec,
    select,
    without_gaps,
)
from ganforge.data.decode import begins_a_picture
from ganforge.data.formats import FORMATS, idx, image_folder, image_pairs, packed
from ganforge.data.settings import Reading, folders_in, split_off
from ganforge.data.spec import DataSpec
from ganforge.errors import DataError, UsageError, choice, did_you_mean, one_line
from ganforge.files import reading
from ganforge.text import command_line, on_disk, printable

# Every data set known by name: a toy law, or a function that reads all of its examples.
NAMED: dict[str, Callable[[], Examples] | toy.Law] = {
    "mnist": idx.bundled_mnist,
    "mnist-50000": idx.mnist_in_order,
    "fashion-mnist": download.fashion_mnist,
    "cifar10": download.cifar10,
    "cifar10-grey": emoji.cifar10_grey,
    "emoji-pairs": emoji.emoji_pairs,
    "openmoji-lines": emoji.openmoji_lines,
    **toy.LAWS,
}

# Formats that are not read: end of the name -> what it is, and how its arrays are had, if it is
# no archive.
KNOWN = {
    ".csv": ("a CSV table", "images = np.loadtxt(file, delimiter=',', skiprows=1)"),
    ".tsv": ("a table", "images = np.loadtxt(file, delimiter='\\t', skiprows=1)"),
    ".h5": ("an HDF5 file", "images = h5py.File(file)['images'][:]"),
    ".hdf5": ("an HDF5 file", "images = h5py.File(file)['images'][:]"),
    ".parquet": ("a Parquet table", "images = np.stack(pandas.read_parquet(file)['image'])"),
    ".mat": ("a MATLAB file", "images = scipy.io.loadmat(file)['images']"),
    ".pkl": ("a Python pickle, never read", "images, labels = what you put into it"),
    ".pickle": ("a Python pickle, never read", "images, labels = what you put into it"),
    ".pt": ("a file of torch", "images = torch.load(file).numpy()"),
    ".pth": ("a file of torch", "images = torch.load(file).numpy()"),
    ".tfrecord": ("a file of TensorFlow", "images = np.stack(...) of its records"),
    ".safetensors": ("a file of tensors", "images = load_file(file)['images']"),
    ".tar": ("a tar archive", ""),
    ".tar.bz2": ("a tar archive", ""),
    ".tar.xz": ("a tar archive", ""),
    ".tar.zst": ("a tar archive", ""),
    ".7z": ("a 7z archive", ""),
    ".rar": ("a RAR archive", ""),
}
MOVED = "; data of a run that have moved: ganforge train RUN --data PATH"
HEADS = {
    ".h5": b"\x89HDF",
    ".parquet": b"PAR1",
    ".mat": b"MATLAB 5",
    ".7z": b"7z\xbc\xaf",
    ".rar": b"Rar!",
}


def load(
    data: str,
    *,
    part: str = "train",
    size: int | None = None,
    seed: int = 0,
    pairing: str = "",
) -> Dataset:
    """One part of a data set, decoded.

    Args:
        data: a name in `NAMED`, or the path of a folder or .zip of pictures, a packed folder, a
            .npy, .npz or idx file, or CIFAR-10's batches. A name comes before a path: ./mnist is a
            path. Settings may stand behind it, see `settings.Reading`: photos@held_out=0.1.
        part: "train", "validation" or "test". Sets with a published test file keep it, and a part
            of the training file validates; everything else is split 90/5/5 %.
        size: side in pixels to which pictures are cropped and resized; None leaves them.
        seed: of the split, and of the draws of a toy law. A packed folder is split already.
        pairing: what a translating game wants of folders and zips, "paired" or "unpaired"; see
            `formats.image_pairs`. "A|B" names two folders.

    Raises:
        UsageError: an unknown name or part, or an impossible size.
        DataError: data that are missing, damaged, empty or too few for the part.
        DiskError: data that cannot be read.
    """
    choice("part", part, PARTS)
    bare, reading = split_off(data)
    entry = NAMED.get(bare)
    if isinstance(entry, toy.Law):
        refuse_settings(data, reading, "is drawn from a law")
        return _toy(data, entry, part, size, seed)
    name, held_out = printable(data), reading.held_out
    if entry is not None:
        refuse_settings(data, reading, "has published parts")
        return select(entry(), name, part, size=size, seed=seed, pairing=pairing)
    options = PictureOptions(size, reading=reading, pairing=pairing)
    if len(folders_in(bare)) > 1:
        examples = read_two(bare, options)
    else:
        path = locate(bare)
        if packed.is_store(path):
            reason = "is packed already: give the settings to ganforge data pack"
            refuse_settings(data, reading, reason)
            return packed.load(path, part=part, size=size, name=name, pairing=pairing)
        examples = read(path, options)
    return select(examples, name, part, size=size, seed=seed, held_out=held_out, pairing=pairing)


def refuse_settings(data: str, reading: Reading, reason: str) -> None:
    """UsageError if settings stand behind the name of data that have none."""
    if reading != Reading():
        raise UsageError(f"data {data[:200]!r}: {reason}: leave the settings behind @ out")


def locate(data: str) -> Path:
    """The existing path that `data` names, without the settings behind it.

    Raises:
        DataError: something written like a path that does not exist.
        UsageError: text that is neither a known name nor a path.
    """
    if not data:
        raise UsageError(f"no data given: {did_you_mean('', list(NAMED))}, or a path")
    path = Path(split_off(data)[0])
    try:
        path = on_disk(path.expanduser())
        if path.exists():
            return path
    except (OSError, ValueError, RuntimeError) as error:
        raise DataError(
            f"data {data[:200]!r}: not a path that can be read ({one_line(error)})"
        ) from None
    if os.sep in data or path.suffix:
        raise DataError(f"data {data[:200]!r}: no such file or folder{MOVED}")
    known = did_you_mean(data[:200], list(NAMED))
    raise UsageError(f"unknown data {data[:200]!r}: {known}, or the path of {_kinds()}{MOVED}")


def read(path: Path, options: PictureOptions) -> Examples:
    """All examples of a path that is not a packed folder, by the first format that recognises it.

    Raises:
        DataError: a file that no format recognises, or that is damaged.
        DiskError: a file that cannot be read.
    """
    head = b""
    if not path.is_dir():
        with reading(path):
            if not path.is_file():
                raise DataError(f"{path}: neither a file nor a folder")
            with path.open("rb") as file:
                head = file.read(12)
    if options.pairing and image_folder.recognises(path, head):
        return image_pairs.read(path, options)
    for name in FORMATS:
        format_ = import_module(f"ganforge.data.formats.{name}")
        if format_.recognises(path, head):
            examples: Examples = format_.read(path, options)
            check_stored(examples, f"{path}, read by the format {name}")
            if examples.labels is not None and not examples.class_names:
                tables.refuse_continuous(str(path), examples.labels.tolist())
            return without_gaps(examples)
    begins = f"it begins with {head[:8].hex(' ')}" if head else "it is empty"
    raise DataError(f"{path}: not {_kinds()}: {begins}{_instead(path, head)}")


def _instead(path: Path, head: bytes) -> str:
    """What to do with a file of a format that is known and not read; "" for other files."""
    if begins_a_picture(head):
        folder = command_line(["--data", str(path.parent)])
        return f"; one picture: give the folder of all pictures, as {folder}"
    suffix = "".join(path.suffixes[-2:]).lower()
    kind, load = next(
        (
            row
            for key, row in KNOWN.items()
            if suffix.endswith(key) or head.startswith(HEADS.get(key, b"?"))
        ),
        ("", ""),
    )
    if not kind:
        return ""
    if not load:
        return f"; {kind}: unpack it and give the folder"
    return f"; {kind}: save its arrays: {load}; np.savez('data.npz', images=images, labels=labels)"


def _kinds() -> str:
    return f"{', '.join(reversed(FORMATS.values()))} or a packed folder"


def read_two(data: str, options: PictureOptions) -> Examples:
    """All examples of two folders or zips, "A|B".

    Raises:
        UsageError: not two of them.
        DataError: see `image_pairs.examples`.
    """
    paths = [locate(each) for each in folders_in(data)]
    for path in paths:
        if not path.is_dir() and path.suffix.lower() != ".zip":
            raise DataError(f"{path}: two domains are two folders or zips of pictures")
    if len(paths) != 2:
        raise UsageError(f"data {data!r}: {len(paths)} folders: give two, as --data A/ B/")
    return image_pairs.read_two(paths, options)


def _toy(name: str, law: toy.Law, part: str, size: int | None, seed: int) -> Dataset:
    """Draws of a law; model values are data units, so that figures show them as they are."""
    spec = DataSpec((law.features,), 0, "float32", False, (0.0,), (1.0,))
    values = toy.draws(name, part, seed)
    return Dataset(name, part, resized_spec(spec, size, name), values, sha256=digest(values, None))


__all__ = ["NAMED", "PARTS", "Dataset", "load", "locate", "read"]
