"""Two ranks under torchrun with Gloo, R1 on, play the game of one process on the same batch.

The ranks are equal bit for bit. Against one process, the gradients of the first steps agree to
1e-5 in fp32, and every tensor after all steps to 1e-9 in fp64 (in fp32 small games amplify
rounding, and trajectories part after some hundred steps). Then the real command runs on two.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ganforge.config.schema import Config, Noise, Optimizer
from ganforge.data.spec import DataSpec
from ganforge.gan import optimizers, state
from ganforge.gan import step as game
from ganforge.gan.adversarial import Adversarial
from ganforge.gan.batch import Batch
from ganforge.gan.losses import LOSSES
from ganforge.gan.penalties import R1
from ganforge.gan.state import State, StepHyperparameters
from ganforge.gan.step import StepOptions
from ganforge.nets import DCGAN, MLP
from ganforge.rng import Stream
from ganforge.training import build, distributed
from ganforge.training.distributed import World
from ganforge.training.random_inputs import RandomInputSource
from tests.stress.harness import Options, Tally, run
from tests.stress.mutations import protections

BATCH, RATE, FIRST = 16, 1e-3, 10  # FIRST: steps whose gradients are compared in fp32
VECTORS = DataSpec((2,), 0, "float32", False, (0.0,), (1.0,))
PICTURES = DataSpec((1, 16, 16))


def setting(loss: str, kind: str) -> tuple[Config, DataSpec]:
    """A perceptron on pairs of numbers, or a DCGAN whose batch norm spans the ranks."""
    conv = kind == "sync-bn"
    networks = DCGAN(4, 4) if conv else MLP((16, 16), (16, 16))
    adversarial = Adversarial(loss=loss, penalties=(R1(1.0, 2),))
    config = Config(
        "test", networks, adversarial, batch=BATCH, noise=Noise(4), sync_bn=conv, ema=0.9
    )
    return config, PICTURES if conv else VECTORS


def began(config: Config, spec: DataSpec, dtype: torch.dtype) -> State:
    """The state before the first step, in a precision."""
    st = build.initial(config, spec)
    for module in (st.players.generator, st.players.discriminator, st.average):
        if module is not None:
            module.to(dtype)
    adam = Optimizer(lr=RATE)
    st.optimizers = {
        side: optimizers.build(adam, getattr(st.players, side).parameters())
        for side in ("generator", "discriminator")
    }
    return st


def play(world: World, loss: str, kind: str, dtype: torch.dtype, steps: int) -> dict[str, Any]:
    """Every tensor after `steps` steps, and the gradients of the first ones."""
    config, spec = setting(loss, kind)
    st = began(config, spec, dtype)
    first, count = world.part(BATCH)
    drawer = RandomInputSource(config, spec, st.players, "cpu", (first, count))
    how = StepOptions(batch=BATCH, all_reduce=distributed.all_reduce if world.size > 1 else None)
    knobs = StepHyperparameters({"generator": RATE, "discriminator": RATE}, 0.9)
    kept: dict[str, Any] = {}
    for step in range(steps):
        x = Stream(0, "real").normal(step * BATCH + first, count, spec.size)
        real = torch.from_numpy(x.copy()).to(dtype).view(count, *spec.shape)
        draws = {
            side: [replace(d, z=d.z.to(dtype)) for d in drawn]
            for side, drawn in drawer.at(step).items()
        }
        game.step(st, config.game, [Batch(real)], draws, knobs, how)
        if step < FIRST and dtype == torch.float32:
            for side in ("generator", "discriminator"):
                grads = [p.grad.flatten() for p in getattr(st.players, side).parameters()]
                kept[f"gradient.{side}.{step}"] = torch.cat(grads).clone().numpy()
    return kept | {k: v.detach().numpy() for k, v in state.tensors(st).items()}


def cases(losses: list[str], steps: int) -> list[tuple[str, str, torch.dtype, int]]:
    """What is played. A DCGAN's 20 steps cost what 200 of a perceptron do."""
    played = [(loss, "perceptron", torch.float64, steps) for loss in losses]
    played += [(loss, "perceptron", torch.float32, FIRST) for loss in losses]
    return [*played, ("non-saturating", "sync-bn", torch.float64, min(steps, 20))]


def player(out: Path, losses: list[str], steps: int) -> int:
    """What each process does."""
    torch.set_num_threads(1)
    world = distributed.from_environment()
    distributed.join(world, "cpu")
    for number, case in enumerate(cases(losses, steps)):
        np.savez(out / f"{number}-{world.rank}-of-{world.size}.npz", **play(world, *case))
    distributed.leave()
    return 0


def torchrun(size: int, words: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a module in `size` processes."""
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={size}"]
    start = [sys.executable, *(launcher if size > 1 else []), "-m", *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(start, env=environment, capture_output=True, text=True, check=False)


def tensors(path: Path) -> dict[str, Any]:
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


def compare(folder: Path, number: int, case: tuple[Any, ...], tally: Tally) -> None:
    """One game: rank against rank, and both against the single process."""
    names = (f"{number}-{r}" for r in ("0-of-2", "1-of-2", "0-of-1"))
    a, b, alone = (tensors(folder / f"{name}.npz") for name in names)
    loss, kind, dtype, steps = case
    what = f"{loss}, {kind}, {dtype}, {steps} steps"
    tally.tries += 1
    unequal = [k for k in a if a[k].tobytes() != b[k].tobytes()]
    tally.check(not unequal, f"{what}: the ranks differ in {unequal[:3]}")
    single = dtype == torch.float32
    keys = [k for k in a if k.startswith("gradient.") or not single]
    worst = max(
        float(np.max(np.abs(a[k] - alone[k]) / np.maximum(1, np.abs(alone[k])))) for k in keys
    )
    tally.check(worst <= (1e-5 if single else 1e-9), f"{what}: {worst:.1e} from one process")
    key = "at most (fp32)" if single else "at most (fp64)"
    tally.facts[key] = float(f"{max(tally.facts.get(key, 0.0), worst):.1e}")


def command(folder: Path, tally: Tally) -> None:
    """`ganforge train --gpus 2`, without GPUs, then gone on with by one process."""
    words = ["ganforge", "train", "gaussian", "--threads", "1", "--output.score", "false", "--out",
             str(folder / "command")]  # fmt: skip
    two = torchrun(1, [*words, "--epochs", "2", "--gpus", "2"])
    ok = two.returncode == 0 and two.stdout.count("finished:") == 1
    tally.check(ok, f"--gpus 2: {two.returncode}, {two.stdout[-300:]} {two.stderr[-300:]}")
    one = torchrun(1, [*words, "--epochs", "3"])
    tally.check("not bit-exact" in one.stdout, "the change of world size is not marked")
    refused = torchrun(1, [*words, "--epochs", "2", "--gpus", "3"])
    tally.check(refused.returncode == 2, f"--gpus 3 for a batch of 8: {refused.returncode}")
    tally.tries += 3


def attack(options: Options, tally: Tally) -> None:
    """n: steps in fp64; from 200 on with every loss, below with one, and without the command."""
    losses = list(LOSSES) if options.n >= 200 else ["relativistic"]
    words = ["tests.stress.ranks", "--player", str(options.scratch), str(options.n), *losses]
    words += [f"without={w}" for w in protections.taken_out]
    for size in (2, 1):
        done = torchrun(size, words)
        if not tally.check(done.returncode == 0, f"{size} ranks: {done.stderr[-1500:]}"):
            return
    for number, case in enumerate(cases(losses, options.n)):
        compare(options.scratch, number, case, tally)
    if options.n >= 200:
        command(options.scratch, tally)


def main() -> int:
    """The attack, or one of its players."""
    if sys.argv[1:2] != ["--player"]:
        return run("ranks", attack, 50, __doc__ or "")
    folder, steps, *rest = sys.argv[2:]
    for word in [w for w in rest if w.startswith("without=")]:
        protections.take_out(word.removeprefix("without="))
    return player(Path(folder), [w for w in rest if "=" not in w], int(steps))


if __name__ == "__main__":
    raise SystemExit(main())
