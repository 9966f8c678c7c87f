"""How well a categorical code of an unlabelled game finds the digit.

    python -m benchmarks.quality.codes RUN...

Each class of the code is matched with one digit, so that the most examples agree. The error is the
share of examples that do not: of samples of every class, which `mnist-lenet` reads, and of the test
digits, whose class Q infers (Chen et al. 2016 report the second, about 5 %).
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from ganforge.data.load import load as load_data
from ganforge.data.spec import encode
from ganforge.evaluation import features
from ganforge.nets.codes import Inferring
from ganforge.runs import folder, load
from ganforge.types import Array, Ints

EACH = 1_000  # samples of each class


def matched(codes: Array, digits: Array, classes: int = 10) -> tuple[float, Ints]:
    """(error, the digit of each class): codes and digits (N,) in 0..classes - 1."""
    table = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(table, (codes, digits), 1)
    rows, columns = linear_sum_assignment(-table)
    return 1 - float(table[rows, columns].sum()) / len(codes), columns


def of_samples(path: Path, code: str = "digit") -> tuple[float, Ints]:
    """The error of samples of each class of a code."""
    sampler = load.open_sampler(path)
    made = [sampler.sample(EACH, seed=k, codes={code: k}) for k in range(10)]
    digits = features.classify(np.concatenate(made)).argmax(1)
    return matched(np.repeat(np.arange(10), EACH), digits)


def of_digits(path: Path) -> tuple[float, Ints]:
    """The error of Q on the test digits; the code is the first of the generator."""
    run = folder.open_run(path)
    spec, saved = load.load_spec(run), load.newest_checkpoint(run)
    assert spec is not None and saved is not None
    q = load.load_players(load.load_config(run), spec, saved)["discriminator"]
    assert isinstance(q, Inferring)
    test = load_data("mnist", part="test")
    assert test.labels is not None
    said = []
    with torch.no_grad():
        for start in range(0, len(test.values), 500):
            values = torch.from_numpy(np.array(test.values[start : start + 500]))
            said.append(q.logits_and_codes(encode(values, spec))[1][:, : q.codes[0].size])
    return matched(torch.cat(said).argmax(1).numpy(), np.asarray(test.labels))


def main(paths: list[str]) -> None:
    for path in map(Path, paths):
        made, digits = of_samples(path)
        real, _ = of_digits(path)
        print(f"{path}: samples {made:.1%} wrong, test digits {real:.1%} wrong; {digits.tolist()}")


if __name__ == "__main__":
    main(sys.argv[1:])
