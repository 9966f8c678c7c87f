"""One step on a GPU as a CUDA graph: k discriminator turns, penalties, generator, average, at once.

The step is `game.step` itself, recorded once for every set of penalties that come due together and
then replayed: a replay reads its examples, draws and knobs where the recording found them, so they
are copied there first. Optimisers are torch's fused ones, which skip an update that is not finite
by a flag on the device; rates and the decay of the average are numbers on the device, so that
schedules go on.

`record` is what makes a function of a recording. On the CPU, where there are no graphs, `replayed`
stands in for it: the same places, copies and sets of penalties, with an ordinary call in the
middle, which is how the tests hold this file to `game.step`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from ganforge.gan import optimizers
from ganforge.gan import step as game
from ganforge.gan.batch import Batch, Log, RandomInputs
from ganforge.gan.state import State, StepHyperparameters
from ganforge.gan.step import Game, StepOptions
from ganforge.nets import SIDES, PlainModule
from ganforge.training.inputs import NotCompiledError, StaticInputs, due, from_numbers, numbers

WARM = 3  # steps on a side stream before a recording: kernels are chosen, workspaces taken

Record = Callable[[Callable[[], Log]], tuple[Callable[[], None], Log]]


class Captured:
    """Plays steps of one run by recordings.

    Arguments:
        state, rules, how: of the run.
        record: `Graphs()` on a GPU.

    What a step reports lies in the same tensors after every replay: read or copy it before the
    next one.
    """

    def __init__(self, state: State, rules: Game, how: StepOptions, record: Record | None = None):
        refuse(state, how)
        self.state, self.rules, self.how = state, rules, how
        self.record = record or Graphs()
        self.recordings: dict[tuple[bool, ...], tuple[Callable[[], None], Log]] = {}
        self.inputs: StaticInputs | None = None
        self.row = torch.zeros(0)

    def __call__(
        self,
        batches: Sequence[Batch],
        draws: Mapping[str, Sequence[RandomInputs]],
        knobs: StepHyperparameters,
    ) -> Log:
        """`game.step` on these, by the recording for the penalties due now."""
        self.take(batches, draws, knobs)
        pattern = due(self.rules, self.state.step)
        if pattern not in self.recordings:
            self.recordings[pattern] = self.recorded(knobs, self.state.step)
        replay, stats = self.recordings[pattern]
        number = self.state.step
        replay()
        self.state.step = number + 1
        return stats

    def prepare(
        self,
        batches: Sequence[Batch],
        draws: Mapping[str, Sequence[RandomInputs]],
        knobs: StepHyperparameters,
    ) -> None:
        """Record the coming steps, one for every set of penalties due together.

        Raises NotCompiledError where that fails.
        """
        self.take(batches, draws, knobs)
        first = self.state.step
        period = math.lcm(1, *(penalty.interval for penalty in self.rules.penalties))
        for number in range(first, first + period):
            if due(self.rules, number) not in self.recordings:
                self.recordings[due(self.rules, number)] = self.recorded(knobs, number)

    def take(
        self,
        batches: Sequence[Batch],
        draws: Mapping[str, Sequence[RandomInputs]],
        knobs: StepHyperparameters,
    ) -> None:
        """Copy what a step is given to where recordings read it."""
        now = torch.tensor(numbers(knobs, self.rules), dtype=torch.float64)
        if self.inputs is None:
            self.inputs = StaticInputs(batches, draws)
            self.row = now.to(self.inputs.tensors[0].device)
        self.inputs.fill(batches, draws)
        self.row.copy_(now)

    def recorded(self, knobs: StepHyperparameters, number: int) -> tuple[Callable[[], None], Log]:
        """A recording of the step `number`; the state is left as it was, also where it fails."""
        assert self.inputs is not None
        batches, draws = self.inputs.shown(self.inputs.tensors)
        stands, kept = self.state.step, [t.detach().clone() for t in held(self.state)]

        def step() -> Log:
            self.state.step = number  # a number of Python's, which a replay does not see
            now = from_numbers(self.row.unbind(), knobs, batches[0].real.dtype)
            return game.step(self.state, self.rules, batches, draws, now, self.how)

        try:
            warmed(step, self.row.device)
            # without it Adam refuses to be recorded, with it to be warmed
            capturable(self.state, True)
            return self.record(step)
        except RuntimeError as error:
            said = (str(error).strip().splitlines() or [repr(error)])[0]
            raise NotCompiledError(f"the step could not be recorded ({said})") from None
        finally:
            capturable(self.state, False)
            with torch.no_grad():
                for tensor, before in zip(held(self.state), kept, strict=True):
                    tensor.copy_(before)
            self.state.step = stands


def refuse(state: State, how: StepOptions) -> None:
    """NotCompiledError, with the reason, for a game that a recording would not get right."""
    if any(
        isinstance(m, PlainModule) for m in (state.players.generator, state.players.discriminator)
    ):
        raise NotCompiledError("a module of your own may draw numbers or wait for the device")
    if how.all_reduce is not None or how.micro_batch:
        raise NotCompiledError("micro-batches and several processes are not captured")
    for side in SIDES:
        optimizer = state.optimizers[side]
        if not optimizer.defaults.get("fused"):
            raise NotCompiledError(f"the {side}'s optimiser has no fused kernel")


def held(state: State) -> list[Tensor]:
    """Every tensor that a step changes in place."""
    out: list[Tensor] = list(state.players.buffers)
    for side in SIDES:
        optimizer = state.optimizers[side]
        for parameter in optimizers.parameters(optimizer):
            out += [parameter, *(t for t in optimizer.state[parameter].values())]
    if state.average is not None:
        out += [*state.average.parameters(), *state.average.buffers()]
    return out


def warmed(step: Callable[[], Log], device: torch.device) -> None:
    """A few steps on a side stream, as a recording wants before it."""
    if device.type != "cuda":
        step()
        return
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):
        for _ in range(WARM):
            step()
    torch.cuda.current_stream(device).wait_stream(stream)


def capturable(state: State, told: bool) -> None:
    """Tell the optimisers that know the word whether they are being recorded."""
    for side in SIDES:
        for group in state.optimizers[side].param_groups:
            if "capturable" in group:
                group["capturable"] = told


class Graphs:
    """CUDA graphs that share their memory, as only one of them runs at a time."""

    def __init__(self) -> None:
        self.pool = torch.cuda.graph_pool_handle()

    def __call__(self, step: Callable[[], Log]) -> tuple[Callable[[], None], Log]:
        """`step` recorded: what replays it, and where it leaves what it reports."""
        recording = torch.cuda.CUDAGraph()
        with torch.cuda.graph(recording, pool=self.pool):
            stats = step()
        return recording.replay, stats


def replayed(step: Callable[[], Log]) -> tuple[Callable[[], None], Log]:
    """In place of `Graphs` where there is no GPU: every replay calls the step again."""
    stats = {name: value.clone() for name, value in step().items()}

    def replay() -> None:
        for name, value in step().items():
            stats[name].copy_(value)

    return replay, stats
