"""The state of a game as named tensors and a counter: made, listed, and put back exactly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ganforge.errors import DataError
from ganforge.gan.batch import Aux
from ganforge.gan.players import Players


@dataclass
class State:
    """All that a step changes: named tensors (see `state.tensors`) and a counter."""

    players: Players
    optimizers: dict[str, torch.optim.Optimizer]
    average: nn.Module | None = None
    aux: Aux = field(default_factory=dict)
    step: int = 0


@dataclass(frozen=True)
class StepHyperparameters:
    """What schedules may change from step to step.

    Numbers may be tensors, which a recorded step reads anew at every replay.

    Args:
        rates: learning rate by player.
        ema: the decay of the averaged generator.
        momenta: of SGD and RMSprop by player, if they change.
        penalties: the factor of each penalty of the game, in its order; empty if all are 1.
        average_statistics: the averaged generator averages batch statistics too; never a tensor.
    """

    rates: Mapping[str, float | Tensor]
    ema: float | Tensor = 0.0
    momenta: Mapping[str, float | Tensor] = field(default_factory=dict)
    penalties: tuple[float | Tensor, ...] = ()
    average_statistics: bool = False


def sampling_model(state: State) -> nn.Module:
    """The generator to sample from: the average, if there is one."""
    return state.average if state.average is not None else state.players.generator


def tensors(state: State) -> dict[str, Tensor]:
    """Every tensor of the state by name, as live references (no copies).

    generator.*, discriminator.*, ema.*, optimizer.<side>.<parameter>.<moment>, aux.*
    """
    out: dict[str, Tensor] = {}
    for side, optimizer in state.optimizers.items():
        module = getattr(state.players, side)
        out |= {f"{side}.{name}": tensor for name, tensor in module.state_dict().items()}
        for name, parameter in module.named_parameters():
            for key, value in sorted(optimizer.state.get(parameter, {}).items()):
                out[f"optimizer.{side}.{name}.{key}"] = value
    if state.average is not None:
        out |= {f"ema.{name}": tensor for name, tensor in state.average.state_dict().items()}
    out |= {f"aux.{name}": tensor for name, tensor in state.aux.items()}
    return out


@torch.no_grad()
def load(state: State, saved: Mapping[str, Tensor], source: str) -> None:
    """Copy `saved` into the tensors of the state, so that their strides and alignment stay.

    Names, shapes and dtypes are compared before anything is changed; DataError names `source`.
    """
    ours = tensors(state)
    require_same_tensors(ours, saved, source)
    for name, tensor in ours.items():
        tensor.copy_(saved[name])


def require_same_tensors(
    ours: Mapping[str, Tensor], saved: Mapping[str, Tensor], source: str
) -> None:
    """DataError unless `saved` has exactly the names, shapes and dtypes of `ours`."""
    for name in [*ours, *saved]:
        a, b = ours.get(name), saved.get(name)
        if a is None or b is None:
            wrong = f" {'holds an unknown' if a is None else 'lacks'} tensor {name!r}"
        elif (a.shape, a.dtype) != (b.shape, b.dtype):
            wrong = f": tensor {name!r} is {tuple(b.shape)} {b.dtype}, expected "
            wrong += f"{tuple(a.shape)} {a.dtype}"
        else:
            continue
        raise DataError(f"{source}{wrong}: it belongs to another configuration")


def buffers(state: State) -> list[Tensor]:
    """Every buffer of the state (batch statistics), the average's too."""
    average = [] if state.average is None else list(state.average.buffers())
    return [*state.players.buffers, *average]


def all_finite(state: State) -> bool:
    """Whether every weight, buffer and moment is finite (waits for the device)."""
    floats = [t for t in tensors(state).values() if t.is_floating_point()]
    return not floats or bool(torch.isfinite(torch.stack([t.sum() for t in floats])).all())
