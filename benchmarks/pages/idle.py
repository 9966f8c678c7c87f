"""By the clock, for an idle machine: ONNX export, waits of the service, first picture, live page.

    python -m benchmarks.pages.idle RUN [--seconds 5] [--rows 60] [--json FILE]

Needs the extras `onnx` and `serve`, chromium and playwright; three minutes. `busy` is the part of
the machine that other processes took in the seconds before: beyond some hundredths the figures say
more about them.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import ganforge as gf
from benchmarks.pages import live
from benchmarks.speed import machine, serving

# The instant, in milliseconds after navigation, at which the first picture is on its canvas.
FIRST = """
const look = () => {
  const canvas = document.getElementById("picture");
  if (canvas && canvas.width !== 300) globalThis.first = performance.now();
  else requestAnimationFrame(look);
};
look();
"""
ONE = """() => {
  const before = performance.now();
  for (let i = 0; i < 200; i++) demo.samples(1, { seed: i });
  return (performance.now() - before) / 200;
}"""


def busy(seconds: float = 3.0) -> float:
    """The part of all cores that is taken while this process sleeps."""

    def times() -> tuple[int, int]:
        fields = [int(v) for v in Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
        return sum(fields), fields[3] + fields[4]

    before = times()
    time.sleep(seconds)
    whole, idle = (b - a for a, b in zip(before, times(), strict=True))
    return round(1 - idle / whole, 3)


def exports(run: Path, count: int = 3) -> dict[str, Any]:
    """Seconds by the clock and of CPU time, and MB, of `ganforge export`."""
    rows = []
    for _ in range(count):
        with tempfile.TemporaryDirectory() as place:
            words = ["export", str(run), "-o", f"{place}/model.onnx"]
            began = time.monotonic()
            process = subprocess.Popen(
                [sys.executable, "-m", "ganforge", *words], stdout=subprocess.DEVNULL
            )
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            assert process.returncode == 0, "the export failed"
            seconds = time.monotonic() - began
        rows.append((seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024))
    seconds, cpu, memory = np.max(rows, axis=0)
    return {"seconds": round(seconds, 1), "cpu_seconds": round(cpu, 1), "mb": round(memory)}


def page(run: Path, starts: int = 5) -> dict[str, Any]:
    """Milliseconds to the first picture of each start, and for one more picture."""
    from playwright.sync_api import sync_playwright

    firsts, ones = [], []
    with tempfile.TemporaryDirectory() as place, sync_playwright() as driver:
        path = gf.demo(run, Path(place) / "demo.html")
        flags = ["--no-sandbox"] if os.geteuid() == 0 else []
        for _ in range(starts):
            browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
            opened = browser.new_page()
            opened.add_init_script(FIRST)
            opened.goto(path.as_uri())
            while not opened.evaluate("globalThis.first ?? 0"):
                opened.wait_for_timeout(20)
            firsts.append(round(opened.evaluate("globalThis.first")))
            opened.wait_for_timeout(1000)  # the grid, the walk and the plane
            ones.append(opened.evaluate(ONE))
            browser.close()
    return {"first_ms": firsts, "one_ms": round(float(np.median(ones)), 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rows", type=int, default=60)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    parts = {
        "export": lambda: exports(given.run),
        "service": lambda: serving.measured(given.run, 256, given.seconds, [1], memory_for=0),
        "page": lambda: page(given.run),
        "live": lambda: live.to_screen(given.rows),
    }
    found: dict[str, Any] = {"machine": machine.describe(1)}
    for name, measured in parts.items():
        found[name] = {"busy": busy(), "measured": measured()}
        print(json.dumps({name: found[name]}), flush=True)
    if given.json:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
