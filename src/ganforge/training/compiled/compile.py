"""One small game on the CPU: many steps at a call, compiled by torch's C++ compiler.

A step of a game of some hundred parameters takes two milliseconds, of which all but some dozen
microseconds are Python and calls of kernels. Here `game.step` is traced once into a graph of
tensor operations, put into a loop, and compiled by AOTInductor; the state goes in and comes out
as a few vectors, so everything else of a run goes on as ever.

Compiled code is kept in a folder of this user's, named by all it depends on. It is machine code:
it is never read from a run or model folder, nor from a folder that others may write to.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from ganforge._version import __version__
from ganforge.config.schema import Config
from ganforge.gan.batch import Batch, RandomInputs
from ganforge.gan.state import State, StepHyperparameters
from ganforge.gan.step import StepOptions
from ganforge.nets import Network
from ganforge.training.compiled.flat import Block, Flat, traced
from ganforge.training.inputs import NotCompiledError, StaticInputs, due, numbers

ROWS = 64  # steps a call, at the most
WIDEST = 100_000  # parameters, from where on the arithmetic takes longer than its calls
CLOSE = 0.02  # by how much, of its length, an update may differ from that of `game.step`
OPTIMIZERS = {"Adam", "SGD", "RMSprop"}

Run = Callable[[Sequence[Tensor]], Sequence[Tensor]]  # (count, ...) -> (carry..., totals)
Compile = Callable[[Block, Sequence[Tensor]], Run]


class Compiled:
    """Plays blocks of steps of one run.

    Arguments:
        state, config: of the run.
        compile_block: makes a function of a traced block; `eagerly` plays it without a compiler.

    Tensors given to `prepare` and `play` have the number of steps in front: real (n, B, ...),
    z (n, B, Z).
    """

    def __init__(self, state: State, config: Config, compile_block: Compile | None = None):
        refuse(state, config)
        self.state, self.config = state, config
        self.compile_block = compile_block or Store(key()).compiled
        self.flat = Flat(state, config.game)
        self.blocks: dict[tuple[bool, ...], tuple[tuple[str, ...], Run]] = {}
        self.inputs: StaticInputs | None = None

    def reach(self, step: int, most: int) -> int:
        """How many of `most` steps from `step` on are one block: those with the same penalties."""
        same = due(self.config.game, step)
        count = 1
        while count < min(most, ROWS) and due(self.config.game, step + count) == same:
            count += 1
        return count

    def prepare(
        self,
        batches: Sequence[Batch],
        draws: Mapping[str, Sequence[RandomInputs]],
        knobs: Sequence[StepHyperparameters],
    ) -> float:
        """Compile the blocks of the coming steps, given one step's; returns the seconds it took.

        Raises NotCompiledError where that fails, or a block's first step is not the game's.
        """
        began = time.perf_counter()
        rules, step = self.config.game, self.state.step
        self.inputs = StaticInputs(batches, draws, ROWS)
        self.inputs.fill(batches, draws)
        row = numbers(knobs[0], rules)
        self.table = torch.tensor([row] * ROWS, dtype=torch.float64)
        period = math.lcm(1, *(penalty.interval for penalty in rules.penalties))
        for number in range(step, step + period):
            if due(rules, number) not in self.blocks:
                self.blocks[due(rules, number)] = self.built(knobs[0], number)
        return time.perf_counter() - began

    def built(self, knobs: StepHyperparameters, number: int) -> tuple[tuple[str, ...], Run]:
        """The block for the penalties due at step `number`, its first step compared."""
        assert self.inputs is not None
        how = StepOptions(batch=self.config.batch)
        block = traced(self.flat, self.inputs, self.table, knobs, how, number)
        carry = list(self.flat.read().values())
        sums = carry[0].new_zeros(len(block.stats))
        given = [torch.tensor(1), *self.inputs.tensors, self.table, *carry, sums]
        run = self.compile_block(block, given)
        compare(block.names, carry, run(given), block.eager(*given))
        return block.stats, run

    def play(
        self,
        batches: Sequence[Batch],
        draws: Mapping[str, Sequence[RandomInputs]],
        knobs: Sequence[StepHyperparameters],
        totals: Mapping[str, Tensor],
    ) -> dict[str, Tensor]:
        """The steps from `state.step` on, one for each of `knobs`; changes the state in place.

        Returns `totals` with each step's statistics added, one step after the other.
        """
        assert self.inputs is not None, "prepare it first"
        count = self.inputs.fill(batches, draws)
        rows = [numbers(k, self.config.game) for k in knobs]
        self.table[:count] = torch.tensor(rows, dtype=torch.float64)
        stats, run = self.blocks[due(self.config.game, self.state.step)]
        carry = self.flat.read()
        sums = next(iter(carry.values())).new_zeros(len(stats))
        if totals:
            sums = torch.stack([totals[name].to(sums.dtype) for name in stats])
        *news, sums = run(
            [torch.tensor(count), *self.inputs.tensors, self.table, *carry.values(), sums]
        )
        self.flat.write(dict(zip(carry, news, strict=True)))
        self.state.step += count
        return dict(zip(stats, sums.unbind(), strict=True))


def compare(
    names: Sequence[str], old: Sequence[Tensor], found: Sequence[Tensor], wanted: Sequence[Tensor]
) -> None:
    """NotCompiledError where a compiled update is not that of the game.

    Of a length, not of each number: where a gradient is 0 but for its last bits, as of the bias
    under a loss that sees only differences, Adam makes a step of those.
    """
    for name, before, a, b in zip(names, old, found, wanted, strict=False):
        gap, length = (a - b).norm().item(), (b - before).norm().item()
        if not gap <= CLOSE * length + 1e-6:
            raise NotCompiledError(
                f"its compiled step is not the game's: {name} is off by {gap:.2g}"
            )


def refuse(state: State, config: Config) -> None:
    """NotCompiledError, with the reason, for a game that would not be right or not faster."""
    players = (state.players.generator, state.players.discriminator)
    count = sum(p.numel() for player in players for p in player.parameters())
    parts = [config.networks, config.game, *config.game.penalties, *players]
    if not all(type(part).__module__.startswith("ganforge.") for part in parts):
        raise NotCompiledError("a network, game or penalty is not of this package")
    if not all(isinstance(player, Network) for player in players):
        raise NotCompiledError("it is not one game of two networks of this package")
    if state.players.buffers or any(isinstance(m, nn.Conv2d) for p in players for m in p.modules()):
        raise NotCompiledError("batch norm, spectral norm and convolutions are not compiled")
    if count > WIDEST:
        raise NotCompiledError(f"{count:,} parameters: from {WIDEST:,} on it is no faster")
    if config.micro_batch or state.aux:
        raise NotCompiledError("micro-batches are not compiled")
    for side, optimizer in state.optimizers.items():
        held = sum(len(group["params"]) for group in optimizer.param_groups)
        module = getattr(state.players, side)
        if type(optimizer).__name__ not in OPTIMIZERS or held != len(list(module.parameters())):
            raise NotCompiledError(f"the optimiser of the {side} is not compiled")
    if any(p.device.type != "cpu" for player in players for p in player.parameters()):
        raise NotCompiledError("only games on the CPU are compiled")


def eagerly(block: Block, given: Sequence[Tensor]) -> Run:
    """In place of a compiler: the traced graph, played operation by operation."""
    return lambda now: block.eager(*now)


# --- compiled code on disk ----------------------------------------------------------------------


class Store:
    """Compiled blocks of one kind of game, in the user's cache folder."""

    def __init__(self, name: str):
        self.name = name

    def compiled(self, block: Block, given: Sequence[Tensor]) -> Run:
        """The block's function: compiled before, or now."""
        if compiler() is None:
            raise NotCompiledError("there is no C++ compiler (g++ or clang++)")
        text = f"{self.name}/{block.body.code}/{[(t.shape, t.dtype) for t in given]}"
        path = folder() / (hashlib.sha256(text.encode()).hexdigest()[:32] + ".pt2")
        if not path.exists():
            write(block, given, path)
        return read(path)


def write(block: Block, given: Sequence[Tensor], path: Path) -> None:
    """Compile a block into a file, renamed into place when it is whole."""
    import torch._inductor.config as settings
    from torch.fx.experimental.proxy_tensor import make_fx

    made = Path(tempfile.mkdtemp(dir=path.parent)) / path.name
    try:
        with warnings.catch_warnings(), settings.patch({"cpp.threads": 1}):
            warnings.simplefilter("ignore")  # torch's own, about its own code
            graph = make_fx(block.loop)(*given)
            program = torch.export.export(graph, tuple(t.clone() for t in given))
            torch._inductor.aoti_compile_and_package(program, package_path=str(made))
        made.replace(path)
    except Exception as error:
        said = (str(error).strip().splitlines() or [repr(error)])[0]
        raise NotCompiledError(f"torch could not compile it ({said})") from None
    finally:
        shutil.rmtree(made.parent, ignore_errors=True)


def read(path: Path) -> Run:
    """The function in a file of compiled code."""
    import torch._inductor

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loader = torch._inductor.aoti_load_package(str(path)).loader
    return lambda now: loader.run(list(now))


def folder() -> Path:
    """The cache folder: GANFORGE_CACHE, or ganforge/compiled in the user's; nobody else may write.

    NotCompiledError where it belongs to, or is open to, somebody else.
    """
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    path = Path(os.environ.get("GANFORGE_CACHE") or f"{base}/ganforge/compiled").expanduser()
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = path.stat()
    except OSError as error:
        raise NotCompiledError(f"{path}: no folder for compiled code ({error.strerror})") from None
    if hasattr(os, "getuid") and (found.st_uid != os.getuid() or found.st_mode & 0o022):
        raise NotCompiledError(
            f"{path}: others may write there, and code is not read from such a folder"
        )
    return path


def compiler() -> str | None:
    """A C++ compiler, as torch looks for one."""
    names = [os.environ.get("CXX"), "g++", "clang++", "c++"]
    return next((name for name in names if name and shutil.which(name)), None)


def key() -> str:
    """All that compiled code depends on besides its graph."""
    machine = [platform.machine(), torch.backends.cpu.get_cpu_capability(), cpu_name()]
    return json.dumps([__version__, torch.__version__, *machine])


def cpu_name() -> str:
    """The processor's model, where the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith("model name")), "")
