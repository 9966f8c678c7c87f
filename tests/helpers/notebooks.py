"""Runs a notebook in IPython's shell, without a kernel's process: its outputs as JSON lines.

python -m tests.helpers.notebooks NOTEBOOK.ipynb [--short]

--short: after the cell with the tag "parameters", the notebook's `short` parameters are executed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PARAMETERS = "parameters"


def cells(path: Path, short: bool) -> Iterator[tuple[int, str]]:
    """The code cells of a notebook with their numbers, its short parameters among them."""
    table = json.loads(path.read_text())
    for number, cell in enumerate(table["cells"]):
        if cell["cell_type"] == "code":
            yield number, "".join(cell["source"])
            if short and PARAMETERS in cell["metadata"].get("tags", ()):
                yield number, table["metadata"]["ganforge"]["short"]


def run(path: Path, short: bool) -> Iterator[dict[str, Any]]:
    """What each cell shows: kind (display, update, result), and its data by type.

    Raises whatever a cell raises.
    """
    from IPython.core.displayhook import DisplayHook
    from IPython.core.displaypub import DisplayPublisher
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    shown: list[dict[str, Any]] = []

    class Publisher(DisplayPublisher):
        def publish(self, data: Any, *args: Any, update: bool = False, **more: Any) -> None:
            shown.append({"kind": "update" if update else "display", **data})

    class Hook(DisplayHook):
        def write_output_prompt(self) -> None:
            pass

        def write_format_data(self, format_dict: Any, md_dict: Any = None) -> None:
            shown.append({"kind": "result", **format_dict})

    class Shell(InteractiveShell):
        kernel = object()  # as in a notebook
        display_pub_class = Publisher
        displayhook_class = Hook

    shell = Shell.instance(config=Config(HistoryManager={"enabled": False}))
    for number, source in cells(path, short):
        shell.run_cell(source, store_history=False).raise_error()
        for output in shown:
            yield {"cell": number, **{k: v for k, v in output.items() if isinstance(v, str)}}
        shown.clear()


def main() -> None:
    """Print the outputs of the notebook that is named."""
    stream, sys.stdout = sys.stdout, sys.stderr  # what cells print is no output of this program
    for output in run(Path(sys.argv[1]), "--short" in sys.argv):
        print(json.dumps(output), file=stream)


if __name__ == "__main__":
    main()
