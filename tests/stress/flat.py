"""Memory and open files stay flat over a long run of the toy: they grow by less than 1 %."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from ganforge.training import loop
from tests.stress.games import game, warm
from tests.stress.harness import Options, Tally, fork, run, wait

START = 0.2  # of the run: caches are full by then


def resident() -> int:
    """This process's memory, in bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def handles() -> int:
    """How many files this process has open."""
    return len(os.listdir("/proc/self/fd"))


def watched(options: Options) -> int:
    """Train, and write what was measured at the start and at the end."""
    config, data = game("toy", options.n)
    # every 250 steps, so that the shortest run has saved and sampled before START too
    output = replace(config.output, log_every=100, save_every=2.0, sample_every=2.0)
    figures = []
    for progress in loop.train(replace(config, output=output), options.scratch / "run", data=data):
        if progress.step and progress.step >= START * options.n:
            figures.append((progress.step, resident(), handles()))
    tenth = max(
        1, len(figures) // 10
    )  # of the records: an early and a late stretch, not two points
    early, late = figures[:tenth], figures[-tenth:]
    means = [[sum(f[i] for f in part) / len(part) for i in (1, 2)] for part in (early, late)]
    (options.scratch / "figures").write_text(" ".join(str(x) for pair in means for x in pair))
    return 0


def attack(options: Options, tally: Tally) -> None:
    """n: steps."""
    warm()
    said = options.scratch / "said"
    code = wait(fork(lambda: watched(options), said))
    tally.tries = options.n
    if not tally.check(code == 0, f"the run failed: {said.read_text()[-500:]}"):
        return
    before, files, after, more = map(float, (options.scratch / "figures").read_text().split())
    growth = 100 * (after / before - 1)
    tally.facts |= {"MB at the end": round(after / 1e6, 1), "% more memory": round(growth, 3)}
    tally.facts["files open"] = round(more)
    tally.check(growth < 1, f"memory grew by {growth:.2f} %")
    tally.check(more <= 1.01 * files, f"open files grew from {files:.0f} to {more:.0f}")


if __name__ == "__main__":
    raise SystemExit(run("flat", attack, 20_000, __doc__))
