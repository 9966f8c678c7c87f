"""A run that begins from the weights of another: fine-tuning (`--from RUN`).

Weights, batch statistics and the average are copied where name and shape agree; optimisers, the
step and all else begin anew. Sizes and labels of the two runs may differ: the layers nearest the
picture correspond, whatever the number of doublings.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ganforge.errors import DataError
from ganforge.gan import state
from ganforge.runs import load
from ganforge.text import on_disk
from ganforge.training import distributed

if TYPE_CHECKING:
    from ganforge.training.trainer import Trainer

LISTED = 4  # tensors named in the note
_LAYER = re.compile(r"^(.*\bbody\.)(\d+)(\..*)$")


def begin_from(t: Trainer) -> str:
    """Copy the weights of `t.config.init_from` into a run before its first step, on every process.

    The leader alone reads them. Returns a note.

    Raises:
        DataError: no run or model there, or nothing in it that fits.
    """
    note = copy_from(t) if t.world.is_main_process else ""
    distributed.broadcast(t.world, list(state.tensors(t.state).values()), t.resolved.device)
    return note


def copy_from(t: Trainer) -> str:
    """`begin_from` in one process."""
    ours = state.tensors(t.state)
    path, found = fitting(t.config.init_from, ours)
    copy(ours, found)
    fresh = [n for n in ours if n.split(".")[0] in ("generator", "discriminator")]
    fresh = [n for n in fresh if n not in found]
    note = f"begins from {path}: {len(found)} of its tensors"
    if fresh:
        more = f" and {len(fresh) - LISTED} more" if len(fresh) > LISTED else ""
        note += f"; new: {', '.join(fresh[:LISTED])}{more}"
    return note


def fitting(source: str, ours: Mapping[str, Tensor]) -> tuple[Path, dict[str, Tensor]]:
    """The place of the weights to begin from, and those that fit `ours`, by their names in `ours`.

    Args:
        source: a run or a model folder.
        ours: the tensors of the new run.

    Raises:
        DataError: no run or model there, or nothing in it that fits the generator.
    """
    path = on_disk(Path(source))
    found = matches(ours, load.saved_players(path))
    if not any(name.startswith("generator.") for name in found):
        raise DataError(f"{path}: its generator has no tensor of a shape that fits this run")
    return path, found


@torch.no_grad()
def copy(ours: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    """Copy tensors into those of the same names in `ours`."""
    for name, tensor in found.items():
        ours[name].copy_(tensor)


def matches(ours: Mapping[str, Tensor], saved: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of `saved` that fit `ours`, by their names in `ours`.

    Layers of a generator are counted from its end, those of a discriminator from its beginning.
    Without an average in `saved`, the generator begins ours.
    """
    saved = dict(saved)
    if not any(name.startswith("ema.") for name in saved):
        saved |= {f"ema{n[9:]}": v for n, v in saved.items() if n.startswith("generator.")}
    found = {}
    for side in ("generator", "discriminator", "ema"):
        shift = 0 if side == "discriminator" else depth(saved, side) - depth(ours, side)
        for name, tensor in ours.items():
            source = saved.get(shifted(name, shift))
            if name.startswith(f"{side}.") and source is not None and source.shape == tensor.shape:
                found[name] = source
    return found


def depth(tensors: Mapping[str, Tensor], side: str) -> int:
    """The number of the last layer with weights of a player's body; 0 without a body."""
    found = (_LAYER.match(name) for name in tensors if name.startswith(f"{side}."))
    return max((int(match[2]) for match in found if match), default=0)


def shifted(name: str, by: int) -> str:
    """The name of a tensor with the number of its layer moved."""
    match = _LAYER.match(name)
    return f"{match[1]}{int(match[2]) + by}{match[3]}" if match else name
