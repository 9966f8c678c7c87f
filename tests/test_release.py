"""What is released: sdist and wheel, built here and used outside the clone."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import ganforge as gf

ROOT = Path(__file__).parent.parent
BEFORE = 12_581_177  # bytes of the wheel without the model cdcgan-mnist
GROWTH = 1_000_000


def command(*words: object, cwd: Path, **environment: str) -> str:
    """Run Python with these words; its output."""
    done = subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, check=False,
        timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an sdist and a wheel of the package."""
    out = tmp_path_factory.mktemp("dist")
    command("-m", "hatchling", "build", "-d", out, cwd=ROOT)
    return out


def the(folder: Path, kind: str) -> Path:
    [found] = folder.glob(kind)
    return found


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as file:
        return {name: file.read(name) for name in file.namelist() if name.startswith("ganforge/")}


def test_the_wheel_makes_digits_outside_the_clone(built: Path, tmp_path: Path) -> None:
    target, empty = tmp_path / "site", tmp_path / "empty"
    empty.mkdir()
    words = ("--quiet", "--no-deps", "--no-index", "--no-compile", "--target", target)
    command("-m", "pip", "install", *words, the(built, "*.whl"), cwd=empty)
    path = {"PYTHONPATH": str(target)}
    where = command("-c", "import ganforge; print(ganforge.__file__)", cwd=empty, **path)
    assert Path(where.strip()).is_relative_to(target)
    said = command("-m", "ganforge", "sample", "--label", "8", "-o", "x.png", cwd=empty, **path)
    assert said.startswith("64 samples in x.png, of cdcgan-mnist")
    assert [p.name for p in empty.iterdir()] == ["x.png"]


def test_the_wheel_has_every_file_of_the_package(built: Path) -> None:
    sources = {
        p.relative_to(ROOT / "src").as_posix(): p.read_bytes()
        for p in (ROOT / "src/ganforge").rglob("*")
        if p.is_file() and "__pycache__" not in p.parts
    }
    assert contents(the(built, "*.whl")) == sources


def test_the_sdist_builds_the_same_wheel(built: Path, tmp_path: Path) -> None:
    with tarfile.open(the(built, "*.tar.gz")) as file:
        file.extractall(tmp_path, filter="data")
    command("-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path, cwd=the(tmp_path, "gan*"))
    assert contents(the(tmp_path, "*.whl")) == contents(the(built, "*.whl"))


def test_the_wheel_has_grown_by_less_than_a_megabyte(built: Path) -> None:
    assert the(built, "*.whl").stat().st_size <= BEFORE + GROWTH


def test_the_version_is_one_that_sorts(built: Path) -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+|rc\d+)?", gf.__version__)
    changes = (ROOT / "CHANGELOG.md").read_text()
    minor = gf.__version__.rsplit(".dev")[0].rpartition(".")[0]
    assert re.search(rf"^## (Unreleased \({minor}\)|{minor}\.\d+)", changes, re.MULTILINE)
