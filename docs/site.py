"""The pages of docs/ as a site in build/site: `make site`, or `python -m docs.site`.

Zensical builds from copies of the pages in build/docs. Two things differ from what GitHub shows:
a link out of docs/ leads to another page of the site, or to the repository; and the reference of
the public names is written from their docstrings.
"""

from __future__ import annotations

import ast
import inspect
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import ganforge as gf
from ganforge.recipes import RECIPES
from ganforge.theory import EXPERIMENTS

ROOT = Path(__file__).parents[1]
STAGED = ROOT / "build" / "docs"
# pages from outside docs/, and the one that is written here
ALSO = {
    "README.md": "overview.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
API = "api.md"
LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:|mailto:|#)([^)\s#]+)(#[^)\s]*)?\)")
# a paragraph with a list below it, between which Python's Markdown wants an empty line
LIST = re.compile(r"^((?![-|#>\s]|\d+\. ).+)\n(?=- |\d+\. |\|)", re.MULTILINE)
WIDTH = 88  # letters of a signature on one line


def pages() -> dict[str, str]:
    """Every page from its place in the repository to its place in the site."""
    inside = sorted(p.relative_to(ROOT / "docs") for p in ROOT.glob("docs/**/*.md"))
    return {f"docs/{p.as_posix()}": p.as_posix() for p in inside} | ALSO


def repository() -> str | None:
    """The address of the repository's files, if pyproject.toml has one."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    address = project.get("urls", {}).get("Repository")
    return address and f"{address.rstrip('/')}/blob/main"


def moved(page: str, text: str) -> str:
    """The text of a page with its links as they are in the site.

    A link to a file that is no part of the site leads to the repository; without an address of
    the repository its text remains.
    """
    places, address = pages(), repository()

    def link(found: re.Match[str]) -> str:
        picture, label, target, anchor = found.groups(default="")
        path = os.path.normpath(Path(page).parent / target)
        place = places.get(path) or (path.removeprefix("docs/") if path.startswith("docs/") else "")
        if place:
            return (
                f"{picture}[{label}]({os.path.relpath(place, Path(places[page]).parent)}{anchor})"
            )
        return f"[{label}]({address}/{path})" if address else label

    parts = re.split(r"(^```.*?^```)", text, flags=re.MULTILINE | re.DOTALL)
    parts[::2] = [LIST.sub(r"\1\n\n", LINK.sub(link, p)) for p in parts[::2]]
    return "".join(parts)


class Bare(str):
    """A part of a signature that is printed as it stands."""

    __repr__ = str.__str__


def signature(name: str, of: Any) -> str:
    """`name(arguments) -> result`, over several lines if it is long."""
    found = inspect.signature(of)
    arguments = []
    for p in found.parameters.values():
        shown = p.replace(default=str(p.default)) if isinstance(p.default, Path) else p
        bare = isinstance(p.annotation, str)
        arguments.append(shown.replace(annotation=Bare(p.annotation)) if bare else shown)
    result = found.return_annotation
    arrow = f" -> {result}" if isinstance(result, str) and result != "None" else ""
    call = str(inspect.Signature(arguments))
    if len(name + call + arrow) > WIDTH:
        words = [str(a) for a in arguments]
        kinds = [a.kind for a in arguments]
        named = inspect.Parameter.KEYWORD_ONLY
        if named in kinds and inspect.Parameter.VAR_POSITIONAL not in kinds:
            words.insert(kinds.index(named), "*")
        call = "(\n" + "".join(f"    {w},\n" for w in words) + ")"
    return f"```python\n{name}{call}{arrow}\n```\n"


def prose(docstring: str) -> str:
    """A docstring as Markdown: its sections as lists, its indented lines as code."""
    out: list[str] = []
    section = ""
    for line in docstring.splitlines():
        if re.fullmatch(r"(Args|Returns|Raises|Yields):", line):
            section = line
            out += [f"**{'Arguments' if line == 'Args:' else line[:-1]}**", ""]
        elif not line or (not section and line.startswith("    ")):
            out.append(line)
        elif not line.startswith(" "):
            section = ""
            out.append(plain(line))
        elif item := section != "Returns:" and re.match(r"    ([\w*][\w*, ]*): (.+)", line):
            out.append(f"- `{item[1]}`: {plain(item[2])}")
        else:
            out.append("    " * (section in ("Args:", "Raises:")) + plain(line.strip()))
    return "\n".join(out).strip() + "\n"


def plain(text: str) -> str:
    """Text in which nothing but `code` is markup."""
    parts = re.split(r"(`[^`]*`)", text)
    escaped = [re.sub(r"([*\[\]])", r"\\\1", p).replace("<", "&lt;") for p in parts[::2]]
    parts[::2] = escaped
    return "".join(parts)


def members(of: type) -> str:
    """The public methods and properties of a class, each with its first sentence."""
    lines = []
    for name, member in inspect.getmembers(of):
        shown = inspect.isfunction(member) or isinstance(member, property)
        if shown and not name.startswith("_") and member.__doc__:
            first = (inspect.getdoc(member) or "").partition("\n\n")[0]
            lines.append(f"- `{name}`: {plain(first.replace(chr(10), ' '))}\n")
    return "".join(lines)


def module(name: str) -> str:
    """A public module: its docstring, and what it offers by name."""
    found = find_spec(f"ganforge.{gf._PLACES[name]}")
    assert found is not None and found.origin is not None
    text = prose(ast.get_docstring(ast.parse(Path(found.origin).read_text())) or "")
    for one, made in {"recipes": RECIPES, "theory": EXPERIMENTS}.get(name, {}).items():
        about = inspect.getdoc(inspect.getmodule(made)) or ""
        first = about.splitlines()[0].partition(": ")[2]
        text += f"\n- `gf.{name}.{one.replace('-', '_')}`: {plain(first)}"
    return f"### gf.{name}\n\n{text}\n"


def entry(name: str) -> tuple[str, str]:
    """(group, Markdown) of one public name."""
    if ":" not in gf._PLACES[name]:
        return "Modules", module(name)
    of = getattr(gf, name)
    text = prose(inspect.getdoc(of) or "")
    if not inspect.isclass(of):
        called = of if inspect.isroutine(of) else of.__call__
        return "Functions", f"### gf.{name}\n\n{signature(f'gf.{name}', called)}\n{text}"
    if issubclass(of, gf.GanforgeError):
        return "Errors", f"### gf.{name}\n\n{text}\nExit code of the command: {of.exit_code}.\n"
    made = signature(f"gf.{name}", of)
    return "Classes", f"### gf.{name}\n\n{made}\n{text}\n{members(of)}"


def api() -> str:
    """The page of the public names: what `ganforge.__all__` lists, from the docstrings."""
    entries = [entry(name) for name in sorted(gf.__all__, key=str.lower) if name in gf._PLACES]
    text = (
        "# API reference\n\n`import ganforge as gf` offers these names. Each text is the docstring"
        " of the name, as `help(gf.train)` prints it. [Python](python.md) shows how they work"
        " together.\n"
    )
    for group in ("Functions", "Classes", "Errors", "Modules"):
        text += f"\n## {group}\n\n" + "\n".join(body for kind, body in entries if kind == group)
    return text


def stage(out: Path = STAGED) -> None:
    """Write the pages, their pictures and the reference to a folder, which is replaced."""
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(ROOT / "docs", out, ignore=shutil.ignore_patterns("*.py", "*.json*", "__py*"))
    for page, place in pages().items():
        (out / place).write_text(moved(page, (ROOT / page).read_text()))
    (out / API).write_text(api())


def main() -> int:
    """Build the site; the exit code of Zensical, which fails at a warning."""
    stage()
    built = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--strict", "--clean"], cwd=ROOT, check=False
    )
    return built.returncode


if __name__ == "__main__":
    sys.exit(main())
