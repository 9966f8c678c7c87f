"""ganforge diagnose."""

from __future__ import annotations

from pathlib import Path

from ganforge.cli.options import user_code
from ganforge.errors import UsageError


def diagnose(
    run: Path | None = None,
    /,
    *,
    data: str | None = None,
    size: int | None = None,
    explain: str | None = None,
    code: Path | None = None,
) -> str:
    """Find what is wrong with a run, finished or under way, with a remedy for each fault.

    Parameters
    ----------
    run
        A run folder.
    data
        The real data. [default: the data of the training]
    size
        Pictures are cropped and resized to SIZE x SIZE. [default: as in training]
    explain
        Explain a code, such as GF003: what it means, why it is bad, and what to do.
    code
        Your FILE.py, for a run whose networks are your code.
    """
    if run is None and not explain:
        raise UsageError(
            "diagnose: name a run folder (`ganforge diagnose runs/cdcgan`) or a code (`ganforge "
            "diagnose --explain GF001`)"
        )
    from ganforge import diagnosis, registry
    from ganforge.data import load
    from ganforge.diagnosis import findings
    from ganforge.runs import folder

    if run is None or explain:
        return diagnosis.explain(str(explain).upper())
    settings = folder.open_run(run).settings()
    train = validation = None
    if data is not None:
        size = size or settings.get("size")
        train, validation = (
            load.load(data, part=part, size=size, pairing=registry.pairing(settings))
            for part in ("train", "validation")
        )
    elif size is not None:
        raise UsageError(f"size = {size}: give it together with --data")
    found = diagnosis.diagnose(
        run,
        data=train,
        validation=validation,
        networks=user_code(code),
        save=data is None,  # a diagnosis by other data is not the run's
    )
    return findings.text(found)
