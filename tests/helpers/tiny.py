"""Small data, narrowed recipes and fingerprints for the tests that train."""

from __future__ import annotations

import hashlib
import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ganforge import nets, recipes
from ganforge.config.schema import Config, Noise, Optimizer
from ganforge.data import load
from ganforge.data.dataset import Dataset, digest
from ganforge.data.spec import DataSpec
from ganforge.data.toy import LAWS
from ganforge.gan import optimizers
from ganforge.gan.adversarial import Adversarial
from ganforge.gan.penalties import R1
from ganforge.gan.step import Batch, Players, RandomInputs, State, StepHyperparameters
from ganforge.nets import MLP
from ganforge.nets.resnet import ResNet
from ganforge.nets.stylegan import StyleGAN2
from ganforge.rng import Stream
from ganforge.runs import checkpoint
from ganforge.runs.records import Control, Progress
from ganforge.training import build, loop
from ganforge.types import Array

VECTORS = DataSpec((2,), 0, "float32", False, (0.0,), (1.0,))
KNOBS = StepHyperparameters({"generator": 1e-2, "discriminator": 1e-2})


def pictures(
    count: int = 64, side: int = 28, channels: int = 1, classes: int = 10, seed: int = 0
) -> Dataset:
    """Labelled noise of MNIST's shape: enough to train on for a few steps."""
    values = Stream(seed, "tiny/pictures").integers(0, count * side * side * channels, 256)
    stored = values.astype(np.uint8).reshape(count, side, side, channels)
    labels = np.arange(count, dtype=np.int64) % classes
    spec = DataSpec((channels, side, side), classes)
    return Dataset("tiny", "train", spec, stored, labels, sha256=digest(stored, labels))


def pairs(
    count: int = 24, side: int = 32, unpaired: bool = False, part: str = "train", channels: int = 3
) -> Dataset:
    """Coloured rectangles and, as their sources, the same in grey."""
    rng = np.random.default_rng(0 if part == "train" else 1)
    target = np.full((count, side, side, 3), 255, dtype=np.uint8)
    for picture in target:
        top, left = rng.integers(0, side // 2, 2)
        picture[top : top + side // 2, left : left + side // 2] = rng.integers(0, 200, 3)
    source = target.mean(-1, keepdims=True).astype(np.uint8).repeat(channels, -1)
    spec = DataSpec((3, side, side), source=DataSpec((channels, side, side)))
    return Dataset(
        "tiny",
        part,
        spec,
        target,
        sha256=digest(target, None, source, unpaired=unpaired),
        source=source,
        unpaired=unpaired,
    )


def data_for(config: Config, **options: Any) -> Dataset:
    """The data of the recipe if they are a toy law, else pictures of their shape."""
    if config.pairing:
        return pairs(options.get("count", 24), unpaired=config.pairing == "unpaired")
    if config.data in LAWS:
        return load.load(config.data)
    channels = 1 if config.data.startswith("mnist") else 3
    return pictures(**{"side": config.size or 28, "channels": channels, **options})


def narrow(config: Config) -> Config:
    """The same kind of networks, a few channels wide."""
    parts = config.networks
    if isinstance(parts, nets.UNet | nets.CycleNetworks):
        parts = replace(parts, generator_width=2, discriminator_width=2, patch_layers=1)
        if isinstance(parts, nets.CycleNetworks):
            parts = replace(parts, blocks=1)
    elif isinstance(parts, nets.DCGAN | ResNet):
        parts = replace(parts, generator_width=4, discriminator_width=4)
    elif isinstance(parts, StyleGAN2):
        parts = replace(parts, base=256, most=8, styles=12)
    elif isinstance(parts, nets.InfoGAN):
        parts = replace(parts, width=8, hidden=32, init=nets.Init("normal", 0.2))
    elif max((*parts.generator, *parts.discriminator)) > 64:
        parts = replace(
            parts,
            generator=tuple(w // 16 for w in parts.generator),
            discriminator=tuple(w // 16 for w in parts.discriminator),
        )
    return replace(config, networks=parts)


def shortened(config: Config, steps: int, batch: int = 8, **output: Any) -> Config:
    """`config`, narrowed, on one thread, for exactly `steps` steps."""
    images = steps * batch * config.game.d_steps
    return replace(
        narrow(config),
        batch=batch,
        kimg=images / 1000,
        device="cpu",
        precision="fp32",
        threads=1,
        output=replace(config.output, **{"grid": 10, **output}),
    )


def with_r1(config: Config) -> Config:
    """`config` with R1 at every step in place of its penalties."""
    return replace(config, game=replace(config.game, penalties=(R1(1.0, 1),)))


def fp64_state(config: Config, spec: DataSpec, seed: int = 0, fused: bool = True) -> State:
    """The state of `config` in double precision, to be compared with a calculation by hand."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        modules = nets.build(config.networks, spec, config.noise.size, config.game.pack)
    for module in modules.values():
        module.double().train()
    choices = {"generator": config.generator, "discriminator": config.discriminator}
    aux = build.initial_aux(config, spec)
    return State(
        Players(modules["generator"], modules["discriminator"]),
        {s: optimizers.build(choices[s], modules[s].parameters(), fused) for s in nets.SIDES},
        aux={k: v.double() if v.is_floating_point() else v for k, v in aux.items()},
    )


def normal(name: str, *shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """N(0, 1) numbers that depend on nothing but their name and shape."""
    count = int(np.prod(shape))
    return torch.from_numpy(Stream(0, name).normal(0, count, 1)).to(dtype).reshape(shape)


def turns(
    game: Adversarial, batch: int, noise: int, dtype: torch.dtype = torch.float64
) -> dict[str, list[RandomInputs]]:
    """Fresh noise for every turn of one step, without labels and masks."""
    counts = {"discriminator": game.d_steps, "generator": game.g_steps}
    return {
        side: [RandomInputs(normal(f"{side}{i}", batch, noise, dtype=dtype)) for i in range(n)]
        for side, n in counts.items()
    }


def batches(game: Adversarial, *shape: int, dtype: torch.dtype = torch.float64) -> list[Batch]:
    """Fresh real examples for every turn of D."""
    return [Batch(normal(f"real{i}", *shape, dtype=dtype)) for i in range(game.d_steps)]


def copies(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


def fingerprint(tensors: dict[str, torch.Tensor]) -> str:
    """One hash of names and exact bytes."""
    state = hashlib.sha256()
    for name in sorted(tensors):
        state.update(name.encode())
        state.update(
            tensors[name].detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        )
    return state.hexdigest()


def newest(folder: Path) -> dict[str, torch.Tensor]:
    """The tensors of a run's last checkpoint, which is whole."""
    found, notes = checkpoint.newest(folder / "checkpoints")
    assert found is not None and not notes
    return found.tensors


def killed_in_save(nth: int, work: Callable[[], object]) -> None:
    """Do `work` in a process that SIGKILL ends where its n-th checkpoint is about to be renamed."""
    left, rename = [nth], os.rename

    def dying(source: Any, target: Any) -> None:
        if "step-" in Path(target).name:
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
        rename(source, target)

    child = os.fork()
    if not child:
        try:
            os.rename = dying  # type: ignore[assignment]
            work()
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def folder_hashes(folder: Path) -> dict[str, str]:
    """sha256 of every file below a folder."""
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def log_without_times(path: Path) -> list[dict[str, Any]]:
    """The records of a run's log, but for what a clock decides."""
    records = [json.loads(line) for line in (path / "log.jsonl").read_text().splitlines()]
    return [
        {k: v for k, v in r.items() if k not in ("seconds", "images_per_second")} for r in records
    ]


class Recorder(nn.Module):
    """A discriminator that keeps what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 1).double()
        self.seen: list[Tensor] = []

    def forward(
        self, x: Tensor, label: Any = None, source: Any = None, inputs: Any = None
    ) -> Tensor:
        self.seen.append(x.detach().clone())
        return self.linear(x).squeeze(1)  # type: ignore[no-any-return]


def with_discriminator(st: State, d: nn.Module) -> State:
    """`st` with another D, and an optimiser for it."""
    st.players = replace(st.players, discriminator=d)
    st.optimizers["discriminator"] = optimizers.build(Optimizer(lr=1e-2), d.parameters())
    return st


def toy(adversarial: Adversarial | None = None, **networks: Any) -> tuple[State, Adversarial]:
    """A small game on pairs of numbers, in double precision."""
    adversarial = adversarial or Adversarial()
    config = Config("test", MLP((4,), (5,), **networks), adversarial, noise=Noise(3))
    return fp64_state(config, VECTORS), adversarial


class StopAfter(Control):
    """Asks the loop to stop after so many of this session's steps, wherever it logs.

    It counts how often the loop asks whether to save, which is once a step.
    """

    def __init__(self, steps: int):
        super().__init__()
        self.left = steps

    @property
    def save(self) -> bool:  # type: ignore[override]
        self.left -= 1
        return False

    @save.setter
    def save(self, value: bool) -> None:
        pass

    @property
    def stop(self) -> bool:  # type: ignore[override]
        return self.left <= 0

    @stop.setter
    def stop(self, value: bool) -> None:
        self.left = 2**31


def setting(name: str, steps: int = 100, log_every: int = 20) -> tuple[Config, Dataset]:
    """A shortened recipe and data for it, by name."""
    config = shortened(recipes.find(name), steps, log_every=log_every, sample_every=50.0)
    return config, data_for(config, count=40)


def run(
    config: Config, path: Path, data: Dataset, control: Control | None = None
) -> list[Progress]:
    """Train to the end, or until `control` stops; all records."""
    return list(loop.train(config, path, control, data))


def cifar_batch(pictures: Array, labels: Array) -> bytes:
    """A binary batch of CIFAR-10, from pictures uint8 (N, 32, 32, 3) and labels (N,)."""
    planes = pictures.transpose(0, 3, 1, 2).reshape(len(pictures), -1)
    return np.concatenate([labels[:, None].astype(np.uint8), planes], axis=1).tobytes()
