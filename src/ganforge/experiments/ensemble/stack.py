"""Many games at once: the same step on stacked networks, one member a seed.

Parameters, moments and buffers of M games lie in tensors with one more axis in front, and their
examples in one batch, member after member. Members share no weights, so the gradient of the sum
of their losses is each one's own gradient. Each member is its single run: the same start, data
order and random inputs as a run with its seed, and the same update (fp32 trajectories part in the
last digits, as sums are taken in another order).
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
from ganforge.experiments.ensemble import layers, optimizer
from ganforge.gan import optimizers, schedules, state, step
from ganforge.gan.batch import Batch, Log, RandomInputs
from ganforge.gan.players import Players
from ganforge.gan.state import State
from ganforge.gan.step import StepOptions
from ganforge.nets import SIDES, Inputs, Network, RandomInput, spectral
from ganforge.rng import Order
from ganforge.training import build as build_state
from ganforge.training.random_inputs import (
    Block,
    RandomInputSource,
    fitting_steps,
    inputs_of,
)

BLOCK_NUMBERS = 2**22  # drawn for all members at once, at most
ROW_STEPS = 64  # of data order looked up at once


class Stacked(Network):
    """M networks of one kind as one, the batch member after member: x (M B, ...) -> (M B, ...).

    Its parameters and buffers are those of the members, stacked; a '.' in a name becomes '/'. If
    all of them lie in layers that `layers` knows, it goes through those, else through the network
    under vmap.
    """

    def __init__(self, modules: Sequence[nn.Module]):
        super().__init__()
        self.members = len(modules)
        parameters, buffers = stack_module_state(list(modules))
        direct = layers.replaced(modules[0], len(modules))
        # hidden in lists: the (empty) parameters of the skeleton must not be found
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
        """Let the stacked layers see the tensors, which `to` may have replaced."""
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

    def random_inputs(self) -> dict[str, RandomInput]:
        network = self.skeleton[0]
        return network.random_inputs() if isinstance(network, Network) else {}

    def spectral_weights(self) -> list[spectral.SpectralWeight]:
        tensors = self.tensors()
        modules = self.skeleton[0].named_modules()
        names = [name for name, layer in modules if isinstance(layer, spectral.Spectral)]
        return [(tensors[f"{n}.weight"], tensors[f"{n}.u"], tensors[f"{n}.v"]) for n in names]

    def forward(
        self,
        x: Tensor,
        label: Tensor | None = None,
        source: Tensor | None = None,
        inputs: Inputs | None = None,
    ) -> Tensor:
        for direct in self.direct:
            made: Tensor = direct(x, label, source, inputs)
            return made

        def one(weights: dict[str, Tensor], *arguments: object) -> Tensor:
            out: Tensor = functional_call(self.skeleton[0], weights, arguments)
            return out

        def apart(value: Tensor | None) -> Tensor | None:
            return None if value is None else value.view(self.members, -1, *value.shape[1:])

        given = [apart(x), apart(label), apart(source)]
        named = None if inputs is None else {name: apart(value) for name, value in inputs.items()}
        axes = (0, *(None if value is None else 0 for value in (*given, named)))
        mapped = torch.func.vmap(one, in_dims=axes)
        out: Tensor = mapped(self.tensors(), *given, named)
        return out.flatten(0, 1)

    def show(self, index: int, module: nn.Module) -> None:
        """Make `module`'s parameters and buffers views of a member's."""
        for name, mangled in self.names.items():
            path, _, last = name.rpartition(".")
            owner, value = module.get_submodule(path), getattr(self, mangled).detach()[index]
            if last in owner._parameters:
                getattr(owner, last).data = value
            else:
                owner._buffers[last] = value


def per_member(members: int) -> Callable[[Tensor, str], Tensor]:
    """How values (M B, ...), member after member, become one number each, (M,)."""

    def reduce(values: Tensor, how: str) -> Tensor:
        flat = values.reshape(members, -1)
        return flat.mean(1) if how == "mean" else flat.sum(1)

    return reduce


@dataclass
class Ensemble:
    """M games in one state. `step` plays one iteration of all; what it reports is (M,) each.

    config: of every member but for its seed. singles: the members' states, see `member`.
    """

    config: Config
    seeds: tuple[int, ...]
    data: Dataset
    state: State
    singles: list[State]
    steps: int
    sources: list[RandomInputSource]
    orders: list[Order]
    values: Tensor
    labels: Tensor | None
    options: StepOptions
    rows: tuple[int, Tensor]
    drawn: tuple[int, Block]

    def step(self, rate_scale: float = 1.0) -> Log:
        """One iteration of Algorithm 1 for every member; rate_scale: of all learning rates."""
        now, game = self.state.step, self.config.game
        hyper = schedules.hyperparameters(self.config, now, self.steps, rate_scale)
        return step.step(
            self.state, game, self.batches(), self.random_inputs(now), hyper, self.options
        )

    def batches(self) -> list[Batch]:
        """The real batches of this step, k of (M B, ...)."""
        k, batch = self.config.game.d_steps, self.config.batch
        block, place = divmod(self.state.step, ROW_STEPS)
        if self.rows[0] != block:
            count = ROW_STEPS * k * batch
            rows = np.stack([order.indices(block * count, count) for order in self.orders])
            # the rows of a step side by side, so that looking them up is no copy
            turns = rows.reshape(len(rows), ROW_STEPS * k, batch).swapaxes(0, 1)
            index = torch.from_numpy(np.ascontiguousarray(turns)).to(self.values.device)
            self.rows = (block, index)

        spec = self.data.spec
        out = []
        for j in range(k):
            index = self.rows[1][place * k + j].flatten()
            x = encode(self.values.index_select(0, index).view(-1, *spec.stored_shape), spec)
            out.append(Batch(x, None if self.labels is None else self.labels[index]))
        return out

    def random_inputs(self, now: int) -> Mapping[str, Sequence[RandomInputs]]:
        """The random inputs of a step, (M B, ...): every member's, joined a block at a time."""
        number, place = divmod(now, self.sources[0].block_steps)
        if self.drawn[0] != number:
            blocks = [source.block(now)[1] for source in self.sources]
            joined = {
                side: {path: torch.cat([b[side][path] for b in blocks], 2) for path in paths}
                for side, paths in blocks[0].items()
            }
            self.drawn = (number, joined)
        return inputs_of(self.drawn[1], self.sources[0].turns, place)

    def member(self, index: int) -> State:
        """One member as a state, as its single run has it: views, but for the step counts.

        What is copied into its weights, buffers and moments is copied into the ensemble's (see
        `sync_step_counts`).
        """
        one = self.singles[index]
        for side, stacked, module in self.pairs(one):
            stacked.show(index, module)
            if side in self.state.optimizers:
                whole = self.state.optimizers[side]
                behind = int(optimizer.member_steps(whole, len(self.seeds)).skipped_steps[index])
                parameters = dict(module.named_parameters())
                for name, mangled in stacked.names.items():
                    moments = whole.state.get(getattr(stacked, mangled), {})
                    if moments:
                        one.optimizers[side].state[parameters[name]] = {
                            key: value[index] if value.dim() else value - behind
                            for key, value in moments.items()
                        }
        one.step = self.state.step
        return one

    def pairs(self, one: State) -> list[tuple[str, Stacked, nn.Module]]:
        """(side or "ema", the stacked module, the member's) of every module."""
        found: list[tuple[str, nn.Module | None, nn.Module | None]] = [
            (side, getattr(self.state.players, side), getattr(one.players, side)) for side in SIDES
        ]
        found.append(("ema", self.state.average, one.average))
        return [
            (side, stacked, module)
            for side, stacked, module in found
            if isinstance(stacked, Stacked) and module is not None
        ]

    def sync_step_counts(self, index: int, now: int) -> None:
        """Set the step counts of a member's optimisers, after its state was loaded at step `now`.

        All members stand at the same step.
        """
        self.state.step = now
        turns = {"discriminator": self.config.game.d_steps, "generator": self.config.game.g_steps}
        for side, whole in self.state.optimizers.items():
            steps = optimizer.member_steps(whole, len(self.seeds))
            for moments in whole.state.values():
                if "step" in moments:
                    moments["step"].fill_(now * turns[side])
            of_member = self.singles[index].optimizers[side].state.values()
            counts = [moments["step"] for moments in of_member if "step" in moments]
            steps.skipped_steps[index] = now * turns[side] - int(counts[0]) if counts else 0
            steps.any_behind = bool((steps.skipped_steps > 0).any())

    @torch.no_grad()
    def deactivate(self, index: int) -> None:
        """Stop training a member: its weights and moments become 0 and take no updates any more."""
        for _, stacked, _ in self.pairs(self.singles[index]):
            for tensor in stacked.tensors().values():
                tensor[index] = 0
        for whole in self.state.optimizers.values():
            steps = optimizer.member_steps(whole, len(self.seeds))
            steps.inactive[index] = True
            steps.any_inactive = True
            for moments in whole.state.values():
                for value in moments.values():
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
) -> Ensemble:
    """M games, one a seed, in the state before their first step.

    Raises:
        UsageError: no seeds, or the same twice.
    """
    if not seeds or len(set(seeds)) != len(seeds):
        raise UsageError(f"seeds {list(seeds)}: give at least one, and each once")
    device, count = torch.device(device), len(seeds)
    configs = [replace(config, seed=seed) for seed in seeds]
    singles = [build_state.initial(c, data.spec, device, precision, data=data) for c in configs]
    players = {side: Stacked([getattr(s.players, side) for s in singles]) for side in SIDES}
    averages = [s.average for s in singles if s.average is not None]
    whole = State(
        Players(
            **players,
            autocast=build_state.autocast(device, precision),
            classes=singles[0].players.classes,
        ),
        {
            side: optimizers.build(
                getattr(config, side), [p for p in players[side].parameters() if p.requires_grad]
            )
            for side in SIDES
        },
        average=Stacked(averages).requires_grad_(False) if averages else None,
    )
    one = RandomInputSource(configs[0], data.spec, singles[0].players, device)
    together = fitting_steps(one.numbers_a_step * count, BLOCK_NUMBERS)
    sources = [
        RandomInputSource(c, data.spec, s.players, device, block_steps=together)
        for c, s in zip(configs, singles, strict=True)
    ]
    values, labels = np.ascontiguousarray(data.values).reshape(len(data), -1), data.labels
    values = values if values.flags.writeable else values.copy()
    return Ensemble(
        config,
        tuple(seeds),
        data,
        whole,
        singles,
        step.steps_for(config.images(len(data)), config.batch, config.game),
        sources,
        [Order(seed, len(data)) for seed in seeds],
        torch.from_numpy(values).to(device),
        None if labels is None else torch.from_numpy(np.array(labels)).to(device),
        StepOptions(reduce=per_member(count), apply_gradients=optimizer.apply_gradients),
        (-1, torch.empty(0)),
        (-1, {}),
    )
