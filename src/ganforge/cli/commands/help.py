"""ganforge help."""

from __future__ import annotations

from ganforge.errors import UsageError, choice


def show(*command: str) -> None:
    """Print the help of a command, as COMMAND --help does.

    Parameters
    ----------
    command
        A command, such as train, or data show. [default: the list of commands]
    """
    from ganforge.cli.app import application

    whole = inside = application()
    for number, word in enumerate(command):
        known = [name for name in inside if not name.startswith("-")]
        if not known:
            raise UsageError(f"help: {' '.join(command[:number])} has no command {word!r} in it")
        choice("command", word, known)
        inside = inside[word]
    whole.help_print(list(command))
