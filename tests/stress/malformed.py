"""Good files and command lines, and what chance makes of them."""

from __future__ import annotations

import gzip
import io
import json
import random
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ganforge import files
from ganforge.config import convert
from ganforge.data.pack import pack
from ganforge.runs import checkpoint
from ganforge.training import loop
from tests.stress.games import game

PICTURES = ("png", "jpg", "webp", "bmp", "gif", "tif", "pgm")
ODD = ["", "-1", "0", "1", "nan", "inf", "-inf", "1e999", "9" * 30, "9" * 19, "2147483648", "1e300",
       "0.5", "true", "none", "[]", "[1,2]", "[" * 50, "{}", "'", '"', "\\", "\n", " ",
       "\u2603", "\x00x"[1:], "--", "-", "-n",
       "--seed", "--data", "adam", "hinge", "bf16", "cuda", "cuda:9", "mps", "x" * 300, "1_000",
       "0x10", "a=b", "=", "*", "%s", "{0}", "$HOME"]  # fmt: skip
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789-_=[]{}\"' ,:#"


@dataclass(frozen=True)
class Case:
    """A command on a malformed file, and the exit codes that are right."""

    words: list[str]
    codes: frozenset[int]


def good_picture(kind: str) -> bytes:
    """A small picture as a file of a format."""
    Image.init()
    values = np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    held = io.BytesIO()
    picture = Image.fromarray(values).convert("L" if kind == "pgm" else "RGB")
    picture.save(held, Image.EXTENSION[f".{kind}"])
    return held.getvalue()


def good_files(folder: Path) -> None:
    """One good file of every kind, and a finished run, below a folder; trains for 40 steps."""
    folder.mkdir()
    greys = np.random.default_rng(0).integers(0, 256, (12, 6, 6), dtype=np.uint8)
    idx = bytes([0, 0, 8, 3, 0, 0, 0, 12, 0, 0, 0, 6, 0, 0, 0, 6]) + greys.tobytes()
    (folder / "a-images-idx3-ubyte").write_bytes(idx)
    (folder / "a-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx))
    np.save(folder / "a.npy", greys)
    np.savez_compressed(folder / "a.npz", images=greys, labels=np.arange(12) % 3)
    with zipfile.ZipFile(folder / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for i in range(3):
            archive.writestr(f"{i}.png", good_picture("png"))
    pictures = folder / "pictures"
    pictures.mkdir()
    for kind in PICTURES:
        (pictures / f"a.{kind}").write_bytes(good_picture(kind))
    rows = "".join(f"a.{kind},{'cat' if kind < 'n' else 'dog'}\n" for kind in PICTURES)
    (pictures / "labels.csv").write_text("file,label\n" + rows)
    pack(str(folder / "a.npz"), folder / "store")
    wanted, data = game("toy", 40)
    for _ in loop.train(wanted, folder / "run", data=data):
        pass
    (folder / "run.toml").write_text(convert.dumps(wanted))


def mutated(raw: bytes, chance: random.Random) -> bytes:
    """One to four faults: bits, bytes, pieces lost, strangers put in, pieces twice, sizes."""
    data = bytearray(raw)
    for _ in range(chance.randint(1, 4)):
        at, count = chance.randrange(max(1, len(data))), chance.randint(1, 64)
        how = chance.randrange(7)
        if how == 0 and data:
            data[at] ^= 1 << chance.randrange(8)
        elif how == 1 and data:
            data[at] = chance.choice([0, 1, 127, 128, 255])
        elif how == 2:
            del data[at : at + count]
        elif how == 3:
            data[at:at] = chance.randbytes(chance.randint(1, 16))
        elif how == 4:
            data[at:at] = data[at : at + count]
        elif how == 5:
            data[at : at + 4] = chance.choice([b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff"])
        else:
            data = data[:at]
    return bytes(data)


def odd_value(chance: random.Random) -> Any:
    """A value of some type."""
    return chance.choice(
        [None, True, 0, -1, 10**30, 1.5, float("nan"), float("inf"), "", "x", [], [1], {}, {"a": 1},
         [[]], "step", 2**63, -(2**31), 1e308]
    )  # fmt: skip


def odd_json(raw: bytes, chance: random.Random) -> bytes:
    """A JSON file one value of which, at any depth, is of another kind or gone."""
    table = json.loads(raw)
    place: Any = table
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = chance.choice(keys)
        inner = place[key]
        if isinstance(inner, dict | list) and inner and chance.random() < 0.8:
            place = inner
            continue
        if chance.random() < 0.2:
            del place[key]
        else:
            place[key] = odd_value(chance)
        return json.dumps(table).encode()


def odd_toml(raw: bytes, chance: random.Random) -> bytes:
    """A TOML file one of whose lines is changed, lost, doubled or moved."""
    lines = raw.decode().splitlines()
    at = chance.randrange(len(lines))
    how = chance.randrange(5)
    if how == 0:
        key = lines[at].partition("=")[0]
        lines[at] = f"{key}= {chance.choice([*ODD, '1', '2.5', '[1, 2]', chr(34) * 2])}"
    elif how == 1:
        del lines[at]
    elif how == 2:
        lines.insert(chance.randrange(len(lines)), lines[at])
    elif how == 3:
        lines[at] = lines[at].replace("=", "x =", 1)
    else:
        line = list(lines[at] or "x")
        line[chance.randrange(len(line))] = chance.choice(LETTERS)
        lines[at] = "".join(line)
    return "\n".join(lines).encode()


TEMPLATES = (
    ["train", "gaussian", "--epochs", "2", "--seed", "3", "--generator.lr", "1e-3"],
    ["train", "cdcgan", "--game.loss", "hinge", "--networks.generator_width", "4", "--batch", "8"],
    ["train", "mnist-mlp", "--data", "pictures", "--size", "8", "--micro-batch", "4"],
    ["train", "--config", "run.toml", "--kimg", "1", "--device", "cpu", "--sync-bn", "--gpus", "2"],
    ["sample", "run", "-n", "4", "--seed", "1", "-o", "s.npz"],
    ["sample", "run/model", "-n", "4", "--label", "1", "--output", "s.npz"],
    ["interpolate", "run", "--rows", "2", "--steps", "3", "-o", "s.png"],
    ["runs", "."],
    ["recipes", "dcgan"],
    ["data", "show", "pictures", "--size", "8", "-o", "s.png"],
    ["data", "pack", "a.npz", "packed", "--size", "4"],
    ["evaluate", "nothing", "--metrics", "fd", "-n", "10"],
    ["plot", "nothing", "-o", "p.png"],
)


def odd_words(chance: random.Random) -> list[str]:
    """A command line with words changed, lost, doubled or moved; `train` stays a rehearsal."""
    words = list(chance.choice(TEMPLATES))
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(words))
        how = chance.randrange(6)
        if how <= 1:
            words[at] = chance.choice(ODD)
        elif how == 2 and len(words) > 1:
            del words[at]
        elif how == 3:
            words.insert(chance.randrange(len(words)), words[at])
        elif how == 4:
            words.insert(at, chance.choice(ODD))
        else:
            letters = list(words[at] or "x")
            letters[chance.randrange(len(letters))] = chance.choice(LETTERS)
            words[at] = "".join(letters)
    return [*words, "--dry-run", "--print-config"] if "train" in words[:2] else words


def resealed(folder: Path, chance: random.Random) -> None:
    """A checkpoint that says other things, its hashes made to fit: somebody meant it."""
    state, manifest = (folder / name for name in (checkpoint.STATE, checkpoint.MANIFEST))
    table = json.loads(manifest.read_bytes())
    if chance.random() < 0.5:
        raw = mutated(state.read_bytes(), chance)
        state.write_bytes(raw)
        table["files"] = {checkpoint.STATE: {"sha256": files.digest(raw), "bytes": len(raw)}}
    else:
        table = json.loads(odd_json(manifest.read_bytes(), chance))
    table.pop("sha256", None)
    manifest.write_bytes(checkpoint.seal(table))


def change_file(path: Path, chance: random.Random) -> None:
    """Malform one file in place, by its bytes or, half of the time, by what it says."""
    if path.is_dir():
        resealed(path, chance)
        return
    raw = path.read_bytes()
    by_meaning: dict[str, Callable[[bytes, random.Random], bytes]] = {
        ".json": odd_json, ".toml": odd_toml,
    }  # fmt: skip
    change = by_meaning.get(path.suffix, mutated) if chance.random() < 0.5 else mutated
    path.write_bytes(change(raw, chance))


SHOW = frozenset({0, 65})
FILES: dict[str, tuple[str, list[str], frozenset[int]]] = {
    **{f"picture {k}": (f"pictures/a.{k}", ["data", "show", "pictures"], SHOW) for k in PICTURES},
    "idx": ("a-images-idx3-ubyte", ["data", "show", "a-images-idx3-ubyte"], SHOW),
    "idx.gz": ("a-images-idx3-ubyte.gz", ["data", "show", "a-images-idx3-ubyte.gz"], SHOW),
    "npy": ("a.npy", ["data", "show", "a.npy"], SHOW),
    "npz": ("a.npz", ["data", "show", "a.npz"], SHOW),
    "zip": ("a.zip", ["data", "show", "a.zip"], SHOW),
    "labels": ("pictures/labels.csv", ["data", "show", "pictures"], SHOW),
    "store": ("store/dataset.json", ["data", "show", "store"], SHOW),
    "store array": ("store/images.npy", ["data", "show", "store"], SHOW),
    "safetensors": ("run/model/model.safetensors", ["sample", "run", "-n", "2"], SHOW),
    "model manifest": ("run/model/config.json", ["sample", "run/model", "-n", "2"],
                       frozenset({0, 2, 65, 71})),
    "run.json": ("run/run.json", ["runs", "."], SHOW),
    "log": ("run/log.jsonl", ["runs", "."], SHOW),
    "checkpoint": ("run/checkpoints/step-000000040/state.safetensors", ["resume"], SHOW),
    "manifest": ("run/checkpoints/step-000000040/manifest.json", ["resume"], SHOW),
    "resealed": ("run/checkpoints/step-000000040", ["resume"], SHOW),
    "resumed run.json": ("run/run.json", ["resume"], frozenset({0, 2, 65})),
    "resumed config": ("run/config.toml", ["resume"], frozenset({0, 2, 65})),
    "toml": ("run.toml", ["train", "--config", "run.toml", "--dry-run", "--out", "new"],
             frozenset({0, 2, 65, 71})),
}  # fmt: skip
KINDS = [*FILES, "words", "words", "words", "words", "toml", "toml"]


def case(number: int, seed: int, good: Path, folder: Path) -> Case:
    """The number-th case: lays out `folder` (the working folder) and says what to run there."""
    chance = random.Random(f"{seed}/{number}")
    kind = KINDS[number % len(KINDS)]
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(good, folder)
    if kind == "words":
        return Case(odd_words(chance), frozenset({0, 2, 65, 71, 74}))
    name, words, codes = FILES[kind]
    change_file(folder / name, chance)
    if words == ["resume"]:
        words = ["train", "--config", "../good/run.toml", "--out", "run"]
    elif words[0] in ("data", "sample"):
        words = [*words, "-o", "s.npz" if words[0] == "sample" else "s.png"]
    return Case(words, codes)
