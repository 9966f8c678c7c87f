"""Draws the random inputs of a step: noise, labels of fakes, dropout masks, numbers of penalties.

Each kind is a separate stream, and its position is the global sample index
(step * turns + turn) * batch + i. Streams are read in blocks of steps: for a small game, reading
256 steps at once costs a hundredth of reading them one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from ganforge.config.schema import Config
from ganforge.data.spec import DataSpec
from ganforge.gan.batch import RandomInputs
from ganforge.gan.players import Players
from ganforge.nets.base import Network, RandomInput
from ganforge.rng import Stream
from ganforge.types import Array

BLOCK_NUMBERS = 2**20  # numbers drawn at once, at most
BLOCK_STEPS = 256
OF_FAKES = ("z", "label", "generator")  # the random inputs of fakes: noise, labels, G's masks

Path = tuple[str, ...]  # ("z",), ("label",), ("extra", name), or (forward pass, name)
Block = dict[str, dict[Path, Tensor]]  # side -> path -> (steps, turns, B, ...)


@dataclass(frozen=True)
class Draw:
    """One stream: `read(first, count)` gives (count, ...); `size` numbers an example."""

    size: int
    read: Callable[[int, int], Array]


class RandomInputSource:
    """`at(step)` gives the random inputs of every turn of that step.

    Args:
        config: of the run.
        spec: of its data.
        players: their networks name the random inputs that they need.
        device: of the tensors.
        part: (first, count), the slice of the global batch that this process plays; only that
            slice is drawn.
        block_steps: steps drawn at once; None chooses by size. Positions, not blocks, decide what
            is drawn.
    """

    def __init__(
        self,
        config: Config,
        spec: DataSpec,
        players: Players,
        device: torch.device | str = "cpu",
        part: tuple[int, int] | None = None,
        block_steps: int | None = None,
    ):
        self.batch = config.batch
        self.device = torch.device(device)
        self.first, self.count = part or (0, config.batch)
        self.turns = {"discriminator": config.game.d_steps, "generator": config.game.g_steps}
        self.draws = {side: draws_of(config, spec, players, side) for side in self.turns}
        self.block_steps = block_steps or fitting_steps(self.numbers_a_step, BLOCK_NUMBERS)
        self._block: Block = {}
        self._block_first = -1

    @property
    def numbers_a_step(self) -> int:
        """How many numbers are drawn for one step."""
        sizes = {side: sum(d.size for d in draws.values()) for side, draws in self.draws.items()}
        return sum(sizes[side] * turns * self.count for side, turns in self.turns.items())

    def block(self, step: int) -> tuple[int, Block]:
        """The place of a step in its block, and the block.

        A block is new if the place is 0, that of its first step.
        """
        number, place = divmod(step, self.block_steps)
        if self._block_first != number * self.block_steps:
            self._block = {
                side: {path: self._read(draw, side, number) for path, draw in draws.items()}
                for side, draws in self.draws.items()
            }
            self._block_first = number * self.block_steps
        return place, self._block

    def _read(self, draw: Draw, side: str, number: int) -> Tensor:
        """The values of one block, (steps, turns, B, ...), for this process's slice."""
        turns = self.block_steps * self.turns[side]
        first = number * turns * self.batch
        if self.count == self.batch:
            values = draw.read(first, turns * self.batch)
        else:
            values = np.concatenate(
                [draw.read(first + t * self.batch + self.first, self.count) for t in range(turns)]
            )
        tensor = torch.from_numpy(np.ascontiguousarray(values)).to(self.device)
        return tensor.view(self.block_steps, self.turns[side], self.count, *values.shape[1:])

    def at(self, step: int) -> dict[str, list[RandomInputs]]:
        """{"discriminator": k, "generator": g} random inputs of a step."""
        place, block = self.block(step)
        return inputs_of(block, self.turns, place)


def fitting_steps(numbers_a_step: int, at_once: int) -> int:
    """Steps whose numbers are drawn at once."""
    return max(1, min(BLOCK_STEPS, at_once // max(1, numbers_a_step)))


def inputs_of(
    block: Block, turns: Mapping[str, int], place: int | slice
) -> dict[str, list[RandomInputs]]:
    """The random inputs of a step, or of several with their number in front, from a block."""
    return {
        side: [assemble(block, side, place, turn) for turn in range(count)]
        for side, count in turns.items()
    }


def assemble(block: Block, side: str, place: int | slice, turn: int) -> RandomInputs:
    """One turn's inputs from a block."""
    drawn = {path: values[place, turn] for path, values in block[side].items()}
    if ("z",) not in drawn:
        # G's turn reuses D's last fakes, so their random inputs too
        of_fakes = [path for path in block["discriminator"] if path[0] in OF_FAKES]
        drawn |= {path: block["discriminator"][path][place, -1] for path in of_fakes}

    z, label = drawn.pop(("z",)), drawn.pop(("label",), None)
    networks: dict[str, dict[str, Tensor]] = {}
    for (name, key), value in drawn.items():
        networks.setdefault(name, {})[key] = value
    extra = networks.pop("extra", {})
    return RandomInputs(z, label, networks, extra)


def draws_of(config: Config, spec: DataSpec, players: Players, side: str) -> dict[Path, Draw]:
    """The random inputs of a turn of one side."""
    game, seed = config.game, config.seed
    wanted: dict[Path, tuple[str, RandomInput]] = {}
    draws: dict[Path, Draw] = {}
    makes_fakes = side == "discriminator" or game.fresh_noise
    if makes_fakes:
        read = config.noise.reader(seed, f"z/{side}")
        draws["z",] = Draw(config.noise.size, read)
    if makes_fakes and config.labels and game.fake_labels == "uniform":
        labels = Stream(seed, f"label/{side}")
        draws["label",] = Draw(1, lambda f, n: labels.integers(f, n, spec.classes))

    for name, network in game.passes(side).items():
        module = players.network(network)
        if isinstance(module, Network) and (makes_fakes or name != "generator"):
            for key, one in module.random_inputs().items():
                wanted[name, key] = (f"{side}/{name}/{key}", one)
        if network.startswith("discriminator"):
            for place, each in enumerate(game.augment):
                for key, one in each.random_inputs().items():
                    number = f"augment.{place}.{key}"
                    wanted[name, number] = (f"{side}/{name}/{number}", one)
    extra = dict(game.random_inputs(side))
    for penalty in game.penalties:
        if penalty.player == side:
            extra |= penalty.random_inputs
    for key, one in extra.items():
        sized = replace(one, shape=one.shape or spec.shape)
        wanted["extra", key] = (f"{side}/{key}", sized)
    draws |= {path: draw_of(Stream(seed, name), one) for path, (name, one) in wanted.items()}
    return draws


def draw_of(stream: Stream, wanted: RandomInput) -> Draw:
    """The numbers of a random input, by its law."""
    return Draw(wanted.size, partial(wanted.draw, stream))


def seed_user_modules(players: Players, seed: int, step: int) -> None:
    """Make the draws of a user's modules a function of (seed, step) too.

    Networks of this package draw nothing; a plain module may, from torch's global generator.
    """
    if players.draw_globally:
        torch.manual_seed(int(Stream(seed, "module").words(step, 1)[0]))
