"""A step of the game as one flat function of tensors, and many of them as one loop.

`Flat` knows where the numbers of a state lie in a few long vectors, and plays `game.step` itself
on twins of the players whose weights are slices of those: what is traced is the page that all
other games are played by.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from ganforge.gan import optimizers
from ganforge.gan import step as game
from ganforge.gan.batch import Batch, Log, RandomInputs
from ganforge.gan.state import State, StepHyperparameters
from ganforge.gan.step import Game, StepOptions
from ganforge.nets import SIDES
from ganforge.training.compiled.formulas import Formula
from ganforge.training.inputs import StaticInputs, from_numbers

Carry = dict[str, Tensor]


class Flat:
    """The numbers of a state as a few vectors, and the step on them.

    Arguments:
        state: whose networks, optimisers and average are meant; it is not changed by `play`.
    """

    def __init__(self, state: State, rules: Game):
        self.state, self.rules = state, rules
        self.lists = {f"{side}.{key}": held for side in SIDES for key, held in moments(state, side)}
        if state.average is not None:
            self.lists["average.weights"] = list(state.average.parameters())

    @torch.no_grad()
    def read(self) -> Carry:
        """The state's numbers, copied."""
        return {
            name: held[0].clone() if name.endswith(".step") else flattened(held)
            for name, held in self.lists.items()
        }

    @torch.no_grad()
    def write(self, carry: Carry) -> None:
        """Put numbers into the state's own tensors."""
        for name, held in self.lists.items():
            if name.endswith(".step"):
                parts: Sequence[Tensor] = [carry[name]] * len(held)
            else:
                pieces = torch.split(carry[name], [t.numel() for t in held])
                parts = [p.view(t.shape) for p, t in zip(pieces, held, strict=True)]
            torch._foreach_copy_(held, list(parts))

    def step(
        self,
        carry: Carry,
        batches: Sequence[Batch],
        draws: Mapping[str, Sequence[RandomInputs]],
        knobs: StepHyperparameters,
        how: StepOptions,
        number: int,
    ) -> tuple[Carry, Log]:
        """`game.step` number `number` from `carry`; returns the new carry and what it reports."""
        players = self.state.players
        twins = {side: copy.deepcopy(getattr(players, side)) for side in SIDES}
        formulas = {}
        for side in SIDES:
            own = {k.partition(".")[2]: v for k, v in carry.items() if k.startswith(f"{side}.")}
            formulas[side] = Formula(self.state.optimizers[side], own)
            order = optimizers.parameters(self.state.optimizers[side])
            formulas[side].take_places(places(getattr(players, side), twins[side], order))
        average = None
        if self.state.average is not None:
            average = copy.deepcopy(self.state.average)
            weights = show(average, self.lists["average.weights"], carry["average.weights"])
        twin = State(replace(players, **twins), formulas, average, {}, number)  # type: ignore[arg-type]
        stats = game.step(twin, self.rules, batches, draws, knobs, how)
        new = {f"{side}.{k}": v for side in SIDES for k, v in formulas[side].vectors.items()}
        if average is not None:
            new["average.weights"] = flattened(weights)
        return {name: new[name] for name in carry}, stats


def moments(state: State, side: str) -> list[tuple[str, list[Tensor]]]:
    """(name, tensors in the order of the parameters): the weights and what the optimiser keeps."""
    optimizer = state.optimizers[side]
    parameters = optimizers.parameters(optimizer)
    names = optimizer.state[parameters[0]].keys()
    held = [(name, [optimizer.state[p][name] for p in parameters]) for name in names]
    return [("weights", [p.data for p in parameters]), *held]


def flattened(tensors: Sequence[Tensor]) -> Tensor:
    """All numbers of some tensors in one new vector."""
    return torch.cat([t.reshape(-1) for t in tensors])


def places(
    module: nn.Module, twin: nn.Module, order: Sequence[Tensor]
) -> list[tuple[dict[str, Any], str]]:
    """Where a twin of a module keeps each of the module's parameters."""
    found = {}
    for (_, one), (_, other) in zip(module.named_modules(), twin.named_modules(), strict=True):
        for name, parameter in one._parameters.items():
            if parameter is not None:
                found[id(parameter)] = (other._parameters, name)
    return [found[id(p)] for p in order]


def show(average: nn.Module, own: Sequence[Tensor], weights: Tensor) -> list[Tensor]:
    """Give `average`, a twin, slices of a vector as its weights; returns them."""
    slots = [
        (m._parameters, name)
        for m in average.modules()
        for name, p in m._parameters.items()
        if p is not None
    ]
    pieces = torch.split(weights.clone(), [t.numel() for t in own])
    ones = [p.view(t.shape) for p, t in zip(pieces, own, strict=True)]
    for (owner, name), one in zip(slots, ones, strict=True):
        owner[name] = one  # type: ignore[assignment]
    return ones


SMALL = 2**12  # products in a matrix product, up to which a sum of vectors is faster than a call


@dataclass(frozen=True)
class Block:
    """Some steps in a row as one function of tensors, all with the same penalties due.

    `body` is the traced step: it takes (place of the step, inputs..., table of knobs, carry...,
    totals) and returns (carry..., totals), and has no side effects.
    """

    body: torch.fx.GraphModule
    names: tuple[str, ...]
    stats: tuple[str, ...]
    inputs: int

    def loop(self, count: Tensor, *given: Tensor) -> tuple[Tensor, ...]:
        """`count` steps, as a loop that torch's compilers know."""
        from torch._higher_order_ops.while_loop import while_loop_op

        fixed, carried = given[: self.inputs + 1], given[self.inputs + 1 :]

        def unfinished(place: Tensor, *rest: Tensor) -> Tensor:
            return place < rest[len(carried)]

        def body(place: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
            out = self.body(place, *rest[len(carried) + 1 :], *rest[: len(carried)])
            return (place + 1, *out)

        start: Any = (torch.zeros((), dtype=torch.int64), *carried)
        done: tuple[Tensor, ...] = while_loop_op(unfinished, body, start, (count, *fixed))
        return done[1:]

    def eager(self, count: Tensor, *given: Tensor) -> tuple[Tensor, ...]:
        """The same without a compiler: for tests, and to look into."""
        fixed, carried = given[: self.inputs + 1], given[self.inputs + 1 :]
        for place in range(int(count)):
            carried = self.body(torch.tensor(place), *fixed, *carried)
        return carried


def traced(
    flat: Flat,
    inputs: StaticInputs,
    table: Tensor,
    like: StepHyperparameters,
    how: StepOptions,
    number: int,
) -> Block:
    """The step `number` (for the penalties due in it) as a flat graph without side effects."""
    from torch.func import functionalize
    from torch.fx.experimental.proxy_tensor import make_fx

    carry, count = flat.read(), len(inputs.tensors)
    names = tuple(carry)
    stats: list[str] = []

    def one(place: Tensor, *given: Tensor) -> tuple[Tensor, ...]:
        rows = [t.index_select(0, place.view(1)).squeeze(0) for t in given[: count + 1]]
        batches, draws = inputs.shown(rows[:count])
        knobs = from_numbers(rows[count].unbind(), like, batches[0].real.dtype)
        held = dict(zip(names, given[count + 1 : -1], strict=True))
        new, seen = flat.step(held, batches, draws, knobs, how, number)
        stats[:] = list(seen)
        totals = given[-1] + torch.stack([v.to(given[-1].dtype) for v in seen.values()])
        return (*new.values(), totals)

    first = [torch.zeros((), dtype=torch.int64), *inputs.tensors, table, *carry.values()]
    wide = next(iter(carry.values())).new_zeros(())
    one(*first, wide)  # played once: how many statistics there are is not known before
    totals = wide.new_zeros(len(stats))
    graph = make_fx(one)(*first, totals)
    pure = make_fx(functionalize(graph), decomposition_table=small_products())(*first, totals)
    join_sums(pure.graph)
    pure.graph.eliminate_dead_code()
    pure.recompile()
    return Block(pure, names, tuple(stats), count)


def join_sums(graph: torch.fx.Graph) -> None:
    """The sum of two sums over the same axes as one sum of sums.

    Where a loss sees only differences of logits, the gradient of the head's bias is a sum and the
    same sum with the other sign. Compiled apart they differ in their last bits, of which Adam makes
    steps of full length, always one way; together every term is 0.
    """
    aten = torch.ops.aten
    for node in graph.find_nodes(op="call_function", target=aten.add.Tensor):
        views = [a for a in node.args if isinstance(a, torch.fx.Node)]
        sums: list[Any] = [v.args[0] for v in views if v.target is aten.view.default]
        if len(node.args) != 2 or len(sums) != 2 or node.kwargs:
            continue
        if any(s.target is not aten.sum.dim_IntList for s in sums):
            continue
        (one, *axes), (other, *others) = (s.args for s in sums)
        if axes == others and one.meta["val"].shape == other.meta["val"].shape:
            with graph.inserting_before(node):
                terms = graph.call_function(aten.add.Tensor, (one, other))
                terms.meta["val"] = one.meta["val"]  # it may be joined with a third
                total = graph.call_function(aten.sum.dim_IntList, (terms, *axes))
                joined = graph.call_function(aten.view.default, (total, views[0].args[1]))
            node.replace_all_uses_with(joined)


def small_products() -> dict[Any, Callable[..., Any]]:
    """Products of tiny matrices as multiplications and sums, which fuse with what is round them."""
    aten = torch.ops.aten

    def mm(a: Tensor, b: Tensor) -> Any:
        if a.shape[0] * a.shape[1] * b.shape[1] > SMALL:
            return NotImplemented
        return (a.unsqueeze(2) * b.unsqueeze(0)).sum(1)

    def addmm(c: Tensor, a: Tensor, b: Tensor, beta: float = 1, alpha: float = 1) -> Any:
        if a.shape[0] * a.shape[1] * b.shape[1] > SMALL or (beta, alpha) != (1, 1):
            return NotImplemented
        return c + (a.unsqueeze(2) * b.unsqueeze(0)).sum(1)

    def norms(tensors: Sequence[Tensor], order: float = 2, dtype: Any = None) -> list[Tensor]:
        return [torch.linalg.vector_norm(t, order, dtype=dtype) for t in tensors]

    return {aten.mm.default: mm, aten.addmm.default: addmm, aten._foreach_norm.Scalar: norms}
