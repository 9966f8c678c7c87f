"""Many games at once: the same step on stacked players, one member a seed.

Parameters, moments and buffers of M games lie in tensors with one more axis in front, and the
forward pass alone is vmapped; gradients are taken outside, of the sum over members, who share no
weights. Each member is its own single run: the same start, data order and draws as a run with its
seed, and the same update (fp32 trajectories part in the last digits, as sums are taken in another
order).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state

from ganforge import ema, game, optimizers, state
from ganforge.codec import encode
from ganforge.config import Config
from ganforge.data.source import Dataset
from ganforge.draws import Drawer, assemble
from ganforge.errors import UsageError
from ganforge.game import How
from ganforge.nets import SIDES, Masks, Plain, Player
from ganforge.players import Batch, Draws, Knobs, Players, State, Stats
from ganforge.rng import Order

BLOCK_STEPS = 64  # of data order looked up at once


class Stacked(Player):
    """M modules of one kind as one: x (M, B, ...), label (M, B), masks (M, B, ...) -> (M, B, ...).

    Its parameters and buffers are those of the members, stacked; a '.' in a name becomes '/'.
    """

    def __init__(self, modules: Sequence[nn.Module]):
        super().__init__()
        parameters, buffers = stack_module_state(list(modules))
        # hidden in a list: the skeleton's own (empty) parameters must not be found
        self.skeleton = [copy.deepcopy(modules[0]).to("meta")]
        self.names = {name: name.replace(".", "/") for name in [*parameters, *buffers]}
        for name, tensor in parameters.items():
            self.register_parameter(self.names[name], nn.Parameter(tensor.detach()))
        for name, tensor in buffers.items():
            self.register_buffer(self.names[name], tensor)

    def train(self, mode: bool = True) -> Stacked:
        """Training or evaluation mode, of the skeleton too."""
        super().train(mode)
        self.skeleton[0].train(mode)
        return self

    def mask_shapes(self) -> dict[str, tuple[float, tuple[int, ...]]]:
        player = self.skeleton[0]
        return player.mask_shapes() if isinstance(player, Player) else {}

    def forward(self, x: Tensor, label: Tensor | None = None, masks: Masks | None = None) -> Tensor:
        tensors = {name: getattr(self, mangled) for name, mangled in self.names.items()}

        def one(weights: dict[str, Tensor], *inputs: object) -> Tensor:
            out: Tensor = functional_call(self.skeleton[0], weights, inputs)
            return out

        mapped = torch.func.vmap(
            one, in_dims=(0, 0, None if label is None else 0, None if masks is None else 0)
        )
        out: Tensor = mapped(tensors, x, label, None if masks is None else dict(masks))
        return out

    def member(self, index: int) -> dict[str, Tensor]:
        """One member's parameters and buffers by their own names, as views."""
        return {name: getattr(self, mangled)[index] for name, mangled in self.names.items()}


def per_member(loss: Tensor, how: str) -> Tensor:
    """(M, B, ...) losses -> one a member, (M,)."""
    flat = loss.flatten(1)
    return flat.mean(1) if how == "mean" else flat.sum(1)


@dataclass
class Population:
    """M games in one state. `step` plays one iteration of all.

    config: of every member but for its seed. stats are one number a member, (M,).
    """

    config: Config
    seeds: tuple[int, ...]
    data: Dataset
    state: State
    steps: int
    drawers: list[Drawer]
    orders: list[Order]
    values: Tensor
    labels: Tensor | None
    block: tuple[int, Tensor]
    drawn: tuple[int, dict[str, dict[tuple[str, ...], Tensor]]]

    def step(self) -> Stats:
        """One iteration of Algorithm 1 for every member."""
        how = How(reduce=per_member)
        used = self.state.step / self.steps
        knobs = Knobs(
            {
                "generator": self.config.generator.rate(used),
                "discriminator": self.config.discriminator.rate(used),
            },
            ema.decay_at(self.config.ema, self.state.step),
        )
        draws = self.draws(self.state.step)
        return game.step(self.state, self.config.game, self.batches(), draws, knobs, how)

    def batches(self) -> list[Batch]:
        """The real batches of this step, k of (M, B, ...)."""
        k, batch, step = self.config.game.d_steps, self.config.batch, self.state.step
        block, offset = divmod(step, BLOCK_STEPS)
        if self.block[0] != block:
            count = BLOCK_STEPS * k * batch
            rows = np.stack([order.indices(block * count, count) for order in self.orders])
            self.block = (block, torch.from_numpy(rows))
        spec = self.data.spec
        out = []
        for j in range(k):
            first = (offset * k + j) * batch
            index = self.block[1][:, first : first + batch].reshape(-1)
            x = encode(self.values.index_select(0, index).view(-1, *spec.stored_shape), spec)
            label = None if self.labels is None else self.labels.index_select(0, index)
            out.append(
                Batch(
                    x.reshape(len(self.seeds), batch, *spec.shape),
                    None if label is None else label.view(len(self.seeds), batch),
                )
            )
        return out

    def draws(self, step: int) -> Mapping[str, Sequence[Draws]]:
        """The draws of a step, (M, B, ...): every member's own, stacked a block at a time."""
        number = step // self.drawers[0].block_steps
        offset = step % self.drawers[0].block_steps
        if self.drawn[0] != number:
            blocks = [drawer.block(step)[1] for drawer in self.drawers]
            whole = {
                side: {path: torch.stack([b[side][path] for b in blocks], 2) for path in needs}
                for side, needs in blocks[0].items()
            }
            self.drawn = (number, whole)
        return {
            side: [
                assemble(self.drawn[1], side, (offset, turn), (offset, -1)) for turn in range(turns)
            ]
            for side, turns in self.drawers[0].turns.items()
        }

    def member(self, index: int) -> State:
        """One member as a state of its own (copies), as its single run would have it."""
        alone = state.initial(
            replace(self.config, seed=self.seeds[index]), self.data.spec, fused=True
        )
        whole, one = self.state.players, alone.players
        for side in SIDES:
            stacked, module = getattr(whole, side), getattr(one, side)
            module.to(next(stacked.parameters()).dtype)
            module.load_state_dict(stacked.member(index))
            mine = dict(module.named_parameters())
            for name, mangled in stacked.names.items():
                if name in mine:
                    held = self.state.optimizers[side].state[getattr(stacked, mangled)]
                    for key, value in held.items():
                        own = alone.optimizers[side].state[mine[name]]
                        own[key] = (value[index] if value.dim() else value).clone()
        if alone.average is not None and isinstance(self.state.average, Stacked):
            alone.average.to(next(self.state.average.parameters()).dtype)
            alone.average.load_state_dict(self.state.average.member(index))
        alone.step = self.state.step
        return alone


def build(
    config: Config, seeds: Sequence[int], data: Dataset, precision: str = "fp32"
) -> Population:
    """M games on the CPU, one a seed, in the state before their first step.

    Raises UsageError for networks that are a user's own plain modules with randomness inside.
    """
    if not seeds or len(set(seeds)) != len(seeds):
        raise UsageError(f"seeds {list(seeds)}: give at least one, and each once")
    configs = [replace(config, seed=seed) for seed in seeds]
    alone = [state.initial(c, data.spec) for c in configs]
    for s in alone[:1]:
        for module in (s.players.generator, s.players.discriminator):
            if isinstance(module, Plain) and any(
                isinstance(m, nn.Dropout) for m in module.modules()
            ):
                raise UsageError(
                    "a population cannot hold nn.Dropout, whose masks are not draws: leave it out, "
                    "or train the seeds one by one"
                )
    players = {side: Stacked([getattr(s.players, side) for s in alone]) for side in SIDES}
    choices = {"generator": config.generator, "discriminator": config.discriminator}
    average = [s.average for s in alone if s.average is not None]
    stacked = State(
        Players(
            players["generator"],
            players["discriminator"],
            state.autocast(torch.device("cpu"), precision),
            members=len(seeds),
        ),
        {side: optimizers.build(choices[side], players[side].parameters()) for side in SIDES},
        average=Stacked(average).requires_grad_(False) if average else None,
    )
    values = np.ascontiguousarray(data.values).reshape(len(data), -1)
    return Population(
        config,
        tuple(seeds),
        data,
        stacked,
        game.steps_for(config.images(len(data)), config.batch, config.game),
        [Drawer(c, data.spec, s.players) for c, s in zip(configs, alone, strict=True)],
        [Order(seed, len(data)) for seed in seeds],
        torch.from_numpy(values),
        None if data.labels is None else torch.from_numpy(np.ascontiguousarray(data.labels)),
        (-1, torch.empty(0)),
        (-1, {}),
    )
