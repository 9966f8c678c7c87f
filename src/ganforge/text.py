"""Text that every file, terminal and parser takes, and tables of it.

A name that is not UTF-8 reaches Python with lone surrogates, one for each byte that does not
decode. Neither UTF-8 nor TOML can hold those, and JSON parsers refuse them. As text such a byte is
written as \\xe9, in every file and on every terminal; `on_disk` finds the file of a name so
written.
"""

from __future__ import annotations

import codecs
import html
import json
import math
import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

from ganforge.errors import DataError

ERRORS = "ganforge-printable"  # for `errors=` of a stream or of `str.encode`
BYTES = 0xDC00  # the surrogate of byte b is BYTES + b
WRITTEN = re.compile(r"\\x([89a-f][0-9a-f])")


def printable(text: str) -> str:
    """`text` with every lone surrogate written out; any other text is returned as it is."""
    return text if text.isascii() else encoded(text).decode()


def encoded(text: str) -> bytes:
    """`text` as the bytes of a UTF-8 file."""
    return text.encode("utf-8", ERRORS)


def json_bytes(value: Any, *, indent: int | None = None, allow_nan: bool = True) -> bytes:
    """`value` as the bytes of a JSON file, without lone surrogates in its keys and strings."""
    text = json.dumps(value, indent=indent, allow_nan=allow_nan)
    if "\\ud" in text:
        text = json.dumps(strings(value), indent=indent, allow_nan=allow_nan)
    return text.encode()


def json_values(value: Any) -> Any:
    """`value` as JSON values: dataclasses as tables, arrays as lists, other things as text.

    Numbers that are not finite, which JSON does not know, and bytes become null.
    """
    if is_dataclass(value) and not isinstance(value, type):
        value = {name: getattr(value, name) for name in value.__dataclass_fields__}
    elif hasattr(value, "tolist"):  # an array or a number of numpy
        value = value.tolist()
    if isinstance(value, Mapping):
        return {printable(str(k)): json_values(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [json_values(v) for v in value]
    if isinstance(value, bytes) or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value if isinstance(value, int | float | None) else printable(str(value))


def strings(value: Any) -> Any:
    """JSON values with every string, and every key of a table, printable."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {strings(k): strings(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [strings(v) for v in value]
    return value


def command_line(words: Sequence[str]) -> str:
    """Words as a shell reads them back, bytes that are not UTF-8 in the form $'caf\\xe9'.

    A file whose name begins with - is written as ./-name, or it would be an option.
    """
    escaped = str.maketrans({"\\": "\\\\", "'": "\\'"})
    words = [f"./{w}" if w.startswith("-") and Path(w).exists() else w for w in words]
    return " ".join(
        shlex.quote(w) if printable(w) == w else f"$'{printable(w.translate(escaped))}'"
        for w in words
    )


def on_disk(path: Path) -> Path:
    """The path that exists where a part of `path` may be the printable form of a file's name.

    A part that exists stands for itself. Raises DataError if a part is the name of one file and the
    printable form of another's.
    """
    if not WRITTEN.search(str(path)):
        return path
    found = Path(path.anchor)
    for part in path.relative_to(path.anchor).parts:
        plain = found / part
        other = found / WRITTEN.sub(lambda m: chr(BYTES + int(m[1], 16)), part)
        if other != plain and other.exists():
            if plain.exists():
                raise DataError(
                    f"{plain}: stands for two files, one of that very name and one whose name is "
                    "not UTF-8: rename one of them"
                )
            plain = other
        found = plain
    return found


def shown(letter: str) -> str:
    """One letter that an encoding lacks: the byte of a surrogate, else its number in Unicode."""
    code = ord(letter)
    if BYTES + 0x80 <= code <= BYTES + 0xFF:
        return f"\\x{code - BYTES:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def replace(error: UnicodeError) -> tuple[str, int]:
    """The handler of `ERRORS`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(shown, error.object[error.start : error.end])), error.end


def columns(rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> str:
    """Rows as a table with columns of equal width; those numbered in `right` are right-aligned."""
    table = []
    for i, column in enumerate(zip(*rows, strict=True)):
        width, side = max(map(len, column)), ">" if i in right else "<"
        table.append([f"{cell:{side}{width}}" for cell in column])
    return "\n".join("  ".join(row).rstrip() for row in zip(*table, strict=True))


codecs.register_error(ERRORS, replace)


def preformatted(text: str) -> str:
    """Text as an element of a page, its columns below each other whatever the page's style."""
    return f'<pre style="font-family: monospace">{html.escape(text)}</pre>'
