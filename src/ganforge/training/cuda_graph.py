"""One step on a GPU as a CUDA graph: k discriminator turns, penalties, generator, average, at once.

The step is `gan.step.step` itself, recorded once for every set of penalties that come due together
and then replayed: a replay reads its inputs where the recording found them, so they are copied
there first. Optimisers are torch's fused ones, which skip an update that is not finite by a flag on
the device; rates and the decay of the average are numbers on the device, so that schedules go on.

`record` makes a function of a recording. The CPU has no graphs: there the tests put an ordinary
call in its place and compare this file with `gan.step.step`: the same places, copies and sets of
penalties.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ganforge.errors import one_line
from ganforge.gan import step as game
from ganforge.gan.batch import Log
from ganforge.gan.state import State
from ganforge.gan.step import Game, StepOptions, sum_logs
from ganforge.nets import SIDES, PlainModule
from ganforge.training.inputs import Inputs, NotCompiledError, StaticInputs, due, steps_by_due

WARM = 3  # steps on a side stream before a recording: it chooses kernels and workspaces

Record = Callable[[Callable[[], Log]], tuple[Callable[[], None], Log]]


class Captured:
    """Plays steps of one run by recordings, one at a time; the counterpart of `Compiled`.

    Args:
        state, game, options: of the run.
        record: `Graphs()` on a GPU.
    """

    def __init__(
        self, state: State, game: Game, options: StepOptions, record: Record | None = None
    ):
        refuse(state, options)
        if game.random_inputs("discriminator"):
            raise NotCompiledError("a pool of earlier pictures is not captured")
        self.state, self.game, self.options = state, game, options
        self.record = record or Graphs()
        self.recordings: dict[tuple[bool, ...], tuple[Callable[[], None], Log]] = {}

    def reach(self, most: int) -> int:
        """One step at a time."""
        return 1

    def prepare(self, inputs: Inputs) -> None:
        """Record the coming steps, one for every set of penalties due together.

        Raises:
            NotCompiledError: that fails.
        """
        self.inputs = StaticInputs(inputs, self.game, 1)
        steps = steps_by_due(self.game, self.state.step)
        self.recordings = {pattern: self.recorded(step) for pattern, step in steps.items()}

    def play(self, inputs: Inputs, totals: Log) -> Log:
        """One step, by the recording for the penalties due now; `totals` with what it logs."""
        self.inputs.fill(inputs)
        replay, log = self.recordings[due(self.game, self.state.step)]
        number = self.state.step
        replay()
        self.state.step = number + 1
        return sum_logs(totals, log)

    def recorded(self, number: int) -> tuple[Callable[[], None], Log]:
        """A recording of the step `number`; the state does not change, even if it fails."""
        tensors, now = changing(self.state), self.state.step
        saved = [t.detach().clone() for t in tensors]

        def step() -> Log:
            self.state.step = number  # a number of Python's, which a replay does not see
            batches, drawn, hyper = self.inputs.shown([t[0] for t in self.inputs.tensors])
            return game.step(self.state, self.game, batches, drawn, hyper, self.options)

        try:
            warm_up(step, self.inputs.tensors[0].device)
            # without it Adam refuses to be recorded, with it to be warmed
            set_capturable(self.state, True)
            return self.record(step)
        except RuntimeError as error:
            raise NotCompiledError(f"the step could not be recorded ({one_line(error)})") from None
        finally:
            set_capturable(self.state, False)
            with torch.no_grad():
                torch._foreach_copy_(tensors, saved)
            self.state.step = now


def refuse(state: State, options: StepOptions) -> None:
    """NotCompiledError, with the reason, for a game that a recording would not play correctly."""
    if any(isinstance(getattr(state.players, side), PlainModule) for side in SIDES):
        raise NotCompiledError(
            "a module from outside the package may draw numbers or wait for the device"
        )
    if options.micro_batch:
        raise NotCompiledError("micro-batches are not captured")
    for side in SIDES:
        if not state.optimizers[side].defaults.get("fused"):
            raise NotCompiledError(f"the {side}'s optimiser has no fused kernel")


def changing(state: State) -> list[Tensor]:
    """Every tensor that a step changes in place."""
    players = [state.players.generator, state.players.discriminator]
    networks = players if state.average is None else [*players, state.average]
    tensors = [t for n in networks for t in (*n.parameters(), *n.buffers())]
    moments = [m for optimizer in state.optimizers.values() for m in optimizer.state.values()]
    return [*tensors, *state.aux.values(), *(t for each in moments for t in each.values())]


def warm_up(step: Callable[[], Log], device: torch.device) -> None:
    """A few steps on a side stream, which a recording needs before it."""
    if device.type != "cuda":
        step()
        return
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):
        for _ in range(WARM):
            step()
    torch.cuda.current_stream(device).wait_stream(stream)


def set_capturable(state: State, value: bool) -> None:
    """Set `capturable` of the optimisers that have it: whether they are being recorded."""
    for optimizer in state.optimizers.values():
        for group in optimizer.param_groups:
            if "capturable" in group:
                group["capturable"] = value


class Graphs:
    """CUDA graphs that share their memory, as only one of them runs at a time."""

    def __init__(self) -> None:
        self.pool = torch.cuda.graph_pool_handle()

    def __call__(self, step: Callable[[], Log]) -> tuple[Callable[[], None], Log]:
        """`step` recorded: the function that replays it, and the tensors that it logs into."""
        recording = torch.cuda.CUDAGraph()
        with torch.cuda.graph(recording, pool=self.pool):
            log = step()
        return recording.replay, log
