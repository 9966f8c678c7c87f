"""The service: right answers alone and in company, right refusals, nothing that stays open."""

from __future__ import annotations

import ast
import asyncio
import gc
import io
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from PIL import Image
from starlette.types import Receive, Scope, Send
from torch import Tensor

from ganforge import images, recipes
from ganforge.data.spec import DataSpec
from ganforge.errors import UsageError
from ganforge.export.demo.page import html, policy_of
from ganforge.nets import PlainModule
from ganforge.runs import model
from ganforge.sampling.sampler import Sampler
from ganforge.serve import server, token
from ganforge.serve.access import Access
from ganforge.serve.app import application, models
from ganforge.serve.limits import Limits
from ganforge.serve.protocol import Joined
from tests.helpers.samplers import fresh
from tests.helpers.served import Answer, Served, running, serving
from tests.helpers.tiny import VECTORS

DIGITS = DataSpec((1, 28, 28), 10)
COLOUR = DataSpec((3, 16, 16))


@pytest.fixture(scope="module")
def digits() -> Sampler:
    return replace(fresh(DIGITS), class_names=("zero", *map(str, range(1, 9)), "nine"))


@pytest.fixture(scope="module")
def points() -> Sampler:
    return replace(fresh(VECTORS, "gaussian"), name="points")


@pytest.fixture(scope="module")
def served(digits: Sampler, points: Sampler) -> Iterator[Served]:
    with serving(digits, points) as found:
        yield found


class Slow(Sampler):
    """Waits in every forward pass until the test opens the gate."""

    gate, began = threading.Event(), threading.Event()

    def forward(self, z: Tensor, label: Tensor | None, truncation: float) -> Tensor:
        self.began.set()
        self.gate.wait(20)
        return super().forward(z, label, truncation)


@pytest.fixture
def slow(digits: Sampler) -> Iterator[Slow]:
    made = Slow(digits.model, digits.spec, digits.noise, digits.name)
    made.gate.set()
    yield made
    made.gate.set()


def occupied(slow: Slow, served: Served, pool: ThreadPoolExecutor) -> Future[Answer]:
    """A request that is being computed until the gate opens; later ones wait in the queue."""
    slow.began.clear()
    slow.gate.clear()
    first = pool.submit(served.post, {"seed": 99})
    assert slow.began.wait(10)
    return first


def waiting(served: Served, count: int) -> None:
    """Returns when so many requests are in the queue."""
    end = time.monotonic() + 10
    while served.metric("ganforge_queue_requests") < count:
        assert time.monotonic() < end
        time.sleep(0.01)


def arrays(answer: Answer) -> dict[str, Any]:
    assert answer.status == 200, answer.body
    with np.load(io.BytesIO(answer.body), allow_pickle=False) as file:
        return dict(file)


def pixels(answer: Answer) -> Any:
    assert answer.status == 200, answer.body
    assert answer.headers["content-type"] == "image/png"
    return np.asarray(Image.open(io.BytesIO(answer.body)))


# --- right answers ----------------------------------------------------------------------------


def test_the_samples_are_those_of_the_sampler(served: Served, digits: Sampler) -> None:
    asked = {"n": 5, "seed": -3, "first": 7, "label": ["nine", 2], "truncation": 0.5}
    wanted = digits.sample(5, ["nine", 2], -3, 7, 0.5)
    found = arrays(served.post({**asked, "format": "npz"}))
    assert (found["samples"] == wanted).all() and found["labels"].tolist() == [9, 2, 9, 2, 9]
    grid = images.grid(wanted, images.layout(5, 0)[1])
    assert (pixels(served.post(asked)) == grid).all()
    listed = served.post({**asked, "format": "json"}).json
    assert (np.array(listed["samples"], listed["dtype"]) == wanted).all()
    assert listed["labels"] == [9, 2, 9, 2, 9] and listed["shape"] == [5, 28, 28, 1]


def test_one_sample_is_the_picture_itself(served: Served, digits: Sampler) -> None:
    query = "/sample?seed=7&first=2&label=nine&truncation=0.7"
    assert (pixels(served.ask(path=query)) == digits.sample(1, 9, 7, 2, 0.7)[0, ..., 0]).all()
    assert (pixels(served.ask()) == digits.sample(1)[0, ..., 0]).all()  # all in turn: class 0


def test_several_labels_of_a_query(served: Served, digits: Sampler) -> None:
    found = arrays(served.ask(path="/sample?n=4&label=3&label=zero&format=npz"))
    assert (found["samples"] == digits.sample(4, [3, 0])).all()


def test_colour_pictures_are_served_as_in_python(digits: Sampler) -> None:
    sampler = fresh(COLOUR, "dcgan")
    with serving(sampler) as served:
        assert (pixels(served.ask(path="/sample?seed=1")) == sampler.sample(1, seed=1)[0]).all()


def test_vectors_are_served_as_numbers(served: Served, points: Sampler) -> None:
    found = served.ask(path="/models/points/sample?n=3&seed=2&format=json").json
    assert (np.array(found["samples"], "float32") == points.sample(3, seed=2)).all()
    assert found["labels"] is None


def test_every_model_has_its_address(served: Served, digits: Sampler) -> None:
    listed = served.ask(path="/models").json
    assert [m["path"] for m in listed] == ["/models/cdcgan", "/models/points"]
    same = served.ask(path="/models/cdcgan/sample?seed=7")
    assert same.body == served.ask(path="/sample?seed=7").body
    assert same.headers["x-ganforge-model"] == listed[0]["sha256"]


def test_two_models_of_one_name_are_refused(digits: Sampler) -> None:
    with pytest.raises(UsageError, match="two models are called cdcgan"), serving(digits, digits):
        raise AssertionError


@pytest.mark.parametrize("count", [1, 16, 64])
def test_the_bytes_are_the_same_in_company(slow: Slow, digits: Sampler, count: int) -> None:
    """Requests that go through the networks together, as a count of them in one round says."""
    bodies = [
        {"seed": i, "n": 1 + i % 3, "label": i % 10, "truncation": 1 - i % 2 / 2, "format": "npz"}
        for i in range(count)
    ]
    with serving(slow) as served, ThreadPoolExecutor(count + 1) as pool:
        first = occupied(slow, served, pool)
        answers = [pool.submit(served.post, body) for body in bodies]
        waiting(served, count)
        slow.gate.set()
        for body, answer in zip(bodies, answers, strict=True):
            named = body["n"], body["label"], body["seed"], 0, body["truncation"]
            alone = digits.sample(*named)
            assert (arrays(answer.result())["samples"] == alone).all()
        assert first.result().status == 200
        assert served.metric("ganforge_batch_requests_sum") == count + 1
        together = 1 + min(2, count)  # one round has a pass for each truncation
        assert served.metric("ganforge_batch_requests_count") == together


def test_an_answer_has_a_tag(served: Served) -> None:
    first = served.ask(path="/sample?seed=7&label=zero")
    tag = first.headers["etag"]
    assert first.headers["cache-control"] == "public, no-cache"
    computed = served.metric("ganforge_samples_total")
    for text in (tag, f'"other", W/{tag}', "*"):
        again = served.ask(path="/sample?label=0&seed=7", headers={"If-None-Match": text})
        assert (again.status, again.body, again.headers["etag"]) == (304, b"", tag)
    assert served.metric("ganforge_samples_total") == computed
    for other in ("n=2", "first=1", "truncation=0.5", "format=npz", "seed=8", "label=1"):
        values = dict([("seed", "7"), ("label", "0"), other.split("=")])
        path = f"/sample?{urlencode(values)}"
        changed = served.ask(path=path, headers={"If-None-Match": tag})
        assert changed.status == 200 and changed.headers["etag"] != tag


def test_an_address_with_the_version_never_changes(served: Served, points: Sampler) -> None:
    version = served.ask(path="/models").json[0]["version"]
    found = served.ask(path=f"/sample?version={version}")
    assert found.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert served.ask(path="/sample?version=0").status == 404
    with serving(points) as other:
        assert other.ask(path="/models").json[0]["version"] != version


def test_health_and_metrics(served: Served) -> None:
    assert served.ask(path="/healthz").body == b"ok\n"
    assert served.ask(path="/readyz").body == b"ready\n"
    before = served.metric("ganforge_samples_total"), served.metric("ganforge_seconds_count")
    served.post({"n": 5})
    assert served.metric("ganforge_samples_total") == before[0] + 5
    assert served.metric("ganforge_seconds_count") == before[1] + 1
    assert served.metric('ganforge_seconds_bucket{le="+Inf"}') == before[1] + 1
    assert served.post({"n": 0}).status == 422
    assert served.metric('ganforge_requests_total{status="422"}') >= 1


def test_the_page_is_the_demo(served: Served, digits: Sampler) -> None:
    found = served.ask(path="/")
    assert found.headers["content-type"].startswith("text/html")
    assert found.body.decode() == html(digits)
    policy = found.headers["content-security-policy"]
    assert policy.startswith(policy_of(html(digits))) and "frame-ancestors 'none'" in policy
    again = served.ask(path="/", headers={"If-None-Match": found.headers["etag"]})
    assert (again.status, again.body) == (304, b"")
    assert served.ask(path="/models/points").body != found.body


def test_without_a_demo_the_page_shows_samples(digits: Sampler) -> None:
    own = replace(digits, model=PlainModule(digits.model, conditional=True))
    with serving(own) as served:
        found = served.ask(path="/")
        assert b'src="/sample?n=16"' in found.body
        assert f"curl 'http://127.0.0.1:{served.port}/sample" in found.body.decode()


def test_every_answer_has_safe_headers(served: Served) -> None:
    for path in ("/sample", "/", "/nothing", "/sample?n=0", "/openapi.json"):
        headers = served.ask(path=path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "server" not in headers and "access-control-allow-origin" not in headers


# --- refusals ---------------------------------------------------------------------------------

JSON = {"Content-Type": "application/json"}
DEEP = b"[" * 1300 + b"]" * 1300
BAD: list[tuple[int, str, str, bytes | None, dict[str, str]]] = [
    *((status, "POST", "/sample", body, JSON) for status, body in [
        (400, b""), (400, b"{"), (400, b"n=1"), (400, b'{"n": NaN}'), (400, b'{"n": Infinity}'),
        (400, b'{"n": 1, "n": 2}'), (400, b"\xff\xfe"), (400, b'{"label": "\xff"}'),
        (400, '{"n": 1}'.encode("utf-16")), (400, DEEP),
        (422, b"[]"), (422, b"null"), (422, b'"n"'), (422, b"7"),
        (422, b'{"n": 0}'), (422, b'{"n": 65}'), (422, b'{"n": -1}'), (422, b'{"n": 1.0}'),
        (422, b'{"n": true}'), (422, b'{"n": "1"}'), (422, b'{"n": null}'), (422, b'{"n": 1e400}'),
        (422, b'{"seed": 9223372036854775808}'), (422, b'{"seed": 0.5}'), (422, b'{"first": -1}'),
        (422, b'{"first": 9007199254740992}'), (422, b'{"label": 10}'), (422, b'{"label": -1}'),
        (422, b'{"label": "ten"}'), (422, b'{"label": []}'), (422, b'{"label": [[1],[2,3]]}'),
        (422, b'{"label": true}'), (422, b'{"label": {"a": 1}}'), (422, b'{"truncation": 0}'),
        (422, b'{"truncation": 1.5}'), (422, b'{"truncation": "1"}'), (422, b'{"format": "gif"}'),
        (422, b'{"format": ["png"]}'), (422, b'{"model": "/etc/passwd"}'),
        (422, b'{"seed": ' + b"9" * 4000 + b"}"), (413, b" " * 4097),
        (422, b'{"label": [' + b"1," * 64 + b"1]}"),
        (422, b'{"label": "\\ud800"}'),
    ]),
    (415, "POST", "/sample", b"{}", {"Content-Type": "text/plain"}),
    (415, "POST", "/sample", b"{}", {}),
    (415, "POST", "/sample", b"n=1", {"Content-Type": "application/x-www-form-urlencoded"}),
    (422, "POST", "/sample?n=2", b"{}", JSON),
    (404, "GET", "/../../etc/passwd", None, {}),
    (404, "GET", "/sample/", None, {}),
    (404, "GET", "/models/other/sample", None, {}),
    (405, "DELETE", "/sample", None, {}),
    (405, "PUT", "/sample", b"{}", JSON),
    (405, "POST", "/metrics", b"{}", JSON),
    (422, "GET", "/sample?n=x", None, {}),
    (422, "GET", "/sample?n=1&n=2", None, {}),
    (422, "GET", "/sample?n=%D9%A1", None, {}),
    (422, "GET", "/sample?truncation=nan", None, {}),
    (422, "GET", "/sample?size=9", None, {}),
    (422, "GET", "/models/points/sample", None, {}),
    (422, "GET", "/sample?label=" + "9" * 5000, None, {}),
    (422, "GET", "/models/points/sample?label=1&format=json", None, {}),
]  # fmt: skip


def test_bad_requests_fail_alone(slow: Slow, points: Sampler) -> None:
    """Each with its status; good ones that arrive among them are computed in one round."""
    with serving(slow, points) as served, ThreadPoolExecutor(len(BAD) + 16) as pool:
        occupied(slow, served, pool)
        bad, good = [], []
        for i, (_, method, path, body, headers) in enumerate(BAD):
            bad.append(pool.submit(served.ask, method, path, body, headers))
            if i % 4 == 0:
                good.append(pool.submit(served.post, {"seed": i, "format": "npz"}))
        for (status, *request), answer in zip(BAD, bad, strict=True):
            found = answer.result()
            assert found.status == status, (request, found.body)
            assert found.headers["content-type"] == "application/problem+json"
            assert found.json["status"] == status and found.json["detail"]
            assert b"Traceback" not in found.body and len(found.body) < 1000
        waiting(served, len(good))
        slow.gate.set()
        assert len(good) >= 15
        for i, answer in enumerate(good):
            assert (arrays(answer.result())["samples"] == slow.sample(1, None, 4 * i)).all()
        assert served.metric("ganforge_batch_requests_sum") == len(good) + 1
        assert served.metric("ganforge_batch_requests_count") == 2


def test_a_refusal_names_the_value_and_the_range(served: Served) -> None:
    assert served.post({"n": 65}).json["detail"] == "n = 65: expected a whole number from 1 to 64"
    assert "zero, nine" in served.post({"label": "ten"}).json["detail"]
    assert set(served.ask("PUT").headers["allow"].split(", ")) == {"GET", "HEAD", "POST"}


def test_a_body_without_a_length_ends_too(served: Served) -> None:
    with served.open() as client:
        head = b"POST /sample HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\n"
        client.sendall(head % served.port + b"Transfer-Encoding: chunked\r\n\r\n")
        client.sendall(b"1000\r\n" + b" " * 4096 + b"\r\n10\r\n" + b" " * 16 + b"\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 413")


def test_an_answer_in_json_that_would_be_long_is_refused(digits: Sampler) -> None:
    with serving(digits, limits=Limits(numbers=2000)) as served:
        assert served.post({"n": 2, "format": "json"}).status == 200
        assert served.post({"n": 3, "format": "json"}).status == 422
        assert served.post({"n": 3, "format": "npz"}).status == 200


@settings(max_examples=1000, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_no_json_is_an_error_of_ours(served: Served, data: st.DataObject) -> None:
    numbers = st.integers() | st.floats()
    leaves = st.none() | st.booleans() | numbers | st.text(max_size=20)
    value = st.recursive(leaves, lambda v: st.lists(v, max_size=4) | st.dictionaries(
        st.text(max_size=5), v, max_size=4), max_leaves=12)  # fmt: skip
    keys = st.sampled_from(["n", "seed", "first", "label", "truncation", "format"])
    asked = st.dictionaries(keys, value | st.sampled_from(["npz", "json", 1, 0.5]), max_size=4)
    body = data.draw(asked | value)
    assert served.post(body).status in (200, 400, 413, 422)


def test_what_is_written_in_one_turn_leaves_together() -> None:
    """The head and the body of an answer, in order, and before the connection is closed."""
    sent: list[Any] = []
    transport: Any = SimpleNamespace(
        write=sent.append, close=lambda: sent.append("closed"), is_closing=lambda: False
    )

    async def written() -> None:
        joined = Joined(transport, asyncio.get_running_loop())
        for part in (b"head ", b"body ", b""):
            joined.write(part)
        assert not joined.is_closing() and sent == []
        await asyncio.sleep(0)
        joined.write(b"more")
        joined.close()
        await asyncio.sleep(0)

    asyncio.run(written())
    assert sent == [b"head body ", b"more", "closed"]


# --- limits -----------------------------------------------------------------------------------


def test_what_is_past_its_deadline_is_not_computed(slow: Slow) -> None:
    limits = Limits(deadline=0.3)
    with serving(slow, limits=limits) as served, ThreadPoolExecutor(21) as pool:
        before = served.metric("ganforge_samples_total")
        first = occupied(slow, served, pool)
        late = [pool.submit(served.post, {"n": 64}) for _ in range(20)]
        for answer in (first, *late):
            assert answer.result().status == 504
            assert answer.result().headers["retry-after"] == "1"
        slow.gate.set()
        end = time.monotonic() + 20
        while served.metric("ganforge_dropped_total") < 20:
            assert time.monotonic() < end
            time.sleep(0.01)
        assert served.metric("ganforge_samples_total") == before + 1  # the first had begun


def test_what_a_client_no_longer_waits_for_is_not_computed(slow: Slow) -> None:
    with serving(slow) as served, ThreadPoolExecutor(1) as pool:
        first = occupied(slow, served, pool)
        client = served.open()
        client.sendall(b"GET /sample?n=64 HTTP/1.1\r\nHost: localhost:%d\r\n\r\n" % served.port)
        waiting(served, 1)
        client.close()
        time.sleep(0.2)
        slow.gate.set()
        assert first.result().status == 200
        assert served.post({}).status == 200
        assert served.metric("ganforge_dropped_total") == 1


@pytest.mark.parametrize("limits", [Limits(requests=3), Limits(pictures=192)])
def test_a_full_queue_refuses(slow: Slow, limits: Limits) -> None:
    with serving(slow, limits=limits) as served, ThreadPoolExecutor(4) as pool:
        first = occupied(slow, served, pool)
        queued = [pool.submit(served.post, {"n": 64}) for _ in range(3)]
        waiting(served, 3)
        refused = served.post({"n": 1})
        assert (refused.status, refused.headers["retry-after"]) == (503, "1")
        slow.gate.set()
        assert {answer.result().status for answer in (first, *queued)} == {200}
        assert served.post({"n": 1}).status == 200


def closed(client: socket.socket) -> bool:
    """Whether the server has closed a connection, perhaps with an answer."""
    client.settimeout(10)
    try:
        while client.recv(4096):
            pass
    except ConnectionResetError:
        pass
    except TimeoutError:
        return False
    return True


def received(client: socket.socket) -> bytes:
    """One answer to a GET of /healthz."""
    data = b""
    while not data.endswith(b"\r\n\r\nok\n"):
        part = client.recv(4096)
        assert part
        data += part
    return data


@pytest.mark.parametrize(
    "sent", ["POST", "POST /sample HTTP/1.1\r\nHost: {0}\r\nContent-Length: 90\r\n\r\n{{",
             "GET /nothing HTTP/1.1\r\nHost: {0}\r\nContent-Length: 90\r\n\r\n{{", ""],
)  # fmt: skip
def test_half_a_request_does_not_stay(digits: Sampler, sent: str) -> None:
    """300 of them, while whole ones are answered; more bytes one by one are of no use."""
    limits = Limits(receive=1.0, connections=256)
    with serving(digits, limits=limits) as served:
        half = sent.format(f"127.0.0.1:{served.port}").encode()
        clients = [served.open() for _ in range(300)]
        for client in clients:
            client.sendall(half)
        assert served.post({"seed": 1}).status == 200
        end = time.monotonic() + 1.2
        while time.monotonic() < end:
            assert served.post({"seed": 2}).status == 200
            for client in clients[::50]:
                try:
                    client.sendall(b" " if half else b"")
                except OSError:
                    break
            time.sleep(0.1)
        assert all(map(closed, clients))
        for client in clients:
            client.close()


def test_each_connection_too_many_makes_another_one_end(digits: Sampler) -> None:
    """All of them come in one turn of the event loop."""
    limits = Limits(connections=4, receive=60.0)
    with server.bound("127.0.0.1", 0) as listening:
        served = Served(listening.getsockname()[1], "")
        clients = [served.open() for _ in range(12)]
        made = application(models([("digits", digits)]), Access(port=served.port), limits)
        with running(made, listening, limits):
            end, ended = time.monotonic() + 10, set[socket.socket]()
            while len(ended) < 8 and time.monotonic() < end:
                ended |= {c for c in select.select(clients, [], [], 0.1)[0] if not c.recv(1)}
            assert len(ended) == 8
        for client in clients:
            client.close()


def test_a_body_that_comes_too_slowly_is_answered(digits: Sampler) -> None:
    with serving(digits, limits=Limits(receive=0.3)) as served, served.open() as client:
        head = f"POST /sample HTTP/1.1\r\nHost: localhost:{served.port}\r\nContent-Length: 9\r\n"
        client.sendall(f"{head}Content-Type: application/json\r\n\r\n{{".encode())
        assert client.recv(1000).startswith(b"HTTP/1.1 408 ")


def test_a_connection_serves_several_requests_and_then_ends(digits: Sampler) -> None:
    with serving(digits, limits=Limits(receive=1.0)) as served, served.open() as client:
        for _ in range(3):
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost:%d\r\n\r\n" % served.port)
            assert received(client).startswith(b"HTTP/1.1 200")
        client.sendall(b"GET /hea")
        assert closed(client)


def test_whole_requests_keep_their_connections(slow: Slow) -> None:
    with serving(slow, limits=Limits(connections=4)) as served, ThreadPoolExecutor(3) as pool:
        good = [occupied(slow, served, pool), *(pool.submit(served.post, {}) for _ in range(2))]
        waiting(served, 2)
        halves = [served.open() for _ in range(6)]
        assert served.ask(path="/healthz").status == 200
        slow.gate.set()
        assert {answer.result().status for answer in good} == {200}
        for half in halves:
            half.close()


# --- who may ask ------------------------------------------------------------------------------

CLIENTS = {"aiohttp", "ftplib", "ganforge.runs.hub", "http.client", "httpx", "huggingface_hub",
           "requests", "urllib.request", "urllib3"}  # fmt: skip


def test_no_module_of_the_server_can_ask_another_machine() -> None:
    """A model or a request that names an address is of no use: nothing here fetches one."""
    files = sorted(Path(str(token.__file__)).parent.rglob("*.py"))
    assert len(files) > 15
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [str(node.module), *(f"{node.module}.{a.name}" for a in node.names)]
            assert not CLIENTS & set(names), path.name


OURS, EVIL, TRUSTED = "http://127.0.0.1:8000", "https://evil.example", "https://app.example"


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (None, {"host": "127.0.0.1:8000"}),
        (None, {"host": "LOCALHOST:8000"}),
        (None, {"host": "[::1]:8000"}),
        (None, {"host": "gans.example"}),
        (None, {"host": "127.0.0.1:8000", "origin": OURS, "sec-fetch-site": "same-origin"}),
        (None, {"host": "127.0.0.1:8000", "origin": TRUSTED, "sec-fetch-site": "cross-site"}),
        (None, {"host": "127.0.0.1:8000", "sec-fetch-site": "cross-site",
                "sec-fetch-dest": "document"}),
        (421, {}),
        (421, {"host": "evil.example:8000"}),
        (421, {"host": "127.0.0.1"}),
        (421, {"host": "127.0.0.1:8000.evil.example"}),
        (421, {"host": "127.0.0.1.evil.example:8000", "origin": "http://evil.example:8000"}),
        (403, {"host": "127.0.0.1:8000", "origin": EVIL}),
        (403, {"host": "127.0.0.1:8000", "origin": "null"}),
        (403, {"host": "127.0.0.1:8000", "origin": "http://127.0.0.1:9000"}),
        (403, {"host": "127.0.0.1:8000", "sec-fetch-site": "cross-site"}),
        (403, {"host": "127.0.0.1:8000", "sec-fetch-site": "same-site"}),
        (403, {"host": "127.0.0.1:8000", "sec-fetch-site": "cross-site",
               "sec-fetch-dest": "image"}),
    ],
)  # fmt: skip
def test_who_may_ask(status: int | None, headers: dict[str, str]) -> None:
    access = Access(hosts=("gans.example",), origins=(TRUSTED,))
    for method in ("GET", "POST") if "sec-fetch-dest" not in headers else ("GET",):
        refused = access.refusal(method, "/sample", "", headers)
        assert (refused and refused.status) == status
    if headers.get("sec-fetch-dest") == "document":
        refused = access.refusal("POST", "/sample", "", headers)
        assert refused is not None and refused.status == 403


def test_on_all_addresses_a_name_must_be_allowed() -> None:
    access = Access("0.0.0.0", 8000)
    assert access.knows("192.168.1.5:8000") and access.knows("localhost:8000")
    assert not access.knows("evil.example:8000") and not access.knows("192.168.1.5:9")
    assert Access("192.168.1.5", 80).knows("192.168.1.5")
    assert not Access("192.168.1.5", 80).knows("192.168.1.6")


def test_a_trusted_page_may_read_and_no_other(digits: Sampler) -> None:
    with serving(digits, origins=(TRUSTED,)) as served:
        asked = {"Origin": TRUSTED, "Sec-Fetch-Site": "cross-site"}
        found = served.post({}, **asked)
        assert found.headers["access-control-allow-origin"] == TRUSTED
        assert found.headers["vary"] == "Origin"
        assert served.ask("OPTIONS", headers=asked).status == 204
        assert served.ask("OPTIONS", headers={"Origin": EVIL}).status == 403
        assert "access-control-allow-origin" not in served.post({}).headers
    with pytest.raises(UsageError, match="expected scheme, host"):
        Access(origins=("*",))


def test_a_header_that_counts_comes_once(served: Served) -> None:
    with served.open() as client:
        host = f"Host: localhost:{served.port}\r\n"
        client.sendall(
            f"GET /sample HTTP/1.1\r\n{host}Origin: {OURS}\r\nOrigin: x\r\n\r\n".encode()
        )
        assert client.recv(100).startswith(b"HTTP/1.1 400")


def test_a_token_is_asked_for_everywhere_but_health(digits: Sampler) -> None:
    secret = "a-token-of-more-than-16-letters"
    with serving(digits, token=secret) as served:
        assert served.ask().status == 401
        assert served.ask(path="/").status == 401
        assert served.ask(path="/healthz").status == 200
        wrong = served.ask(headers={"Authorization": "Bearer nothing"})
        assert wrong.status == 401 and wrong.headers["www-authenticate"] == "Bearer"
        right = served.ask(headers={"Authorization": f"Bearer {secret}"})
        assert right.status == 200 and right.headers["cache-control"] == "private, no-cache"
        to = served.ask(path="/?token=a-token-of-more-than-16-letters&seed=1")
        assert (to.status, to.headers["location"]) == (303, "/?seed=1")
        cookie = to.headers["set-cookie"]
        assert "HttpOnly" in cookie and "SameSite=strict" in cookie
        assert served.ask(headers={"Cookie": cookie.partition(";")[0]}).status == 200
        assert served.ask(path="//evil.example/?token=wrong").status == 401


def test_when_a_token_is_needed() -> None:
    assert token.needed("127.0.0.1", "") == token.needed("localhost", "") == ""
    assert len(token.needed("0.0.0.0", "")) >= 32
    assert token.needed("0.0.0.0", "") != token.needed("0.0.0.0", "")
    for bad in ("abc", "with blanks and more than 16 letters"):
        with pytest.raises(UsageError, match="at least 16 letters"):
            token.needed("0.0.0.0", bad)
    assert token.address(Access("::1", 8000)) == "http://[::1]:8000/"


# --- the document -----------------------------------------------------------------------------


def test_the_openapi_document_is_valid_and_every_answer_is_in_it(served: Served) -> None:
    from openapi_spec_validator import validate

    document = served.ask(path="/openapi.json").json
    validate(document)
    for _, method, path, body, headers in BAD:
        found = served.ask(method, path, body, headers)
        described = document["paths"].get(path.partition("?")[0], {}).get(method.lower())
        if described is None:
            assert found.status in (404, 405)
            continue
        answers = described["responses"]
        kinds = answers.get(str(found.status), answers.get("default"))["content"]
        assert found.headers["content-type"] in kinds
        schema = document["components"]["schemas"]["Problem"]
        Draft202012Validator(schema).validate(found.json)
    asked = document["paths"]["/sample"]["post"]["requestBody"]["content"]["application/json"]
    for status, method, path, body, headers in BAD:
        if (status, method, path, headers) == (
            422,
            "POST",
            "/sample",
            JSON,
        ) and b"\\ud" not in body:
            shape = Draft202012Validator(asked["schema"]).is_valid(json.loads(body))
            assert not shape or body == b'{"n": 1.0}' or b"ten" in body, body
    for value in ({}, {"n": 64, "label": "nine"}, {"label": [1, 2], "truncation": 0.5}):
        Draft202012Validator(asked["schema"]).validate(value)
        assert served.post(value).status == 200


# --- the command ------------------------------------------------------------------------------


def started(folder: Path, *words: str) -> tuple[subprocess.Popen[str], Served]:
    """`ganforge serve` on a free port, and its address."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "ganforge", "serve", str(folder), "--port", "0", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    line = process.stdout.readline()
    found = Served(int(line.partition("127.0.0.1:")[2].partition("/")[0]))
    while True:
        try:
            if found.ask(path="/readyz").status == 200:
                return process, found
        except ConnectionRefusedError:
            time.sleep(0.05)


def test_sigterm_answers_what_was_accepted(tmp_path: Path, digits: Sampler) -> None:
    folder = model.save(tmp_path / "digits", digits, recipes.cdcgan(), {})
    process, served = started(folder)
    sent = threading.Barrier(25)

    def ask(i: int) -> Answer:
        with served.open() as client:
            asked = f"GET /sample?n=64&format=npz&seed={i} HTTP/1.1\r\n"
            client.sendall(f"{asked}Host: localhost:{served.port}\r\n\r\n".encode())
            sent.wait()
            data = b""
            while part := client.recv(1 << 20):
                data += part
                head, _, body = data.partition(b"\r\n\r\n")
                length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
                if length and len(body) >= int(length):
                    return Answer(int(head.split()[1]), {}, body)
            raise AssertionError("closed without an answer")

    with process, ThreadPoolExecutor(24) as pool:
        answers = [pool.submit(ask, i) for i in range(24)]
        sent.wait()
        while served.metric("ganforge_seconds_count") < 1:
            time.sleep(0.005)
        process.send_signal(signal.SIGTERM)
        for i, answer in enumerate(answers):
            assert (arrays(answer.result())["samples"] == digits.sample(64, seed=i)).all()
        assert process.wait(15) == 0
    with pytest.raises(ConnectionRefusedError):
        served.ask()


def test_the_garbage_collector_leaves_out_what_was_there_before_the_first_request() -> None:
    """A collection of all objects of torch would let every client wait."""
    before, during = gc.get_freeze_count(), []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        during.append(gc.get_freeze_count())
        await send({"type": "lifespan.startup.complete"})
        signal.raise_signal(signal.SIGTERM)
        await receive()

    with server.bound("127.0.0.1", 0) as listening:
        server.run(app, listening)
    assert during[0] > 100_000 > gc.get_freeze_count() == before


def test_two_servers_at_one_port_are_refused(
    tmp_path: Path, digits: Sampler, served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    from ganforge.cli import main

    folder = model.save(tmp_path / "digits", digits, recipes.cdcgan(), {})
    assert main(["serve", str(folder), "--port", str(served.port)]) == 2
    assert "choose another --host or --port" in capsys.readouterr().err
    assert main(["serve"]) == 2


def test_the_page_escapes_names(digits: Sampler) -> None:
    from starlette.requests import Request

    from ganforge.serve.app import Model
    from ganforge.serve.index import page

    evil = Model("<img src=x onerror=alert(1)>", digits, "0")
    scope = {"type": "http", "path": "/", "query_string": b"", "server": ("localhost", 80),
             "headers": [(b"host", b"localhost")], "method": "GET", "scheme": "http"}  # fmt: skip
    made = partial(page, Request(scope))  # without a demo
    assert b"<img src=x" not in bytes(made(evil, "", [evil, evil]).body)
