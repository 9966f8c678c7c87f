"""`pictures` beside a plain loop of the same recipe, and layer by layer beside the matrix product.

    python -m benchmarks.speed.pictures [SIDE] [fp32|bf16]

Both sides take turns in one process, on one thread; CPU seconds are counted, so that what else the
machine does falls on neither. Ours is the whole step of the trainer. Of each convolution and linear
layer, batch 16: the rate of the forward pass, of the gradient of the input and of that of the
weight, as shares of the rate of a large matrix product in the same precision.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.speed import machine, turns
from benchmarks.speed.convolutions import spent
from benchmarks.speed.peers.pictures import Pictures
from ganforge import nets, recipes
from ganforge.data.dataset import Dataset, digest
from ganforge.data.spec import DataSpec, encode
from ganforge.runs.folder import Run
from ganforge.training.device import Resolved
from ganforge.training.trainer import Trainer

ROUNDS, STEPS, COUNT = 5, 8, 256
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def sides(side: int, precision: str, folder: Path) -> tuple[Callable[[int], object], Pictures]:
    """One step of ours, by its number, and the peer."""
    config = replace(
        recipes.find("pictures"), device="cpu", precision=precision, threads=1, kimg=1e3
    )
    values = np.random.default_rng(0).integers(0, 256, (COUNT, side, side, 3), dtype=np.uint8)
    data = Dataset("noise", "train", DataSpec((3, side, side)), values, sha256=digest(values, None))
    trainer = Trainer.build(config, Run(folder), data, Resolved("cpu", precision, 1))
    made = nets.build(config.networks, data.spec, 100)
    peer = Pictures(made["generator"], made["discriminator"], precision == "bf16")
    return lambda number: trainer.step(), peer


def rates(side: int, precision: str) -> tuple[float, float, float]:
    """Pictures a CPU second of ours and of the peer, and the operations of a picture."""
    batch = recipes.find("pictures").batch
    values = np.random.default_rng(1).integers(0, 256, (COUNT, side, side, 3), dtype=np.uint8)
    x = encode(torch.from_numpy(values), DataSpec((3, side, side))).contiguous()
    with tempfile.TemporaryDirectory() as folder:
        ours, peer = sides(side, precision, Path(folder) / "run")

        def plain(number: int) -> object:
            rows = torch.arange(number * batch, (number + 1) * batch) % COUNT
            return peer.step(x[rows])

        found = turns.rates({"ours": ours, "plain": plain}, ROUNDS, STEPS, batch)
        with FlopCounterMode(display=False) as counter:  # whole periods of the penalties
            for i in range(STEPS):
                plain(i)
    return found["ours"], found["plain"], counter.get_total_flops() / (STEPS * batch)


def layers(side: int) -> dict[str, tuple[nn.Module, Tensor]]:
    """The convolutions and linear layers of both players, each with an input of the recipe."""
    config = recipes.find("pictures")
    made = nets.build(config.networks, DataSpec((3, side, side)), 100)
    found: dict[str, tuple[nn.Module, Tensor]] = {}

    def watch(name: str) -> Callable[[nn.Module, tuple[Tensor], Tensor], None]:
        def hook(layer: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
            x, y = inputs[0].shape, output.shape
            shape = " x ".join(map(str, y[2:]))
            found[f"{name} {x[1]} to {y[1]}" + (f", {shape}" if shape else "")] = layer, inputs[0]

        return hook

    for name, player in (("G", made["generator"]), ("D", made["discriminator"])):
        for layer in player.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                layer.register_forward_hook(watch(name))
    with torch.no_grad():
        made["discriminator"](made["generator"](torch.randn(config.batch, 100)))
    for layer, _ in found.values():
        layer._forward_hooks.clear()
    return found


def passes(layer: nn.Module, x: Tensor, dtype: torch.dtype) -> tuple[float, list[float]]:
    """The operations of one pass, and the CPU seconds of the three."""
    order = torch.channels_last if x.dim() == 4 else torch.contiguous_format
    layer = layer.to(dtype=dtype, memory_format=order) if x.dim() == 4 else layer.to(dtype)
    x = x.to(dtype).contiguous(memory_format=order).requires_grad_()
    y = layer(x)
    up = torch.randn_like(y)
    seconds = [spent(lambda: layer(x))]
    for wrt in (x, layer.weight):
        seconds.append(spent(lambda wrt=wrt: torch.autograd.grad(y, wrt, up, retain_graph=True)))
    weight = layer.weight
    pixels = y[0, 0].numel() if y.dim() == 4 else 1
    return 2.0 * pixels * len(x) * weight.numel(), seconds


def product(dtype: torch.dtype) -> float:
    """FLOP a CPU second of a large matrix product: other programs have no part in it."""
    a, b = (torch.randn(machine.SIDE, machine.SIDE).to(dtype) for _ in range(2))
    return 2 * machine.SIDE**3 / spent(lambda: a @ b)


def main(side: int = 64, precision: str = "bf16") -> None:
    """The ratio, the share of the whole step, and a row a layer."""
    torch.manual_seed(0)
    facts = machine.describe(1)
    facts["product"] = {name: product(dtype) for name, dtype in DTYPES.items()}
    peak = facts["product"][precision]
    print(machine.line(facts) + "\n", flush=True)
    ours, plain, flops = rates(side, precision)
    print(
        f"pictures, {side} pixels, batch 16, {precision}, one thread: ours {ours:.1f}, plain loop "
        f"{plain:.1f} pictures a CPU second, ratio {ours / plain:.2f}; {flops / 1e9:.2f} GFLOP a "
        f"picture, ours {ours * flops / peak:.0%} of the product's rate\n", flush=True,
    )  # fmt: skip
    print("| layer | MFLOP | forward | to the input | to the weight |\n|---|---|---|---|---|")
    for name, (layer, x) in layers(side).items():
        count, seconds = passes(layer, x, DTYPES[precision])
        cells = [f"{1e3 * t:.2f} ms, {count / t / peak:.0%}" for t in seconds]
        print(f"| {name} | {count / 1e6:.0f} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]), *sys.argv[2:3])
