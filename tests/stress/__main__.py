"""Every script in turn: `python -m tests.stress short|long [NAME ...] [--keep FOLDER]`."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from ganforge.recipes import RECIPES

# name -> (tries in CI, tries in the long form)
FORMS = {
    "sigterm": (10, 100),
    "crash": (30, 1000),
    "damage": (100, 2000),
    "diskfull": (0, 2),
    "nan": (10, 200),
    "ranks": (50, 200),
    "seeds": (len(RECIPES), 99),
    "flat": (2000, 20_000),
    "hostile": (60, 60),
    "fuzz": (500, 20_000),
}


def main() -> int:
    """The worst exit code of all."""
    parser = argparse.ArgumentParser(prog="python -m tests.stress", description=__doc__)
    parser.add_argument("form", choices=("short", "long"))
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(FORMS)}")
    parser.add_argument("--keep", type=Path, help="keep each result as FOLDER/NAME.json")
    given = parser.parse_args()
    unknown = [name for name in given.names if name not in FORMS]
    if unknown:
        parser.error(f"{unknown[0]!r}: one of {', '.join(FORMS)}")
    worst = 0
    for name in given.names or FORMS:
        tries = FORMS[name][given.form == "long"]
        words = [sys.executable, "-m", f"tests.stress.{name}", "--n", str(tries)]
        words += ["--json", str(given.keep / f"{name}.json")] if given.keep else []
        worst = max(worst, abs(subprocess.run(words, check=False).returncode))
    return worst


if __name__ == "__main__":
    raise SystemExit(main())
