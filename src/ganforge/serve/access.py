"""Who may ask: the Host, Origin and Sec-Fetch-Site of a request, and the token.

A page of a stranger, open in a browser on this machine, reaches 127.0.0.1 too, and a name of the
stranger may be made to lead here (DNS rebinding). A request is therefore answered only if its Host
is this server's; its Origin and Sec-Fetch-Site, if a browser sends them, must be this server's too.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import parse_qs

from ganforge.errors import UsageError
from ganforge.serve.problems import RequestError

LOCAL = ("localhost", "127.0.0.1", "[::1]")
COOKIE = "ganforge_token"
UNGUARDED = ("/healthz", "/readyz")  # need no token


@dataclass(frozen=True)
class Access:
    """The addresses of the server, and the pages and tokens that it trusts.

    Args:
        host, port: it is bound to.
        hosts: further names by which it may be called, NAME or NAME:PORT.
        origins: pages that may read its answers, as https://example.org.
        token: that every request must have; none if empty.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    token: str = ""

    def __post_init__(self) -> None:
        for origin in self.origins:
            scheme, _, rest = origin.partition("://")
            if scheme not in ("http", "https") or not rest or set(rest) & set("/*?# "):
                raise UsageError(
                    f"--allow-origin {origin}: expected scheme, host and perhaps port alone, such "
                    "as https://example.org"
                )

    def knows(self, host: str) -> bool:
        """Whether a Host header names this server."""
        name, port = split(host.lower())
        if host.lower() in self.hosts or name in self.hosts:
            return True
        if (port or "80") != str(self.port):
            return False
        if is_wildcard(self.host):  # every address of this machine, but no name: see above
            return name in LOCAL or is_address(name)
        return name in (LOCAL if is_loopback(self.host) else (*LOCAL, bracketed(self.host)))

    def refusal(
        self, method: str, path: str, query: str, headers: Mapping[str, str]
    ) -> RequestError | None:
        """Why a request is not answered, or None.

        Args:
            method, path, query: of the request.
            headers: by lower-case name; a name that comes twice is refused before.
        """
        host, origin = headers.get("host", ""), headers.get("origin")
        if not self.knows(host):
            detail = f"the host {host!r} is not this server's: see --allow-host"
            return RequestError(421, detail)
        trusted = origin in self.origins
        if origin is not None and not trusted and not self.is_ours(origin, host):
            return RequestError(
                403, f"the origin {origin!r} is not this server's: see --allow-origin"
            )
        site = headers.get("sec-fetch-site", "none")
        opened = method == "GET" and headers.get("sec-fetch-dest") == "document"
        if site not in ("same-origin", "none") and not trusted and not opened:
            return RequestError(403, f"a page of another site asked (Sec-Fetch-Site: {site})")
        if self.token and path not in UNGUARDED and method != "OPTIONS":
            given = given_token(query, headers)
            if not hmac.compare_digest(given.encode(), self.token.encode()):
                detail = "no token, or a wrong one: use the address that the server printed"
                return RequestError(401, detail, {"WWW-Authenticate": "Bearer"})
        return None

    def is_ours(self, origin: str, host: str) -> bool:
        """Whether an Origin is the server as the request named it, which `knows`."""
        return origin.lower() in (f"http://{host.lower()}", f"https://{host.lower()}")


def given_token(query: str, headers: Mapping[str, str]) -> str:
    """The token of a request: from Authorization, the query, or the cookie; empty if none."""
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return bearer.strip()
    if values := parse_qs(query).get("token"):
        return values[-1]
    for part in headers.get("cookie", "").split(";"):
        name, _, value = part.strip().partition("=")
        if name == COOKIE:
            return value
    return ""


def split(host: str) -> tuple[str, str]:
    """(name, port) of a Host header; the port is empty if there is none."""
    end = host.rfind("]")
    colon = host.find(":", end + 1 if end >= 0 else 0)
    return (host, "") if colon < 0 else (host[:colon], host[colon + 1 :])


@lru_cache(maxsize=64)  # parsed at every request
def is_address(name: str) -> bool:
    """Whether a name is an IP address, of version 6 in brackets."""
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


def is_wildcard(host: str) -> bool:
    """Whether a server bound to `host` has every address of the machine."""
    return host in ("0.0.0.0", "::")


@lru_cache(maxsize=8)
def is_loopback(host: str) -> bool:
    """Whether `host` can be reached from this machine alone."""
    return host == "localhost" or (is_address(host) and ipaddress.ip_address(host).is_loopback)


def bracketed(host: str) -> str:
    """An address as a Host header has it."""
    return f"[{host}]" if ":" in host else host.lower()
