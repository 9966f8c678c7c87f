"""ganforge report."""

from __future__ import annotations

from pathlib import Path

from ganforge.cli.options import Output, output_path, user_code
from ganforge.errors import UsageError


def report(*run: Path, output: Output = None, code: Path | None = None) -> str:
    """Describe a run, or several side by side, on one HTML page, which needs no network.

    Parameters
    ----------
    run
        A run folder, or several.
    output
        The .html file. [default: report.html in the run; of several runs report-RUN-vs-RUN.html in
        the current folder]
    code
        Your FILE.py, for models whose networks are your code.
    """
    if not run:
        raise UsageError("no run: name at least one, as `ganforge report runs/cdcgan`")
    from ganforge.experiments import naming
    from ganforge.report import page as pages
    from ganforge.runs import folder

    for path in run:
        folder.open_run(path)  # before --code is read for its networks
    several = Path(f"report-{naming.joined([str(path) for path in run])}.html")
    default = run[0] / "report.html" if len(run) == 1 else several
    out = output_path(output, default, ".html")
    networks = None if code is None else [user_code(code) for path in run]
    written = pages.write(run, out, networks)
    lines = [f"{page.label}: {page.verdict.text}" for page in written]
    return "\n".join([*lines, f"{out} ({out.stat().st_size / 1e6:.1f} MB)"])
