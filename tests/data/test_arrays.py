""".npy and .npz files: what each array means, and what is refused."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ganforge.data import load, objects
from ganforge.data.dataset import describe_values
from ganforge.data.formats.arrays import pictures
from ganforge.data.spec import encode
from ganforge.errors import DataError, UsageError

RNG = np.random.default_rng(0)
BLOWN = np.ones((40, 6, 5))  # pictures, most of them of infinities
BLOWN[5:, :3], BLOWN[5:, 3:] = np.inf, -np.inf
GREYS = RNG.integers(0, 256, (40, 6, 5), dtype=np.uint8)


def npy(path: Path, array: Any) -> str:
    np.save(path / "a.npy", array, allow_pickle=True)
    return str(path / "a.npy")


@pytest.mark.parametrize(
    ("shape", "seen"),
    [
        ((40, 6, 5), (1, 6, 5)), ((40, 6, 5, 1), (1, 6, 5)), ((40, 6, 5, 3), (3, 6, 5)),
        ((40, 3, 8, 6), (3, 8, 6)), ((40, 6, 5, 4), (4, 6, 5)), ((40, 3, 8, 2), (2, 3, 8)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32", ">u2"])
def test_axes_of_pictures(tmp_path: Path, shape: Any, seen: Any, dtype: str) -> None:
    values = RNG.integers(0, 256, shape).astype(dtype)
    parts = [load.load(npy(tmp_path, values), part=p) for p in load.PARTS]
    data = parts[0]
    assert data.spec.shape == seen
    assert data.spec.dtype == ("float32" if dtype == "float32" else "uint8")
    assert data.values.dtype == data.spec.dtype and data.values.shape[1:] == data.spec.stored_shape
    whole = np.sort(np.concatenate([p.values.reshape(len(p), -1) for p in parts]), axis=0)
    assert np.array_equal(whole, np.sort(pictures(values, "x").reshape(40, -1), axis=0))


def test_float_pictures_map_the_range_of_the_train_part_to_minus_one_and_one(
    tmp_path: Path,
) -> None:
    values = RNG.uniform(-3, 7, (60, 4, 4, 2))
    train, test = (load.load(npy(tmp_path, values), part=p) for p in ("train", "test"))
    assert train.spec == test.spec and train.spec.bounded
    x = encode(torch.from_numpy(train.values), train.spec)
    assert x.min() == pytest.approx(-1, abs=1e-6) and x.max() == pytest.approx(1, abs=1e-6)
    flat = load.load(npy(tmp_path, np.full((20, 4, 4), 0.25)))
    assert flat.spec.scale == (1.0,) and flat.spec.offset == (0.25,)


@pytest.mark.parametrize("shape", [(4, 4, 1), (3,)])
def test_held_out_rows_do_not_move_the_scale(shape: tuple[int, ...]) -> None:
    values = RNG.normal(size=(6, *shape)).astype("f4")
    rows = np.array([0, 2, 3])
    spec = describe_values(values, rows)
    values[[1, 4, 5]] *= 1000
    assert describe_values(values, rows) == spec
    values[0] *= 1000
    assert describe_values(values, rows) != spec


@pytest.mark.parametrize("shape", [(5, 11), (11, 5)])
def test_arrays_are_cropped_about_their_middle(tmp_path: Path, shape: tuple[int, int]) -> None:
    values = RNG.integers(0, 256, (20, *shape, 3), dtype=np.uint8)
    square = values[:, 3:8] if shape[0] == 11 else values[:, :, 3:8]
    data = load.load(npy(tmp_path, values), size=5)
    found = {row.tobytes() for row in data.values}
    assert found <= {row.tobytes() for row in square} and len(found) == len(data)


def test_vectors_are_standardised_by_the_train_part(tmp_path: Path) -> None:
    values = RNG.normal((5, -1, 1e4), (2, 0.1, 1), (500, 3))
    values = np.concatenate([values, np.full((500, 1), 3.0)], axis=1).astype(np.float32)
    data = load.load(npy(tmp_path, values))
    assert data.spec.shape == (4,) and not data.spec.bounded and data.spec.scale[3] == 1.0
    x = encode(torch.from_numpy(data.values), data.spec).double()
    assert torch.allclose(x.mean(0), torch.zeros(4, dtype=torch.float64), atol=1e-2)
    assert torch.allclose(x[:, :3].std(0), torch.ones(3, dtype=torch.float64), atol=2e-2)
    assert load.load(npy(tmp_path, values[:, 0])).spec.shape == (1,)
    with pytest.raises(UsageError, match="holds vectors, not pictures"):
        load.load(npy(tmp_path, values), size=8)


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.zeros((40, 8, 6, 5), np.uint8), r"shape \(40, 8, 6, 5\): give pictures as \(N, H"),
        (np.zeros((40, 2, 2, 2, 2)), "give pictures as"),
        (np.full((40, 4, 4), 256), "a pixel of 256: whole numbers must lie in 0..255"),
        (np.full((40, 4, 4), -1), "a pixel of -1"),
        (np.zeros((40, 4), np.int64), "vectors are floats; convert"),
        (np.zeros((40, 4), bool), "2 axes of bool"),
        (np.zeros((40, 4, 4), complex), "an array of complex128: save plain numbers"),
        (np.zeros((40,), "U3"), "an array of <U3"),
        (np.zeros(40, [("a", "f4")]), "save plain numbers"),
        (np.array([{}, 1], object), "pickled Python objects, never read"),
        (np.zeros((0, 4, 4)), "holds no examples"),
        (np.float32(3), "holds no examples"),
        (np.where(np.arange(40)[:, None] == 7, np.nan, 1.0), "row 7 holds NaN or infinity"),
        (np.where(np.arange(40)[:, None] == 9, 1e300, 1.0), "row 9 holds NaN or infinity"),
        (BLOWN, "row 5 holds NaN or infinity"),
    ],
)
def test_arrays_that_mean_nothing_here(tmp_path: Path, array: Any, says: str) -> None:
    with pytest.raises(DataError, match=says) as caught:
        load.load(npy(tmp_path, array))
    assert "a.npy" in str(caught.value)


@pytest.mark.parametrize("key", ["images", "samples", "x", "arr_0"])
@pytest.mark.parametrize("label_key", ["labels", "y", None])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_keys_of_npz(tmp_path: Path, key: str, label_key: str | None, save: Any) -> None:
    labels = {} if label_key is None else {label_key: np.arange(40, dtype=np.int32) % 3}
    save(tmp_path / "a.npz", **{key: GREYS}, **labels)
    data = load.load(str(tmp_path / "a.npz"))
    assert data.spec.shape == (1, 6, 5) and data.spec.classes == (3 if label_key else 0)
    (tmp_path / "a.npz").rename(tmp_path / "a.zip")  # found by what it holds
    assert np.array_equal(load.load(str(tmp_path / "a.zip")).values, data.values)


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        (np.arange(39), r"labels of shape \(39,\) for 40 examples"),
        (np.full(40, -1), "label -1 of row 0 is out of range"),
        (np.where(np.arange(40) == 5, 10**9, 0), "label 1000000000 of row 5"),
        (np.zeros(40), "labels are float64: give integers"),
        (np.array(["a"] * 40), "an array of <U1"),
        (np.array([{}] * 40, object), "pickled Python objects, never read"),
    ],
)
def test_labels_that_are_none(tmp_path: Path, labels: Any, says: str) -> None:
    np.savez(tmp_path / "a.npz", images=GREYS, labels=labels)
    with pytest.raises(DataError, match=says):
        load.load(str(tmp_path / "a.npz"))


def test_npz_without_examples(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", pictures=GREYS)
    with pytest.raises(DataError, match="holds pictures: name the array one of images, samples"):
        load.load(str(tmp_path / "a.npz"))
    (tmp_path / "a.npz").write_bytes(b"PK\x03\x04rubbish")
    with pytest.raises(DataError, match="not a zip file, or a damaged one"):
        load.load(str(tmp_path / "a.npz"))


def test_npy_headers_that_lie(tmp_path: Path) -> None:
    path = Path(npy(tmp_path, GREYS))
    raw = path.read_bytes()
    cases = [
        (raw[:-1], "is cut short"),
        (raw + b"x", "bytes after its end"),
        (raw.replace(b"(40, 6, 5)", b"(10**9999)"), "not a .npy array|damaged"),
        (raw.replace(b"(40, 6, 5)", b"(40,-6,-5)"), "damaged .npy header|cut short"),
        (raw.replace(b"(40, 6, 5), ", b"(9" + b"9" * 9 + b",) "), "cut short|damaged"),
        (raw[:6] + b"\x09" + raw[7:], "version"),
        (raw[:20], "not a .npy array"),
    ]
    for bad, says in cases:
        path.write_bytes(bad)
        with pytest.raises(DataError, match=says):
            load.load(str(path))


def test_an_npy_header_of_more_bytes_than_there_can_be_is_damaged(tmp_path: Path) -> None:
    """2^60 numbers of 8 bytes: their count alone could still be the length of a file."""
    path = Path(npy(tmp_path, GREYS.astype(np.float64)))
    path.write_bytes(path.read_bytes().replace(b"(40, 6, 5), }", b"(1152921504606846976,), }"))
    with pytest.raises(DataError, match=r"a damaged .npy header: shape \(1152921504606846976,\)"):
        load.load(str(path))


def test_an_npz_member_whose_header_lies(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, GREYS)
    raw = buffer.getvalue().replace(b"(40, 6, 5)", b"(99, 6, 5)")
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("images.npy", raw)
    with pytest.raises(DataError, match=r"a.npz: images: is cut short"):
        load.load(str(tmp_path / "a.npz"))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_size_resizes_arrays(tmp_path: Path, channels: int, dtype: Any) -> None:
    levels = RNG.integers(0, 256, (20, 1, 1, channels))
    values = np.broadcast_to(levels, (20, 12, 16, channels)).astype(dtype)
    data = load.load(npy(tmp_path, values), size=8)
    assert data.spec.shape == (channels, 8, 8)
    assert set(map(tuple, data.values[:, 3, 3])) <= set(map(tuple, levels[:, 0, 0].astype(dtype)))
    steps = np.where(np.arange(16) < 8, 0.0, 1.0) * np.ones((20, 16, 1))
    assert set(np.unique(load.load(npy(tmp_path, steps), size=32).values) >= 0) == {True}
    assert load.load(npy(tmp_path, steps), size=32).values.max() <= 1


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor, list])
def test_an_object_that_is_not_finite_is_refused(kind: Any) -> None:
    values = np.ones((40, 3), np.float32)
    values[7, 1] = np.inf
    with pytest.raises(DataError, match="row 7 holds NaN or infinity: remove or repair it"):
        objects.read(kind(values))
