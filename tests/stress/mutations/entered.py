"""The functions of a folder's files that a process enters, noted by a profile function."""

from __future__ import annotations

import atexit
import json
import os
import sys
import threading
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

CHILDREN = "GANFORGE_TRACED"  # environment: where child processes write what they entered
SITE = """
import os, runpy
if os.environ.get("GANFORGE_TRACED"):
    tree = os.path.dirname(__file__)
    runpy.run_path(tree + "/tests/stress/mutations/entered.py")["in_child"](tree)
"""


class Entered:
    """The code objects of files under a folder that were entered since the last `take`."""

    def __init__(self, folder: str):
        self.folder, self.codes, self.known = folder, set[CodeType](), dict[CodeType, bool]()

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        if event == "call":
            code = frame.f_code
            ours = self.known.get(code)
            if ours is None:
                ours = self.known[code] = code.co_filename.startswith(self.folder)
            if ours:
                self.codes.add(code)

    def start(self) -> None:
        sys.setprofile(self)
        threading.setprofile(self)

    def take(self) -> set[str]:
        """`file:function` of what was entered, the file relative to the folder."""
        codes, self.codes = self.codes, set()
        return {
            f"{os.path.relpath(c.co_filename, self.folder)}:{plain(c.co_qualname)}" for c in codes
        }


def plain(qualified: str) -> str:
    """A qualified name without the marks of nesting: `f.<locals>.g` is `f.g`."""
    return ".".join(p for p in qualified.split(".") if not p.startswith("<"))


def in_child(tree: str) -> None:
    """Trace this process, which a test started, and leave what it entered in a file."""
    entered = Entered(os.path.join(tree, "src", "ganforge") + os.sep)

    def leave() -> None:
        sys.setprofile(None)
        path = Path(os.environ[CHILDREN]) / f"{os.getpid()}.json"
        path.write_text(json.dumps(sorted(entered.take())))

    atexit.register(leave)
    entered.start()
