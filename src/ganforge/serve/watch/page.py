"""The live page: one text, and the policy that lets nothing else in."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from ganforge import files
from ganforge.plotting.style import COLOURS

WEB = Path(__file__).with_name("web")


@cache
def parts() -> tuple[str, str]:
    """(style sheet, script)."""
    light, dark = (
        " ".join(f"--{name}: {pair[i]};" for name, pair in COLOURS.items()) for i in (0, 1)
    )
    sheet = (WEB / "watch.css").read_text()
    sheet = sheet.replace("/* LIGHT */", light).replace("/* DARK */", dark)
    return sheet, (WEB / "watch.mjs").read_text()


@cache
def html() -> str:
    """The page."""
    sheet, script = parts()
    text = (WEB / "watch.html").read_text()
    return text.replace("/* STYLE */", sheet).replace("/* SCRIPT */", script)


@cache
def policy() -> str:
    """Its content security policy: the page's style and script, requests to this server alone."""
    sheet, script = parts()
    return (
        f"default-src 'none'; img-src 'self' data:; connect-src 'self'; "
        f"style-src {files.policy_hash(sheet)}; script-src {files.policy_hash(script)}; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
