"""One step of a run, or a block of compiled ones: what it takes from data, draws and schedules.

What a step changes is `game.step`'s affair; where a run's loop looks up from it, the loop's.
"""

from __future__ import annotations

import torch

from ganforge.errors import OutOfMemoryError, lacks_memory
from ganforge.gan import schedules
from ganforge.gan import step as game
from ganforge.gan.batch import Batch, Draws, Stats
from ganforge.gan.state import Knobs
from ganforge.gan.step import How
from ganforge.training import distributed
from ganforge.training.inputs import NotCompiledError
from ganforge.training.random_inputs import assemble, seed_own_modules
from ganforge.training.trainer import Training, eager

CHECK_STEPS = 50  # steps between two looks at whether all weights are finite
LEAST_GAP = 100  # steps between two grids or two checkpoints of tiny data sets


def advance(t: Training) -> None:
    """A step of the game, or a block of compiled ones, the numbers added up on the device."""
    if t.compiled is not None:
        count = t.compiled.reach(t.state.step, next_stop(t) - t.state.step)
        t.totals = t.compiled.play(*several(t, count), t.totals)
        t.counted += count
        return
    step, batches = t.state.step, examples(t)
    seed_own_modules(t.state.players, t.config.seed, step)
    how = How(
        batch=t.config.batch,
        micro=t.config.micro_batch,
        exchange=distributed.exchange if t.world.size > 1 else None,
    )
    stats: Stats = {}
    try:
        draws = t.drawer.at(step)
        knobs = schedules.knobs(t.config, step, t.steps, t.rate_scale)
        if t.captured is not None:
            stats = t.captured(batches, draws, knobs)
        else:
            stats = game.step(t.state, t.config.game, batches, draws, knobs, how)
    except (RuntimeError, MemoryError) as error:
        if not lacks_memory(error):
            raise
    if not stats:  # not inside the except: the error's frames hold all that filled the memory
        raise out_of_memory(t, batches[0])
    if t.totals:
        torch._foreach_add_([t.totals[name] for name in stats], list(stats.values()))
    else:
        t.totals = {name: value.clone() for name, value in stats.items()}
    t.counted += 1


def examples(t: Training) -> list[Batch]:
    """The k batches of the next step, this process's part of them."""
    k, batch, step = t.config.game.d_steps, t.config.batch, t.state.step
    first, count = t.world.part(batch)
    return [Batch(*t.batches.at((step * k + j) * batch + first, count)) for j in range(k)]


def next_stop(t: Training) -> int:
    """The next step after which the loop has something to do, or new draws begin."""
    output, step = t.config.output, t.state.step
    every = [output.log_every, CHECK_STEPS, t.drawer.block_steps]
    epochs = [output.sample_every, output.save_every, output.score_every]
    every += [interval(t, e) for e in epochs if e]
    return min(t.steps, *(step - step % n + n for n in every))


def several(t: Training, count: int) -> tuple[list[Batch], dict[str, list[Draws]], list[Knobs]]:
    """The examples, draws and knobs of the next `count` steps, stacked."""
    k, batch, step = t.config.game.d_steps, t.config.batch, t.state.step
    real, label, _ = t.batches.at(step * k * batch, count * k * batch)
    real = real.view(count, k, batch, *real.shape[1:])
    labels = None if label is None else label.view(count, k, batch)
    batches = [Batch(real[:, j], None if labels is None else labels[:, j]) for j in range(k)]
    place, block = t.drawer.block(step)
    rows = slice(place, place + count)
    draws = {
        side: [assemble(block, side, (rows, turn), (rows, -1)) for turn in range(turns)]
        for side, turns in t.drawer.turns.items()
    }
    steps = range(step, step + count)
    return batches, draws, [schedules.knobs(t.config, s, t.steps, t.rate_scale) for s in steps]


def compiled_now(t: Training) -> list[str]:
    """Compile the blocks of steps that the game has, or note why not."""
    assert t.compiled is not None
    try:
        seconds = t.compiled.prepare(*several(t, 1))
    except NotCompiledError as reason:
        return eager(t, reason)
    return [f"compiled in {seconds:.1f} s"]


def captured_now(t: Training) -> list[str]:
    """Record the steps that the game has, or note why not."""
    assert t.captured is not None
    knobs = schedules.knobs(t.config, t.state.step, t.steps, t.rate_scale)
    try:
        t.captured.prepare(examples(t), t.drawer.at(t.state.step), knobs)
    except NotCompiledError as reason:
        return eager(t, reason)
    return []


def out_of_memory(t: Training, batch: Batch) -> OutOfMemoryError:
    """The error, naming the largest micro-batch that fits, found by trying."""
    size = (t.config.micro_batch or t.config.batch) // 2
    draws = {side: drawn for side, drawn in t.drawer.at(t.state.step).items() if drawn}
    while size >= 1:
        part = slice(0, size)
        try:
            for side, drawn in draws.items():
                small = (batch.rows(part), drawn[0].rows(part))
                game.turn(t.state, t.config.game, side, *small)
            break
        except (RuntimeError, MemoryError):
            size //= 2
    device = t.resolved.device
    if not size:
        return OutOfMemoryError(
            f"{device} cannot hold one example of this game: use smaller networks or --size"
        )
    return OutOfMemoryError(
        f"{device} cannot hold batch = {t.config.batch}: --micro-batch {size} fits and gives the "
        f"same update (batch norm aside), or use --batch {size}"
    )


def interval(t: Training, epochs: float) -> int:
    """The steps of so many passes."""
    return max(LEAST_GAP, round(epochs * len(t.data) / t.images_a_step))
