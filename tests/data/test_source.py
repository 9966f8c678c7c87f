"""The contract of every source: shapes, dtypes, labels, parts, seeds, sizes and the codec."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ganforge import images
from ganforge.cli.commands.data import show
from ganforge.data import load, toy
from ganforge.data.dataset import Dataset, Examples, digest, select, split
from ganforge.data.describe import describe, preview
from ganforge.data.formats import FORMATS, cifar, packed
from ganforge.data.pack import pack
from ganforge.data.spec import DataSpec, decode, encode
from ganforge.errors import DataError, UsageError
from tests.helpers.tiny import cifar_batch

COUNT = 60


def pictures(path: Path) -> str:
    rng = np.random.default_rng(0)
    for i in range(COUNT):
        file = path / "pictures" / "abc"[i % 3] / f"{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (10, 14, 3), dtype=np.uint8)).save(file)
    return str(path / "pictures")


def zipped(path: Path) -> str:
    folder = Path(pictures(path))
    with zipfile.ZipFile(path / "a.zip", "w") as archive:
        for file in sorted(folder.rglob("*.png")):
            archive.write(file, file.relative_to(folder))
    return str(path / "a.zip")


def npy(path: Path) -> str:
    np.save(path / "a.npy", np.random.default_rng(0).integers(0, 256, (COUNT, 9, 7), np.uint8))
    return str(path / "a.npy")


def npz(path: Path) -> str:
    values = np.random.default_rng(0).normal(size=(COUNT, 8, 8, 2))
    np.savez(path / "a.npz", x=values, y=np.arange(COUNT) % 4)
    return str(path / "a.npz")


def vectors(path: Path) -> str:
    np.save(path / "v.npy", np.random.default_rng(0).normal(size=(COUNT, 3)))
    return str(path / "v.npy")


def idx_file(path: Path, part: str = "all", count: int = COUNT) -> str:
    rng = np.random.default_rng(count)
    for kind, array in (
        ("images-idx3", rng.integers(0, 256, (count, 8, 8), dtype=np.uint8)),
        ("labels-idx1", rng.integers(0, 5, count, dtype=np.uint8)),
    ):
        sizes = b"".join(n.to_bytes(4, "big") for n in array.shape)
        head = bytes([0, 0, 8, array.ndim]) + sizes
        (path / f"{part}-{kind}-ubyte").write_bytes(head + array.tobytes())
    return str(path / f"{part}-images-idx3-ubyte")


def idx_set(path: Path) -> str:
    idx_file(path, "t10k", 20)
    return idx_file(path, "train")


def cifar_folder(path: Path) -> str:
    rng = np.random.default_rng(0)
    for batch in cifar.BATCHES:
        values = rng.integers(0, 256, (20, 32, 32, 3), dtype=np.uint8)
        (path / f"{batch}.bin").write_bytes(cifar_batch(values, rng.integers(0, 10, 20)))
    return str(path)


def store(path: Path) -> str:
    (path / "from").mkdir()
    return str(pack(pictures(path / "from"), path / "store", 8))


KINDS: dict[str, Callable[[Path], str]] = {
    "folder": pictures,
    "zip": zipped,
    "npy": npy,
    "npz": npz,
    "vectors": vectors,
    "idx": idx_file,
    "idx set": idx_set,
    "cifar": cifar_folder,
    "packed": store,
    "mnist": lambda _: "mnist",
    "mnist-50000": lambda _: "mnist-50000",
    **{name: lambda _, name=name: name for name in toy.LAWS},
}


@pytest.fixture(scope="module", params=list(KINDS))
def kind(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    return KINDS[request.param](tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def parts(kind: str) -> dict[str, Dataset]:
    return {part: load.load(kind, part=part) for part in load.PARTS}


def test_shape_dtype_and_labels_are_what_the_spec_says(
    kind: str, parts: dict[str, Dataset]
) -> None:
    assert len({d.spec for d in parts.values()}) == 1
    for part, data in parts.items():
        spec = data.spec
        assert (data.name, data.part) == (kind, part)
        assert data.values.shape == (len(data), *spec.stored_shape)
        assert data.values.dtype == np.dtype(spec.dtype) and data.values.flags.c_contiguous
        assert (data.labels is not None) == (spec.classes > 0)
        if data.labels is not None:
            assert data.labels.shape == (len(data),) and data.labels.dtype == np.int64
            assert data.labels.min() >= 0 and data.labels.max() < spec.classes
        assert not data.class_names or len(data.class_names) == spec.classes
        assert data.sha256 == digest(data.values, data.labels)


def test_parts_are_disjoint_and_none_is_empty(parts: dict[str, Dataset]) -> None:
    rows = {p: {v.tobytes() for v in d.values} for p, d in parts.items()}
    assert all(rows.values())
    one = parts["train"]
    if one.spec.size > 1 and "mnist" not in one.name:  # a few digits are there twice
        assert not rows["train"] & rows["test"] and not rows["train"] & rows["validation"]
        assert not rows["test"] & rows["validation"]


def test_the_seed_decides_the_split_and_nothing_else_does(
    kind: str, parts: dict[str, Dataset]
) -> None:
    again = load.load(kind, part="validation")
    assert again.sha256 == parts["validation"].sha256
    other = load.load(kind, part="validation", seed=1)
    assert len(other) == len(again)
    fixed = kind == "mnist-50000" or (Path(kind).is_dir() and packed.is_store(Path(kind)))
    assert (other.sha256 == again.sha256) == fixed


def test_size_is_honoured_or_refused(kind: str, parts: dict[str, Dataset]) -> None:
    spec = parts["train"].spec
    if not spec.is_image:
        with pytest.raises(UsageError, match="holds vectors, not pictures"):
            load.load(kind, size=16)
        return
    data = load.load(kind, part="validation", size=16)
    assert data.spec.shape == (spec.shape[0], 16, 16)
    assert data.values.shape == (len(data), 16, 16, spec.shape[0])
    assert data.labels is None or np.array_equal(data.labels, parts["validation"].labels)
    for size in (0, -3, 10**9):
        with pytest.raises(UsageError, match=f"size = {size}"):
            load.load(kind, size=size)


def test_codec_round_trip(parts: dict[str, Dataset]) -> None:
    data = parts["validation"]
    stored = torch.from_numpy(np.array(data.values[:64]))
    back = decode(encode(stored, data.spec), data.spec)
    if data.spec.dtype == "uint8":
        assert torch.equal(back, stored)
    else:
        assert torch.allclose(back, stored, atol=1e-5)


def test_rows_that_describe_and_pictures_that_show(parts: dict[str, Dataset]) -> None:
    for data in parts.values():
        rows = dict(describe(data))
        assert rows["examples"] == f"{len(data):,}" and rows["sha256"] == data.sha256
        assert all(isinstance(v, str) and isinstance(k, str) for k, v in rows.items())
        if not data.spec.is_image:
            with pytest.raises(UsageError, match="holds vectors"):
                preview(data, 4)
            continue
        shown = preview(data, 20)
        assert shown.dtype == np.uint8 and shown.shape[1:] == data.spec.stored_shape
        assert len(shown) == min(20, len(data))


def test_previews_go_through_the_classes_in_turn() -> None:
    data = load.load("mnist", part="test")
    shown = preview(data, 20)
    picture = {v.tobytes(): k for v, k in zip(data.values, data.labels, strict=True)}
    assert [picture[v.tobytes()] for v in shown] == [*range(10), *range(10)]


def test_float_pictures_are_shown_in_the_range_of_the_train_part(tmp_path: Path) -> None:
    """0..1 becomes black to white, in the preview and in the saved grid."""
    values = np.tile(np.linspace(0, 1, 16).reshape(1, 4, 4), (12, 1, 1)).astype(np.float32)
    np.save(tmp_path / "f.npy", values)
    shown = preview(load.load(str(tmp_path / "f.npy")), 1)
    wanted = np.round(values[0] * 255).astype(np.uint8)
    assert np.array_equal(shown[0, :, :, 0], wanted)
    show(str(tmp_path / "f.npy"), output=tmp_path / "grid.png")
    saved = images.read_png(tmp_path / "grid.png")
    scale = 64 // 4  # how much the saved grid is enlarged
    first = saved[2 * scale : 6 * scale : scale, 2 * scale : 6 * scale : scale, 0]
    assert np.array_equal(first, wanted)


@pytest.mark.parametrize("count", [1, 2, 9, 10, 19, 20, 61, 100, 1000])
@pytest.mark.parametrize("published", [(0, 0), (1, 0), (7, 3)])
def test_splits_cover_everything_once(count: int, published: tuple[int, int]) -> None:
    test, validation = published
    if test >= count:
        return
    examples = Examples(np.zeros((count, 1)), test=test, validation=validation)
    parts = split(examples, "x", "train", 3)
    assert np.array_equal(np.sort(np.concatenate(list(parts.values()))), np.arange(count))
    assert all(np.all(np.diff(rows) > 0) for rows in parts.values())
    assert len(parts["train"]) >= 1
    if test:
        assert np.array_equal(parts["test"], np.arange(count - test, count))
    elif count >= 10:
        assert len(parts["test"]) == len(parts["validation"]) == round(count / 20 + 1e-9)


def test_sets_too_small_for_a_part_say_so_when_it_is_asked_for(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((9, 4, 4), np.uint8))
    assert len(load.load(str(tmp_path / "a.npy"))) == 9
    with pytest.raises(DataError, match="has 9 examples, too few for a validation part: 10 or"):
        load.load(str(tmp_path / "a.npy"), part="validation")


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ("minst", UsageError, "unknown data 'minst': did you mean 'mnist'"),
        ("nothing", UsageError, "known: cifar10, cifar10-grey"),
        ("", UsageError, "no data given"),
        ("some/folder", DataError, "no such file or folder"),
        ("data.npz", DataError, "no such file or folder"),
        ("~nobody-here/a", DataError, "not a path"),
        ("x" * 5000, DataError, "not a path|File name too long"),
    ],
)
def test_names_that_are_none(given: str, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says) as caught:
        load.load(given)
    assert len(str(caught.value)) < 600


def test_other_bad_arguments(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"part = 'tset': did you mean 'test'"):
        load.load("mnist", part="tset")
    (tmp_path / "a.csv").write_text("1,2,3")
    with pytest.raises(DataError, match=r"a.csv: not a folder .* it begins with 31 2c"):
        load.load(str(tmp_path / "a.csv"))
    (tmp_path / "b").write_bytes(b"")
    with pytest.raises(DataError, match=r"b: not a folder .* it is empty"):
        load.load(str(tmp_path / "b"))


# --- a source beside the examples -------------------------------------------------------------


def numbered(count: int, *shape: int) -> np.ndarray:
    """Arrays whose numbers are all the number of their row."""
    return np.broadcast_to(np.arange(count, dtype=np.uint8).reshape(-1, 1, 1, 1), (count, *shape))


def test_a_paired_source_is_split_with_its_examples() -> None:
    examples = Examples(numbered(60, 8, 6, 3), np.arange(60) % 3, source=numbered(60, 5, 9, 1))
    plain = Examples(examples.values, examples.labels)
    for part in load.PARTS:
        data = select(examples, "pairs", part, size=None, seed=4)
        assert data.source is not None and not data.unpaired
        assert np.array_equal(data.source[:, 0, 0, 0], data.values[:, 0, 0, 0])
        assert data.spec == DataSpec((3, 8, 6), 3, source=DataSpec((1, 5, 9)))
        assert np.array_equal(data.values, select(plain, "p", part, size=None, seed=4).values)


def test_an_unpaired_source_is_split_by_itself() -> None:
    examples = Examples(numbered(60, 8, 6, 3), source=numbered(100, 4, 4, 1), unpaired=True)
    parts = {part: select(examples, "x", part, size=None, seed=4) for part in load.PARTS}
    assert [len(parts[part].source) for part in load.PARTS] == [90, 5, 5]
    assert [len(parts[part]) for part in load.PARTS] == [54, 3, 3]
    rows = np.concatenate([parts[part].source[:, 0, 0, 0] for part in load.PARTS])
    assert sorted(rows) == list(range(100))
    few = Examples(examples.values, source=numbered(3, 4, 4, 1), unpaired=True)
    with pytest.raises(DataError, match=r"'x \(source\)' has 3 examples, too few for a test part"):
        select(few, "x", "test", size=None, seed=0)


def test_a_size_is_of_pictures_in_the_source_too_and_vectors_have_none() -> None:
    pictures_of = Examples(numbered(60, 8, 6, 3), source=numbered(60, 5, 9, 1))
    data = select(pictures_of, "x", "train", size=4, seed=0)
    assert data.values.shape == (54, 4, 4, 3) and data.source.shape == (54, 4, 4, 1)
    assert data.spec.source == DataSpec((1, 4, 4))
    vectors_of = np.random.default_rng(0).normal(2, 3, size=(60, 5)).astype(np.float32)
    data = select(Examples(pictures_of.values, source=vectors_of), "x", "train", size=4, seed=0)
    assert data.source.shape == (54, 5) and data.spec.source.shape == (5,)
    assert np.allclose(data.spec.source.offset, data.source.mean(0), atol=1e-5)  # of the train part


def test_the_hash_names_the_source_and_is_unchanged_without_one() -> None:
    values, labels = np.arange(48, dtype=np.uint8).reshape(4, 2, 2, 3), np.arange(4)
    state = hashlib.sha256()
    for array in (values, labels):
        state.update(f"{array.dtype.str}{array.shape}".encode() + array.tobytes())
    assert digest(values, labels) == state.hexdigest()
    found = {
        digest(values, labels),
        digest(values, labels, values),
        digest(values, labels, values, unpaired=True),
        digest(values, labels, values + 1),
    }
    assert len(found) == 4
    one = Examples(numbered(60, 2, 2, 1), source=numbered(60, 3, 3, 1))
    other = Examples(one.values, source=numbered(60, 3, 3, 1)[::-1])
    assert len({select(e, "x", "train", size=None, seed=0).sha256 for e in (one, other)}) == 2


def test_sources_that_do_not_fit_are_refused() -> None:
    values, source = numbered(6, 4, 4, 1), numbered(5, 4, 4, 1)
    with pytest.raises(DataError, match="5 sources for 6 examples: give one for each, or"):
        Examples(values, source=source)
    with pytest.raises(DataError, match="unpaired, but without a source"):
        Examples(values, unpaired=True)
    with pytest.raises(DataError, match="one of two unpaired domains has a published test part"):
        Examples(values, source=source, unpaired=True, test=2)
    spec = DataSpec((1, 4, 4))
    with pytest.raises(DataError, match="data 'x': 5 sources for 6 examples"):
        Dataset("x", "train", replace(spec, source=spec), values, source=source)
    with pytest.raises(DataError, match=r"data 'x': give source and spec\.source together"):
        Dataset("x", "train", spec, values, source=values)


def test_the_first_format_that_recognises_a_path_reads_it(kind: str) -> None:
    """And the others that recognise it too come after it in the table."""
    path = Path(kind)
    if kind in load.NAMED or packed.is_store(path):
        return
    head = b"" if path.is_dir() else path.read_bytes()[:8]
    formats = [import_module(f"ganforge.data.formats.{name}") for name in FORMATS]
    readers = [format_.__name__ for format_ in formats if format_.recognises(path, head)]
    name = {".npy": "arrays", ".npz": "arrays", ".zip": "image_folder"}.get(path.suffix)
    name = name or ("cifar" if (path / "test_batch.bin").exists() else None)
    name = name or ("idx" if "idx3" in path.name else "image_folder")
    assert readers[0] == f"ganforge.data.formats.{name}"
