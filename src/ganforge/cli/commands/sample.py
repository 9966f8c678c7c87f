"""ganforge sample."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ganforge.cli.options import Count, Output, given, output_path, picture_file, user_networks


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
    drawn, used = sampler.sample(n, label, seed), sampler.labels(n, label)
    if out.suffix.lower() == ".npz":
        data = files.npz(samples=drawn, **given(labels=used))
    elif sampler.spec.is_image:
        by_class = sampler.spec.classes if used is not None and label is None else 0
        pixels = spec.as_uint8(drawn, sampler.spec)
        data = picture_file(pixels, by_class or images.layout(n, 0)[1])
    else:
        data = style.png(points.vectors(None, drawn))
    files.save_file(out, data)
    return f"{n} samples in {out}"
