"""Films: the frames come out again, in every container."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest
from PIL import Image

from ganforge.errors import UsageError
from ganforge.plotting import films
from ganforge.types import Pixels

av = pytest.importorskip("av", reason="the extra is not installed: pip install 'ganforge[film]'")
FRAMES = [np.full((33, 47, 3), level, dtype=np.uint8) for level in (0, 60, 120, 180, 240)]


def decoded(data: bytes) -> tuple[list[Pixels], float]:
    """The frames of a film, and how many a second."""
    with av.open(io.BytesIO(data)) as file:
        stream = file.streams.video[0]
        return [f.to_ndarray(format="rgb24") for f in file.decode(stream)], stream.average_rate


@pytest.mark.parametrize("kind", [".mp4", ".webm"])
def test_the_frames_come_out_again(kind: str) -> None:
    data = films.film(FRAMES, kind, 25)
    found, rate = decoded(data)
    assert rate == 25 and len(found) == len(FRAMES)
    for given, frame in zip(FRAMES, found, strict=True):
        assert frame.shape == (34, 48, 3)
        assert abs(frame[:30, :44].astype(int) - int(given[0, 0, 0])).max() <= 3
    assert data == films.film(FRAMES, kind, 25)
    assert b"/home" not in data and b"20" + b"26-" not in data


def test_a_gif_has_the_frames_and_the_time() -> None:
    with Image.open(io.BytesIO(films.film(FRAMES, ".gif", 25))) as gif:
        assert (gif.n_frames, gif.info["duration"], gif.info["loop"]) == (5, 40, 0)  # type: ignore[attr-defined]
        gif.seek(4)
        assert gif.info["duration"] == 40


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UsageError, match=r"ganforge\[film\]"):
        films.film(FRAMES, ".mp4", 25)


def test_frames_are_enlarged_by_whole_numbers() -> None:
    (large, *_) = films.enlarged([np.arange(12, dtype=np.uint8).reshape(2, 2, 3)], 5)
    assert large.shape == (4, 4, 3) and (large[:2, :2] == large[0, 0]).all()
    assert films.enlarged(FRAMES, 10)[0].shape == (33, 47, 3)
