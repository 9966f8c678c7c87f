"""Networks from a run folder or a model folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from ganforge.errors import DataError, GanforgeError
from ganforge.files import read_file
from ganforge.runs import checkpoint, model
from ganforge.runs import folder as runs
from ganforge.runs.folder import Run
from ganforge.runs.model import OwnNetworks
from ganforge.sampling.sampler import Sampler
from ganforge.types import Array


def open_sampler(
    path: Path | str, networks: OwnNetworks | None = None, device: str = "cpu"
) -> Sampler:
    """The generator of a run folder or a model folder (`gf.load`).

    networks: your own function, where the model was trained with one.
    Raises DataError where there is no model, or it is damaged.
    """
    folder = Path(path)
    if not folder.exists():
        raise DataError(f"{folder}: no such run or model folder (`ganforge runs` lists the runs)")
    if (folder / model.CONFIG).is_file():
        return model.load(folder, networks, torch.device(device))
    run = runs.open_run(folder)
    if not (run.model / model.CONFIG).is_file():
        raise DataError(
            f"{folder}: this run has no model yet; it gets one with its first checkpoint"
        )
    return model.load(run.model, networks, torch.device(device))


def run_of(path: Path | str) -> Run | None:
    """The run a path belongs to, where it is a run folder."""
    run = Run(Path(path))
    return run if run.exists() else None


def discriminator(run: Run) -> Callable[[Array], Array] | None:
    """D of the newest checkpoint, stored vectors (N, F) -> D(x) (N,); None where there is none."""
    import torch

    from ganforge import nets, registry
    from ganforge.config import convert, schema
    from ganforge.data.spec import encode

    try:
        spec = model.read_spec(json.loads(read_file(run.model / model.CONFIG))["spec"])
        wanted = convert.from_dict(schema.Config, run.settings(), registry.PARTS)
        found, _ = checkpoint.newest(run.checkpoints)
        if found is None:
            return None
        player = nets.build(wanted.networks, spec, wanted.noise.size)["discriminator"]
        side = "discriminator."
        player.load_state_dict({
            k.removeprefix(side): v for k, v in found.tensors.items() if k.startswith(side)
        })  # fmt: skip
    except (GanforgeError, ValueError, KeyError, TypeError, RuntimeError):
        return None
    player.eval()

    def judge(x: Array) -> Array:
        with torch.no_grad():
            values = encode(torch.from_numpy(np.asarray(x, dtype=np.float32)), spec)
            return np.asarray(torch.sigmoid(player(values, None, None)).flatten().double().numpy())

    return judge
