"""ganforge serve."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ganforge.cli.options import Flag, Lines, user_code
from ganforge.errors import UsageError

Several = Annotated[list[str] | None, Parameter(negative="")]


def serve(
    *runs: Path,
    host: str = "127.0.0.1",
    port: int = 8000,
    public: Annotated[bool, Flag] = False,
    allow_host: Several = None,
    allow_origin: Several = None,
    device: str = "cpu",
    code: Path | None = None,
) -> Lines:
    """Serve samples over HTTP, with a page, metrics and an OpenAPI document.

    Of a model that translates pictures, POST /translate with a PNG, JPEG or WebP file as the body.

    Beyond this machine (--host) every request needs the token of the printed address, or that of
    the environment variable GANFORGE_TOKEN.

    Parameters
    ----------
    runs
        Run folders or model folders; the first is at /sample or /translate, each also below
        /models/NAME.
    host
        The address to listen at; 0.0.0.0 for all of this machine.
    port
        The port, 0 for any that is free.
    public
        Answer requests that have no token.
    allow_host
        Another name of this server in requests, NAME or NAME:PORT.
    allow_origin
        A site whose pages may read the answers, such as https://example.org.
    device
        The device: cpu, cuda or mps.
    code
        Your FILE.py, for models whose networks are your code.
    """
    from ganforge.serve import server

    if not runs:
        raise UsageError("serve: name a run folder (`ganforge serve runs/cdcgan`)")
    server.require_extra()
    from ganforge.data.decode import set_filters
    from ganforge.runs import load
    from ganforge.serve import app as service
    from ganforge.serve.access import Access
    from ganforge.serve.token import address, needed

    opened = [(run.resolve().name, load.open_sampler(run, user_code(code), device))
              for run in runs]  # fmt: skip
    models = service.models(opened)
    with server.bound(host, port) as listening:
        port = listening.getsockname()[1]
        token = "" if public else needed(host, os.environ.get("GANFORGE_TOKEN", ""))
        hosts = tuple(name.lower() for name in allow_host or ())
        access = Access(host, port, hosts, tuple(allow_origin or ()), token)
        made = service.application(models, access)
        set_filters()  # what Pillow warns of in pictures of strangers is no news
        yield f"{', '.join(model.name for model in models)}: {address(access)} (Ctrl-C ends it)"
        server.run(made, listening)
    return 0
