"""Batches: a pure function of (seed, position), whether resident or memory-mapped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from ganforge.data.batches import Batches
from ganforge.data.dataset import Dataset
from ganforge.data.spec import DataSpec, decode
from ganforge.rng import Order

CPU = torch.device("cpu")


def picture_set(count: int = 90, *, labels: bool = True) -> Dataset:
    rng = np.random.default_rng(0)
    values = rng.integers(0, 256, (count, 6, 5, 3), dtype=np.uint8)
    kinds = np.arange(count) % 4 if labels else None
    return Dataset("x", "train", DataSpec((3, 6, 5), 4), values, kinds)


def vector_set(count: int = 50) -> Dataset:
    values = np.random.default_rng(0).normal(size=(count, 2)).astype(np.float32)
    spec = DataSpec((2,), 0, "float32", False, (0.5, 1.0), (2.0, 3.0))
    return Dataset("x", "train", spec, values)


@pytest.mark.parametrize("resident", [True, False])
def test_the_nth_example_is_the_nth_of_the_order(resident: bool) -> None:
    data = picture_set()
    with_all = Batches(data, device=CPU, seed=7, resident_bytes=2**31 if resident else 0)
    assert with_all.resident is resident
    for first, count in ((0, 16), (85, 10), (1000, 64), (3, 1), (80, 200)):
        x, labels, _ = with_all.at(first, count)
        index = Order(7, len(data)).indices(first, count)
        assert x.shape == (count, 3, 6, 5) and x.dtype == torch.float32
        assert x.is_contiguous(memory_format=torch.channels_last)
        assert labels is not None and labels.dtype == torch.int64
        assert np.array_equal(decode(x, data.spec).numpy(), data.values[index])
        assert np.array_equal(labels.numpy(), data.labels[index])
        assert x.min() >= -1 and x.max() <= 1
    with_all.close()


@pytest.mark.parametrize("data", [picture_set(), picture_set(labels=False), vector_set()])
@pytest.mark.parametrize("pattern", ["steps", "rank 1 of 3", "random", "back and forth"])
def test_mapped_equals_resident_bit_for_bit(data: Dataset, pattern: str, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", data.values)
    mapped_values = np.load(tmp_path / "x.npy", mmap_mode="r")
    mapped_data = Dataset("x", "train", data.spec, mapped_values, data.labels)
    resident = Batches(data, device=CPU, seed=1)
    few = 90 * 8 * 4  # bytes of a few requests
    mapped = Batches(mapped_data, device=CPU, seed=1, resident_bytes=0, group_bytes=few)
    requests = {
        "steps": [(8 * i, 8) for i in range(60)],
        "rank 1 of 3": [(24 * i + 8, 8) for i in range(40)],
        "random": [(int(f), 8) for f in np.random.default_rng(0).integers(0, 500, 40)],
        "back and forth": [(8 * i % 40, 4 + i % 5) for i in range(60)],
    }[pattern]
    for first, count in requests:
        (x, a, _), (y, b, _) = resident.at(first, count), mapped.at(first, count)
        assert torch.equal(x, y)
        assert (a is None and b is None) or torch.equal(a, b)
        y.zero_()  # what a caller does to its batch must not come back to it
    mapped.close()


def test_batches_are_the_callers_own() -> None:
    for data in (picture_set(), vector_set()):
        source = Batches(data, device=CPU, seed=0)
        x = source.at(0, 8).real
        before = x.clone()
        x.zero_()
        assert torch.equal(source.at(0, 8)[0], before)


def test_every_epoch_holds_every_example_once() -> None:
    data = picture_set(30)
    source = Batches(data, device=CPU, seed=0)
    seen = torch.cat([decode(source.at(i, 10)[0], data.spec) for i in range(0, 30, 10)])
    assert np.array_equal(np.unique(seen.numpy(), axis=0), np.unique(data.values, axis=0))
    again = torch.cat([decode(source.at(i, 10)[0], data.spec) for i in range(30, 60, 10)])
    assert not torch.equal(seen, again)


def test_a_read_only_map_fits_on_the_device_too(tmp_path: Path) -> None:
    data = picture_set()
    np.save(tmp_path / "x.npy", data.values)
    values = np.load(tmp_path / "x.npy", mmap_mode="r")
    source = Batches(Dataset("x", "train", data.spec, values, data.labels), device=CPU, seed=0)
    assert source.resident
    assert torch.equal(source.at(0, 8)[0], Batches(data, device=CPU, seed=0).at(0, 8)[0])
