"""Model-ready batches, as a pure function of (seed, position) in the endless shuffled pass."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ganforge import rng
from ganforge.data.dataset import Dataset
from ganforge.data.spec import encode
from ganforge.rng import Order
from ganforge.types import Array, Ints

GROUP_BYTES = 2**20  # of the requests that are prepared together: a switch of threads costs time
AHEAD = 3  # groups that are prepared in advance
WORKERS = 2  # so that one page fault does not delay the next


# The stored rows at positions position .. position + count - 1, by name.
Stream = Callable[[int, int], dict[str, Tensor]]


class Rows(NamedTuple):
    """The examples of one batch, on the device.

    real: float32 model values, (B, C, H, W) channels_last or (B, F), in new memory.
    label: int64 (B,), or None. source: float32 model values like `real`, of another shape, or None.
    """

    real: Tensor
    label: Tensor | None = None
    source: Tensor | None = None


class Batches:
    """Batches of one data set by position: the same (seed, position, count) gives the same tensors.

    The stored values lie whole on the device if they fit. Otherwise they stay where they are (most
    often in a memory map) and background threads gather the requests that should come next:
    training asks for positions at a constant stride. A wrong guess costs time and changes nothing.

    Row i of a paired source comes with row i of the values. An unpaired source has a separate
    shuffled pass, over its length.

    Args:
        dataset: the data.
        device: where the batches are wanted.
        seed: of the order; every pass is a fresh permutation (`rng.Order`).
        resident_bytes: the largest data set that is put on the device, in bytes of stored values.
        mirror: each example of a batch is, with probability 1/2, the mirror image of the stored
            picture, left to right; its source with it. Drawn by position.
        group_bytes: of the requests that are prepared together.
    """

    def __init__(
        self,
        dataset: Dataset,
        *,
        device: torch.device,
        seed: int,
        mirror: bool = False,
        resident_bytes: int = 2**31,
        group_bytes: int = GROUP_BYTES,
    ):
        self.spec, self.device = dataset.spec, device
        self.mirror = rng.Stream(seed, "mirror") if mirror else None
        examples = {"real": dataset.values}
        if dataset.labels is not None:
            examples["label"] = dataset.labels
        streams = [(examples, Order(seed, len(dataset)))]
        size = dataset.values.nbytes
        if dataset.source is not None:
            size += dataset.source.nbytes
            if dataset.unpaired:
                order = Order(seed, len(dataset.source), "order/source")
                streams.append(({"source": dataset.source}, order))
            else:
                examples["source"] = dataset.source

        self.resident = size <= resident_bytes
        self._pool = None if self.resident else ThreadPoolExecutor(WORKERS, "ganforge-batches")
        self._streams = [
            resident(arrays, order, device)
            if self._pool is None
            else Mapped(arrays, order, device, self._pool, group_bytes).at
            for arrays, order in streams
        ]

    def at(self, position: int, count: int) -> Rows:
        """The examples at positions position .. position + count - 1 of the pass."""
        found: dict[str, Tensor] = {}
        for stream in self._streams:
            found |= stream(position, count)
        source = None
        if self.spec.source is not None:
            source = encode(found["source"], self.spec.source)
        real = encode(found["real"], self.spec)
        if self.mirror is not None:
            flipped = torch.from_numpy(self.mirror.uniform(position, count)).to(self.device) < 0.5
            real = mirrored(real, flipped)
            source = None if source is None else mirrored(source, flipped)
        return Rows(real, found.get("label"), source)

    def close(self) -> None:
        """Stop the background threads; `at` may not be called afterwards on a mapped data set."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)


def mirrored(x: Tensor, chosen: Tensor) -> Tensor:
    """Pictures x (B, C, H, W), those of `chosen` (B, 1) left to right."""
    return torch.where(chosen.view(-1, 1, 1, 1), x.flip(3), x)


def resident(arrays: dict[str, Array], order: Order, device: torch.device) -> Stream:
    """Arrays on the device, of which rows are gathered there, in one order.

    Args:
        arrays: name -> (N, ...).
        order: of their rows.
        device: where they lie.
    """
    tensors = {name: _tensor(array).to(device) for name, array in arrays.items()}
    size = order.size

    @lru_cache(maxsize=1)
    def whole_epoch(epoch: int) -> Tensor:
        """Row numbers of an epoch, which are sent to the device at once."""
        return torch.from_numpy(order.indices(epoch * size, size)).to(device)

    def at(position: int, count: int) -> dict[str, Tensor]:
        epoch, start = divmod(position, size)
        if start + count > size or device.type == "cpu":
            index = torch.from_numpy(order.indices(position, count)).to(device)
        else:
            index = whole_epoch(epoch)[start : start + count]
        return {name: tensor.index_select(0, index) for name, tensor in tensors.items()}

    return at


class Mapped:
    """Arrays that stay where they are, of which background threads gather rows, in one order.

    Requests are expected at positions origin, origin + stride, ..., and are prepared in groups.

    Args:
        arrays: name -> (N, ...).
        order: of their rows.
        device: where the rows are wanted.
        pool: the threads.
        group_bytes: of the requests that are prepared together.
    """

    def __init__(
        self,
        arrays: dict[str, Array],
        order: Order,
        device: torch.device,
        pool: ThreadPoolExecutor,
        group_bytes: int,
    ):
        self._arrays, self._order, self._device, self._pool = arrays, order, device, pool
        self._group_bytes = group_bytes
        self._pending: dict[int, Future[dict[str, Tensor]]] = {}  # by the number of the group
        self._last = self._origin = self._count = 0
        self._stride = self._group = 1
        for array in arrays.values():
            without_read_ahead(array)

    def at(self, position: int, count: int) -> dict[str, Tensor]:
        """The stored rows at positions position .. position + count - 1 of the pass."""
        if not self._expected(position, count):
            self._guess(position, count)
        self._last = position
        group, place = self._place(position)
        for old in [g for g in self._pending if g < group]:
            self._pending.pop(old).cancel()
        for g in range(group, group + 1 + AHEAD):
            if g not in self._pending:
                # The order is computed here: its cache of permutations is not for two threads.
                requests = range(g * self._group, (g + 1) * self._group)
                starts = [self._origin + i * self._stride for i in requests]
                index = np.concatenate([self._order.indices(start, count) for start in starts])
                self._pending[g] = self._pool.submit(self._gather, index)

        rows = slice(place * count, (place + 1) * count)
        found = {name: t[rows] for name, t in self._pending[group].result().items()}
        if self._device.type != "cpu":
            return {name: t.to(self._device, non_blocking=True) for name, t in found.items()}
        # labels are the caller's from here; `encode` makes new memory of everything else
        return {name: t.clone() if name == "label" else t for name, t in found.items()}

    def _place(self, position: int) -> tuple[int, int]:
        """Number of the group of the request at `position`, and its place in the group."""
        return divmod((position - self._origin) // self._stride, self._group)

    def _expected(self, position: int, count: int) -> bool:
        """Whether a request is an expected one, in a group that is being prepared or the next."""
        return (
            count == self._count
            and position >= self._origin
            and (position - self._origin) % self._stride == 0
            and self._place(position)[0] - min(self._pending) in (0, 1)
        )

    def _guess(self, position: int, count: int) -> None:
        """From now on, expect requests at the stride of the last two."""
        for future in self._pending.values():
            future.cancel()
        self._pending = {}
        self._stride = position - self._last if position > self._last and self._count else count
        self._origin, self._count = position, count
        row_bytes = sum(array[:1].nbytes for array in self._arrays.values())
        self._group = max(1, self._group_bytes // max(1, row_bytes * count))

    def _gather(self, index: Ints) -> dict[str, Tensor]:
        out = {}
        for name, array in self._arrays.items():
            dtype = torch.from_numpy(np.empty(0, array.dtype)).dtype
            shape = (len(index), *array.shape[1:])
            out[name] = torch.empty(shape, dtype=dtype, pin_memory=self._device.type == "cuda")
            # mode="clip" writes straight into `out`; the indices are in range by construction
            np.take(array, index, axis=0, out=out[name].numpy(), mode="clip")
        return out


def without_read_ahead(array: Array) -> None:
    """Tell the system that the rows of a memory map are read in random order.

    It would read far more than a row at a time: on a cold disk, 470 bytes for each useful one.
    """
    memory = getattr(array, "_mmap", None)
    if memory is not None and hasattr(mmap, "MADV_RANDOM"):
        memory.madvise(mmap.MADV_RANDOM)


def _tensor(array: Array) -> Tensor:
    """A tensor of the array's memory, which is never written to; a copy of a memory map."""
    if isinstance(array, np.memmap) or not array.flags.writeable:
        return torch.from_numpy(np.array(array))
    return torch.from_numpy(np.ascontiguousarray(array))
