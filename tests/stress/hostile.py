"""Sixty archives, models, manifests and configs made to write where they may not: 0 bytes outside.

Every file that Python opens for writing, makes, renames, links or removes is seen by an audit hook
while the command runs; and the folder around is compared before and after.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import stat
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ganforge import cli
from tests.stress import malformed
from tests.stress.games import warm
from tests.stress.harness import Options, Tally, fork, run, wait

WRITES = ("os.mkdir", "os.rename", "os.link", "os.symlink", "os.remove", "os.rmdir", "os.truncate",
          "os.chmod", "shutil.move")  # fmt: skip
SECRET = b"a secret of somebody else"

NAMES = (
    "../{}", "../../{}", "a/../../{}", "/tmp/{}", "//tmp/{}", "\\..\\{}", "..\\{}", "C:\\{}",
    "C:{}", "\\\\host\\{}", "a/../../../../../../../tmp/{}", "./../{}", "%2e%2e/{}", "..../{}",
    "~/{}", "$HOME/{}", "a\0/../{}", ".ssh/../../{}", "\u2025/{}", "{}/..",
)  # fmt: skip


def archive(path: Path, name: str, mode: int = stat.S_IFREG | 0o644, **more: Any) -> None:
    """A zip with three good pictures and one member of a hostile name."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for i in range(3):
            file.writestr(f"{i}.png", malformed.good_picture("png"))
        info = zipfile.ZipInfo(name)
        info.filename = name  # the constructor cuts at a NUL
        info.external_attr = mode << 16
        file.writestr(info, more.get("body", malformed.good_picture("png")))


def csv_with(name: str) -> Callable[[Path], list[str]]:
    """A labels.csv that names a file elsewhere."""

    def make(folder: Path) -> list[str]:
        table = folder / "pictures" / "labels.csv"
        table.write_text(f"{table.read_text()}{name},cat\n")
        return ["data", "show", "pictures", "-o", "s.png"]

    return make


def zip_with(name: str, **more: Any) -> Callable[[Path], list[str]]:
    def make(folder: Path) -> list[str]:
        archive(folder / "h.zip", name, **more)
        return ["data", "pack", "h.zip", "packed"]

    return make


def json_with(file: str, words: list[str], *keys: str, value: Any) -> Callable[[Path], list[str]]:
    """A manifest one of whose values is a path, or worse."""

    def make(folder: Path) -> list[str]:
        table = json.loads((folder / file).read_bytes())
        place = table
        for key in keys[:-1]:
            place = place.setdefault(key, {})
        place[keys[-1]] = value
        (folder / file).write_text(json.dumps(table))
        return words

    return make


def toml_with(line: str) -> Callable[[Path], list[str]]:
    """A config that names a path elsewhere."""

    def make(folder: Path) -> list[str]:
        text = (folder / "run.toml").read_text()
        key = line.partition(" ")[0]
        kept = [row for row in text.splitlines() if row.partition(" ")[0] != key]
        (folder / "run.toml").write_text("\n".join([line, *kept]))
        return ["train", "--config", "run.toml"]

    return make


def link(target: str, name: str) -> Callable[[Path], list[str]]:
    """A folder of pictures with a link out of it."""

    def make(folder: Path) -> list[str]:
        (folder / "pictures" / "labels.csv").unlink()
        (folder / "pictures" / name).symlink_to(target)
        return ["data", "pack", "pictures", "packed"]

    return make


def pickled(folder: Path) -> list[str]:
    """An array of objects, which to read would be to run."""

    class Bomb:
        def __reduce__(self) -> Any:
            return os.system, ("touch ../outside/owned",)

    np.save(folder / "o.npy", np.array([Bomb()], object), allow_pickle=True)
    return ["data", "pack", "o.npy", "packed"]


def pickled_npz(folder: Path) -> list[str]:
    pickled(folder)
    with zipfile.ZipFile(folder / "o.npz", "w") as file:
        file.write(folder / "o.npy", "images.npy")
    return ["data", "pack", "o.npz", "packed"]


def twice(folder: Path) -> list[str]:
    archive(folder / "h.zip", "0.png")
    return ["data", "pack", "h.zip", "packed"]


def checkpoint_link(folder: Path) -> list[str]:
    """A checkpoint that is a link to a folder elsewhere."""
    (folder / "run" / "checkpoints" / "step-000000099").symlink_to("../../../outside")
    return ["train", "--config", "../good/run.toml", "--out", "run"]


def leftover_link(folder: Path) -> list[str]:
    """What looks like the rest of a killed save, and is a link to somebody's folder."""
    (folder / "run" / "checkpoints" / ".tmp-step-000000099-1").symlink_to("../../../outside")
    return ["train", "--config", "../good/run.toml", "--out", "run", "--epochs", "1"]


MODEL, RUN = "run/model/config.json", "run/run.json"
SHOW = ["sample", "run/model", "-n", "2", "-o", "s.npz"]
RESUME = ["train", "--config", "../good/run.toml", "--out", "run"]
CASES: dict[str, Callable[[Path], list[str]]] = {
    **{f"zip {name!r}": zip_with(name.format("owned.png")) for name in NAMES},
    **{f"labels.csv {name!r}": csv_with(name.format("outside/secret")) for name in NAMES[:13]},
    "zip link": zip_with("l.png", mode=stat.S_IFLNK | 0o777, body=b"../outside/secret"),
    "zip absolute link": zip_with("l.png", mode=stat.S_IFLNK | 0o777, body=b"/etc/passwd"),
    "zip device": zip_with("d.png", mode=stat.S_IFCHR | 0o666),
    "zip pipe": zip_with("p.png", mode=stat.S_IFIFO | 0o666),
    "zip bomb": zip_with("b.png", body=bytes(2**24)),
    "zip folder": zip_with("../outside/owned/"),
    "zip twice": twice,
    "pickle npy": pickled,
    "pickle npz": pickled_npz,
    "link to a file": link("../../outside/secret", "x.png"),
    "link to a folder": link("../../outside", "x"),
    "checkpoint link": checkpoint_link,
    "leftover link": leftover_link,
    "toml name": toml_with('name = "../../outside/owned"'),
    "toml data": toml_with('data = "../outside"'),
    "toml absolute data": toml_with('data = "/etc/passwd"'),
    "toml recipe": toml_with('name = "../outside/own.py:run"'),
    "model name": json_with(MODEL, SHOW, "name", value="../../outside/owned"),
    "model python": json_with(MODEL, SHOW, "networks", value={"kind": "python", "name": "run"}),
    "model class": json_with(MODEL, SHOW, "networks", value={"kind": "../outside/own.py:run"}),
    "model dunder": json_with(MODEL, SHOW, "networks", "__class__", value="os.system"),
    "model dtype": json_with(MODEL, SHOW, "spec", "dtype", value="O"),
    "run name": json_with(RUN, RESUME, "name", value="../outside/owned"),
    "run device": json_with(RUN, RESUME, "resolved", "device", value="../../outside/owned"),
    "run step": json_with(RUN, RESUME, "step", value="../../outside/owned"),
    "store dtype": json_with("store/dataset.json", ["data", "show", "store", "-o", "s.png"],
                             "spec", "dtype", value="O"),
    "store name": json_with("store/dataset.json", ["data", "show", "store", "-o", "s.png"],
                            "name", value="../outside/owned"),
}  # fmt: skip


def outside(folder: Path) -> dict[str, str]:
    """Everything below a folder, with what it holds."""
    return {
        str(p): hashlib.sha256(p.read_bytes()).hexdigest() if p.is_file() else "folder"
        for p in sorted(folder.rglob("*"))
    }


def watch(inside: Path, seen: list[str]) -> None:
    """Note every path outside `inside` that this process means to change."""

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        paths: tuple[Any, ...] = ()
        if event == "open":
            path, _, flags = arguments
            writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            paths = (path,) if writes else ()
        elif event in WRITES:
            paths = arguments[:2]
        for path in paths:
            if isinstance(path, str | bytes | os.PathLike):
                name = os.path.abspath(os.fsdecode(path))
                full = os.path.realpath(os.path.dirname(name))
                within = name == str(inside) or f"{full}/".startswith(f"{inside}/")
                if not within and full != "/dev":
                    seen.append(f"{event} {path!r}")

    sys.addaudithook(hook)


def one(make: Callable[[Path], list[str]], here: Path) -> int:
    """In a child: lay out the case, then run its command under the hook."""
    words = make(here)
    os.chdir(here)
    for variable in ("MPLCONFIGDIR", "HOME", "XDG_CACHE_HOME"):
        os.environ[variable] = str(here)  # what matplotlib keeps for itself is not at issue
    seen: list[str] = []
    watch(here.resolve(), seen)
    said = io.StringIO()
    sys.stderr = said
    code = cli.main(words)
    sys.stderr = sys.__stderr__
    print(json.dumps({"code": code, "outside": seen, "said": said.getvalue()[-300:]}))
    return 0


def attack(options: Options, tally: Tally) -> None:
    """The first n of the cases."""
    warm()
    top = options.scratch
    (top / "outside").mkdir()
    (top / "outside" / "secret").write_bytes(SECRET)
    (top / "outside" / "own.py").write_text("open('owned', 'w')\nrun = None\n")
    if wait(fork(lambda: malformed.good_files(top / "good"))) != 0:
        raise RuntimeError("the good files could not be made")
    for number, (name, make) in enumerate(list(CASES.items())[: options.n]):
        here, said = top / f"{number}" / "now", top / f"{number}.said"
        here.parent.mkdir()
        for entry in ("good", "outside"):
            (here.parent / entry).symlink_to(top / entry)
        wait(fork(lambda h=here: shutil.copytree(top / "good", h) and None))  # type: ignore[misc]
        before = outside(top / "outside") | outside(top / "good")
        code = wait(fork(lambda m=make, h=here: one(m, h), said))  # type: ignore[misc]
        tally.tries += 1
        lines = said.read_text().strip().splitlines()
        if not tally.check(code == 0 and bool(lines), f"{name}: {lines[-3:]}"):
            continue
        told = json.loads(lines[-1])
        tally.check(not told["outside"], f"{name}: {told['outside']}")
        tally.check(told["code"] in (0, 2, 65), f"{name}: exit code {told['code']} {told['said']}")
        tally.add("refused", int(told["code"] != 0))
        after = outside(top / "outside") | outside(top / "good")
        tally.check(before == after, f"{name}: the folders around have changed")
        owned = [str(p) for p in here.rglob("owned*")]
        tally.check(not owned, f"{name}: {owned}")


if __name__ == "__main__":
    raise SystemExit(run("hostile", attack, 60, __doc__))
