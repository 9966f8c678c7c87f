"""Many games at once: the same step on stacked players, one member a seed.

Parameters, moments and buffers of M games lie in tensors with one more axis in front; gradients
are taken of the sum over members, who share no weights. Each member is its own single run: the
same start, data order and draws as a run with its seed, and the same update (fp32 trajectories
part in the last digits, as sums are taken in another order).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state

from ganforge.config.schema import Config
from ganforge.data.load import Dataset
from ganforge.data.spec import encode
from ganforge.errors import UsageError
from ganforge.experiments.ensemble import layers as together
from ganforge.gan import optimizers, schedules, state
from ganforge.gan import step as game
from ganforge.gan.batch import Batch, Draws, Stats
from ganforge.gan.players import Players
from ganforge.gan.state import State
from ganforge.gan.step import How
from ganforge.nets import SIDES, Masks, Player, spectral
from ganforge.rng import Order
from ganforge.training import build as training_build
from ganforge.training.random_inputs import BLOCK_STEPS, Drawer, assemble

BLOCK_NUMBERS = 2**22  # drawn for all members at once, at the most
ROW_STEPS = 64  # of data order looked up at once


class Stacked(Player):
    """M modules of one kind as one: x (M, B, ...), label (M, B), masks (M, B, ...) -> (M, B, ...).

    Its parameters and buffers are those of the members, stacked; a '.' in a name becomes '/'.
    Where all of them lie in layers that `nets.together` knows, it goes through those, else through
    the module under vmap.
    """

    def __init__(self, modules: Sequence[nn.Module]):
        super().__init__()
        parameters, buffers = stack_module_state(list(modules))
        direct = together.exchanged(modules[0], len(modules))
        # hidden in lists: the skeleton's own (empty) parameters must not be found
        self.direct = [] if direct is None else [direct]
        self.skeleton = [copy.deepcopy(modules[0]).to("meta")]
        self.names = {name: name.replace(".", "/") for name in [*parameters, *buffers]}
        for name, tensor in parameters.items():
            one = nn.Parameter(tensor.detach(), requires_grad=tensor.requires_grad)
            self.register_parameter(self.names[name], one)
        for name, tensor in buffers.items():
            self.register_buffer(self.names[name], tensor)
        self.bind()

    def tensors(self) -> dict[str, Tensor]:
        """The stacked parameters and buffers by the names of a member's."""
        return {name: getattr(self, mangled) for name, mangled in self.names.items()}

    def bind(self) -> None:
        """Let the stacked layers see the tensors, which `to` may have exchanged."""
        for direct in self.direct:
            direct.bind(self.tensors())

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Stacked:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.bind()
        return self

    def train(self, mode: bool = True) -> Stacked:
        """Training or evaluation mode, of the skeleton too."""
        super().train(mode)
        for module in (*self.skeleton, *self.direct):
            module.train(mode)
        return self

    def mask_shapes(self) -> dict[str, tuple[float, tuple[int, ...]]]:
        player = self.skeleton[0]
        return player.mask_shapes() if isinstance(player, Player) else {}

    def normalised(self) -> list[spectral.Triple]:
        held = self.tensors()
        layers = self.skeleton[0].named_modules()
        names = [name for name, layer in layers if isinstance(layer, spectral.Spectral)]
        return [(held[f"{n}.weight"], held[f"{n}.u"], held[f"{n}.v"]) for n in names]

    def forward(self, x: Tensor, label: Tensor | None = None, masks: Masks | None = None) -> Tensor:
        for direct in self.direct:
            made: Tensor = direct(x, label, masks)
            return made

        def one(weights: dict[str, Tensor], *inputs: object) -> Tensor:
            out: Tensor = functional_call(self.skeleton[0], weights, inputs)
            return out

        mapped = torch.func.vmap(
            one, in_dims=(0, 0, None if label is None else 0, None if masks is None else 0)
        )
        out: Tensor = mapped(self.tensors(), x, label, None if masks is None else dict(masks))
        return out

    def show(self, index: int, module: nn.Module) -> None:
        """Make `module`'s parameters and buffers views of a member's."""
        for name, mangled in self.names.items():
            path, _, last = name.rpartition(".")
            owner, value = module.get_submodule(path), getattr(self, mangled).detach()[index]
            if last in owner._parameters:
                getattr(owner, last).data = value
            else:
                owner._buffers[last] = value


def per_member(loss: Tensor, how: str) -> Tensor:
    """(M, B, ...) losses -> one a member, (M,)."""
    flat = loss.flatten(1)
    return flat.mean(1) if how == "mean" else flat.sum(1)


@dataclass
class Population:
    """M games in one state. `step` plays one iteration of all.

    config: of every member but for its seed. alone: the members' own states, see `member`.
    Statistics are one number a member, (M,).
    """

    config: Config
    seeds: tuple[int, ...]
    data: Dataset
    state: State
    alone: list[State]
    steps: int
    drawers: list[Drawer]
    orders: list[Order]
    values: Tensor
    labels: Tensor | None
    rows: tuple[int, Tensor]
    drawn: tuple[int, dict[str, dict[tuple[str, ...], Tensor]]]

    def step(self, rate_scale: float = 1.0) -> Stats:
        """One iteration of Algorithm 1 for every member; rate_scale: of all learning rates."""
        how = How(reduce=per_member)
        knobs = schedules.knobs(self.config, self.state.step, self.steps, rate_scale)
        draws = self.draws(self.state.step)
        return game.step(self.state, self.config.game, self.batches(), draws, knobs, how)

    def batches(self) -> list[Batch]:
        """The real batches of this step, k of (M, B, ...)."""
        k, batch, step = self.config.game.d_steps, self.config.batch, self.state.step
        block, offset = divmod(step, ROW_STEPS)
        if self.rows[0] != block:
            count = ROW_STEPS * k * batch
            rows = np.stack([order.indices(block * count, count) for order in self.orders])
            # a step's rows side by side, so that taking them is no copy
            turns = rows.reshape(len(rows), ROW_STEPS * k, batch).swapaxes(0, 1)
            index = torch.from_numpy(np.ascontiguousarray(turns)).to(self.values.device)
            self.rows = (block, index)
        spec, shape = self.data.spec, (len(self.seeds), batch)
        out = []
        for j in range(k):
            index = self.rows[1][offset * k + j].flatten()
            x = encode(self.values.index_select(0, index).view(-1, *spec.stored_shape), spec)
            label = None if self.labels is None else self.labels.index_select(0, index)
            out.append(
                Batch(x.reshape(*shape, *spec.shape), None if label is None else label.view(shape))
            )
        return out

    def draws(self, step: int) -> Mapping[str, Sequence[Draws]]:
        """The draws of a step, (M, B, ...): every member's own, stacked a block at a time."""
        number, offset = divmod(step, self.drawers[0].block_steps)
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
        """One member as a state of its own, as its single run has it: views, but for the counts.

        What is copied into its weights, buffers and moments is the population's (see `enter`).
        """
        one = self.alone[index]
        for side, stacked, module in self.pairs(one):
            stacked.show(index, module)
            if side in self.state.optimizers:
                seats = optimizers.seats_of(self.state.optimizers[side], len(self.seeds))
                late = int(seats.late[index])
                mine = dict(module.named_parameters())
                for name, mangled in stacked.names.items():
                    held = self.state.optimizers[side].state.get(getattr(stacked, mangled), {})
                    if held:
                        one.optimizers[side].state[mine[name]] = {
                            key: value[index] if value.dim() else value - late
                            for key, value in held.items()
                        }
        one.step = self.state.step
        return one

    def pairs(self, one: State) -> list[tuple[str, Stacked, nn.Module]]:
        """(side or "ema", the stacked module, the member's) of every module."""
        whole = self.state
        found: list[tuple[str, nn.Module | None, nn.Module | None]] = [
            (side, getattr(whole.players, side), getattr(one.players, side)) for side in SIDES
        ]
        found.append(("ema", whole.average, one.average))
        return [
            (side, stacked, module)
            for side, stacked, module in found
            if isinstance(stacked, Stacked) and module is not None
        ]

    def enter(self, index: int, step: int) -> None:
        """Take the counts of a member's optimisers, after its state was loaded at a step.

        All members stand at the same step.
        """
        self.state.step = step
        turns = {"discriminator": self.config.game.d_steps, "generator": self.config.game.g_steps}
        for side, optimizer in self.state.optimizers.items():
            seats = optimizers.seats_of(optimizer, len(self.seeds))
            for held in optimizer.state.values():
                if "step" in held:
                    held["step"].fill_(step * turns[side])
            own = [
                h["step"] for h in self.alone[index].optimizers[side].state.values() if "step" in h
            ]
            seats.late[index] = step * turns[side] - int(own[0]) if own else 0
            seats.behind = bool((seats.late > 0).any())

    @torch.no_grad()
    def leave(self, index: int) -> None:
        """Take a member out: its seat stays, with weights 0, and takes no updates any more."""
        for _, stacked, _ in self.pairs(self.alone[index]):
            for tensor in stacked.tensors().values():
                tensor[index] = 0
        for optimizer in self.state.optimizers.values():
            seats = optimizers.seats_of(optimizer, len(self.seeds))
            seats.shut[index] = seats.closed = True
            for held in optimizer.state.values():
                for value in held.values():
                    if value.dim():
                        value[index] = 0

    def finite(self) -> Tensor:
        """Whether all weights, buffers and moments of each member are finite, (M,) bool."""
        tensors = [
            t for t in state.tensors(self.state).values() if t.dim() and t.is_floating_point()
        ]
        sums = torch.stack([t.flatten(1).sum(1) for t in tensors])
        return torch.isfinite(sums).all(0)


def build(
    config: Config,
    seeds: Sequence[int],
    data: Dataset,
    precision: str = "fp32",
    device: torch.device | str = "cpu",
) -> Population:
    """M games, one a seed, in the state before their first step.

    Raises UsageError for no seeds, or the same twice.
    """
    if not seeds or len(set(seeds)) != len(seeds):
        raise UsageError(f"seeds {list(seeds)}: give at least one, and each once")
    device = torch.device(device)
    configs = [replace(config, seed=seed) for seed in seeds]
    alone = [training_build.initial(c, data.spec, device, precision, data=data) for c in configs]
    players = {side: Stacked([getattr(s.players, side) for s in alone]) for side in SIDES}
    choices = {"generator": config.generator, "discriminator": config.discriminator}
    average = [s.average for s in alone if s.average is not None]
    whole = State(
        Players(
            players["generator"],
            players["discriminator"],
            training_build.autocast(device, precision),
            members=len(seeds),
            classes=alone[0].players.classes,
        ),
        {
            side: optimizers.build(
                choices[side], [p for p in players[side].parameters() if p.requires_grad]
            )
            for side in SIDES
        },
        average=Stacked(average).requires_grad_(False) if average else None,
    )
    drawers = [Drawer(c, data.spec, s.players, device) for c, s in zip(configs, alone, strict=True)]
    for drawer in drawers:  # positions, not blocks, decide what is drawn
        drawer.block_steps = block_steps(drawer, len(seeds))
    values, labels = np.ascontiguousarray(data.values).reshape(len(data), -1), data.labels
    values = values if values.flags.writeable else values.copy()
    return Population(
        config,
        tuple(seeds),
        data,
        whole,
        alone,
        game.steps_for(config.images(len(data)), config.batch, config.game),
        drawers,
        [Order(seed, len(data)) for seed in seeds],
        torch.from_numpy(values).to(device),
        None if labels is None else torch.from_numpy(np.array(labels)).to(device),
        (-1, torch.empty(0)),
        (-1, {}),
    )


def block_steps(drawer: Drawer, members: int) -> int:
    """Steps whose draws are made at once, for all members."""
    a_step: int = sum(
        need.size * drawer.turns[side] * drawer.batch
        for side, needs in drawer.needs.items()
        for need in needs
    )
    return max(1, min(BLOCK_STEPS, BLOCK_NUMBERS // max(1, a_step * members)))
