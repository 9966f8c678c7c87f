"""What bounds a convolutional step: the report's DCGAN layer by layer, beside the matrix product.

    python -m benchmarks.speed.convolutions

One thread, batch 64, channels last. Milliseconds of CPU time, median; GFLOP/s of each pass in fp32
and bf16: forward, gradient of the input, gradient of the weight.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor, nn

from benchmarks.speed import machine

BATCH, TRIES = 64, 15
W = 32
# name, layer, shape of its input; D's pass over real and over fake examples, G's once
LAYERS: dict[str, tuple[nn.Module, tuple[int, int, int]]] = {
    "D 1 to 32": (nn.Conv2d(1, W, 4, 2, 1, bias=False), (1, 28, 28)),
    "D 32 to 64": (nn.Conv2d(W, 2 * W, 4, 2, 1, bias=False), (W, 14, 14)),
    "D 64 to 128": (nn.Conv2d(2 * W, 4 * W, 4, 2, 1, bias=False), (2 * W, 7, 7)),
    "G 128 to 64": (nn.ConvTranspose2d(4 * W, 2 * W, 3, 2, 1, bias=False), (4 * W, 4, 4)),
    "G 64 to 32": (nn.ConvTranspose2d(2 * W, W, 4, 2, 1, bias=False), (2 * W, 7, 7)),
    "G 32 to 1": (nn.ConvTranspose2d(W, 1, 4, 2, 1, bias=False), (W, 14, 14)),
}


def spent(work: Callable[[], object]) -> float:
    """CPU seconds of a call, median of a few."""
    work()
    seconds = []
    for _ in range(TRIES):
        began = time.process_time()
        work()
        seconds.append(time.process_time() - began)
    return median(seconds)


def passes(layer: nn.Module, x: Tensor) -> tuple[list[float], float]:
    """CPU seconds of the three passes, and the operations of one."""
    y = layer(x)
    up = torch.randn_like(y)
    wrt = (x, layer.weight)
    forward = spent(lambda: layer(x))
    each = [spent(lambda a=a: torch.autograd.grad(y, a, up, retain_graph=True)) for a in wrt]
    side = x if isinstance(layer, nn.ConvTranspose2d) else y  # a product for each of its pixels
    flops = 2 * side[0, 0].numel() * len(x) * layer.weight.numel()
    return [forward, *each], float(flops)


def main() -> None:
    """A row a layer."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    facts = machine.describe(1)
    print(f"matrix product: {facts['product']['fp32'] / 1e9:.0f} GFLOP/s in fp32, "
          f"{facts['product']['bf16'] / 1e9:.0f} in bf16\n")  # fmt: skip
    print("| layer | MFLOP | " + " | ".join(f"{p} {k}" for p in ("fp32", "bf16") for k in
          ("forward", "to the input", "to the weight")) + " |")  # fmt: skip
    print("|---|---|" + "---|" * 6)
    for name, (layer, shape) in LAYERS.items():
        cells = []
        for dtype in (torch.float32, torch.bfloat16):
            other = layer.to(dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
            x = torch.randn(BATCH, *shape).to(dtype=dtype, memory_format=torch.channels_last)
            seconds, flops = passes(other, x.requires_grad_())
            cells += [f"{t * 1e3:.2f} ms, {flops / t / 1e9:.0f}" for t in seconds]
        print(f"| {name} | {flops / 1e6:.0f} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
