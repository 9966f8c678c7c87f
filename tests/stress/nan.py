"""NaN put into a random tensor at a random step: noticed within 50 steps, never saved as good.

The tensor is a weight, a moment, a statistic or an average of one of the three games; then the run
must stop. Or it is a batch of real examples; then one update is skipped and the run ends well.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import torch

from ganforge.data.batches import Batches
from ganforge.errors import DivergedError
from ganforge.gan import state
from ganforge.runs import checkpoint
from ganforge.runs.records import Control
from ganforge.training import loop
from ganforge.training.trainer import Trainer
from tests.stress.games import GAMES, game, warm
from tests.stress.harness import Options, Tally, fork, run, wait

WITHIN = 50  # steps


def poison(tensor: torch.Tensor, chance: random.Random) -> None:
    """One number of a tensor is not one any more."""
    value = chance.choice([float("nan"), float("inf"), float("-inf")])
    with torch.no_grad():
        tensor.view(-1)[chance.randrange(tensor.numel())] = value if tensor.dim() else float("nan")


def strided(tensor: torch.Tensor, chance: random.Random) -> None:
    """`poison`, for any strides."""
    flat = tensor.detach().contiguous().clone()
    poison(flat, chance)
    with torch.no_grad():
        tensor.copy_(flat)


def state_is_poisoned(path: Path, name: str, seed: str) -> int:
    """A run into whose state NaN is put; 0 where it stopped in time, else a number that says."""
    chance = random.Random(seed)
    config, data = game(name)
    step, at, control = Trainer.step, chance.randint(10, 50), Control()

    def poisoned(t: Any) -> None:
        step(t)
        if t.state.step == at:
            floats = {k: v for k, v in state.tensors(t.state).items() if v.is_floating_point()}
            # averaged statistics are copied anew from the generator at every step: NaN heals there
            lasting = [k for k in floats if not (k.startswith("ema.") and "running_" in k)]
            key = chance.choice(sorted(lasting))
            print(key, "at step", at)
            strided(floats[key], chance)
            control.save = chance.random() < 0.5

    Trainer.step = poisoned  # type: ignore[method-assign]
    try:
        last = 0
        for progress in loop.train(config, path, control, data):
            last = progress.step
    except DivergedError as error:
        print(error)
        return 0 if last - at <= WITHIN else 3
    return 4


def batch_is_poisoned(path: Path, name: str, seed: str) -> int:
    """A run one of whose real batches holds NaN; 0 where it goes on and ends with good weights."""
    chance = random.Random(seed)
    config, data = game(name)
    at, asked, calls = Batches.at, chance.randint(10, 50), 0

    def poisoned(self: Batches, first: int, count: int) -> Any:
        nonlocal calls
        rows = at(self, first, count)
        calls += 1
        if calls == asked:
            real = rows.real.clone()
            strided(real, chance)
            return rows._replace(real=real)
        return rows

    Batches.at = poisoned  # type: ignore[method-assign]
    skipped = 0
    for progress in loop.train(config, path, data=data):
        skipped = max(skipped, progress.skipped)
    return 0 if 1 <= skipped <= 2 else 5


def all_good(path: Path) -> bool:
    """Whether every checkpoint and the model hold finite numbers alone."""
    files = [p / checkpoint.STATE for p in checkpoint.listed(path / "checkpoints")]
    files += [p for p in (path / "model" / "model.safetensors",) if p.exists()]
    return all(
        bool(torch.isfinite(tensor).all())
        for file in files
        for key, tensor in checkpoint.read_tensors(file).items()
        if tensor.is_floating_point() and not key.startswith("log.")  # what was seen, not weights
    )


WHY = {1: "an exception", 3: "noticed too late", 4: "never noticed", 5: "other than 1 or 2 skipped"}


def attack(options: Options, tally: Tally) -> None:
    """One of four times a batch, else the state."""
    warm()
    names = list(GAMES)
    while tally.tries < options.n and not tally.hopeless:
        number = tally.tries
        name, where = names[number % 3], "batch" if number % 4 == 3 else "state"
        body = batch_is_poisoned if where == "batch" else state_is_poisoned
        path, seed = options.scratch / str(number), f"{options.seed}/{number}"
        said = path.with_suffix(".said")
        code = wait(fork(lambda b=body, p=path, n=name, s=seed: b(p, n, s), said))  # type: ignore[misc]
        tally.tries += 1
        tally.add(f"in a {where}")
        what = f"{name}, {where}: {said.read_text().strip()[-300:]}"
        tally.check(code == 0, f"{what}: {WHY.get(code, code)}")
        tally.check(all_good(path), f"{what}: saved as good")


if __name__ == "__main__":
    raise SystemExit(run("nan", attack, 10, __doc__))
