"""One small game on the CPU: many steps at a call, compiled by torch's C++ compiler.

A step of a game of some hundred parameters takes two milliseconds, of which all but some dozen
microseconds are Python and calls of kernels. Here `gan.step.step` is traced once into a graph of
tensor operations, put into a loop, and compiled by AOTInductor; the state goes in and comes out
as a few vectors, so everything else of a run goes on as ever.

Compiled code is stored in a folder of this user's, named by all it depends on. It is machine code:
it is never read from a run or model folder, nor from a folder that others may write to.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from ganforge._version import __version__
from ganforge.config.schema import Config
from ganforge.errors import one_line
from ganforge.gan.batch import Log
from ganforge.gan.state import State
from ganforge.nets import SIDES, Network
from ganforge.runs.folder import cpu_name
from ganforge.training.compiled import flat
from ganforge.training.compiled.flat import Block
from ganforge.training.inputs import Inputs, NotCompiledError, StaticInputs, due, steps_by_due

ROWS = 64  # steps a call, at the most
WIDEST = 100_000  # parameters, from where on the arithmetic takes longer than its calls
CLOSE = 0.02  # by how much, of its length, an update may differ from that of `gan.step.step`

Run = Callable[[Sequence[Tensor]], Sequence[Tensor]]  # (count, ...) -> (carry..., totals)
Compile = Callable[[Block, Sequence[Tensor]], Run]


class Compiled:
    """Plays blocks of steps of one run.

    Args:
        state, config: of the run.
        compile_block: makes a function of a traced block, given arguments like those it will get.
    """

    def __init__(self, state: State, config: Config, compile_block: Compile | None = None):
        refuse(state, config)
        self.state, self.config = state, config
        self.compile_block = compile_block or from_cache
        self.lists = flat.lists(state)
        self.blocks: dict[tuple[bool, ...], tuple[tuple[str, ...], Run]] = {}

    def reach(self, most: int) -> int:
        """How many of the next `most` steps are one block: those with the same penalties."""
        game, now = self.config.game, self.state.step
        count = 1
        while count < min(most, ROWS) and due(game, now + count) == due(game, now):
            count += 1
        return count

    def prepare(self, inputs: Inputs) -> None:
        """Compile the blocks of the coming steps, given one step's inputs.

        Raises:
            NotCompiledError: that fails, or a block's first step is not the game's.
        """
        game = self.config.game
        self.inputs = StaticInputs(inputs, game, ROWS)
        steps = steps_by_due(game, self.state.step)
        self.blocks = {pattern: self.built(step) for pattern, step in steps.items()}

    def built(self, step: int) -> tuple[tuple[str, ...], Run]:
        """The block for the penalties due at a step.

        Its first update is compared with that of the game, in length and not number by number: if
        a gradient is 0 but for its last bits, as of the bias under a loss that sees only
        differences, Adam makes a step of those.
        """
        carry = flat.read(self.lists)
        block = flat.traced(self.state, carry, self.inputs, step)
        sums = next(iter(carry.values())).new_zeros(len(block.logged))
        carried = [*carry.values(), sums]
        given = [torch.tensor(1), *self.inputs.tensors, *carried]
        run = self.compile_block(block, given)
        wanted = block.step(torch.tensor(0), self.inputs.tensors, carried)
        for (name, before), found, ours in zip(carry.items(), run(given), wanted, strict=False):
            gap, length = (found - ours).norm().item(), (ours - before).norm().item()
            if not gap <= CLOSE * length + 1e-6:
                raise NotCompiledError(
                    f"its compiled step is not the game's: {name} is off by {gap:.2g}"
                )
        return block.logged, run

    def play(self, inputs: Inputs, totals: Log) -> Log:
        """The next steps; changes the state in place.

        Returns:
            `totals` with what each step logs added, one step after the other.
        """
        self.inputs.fill(inputs)
        logged, run = self.blocks[due(self.config.game, self.state.step)]
        carry = flat.read(self.lists)
        zero = next(iter(carry.values())).new_zeros(())
        sums = torch.stack([totals.get(name, zero).to(zero.dtype) for name in logged])
        count = len(inputs[2])
        *news, sums = run([torch.tensor(count), *self.inputs.tensors, *carry.values(), sums])
        flat.write(self.lists, dict(zip(carry, news, strict=True)))
        self.state.step += count
        return dict(zip(logged, sums.unbind(), strict=True))


def refuse(state: State, config: Config) -> None:
    """NotCompiledError, with the reason, for a game that would not be right or not faster."""
    players = {side: getattr(state.players, side) for side in SIDES}
    modules = [m for player in players.values() for m in player.modules()]
    parameters = [p for player in players.values() for p in player.parameters()]
    count = sum(p.numel() for p in parameters)
    parts = [config.networks, config.game, *config.game.penalties, *modules]
    normed = state.players.buffers or any(isinstance(m, nn.Conv2d) for m in modules)
    homes = ("ganforge.", "torch.nn.")
    foreign = any(not type(part).__module__.startswith(homes) for part in parts)
    single = all(isinstance(player, Network) for player in players.values())
    trained = sum(len(o.param_groups[0]["params"]) for o in state.optimizers.values())
    reasons = {
        "a network, game or penalty is not of this package": foreign,
        "it is not one game of two networks of this package": not single,
        "batch norm, spectral norm and convolutions are not compiled": normed,
        f"{count:,} parameters: from {WIDEST:,} on it is no faster": count > WIDEST,
        "micro-batches are not compiled": config.micro_batch or state.aux,
        "a player's weights that are not trained are not compiled": trained < len(parameters),
        "only games on the CPU are compiled": any(p.device.type != "cpu" for p in parameters),
    }
    for reason, found in reasons.items():
        if found:
            raise NotCompiledError(reason)


# --- compiled code on disk ----------------------------------------------------------------------


def from_cache(block: Block, given: Sequence[Tensor]) -> Run:
    """The block's function: compiled before, or now."""
    if compiler() is None:
        raise NotCompiledError("there is no C++ compiler (g++ or clang++)")
    text = f"{key()}/{block.body.code}/{[(t.shape, t.dtype) for t in given]}"
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
            warnings.simplefilter("ignore")  # torch's, about its code
            graph = make_fx(block.loop)(*given)
            program = torch.export.export(graph, tuple(t.clone() for t in given))
            torch._inductor.aoti_compile_and_package(program, package_path=str(made))
        made.replace(path)
    except Exception as error:
        raise NotCompiledError(f"torch could not compile it ({one_line(error)})") from None
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

    NotCompiledError if it belongs to, or is open to, somebody else.
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
