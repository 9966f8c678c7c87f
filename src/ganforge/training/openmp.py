"""OMP_DYNAMIC, under which torch may never end a step, switched off.

OpenMP then gives a parallel part fewer threads than it asks for when the machine is busy, and
kernels of torch's CPU library wait for the missing ones for ever.
"""

from __future__ import annotations

import ctypes
import os
import re
from pathlib import Path

VARIABLE = "OMP_DYNAMIC"
TRUE = ("true", "yes", "on", "1", "t", "y", ".true.")
LIBRARY = re.compile(r"/\S*/lib(?:gomp|iomp5|omp)[^/\s]*\.(?:so|dylib)\S*")


def unset() -> str:
    """Take OMP_DYNAMIC out of the environment of this process and its children.

    OpenMP reads it when torch is loaded: call this before. Returns a line, empty if the variable
    was not set to a true value.
    """
    value = os.environ.get(VARIABLE, "")
    if value.strip().lower() not in TRUE:
        return ""
    del os.environ[VARIABLE]
    return f"{VARIABLE}={value} in the environment is left out: torch may never end a step under it"


def switch_off() -> list[str]:
    """Switch dynamic threads off in the OpenMP library that torch has loaded, for this thread.

    Returns a note if they were on. Only Linux lists loaded libraries in a file.
    """
    on = [library for library in loaded() if library.omp_get_dynamic()]
    for library in on:
        library.omp_set_dynamic(0)
    said = f"{VARIABLE} was on and is switched off: torch may never end a step under it"
    return [said] if on else []


def loaded() -> list[ctypes.CDLL]:
    """The OpenMP libraries of this process."""
    try:
        lines = Path("/proc/self/maps").read_text()
    except OSError:
        return []
    libraries = [ctypes.CDLL(path) for path in sorted(set(LIBRARY.findall(lines)))]
    return [library for library in libraries if hasattr(library, "omp_get_dynamic")]
