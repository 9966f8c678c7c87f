"""Bodies of requests: refused by what they declare, before they are read, and by what they send."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest

pytest.importorskip("starlette", reason="the extra: pip install 'ganforge[serve]'")
from starlette.requests import Request

from ganforge.serve.guard import declared, drain, read_body
from ganforge.serve.problems import RequestError
from ganforge.serve.uploads import PIECES, pieces


def request(headers: dict[str, str], parts: Iterable[bytes] = ()) -> tuple[Request, list[bytes]]:
    """A request, and the parts of its body that have been read so far."""
    read: list[bytes] = []
    left = list(parts)

    async def receive() -> dict[str, Any]:
        read.append(left.pop(0))
        return {"type": "http.request", "body": read[-1], "more_body": bool(left)}

    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "POST", "headers": pairs}, receive), read


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("12", 12), ("9" * 30, int("9" * 19)), ("-1", None), ("1.5", None), ("", None)],
)
def test_the_declared_length_is_a_whole_number(text: str, size: int | None) -> None:
    assert declared(request({"content-length": text})[0]) == size
    assert declared(request({})[0]) is None


def test_a_body_that_declares_too_much_is_refused_unread() -> None:
    asked, read = request({"content-length": "11"}, [b"0123456789a"])
    with pytest.raises(RequestError, match="more than 10 bytes") as caught:
        asyncio.run(read_body(asked, 10))
    assert caught.value.status == 413 and read == []


def test_a_body_that_declares_too_little_is_refused_where_it_is_too_long() -> None:
    asked, read = request({"content-length": "3"}, [b"01234", b"56789", b"a", b"never read"])
    with pytest.raises(RequestError, match="more than 10 bytes"):
        asyncio.run(read_body(asked, 10))
    assert read == [b"01234", b"56789", b"a"]


def test_a_body_of_the_largest_size_is_read() -> None:
    asked, _ = request({"content-length": "10"}, [b"01234", b"56789"])
    assert asyncio.run(read_body(asked, 10)) == b"0123456789"


@pytest.mark.parametrize(
    ("headers", "all_read"),
    [({"content-length": "10"}, True), ({"content-length": "11"}, False), ({}, False),
     ({"content-length": "10", "expect": "100-continue"}, False)],
)  # fmt: skip
def test_a_refused_body_is_drained_if_it_is_small_and_on_its_way(
    headers: dict[str, str], all_read: bool
) -> None:
    asked, read = request(headers, [b"01234", b"56789"])
    asyncio.run(drain(asked, 10))
    assert read == ([b"01234", b"56789"] if all_read else [])


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    return len(data).to_bytes(4) + kind + data + b"sum!"


@pytest.mark.parametrize("texts", [0, 3, PIECES + 50])
def test_only_the_parts_before_the_pixels_are_counted(texts: int) -> None:
    """A large picture has many chunks of pixels, and is no attack."""
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", b"13 bytes here") + texts * chunk(b"tEXt", b"a")
    assert pieces(png + (PIECES + 9) * chunk(b"IDAT", b"xy"), "PNG") == min(texts + 2, PIECES + 1)
    jpeg = b"\xff\xd8" + (texts + 1) * (b"\xff\xe1" + (5).to_bytes(2) + b"abc")
    scans = 200 * (b"\xff\xda" + (4).to_bytes(2) + b"pixels")
    assert pieces(jpeg + scans, "JPEG") == min(texts + 2, PIECES + 1)
    assert pieces(b"RIFF" + jpeg, "WEBP") == 0
