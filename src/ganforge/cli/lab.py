"""ganforge lab."""

from __future__ import annotations

from ganforge.cli.app import Target, app


@app.command
def lab(name: str | None = None, /, *, output: Target = None, seed: int = 0) -> int:
    """Make the theory visible: a figure, and two sentences on what is to be seen in it.

    Parameters
    ----------
    name
        figure1, losses, divergence, equilibrium, noise or landscape. [default: list them]
    output
        A .png; a film is put beside it. [default: runs/lab/NAME.png, with a seed
        NAME-seed-SEED.png]
    seed
        Of the games and the tests.
    """
    from ganforge.commands import lab as commands

    if name is None:
        print(commands.experiments())
        return 0
    for line in commands.show(name, output, seed):
        print(line, flush=True)
    return 0
