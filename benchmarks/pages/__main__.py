"""For each run: bytes of its page, CPU time of a start and of samples, pixels that differ.

    python -m benchmarks.pages runs/cdcgan [--count 1000]

Needs node. Times are CPU times of the whole process, so they say little about waiting.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import ganforge as gf
from ganforge.export.demo import page

SCRIPT = """
import { readFileSync, writeFileSync } from "node:fs";
import * as engine from "WEB/engine.mjs";
import { Sampler } from "WEB/sampler.mjs";
const [html, kind, count, out] = process.argv.slice(1);
const text = readFileSync(html, "utf8");
const part = (id) => new RegExp(`id="${id}">([^<]*)<`).exec(text)[1];
const cpu = (since) => { const t = process.cpuUsage(since); return (t.user + t.system) / 1000; };
const model = JSON.parse(part("model"));
const weights = part("weights");
let before = process.cpuUsage();
const loops = kind === "simd"
  ? await engine.simd(engine.fromBase64(part("engine"))) : engine.plain();
const made = new engine.Engine(model, engine.fromBase64(weights), loops);
const sampler = new Sampler(model, made);
sampler.samples(1);
const start = cpu(before);
const rate = (batch) => {
  sampler.samples(batch);
  let done = 0;
  const before = process.cpuUsage();
  while (cpu(before) < 3000) { sampler.samples(batch, { first: done }); done += batch; }
  return done / cpu(before) * 1000;
};
const [one, many] = [rate(1), rate(16)];
if (Number(count)) {
  const all = Float32Array.from(sampler.samples(Number(count)));
  writeFileSync(out, new Uint8Array(all.buffer));
}
console.log(JSON.stringify({ start, one, many }));
"""


def measured(html: Path, kind: str, count: int, out: Path) -> dict[str, Any]:
    """start (CPU ms to the first sample), one and many (samples a CPU second, 1 and 16 a call)."""
    script = SCRIPT.replace("WEB/", page.WEB.as_uri() + "/")
    done = subprocess.run(
        ["node", "--input-type=module", "-e", script, html, kind, str(count), out],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return dict(json.loads(done.stdout))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--count", type=int, default=1000)
    given = parser.parse_args()
    for run in given.runs:
        sampler = gf.load(run)
        wanted = sampler.sample(given.count)
        if wanted.ndim == 4:
            wanted = wanted.transpose(0, 3, 1, 2)
        for full in (False, True):
            with tempfile.TemporaryDirectory() as folder:
                html, out = Path(folder) / "demo.html", Path(folder) / "samples"
                html.write_text(page.html(sampler, full))
                row = {"run": Path(run).name, "full": full, "bytes": html.stat().st_size}
                row["simd"] = measured(html, "simd", given.count, out)
                gap = np.abs(np.fromfile(out, "<f4").reshape(wanted.shape) - wanted)
                row |= {"largest": float(gap.max()), "differ": float((gap > 0).mean())}
                if not full:
                    row["plain"] = measured(html, "plain", 0, out)
            print(json.dumps(row))


if __name__ == "__main__":
    main()
