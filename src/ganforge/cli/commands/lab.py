"""ganforge lab."""

from __future__ import annotations

from pathlib import Path

from ganforge.cli.options import Lines, Output, output_path
from ganforge.errors import choice
from ganforge.text import columns


def lab(name: str | None = None, /, *, output: Output = None, seed: int = 0) -> Lines:
    """Draw a figure of the theory, and print two sentences on what it shows.

    Parameters
    ----------
    name
        The figure: figure1, losses, divergence, equilibrium, noise or landscape. [default: list
        them]
    output
        The .png file; if there is a film, it lies beside the file. [default: runs/lab/NAME.png;
        with a seed, NAME-seed-SEED.png]
    seed
        The seed of the games and the tests.
    """
    from ganforge import files, theory
    from ganforge.plotting import style
    from ganforge.theory import page

    if name is None:
        table = columns([(each, str(getattr(theory, each).__doc__)) for each in theory.EXPERIMENTS])
        yield f"{table}\n\n`ganforge lab NAME` trains what it needs and draws."
        return 0
    choice("experiment", name, list(theory.EXPERIMENTS))
    default = Path(f"runs/lab/{name}-seed-{seed}.png" if seed else f"runs/lab/{name}.png")
    out = output_path(output, default, ".png")
    shown = yield from theory.EXPERIMENTS[name](seed)
    yield str(files.save_file(out, style.png(shown.figure, page.COLOURS)))
    if shown.film:
        yield str(files.save_file(out.with_suffix(".gif"), page.gif(shown.film)))
    yield shown.says
    return 0
