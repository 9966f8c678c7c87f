"""What a step needs drawn: noise, labels of fakes, dropout masks, penalties' numbers.

Each is a stream of its own, and its position is the global sample index
(step * turns + turn) * batch + i. Streams are read in blocks of steps: for a small game, asking
once for 256 steps costs a hundredth of asking 256 times.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganforge.config.schema import Config, Noise
from ganforge.data.spec import DataSpec
from ganforge.gan.batch import Draws
from ganforge.gan.players import Players
from ganforge.nets import Plain, Player
from ganforge.rng import Stream

BLOCK_NUMBERS = 2**20  # numbers drawn at once, at the most
BLOCK_STEPS = 256
OF_FAKES = ("z", "label", "generator")  # what decides what G makes: noise, labels, its own masks


@dataclass(frozen=True)
class Need:
    """One stream: `read(first, count)` -> (count, ...) array; `size` numbers an example."""

    path: tuple[str, ...]
    size: int
    read: Callable[[int, int], Any]


class Drawer:
    """`at(step)` gives the draws of every turn of that step.

    Arguments:
        config: of the run; spec: of its data.
        players: whose dropout layers say which masks they want.
        device: where the tensors go.
        part: (first, count) of the global batch that this process plays.
    """

    def __init__(
        self,
        config: Config,
        spec: DataSpec,
        players: Players,
        device: torch.device | str = "cpu",
        part: tuple[int, int] | None = None,
    ):
        self.batch = config.batch
        self.device = torch.device(device)
        self.first, self.count = part or (0, config.batch)
        self.fresh = config.game.fresh_noise
        self.turns = {"discriminator": config.game.d_steps, "generator": config.game.g_steps}
        self.needs = {side: self._needs(config, spec, players, side) for side in self.turns}
        self.block_steps = self._block_steps()
        self._block: dict[str, dict[tuple[str, ...], Tensor]] = {}
        self._block_first = -1

    def _needs(self, config: Config, spec: DataSpec, players: Players, side: str) -> list[Need]:
        seed, z = config.seed, config.noise
        needs = []
        makes = side == "discriminator" or self.fresh  # fakes of its own
        if makes:
            needs.append(noise_need(Stream(seed, f"z/{side}"), z))
        if makes and config.labels and config.game.fake_labels == "uniform":
            labels = Stream(seed, f"label/{side}")
            needs.append(Need(("label",), 1, lambda f, n: labels.integers(f, n, spec.classes)))
        for role in config.game.roles(side):
            if role == "generator" and not makes:
                continue
            player = players.generator if role == "generator" else players.discriminator
            shapes = player.mask_shapes() if isinstance(player, Player) else {}
            for layer, (drop, shape) in shapes.items():
                stream = Stream(seed, f"{side}/{role}/{layer}")
                needs.append(mask_need(stream, role, layer, drop, shape))
        for penalty in config.game.penalties:
            if penalty.player == side:
                for name, (law, size) in penalty.draws.items():
                    needs.append(extra_need(Stream(seed, f"{side}/{name}"), name, law, size))
        return needs

    def _block_steps(self) -> int:
        numbers: int = sum(
            need.size * self.turns[side] * self.batch
            for side, needs in self.needs.items()
            for need in needs
        )
        return max(1, min(BLOCK_STEPS, BLOCK_NUMBERS // max(1, numbers)))

    def _fill(self, block: int) -> None:
        steps = self.block_steps
        self._block = {}
        for side, needs in self.needs.items():
            turns = self.turns[side]
            drawn = {}
            for need in needs:
                count = steps * turns * self.batch
                values = torch.from_numpy(np.ascontiguousarray(need.read(block * count, count)))
                values = values.view(steps, turns, self.batch, *values.shape[1:])
                values = values[:, :, self.first : self.first + self.count]
                drawn[need.path] = values.to(self.device)
            self._block[side] = drawn
        self._block_first = block * steps

    def block(self, step: int) -> tuple[int, dict[str, dict[tuple[str, ...], Tensor]]]:
        """The place of a step in its block, and the block: side -> path -> (steps, turns, B, ...).

        The place alone tells whether the block is a new one: 0 for its first step.
        """
        block, offset = divmod(step, self.block_steps)
        if self._block_first != block * self.block_steps:
            self._fill(block)
        return offset, self._block

    def at(self, step: int) -> dict[str, list[Draws]]:
        """{"discriminator": k Draws, "generator": g Draws} of a step."""
        offset, block = self.block(step)
        return {
            side: [assemble(block, side, (offset, turn), (offset, -1)) for turn in range(turns)]
            for side, turns in self.turns.items()
        }


def assemble(
    block: dict[str, dict[tuple[str, ...], Tensor]],
    side: str,
    place: tuple[Any, ...],
    last: tuple[Any, ...],
) -> Draws:
    """One turn's draws from a block. place: of the turn; last: of D's last turn in that step."""
    masks: dict[str, dict[str, Tensor]] = {}
    extra: dict[str, Tensor] = {}
    drawn = {path: values[place] for path, values in block[side].items()}
    if ("z",) not in drawn:
        # G's turn reuses D's last fakes: all that they were made of, not a new draw
        drawn |= {p: v[last] for p, v in block["discriminator"].items() if p[0] in OF_FAKES}
    z, label = drawn[("z",)], None
    for path, value in drawn.items():
        if path[0] == "z":
            continue
        if path[0] == "label":
            label = value
        elif path[0] == "extra":
            extra[path[1]] = value
        else:
            masks.setdefault(path[0], {})[path[1]] = value
    return Draws(z, label, masks, extra)


def noise_need(stream: Stream, z: Noise) -> Need:
    """z of one turn, from its law."""
    return Need(("z",), z.size, lambda f, n: stream.draw(z.law, f, n, z.size))


def mask_need(stream: Stream, role: str, layer: str, drop: float, shape: tuple[int, ...]) -> Need:
    """Dropout factors of one layer in one forward pass."""
    size = int(np.prod(shape))
    return Need((role, layer), size, lambda f, n: stream.keep(f, n, size, drop).reshape(n, *shape))


def extra_need(stream: Stream, name: str, law: str, size: int) -> Need:
    """Numbers a penalty asks for: law "unit" is U[0, 1), else a law of the noise."""
    if law == "unit":
        return Need(("extra", name), size, lambda f, n: stream.uniform(f, n, size))
    return Need(("extra", name), size, lambda f, n: stream.draw(law, f, n, size))


def seed_own_modules(players: Players, seed: int, step: int) -> None:
    """Make what a user's own modules draw a function of (seed, step) too.

    Our players draw nothing; a plain module may, from torch's global generator.
    """
    if isinstance(players.generator, Plain) or isinstance(players.discriminator, Plain):
        torch.manual_seed(int(Stream(seed, "module").words(step, 1)[0]))
