"""`ganforge diagnose`."""

from __future__ import annotations

from pathlib import Path

from ganforge import diagnosis
from ganforge.commands.text import own_networks
from ganforge.data import load
from ganforge.diagnosis import findings
from ganforge.errors import UsageError
from ganforge.runs import folder as runs


def diagnose(run: Path | None, data: str | None, size: int | None, code: Path | None) -> str:
    """The diagnosis of a run as text."""
    if run is None:
        raise UsageError(
            "diagnose: name a run folder (`ganforge diagnose runs/cdcgan`) or a code (`ganforge "
            "diagnose --explain GF001`)"
        )
    folder = runs.open_run(run)
    train = validation = None
    if data is not None:
        size = size or folder.settings().get("size")
        train = load.load(data, size=size)
        validation = load.load(data, part="validation", size=size)
    elif size is not None:
        raise UsageError(f"size = {size}: give it together with --data")
    found = diagnosis.diagnose(
        run,
        data=train,
        validation=validation,
        networks=own_networks(code, run),
        save=data is None,  # a diagnosis by other data is not the run's
    )
    return findings.text(found)


def explain(code: str) -> str:
    """What a code means."""
    return diagnosis.explain(code.upper())
