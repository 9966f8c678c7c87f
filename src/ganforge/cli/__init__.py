"""The command line: parse, call one function, print. Nothing here computes, nothing below prints.

A file for each kind of command; each hangs its commands on `app`.
"""

from ganforge.cli import (
    compare,
    data,
    diagnose,
    help,
    judge,
    lab,
    look,
    report,
    reproduce,
    train,
)
from ganforge.cli.app import app, main

__all__ = [
    "app",
    "compare",
    "data",
    "diagnose",
    "help",
    "judge",
    "lab",
    "look",
    "main",
    "report",
    "reproduce",
    "train",
]
