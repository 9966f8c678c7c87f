"""A virtual environment for each framework, from its pinned requirements, reused by later runs.

None of them is a dependency of this project: mxnet 1.9.1 wants a NumPy older than ours.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
MARK = "installed"  # written last: a folder without it is one whose installation was cut off


class UnavailableError(Exception):
    """A framework that cannot be installed or run here, and why, in one line."""


@dataclass(frozen=True)
class Environment:
    """name: of its requirements file. pythons: versions that the pinned wheels exist for."""

    name: str
    pythons: tuple[str, ...]

    @property
    def requirements(self) -> Path:
        return HERE / f"{self.name}.txt"


ENVIRONMENTS: dict[str, Environment] = {
    "tensorflow": Environment("tensorflow", ("3.11", "3.12", "3.13")),
    "mxnet": Environment("mxnet", ("3.11",)),  # the last Python that numpy 1.23.5 has wheels for
    "jax": Environment("jax", ("3.11", "3.12", "3.13")),
}


def interpreter(pythons: Sequence[str]) -> tuple[str, str]:
    """(path, version) of a Python of one of the versions, this one where it is among them."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    if version in pythons:
        return sys.executable, version
    for version in pythons:
        found = shutil.which(f"python{version}")
        if found:
            return found, version
    raise UnavailableError(f"needs Python {' or '.join(pythons)}, and none is on the path")


def ready(environment: Environment, cache: Path) -> Path:
    """The environment's Python, the environment made first where it is not there.

    Raises UnavailableError where there is no Python or no wheel for it.
    """
    base, version = interpreter(environment.pythons)
    wanted = environment.requirements.read_bytes() + version.encode()
    folder = cache / f"{environment.name}-{hashlib.sha256(wanted).hexdigest()[:12]}"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not (folder / MARK).exists():
        shutil.rmtree(folder, ignore_errors=True)
        wheels = ["--only-binary", ":all:", "-r", str(environment.requirements)]
        quietly([base, "-m", "venv", str(folder)])
        quietly([str(python), "-m", "pip", "install", "-q", "--no-input", *wheels])
        (folder / MARK).touch()
    return python


def quietly(
    command: Sequence[str], cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> str:
    """What a command prints; UnavailableError with its last word where it fails."""
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode:
        raise UnavailableError(last_word(done.stderr) or f"ended with {done.returncode}")
    return done.stdout


def last_word(text: str) -> str:
    """pip's last error, or the last line of a traceback."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")]
    return (errors or lines or [""])[-1]
