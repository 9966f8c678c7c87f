"""Batches: a pure function of (seed, position), whether resident or memory-mapped."""

from __future__ import annotations

from dataclasses import replace
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


@pytest.mark.parametrize("resident_bytes", [2**31, 0])
def test_a_caller_may_write_to_its_batch(resident_bytes: int) -> None:
    for data in (picture_set(), vector_set(), with_source()):
        batches = Batches(data, device=CPU, seed=0, resident_bytes=resident_bytes)
        before = [None if t is None else t.clone() for t in batches.at(0, 8)]
        for tensor in batches.at(0, 8):
            if tensor is not None:
                tensor.zero_()
        for tensor, was in zip(batches.at(0, 8), before, strict=True):
            assert tensor is was is None or torch.equal(tensor, was)
        batches.close()


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


# --- a source beside the examples -------------------------------------------------------------


def with_source(count: int = 30, sources: int | None = None) -> Dataset:
    """Pictures whose source is another picture, of another size and with another channel count.

    The first pixel of picture and source holds the row number.
    """
    rng = np.random.default_rng(0)
    values = rng.integers(0, 256, (count, 6, 5, 3), dtype=np.uint8)
    source = rng.integers(0, 256, (sources or count, 4, 7, 1), dtype=np.uint8)
    for array in (values, source):
        array[:, 0, 0, 0] = np.arange(len(array))
    return Dataset(
        "x", "train", DataSpec((3, 6, 5), 2, source=DataSpec((1, 4, 7))), values,
        np.arange(count) % 2, source=source, unpaired=sources is not None,
    )  # fmt: skip


def numbers(x: torch.Tensor, spec: DataSpec) -> list[int]:
    """The row numbers that `with_source` wrote into pictures."""
    return decode(x, spec)[:, 0, 0, 0].tolist()


@pytest.mark.parametrize("resident", [True, False])
def test_a_paired_source_comes_with_its_example(resident: bool) -> None:
    data = with_source()
    batches = Batches(data, device=CPU, seed=3, resident_bytes=2**31 if resident else 0)
    assert batches.resident is resident
    for first, count in ((0, 8), (8, 8), (25, 10), (700, 8)):
        rows = batches.at(first, count)
        index = Order(3, len(data)).indices(first, count).tolist()
        assert rows.source is not None and rows.source.shape == (count, 1, 4, 7)
        assert rows.source.dtype == torch.float32
        assert numbers(rows.real, data.spec) == index == numbers(rows.source, DataSpec((1, 4, 7)))
        assert rows.label is not None and rows.label.tolist() == [i % 2 for i in index]
        assert np.array_equal(decode(rows.source, DataSpec((1, 4, 7))).numpy(), data.source[index])
    batches.close()


@pytest.mark.parametrize("resident", [True, False])
def test_an_unpaired_source_has_a_pass_of_its_own(resident: bool) -> None:
    data = with_source(30, sources=17)
    batches = Batches(data, device=CPU, seed=3, resident_bytes=2**31 if resident else 0)
    real, source = [], []
    for first in range(0, 30 * 17, 10):
        rows = batches.at(first, 10)
        real += numbers(rows.real, data.spec)
        source += numbers(rows.source, DataSpec((1, 4, 7)))
    assert real == Order(3, 30).indices(0, 30 * 17).tolist()
    for epoch in range(30):  # every source once in each pass over the sources
        assert sorted(source[17 * epoch : 17 * epoch + 17]) == list(range(17))
    batches.close()


def test_the_orders_of_examples_and_unpaired_sources_are_independent() -> None:
    data = with_source(30, sources=30)
    rows = Batches(data, device=CPU, seed=3).at(0, 30)
    assert numbers(rows.real, data.spec) != numbers(rows.source, DataSpec((1, 4, 7)))


@pytest.mark.parametrize("sources", [None, 17])
def test_a_resumed_run_has_the_same_sources(sources: int | None, tmp_path: Path) -> None:
    """A position alone decides, in another process and in a memory map too."""
    data = with_source(30, sources)
    first = Batches(data, device=CPU, seed=5)
    before = [first.at(8 * i, 8) for i in range(20)]
    np.save(tmp_path / "s.npy", data.source)
    mapped = replace(data, source=np.load(tmp_path / "s.npy", mmap_mode="r"))
    resumed = Batches(mapped, device=CPU, seed=5, resident_bytes=0, group_bytes=2000)
    for i in range(11, 20):
        rows = resumed.at(8 * i, 8)
        assert torch.equal(rows.real, before[i].real)
        assert torch.equal(rows.source, before[i].source)
    resumed.close()


def test_a_large_source_is_not_put_on_the_device() -> None:
    data = with_source()
    one = data.values.nbytes
    alone = replace(data, source=None, spec=replace(data.spec, source=None))
    assert Batches(alone, device=CPU, seed=0, resident_bytes=one).resident
    batches = Batches(data, device=CPU, seed=0, resident_bytes=one)
    assert not batches.resident
    batches.close()


def test_data_without_a_source_give_none() -> None:
    assert Batches(picture_set(), device=CPU, seed=0).at(0, 4).source is None
