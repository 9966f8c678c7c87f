"""The live page: no record is missing or doubled, and it reads nothing but the run's files."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from subprocess import PIPE
from typing import Any

import numpy as np
import pytest

import ganforge as gf
from ganforge import files, images
from ganforge.config import convert
from ganforge.data import toy
from ganforge.diagnosis import Diagnosis, findings
from ganforge.evaluation import store
from ganforge.evaluation.score import Score
from ganforge.recipes import cdcgan, ring
from ganforge.runs import folder, load, lock
from ganforge.runs.folder import Run, append_log, cut_log
from ganforge.serve import server
from ganforge.serve.access import Access
from ganforge.serve.limits import Limits
from ganforge.serve.watch import page
from ganforge.serve.watch.app import Watch, application, watch_folder
from ganforge.serve.watch.curve import POINTS, Curve
from ganforge.serve.watch.tail import Place, Tail
from tests.helpers.served import Served, running


def record(step: int) -> dict[str, Any]:
    return {"step": step, "epoch": step / 100, "loss_d": step % 7, "loss_g": -step}


def made(path: Path, name: str = "run", rows: int = 5, steps: int = 1000) -> Run:
    """A run folder with a log."""
    run = Run(path / name)
    run.samples.mkdir(parents=True)
    (run.path / folder.CONFIG).write_text(convert.dumps(cdcgan()))
    run.write_info(status="finished", name="cdcgan", step=rows, steps=steps, seed=0)
    append_log(run.log_path, [record(i) for i in range(rows)])
    return run


@contextmanager
def watching(path: Path) -> Iterator[Served]:
    with server.bound("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        runs = watch_folder(path)
        app = application(runs, Access(port=port))
        with running(app, listening, Limits(), runs.close):
            yield Served(port)


class Page(threading.Thread):
    """What a page in a browser knows: the rows of each run, connecting again as a browser does."""

    def __init__(self, served: Served):
        super().__init__(daemon=True)
        self.served, self.last, self.closing = served, "", False
        self.rows: dict[int, list[int]] = {}
        self.kinds: dict[str, list[Any]] = {}
        self.breaks = 0
        self.start()

    def run(self) -> None:
        while not self.closing:
            try:
                self.connect()
            except OSError:
                time.sleep(0.05)

    def connect(self) -> None:
        with self.served.open() as client:
            head = f"GET /events HTTP/1.1\r\nHost: localhost:{self.served.port}\r\n"
            client.sendall(f"{head}Last-Event-ID: {self.last}\r\n\r\n".encode())
            client.settimeout(0.2)
            text = b""
            while not self.closing:
                try:
                    part = client.recv(1 << 20)
                except TimeoutError:
                    continue
                if not part:
                    return
                text += part
                *whole, text = text.split(b"\n\n")
                for one in whole:
                    self.event(one.decode())
                if self.breaks and random.random() < 0.2:
                    self.breaks -= 1
                    return

    def event(self, text: str) -> None:
        # chunks of the transfer have their sizes between the lines
        fields = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)
        if "event" not in fields:
            return
        message = json.loads(fields["data"])
        run, value = message["run"], message["value"]
        self.kinds.setdefault(fields["event"], []).append(value)
        if fields["event"] == "reset":
            self.rows[run] = list(map(int, value["steps"]))
        elif fields["event"] == "rows":
            self.rows[run] += [row["step"] for row in value["rows"]]
        self.last = fields["id"]

    def waits(self, run: int, rows: list[int]) -> None:
        """Returns when the page has these rows, and no others."""
        end = time.monotonic() + 20
        while self.rows.get(run) != rows:
            assert time.monotonic() < end, self.rows
            time.sleep(0.02)

    def close(self) -> None:
        self.closing = True
        self.join()


# --- no record is missing or doubled ----------------------------------------------------------


def test_records_arrive_once_whatever_happens(tmp_path: Path) -> None:
    """Lines written in halves, pages that connect again, a resumed run with another log."""
    run = made(tmp_path)
    with watching(run.path) as served:
        pages = [Page(served) for _ in range(3)]
        pages[0].breaks = 30
        rng = np.random.default_rng(0)
        for step in range(5, 200):
            line = json.dumps(record(step)).encode() + b"\n"
            cut = int(rng.integers(0, len(line)))
            with run.log_path.open("ab") as log:
                log.write(line[:cut])
                log.flush()
                time.sleep(0.003)
                log.write(line[cut:])
        for one in pages:
            one.waits(0, list(range(200)))
        cut_log(run.log_path, 120)  # as a resumed run does
        append_log(run.log_path, [record(i) for i in range(121, 900, 5)])
        resumed = [*range(121), *range(121, 900, 5)]
        for one in pages:
            one.waits(0, resumed)
        with run.log_path.open("ab") as log:
            log.write(b'{"step": 260, "epo')  # torn by a crash
        late = Page(served)
        late.waits(0, resumed)
        for one in [*pages, late]:
            one.close()


def test_records_arrive_once_over_the_death_of_the_server(tmp_path: Path) -> None:
    run = made(tmp_path)
    with server.bound("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "ganforge", "watch", str(run.path), "--port", str(port)]

    def started() -> subprocess.Popen[bytes]:
        process = subprocess.Popen(command, stdout=PIPE, stderr=PIPE)
        assert process.stdout is not None and process.stdout.readline()
        return process

    first = started()
    one = Page(Served(port))
    one.waits(0, list(range(5)))
    append_log(run.log_path, [record(i) for i in range(5, 50)])
    first.kill()
    first.communicate()
    append_log(run.log_path, [record(i) for i in range(50, 90)])
    second = started()
    one.waits(0, list(range(90)))
    assert len(one.kinds["reset"]) == 1  # it went on where it was
    append_log(run.log_path, [record(90)])
    one.waits(0, list(range(91)))
    second.send_signal(signal.SIGTERM)  # while the page is open
    assert second.communicate(timeout=10) == (b"", b"") and second.returncode == 0
    one.close()


@pytest.mark.slow
def test_records_arrive_once_over_the_death_of_the_training(tmp_path: Path) -> None:
    """The training is killed twice while a page looks; the second one goes on with the run."""
    path = tmp_path / "g"
    words = ["train", "gaussian", "--epochs", "100000", "--threads", "1", "--out", str(path),
             "--output.log_every", "20", "--output.save_every", "1"]  # fmt: skip

    def logged() -> list[int]:
        return [row["step"] for row in Run(path).log()]

    def killed(beyond: int) -> list[int]:
        """The steps in the log of a training that is killed after it has gone further."""
        command = [sys.executable, "-m", "ganforge", *words]
        with subprocess.Popen(command, stdout=PIPE, stderr=PIPE) as process:
            end = time.monotonic() + 60
            while one.rows.get(0, [0])[-1] <= beyond:
                assert time.monotonic() < end and process.poll() is None, one.rows
                time.sleep(0.02)
            process.kill()
            process.communicate()
        return logged()

    path.mkdir()
    with watching(path) as served:
        one = Page(served)
        first = killed(140)
        one.waits(0, first)
        assert list(Run(path).checkpoints.glob("step-*")), "it would begin anew"
        second = killed(first[-1] + 40)
        one.waits(0, second)
        one.close()
    assert second == list(range(20, second[-1] + 1, 20)) and first == second[: len(first)]
    assert len(one.kinds["reset"]) > 1  # the log of the second is another file


def test_a_page_that_lags_far_gets_the_thinned_log(tmp_path: Path) -> None:
    run = made(tmp_path)
    tail = Tail(run)
    tail.look()
    known = tail.at
    append_log(run.log_path, [record(i) for i in range(5, 9000)])
    tail.look()
    (event,) = tail.since(known)
    assert event.kind == "reset" and event.value["rows"] == 9000
    assert len(event.value["steps"]) <= POINTS
    (same,) = tail.since(None)
    assert same.value == event.value
    assert tail.since(tail.at) == []


def test_a_long_log_is_shown_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some records of all of it at once, then all; a page that comes meanwhile is not misled."""
    run = made(tmp_path)
    append_log(run.log_path, [record(i) for i in range(5, 9000)])
    monkeypatch.setattr("ganforge.serve.watch.tail.LONG", run.log_path.stat().st_size // 3)
    monkeypatch.setattr("ganforge.serve.watch.tail.CHUNK", run.log_path.stat().st_size // 10)
    tail = Tail(run)
    (first,) = tail.log()
    assert first.value["preview"] and first.after == Place() == tail.shown
    steps = first.value["steps"]
    assert 1000 < len(steps) <= 2000 and steps[0] < 20 and steps[-1] > 8980
    assert np.abs(np.diff(steps)).max() < 20
    assert tail.log() == [] and tail.at.byte > 0
    for known in (None, tail.at, Place(tail.at.file, 0), tail.shown):
        (event,) = tail.since(known)
        assert event.value == first.value and event.after == Place()
    more = [event for _ in range(12) for event in tail.log()]
    assert [event.value["rows"] for event in more] == [9000]
    assert not more[0].value["preview"] and more[0].after == tail.at == tail.shown
    append_log(run.log_path, [record(9000)])
    (event,) = tail.log()
    assert event.kind == "rows" and [row["step"] for row in event.value["rows"]] == [9000]


def test_files_that_have_not_changed_are_not_read(tmp_path: Path) -> None:
    """Other bytes under the same file, size and time of change are not seen: nobody looked."""
    run = made(tmp_path)
    (run.samples / "000000100.png").write_bytes(b"")
    score, info = run.path / "scores.json", run.path / "run.json"
    score.write_text("{")
    paths = [run.samples, score, info]
    old = time.time() - 60
    for path in paths:
        os.utime(path, (old, old))
    tail = Tail(run)
    assert {event.kind for event in tail.others()} == {"status", "sample", "score", "finding"}
    changed = score.read_text().replace("{", "["), info.read_text().replace("cdcgan", "dcgan1")
    for path, text in zip((score, info), changed, strict=True):
        path.write_text(text)
        os.utime(path, (old, old))
    assert tail.others() == []
    for path in paths:
        os.utime(path, (old + 1, old + 1))
    assert [event.value["name"] for event in tail.others()] == [
        "dcgan1"
    ]  # the score is damaged yet
    now = time.time()
    (run.samples / "000000200.png").write_bytes(b"")
    os.utime(run.samples, (now, now))
    assert [event.value["steps"] for event in tail.others()] == [[100, 200]]
    (run.samples / "000000300.png").write_bytes(b"")
    os.utime(run.samples, (now, now))  # in the same tick of a coarse clock
    assert [event.value["steps"] for event in tail.others()] == [[100, 200, 300]]
    run.write_info(status="running")
    os.utime(info, (old, old))
    assert [event.value["state"] for event in tail.others()] == ["interrupted"]
    with lock_of(run):
        assert [event.value["state"] for event in tail.others()] == ["running"]


@contextmanager
def lock_of(run: Run) -> Iterator[None]:
    """Within, a process trains the run."""
    with ExitStack() as stack:
        lock.acquire(run.path / folder.LOCK, stack)
        yield


def test_a_page_that_opens_during_a_look_gets_its_records_once(tmp_path: Path) -> None:
    """The look has read the new records and not yet sent them when the page comes."""
    run = made(tmp_path)
    looked, gate = threading.Event(), threading.Event()
    gate.set()

    class Slow(Watch):
        def look(self, search: bool) -> bytes:
            text = super().look(search)
            if not gate.is_set():
                looked.set()
                assert gate.wait(20)
            return text

    async def text_of_a_page() -> bytes:
        watch = Slow(run.path)
        following = asyncio.create_task(watch.follow())
        while not watch.looks:
            await asyncio.sleep(0.01)
        gate.clear()
        append_log(run.log_path, [record(i) for i in range(5, 9)])
        await asyncio.to_thread(looked.wait, 20)
        stream = watch.stream("")
        opening = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0.2)
        gate.set()
        text = await opening
        append_log(run.log_path, [record(9)])
        while b'"step": 9, "epoch"' not in text:
            text += await anext(stream)
        following.cancel()
        return text

    text = asyncio.run(text_of_a_page()).decode()
    assert text.count("event: reset") == 1 and '"rows": 9' in text
    assert [text.count(f'"step": {i}, "epoch"') for i in range(10)] == [0] * 9 + [1]


def test_a_new_run_appears_by_itself(tmp_path: Path) -> None:
    made(tmp_path, "b")
    with watching(tmp_path) as served:
        one = Page(served)
        one.waits(0, list(range(5)))
        made(tmp_path, "a", rows=8)
        one.waits(1, list(range(8)))
        assert served.ask(path="/runs").json == ["b", "a"]
        one.close()


# --- thinning ---------------------------------------------------------------------------------


def test_a_thinned_log_has_every_peak() -> None:
    values = np.random.default_rng(0).normal(size=50_000)
    values[[777, 31_415]] = 99, -99
    curve = Curve()
    for start in range(0, 50_000, 777):
        part = values[start : start + 777]
        curve.add({"step": start + i, "x": float(v)} for i, v in enumerate(part))
    table = curve.table()
    points = np.array(table["keys"]["x"])
    assert table["rows"] == 50_000 and POINTS // 2 <= len(points) <= POINTS
    assert points[:, 1].max() == 99 and points[:, 0].min() == -99
    assert (points[:, 0] <= points[:, 2]).all() and (points[:, 2] <= points[:, 1]).all()
    ends = np.array(table["steps"], dtype=int) + 1
    for i, (begin, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
        part = values[begin:end]
        assert np.allclose(points[i], [part.min(), part.max(), part.mean()])


def test_numbers_beyond_all_bounds_leave_the_others_as_they_are() -> None:
    curve = Curve()
    for start in (0, 2 * POINTS):  # the second part has buckets of several from the beginning
        steps = range(start, start + 2 * POINTS)
        curve.add({"step": i, "a": 1.7e308, "b": 10**400 if i else 7} for i in steps)
    table = curve.table()
    assert set(map(tuple, table["keys"]["a"])) == {(1.7e308, 1.7e308, 1.7e308)}
    assert table["keys"]["b"][:2] == [[7, 7, 7], None]


def test_a_key_that_comes_late_and_values_that_are_no_numbers() -> None:
    curve = Curve()
    curve.add([{"step": 1, "a": 1.0}, {"step": 2, "a": float("nan"), "b": 2.0, "c": "x"}])
    assert curve.table()["keys"] == {"a": [[1, 1, 1], None], "b": [None, [2, 2, 2]]}


# --- the files --------------------------------------------------------------------------------


def test_samples_by_their_number_alone(tmp_path: Path) -> None:
    run = made(tmp_path)
    picture = images.png(np.zeros((4, 4, 3), np.uint8))
    (run.samples / "000000100.png").write_bytes(picture)
    (tmp_path / "secret.png").write_bytes(b"secret")
    os.symlink(tmp_path / "secret.png", run.samples / "000000200.png")
    with watching(run.path) as served:
        found = served.ask(path="/runs/0/samples/100.png")
        assert (found.status, found.body) == (200, picture)
        assert found.headers["content-type"] == "image/png"
        for path in ("200.png", "101.png", "../../secret.png", "..%2F..%2Fsecret.png", "100.gif",
                     "100.png/", "config.toml", "1e2.png", "-1.png", "%00.png"):  # fmt: skip
            assert served.ask(path=f"/runs/0/samples/{path}").status == 404, path
        for path in ("/runs/1/samples/100.png", "/runs/-1/samples/100.png", "/log.jsonl",
                     f"/runs/{'9' * 5000}/samples/100.png"):  # fmt: skip
            assert served.ask(path=path).status == 404


def test_vectors_as_numbers(tmp_path: Path) -> None:

    run = made(tmp_path)
    points = np.random.default_rng(0).normal(size=(3000, 2)).astype(np.float32)
    (run.samples / "000000100.npz").write_bytes(files.npz(samples=points))
    (tmp_path / "others.npz").write_bytes(files.npz(samples=points))
    os.symlink(tmp_path / "others.npz", run.samples / "000000200.npz")
    with watching(run.path) as served:
        assert served.ask(path="/runs/0/samples/200.json").status == 404
        found = served.ask(path="/runs/0/samples/100.json").json
        assert found["count"] == 3000 and len(found["points"]) == 2000 and found["features"] == 2
        assert np.allclose(found["points"][0], points[0], atol=1e-4)


def test_points_of_the_plane_have_real_ones_beside_them_and_the_map_of_d(tmp_path: Path) -> None:
    run = folder.Run(gf.train("gaussian", epochs=1, threads=1, out=tmp_path / "run").path)
    steps = sorted(int(path.stem) for path in run.samples.glob("*.npz"))
    shutil.copy(run.samples / f"{steps[-1]:09}.npz", run.samples / "000000001.npz")
    with watching(run.path) as served:
        found = served.ask(path=f"/runs/0/samples/{steps[-1]}.json").json
        earlier = served.ask(path="/runs/0/samples/1.json").json
    assert np.allclose(found["real"], toy.draws("gaussian", "validation", 0)[:2000], atol=1e-4)
    reach = found["reach"]
    assert reach > np.abs(found["real"]).max() and reach > np.abs(found["points"]).max()
    side = int(len(found["judged"]) ** 0.5)
    ticks = (np.arange(side) + 0.5) / side * 2 * reach - reach
    judge = load.discriminator(run)
    assert judge is not None
    for i in (0, side - 1, side * (side - 1), 777):
        place = np.array([[ticks[i % side], ticks[i // side]]])
        assert abs(judge(place)[0] - found["judged"][i]) < 1e-3
    assert "real" in earlier and "judged" not in earlier


def test_what_is_damaged_is_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    run = made(tmp_path)
    (run.path / "scores.json").write_text("{")
    (run.path / "run.json").write_text("[]")
    events = {event.kind: event.value for event in Tail(run).look()}
    assert events["score"]["error"] and events["status"]["error"]
    assert events["reset"]["rows"] == 5
    assert str(tmp_path) not in json.dumps(events)


def test_nothing_is_written_and_no_method_but_get_is_known(tmp_path: Path) -> None:
    run = made(tmp_path)
    before = {p: p.stat().st_mtime_ns for p in sorted(tmp_path.rglob("*"))}
    with watching(tmp_path) as served:
        one = Page(served)
        one.waits(0, list(range(5)))
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            for path in ("/", "/events", "/runs", "/runs/0/samples/1.png"):
                assert served.ask(method, path).status == 405
        one.close()
    assert {p: p.stat().st_mtime_ns for p in sorted(tmp_path.rglob("*"))} == before
    assert run.exists()


def test_a_strangers_page_gets_nothing(tmp_path: Path) -> None:
    made(tmp_path)
    with watching(tmp_path) as served:
        host = f"127.0.0.1:{served.port}"
        for path in ("/", "/events", "/runs", "/runs/0/samples/1.png"):
            for status, headers in (
                (421, {"Host": f"evil.example:{served.port}"}),
                (403, {"Host": host, "Origin": "https://evil.example"}),
                (403, {"Host": host, "Origin": "null"}),
                (403, {"Host": host, "Sec-Fetch-Site": "cross-site"}),
                (403, {"Host": host, "Sec-Fetch-Site": "same-site"}),
            ):
                assert served.ask(path=path, headers=headers).status == status, (path, headers)


def test_ten_pages_cost_one_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log is read once however many pages are open: bytes read are counted."""
    run = made(tmp_path)
    reads: list[int] = []
    real = Tail.log

    def counted(self: Tail) -> Any:
        before = self.at.byte
        events = real(self)
        reads.append(self.at.byte - before)
        return events

    monkeypatch.setattr(Tail, "log", counted)
    with watching(run.path) as served:
        pages = [Page(served) for _ in range(10)]
        append_log(run.log_path, [record(i) for i in range(5, 100)])
        for one in pages:
            one.waits(0, list(range(100)))
        for one in pages:
            one.close()
    assert sum(reads) == run.log_path.stat().st_size


READS = """
import dataclasses, re, sys
from pathlib import Path
import ganforge as gf
config = dataclasses.replace(gf.recipes.gaussian(), epochs=1, threads=1)
calls = lambda: int(re.search(r"syscr: ([0-9]+)", Path("/proc/self/io").read_text())[1])
for path in sys.argv[1:]:
    sys.stdin.readline()
    before = calls()
    for _ in gf.iterate(config, path):
        pass
    print(calls() - before, flush=True)
"""


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="calls of a process are not counted")
def test_a_training_reads_no_more_with_ten_pages_open(tmp_path: Path) -> None:
    """The calls that read, of the training process alone; the first training imports modules."""
    paths = [tmp_path / "runs" / name for name in ("first", "alone", "watched")]
    command = [sys.executable, "-c", READS, *map(str, paths)]
    with subprocess.Popen(command, stdin=PIPE, stdout=PIPE, text=True, bufsize=1) as process:
        assert process.stdin is not None and process.stdout is not None
        counts = []
        for path in paths:
            with watching(tmp_path) as served:
                pages = [Page(served) for _ in range(10 * (path == paths[-1]))]
                process.stdin.write("go\n")
                counts.append(int(process.stdout.readline()))
                for one in pages:
                    one.waits(2, [row["step"] for row in Run(path).log()])
                    one.close()
    assert 0 < counts[2] == counts[1]


# --- beside a training ------------------------------------------------------------------------


def test_train_watch_opens_the_page_and_closes_it(tmp_path: Path) -> None:
    words = ["train", "gaussian", "--epochs", "2", "--threads", "1", "--out", tmp_path / "g"]
    command = [sys.executable, "-m", "ganforge", *map(str, words), "--watch"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        out = process.stdout.read()
        assert process.wait(60) == 0
    assert "generator" in out or "loss_D" in out
    port = int(out.partition("watch    http://127.0.0.1:")[2].partition("/")[0] or 0)
    if port:  # the training may end before the page is there
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), 1)


def test_the_page_ends_with_the_process_that_opened_it(tmp_path: Path) -> None:
    run = made(tmp_path)
    command = [sys.executable, "-m", "ganforge.serve.watch.beside", str(run.path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stdin is not None
        line = process.stdout.readline()
        served = Served(int(line.partition("127.0.0.1:")[2].partition("/")[0]))
        assert served.ask(path="/healthz").status == 200
        process.stdin.close()
        assert process.wait(10) == 0


def test_the_page_is_small_and_names_no_other_place() -> None:
    text = page.html()
    assert len(text.encode()) <= 120_000
    assert "http://" not in text and "https://" not in text and "innerHTML" not in text
    assert "/* " not in text.partition("<script")[0]


def test_the_page_runs_its_own_script_and_asks_its_own_server_alone(tmp_path: Path) -> None:
    made(tmp_path)
    with watching(tmp_path) as served:
        found = served.ask(path="/")
    assert found.status == 200 and found.body.decode() == page.html()
    allowed = dict(
        part.split(" ", 1) for part in found.headers["content-security-policy"].split("; ")
    )
    assert (allowed["default-src"], allowed["connect-src"]) == ("'none'", "'self'")
    for tag, kind in (("style", "style-src"), ("script", "script-src")):
        text = page.html().partition(f"<{tag}")[2].partition(">")[2].partition(f"</{tag}>")[0]
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert allowed[kind] == f"'sha256-{digest}'"


# --- in a browser -----------------------------------------------------------------------------

CHROMIUM = shutil.which("chromium")


def until(view: Any, condition: str) -> None:
    """Returns when the page meets a condition; its policy forbids playwright's own waiting."""
    end = time.monotonic() + 20
    while not view.evaluate(condition):
        assert time.monotonic() < end, condition
        time.sleep(0.05)


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium")
def test_in_a_browser(tmp_path: Path) -> None:
    """The slider stays where it was put, pause holds, nothing but this server is asked."""
    sync = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    run = made(tmp_path, '<img src=x onerror="alert(1)">')
    picture = images.png(np.zeros((40, 40, 3), np.uint8))
    for step in range(10):
        (run.samples / f"{step:09}.png").write_bytes(picture)
    with watching(tmp_path) as served, sync.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        view = browser.new_page(viewport={"width": 400, "height": 800})
        asked: list[str] = []
        faults: list[str] = []
        view.on("request", lambda request: asked.append(request.url))
        view.on("console", lambda message: faults.append(message.text))
        view.on("pageerror", lambda error: faults.append(str(error)))
        view.goto(f"http://127.0.0.1:{served.port}/")
        slider = view.get_by_label("step of the first samples")
        sync.expect(slider).to_have_value("9", timeout=20_000)
        slider.focus()
        for _ in range(5):
            view.keyboard.press("ArrowLeft")
        sync.expect(slider).to_have_value("4")
        for step in range(10, 15):
            (run.samples / f"{step:09}.png").write_bytes(picture)
        append_log(run.log_path, [record(i) for i in range(5, 1005)])
        until(view, "watch.runs.get(0).samples.steps.length === 15")
        until(view, "watch.runs.get(0).rows === 1005")
        view.wait_for_timeout(300)
        sync.expect(slider).to_have_value("4")
        assert view.evaluate("document.querySelector('#views img').src").endswith("/4.png")
        view.get_by_role("button", name="Pause").click()
        drawn = view.evaluate("watch.drawn")
        append_log(run.log_path, [record(i) for i in range(1005, 1100)])
        until(view, "watch.runs.get(0).rows === 1100")
        assert view.evaluate("watch.drawn") == drawn
        view.get_by_role("button", name="Go on").click()
        until(view, f"watch.drawn > {drawn}")
        assert view.evaluate("document.documentElement.scrollWidth") <= 400
        assert not faults, faults
        origin = f"http://127.0.0.1:{served.port}/"
        assert all(url.startswith((origin, "data:")) for url in asked)
        assert view.locator("#runs img").count() == 0
        browser.close()


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium")
def test_scores_health_and_points_say_what_they_are(tmp_path: Path) -> None:
    """A run without findings that is not healthy; verdicts on a phone; which points are real."""
    sync = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    sync.expect.set_options(timeout=20_000)
    run = made(tmp_path)
    (run.path / folder.CONFIG).write_text(convert.dumps(ring()))
    findings.save(run.path / findings.FILE, Diagnosis((), ("GF001",), {}, 4, "it covers half"))
    score = Score("coverage", 0.61, 0.01, 0.97, 2500, "ring", "0", 0, "test", "higher", "", "far")
    entry = {"data": "ring", "step": 4, "split": "test", "n": 2500, "made": "x", "foreign": False,
             "scores": [score.to_json()]}  # fmt: skip
    (run.path / store.SCORES).write_text(json.dumps({"format": 1, "entries": {"a": entry}}))
    (run.samples / "000000004.npz").write_bytes(files.npz(samples=np.ones((9, 2), np.float32)))
    outputs = dict.fromkeys(("d_real", "d_fake", "logit_real", "logit_fake"), 0.5)
    append_log(run.log_path, [record(5) | outputs])
    with watching(tmp_path) as served, sync.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        view = browser.new_page(viewport={"width": 400, "height": 800})
        view.goto(f"http://127.0.0.1:{served.port}/")
        health = view.locator("#health p")
        sync.expect(health).to_have_text("no finding, but not called healthy: it covers half")
        sync.expect(health).to_have_class("bad")
        row = view.locator("#scores tr").nth(1)
        sync.expect(row).to_contain_text("0.61 ± 0.02")
        verdict = row.get_by_text("far").bounding_box()
        assert verdict["x"] + verdict["width"] <= 400
        sync.expect(view.locator("#views p.note").first).to_have_text("generated pointsreal points")
        painted = dict(
            view.evaluate(
                "[...document.querySelectorAll('figcaption .swatch')].map((e) => "
                "[e.parentElement.textContent.trim().split(' ')[0], e.style.background])"
            )
        )
        assert painted["d_real"] == painted["logit_real"] != painted["d_fake"]
        assert painted["d_fake"] == painted["logit_fake"] and len(set(painted.values())) == 4
        browser.close()
