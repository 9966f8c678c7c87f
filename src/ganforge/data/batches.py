"""Model-ready batches, as a pure function of (seed, position) in the endless shuffled pass."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ganforge.data.dataset import Dataset
from ganforge.data.spec import encode
from ganforge.rng import Order
from ganforge.types import Array, Ints

Rows = tuple[Tensor, Tensor | None]  # stored values (n, numbers in one), labels (n,)

GROUP_BYTES = 2**20  # requests are prepared in groups of about this size: a thread switch costs
AHEAD = 3  # groups prepared before they are asked for
WORKERS = 2  # so that one page fault does not hold up the next


@dataclass
class Sequence:
    """Requests at positions origin, origin + stride, ..., in groups of `group` requests."""

    origin: int
    stride: int
    count: int
    group: int
    pending: dict[int, Future[Rows]] = field(default_factory=dict)

    def holds(self, first: int, count: int) -> bool:
        return (
            count == self.count
            and first >= self.origin
            and (first - self.origin) % self.stride == 0
            and (not self.pending or self.place(first)[0] - min(self.pending) in (0, 1))
        )

    def place(self, first: int) -> tuple[int, int]:
        """Number of the group that holds the request at `first`, and its place in the group."""
        return divmod((first - self.origin) // self.stride, self.group)

    def positions(self, group: int) -> list[int]:
        start = self.origin + group * self.group * self.stride
        return [start + i * self.stride for i in range(self.group)]


class Batches:
    """Batches of one data set by position: the same (seed, first, count) gives the same tensors.

    The stored values lie whole on the device where they fit, else they stay where they are (most
    often a memory map) and background threads gather the requests that should come next: training
    asks for positions at a constant stride. A wrong guess costs time and changes nothing.

    Arguments:
        dataset: the data.
        device: where the batches are wanted.
        seed: of the order; every pass is a fresh permutation (`rng.Order`).
        resident_bytes: the largest data set put on the device, in bytes of stored values.
    """

    def __init__(
        self, dataset: Dataset, *, device: torch.device, seed: int, resident_bytes: int = 2**31
    ):
        self.spec, self.device = dataset.spec, device
        self.size = len(dataset.values)
        self._order = Order(seed, self.size)
        self.resident = dataset.values.nbytes <= resident_bytes
        values = dataset.values.reshape(self.size, -1)
        self._values: Tensor | Array = _tensor(values).to(device) if self.resident else values
        self._labels = None if dataset.labels is None else _tensor(dataset.labels)
        if self._labels is not None and self.resident:
            self._labels = self._labels.to(device)
        self._pool = None if self.resident else ThreadPoolExecutor(WORKERS, "ganforge-batches")
        self._sequence: Sequence | None = None
        self._last: int | None = None
        self._epoch_on_device: tuple[int, Tensor] | None = None

    def at(self, first: int, count: int) -> tuple[Tensor, Tensor | None]:
        """Examples at positions first .. first + count - 1 of the pass.

        Returns (x, labels): x float32 model values, (count, C, H, W) channels_last or (count, F),
        fresh memory; labels int64 (count,) or None; both on the device.
        """
        if self._pool is None:
            index = self._index(first, count)
            assert isinstance(self._values, Tensor)
            stored = self._values.index_select(0, index)
            labels = None if self._labels is None else self._labels.index_select(0, index)
        else:
            stored, labels = self._fetch(first, count)
        return encode(stored.reshape(count, *self.spec.stored_shape), self.spec), labels

    def close(self) -> None:
        """Stop the background threads; `at` may not be called afterwards on a mapped data set."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
        self._sequence = None

    def _index(self, first: int, count: int) -> Tensor:
        """Row numbers on the device; a whole epoch's are sent there once, not one batch's."""
        epoch, start = divmod(first, self.size)
        if start + count > self.size or self.device.type == "cpu":
            return torch.from_numpy(self._order.indices(first, count)).to(self.device)
        if self._epoch_on_device is None or self._epoch_on_device[0] != epoch:
            whole = self._order.indices(epoch * self.size, self.size)
            self._epoch_on_device = (epoch, torch.from_numpy(whole).to(self.device))
        return self._epoch_on_device[1][start : start + count]

    def _fetch(self, first: int, count: int) -> Rows:
        """The gathered rows on the device; starts the requests that should follow this one."""
        assert self._pool is not None
        sequence = self._sequence
        if sequence is None or not sequence.holds(first, count):
            sequence = self._begin(first, count)
        self._last = first
        group, place = sequence.place(first)
        for old in [g for g in sequence.pending if g < group]:
            sequence.pending.pop(old).cancel()
        for g in range(group, group + 1 + AHEAD):
            if g not in sequence.pending:
                # The order is computed here: its cache of permutations is not for two threads.
                index = [self._order.indices(p, count) for p in sequence.positions(g)]
                sequence.pending[g] = self._pool.submit(self._gather, np.concatenate(index))
        stored, labels = sequence.pending[group].result()
        rows = slice(place * count, (place + 1) * count)
        stored, labels = stored[rows], None if labels is None else labels[rows].clone()
        if self.device.type != "cpu":
            stored = stored.to(self.device, non_blocking=True)
            labels = None if labels is None else labels.to(self.device, non_blocking=True)
        return stored, labels

    def _begin(self, first: int, count: int) -> Sequence:
        """A new guess at what will be asked for: the stride of the last two requests goes on."""
        for future in () if self._sequence is None else self._sequence.pending.values():
            future.cancel()
        stride = count if self._last is None or first <= self._last else first - self._last
        assert isinstance(self._values, np.ndarray)
        group = max(1, GROUP_BYTES // max(1, self._values[:1].nbytes * count))
        self._sequence = Sequence(first, max(1, stride), count, group)
        return self._sequence

    def _gather(self, index: Ints) -> Rows:
        assert isinstance(self._values, np.ndarray)
        pin = self.device.type == "cuda"
        rows = torch.empty(
            (len(index), self._values.shape[1]),
            dtype=torch.uint8 if self._values.dtype == np.uint8 else torch.float32,
            pin_memory=pin,
        )
        # mode="clip" writes straight into `out`; the indices are in range by construction.
        np.take(self._values, index, axis=0, out=rows.numpy(), mode="clip")
        if self._labels is None:
            return rows, None
        labels = self._labels.index_select(0, torch.from_numpy(index))
        return rows, labels.pin_memory() if pin else labels


def _tensor(array: Array) -> Tensor:
    """A tensor of the array's memory, which is never written to; a copy of a memory map."""
    if isinstance(array, np.memmap) or not array.flags.writeable:
        return torch.from_numpy(np.array(array))
    return torch.from_numpy(np.ascontiguousarray(array))
