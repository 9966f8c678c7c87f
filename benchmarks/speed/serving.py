"""The service under load: requests a second of the server's CPU time, together and one by one.

    python -m benchmarks.speed.serving RUN [--seconds 5] [--json FILE]

Clients are connections of this process that ask again as soon as they have their answer. A rate is
by the CPU time of the server's process, which other work on the machine changes little; latencies
are by the clock. "one by one" is the same server with rounds of one request.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.speed import machine

TICK = os.sysconf("SC_CLK_TCK")
CLIENTS = (1, 16, 64)


def served(run: Path, together: int) -> None:
    """The server, in its process: rounds of at most so many samples."""
    import torch

    from ganforge.runs import load
    from ganforge.serve import app, server
    from ganforge.serve.access import Access
    from ganforge.serve.limits import Limits

    torch.set_num_threads(1)
    limits = Limits(round=together)
    models = app.models([("model", load.open_sampler(run))])
    with server.bound("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        made = app.application(models, Access(port=port), limits)
        print(port, flush=True)
        server.run(made, listening, limits)


def cpu(pid: int) -> float:
    """Seconds of CPU time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def memory(pid: int) -> float:
    """MB that a process has in memory."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


async def client(port: int, n: int, end: float, first: int, seconds: list[float]) -> None:
    """One connection that asks until the time is over."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    seed = first
    while time.monotonic() < end:
        seed += 1
        body = json.dumps({"n": n, "seed": seed, "label": seed % 10}).encode()
        head = f"POST /sample HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Type: application/json"
        began = time.monotonic()
        writer.write(f"{head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200"), answer
        length = answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        await reader.readexactly(int(length))
        seconds.append(time.monotonic() - began)
    writer.close()


async def load(port: int, pid: int, clients: int, n: int, seconds: float) -> dict[str, Any]:
    """So many clients for so long."""
    waits: list[float] = []
    await asyncio.gather(*(client(port, n, time.monotonic() + 0.5, 0, []) for _ in range(clients)))
    before, end = cpu(pid), time.monotonic() + seconds
    tasks = (client(port, n, end, 10_000_019 * i, waits) for i in range(clients))
    await asyncio.gather(*tasks)
    spent = cpu(pid) - before
    p50, p99 = np.quantile(waits, [0.5, 0.99]) * 1000
    return {
        "clients": clients,
        "n": n,
        "requests": len(waits),
        "requests_per_cpu_second": round(len(waits) / spent, 1),
        "samples_per_cpu_second": round(n * len(waits) / spent, 1),
        "p50_ms": round(p50, 1),
        "p99_ms": round(p99, 1),
    }


def measured(
    run: Path, together: int, seconds: float, counts: list[int], memory_for: int = 10_000
) -> list[dict[str, Any]]:
    """The rates of a server with rounds of `together` samples, its memory over some requests."""
    command = [sys.executable, "-m", "benchmarks.speed.serving", str(run), "--serve", str(together)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        asyncio.run(ready(port))
        out = [
            asyncio.run(load(port, process.pid, clients, n, seconds))
            for n in counts
            for clients in CLIENTS
        ]
        before = memory(process.pid)
        done = 0
        while together > 1 and done < memory_for:
            done += asyncio.run(load(port, process.pid, 64, 1, 5))["requests"]
        growth = round(memory(process.pid) - before, 1)
        process.terminate()
    if done:
        out.append({"requests": done, "memory_mb": round(before, 1), "growth_mb": growth})
    return out


async def ready(port: int) -> None:
    """Returns when the server accepts connections."""
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--serve", type=int)
    given = parser.parse_args()
    if given.serve:
        served(given.run, given.serve)
        return
    together = measured(given.run, 256, given.seconds, [1, 64])
    single = measured(given.run, 1, given.seconds, [1])
    ratios = {
        f"together_over_one_by_one_{a['clients']}": round(
            a["requests_per_cpu_second"] / b["requests_per_cpu_second"], 2
        )
        for a, b in zip(together, single, strict=False)
    }
    found = {"machine": machine.describe(1), "together": together, "one_by_one": single, **ratios}
    print(json.dumps(found, indent=1))
    if given.json:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
