"""POST /translate: the pictures of `ganforge translate`, and no harm from any body."""

from __future__ import annotations

import io
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from PIL import Image

from ganforge import nets, recipes
from ganforge.cli import main
from ganforge.data.decode import decode
from ganforge.data.spec import DataSpec
from ganforge.errors import UsageError
from ganforge.runs import model
from ganforge.serve.app import models
from ganforge.serve.limits import Limits
from ganforge.serve.uploads import PIECES, SCANS
from tests.helpers.served import Answer, Served, serving
from tests.helpers.tiny import narrow
from tests.sampling.test_translate import SPEC, images_of, made

PIX2PIX, CYCLEGAN = made("pix2pix"), made("cyclegan")
PNG = {"Content-Type": "image/png"}
JPEG = {"Content-Type": "image/jpeg"}
WEBP = {"Content-Type": "image/webp"}
ASK = "/translate"


def saved(picture: Image.Image | np.ndarray, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def pixels(answer: Answer) -> np.ndarray:
    assert answer.status == 200, answer.body
    assert answer.headers["content-type"] == "image/png"
    return np.asarray(Image.open(io.BytesIO(answer.body)))


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving(PIX2PIX, CYCLEGAN) as found:
        yield found


# --- right answers ----------------------------------------------------------------------------


def test_the_bytes_are_those_of_the_command_alone_and_in_company(
    served: Served, tmp_path: Path
) -> None:
    config = narrow(recipes.pix2pix())
    config = replace(config, networks=replace(config.networks, init=nets.Init("normal", 0.3)))
    folder = model.save(tmp_path / "m", PIX2PIX, config, {})
    bodies = [saved(images_of(1, 20 + i, 31)[0]) for i in range(8)]
    with ThreadPoolExecutor(8) as pool:
        path = f"{ASK}?seed=3"
        answers = list(pool.map(lambda body: served.ask("POST", path, body, PNG), bodies))
    for body, answer in zip(bodies, answers, strict=True):
        (tmp_path / "a.png").write_bytes(body)
        words = [
            "translate",
            folder,
            tmp_path / "a.png",
            "-o",
            tmp_path / "b.png",
            "--seed",
            "3",
            "--overwrite",
        ]
        assert main([str(word) for word in words]) == 0
        assert answer.status == 200 and answer.body == (tmp_path / "b.png").read_bytes()
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-ganforge-model"]


def test_direction_seed_and_index(served: Served) -> None:
    picture = images_of(1)[0]
    body = saved(picture)
    for query, wanted in (
        ("", PIX2PIX.translate(picture)),
        ("?seed=-5&first=7", PIX2PIX.translate(picture, -5, first=7)),
        ("?direction=a2b", PIX2PIX.translate(picture)),
    ):
        assert (pixels(served.ask("POST", ASK + query, body, PNG)) == wanted).all()
    back = served.ask("POST", "/models/cyclegan/translate?direction=b2a", body, PNG)
    assert (pixels(back) == CYCLEGAN.translate(picture, direction="b2a")).all()


DEEP = np.arange(32 * 32, dtype=np.uint16).reshape(32, 32) * 60
EXIF = Image.Exif()
EXIF[0x0112] = 6  # turned by 90 degrees


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (saved(images_of(1, 24, 40)[0], "JPEG", exif=EXIF), JPEG),
        (saved(images_of(1, 24, 40)[0], "JPEG", progressive=True), JPEG),
        (saved(Image.fromarray(np.dstack([images_of(1)[0], DEEP.astype(np.uint8)]))), PNG),
        (saved(Image.fromarray(DEEP)), PNG),
        (saved(Image.fromarray(images_of(1)[0]).convert("L")), {"Content-Type": "IMAGE/PNG; a=b"}),
        (saved(Image.fromarray(images_of(1)[0]).convert("P")), PNG),
        (saved(images_of(1)[0], "WEBP"), WEBP),
        (saved(images_of(1)[0], "MPO", save_all=True, append_images=[Image.new("RGB", (9, 9))]),
         JPEG),
    ],
    ids=["turned", "progressive", "alpha", "16-bit", "grey", "palette", "webp", "preview"],
)  # fmt: skip
def test_pictures_of_every_kind_are_read_as_the_command_reads_them(
    served: Served, body: bytes, headers: dict[str, str]
) -> None:
    wanted = CYCLEGAN.translate(decode(io.BytesIO(body), "a", None, 3))
    found = pixels(served.ask("POST", "/models/cyclegan/translate", body, headers))
    assert found.shape == wanted.shape and (found == wanted).all()


def test_grey_sources_are_translated_as_in_python() -> None:
    grey = replace(SPEC, source=DataSpec((1, 32, 32)))
    translator = made("pix2pix", grey)
    with serving(translator) as served:
        body = saved(images_of(1)[0])
        wanted = translator.translate(decode(io.BytesIO(body), "a", None, 1))
        assert (pixels(served.ask("POST", ASK, body, PNG)) == wanted).all()


def test_what_no_file_holds_is_not_served() -> None:
    deep = replace(SPEC, source=DataSpec((4, 32, 32)))
    with pytest.raises(UsageError, match="pictures of 4 channels of uint8"):
        models([("a", made("pix2pix", deep))])


def test_the_list_the_document_and_the_metrics(served: Served) -> None:
    from openapi_spec_validator import validate

    listed = served.ask(path="/models").json
    assert [m["directions"] for m in listed] == [["a2b"], ["a2b", "b2a"]]
    assert served.ask(path="/readyz").status == 200
    document = served.ask(path="/openapi.json").json
    validate(document)
    assert f"/models/cyclegan{ASK}" in document["paths"]
    before = served.metric("ganforge_translations_total")
    timed = served.metric("ganforge_translation_seconds_count")
    assert served.ask("POST", ASK, saved(images_of(1)[0]), PNG).status == 200
    assert served.ask("POST", ASK, b"none", PNG).status == 415
    assert served.metric("ganforge_translations_total") == before + 1
    assert served.metric("ganforge_translation_seconds_count") == timed + 1


# --- refusals ---------------------------------------------------------------------------------

GOOD = saved(images_of(1)[0])


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, data: bytes = b"", before: bytes = b"") -> bytes:
    """A PNG file of one grey value, or with other data than its pixels."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    rows = data or zlib.compress(bytes((width + 1) * height), 9)
    return b"\x89PNG\r\n\x1a\n" + head + before + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


FRAMES = [Image.new("RGB", (32, 32), (i, 0, 0)) for i in (0, 90)]
PLAIN = saved(images_of(1)[0], "JPEG")
HUGE_WEBP = b"RIFF\x1e\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff" + bytes(8)
BAD: dict[str, tuple[int, bytes, dict[str, str], str]] = {
    "no type": (415, GOOD, {}, ""),
    "text": (415, GOOD, {"Content-Type": "text/plain"}, ""),
    "multipart": (415, b"--a--", {"Content-Type": "multipart/form-data; boundary=a"}, ""),
    "form": (415, GOOD, {"Content-Type": "application/x-www-form-urlencoded"}, ""),
    "json": (415, b"{}", {"Content-Type": "application/json"}, ""),
    "gif": (415, saved(images_of(1)[0], "GIF"), {"Content-Type": "image/gif"}, ""),
    "svg": (415, b"<svg/>", {"Content-Type": "image/svg+xml"}, ""),
    "gif that says png": (415, saved(images_of(1)[0], "GIF"), PNG, ""),
    "tiff that says jpeg": (415, saved(images_of(1)[0], "TIFF"), JPEG, ""),
    "jpeg that says png": (415, PLAIN, PNG, ""),
    "png that says webp": (415, GOOD, WEBP, ""),
    "empty": (415, b"", PNG, ""),
    "markup": (415, b"<html>", PNG, ""),
    "8 MiB and a byte": (413, GOOD + bytes(2**23), PNG, ""),
    "a large file of another type": (415, bytes(2**24), {"Content-Type": "image/heic"}, ""),
    "bomb": (413, png(60_000, 60_000, zlib.compress(bytes(2**24), 9)), PNG, ""),
    "more than the cap, not decoded": (413, png(2001, 2000, b"damaged"), PNG, ""),
    "one long row": (413, png(2**31 - 1, 1, b"damaged"), PNG, ""),
    "large webp": (413, saved(Image.new("L", (2001, 2000)), "WEBP"), WEBP, ""),
    "large jpeg": (413, saved(Image.new("L", (2001, 2000)), "JPEG"), JPEG, ""),
    "huge webp without pixels": (413, HUGE_WEBP, WEBP, ""),
    "no pixels": (400, png(0, 9), PNG, ""),
    "torn png": (400, GOOD[:-400], PNG, ""),
    "torn jpeg": (400, PLAIN[:-200], JPEG, ""),
    "torn webp": (400, saved(images_of(1)[0], "WEBP")[:-60], WEBP, ""),
    "only a signature": (400, GOOD[:8], PNG, ""),
    "damaged": (400, png(32, 32, b"damaged"), PNG, ""),
    "a checksum": (400, GOOD[:40] + b"\0" + GOOD[41:], PNG, ""),
    "moving png": (422, saved(FRAMES[0], save_all=True, append_images=FRAMES[1:]), PNG, ""),
    "moving webp": (422, saved(FRAMES[0], "WEBP", save_all=True, append_images=FRAMES[1:]), WEBP,
                    ""),
    "many chunks": (422, png(32, 32, before=chunk(b"teSt", b"") * PIECES), PNG, ""),
    "many segments": (422, PLAIN[:2] + b"\xff\xe1\0\x09Exif\0\0a" * PIECES + PLAIN[2:], JPEG, ""),
    "many scans": (422, PLAIN[:-2] + b"\xff\xda" * SCANS + PLAIN[-2:], JPEG, ""),
    "no such direction": (422, GOOD, PNG, "?direction=b2a"),
    "another direction": (422, GOOD, PNG, "?direction=up"),
    "a seed that is none": (422, GOOD, PNG, "?seed=x"),
    "a large seed": (422, GOOD, PNG, "?seed=9223372036854775808"),
    "an index below 0": (422, GOOD, PNG, "?first=-1"),
    "twice": (422, GOOD, PNG, "?seed=1&seed=2"),
    "unknown": (422, GOOD, PNG, "?file=/etc/passwd"),
}  # fmt: skip


def test_bad_requests_fail_alone(served: Served) -> None:
    """Each with its status and a problem document; good ones that arrive among them succeed."""
    schema = served.ask(path="/openapi.json").json["components"]["schemas"]["Problem"]
    wanted = PIX2PIX.translate(images_of(1)[0])
    with ThreadPoolExecutor(8) as pool:
        asked, good = {}, []
        for i, (name, (_, body, headers, query)) in enumerate(BAD.items()):
            asked[name] = pool.submit(served.ask, "POST", ASK + query, body, headers)
            if i % 3 == 0:
                good.append(pool.submit(served.ask, "POST", ASK, GOOD, PNG))
        for name, answer in asked.items():
            found = answer.result()
            assert found.status == BAD[name][0], (name, found.body)
            assert found.headers["content-type"] == "application/problem+json", name
            Draft202012Validator(schema).validate(found.json)
            assert b"Traceback" not in found.body and b"ganforge/" not in found.body
        assert len(good) >= 12
        for answer in good:
            assert (pixels(answer.result()) == wanted).all()


def test_a_picture_of_no_declared_size_is_refused(served: Served) -> None:
    with served.open() as client:
        head = f"POST {ASK} HTTP/1.1\r\nHost: localhost:{served.port}\r\nContent-Type: image/png"
        client.sendall(f"{head}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        assert client.recv(100).startswith(b"HTTP/1.1 411")


def test_a_client_that_asks_first_sends_no_body(served: Served) -> None:
    with served.open() as client:
        head = f"POST {ASK} HTTP/1.1\r\nHost: localhost:{served.port}\r\nContent-Type: image/gif"
        client.sendall(f"{head}\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n".encode())
        assert client.recv(100).startswith(b"HTTP/1.1 415")


def test_a_stranger_gets_nothing_and_no_other_path_or_method_is_known(served: Served) -> None:
    assert served.ask("GET", ASK).status == 405
    assert served.ask("POST", "/sample", b"{}", {"Content-Type": "application/json"}).status == 404
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert served.ask("POST", ASK, GOOD, PNG | headers).status == 403
    for translator, path in ((PIX2PIX, ASK), (CYCLEGAN, ASK)):
        with serving(translator, token="a-token-of-more-than-16-letters") as private:
            assert private.ask("POST", path, GOOD, PNG).status == 401


# --- limits -----------------------------------------------------------------------------------


class Gate:
    """Holds the first layer of a translation until the test opens it."""

    def __init__(self) -> None:
        self.open, self.begun, self.later = threading.Event(), threading.Event(), 0

    def first(self, *_: Any) -> None:
        self.begun.set()
        assert self.open.wait(20)

    def last(self, *_: Any) -> None:
        self.later += 1


@pytest.fixture
def gate() -> Iterator[Gate]:
    """At the network of PIX2PIX."""
    found = Gate()
    leaves = [part for part in PIX2PIX.network().modules() if not list(part.children())]
    handles = [leaves[0].register_forward_hook(found.first),
               leaves[-1].register_forward_hook(found.last)]  # fmt: skip
    found.open.set()
    yield found
    found.open.set()
    for handle in handles:
        handle.remove()


def occupied(gate: Gate, served: Served, pool: ThreadPoolExecutor) -> Any:
    """A request whose translation waits in its first layer."""
    gate.begun.clear()
    gate.open.clear()
    gate.later = 0
    first = pool.submit(served.ask, "POST", ASK, GOOD, PNG)
    assert gate.begun.wait(10)
    return first


def test_past_its_deadline_a_translation_ends_at_the_next_layer(gate: Gate) -> None:
    with serving(PIX2PIX, limits=Limits(deadline=0.3)) as served, ThreadPoolExecutor(4) as pool:
        late = [occupied(gate, served, pool)]
        late += [pool.submit(served.ask, "POST", ASK, GOOD, PNG) for _ in range(3)]
        for answer in late:
            assert answer.result().status == 504
            assert answer.result().headers["retry-after"] == "5"
        gate.open.set()
        end = time.monotonic() + 10
        while served.ask("POST", ASK, GOOD, PNG).status != 200:
            assert time.monotonic() < end
        assert gate.later == 1  # the last one's
        assert served.metric("ganforge_dropped_total") >= 4
        assert served.metric("ganforge_translations_total") == 1


def test_what_a_client_no_longer_waits_for_is_not_translated(gate: Gate) -> None:
    with serving(PIX2PIX) as served, ThreadPoolExecutor(1) as pool:
        first = occupied(gate, served, pool)
        client = served.open()
        head = f"POST {ASK} HTTP/1.1\r\nHost: localhost:{served.port}\r\nContent-Type: image/png"
        client.sendall(f"{head}\r\nContent-Length: {len(GOOD)}\r\n\r\n".encode() + GOOD)
        time.sleep(0.3)
        client.close()
        time.sleep(0.2)
        gate.open.set()
        assert first.result().status == 200
        assert served.ask("POST", ASK, GOOD, PNG).status == 200
        assert gate.later == 2 and served.metric("ganforge_dropped_total") == 1


def test_pictures_that_wait_have_a_limit(gate: Gate) -> None:
    limits = Limits(waiting=2 * len(GOOD) + 10)
    with serving(PIX2PIX, limits=limits) as served, ThreadPoolExecutor(3) as pool:
        waiting = [occupied(gate, served, pool), pool.submit(served.ask, "POST", ASK, GOOD, PNG)]
        time.sleep(0.3)
        full = served.ask("POST", ASK, GOOD, PNG)
        assert full.status == 503
        assert full.headers["retry-after"] == "5"
        gate.open.set()
        assert [answer.result().status for answer in waiting] == [200, 200]
        assert served.ask("POST", ASK, GOOD, PNG).status == 200


@pytest.mark.parametrize(("portion", "status"), [(100, b"200"), (10_000, b"408")])
def test_a_picture_may_take_its_time_while_it_comes(portion: int, status: bytes) -> None:
    """The limit of time is for each portion of the body; drops do not keep a connection open."""
    with (
        serving(PIX2PIX, limits=Limits(receive=0.4, portion=portion)) as served,
        served.open() as client,
    ):
        head = f"POST {ASK} HTTP/1.1\r\nHost: localhost:{served.port}\r\nContent-Type: image/png"
        client.sendall(f"{head}\r\nContent-Length: {len(GOOD)}\r\n\r\n".encode())
        step = len(GOOD) // 8
        for start in range(0, len(GOOD), step):
            try:
                client.sendall(GOOD[start : start + step])
            except OSError:
                break
            time.sleep(0.1)
        assert client.recv(100).startswith(b"HTTP/1.1 " + status)


def test_a_body_that_nobody_reads_has_no_portions() -> None:
    """After its answer a connection has one limit of time, however much more comes."""
    limits = Limits(receive=1.0, portion=100)
    with serving(PIX2PIX, limits=limits) as served, served.open() as client:
        head = f"GET /healthz HTTP/1.1\r\nHost: localhost:{served.port}\r\n"
        client.sendall(f"{head}Content-Length: 1000000\r\n\r\n".encode())
        sent = 0
        with suppress(OSError):
            while sent < 60:
                client.sendall(bytes(200))
                time.sleep(0.05)
                sent += 1
        assert sent < 60
