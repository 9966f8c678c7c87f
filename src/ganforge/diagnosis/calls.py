"""What a finding recommends, in Python: its command as the call that does the same."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ganforge.diagnosis.remedies import STOP, options_of

SAME = "the same command with"
SHORT = {"every": "output.score_every"}  # options with shorter names than their settings
# a command in a line of text; its words end at a blank, a semicolon, a backtick, a )
COMMAND = re.compile(rf"(?:ganforge (?:train|evaluate|data)|{SAME})(?: (?:'[^']*'|[^\s;`')])+)+")
STOP_SETTINGS = options_of(replace(STOP, options=""), dict(STOP.settings))


def in_python(text: str) -> str:
    """A text with its commands as calls: `gf.train(..., loss="hinge")` for --game.loss hinge."""
    return COMMAND.sub(lambda found: call(found[0]), text)


def call(command: str) -> str:
    """A command that `remedies.advice` writes, in Python; `ganforge data` as a line for a shell."""
    if command.startswith("ganforge data"):
        return f"!{command}"
    words = shlex.split(command.replace(STOP.options, STOP_SETTINGS))
    if command.startswith(SAME):
        return f"the same call with {keywords(words[len(SAME.split()) :])}"
    if words[1] == "evaluate":
        return f"gf.evaluate({', '.join(filter(None, (shown(words[2]), keywords(words[3:]))))})"
    config = "..."
    if words[2] == "--config":
        config = f"gf.load({shown(str(Path(words[3]).parent))}).config"
        words = words[:2] + words[6:]  # the data are in the config
    return f"gf.train({config}, {keywords(words[2:])})"


def keywords(words: Sequence[str]) -> str:
    """Options and their values as keywords of a call; settings of a part as one table."""
    table: dict[str, Any] = {}
    for option, text in zip(words[::2], words[1::2], strict=True):
        name = option.lstrip("-")
        part, _, name = SHORT.get(name, name).rpartition(".")
        value = text.split(",") if name == "metrics" else text if name == "out" else literal(text)
        if part in ("", "game"):
            table[name] = value
        else:
            table.setdefault(part, {})[name] = value
    return ", ".join(f"{name}={shown(value)}" for name, value in table.items())


def literal(text: str) -> Any:
    """The value of a setting's text: a number, a truth, a list, or the text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def shown(value: Any) -> str:
    """A value as Python writes it, with double quotes."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{shown(key)}: {shown(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(shown, value))}]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)
