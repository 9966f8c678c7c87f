"""The token of a server that other machines reach, and the address to open."""

from __future__ import annotations

import re
import secrets
import socket

from ganforge.errors import UsageError
from ganforge.serve.access import Access, bracketed, is_loopback, is_wildcard

TOKEN = re.compile(r"[A-Za-z0-9_-]{16,}")


def needed(host: str, given: str) -> str:
    """The token of a server at `host`: the given one, else a fresh one, empty on loopback.

    Raises:
        UsageError: the given one is short, or has letters that an address or a cookie changes.
    """
    if given and not TOKEN.fullmatch(given):
        raise UsageError("GANFORGE_TOKEN: expected at least 16 letters, digits, - or _")
    if given or is_loopback(host):
        return given
    return secrets.token_urlsafe(24)


def address(access: Access) -> str:
    """The address to open in a browser, with the token."""
    host = outward() if is_wildcard(access.host) else access.host
    query = f"?token={access.token}" if access.token else ""
    return f"http://{bracketed(host)}:{access.port}/{query}"


def outward() -> str:
    """The address of this machine in its network; nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # an address of the documentation range
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"
