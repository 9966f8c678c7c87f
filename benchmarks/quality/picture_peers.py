"""Other systems on a folder of pictures, for the same CPU seconds and scored as ours.

    python -m benchmarks.quality.picture_peers dcgan --train emoji64/train \\
        --held-out emoji64/test --minutes 30 --points 3 SETTING=NUMBER ...

The peer trains in a process of its own, on one thread, by `--python`: the interpreter of its
environment (see peers/pypi.py). Its samples are scored by the function that scores ours, and the
record, a line of --results, has the same form as those of `benchmarks.quality.pictures`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.quality import pictures as ours
from benchmarks.quality.peers.play import PEERS
from ganforge.data.dataset import Examples
from ganforge.evaluation.inputs import Real
from ganforge.types import Array

ROOT = Path(__file__).parents[2]


def main(command: list[str] | None = None) -> None:
    """Train in the other process, score each point, append a line."""
    asked = arguments(command)
    data = ours.whole(asked.train, asked.size)
    real = Real(data, ours.whole(asked.held_out, asked.size))
    points = []
    for point, samples in played(asked, data.values):
        points.append(point | ours.scores(Examples(samples, None), real, asked.n))
        print(asked.name, points[-1], flush=True)
        ours.save_grid(samples[:64], asked)
    ours.append(asked, recipe=f"peer {asked.peer}", seed=asked.seed, points=points)


def arguments(command: list[str] | None) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peer", choices=list(PEERS))
    ours.add_common(parser, seed=0)
    parser.add_argument("--name", help="in the record; default: the peer's")
    parser.add_argument("--python", default=sys.executable, help="of the peer's environment")
    asked = parser.parse_args(command)
    asked.name = asked.name or asked.peer
    return asked


def played(asked: argparse.Namespace, pictures: Array) -> Iterator[tuple[dict[str, float], Array]]:
    """Each point that the other process prints, with its samples (n, H, W, 3)."""
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "pictures.npy", pictures)
        words = [
            asked.python, "-m", "benchmarks.quality.peers.play", asked.peer,
            f"{folder}/pictures.npy", folder, *asked.settings,
            "--seconds", str(60 * asked.minutes), "--points", str(asked.points),
            "--n", str(asked.n), "--seed", str(asked.seed),
        ]  # fmt: skip
        one_thread = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=one_thread) as peer:
            assert peer.stdout is not None
            for number, line in enumerate(x for x in peer.stdout if x.startswith("{")):
                yield json.loads(line), np.load(Path(folder) / f"{number}.npy")
        if peer.returncode:
            raise SystemExit(f"{asked.peer}: its process ended with {peer.returncode}")


if __name__ == "__main__":
    main()
