"""Model-ready batches, as a pure function of (seed, position) in the endless shuffled pass."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ganforge.data.dataset import Dataset
from ganforge.data.spec import encode
from ganforge.rng import Order
from ganforge.types import Array, Ints

GROUP_BYTES = 2**20  # of the requests that are prepared together: a switch of threads costs time
AHEAD = 3  # groups that are prepared in advance
WORKERS = 2  # so that one page fault does not delay the next


class Rows(NamedTuple):
    """The examples of one batch, on the device.

    real: float32 model values, (B, C, H, W) channels_last or (B, F), in memory of its own.
    label: int64 (B,), or None. source: float32 model values like `real`, of its own shape, or None.
    """

    real: Tensor
    label: Tensor | None = None
    source: Tensor | None = None


class Batches:
    """Batches of one data set by position: the same (seed, position, count) gives the same tensors.

    The stored values lie whole on the device if they fit. Otherwise they stay where they are (most
    often in a memory map) and background threads gather the requests that should come next:
    training asks for positions at a constant stride. A wrong guess costs time and changes nothing.

    Row i of a paired source comes with row i of the values. An unpaired source has a shuffled pass
    of its own, over its own length.

    Args:
        dataset: the data.
        device: where the batches are wanted.
        seed: of the order; every pass is a fresh permutation (`rng.Order`).
        resident_bytes: the largest data set that is put on the device, in bytes of stored values.
        group_bytes: of the requests that are prepared together.
    """

    def __init__(
        self,
        dataset: Dataset,
        *,
        device: torch.device,
        seed: int,
        resident_bytes: int = 2**31,
        group_bytes: int = GROUP_BYTES,
    ):
        self.spec, self.source_spec, self.device = dataset.spec, dataset.source_spec, device
        examples = {"real": dataset.values.reshape(len(dataset), -1)}
        if dataset.labels is not None:
            examples["label"] = dataset.labels
        streams = [(examples, Order(seed, len(dataset)))]
        if dataset.source is not None:
            source = {"source": dataset.source.reshape(len(dataset.source), -1)}
            if dataset.unpaired:
                streams.append((source, Order(seed, len(dataset.source), "order/source")))
            else:
                examples |= source

        size = dataset.values.nbytes + (0 if dataset.source is None else dataset.source.nbytes)
        self.resident = size <= resident_bytes
        self._pool = None if self.resident else ThreadPoolExecutor(WORKERS, "ganforge-batches")
        self._streams: list[Resident | Mapped] = [
            Resident(arrays, order, device)
            if self._pool is None
            else Mapped(arrays, order, device, self._pool, group_bytes)
            for arrays, order in streams
        ]

    def at(self, position: int, count: int) -> Rows:
        """The examples at positions position .. position + count - 1 of the pass."""
        found: dict[str, Tensor] = {}
        for stream in self._streams:
            found |= stream.at(position, count)
        real = encode(found["real"].reshape(count, *self.spec.stored_shape), self.spec)
        source = None
        if self.source_spec is not None:
            stored = found["source"].reshape(count, *self.source_spec.stored_shape)
            source = encode(stored, self.source_spec)
        return Rows(real, found.get("label"), source)

    def close(self) -> None:
        """Stop the background threads; `at` may not be called afterwards on a mapped data set."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)


class Resident:
    """Arrays on the device, of which rows are gathered there, in one order.

    Args:
        arrays: name -> (N, ...).
        order: of their rows.
        device: where they lie.
    """

    def __init__(self, arrays: dict[str, Array], order: Order, device: torch.device):
        self._tensors = {name: _tensor(array).to(device) for name, array in arrays.items()}
        self._order, self._device = order, device
        self._epoch_on_device: tuple[int, Tensor] | None = None

    def at(self, position: int, count: int) -> dict[str, Tensor]:
        """The stored rows at positions position .. position + count - 1 of the pass."""
        index = self._index(position, count)
        return {name: tensor.index_select(0, index) for name, tensor in self._tensors.items()}

    def _index(self, position: int, count: int) -> Tensor:
        """Row numbers on the device; those of an epoch are sent there at once."""
        size = self._order.size
        epoch, start = divmod(position, size)
        if start + count > size or self._device.type == "cpu":
            return torch.from_numpy(self._order.indices(position, count)).to(self._device)
        if self._epoch_on_device is None or self._epoch_on_device[0] != epoch:
            whole = self._order.indices(epoch * size, size)
            self._epoch_on_device = (epoch, torch.from_numpy(whole).to(self._device))
        return self._epoch_on_device[1][start : start + count]


@dataclass
class Requests:
    """Requests at positions origin, origin + stride, ..., in groups of `group` requests."""

    origin: int
    stride: int
    count: int
    group: int
    pending: dict[int, Future[dict[str, Tensor]]] = field(default_factory=dict)

    def fits(self, position: int, count: int) -> bool:
        """Whether a request is one of these, in a group that is being prepared or the next."""
        return (
            count == self.count
            and position >= self.origin
            and (position - self.origin) % self.stride == 0
            and (not self.pending or self.place(position)[0] - min(self.pending) in (0, 1))
        )

    def place(self, position: int) -> tuple[int, int]:
        """Number of the group of the request at `position`, and its place in the group."""
        return divmod((position - self.origin) // self.stride, self.group)

    def positions(self, group: int) -> list[int]:
        """Positions of the requests of a group."""
        start = self.origin + group * self.group * self.stride
        return [start + i * self.stride for i in range(self.group)]


class Mapped:
    """Arrays that stay where they are, of which background threads gather rows, in one order.

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
        self._requests: Requests | None = None
        self._last: int | None = None

    def at(self, position: int, count: int) -> dict[str, Tensor]:
        """The stored rows at positions position .. position + count - 1 of the pass."""
        requests = self._requests
        if requests is None or not requests.fits(position, count):
            requests = self._guess(position, count)
        self._last = position
        group, place = requests.place(position)
        for old in [g for g in requests.pending if g < group]:
            requests.pending.pop(old).cancel()
        for g in range(group, group + 1 + AHEAD):
            if g not in requests.pending:
                # The order is computed here: its cache of permutations is not for two threads.
                index = [self._order.indices(p, count) for p in requests.positions(g)]
                requests.pending[g] = self._pool.submit(self._gather, np.concatenate(index))

        rows = slice(place * count, (place + 1) * count)
        found = {name: t[rows] for name, t in requests.pending[group].result().items()}
        if self._device.type != "cpu":
            return {name: t.to(self._device, non_blocking=True) for name, t in found.items()}
        # labels are the caller's from here; `encode` makes new memory of everything else
        return {name: t.clone() if name == "label" else t for name, t in found.items()}

    def _guess(self, position: int, count: int) -> Requests:
        """The requests that should follow: the stride of the last two goes on."""
        for future in () if self._requests is None else self._requests.pending.values():
            future.cancel()
        stride = count if self._last is None or position <= self._last else position - self._last
        row_bytes = sum(array[:1].nbytes for array in self._arrays.values())
        group = max(1, self._group_bytes // max(1, row_bytes * count))
        self._requests = Requests(position, max(1, stride), count, group)
        return self._requests

    def _gather(self, index: Ints) -> dict[str, Tensor]:
        out = {}
        for name, array in self._arrays.items():
            dtype = torch.from_numpy(np.empty(0, array.dtype)).dtype
            shape = (len(index), *array.shape[1:])
            out[name] = torch.empty(shape, dtype=dtype, pin_memory=self._device.type == "cuda")
            # mode="clip" writes straight into `out`; the indices are in range by construction
            np.take(array, index, axis=0, out=out[name].numpy(), mode="clip")
        return out


def _tensor(array: Array) -> Tensor:
    """A tensor of the array's memory, which is never written to; a copy of a memory map."""
    if isinstance(array, np.memmap) or not array.flags.writeable:
        return torch.from_numpy(np.array(array))
    return torch.from_numpy(np.ascontiguousarray(array))
