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
    half: Annotated[bool, Flag] = False,
    onnx: Annotated[bool, Flag] = False,
    demo: Annotated[bool, Flag] = False,
    space: Annotated[bool, Flag] = False,
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
    half
        Store the weights in 16 bits: half the size, one level of difference at most.
    onnx
        Add model.onnx.
    demo
        Add demo.html.
    space
        Add demo.html, and show it as a static Space of the same name.
    force
        Share the model although its networks are your code, which is not shared.
    dry_run
        Print the files and the card, and send nothing.
    code
        Your FILE.py, for a model whose networks are your code.
    """
    from ganforge.export import hub

    shared = hub.shared(
        run,
        repo,
        license,
        half=half,
        onnx=onnx,
        demo=demo or space,
        force=force,
        networks=user_code(code),
    )
    sent = {"model": shared}
    if space:
        sent["space"] = hub.space(shared, repo, str(license))
    for kind, found in sent.items():
        yield from (f"{name:<18} {len(data):>13,} bytes" for name, data in found.items())
        if dry_run:
            yield "\n" + found["README.md"].decode()
        else:
            yield hub.push(found, repo, private=not public, kind=kind)
    if dry_run:
        yield "nothing was sent"
    return 0
