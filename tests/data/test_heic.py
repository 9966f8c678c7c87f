"""Pictures of telephones (HEIC): read with the extra `heic`, counted and named without."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganforge.cli import main
from ganforge.data import load
from ganforge.types import Array

REMEDY = "HEIC: pip install 'ganforge[heic]', or convert it to JPEG"
WITHOUT = """
import sys
sys.modules["pillow_heif"] = None
from ganforge.cli import main
for folder in sys.argv[1:]:
    sys.stderr = sys.stdout
    print("exit code", main(["data", "show", folder, "-o", folder + ".png"]))
"""
# Four blocks of one colour each, which the codec leaves nearly as they are
PIXELS = np.array(
    [[[200, 30, 90], [20, 180, 60]], [[10, 40, 220], [250, 250, 250]]], np.uint8
).repeat(32, axis=0).repeat(48, axis=1)  # fmt: skip


def heic(pixels: Array = PIXELS, orientation: int = 1, pages: int = 1) -> bytes:
    """A HEIC file."""
    heif = pytest.importorskip("pillow_heif")
    picture, exif, out = Image.fromarray(pixels), Image.Exif(), io.BytesIO()
    exif[0x0112] = orientation
    file = heif.from_pillow(picture)
    for _ in range(1, pages):
        file.add_from_pillow(picture)
    file.save(out, quality=100, exif=exif.tobytes())
    return out.getvalue()


def test_heic_is_read_as_it_was_taken(tmp_path: Path) -> None:
    for name, data in {
        "a.heic": heic(), "b.HEIC": heic(), "c.heif": heic(), "d.hif": heic(), "e.jpg": heic(),
    }.items():  # fmt: skip
        (tmp_path / name).write_bytes(data)
    read = load.load(str(tmp_path))
    assert read.values.shape == (5, 64, 96, 3)
    assert np.abs(read.values.astype(int) - PIXELS).max() < 8


def test_the_orientation_of_heic_is_applied_once(tmp_path: Path) -> None:
    (tmp_path / "a.heic").write_bytes(heic(orientation=6))
    (turned,) = load.load(str(tmp_path)).values
    assert turned.shape == (96, 64, 3)
    assert np.abs(turned.astype(int) - np.rot90(PIXELS, 3)).max() < 8


def test_grey_heic_has_one_channel(tmp_path: Path) -> None:
    (tmp_path / "a.heic").write_bytes(heic(PIXELS[..., 0]))
    assert load.load(str(tmp_path)).spec.shape == (1, 64, 96)


def test_further_pictures_of_a_heic_file_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "d"
    folder.mkdir()
    (folder / "a.heic").write_bytes(heic(pages=3))
    assert main(["data", "show", str(folder), "-o", str(tmp_path / "grid.png")]) == 0
    assert "2 frames behind the first of 1 file" in capsys.readouterr().out


def test_damaged_heic_is_left_out_and_named(tmp_path: Path) -> None:
    good = heic()
    for i in range(120):
        (tmp_path / f"{i:03}.heic").write_bytes(good)
    (tmp_path / "cut.heic").write_bytes(good[: len(good) // 2])
    read = load.load(str(tmp_path))
    assert [line.partition(":")[0] for line in read.skipped] == ["cut.heic"]


def test_without_the_extra_heic_files_are_counted_with_the_remedy(tmp_path: Path) -> None:
    few, all_of_them = tmp_path / "few", tmp_path / "all"
    few.mkdir()
    all_of_them.mkdir()
    for i in range(300):
        Image.fromarray(PIXELS[::8, ::8]).save(few / f"{i:03}.png")
    (few / "renamed.jpg").write_bytes(heic())
    (few / "new.HEIC").write_bytes(b"any")
    for name in ("a.heic", "b.heif", "c.hif"):
        (all_of_them / name).write_bytes(b"any")
    words = [sys.executable, "-c", WITHOUT, str(few), str(all_of_them)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    counted, refused, _ = done.stdout.split("exit code")
    assert "left out     2 files that cannot be read" in counted
    assert f"renamed.jpg: {REMEDY}" in counted
    assert f"new.HEIC: {REMEDY}" in counted
    assert refused.startswith(" 0\n")
    assert f"no pictures found: 1 .heic, 1 .heif, 1 .hif; a.heic: {REMEDY}" in refused
