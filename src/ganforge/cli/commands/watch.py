"""ganforge watch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from ganforge.cli.options import Flag, Lines


def watch(
    path: Path = Path("runs"),
    /,
    *,
    host: str = "127.0.0.1",
    port: int = 8010,
    public: Annotated[bool, Flag] = False,
) -> Lines:
    """Show runs live on a page: curves, samples, scores and findings. Nothing is written.

    Parameters
    ----------
    path
        A run folder, or a folder of runs; new runs appear by themselves.
    host
        The address to listen at; 0.0.0.0 for all addresses of this machine, with a token.
    port
        The port, 0 for any that is free.
    public
        Answer requests that have no token.
    """
    from ganforge.serve import server

    server.require_extra()
    from ganforge.serve.access import Access
    from ganforge.serve.token import address, needed
    from ganforge.serve.watch.app import application, watch_folder

    runs = watch_folder(path)
    with server.bound(host, port) as listening:
        token = "" if public else needed(host, os.environ.get("GANFORGE_TOKEN", ""))
        access = Access(host, listening.getsockname()[1], token=token)
        made = application(runs, access)
        yield f"{path}: {address(access)} (Ctrl-C ends it)"
        server.run(made, listening, closing=runs.close)
    return 0
