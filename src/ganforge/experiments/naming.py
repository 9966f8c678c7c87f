"""Names of files made of the names of what is in them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from ganforge.text import encoded, printable

LONGEST = 120  # letters; a file system takes 255 bytes, with an ending and letters of three bytes
DIGITS = 8  # of the hash that stands for what does not fit


def slug(text: str) -> str:
    """`text` as a part of a file's name; empty if no letter of it is allowed there."""
    return re.sub(r"[^\w.=+-]+", "-", printable(text)).strip(".-")


def joined(names: Sequence[str], between: str = "-vs-") -> str:
    """Names joined to one, cut if that is long; a hash of all of them replaces what is left out."""
    whole = between.join(slug(name) or "it" for name in names)
    if len(whole) <= LONGEST:
        return whole
    digest = hashlib.sha256(encoded("\0".join(names))).hexdigest()
    return f"{whole[: LONGEST - DIGITS - 1]}-{digest[:DIGITS]}"
