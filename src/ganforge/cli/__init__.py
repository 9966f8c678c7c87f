"""The command line: parse, call one function, print. Nothing here computes, nothing below prints.

A file for each kind of command; each hangs its commands on `app`.
"""

from ganforge.cli import data, judge, look, train
from ganforge.cli.app import app, main

__all__ = ["app", "data", "judge", "look", "main", "train"]
