"""ganforge export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from ganforge.cli.options import Flag, Output, in_this_folder, output_path, require_new, user_code


def export(
    run: Path,
    /,
    *,
    output: Output = None,
    half: Annotated[bool, Flag] = False,
    opset: int = 18,
    raw: Annotated[bool, Flag] = False,
    direction: Literal["a2b", "b2a"] = "a2b",
    noise: Annotated[bool, Flag] = False,
    overwrite: Annotated[bool, Flag] = False,
    code: Path | None = None,
) -> str:
    """Write the generator as an ONNX file, for programs without Python.

    Parameters
    ----------
    run
        A run folder, a model folder or cdcgan-mnist, the model in the package.
    output
        The .onnx file. [default: model.onnx in the run]
    half
        Store the weights in 16 bits: half the size, and pixels differ by a level at most.
    opset
        The version of the ONNX operators, 17 to 23.
    raw
        The model returns values in [-1, 1], pictures as (batch, C, H, W), instead of pixels.
    direction
        Of a model that translates pictures: from sources to targets, or back.
    noise
        Also write noise.py and noise.mjs beside the model, which draw the noise of a seed.
    overwrite
        Replace files that exist.
    code
        Your FILE.py, for a model whose parts are your code.
    """
    from ganforge import files
    from ganforge.export import CLIENTS
    from ganforge.export import onnx as onnx_files

    output = output or in_this_folder(run, "model.onnx")
    out = output_path(output, run / "model.onnx", ".onnx")
    beside = [(out.with_name(client.name), client) for client in CLIENTS if noise]
    named = [*([out] if output else []), *(path for path, _ in beside)]
    require_new(named, overwrite)
    options: dict[str, Any] = {"half": half, "opset": opset, "raw": raw, "direction": direction}
    onnx_files.export(run, out, **options, networks=user_code(code))
    for path, client in beside:
        files.save_file(path, client.read_bytes())
    written = " ".join(str(path) for path, _ in beside)
    return f"{out} ({out.stat().st_size:,} bytes)" + (f" and {written}" if written else "")
