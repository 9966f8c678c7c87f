"""The model in the package: a run's generator in 16 bits, with its scores on its card.

ganforge train --seed 0 --threads 1 --precision fp32 --out runs/builtin
OMP_NUM_THREADS=1 python -m benchmarks.quality.builtin runs/builtin src/ganforge/runs/cdcgan-mnist
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

import ganforge as gf
from ganforge import files
from ganforge.evaluation.score import Score
from ganforge.runs import model
from ganforge.runs.builtin import NAME
from ganforge.runs.folder import Run
from ganforge.runs.load import load_config

COMMANDS = __doc__.partition("\n\n")[2].strip()
SCORED = 10_000  # samples, and as many pictures of MNIST's test file
COMPARED = 1_000  # samples that are made from both forms of the weights
SHOWN = ("frechet", "label-accuracy")


def build(run: Path, out: Path) -> str:
    """Write the model folder of `run` in 16 bits to `out`; its card."""
    full = gf.load(run).sampler
    said = json.loads(files.read_file(Run(run).model / model.CONFIG))["training"]
    config = load_config(Run(run))
    del said["config"]
    model.save(out, full, config, said, half=True)
    half = gf.load(out)
    levels = abs(half.sample(COMPARED).astype(int) - full.sample(COMPARED)).max()
    scores = gf.evaluate(half, data=config.data, n=SCORED, metrics=list(SHOWN))
    text = card(scores, int(levels), files.file_digest(out / model.WEIGHTS))
    files.save_file(out / model.CARD, text.encode())
    return text


def card(scores: list[Score], levels: int, sha256: str) -> str:
    """README.md of the folder: what the model is, how good, under which licences, how made."""
    rows = "".join(f"| {s.name} | {s.value:.4g} | {s.floor:.4g} | {s.verdict} |\n" for s in scores)
    return f"""---
library_name: ganforge
license: apache-2.0
datasets: [ylecun/mnist]
tags: [gan, cdcgan]
---
# {NAME}

Handwritten digits of a chosen label, 28 x 28: the default recipe of ganforge, trained on MNIST.
The model is a part of the package.

```python
import ganforge as gf

eights = gf.load("{NAME}").sample(16, labels=8, seed=0)  # (16, 28, 28, 1) uint8
```

| metric, test split, N = {SCORED:,} | value | of real digits | verdict |
|---|---|---|---|
{rows}
Weights are stored in 16 bits; of {COMPARED:,} samples no pixel differs from those of the 32-bit
weights by more than {levels} of 255 levels.

Made by

```sh
{COMMANDS}
```

The bits of the weights depend on the processor and the version of torch; another machine gives
another sha256. sha256 of model.safetensors: {sha256}

Licence of the weights: Apache-2.0, as the package. Data: MNIST (Y. LeCun, C. Cortes, C. Burges),
CC BY-SA 3.0, its 55,000 training pictures. Samples are for teaching and tests: they imitate the
hands of MNIST's writers, and nothing else was tried.
"""


def main() -> None:
    """Build the folder and print its card."""
    if len(sys.argv) != 3:
        raise SystemExit("usage: python -m benchmarks.quality.builtin RUN OUT (two folders)")
    torch.set_num_threads(1)
    print(build(Path(sys.argv[1]), Path(sys.argv[2])))


if __name__ == "__main__":
    main()
