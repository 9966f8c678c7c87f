"""ganforge demo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from ganforge.cli.options import Flag, Output, in_this_folder, output_path, require_new, user_code


def demo(
    run: Path,
    /,
    *,
    output: Output = None,
    full: Annotated[bool, Flag] = False,
    largest: float = 25.0,
    train: Annotated[bool, Flag] = False,
    overwrite: Annotated[bool, Flag] = False,
    code: Path | None = None,
) -> str:
    """Write the generator as one HTML page, which makes samples in any browser.

    Parameters
    ----------
    run
        A run folder, a model folder or cdcgan-mnist, the model in the package; with --train,
        the name of a recipe.
    output
        The .html file. [default: demo.html in the run; with --train, RECIPE.html]
    full
        Store the weights in 32 bits instead of 16: the file is twice as large, and fewer pixels
        differ by a level.
    largest
        The largest size of the page in MB; a larger one is refused.
    train
        Write a page on which both players of a recipe learn: gaussian, gaussian-stable, ring, grid
        or wgan-gp-toy.
    overwrite
        Replace a file that exists.
    code
        Your FILE.py, for a model whose networks are your code.
    """
    from ganforge.export.demo import game, page

    output = output or in_this_folder(run, "demo.html")
    out = output_path(output, Path(f"{run}.html") if train else run / "demo.html", ".html")
    require_new([out] if output or train else [], overwrite)
    if train:
        game.game(str(run), out)
    else:
        page.demo(run, out, full=full, largest=largest, networks=user_code(code))
    return f"{out} ({out.stat().st_size / 1e6:.2f} MB)"
