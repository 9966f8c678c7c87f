"""The named pairs: made from archives of the published layout, grouped by base code, kept."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganforge.data import download, emoji, load
from ganforge.data.dataset import Examples
from ganforge.data.describe import describe
from ganforge.errors import DataError
from tests.helpers.tiny import pictures


def png(number: int, side: int = 64) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGBA", (side, side), (number, 0, 0, 255)).save(buffer, "PNG")
    return buffer.getvalue()


def archive(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


CODES = ["1f468-200d-1f9b0", "1f469-200d-1f9b0", "1f469-1f3fb-200d-1f9b0", "1f600", "1f601"]


def test_vendor_pairs_are_by_name_without_skin_tones(tmp_path: Path) -> None:
    paths = [
        archive(
            tmp_path / f"{vendor}.tgz",
            {f"package/img/{vendor}/64/{c}.png": png(10 * i + k) for i, c in enumerate(codes)}
            | {f"package/img/{vendor}/32/{codes[0]}.png": png(0, 32), "package/README.md": b""},
        )
        for k, (vendor, codes) in enumerate({"twitter": CODES, "google": CODES[:4]}.items())
    ]
    found = emoji.vendor_pairs(*paths)
    assert found.values.shape == found.source.shape == (3, 64, 64, 3)
    assert found.source[:, 0, 0, 0].tolist() == [0, 10, 30]
    assert found.values[:, 0, 0, 0].tolist() == [1, 11, 31]
    assert found.groups[0] == found.groups[1] != found.groups[2]  # man and woman, red hair
    archive(paths[1], {"package/README.md": b""})
    with pytest.raises(DataError, match="no picture of it has a partner"):
        emoji.vendor_pairs(*paths)
    paths[0].write_bytes(paths[0].read_bytes()[:-100])
    with pytest.raises(DataError, match=r"twitter.tgz: damaged"):
        emoji.vendor_pairs(*paths)


def openmoji(path: Path, **changed: bytes) -> Path:
    rows = [
        {"hexcode": code, "skintone": tone, "group": group}
        for code, tone, group in (
            ("1F600", "", "smileys-emotion"),
            ("1F44B", "", "people-body"),
            ("1F44B-1F3FB", 1, "people-body"),
            ("1F1E6", "", "flags"),
        )
    ]
    members = {
        f"package/{kind}/svg/{row['hexcode']}.svg": f"{kind} {row['hexcode']}".encode()
        for row in rows
        for kind in ("black", "color")
    }
    return archive(path, {"package/data/openmoji.json": json.dumps(rows).encode(), **members})


def test_line_drawings_are_pairs_without_skin_tones_and_flags(tmp_path: Path) -> None:
    drawn: list[str] = []

    def draw(svg: str) -> bytes:
        drawn.append(svg)
        return png(len(drawn))

    found = emoji.drawn_pairs(openmoji(tmp_path / "o.tgz"), draw)
    assert drawn == ["black 1F44B", "black 1F600", "color 1F44B", "color 1F600"]
    assert found.source[:, 0, 0, 0].tolist() == [1, 2]
    assert found.values[:, 0, 0, 0].tolist() == [3, 4]
    assert len(set(found.groups.tolist())) == 2
    with pytest.raises(DataError, match="not OpenMoji's archive, or damaged"):
        emoji.drawn_pairs(archive(tmp_path / "x.tgz", {"a": b""}), draw)
    with pytest.raises(DataError, match=r"a picture of 32 x 32 pixels"):
        emoji.drawn_pairs(openmoji(tmp_path / "o.tgz"), lambda _: png(0, 32))


def test_one_base_code_for_people_of_one_kind() -> None:
    kinds = [CODES[:3], ["270b", "270b-1f3fb"], ["1f64d", "1f64d-200d-2640-fe0f"], ["fe0f"]]
    bases = [{emoji.base(code) for code in codes} for codes in kinds]
    assert [len(b) for b in bases] == [1, 1, 1, 1] and len(set.union(*bases)) == 4


def test_what_was_made_is_kept_and_made_again_if_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GANFORGE_DATA", str(tmp_path))
    made: list[int] = []

    def make() -> Examples:
        made.append(1)
        values = np.full((3, 2, 2, 3), 7, np.uint8)
        return Examples(values, source=values + 1, groups=np.array([0, 0, 1]))

    for _ in range(2):
        found = emoji.cached("x.npz", make)
        assert found.source.max() == 8 and found.groups.tolist() == [0, 0, 1]
    assert len(made) == 1
    (tmp_path / "x.npz").write_bytes(b"PK damaged")
    emoji.cached("x.npz", make)
    assert len(made) == 2


def test_without_the_pinned_renderer_there_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "resvg_py", None)
    with pytest.raises(DataError, match=r"drawn by resvg-py 0.5.0 and there is no resvg-py: pip"):
        emoji.renderer()


def test_grey_pictures_are_the_luma_of_their_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    data = pictures(30, 32, 3)
    whole = Examples(data.values, test=5, validation=2)
    monkeypatch.setattr(download, "cifar10", lambda: whole)
    found = emoji.cifar10_grey()
    wanted = np.asarray(Image.fromarray(data.values[3]).convert("L"))
    assert np.abs(found.source[3, ..., 0].astype(int) - wanted).max() <= 1
    assert (found.test, found.validation) == (5, 2) and found.source.shape == (30, 32, 32, 1)


def test_licences_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.zeros((12, 4, 4, 3), np.uint8)
    monkeypatch.setitem(load.NAMED, "emoji-pairs", lambda: Examples(values, source=values))
    assert "CC BY 4.0" in dict(describe(load.load("emoji-pairs")))["licence"]
