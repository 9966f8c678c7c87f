"""ganforge pull."""

from __future__ import annotations

from pathlib import Path

from ganforge.cli.options import Output
from ganforge.errors import UsageError


def pull(address: str, /, *, output: Output = None) -> str:
    """Fetch a model from the Hugging Face hub: its config.json, model.safetensors and README.md.

    Parameters
    ----------
    address
        The model as owner/name or hf://owner/name, perhaps with @revision.
    output
        The folder to make. [default: NAME in the current folder]
    """
    from ganforge import files
    from ganforge.runs import hub, model

    found = hub.parse(address)
    out = output or Path(found.repo.partition("/")[2])
    if out.exists():
        raise UsageError(f"{out} exists: choose another folder with -o")
    folder = hub.pull(found)
    model.load(folder)  # a damaged model is not copied
    for name in hub.LARGEST:
        if (folder / name).exists():
            files.save_file(out / name, files.read_file(folder / name))
    return f"{found} in {out}; sample it with `ganforge sample {out}`"
