"""A step of the game as one flat function of tensors, and many of them as one loop.

The numbers of a state lie in a few long vectors. What is traced is `gan.step.step` itself, played
on twins of the players whose weights are slices of those vectors.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector

from ganforge.gan import optimizers
from ganforge.gan import step as game
from ganforge.gan.batch import Log
from ganforge.gan.state import State
from ganforge.gan.step import Game
from ganforge.nets import SIDES
from ganforge.training.compiled.formulas import Formula, show, split
from ganforge.training.inputs import StaticInputs

Lists = dict[str, list[Tensor]]
Carry = dict[str, Tensor]
AVERAGE = "average.weights"
SMALL = 2**12  # products in a matrix product, up to which a sum of vectors is faster than a call


def lists(state: State) -> Lists:
    """The tensors of a state that make up each vector: weights, moments, the average's weights."""
    found: Lists = {}
    for side in SIDES:
        parameters, moments = (
            list(optimizers.parameters(state.optimizers[side])),
            state.optimizers[side].state,
        )
        found[f"{side}.weights"] = [*parameters]
        for name in moments[parameters[0]]:
            found[f"{side}.{name}"] = [moments[p][name] for p in parameters]
    if state.average is not None:
        found[AVERAGE] = list(state.average.parameters())
    return found


@torch.no_grad()
def read(tensors: Lists) -> Carry:
    """The numbers of a state, copied into vectors."""
    return {name: parameters_to_vector(each) for name, each in tensors.items()}


@torch.no_grad()
def write(tensors: Lists, carry: Carry) -> None:
    """Copy vectors into the tensors of a state."""
    for name, each in tensors.items():
        torch._foreach_copy_(each, split(carry[name], each))


def step(
    state: State, rules: Game, carry: Carry, inputs: Sequence[Any], number: int
) -> tuple[Carry, Log]:
    """`gan.step.step` number `number` from `carry`; returns the new carry and what it logs.

    Args:
        state: whose networks, optimisers and average are meant; it is not changed.
        inputs: batches, random inputs and hyperparameters of the step.
    """
    networks = {side: copy.deepcopy(getattr(state.players, side)) for side in SIDES}
    formulas: dict[str, Any] = {}
    for side, network in networks.items():
        parts = {k.partition(".")[2]: v for k, v in carry.items() if k.startswith(side)}
        formulas[side] = Formula(state.optimizers[side], network, parts)
    average = copy.deepcopy(state.average)
    if average is not None:
        show(average, carry[AVERAGE].clone())
    twin = State(replace(state.players, **networks), formulas, average, step=number)
    log = game.step(twin, rules, *inputs)
    new = {f"{side}.{k}": v for side in SIDES for k, v in formulas[side].vectors.items()}
    if average is not None:
        new[AVERAGE] = parameters_to_vector(average.parameters())
    return {name: new[name] for name in carry}, log


@dataclass(frozen=True)
class Block:
    """Some steps in a row as one function of tensors, all with the same penalties due.

    Args:
        body: the traced step, without side effects: (place of the step, inputs..., carry...) ->
            (carry..., what it logs).
        logged: names of what a step logs.
        inputs: the number of input tensors.
    """

    body: torch.fx.GraphModule
    logged: tuple[str, ...]
    inputs: int

    def step(
        self, place: Tensor, inputs: Sequence[Tensor], carried: Sequence[Tensor]
    ) -> list[Tensor]:
        """carried, sums of what was logged last, after one step more."""
        *carry, totals = carried
        *new, log = self.body(place, *inputs, *carry)
        return [*new, totals + log]

    def loop(self, count: Tensor, *given: Tensor) -> tuple[Tensor, ...]:
        """`count` steps, as a loop that torch's compilers know."""
        from torch._higher_order_ops.while_loop import while_loop_op

        inputs, carried = given[: self.inputs], given[self.inputs :]

        def unfinished(place: Tensor, *rest: Tensor) -> Tensor:
            return place < rest[len(carried)]

        def body(place: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
            out = self.step(place, rest[len(carried) + 1 :], rest[: len(carried)])
            return (place + 1, *out)

        start: Any = (torch.zeros((), dtype=torch.int64), *carried)
        done: tuple[Tensor, ...] = while_loop_op(unfinished, body, start, (count, *inputs))
        return done[1:]


def traced(state: State, carry: Carry, inputs: StaticInputs, number: int) -> Block:
    """The step `number` (for the penalties due in it) as a flat graph without side effects."""
    from torch.func import functionalize
    from torch.fx.experimental.proxy_tensor import make_fx

    count = len(inputs.tensors)
    logged: list[str] = []

    def one(place: Tensor, *given: Tensor) -> tuple[Tensor, ...]:
        row = [t.index_select(0, place.view(1)).squeeze(0) for t in given[:count]]
        before = dict(zip(carry, given[count:], strict=True))
        new, log = step(state, inputs.game, before, inputs.shown(row), number)
        logged[:] = list(log)
        return (*new.values(), torch.stack([v.to(given[-1].dtype) for v in log.values()]))

    first = [torch.zeros((), dtype=torch.int64), *inputs.tensors, *carry.values()]
    graph = make_fx(one)(*first)
    pure = make_fx(functionalize(graph), decomposition_table=small_products())(*first)
    join_sums(pure.graph)
    pure.graph.eliminate_dead_code()
    pure.recompile()
    return Block(pure, tuple(logged), count)


def join_sums(graph: torch.fx.Graph) -> None:
    """The sum of two sums over the same axes as one sum of sums.

    If a loss sees only differences of logits, the gradient of the head's bias is a sum and the
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
        small = a.shape[0] * a.shape[1] * b.shape[1] <= SMALL
        return (a.unsqueeze(2) * b.unsqueeze(0)).sum(1) if small else NotImplemented

    def addmm(c: Tensor, a: Tensor, b: Tensor) -> Any:
        product = mm(a, b)
        return NotImplemented if product is NotImplemented else c + product

    def norms(tensors: Sequence[Tensor]) -> list[Tensor]:
        return [torch.linalg.vector_norm(t) for t in tensors]

    return {aten.mm.default: mm, aten.addmm.default: addmm, aten._foreach_norm.Scalar: norms}
