"""The live page: from a row in the log to its drawing, and what ten open pages cost a training.

    python -m benchmarks.pages.live [--rows 100] [--pairs 3] [--stretches 40] [--records N]
        [--json FILE]

Needs chromium and playwright. A row is appended at a random instant; its time ends with the frame
after the one that draws it. The training is `gaussian` in another process, by turns alone and with
ten pages that read its stream: its CPU time, and its system calls that read and write, are those
of the training process alone. For the ratio of CPU times one training goes through stretches of 250
steps, in pairs: in one of each pair the server of its ten pages is stopped. `--records 1000000`
measures a long log of the default recipe's keys, and nothing else: from the navigation of the
browser to the first curve, and to the whole log, by the clock and in CPU time of server and
browser.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.speed import machine
from ganforge.config import convert
from ganforge.recipes import cdcgan
from ganforge.runs import folder
from ganforge.runs.folder import Run, append_log

DRAWN = """(rows) => new Promise((done) => {
  const look = () => {
    const found = watch.runs.get(0);
    if (found && found.rows >= rows) requestAnimationFrame(() => requestAnimationFrame(done));
    else setTimeout(look, 1);
  };
  look();
})"""
PAGES = 10


def made(path: Path) -> Run:
    """A run folder with an empty log."""
    run = Run(path)
    run.samples.mkdir(parents=True)
    (run.path / folder.CONFIG).write_text(convert.dumps(cdcgan()))
    run.write_info(status="finished", name="cdcgan", step=0, steps=1000, seed=0)
    append_log(run.log_path, [record(0)])
    return run


def record(step: int) -> dict[str, Any]:
    return {"step": step, "epoch": step / 100, "loss_d": step % 7, "loss_g": -step}


def served(run: Path) -> tuple[subprocess.Popen[str], int]:
    """`ganforge watch` on a free port."""
    command = [sys.executable, "-u", "-m", "ganforge", "watch", str(run), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    return process, int(line.partition("127.0.0.1:")[2].partition("/")[0])


def to_screen(rows: int) -> dict[str, Any]:
    """Milliseconds from a row to its drawing."""
    from playwright.sync_api import sync_playwright

    rng, waits = random.Random(0), []
    with tempfile.TemporaryDirectory() as place, sync_playwright() as driver:
        run = made(Path(place) / "run")
        process, port = served(run.path)
        flags = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{port}/")
        page.evaluate(DRAWN, 1)
        for i in range(1, rows + 1):
            time.sleep(rng.uniform(0.3, 0.6))
            began = time.monotonic()
            append_log(run.log_path, [record(i)])
            page.evaluate(DRAWN, i + 1)
            waits.append(1000 * (time.monotonic() - began))
        browser.close()
        process.terminate()
        process.wait()
    p50, p99 = np.quantile(waits, [0.5, 0.99])
    return {"rows": rows, "p50_ms": round(p50), "p99_ms": round(p99), "largest_ms": max(waits)}


PAIRED = ("adversarial", "classification", "gradient", "loss")
KEYS = [f"{key}_{player}" for key in PAIRED for player in "dg"]
KEYS += ["d_fake", "d_real", "images_per_second", "logit_fake", "logit_real", "seconds"]


def long_log(records: int) -> dict[str, Any]:
    """Seconds by the clock, and megabytes that a page has received, of a long log."""
    from playwright.sync_api import sync_playwright

    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as place, sync_playwright() as driver:
        run = made(Path(place) / "run")
        for start in range(1, records, 10_000):
            steps = range(start, min(records, start + 10_000))
            values = rng.normal(size=(len(steps), len(KEYS))).tolist()
            append_log(
                run.log_path,
                [record(step) | dict(zip(KEYS, row, strict=True))
                 for step, row in zip(steps, values, strict=True)],
            )  # fmt: skip
        found: dict[str, Any] = {"log_mb": round(run.log_path.stat().st_size / 1e6)}
        process, port = served(run.path)
        flags = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        page, received = browser.new_page(), [0]
        network = page.context.new_cdp_session(page)
        network.send("Network.enable")
        network.on("Network.dataReceived", lambda data: received.append(data["dataLength"]))
        began, before = time.monotonic(), descendants_cpu()
        page.goto(f"http://127.0.0.1:{port}/")
        for name, rows in (("first_curve", 1000), ("whole_log", records)):
            page.evaluate(DRAWN, rows)
            found[f"{name}_s"] = round(time.monotonic() - began, 2)
            found[f"{name}_cpu_s"] = round(descendants_cpu() - before, 2)
            found[f"{name}_mb"] = round(sum(received) / 1e6, 1)
        browser.close()
        process.terminate()
        process.wait()
    return found


def descendants_cpu() -> float:
    """Seconds of CPU time of the processes that this one began, and of theirs."""
    parents, ticks = dict[int, int](), dict[int, int]()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        pid = int(stat.parent.name)
        parents[pid], ticks[pid] = int(fields[1]), int(fields[11]) + int(fields[12])
    family, new = set[int](), {os.getpid()}
    while new:
        new = {pid for pid, parent in parents.items() if parent in new}
        family |= new
    return sum(ticks[pid] for pid in family) / os.sysconf("SC_CLK_TCK")


def reader(port: int, end: threading.Event) -> None:
    """A page that reads the stream."""
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(f"GET /events HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        client.settimeout(0.5)
        while not end.is_set():
            try:
                if not client.recv(1 << 16):
                    return
            except TimeoutError:
                continue


def trained(pages: int) -> dict[str, float]:
    """CPU seconds, and calls that read and write, of one training."""
    with tempfile.TemporaryDirectory() as place:
        run, end = Path(place) / "run", threading.Event()
        words = ["train", "gaussian", "--epochs", "15", "--threads", "1", "--out", str(run)]
        command = [sys.executable, "-m", "ganforge", *words]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        while not (run / folder.CONFIG).exists():
            time.sleep(0.02)
        watching = served(run) if pages else None
        readers = [threading.Thread(target=reader, args=(watching[1], end))
                   for _ in range(pages) if watching]  # fmt: skip
        for one in readers:
            one.start()
        calls = ""
        while process.poll() is None:
            try:
                calls = Path(f"/proc/{process.pid}/io").read_text() or calls
            except OSError:
                break
            time.sleep(0.005)
            if Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                break
        _, _, usage = os.wait4(process.pid, 0)
        end.set()
        for one in readers:
            one.join()
        if watching:
            watching[0].terminate()
            watching[0].wait()
    counts = dict(line.split(": ") for line in calls.splitlines())
    return {
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "reads": int(counts.get("syscr", 0)),
        "writes": int(counts.get("syscw", 0)),
    }


# A training that waits for a line before each stretch of 250 steps, and says its CPU time after it.
STRETCHES = """
import dataclasses, sys, time
import ganforge as gf
recipe = gf.recipes.gaussian()
output = dataclasses.replace(recipe.output, log_every=250, save_every=1e5, sample_every=2)
config = dataclasses.replace(recipe, epochs=1e5, threads=1, output=output)
before = 0.0
for _ in gf.iterate(config, sys.argv[1]):
    print(time.process_time() - before, flush=True)
    sys.stdin.readline()
    before = time.process_time()
"""


def by_turns(pairs: int) -> dict[str, float]:
    """CPU time of a stretch beside ten pages over that of one alone: the mean ratio, its error."""
    rng, times = random.Random(0), {True: list[float](), False: list[float]()}
    with tempfile.TemporaryDirectory() as place:
        run, end = Path(place) / "run", threading.Event()
        training = subprocess.Popen(
            [sys.executable, "-c", STRETCHES, str(run)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
        )  # fmt: skip
        assert training.stdin is not None and training.stdout is not None
        training.stdout.readline()
        server, port = served(run)
        readers = [threading.Thread(target=reader, args=(port, end)) for _ in range(PAGES)]
        for one in readers:
            one.start()
        for _ in range(pairs):
            for pages in rng.sample([True, False], 2):
                server.send_signal(signal.SIGCONT if pages else signal.SIGSTOP)
                training.stdin.write("go\n")
                times[pages].append(float(training.stdout.readline()))
        server.send_signal(signal.SIGCONT)
        end.set()
        for process in (training, server):
            process.kill()
            process.wait()
        for one in readers:
            one.join()
    ratios = np.log(np.array(times[True]) / np.array(times[False]))
    error = float(ratios.std(ddof=1)) / pairs**0.5
    return {
        "pairs": pairs,
        "alone_s": round(sum(times[False]), 2),
        "ratio": round(float(np.exp(ratios.mean())), 4),
        "median": round(float(np.exp(np.median(ratios))), 4),
        "error": round(error, 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--stretches", type=int, default=40)
    parser.add_argument("--records", type=int, default=0)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if given.records:
        print(json.dumps(long_log(given.records), indent=1))
        return
    found: dict[str, Any] = {"machine": machine.describe(1)}
    if given.rows:
        found["to_screen"] = to_screen(given.rows)
    found["by_turns"] = by_turns(given.stretches)
    found["training"] = [
        {f"{pages}_pages": trained(pages) for pages in (0, PAGES)} for _ in range(given.pairs)
    ]
    print(json.dumps(found, indent=1))
    if given.json:
        given.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
