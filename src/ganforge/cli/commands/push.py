"""ganforge push."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from ganforge.cli.options import Flag, Lines, user_code


def push(
    run: Path,
    repo: str,
    /,
    *,
    license: str | None = None,
    public: Annotated[bool, Flag] = False,
    onnx: Annotated[bool, Flag] = False,
    demo: Annotated[bool, Flag] = False,
    force: Annotated[bool, Flag] = False,
    dry_run: Annotated[bool, Flag] = False,
    code: Path | None = None,
) -> Lines:
    """Share a model on the Hugging Face hub, with a card, scores and samples; private by default.

    Parameters
    ----------
    run
        A run folder or a model folder.
    repo
        The repository on the hub, as owner/name.
    license
        The licence of the model, as mit or cc-by-4.0; its training data have to allow it.
    public
        Everybody may read the repository.
    onnx
        Add model.onnx.
    demo
        Add demo.html.
    force
        Share the model although its networks are your code, which is not shared.
    dry_run
        Print the files and the card, and send nothing.
    code
        Your FILE.py, for a model whose networks are your code.
    """
    from ganforge.export import hub

    shared = hub.shared(
        run, repo, license, onnx=onnx, demo=demo, force=force, networks=user_code(code)
    )
    for name, data in shared.items():
        yield f"{name:<18} {len(data):>13,} bytes"
    if dry_run:
        yield "\n" + shared["README.md"].decode()
        yield "nothing was sent"
    else:
        yield hub.push(shared, repo, private=not public)
    return 0
