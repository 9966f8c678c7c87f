"""ganforge help."""

from __future__ import annotations

from ganforge.cli.app import app
from ganforge.errors import UsageError, choice


@app.command(name="help")
def show(*command: str) -> int:
    """Print the help of a command, as COMMAND --help does.

    Parameters
    ----------
    command
        Such as train, or data show. [default: the list of commands]
    """
    inside = app
    for number, word in enumerate(command):
        known = [name for name in inside if not name.startswith("-")]
        if not known:
            raise UsageError(f"help: {' '.join(command[:number])} has no command {word!r} in it")
        choice("command", word, known)
        inside = inside[word]
    app.help_print(list(command))
    return 0
