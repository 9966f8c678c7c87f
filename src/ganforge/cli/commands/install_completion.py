"""ganforge --install-completion."""

from __future__ import annotations

from typing import Literal

from ganforge.errors import UsageError


def install(*, shell: Literal["bash", "zsh", "fish"] | None = None) -> str:
    """Let the Tab key complete commands and options in bash, zsh or fish.

    Writes a script to the folder of completions of the shell; of bash and zsh also a line that
    loads the script to ~/.bashrc or ~/.zshrc.

    Parameters
    ----------
    shell
        The shell. [default: the one that this command is called from]
    """
    from cyclopts.completion.detect import ShellDetectionError, detect_shell

    from ganforge.cli.app import application

    try:
        found = shell or detect_shell()
    except ShellDetectionError:
        raise UsageError("the shell is not known: add --shell bash, zsh or fish") from None
    if found not in ("bash", "zsh", "fish"):
        raise UsageError(f"there is no completion for {found}: add --shell bash, zsh or fish")
    script = application().install_completion(shell=found)
    loads = {"bash": ", loaded by ~/.bashrc", "zsh": ", on the path that ~/.zshrc sets"}
    return f"completion for {found} in {script}{loads.get(found, '')}; open a new shell to use it"
