"""Folders and zips of pictures: modes, orientation, labels, damage, caps and attacks."""

from __future__ import annotations

import io
import os
import stat
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganforge.data import archives, decode, labels, load
from ganforge.data.archives import Caps
from ganforge.data.dataset import PictureOptions
from ganforge.data.formats import image_folder
from ganforge.errors import DataError, DiskError, UsageError

RNG = np.random.default_rng(0)


def noise(mode: str = "RGB", size: tuple[int, int] = (12, 12)) -> Image.Image:
    depth = len(Image.new(mode, (1, 1)).getbands())
    shape = (size[1], size[0], depth) if depth > 1 else (size[1], size[0])
    return Image.frombytes(mode, size, RNG.integers(0, 256, shape, dtype=np.uint8).tobytes())


def save(image: Image.Image, path: Path, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return path


def folder_of(path: Path, count: int = 20, **options: str) -> Path:
    for i in range(count):
        save(noise(**options), path / f"{i:03}.png")
    return path


def zip_of(folder: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(folder).as_posix())
    return path


def read_one(path: Path, size: int | None = None) -> np.ndarray:
    return load.load(str(path), size=size).values[0]


@pytest.mark.parametrize(
    ("suffix", "mode", "exact"),
    [
        ("png", "RGB", True), ("png", "L", True), ("bmp", "RGB", True), ("tif", "RGB", True),
        ("ppm", "RGB", True), ("pgm", "L", True), ("jpg", "RGB", False), ("jpg", "L", False),
        ("webp", "RGB", False), ("gif", "L", True), ("tiff", "L", True), ("JPEG", "CMYK", False),
    ],
)  # fmt: skip
def test_every_format(tmp_path: Path, suffix: str, mode: str, exact: bool) -> None:
    image = noise(mode)
    save(image, tmp_path / "d" / f"a.{suffix}")
    data = load.load(str(tmp_path / "d"))
    assert data.spec.shape == ((1 if mode == "L" else 3), 12, 12)
    if exact:
        assert np.array_equal(data.values[0].squeeze(), np.asarray(image))


def test_one_colour_picture_makes_the_set_rgb(tmp_path: Path) -> None:
    grey = noise("L")
    save(grey, tmp_path / "a.png")
    assert load.load(str(tmp_path)).spec.shape == (1, 12, 12)
    save(noise("RGB"), tmp_path / "b.png")
    data = load.load(str(tmp_path))
    assert data.spec.shape == (3, 12, 12)
    assert np.array_equal(data.values[0], np.repeat(np.asarray(grey)[..., None], 3, axis=2))


def test_alpha_lies_over_white(tmp_path: Path) -> None:
    rgba = np.zeros((4, 4, 4), dtype=np.uint8)
    rgba[:2, :, 3] = 255
    rgba[0, 0] = (200, 100, 0, 128)
    save(Image.fromarray(rgba), tmp_path / "a.png")
    seen = read_one(tmp_path)
    assert seen[1].max() == 0 and seen[2:].min() == 255
    expected = [round(v * 128 / 255 + 255 * 127 / 255) for v in (200, 100, 0)]
    assert np.abs(seen[0, 0].astype(int) - expected).max() <= 1


def test_alpha_in_grey_and_in_palettes(tmp_path: Path) -> None:
    grey = Image.merge("LA", (Image.new("L", (4, 4), 40), Image.new("L", (4, 4), 0)))
    save(grey, tmp_path / "g" / "a.png")
    assert read_one(tmp_path / "g").shape == (4, 4, 1)
    assert read_one(tmp_path / "g").min() == 255
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 0, 10, 200, 30])
    palette.putpixel((0, 0), 0)
    save(palette, tmp_path / "p" / "a.png", transparency=0)
    seen = read_one(tmp_path / "p")
    assert seen[0, 0].tolist() == [255, 255, 255] and seen[1, 1].tolist() == [10, 200, 30]
    palette.putpalette([0, 0, 0, 77, 77, 77])
    save(palette, tmp_path / "q" / "a.png")
    assert read_one(tmp_path / "q").shape == (4, 4, 1) and read_one(tmp_path / "q")[1, 1] == 77
    save(Image.new("1", (4, 4), 1), tmp_path / "o" / "a.png")
    assert read_one(tmp_path / "o").max() == 255


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_sixteen_bits_are_scaled_and_not_clipped(tmp_path: Path, suffix: str) -> None:
    deep = np.array([[0, 128, 129, 257], [1000, 30000, 65406, 65535]], dtype=np.uint16)
    save(Image.fromarray(deep), tmp_path / f"a.{suffix}")
    assert read_one(tmp_path)[..., 0].tolist() == np.round(deep / 257).astype(int).tolist()


def test_pixels_without_an_eight_bit_meaning_are_named(tmp_path: Path) -> None:
    save(Image.fromarray(np.ones((4, 4), dtype=np.float32)), tmp_path / "a.tif")
    with pytest.raises(DataError, match=r"floating-point pixels; give such pictures as .npy"):
        load.load(str(tmp_path))
    save(Image.fromarray(np.full((4, 4), 70_000, dtype=np.int32)), tmp_path / "a.tif")
    with pytest.raises(DataError, match="more than 16 bits"):
        load.load(str(tmp_path))


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_exif_orientation_is_respected(tmp_path: Path, suffix: str) -> None:
    image = Image.new("RGB", (16, 8), (255, 255, 255))
    image.paste((0, 0, 0), (0, 0, 4, 8))  # black at the left
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise: the left comes to the top
    save(image, tmp_path / f"a.{suffix}", exif=exif)
    seen = read_one(tmp_path)
    assert seen.shape == (16, 8, 3)
    assert seen[:2].max() < 60 and seen[-8:].min() > 200


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize(
    ("orientation", "turn"),
    [
        (1, lambda a: a), (2, np.fliplr), (3, lambda a: np.rot90(a, 2)), (4, np.flipud),
        (5, lambda a: a.transpose(1, 0, 2)), (6, lambda a: np.rot90(a, -1)),
        (7, lambda a: np.rot90(a, 2).transpose(1, 0, 2)), (8, np.rot90),
    ],
)  # fmt: skip
def test_every_exif_orientation(
    tmp_path: Path, suffix: str, orientation: int, turn: Callable[[np.ndarray], np.ndarray]
) -> None:
    """The size that a set must have is that of its pictures as they are seen."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = noise(size=(16, 8))
    seen = turn(np.asarray(image))
    save(image, tmp_path / f"a.{suffix}", exif=exif)
    save(Image.fromarray(seen), tmp_path / f"b.{suffix}")
    first, second = load.load(str(tmp_path)).values
    assert np.array_equal(first, seen) and np.array_equal(second, seen)


def test_crop_then_resize(tmp_path: Path) -> None:
    wide = Image.new("RGB", (40, 20), (255, 0, 0))
    wide.paste((0, 0, 255), (10, 0, 30, 20))
    save(wide, tmp_path / "a.png")
    seen = read_one(tmp_path, 8)
    assert seen.shape == (8, 8, 3) and np.all(seen == (0, 0, 255))
    checks = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    save(Image.fromarray(checks), tmp_path / "b" / "a.png")
    assert np.all(np.abs(read_one(tmp_path / "b", 8).astype(int) - 127) <= 4)  # antialiased
    big = Image.fromarray(np.tile(np.arange(0, 240, dtype=np.uint8), (240, 1)))
    save(big, tmp_path / "c" / "a.jpg", quality=95)  # decoded at a fraction of its size
    assert np.allclose(read_one(tmp_path / "c", 24)[12, :, 0], np.arange(4.5, 240, 10), atol=6)


def test_without_a_size_pictures_keep_theirs_or_say_which_to_give(tmp_path: Path) -> None:
    folder_of(tmp_path, 3, size=(20, 10))
    assert load.load(str(tmp_path)).spec.shape == (3, 10, 20)
    save(noise(size=(30, 30)), tmp_path / "z.png")
    with pytest.raises(DataError, match=r"2 different sizes \(10 x 20 .* for example --size 10"):
        load.load(str(tmp_path))
    assert load.load(str(tmp_path), size=16).spec.shape == (3, 16, 16)
    with pytest.raises(UsageError, match="size = 0"):
        load.load(str(tmp_path), size=0)


def test_what_is_no_picture_is_ignored(tmp_path: Path) -> None:
    folder_of(tmp_path, 2)
    for name in (".hidden.png", "__MACOSX/a.png", ".git/b.png", "notes.txt", "Thumbs.db"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"rubbish")
    assert load.load(str(tmp_path)).skipped == ()
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match=r"none: no pictures found: .* PNG, JPEG, WEBP"):
        load.load(str(tmp_path / "none"))


def test_damaged_pictures_are_listed_up_to_one_in_a_hundred(tmp_path: Path) -> None:
    folder_of(tmp_path, 199)
    good = (tmp_path / "007.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(good[:200])
    data = load.load(str(tmp_path))
    assert len(data.skipped) == 1 and data.skipped[0].startswith("cut.png: damaged")
    assert len(data) == 199 - 2 * 10
    (tmp_path / "text.png").write_text("not a picture")
    (tmp_path / "empty.jpg").write_bytes(b"")
    with pytest.raises(DataError, match=r"3 of 202 pictures cannot be read, more than 1 %"):
        load.load(str(tmp_path))


def test_a_pipe_among_the_pictures_is_not_waited_for(tmp_path: Path) -> None:
    folder_of(tmp_path, 199)
    os.mkfifo(tmp_path / "pipe.png")
    data = load.load(str(tmp_path))
    assert [line.partition(":")[0] for line in data.skipped] == ["pipe.png"]
    os.mkfifo(tmp_path / "labels.csv")
    with pytest.raises(DataError, match=r"labels\.csv: not a file but a pipe"):
        load.load(str(tmp_path))


def test_pixel_cap_is_checked_from_the_header(tmp_path: Path) -> None:
    folder_of(tmp_path, 2)
    for side in (7_100, 60_000):  # above our cap, and far above Pillow's
        head = b"P5 %d %d 255\n" % (side, side)
        (tmp_path / "big.pgm").write_bytes(head + b"\0" * 100)
        with pytest.raises(DataError, match=r"big.pgm: .* above the cap of 50,000,000"):
            load.load(str(tmp_path), size=8)


def test_labels_from_subfolders(tmp_path: Path) -> None:
    for name in ("dog", "cat", "bird"):
        folder_of(tmp_path / "top" / name, 8)
    data = load.load(str(tmp_path))
    assert data.class_names == ("bird", "cat", "dog") and data.spec.classes == 3
    flat = load.load(str(tmp_path / "top" / "dog"))
    assert flat.labels is None and flat.spec.classes == 0
    for i in range(11):
        folder_of(tmp_path / "digits" / str(i), 2)
    assert load.load(str(tmp_path / "digits")).class_names == tuple(map(str, range(11)))


def test_folders_that_are_parts_are_not_classes(tmp_path: Path) -> None:
    for name in ("train", "test"):
        folder_of(tmp_path / name, 2)
    assert load.load(str(tmp_path)).counts == (2, 0, 2)


@pytest.mark.parametrize(
    "text",
    [
        "file,label\n{}", "{}", "\ufeffFile,Label\r\n{}\n\n", "name,kind\n{}",
    ],
)  # fmt: skip
@pytest.mark.parametrize("zipped", [False, True])
def test_labels_csv(tmp_path: Path, text: str, zipped: bool) -> None:
    folder = folder_of(tmp_path / "d", 12)
    lines = "\n".join(f"{i:03}.png,{'even' if i % 2 == 0 else 'odd'}" for i in reversed(range(12)))
    (folder / "labels.csv").write_text(text.format(lines), encoding="utf-8")
    path = zip_of(folder, tmp_path / "d.zip") if zipped else folder
    parts = [load.load(str(path), part=p) for p in load.PARTS]
    assert parts[0].class_names == ("even", "odd")
    values = np.concatenate([p.values for p in parts])
    found = np.concatenate([p.labels for p in parts])
    for value, label in zip(values, found, strict=True):
        number = next(
            i for i in range(12) if np.array_equal(Image.open(folder / f"{i:03}.png"), value)
        )
        assert label == number % 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("000.png,1\n", "no label for '001.png'"),
        ("000.png,1\n001.png\n", "line 2 has no label"),
        ("000.png,1\n001.png,\n", "line 2 has no label"),
        ("000.png,1\n001.png,1\n002.png,1\n", "line 3 names '002.png', which is no picture"),
        ("000.png,1\n001.png,1\n000.png,2\n", "line 3 gives '000.png' a second label"),
        ("file,label\nfile,label\n", "line 2 names 'file'"),
        ('"000.png,1\n', "not a CSV file"),
        ("", "no label for '000.png'"),
    ],
)
def test_labels_csv_that_does_not_fit(tmp_path: Path, text: str, says: str) -> None:
    folder_of(tmp_path, 2)
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(DataError, match=says) as caught:
        load.load(str(tmp_path))
    assert "labels.csv" in str(caught.value)
    (tmp_path / "labels.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="not UTF-8"):
        load.load(str(tmp_path))


def test_numbers_sort_as_numbers() -> None:
    assert labels.ordered(["10", "2", "1"]) == ("1", "2", "10")
    assert labels.ordered(["10", "2", "a"]) == ("10", "2", "a")


def _only_probes() -> object:
    """Threads once, for the headers; a second pool of them is an error."""
    pools = iter([ThreadPoolExecutor])
    return lambda *a: next(pools)(*a)  # noqa: PLW0108


def test_zip_equals_folder_and_threads_equal_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_of(tmp_path / "d", 40, size=(14, 12))
    zipped = zip_of(folder, tmp_path / "d.zip")
    a, b = (image_folder.read(p, PictureOptions(8)) for p in (folder, zipped))
    assert np.array_equal(a.values, b.values)
    monkeypatch.setattr(image_folder, "ThreadPoolExecutor", _only_probes())
    processes = PictureOptions(8, workers=2, threads=1, many=1)
    assert np.array_equal(image_folder.read(zipped, processes).values, a.values)


def test_worker_processes_do_not_import_torch() -> None:
    import subprocess
    import sys

    modules = {f.__module__ for f in (decode.work_on, decode.decode, decode.probe)}
    modules |= {kind.__module__ for kind in (archives.Folder, archives.Archive)}
    code = f"import sys, {', '.join(modules)}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def png() -> bytes:
    out = io.BytesIO()
    noise().save(out, "PNG")
    return out.getvalue()


def hostile(path: Path, case: str) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as z:
        for i in range(10):
            z.writestr(f"{i}.png", png())
        if case in ("/etc/a.png", "../a.png", "a/../../b.png", "C:\\a.png", "..\\a.png", "\\a.png"):
            z.writestr(case, png())
        elif case == "link":
            info = zipfile.ZipInfo("a.png")
            info.external_attr = (stat.S_IFLNK | 0o777) << 16
            z.writestr(info, "/etc/passwd")
        elif case == "fifo":
            info = zipfile.ZipInfo("a.png")
            info.external_attr = (stat.S_IFIFO | 0o666) << 16
            z.writestr(info, b"")
        elif case == "twice":
            with pytest.warns(UserWarning, match="Duplicate"):
                z.writestr("0.png", png())
        elif case == "bomb":
            z.writestr("a.png", b"\0" * 2**24)
        elif case == "lzma":
            z.writestr("a.png", png(), zipfile.ZIP_LZMA)
    if case == "encrypted":
        raw = bytearray(path.read_bytes())
        for at in _all(raw, b"PK\x01\x02"):
            raw[at + 8] |= 1
        path.write_bytes(raw)
    return path


def _all(raw: bytes, what: bytes) -> list[int]:
    return [i for i in range(len(raw)) if raw[i : i + len(what)] == what]


@pytest.mark.parametrize(
    ("case", "says"),
    [
        ("/etc/a.png", "leads out"), ("../a.png", "leads out"), ("a/../../b.png", "leads out"),
        ("C:\\a.png", "leads out"), ("..\\a.png", "leads out"), ("\\a.png", "leads out"),
        ("link", "is a link"), ("fifo", "special file"), ("twice", "occurs twice"),
        ("bomb", "above the cap of 100 times"), ("lzma", "compressed by method 14"),
        ("encrypted", "is encrypted"),
    ],
)  # fmt: skip
def test_hostile_zips_are_refused_and_write_nothing(tmp_path: Path, case: str, says: str) -> None:
    path = hostile(tmp_path / "bad.zip", case)
    with pytest.raises(DataError, match=says) as caught:
        load.load(str(path))
    assert "bad.zip" in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["bad.zip"]


@pytest.mark.parametrize(
    ("caps", "says"),
    [
        (Caps(total=100), "uncompressed, above the cap"), (Caps(members=5), "10 members, above"),
        (Caps(directory=50), "table of contents"), (Caps(member=10), "above the cap of 10 bytes"),
    ],
)  # fmt: skip
def test_caps_of_zips(tmp_path: Path, caps: Caps, says: str) -> None:
    path = hostile(tmp_path / "a.zip", "")
    assert len(archives.members(path)) == 10
    with pytest.raises(DataError, match=says):
        archives.members(path, caps)


def test_a_damaged_member_is_a_damaged_picture(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "d", 150)
    path = zip_of(folder, tmp_path / "d.zip")
    raw = bytearray(path.read_bytes())
    raw[200] ^= 255
    path.write_bytes(raw)
    assert len(load.load(str(path)).skipped) == 1
    (tmp_path / "cut.zip").write_bytes(raw[:-30])
    with pytest.raises(DataError, match="not a zip file, or a damaged one"):
        load.load(str(tmp_path / "cut.zip"))


def test_unreadable_files_are_disk_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder_of(tmp_path, 2)

    def refuse(self: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(DiskError, match=r"000.png: cannot be read .Permission denied"):
        load.load(str(tmp_path))


def test_pillow_is_left_as_it_was(tmp_path: Path) -> None:
    before = Image.MAX_IMAGE_PIXELS
    folder_of(tmp_path, 2)
    load.load(str(tmp_path))
    assert before == Image.MAX_IMAGE_PIXELS
    assert set(decode.FORMATS) - {"AVIF", "HEIF"} == {
        "PNG",
        "JPEG",
        "WEBP",
        "BMP",
        "GIF",
        "TIFF",
        "PPM",
    }
