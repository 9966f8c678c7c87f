"""`ganforge diagnose`."""

from __future__ import annotations

from pathlib import Path

from ganforge import diagnosis, runs
from ganforge.commands.text import own_networks
from ganforge.data import source
from ganforge.diagnosis import findings
from ganforge.errors import UsageError


def diagnose(run: Path | None, data: str | None, size: int | None, code: Path | None) -> str:
    """The diagnosis of a run as text, and where it is kept."""
    if run is None:
        raise UsageError(
            "diagnose: name a run folder (`ganforge diagnose runs/cdcgan`) or a code (`ganforge "
            "diagnose --explain GF001`)"
        )
    folder = runs.open_run(run)
    train = held = None
    if data is not None:
        size = size or folder.settings().get("size")
        train, held = source.load(data, size=size), source.load(data, part="validation", size=size)
    elif size is not None:
        raise UsageError(f"size = {size}: give it together with --data")
    networks = own_networks(code, run)
    # by other data than the run's own: told, and not kept as the run's
    found = diagnosis.diagnose(run, data=train, held=held, networks=networks, keep=data is None)
    return findings.text(found)


def explain(code: str) -> str:
    """What a code means."""
    return diagnosis.explain(code.upper())
