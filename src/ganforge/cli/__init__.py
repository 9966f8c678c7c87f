"""The command line: `main` runs one command of the table in `commands`."""

from ganforge.cli.app import main

__all__ = ["main"]
