"""ganforge sample."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ganforge.cli.options import Count, Output, output_path, user_networks


def sample(
    run: Path,
    /,
    *,
    n: Count = 64,
    label: Annotated[list[str] | None, Parameter(consume_multiple=True, negative="")] = None,
    seed: int = 0,
    output: Output = None,
    code: Path | None = None,
) -> str:
    """Sample a run or a model: a picture grid, or arrays.

    Parameters
    ----------
    run
        A run folder or a model folder.
    n
        How many samples.
    label
        The label to make, by number or class name, or several to cycle through.
        [default: all, in turn]
    seed
        Sample i depends only on the seed and i.
    output
        A .png (grid) or .npz (samples, labels). [default: sample.png in the run]
    code
        Your FILE.py, for a model whose networks are your code.
    """
    from ganforge import files, images
    from ganforge.data import spec
    from ganforge.plotting import points, style
    from ganforge.runs import load

    sampler = load.open_sampler(run, user_networks(code, run))
    out = output_path(output, run / "sample.png", ".png", ".npz")
    drawn = sampler.sample(n, label, seed)
    used = sampler.labels(n, label)

    if out.suffix.lower() == ".npz":
        arrays = {"samples": drawn} | ({} if used is None else {"labels": used})
        files.save_file(out, files.npz(**arrays))
    elif sampler.spec.is_image:
        by_class = used is not None and label is None and sampler.spec.classes
        grid = images.grid(
            spec.as_uint8(drawn, sampler.spec), by_class or images.layout(len(drawn), 0)[1]
        )
        files.save_file(out, images.png(grid, scale=max(1, 64 // sampler.spec.shape[1])))
    else:
        files.save_file(out, style.png(points.vectors(None, drawn)))
    return f"{n} samples in {out}"
