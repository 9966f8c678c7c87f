"""ganforge reproduce."""

from __future__ import annotations

import math
from pathlib import Path

from ganforge.cli.arguments import again
from ganforge.cli.options import Format, Lines, given
from ganforge.errors import check, choice


def reproduce(
    experiment: str,
    /,
    *,
    seeds: str | None = None,
    budget: float | None = None,
    out: Path | None = None,
    threads: int = 0,
    format: Format = "text",
) -> Lines:
    """Repeat a published experiment, and print its table with our row. The command can be resumed.

    parzen: the adversarial nets of 2014 on MNIST, log-likelihood under a Parzen window. ring, grid:
    modes, precision and balance on 8 and 25 Gaussians; ring-published, grid-published: the same
    with the plain GAN of those tables. ranking: the report's GAN, DCGAN and CGAN compared. pix2pix,
    pix2pix-64, cyclegan: the ablations of both on line drawings and colours, at 32 and 64 pixels.
    fewshot: augmentation on a tenth and on all of Fashion-MNIST.

    Parameters
    ----------
    experiment
        parzen, ring, grid, ring-published, grid-published, ranking, pix2pix, pix2pix-64, cyclegan
        or fewshot.
    seeds
        The seeds, as 0..4 or 0,1,2. [default: 0 for parzen, 0..9 for ring and grid, else 0..4]
    budget
        The epochs of every run. One is 500 iterations of parzen, or 1,000 of the published ring
        and grid (which had 400). [default: the budget of docs/results.md]
    out
        The folder for runs and tables. [default: runs/reproduce-EXPERIMENT]
    threads
        The number of CPU threads, 0 for all.
    format
        The table as text, md, csv, latex (booktabs) or json; if not text, all else goes to stderr.
    """
    try:
        from ganforge.cli import tables
        from ganforge.experiments.plan import parse
        from ganforge.reproduce import EXPERIMENTS

        choice("experiment", experiment, list(EXPERIMENTS))
        valid = budget is None or 0 < budget < math.inf
        check(valid, "budget", budget, "a number of epochs above 0")
        check(threads >= 0, "threads", threads, "0 (all) or more")
        folder = out or Path("runs") / f"reproduce-{experiment}"
        numbers = given(seeds=None if seeds is None else parse(seeds))
        with tables.remarks(format):
            found = EXPERIMENTS[experiment](folder, budget=budget, threads=threads, **numbers)
    except KeyboardInterrupt:
        yield f"stopped; to go on from the last checkpoint: {again()}"
        return 130
    with tables.remarks(format):
        yield f"{found.text}\nsaved in {folder}"
    if format != "text":
        yield tables.render(found.table, format)
    return 0
