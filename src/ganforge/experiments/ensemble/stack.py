"""Many games at once: the same step on stacked networks, one member a seed.

Parameters, moments and buffers of M games lie in tensors with one more axis in front, and their
examples in one batch: example after example if all networks are stacked in that order (see
`layers`), so that no pass turns the batch, else member after member. Members share no weights, so
the gradient of the sum of their losses is the gradient of each. Each member is its single run: the
same start, data order and random inputs as a run with its seed, and the same update (fp32
trajectories part in the last digits, as sums are in another order).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from ganforge.config.schema import Config
from ganforge.data.load import Dataset
from ganforge.data.spec import encode
from ganforge.errors import UsageError
from ganforge.experiments.ensemble import layers
from ganforge.experiments.ensemble.optimizer import MemberSteps
from ganforge.gan import schedules, state, step
from ganforge.gan.batch import Batch, Log, RandomInputs
from ganforge.gan.state import State
from ganforge.gan.step import StepOptions
from ganforge.nets import SIDES, Inputs, Network, RandomInput, spectral
from ganforge.rng import Order
from ganforge.training.build import initial, player_optimizers
from ganforge.training.random_inputs import (
    Block,
    RandomInputSource,
    fitting_steps,
    inputs_of,
)

BLOCK_NUMBERS = 2**22  # drawn for all members at once, at most
ROW_STEPS = 64  # of data order looked up at once


class Stacked(Network):
    """M networks of one kind as one: x (M B, ...) -> (M B, ...).

    network: the network of a member, whose parameters and buffers are those of all members,
    stacked. Its layers are replaced by those of `layers`, or the network runs under vmap if
    `layers` does not know all of them.
    beside: the layers' order of the batch, None under vmap. turned: the batch comes in the other
    order, member after member.
    """

    def __init__(self, modules: Sequence[nn.Module]):
        super().__init__()
        self.members = len(modules)
        self.network = copy.deepcopy(modules[0])
        every = [tensors(module) for module in (self.network, *modules)]
        stacked = {id(old): stacked_tensor(each) for old, *each in zip(*every, strict=True)}
        for module in self.network.modules():
            tables: tuple[dict[str, Any], ...] = (module._parameters, module._buffers)
            for named in tables:
                named.update({k: stacked[id(t)] for k, t in named.items() if t is not None})
        # the replaced layers share the tensors of those that they replace
        self.spectral = [m for m in self.network.modules() if isinstance(m, spectral.Spectral)]
        self.beside = layers.replace(self.network, self.members)
        self.turned = self.beside is not False

    def random_inputs(self) -> dict[str, RandomInput]:
        return self.network.random_inputs() if isinstance(self.network, Network) else {}

    def spectral_weights(self) -> list[spectral.SpectralWeight]:
        return [layer.parts() for layer in self.spectral]

    def forward(
        self,
        x: Tensor,
        label: Tensor | None = None,
        source: Tensor | None = None,
        inputs: Inputs | None = None,
    ) -> Tensor:
        out: Tensor
        if not self.turned:
            out = self.network(x, label, source, inputs)
            return out

        def apart(value: Tensor | None) -> Tensor | None:
            if value is None:
                return None
            value = layers.part(value, self.members)
            return layers.merge(value, beside=True) if self.beside else value

        named = None if inputs is None else {name: apart(value) for name, value in inputs.items()}
        given = (apart(x), apart(label), apart(source), named)
        if self.beside:
            return layers.merge(layers.part(self.network(*given), self.members, beside=True))

        def one(weights: dict[str, Tensor], *arguments: object) -> Tensor:
            made: Tensor = functional_call(self.network, weights, arguments)
            return made

        weights = {**dict(self.network.named_parameters()), **dict(self.network.named_buffers())}
        axes = (0, *(None if value is None else 0 for value in given))
        out = torch.func.vmap(one, in_dims=axes)(weights, *given)
        return out.flatten(0, 1)


def tensors(module: nn.Module) -> list[Tensor]:
    """The parameters and buffers of a module, in one order for all modules of a kind."""
    return [*module.parameters(), *module.buffers()]


def stacked_tensor(each: Sequence[Tensor]) -> Tensor:
    """The same tensor of all members as one, (M, ...); a parameter if theirs are parameters."""
    made = torch.stack([tensor.detach() for tensor in each])
    if isinstance(each[0], nn.Parameter):
        return nn.Parameter(made, requires_grad=each[0].requires_grad)
    return made


def modules(whole: State) -> dict[str, nn.Module]:
    """The networks of a state: each side's, and the averaged generator, if any, as "ema"."""
    found = {side: getattr(whole.players, side) for side in SIDES}
    return found if whole.average is None else found | {"ema": whole.average}


def per_member(values: Tensor, how: str, members: int, beside: bool = False) -> Tensor:
    """Values of one batch as one number for each member, (M,)."""
    apart = layers.part(values, members, beside)
    rest = tuple(range(1, apart.dim()))
    return apart.mean(rest) if how == "mean" else apart.sum(rest)


class Ensemble:
    """M games in one state, before their first step. `step` plays one iteration of all.

    Args:
        config: of every member but for its seed.
        seeds: of the members.
        data: the examples.
        precision, device: where the games are played.

    Attributes:
        state: of all games, stacked.
        singles: the members' states, see `member`.
        steps: the budget of each.
        beside: the batch of all games is example after example, else member after member.
        rows, drawn: the number of a block of steps, and its data order or random inputs.

    Raises:
        UsageError: no seeds, or the same twice.
    """

    def __init__(
        self,
        config: Config,
        seeds: Sequence[int],
        data: Dataset,
        precision: str = "fp32",
        device: torch.device | str = "cpu",
    ):
        if not seeds or len(set(seeds)) != len(seeds):
            raise UsageError(f"seeds {list(seeds)}: give at least one, and each once")
        self.config, self.seeds, self.data = config, tuple(seeds), data
        device, count, spec = torch.device(device), len(seeds), data.spec
        self.steps = step.steps_for(config.images(len(data)), config.batch, config.game)
        configs = [replace(config, seed=seed) for seed in seeds]
        self.singles = [initial(each, spec, device, precision, data=data) for each in configs]

        each = [modules(single) for single in self.singles]
        networks = {side: Stacked([one[side] for one in each]) for side in each[0]}
        self.beside = all(network.beside for network in networks.values())
        for network in networks.values():
            network.turned = network.turned and not self.beside
        average = networks.pop("ema", None)
        generator, discriminator = networks.values()
        players = replace(self.singles[0].players, generator=generator, discriminator=discriminator)
        self.state = State(players, player_optimizers(config, players), average)
        zeros = torch.zeros(count, dtype=torch.int64, device=device)
        self.member_steps = MemberSteps(zeros.bool(), {side: zeros.clone() for side in SIDES})
        self.options = StepOptions(
            reduce=partial(per_member, members=count, beside=self.beside),
            apply_gradients=self.member_steps.apply_gradients,
        )

        self.sources = [
            RandomInputSource(one, spec, single.players, device)
            for one, single in zip(configs, self.singles, strict=True)
        ]
        together = fitting_steps(self.sources[0].numbers_a_step * count, BLOCK_NUMBERS)
        for source in self.sources:
            source.block_steps = together
        self.drawn: tuple[int, Block] = (-1, {})
        self.orders = [Order(seed, len(data)) for seed in seeds]
        self.rows = (-1, torch.empty(0))
        values = np.require(data.values, requirements=["C", "W"]).reshape(len(data), -1)
        self.values = torch.from_numpy(values).to(device)
        labels = data.labels
        self.labels = None if labels is None else torch.from_numpy(np.array(labels)).to(device)

    def step(self) -> Log:
        """One iteration of Algorithm 1 for every member; what it reports is (M,) each."""
        now, game = self.state.step, self.config.game
        hyper = schedules.hyperparameters(self.config, now, self.steps)
        return step.step(
            self.state, game, self.batches(), self.random_inputs(now), hyper, self.options
        )

    def batches(self) -> list[Batch]:
        """The real batches of this step, k of (M B, ...)."""
        k, batch = self.config.game.d_steps, self.config.batch
        block, place = divmod(self.state.step, ROW_STEPS)
        if self.rows[0] != block:
            count = ROW_STEPS * k * batch
            rows = [o.indices(block * count, count).reshape(-1, batch) for o in self.orders]
            # the rows of a step side by side, so that looking them up is no copy
            index = np.stack(rows, axis=2 if self.beside else 1).reshape(ROW_STEPS * k, -1)
            self.rows = (block, torch.from_numpy(index).to(self.values.device))

        spec = self.data.spec
        out = []
        for index in self.rows[1][place * k : place * k + k]:
            x = encode(self.values.index_select(0, index).view(-1, *spec.stored_shape), spec)
            out.append(Batch(x, None if self.labels is None else self.labels[index]))
        return out

    def random_inputs(self, now: int) -> Mapping[str, Sequence[RandomInputs]]:
        """The random inputs of a step, (M B, ...): every member's, joined a block at a time."""
        first = self.sources[0]
        number, place = divmod(now, first.block_steps)
        if self.drawn[0] != number:
            blocks = [source.block(now)[1] for source in self.sources]
            axis = 3 if self.beside else 2
            joined = {
                side: {
                    path: torch.stack([b[side][path] for b in blocks], axis).flatten(2, 3)
                    for path in paths
                }
                for side, paths in blocks[0].items()
            }
            self.drawn = (number, joined)
        return inputs_of(self.drawn[1], first.turns, place)

    def by_member(self, values: Tensor) -> Tensor:
        """Values of the batch of all games, (M B, ...), as a view (M, B, ...)."""
        return layers.part(values, len(self.seeds), self.beside)

    def member(self, index: int) -> State:
        """One member as a state, as its single run has it: views, but for the step counts.

        What is copied into its weights, buffers and moments is copied into the ensemble's (see
        `sync_step_counts`).
        """
        one, whole = self.singles[index], self.state
        for side, module in modules(one).items():
            stacked = modules(whole)[side]
            for theirs, ours in zip(tensors(module), tensors(stacked), strict=True):
                theirs.data = ours.detach()[index]
            if side in whole.optimizers:
                behind = int(self.member_steps.skipped[side][index])
                pairs = zip(module.parameters(), stacked.parameters(), strict=True)
                for theirs, ours in pairs:
                    one.optimizers[side].state[theirs] = {
                        key: value[index] if value.dim() else value - behind
                        for key, value in whole.optimizers[side].state.get(ours, {}).items()
                    }
        one.step = whole.step
        return one

    def sync_step_counts(self, index: int, now: int) -> None:
        """Set the step counts of a member's optimisers, after its state was loaded at step `now`.

        All members stand at the same step.
        """
        self.state.step = now
        turns = {"discriminator": self.config.game.d_steps, "generator": self.config.game.g_steps}
        for side, whole in self.state.optimizers.items():
            made = now * turns[side]
            for moments in whole.state.values():
                if "step" in moments:
                    moments["step"].fill_(made)
            of_member = self.singles[index].optimizers[side].state.values()
            counts = [moments["step"] for moments in of_member if "step" in moments]
            self.member_steps.skipped[side][index] = made - int(counts[0]) if counts else 0

    @torch.no_grad()
    def deactivate(self, index: int) -> None:
        """Stop training a member: its weights and moments become 0 and take no updates any more."""
        self.member_steps.inactive[index] = True
        for tensor in self.stacked_tensors():
            tensor[index] = 0

    def stacked_tensors(self) -> list[Tensor]:
        """All weights, buffers and moments, (M, ...) each."""
        return [tensor for tensor in state.tensors(self.state).values() if tensor.dim()]

    def finite(self) -> Tensor:
        """Whether all weights, buffers and moments of each member are finite, (M,) bool."""
        numbers = [t for t in self.stacked_tensors() if t.is_floating_point()]
        sums = torch.stack([t.flatten(1).sum(1) for t in numbers])
        return torch.isfinite(sums).all(0)
