"""Names that are not UTF-8: read, trained on, resumed, written, asked for as they are printed."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import ganforge as gf
from ganforge import text as text_
from ganforge.callbacks import display, log
from ganforge.cli import main
from ganforge.config import convert
from ganforge.data import load
from ganforge.registry import PARTS
from ganforge.runs import model
from ganforge.runs.folder import Run

RAW, WRITTEN = os.fsdecode(b"caf\xe9"), "caf\\xe9"
SMALL = ("--size", "16", "--kimg", "0.016", "--batch", "8", "--networks.generator_width", "4",
         "--networks.discriminator_width", "4", "--threads", "1")  # fmt: skip
SOURCES = Path(gf.__file__).parent


def pixels(rng: np.random.Generator) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder named in Latin-1, with two classes of which one is too, and a damaged picture."""
    root = tmp_path_factory.mktemp("latin")
    rng = np.random.default_rng(0)
    for name in (RAW, "tea"):
        try:
            (root / f"data-{RAW}" / name).mkdir(parents=True)
        except OSError:
            pytest.skip("this file system takes names of UTF-8 only")
        for i in range(60):
            (root / f"data-{RAW}" / name / f"{i}.png").write_bytes(pixels(rng))
    (root / f"data-{RAW}" / RAW / f"{RAW}.png").write_bytes(b"no picture")
    return root


def typed(place: Path, *words: str) -> str:
    """What the command `ganforge WORDS` prints in another process, both streams together."""
    done = subprocess.run(
        [sys.executable, "-m", "ganforge", *words],
        cwd=place,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    out = done.stdout.decode()  # fails where it is not UTF-8
    assert done.returncode == 0 and "\\udc" not in out, out
    return out


def command(place: Path, *words: str, code: int = 0) -> str:
    """The same in this process, on streams as the command has them."""
    stream = io.TextIOWrapper(io.BytesIO(), "utf-8", errors=text_.ERRORS)
    with chdir(place), redirect_stdout(stream), redirect_stderr(stream):
        found = main(words)
    stream.seek(0)
    out = stream.read()
    assert found == code and "bug of ours" not in out and "\\udc" not in out, out
    return out


@pytest.fixture(scope="module")
def run(place: Path) -> Path:
    """A run on those data, in a folder named in Latin-1."""
    out = typed(place, "train", "--data", f"data-{RAW}", "--out", f"run-{RAW}", *SMALL)
    assert f"cdcgan on data-{WRITTEN}, seed 0, in run-{WRITTEN}" in out
    return place / f"run-{RAW}"


def test_such_a_name_is_written_byte_by_byte() -> None:
    assert text_.printable(RAW) == WRITTEN
    assert text_.printable("\ud800") == "\\ud800"  # no byte, but no UTF-8 either
    for text in ("cafe", "caf\u00e9", "\U0001f600", "a\\b"):
        assert text_.printable(text) == text
    assert text_.encoded(f"caf\u00e9 {RAW}") == "caf\u00e9 caf\\xe9".encode()


def test_json_holds_no_lone_surrogate_in_keys_or_values() -> None:
    table = {RAW: [RAW, 1, None], "a": {"b": (RAW, "\U0001f600")}}
    found = text_.json_bytes(table)
    assert b"\\ud" not in found.replace(b"\\ud83d\\ude00", b"")
    assert json.loads(found) == {WRITTEN: [WRITTEN, 1, None], "a": {"b": [WRITTEN, "\U0001f600"]}}
    assert text_.json_bytes({"a": [1.5, "x"]}, indent=1) == b'{\n "a": [\n  1.5,\n  "x"\n ]\n}'


def test_a_written_name_leads_to_the_file(place: Path) -> None:
    raw = place / f"data-{RAW}" / RAW
    assert text_.on_disk(place / f"data-{WRITTEN}" / WRITTEN) == raw
    assert text_.on_disk(raw) == raw
    assert text_.on_disk(place / "nothing-\\xe9") == place / "nothing-\\xe9"


def test_a_written_name_of_two_files_is_refused(place: Path, tmp_path: Path) -> None:
    (tmp_path / RAW).mkdir()
    (tmp_path / WRITTEN).mkdir()
    with pytest.raises(gf.GanforgeError, match="stands for two files"):
        text_.on_disk(tmp_path / WRITTEN)
    for name in (RAW, WRITTEN):
        (tmp_path / name / "0.png").write_bytes(pixels(np.random.default_rng(0)))
    with pytest.raises(gf.GanforgeError, match=r"two of its folders are written caf\\xe9"):
        load.load(str(tmp_path))


def test_a_shell_reads_a_command_line_back() -> None:
    words = ["--out", f"a'b\\{RAW}", "plain", "two words"]
    line = f"printf '%s\\0' {text_.command_line(words)}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, check=True)
    assert [os.fsdecode(word) for word in done.stdout.split(b"\0")[:-1]] == words
    assert text_.command_line(words[2:]) == shlex.join(words[2:])


def test_classes_and_skipped_files_are_shown_as_they_are_written(place: Path) -> None:
    out = command(place, "data", "show", f"data-{RAW}", "--size", "16")
    assert re.search(rf"^  {re.escape(WRITTEN)} ", out, re.M), out
    assert f"{WRITTEN}/{WRITTEN}.png: " in out
    assert (place / "data-data-caf-xe9.png").exists()


def test_data_are_named_and_described_as_they_are_written(place: Path) -> None:
    for name in (RAW, WRITTEN):
        data = load.load(str(place / f"data-{name}"), size=16)
        assert data.name == str(place / f"data-{WRITTEN}")
        assert data.class_names == (WRITTEN, "tea")
        assert [reason.split(": ")[0] for reason in data.skipped] == [f"{WRITTEN}/{WRITTEN}.png"]


def test_data_of_a_config_are_text() -> None:
    with pytest.raises(gf.GanforgeError, match=r"data = .*Path.*expected a string"):
        replace(gf.recipes.gaussian(), data=Path("pictures"))  # type: ignore[arg-type]


def test_labels_may_name_such_files_as_they_are_written(place: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    for name in (RAW, "tea"):
        (tmp_path / f"{name}.png").write_bytes(pixels(rng))
    (tmp_path / "labels.csv").write_text(f"{WRITTEN}.png,drink\ntea.png,leaf\n")
    assert load.load(str(tmp_path)).class_names == ("drink", "leaf")


def test_a_packed_store_has_the_same_names(place: Path) -> None:
    out = command(place, "data", "pack", f"data-{RAW}", f"packed-{RAW}", "--size", "16")
    assert f"packed in packed-{WRITTEN}" in out
    text = (place / f"packed-{RAW}" / "dataset.json").read_text("utf-8")
    assert "\\ud" not in text and json.loads(text)["class_names"] == [WRITTEN, "tea"]
    assert load.load(str(place / f"packed-{WRITTEN}")).class_names == (WRITTEN, "tea")
    other = json.loads(text) | {"class_names": [RAW, "tea"], "skipped": [f"{RAW}: damaged"]}
    (place / f"packed-{RAW}" / "dataset.json").write_text(json.dumps(other))  # not by this program
    data = load.load(str(place / f"packed-{RAW}"))
    assert data.class_names == (WRITTEN, "tea") and data.skipped == (f"{WRITTEN}: damaged",)
    assert data.name == str(place / f"packed-{WRITTEN}")


def test_every_file_of_a_run_is_plain_utf_8(place: Path, run: Path) -> None:
    command(place, "diagnose", f"run-{RAW}")
    command(place, "plot", f"run-{RAW}")
    command(place, "report", f"run-{RAW}")
    command(place, "report", f"run-{RAW}", f"run-{RAW}", "-o", f"run-{RAW}/two.html")
    kinds = {".json", ".jsonl", ".toml", ".md", ".html"}
    texts = {p: p.read_bytes().decode() for p in run.rglob("*") if p.suffix in kinds}
    assert kinds == {p.suffix for p in texts}
    for path, text in texts.items():
        assert "\\udc" not in text, path
    assert tomllib.loads(texts[run / "config.toml"])["data"] == f"data-{WRITTEN}"
    assert f"| data | data-{WRITTEN} |" in texts[run / "model" / "README.md"]
    assert json.loads(texts[run / "model" / "config.json"])["class_names"] == [WRITTEN, "tea"]
    page = texts[run / "report.html"]
    assert f"samples of label {WRITTEN}" in page
    assert f"--out $&#39;run-{WRITTEN}&#39;" in page


def test_a_run_goes_on_with_the_same_data(place: Path, run: Path) -> None:
    for name in (RAW, WRITTEN):
        words = ("train", "--data", f"data-{name}", "--out", f"run-{RAW}", *SMALL)
        assert "already finished" in command(place, *words)
    longer = tuple("0.024" if word == "0.016" else word for word in words)
    command(place, *longer)
    assert Run(run).info()["step"] == 3
    config = convert.loads((run / "config.toml").read_text(), PARTS)
    assert config == replace(config, data=f"data-{RAW}") and config.data == f"data-{WRITTEN}"


def test_a_class_is_asked_for_by_its_bytes_or_as_it_is_printed(place: Path, run: Path) -> None:
    sampler = gf.load(run)
    np.testing.assert_array_equal(sampler.sample(2, RAW), sampler.sample(2, 0))
    np.testing.assert_array_equal(sampler.sample(2, WRITTEN), sampler.sample(2, 0))
    command(place, "sample", f"run-{RAW}", "--label", RAW, "-n", "2", "-o", f"{RAW}.npz")
    with np.load(place / f"{RAW}.npz", allow_pickle=False) as file:
        assert file["labels"].tolist() == [0, 0]
    out = command(place, "sample", f"run-{RAW}", "--label", "milk", code=2)
    assert f"({WRITTEN}, tea)" in out


def test_a_model_from_elsewhere_is_read_printable(run: Path, tmp_path: Path) -> None:
    for file in (run / "model").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    table = json.loads((tmp_path / model.CONFIG).read_text())
    table |= {"class_names": [RAW, "\ud800"], "name": RAW}
    (tmp_path / model.CONFIG).write_text(json.dumps(table))
    sampler = gf.load(tmp_path)
    assert sampler.class_names == (WRITTEN, "\\ud800") and sampler.name == WRITTEN


def test_scores_and_comparisons_name_such_runs(place: Path) -> None:
    small = ("--kimg", "0.064", "--batch", "8", "--threads", "1")
    for seed in ("0", "1"):
        out = ("--out", f"rings-{RAW}/{seed}", "--seed", seed)
        command(place, "train", "ring", *small, *out)
    out = command(place, "compare", f"rings-{RAW}", "-n", "100", "--out", f"both-{RAW}")
    assert f"both-{WRITTEN}/compare.json" in out
    found = json.loads((place / f"both-{RAW}" / "compare.json").read_text())
    paths = [entry["path"] for group in found["recipes"].values() for entry in group]
    assert paths == [f"rings-{WRITTEN}/0", f"rings-{WRITTEN}/1"]
    out = command(place, "train", "ring", *small, "--seeds", "0..1", "--out", f"seeds-{RAW}")
    assert f"seeds-{WRITTEN}/summary.json" in out


def test_event_files_are_refused_before_the_first_step(place: Path) -> None:
    pytest.importorskip("tensorboard")
    with pytest.raises(gf.GanforgeError, match=r"run-caf\S+: tensorboard takes no path"):
        log.Loggers(f"run-{RAW}", "tensorboard")
    words = ("train", "gaussian", "--tensorboard", "--out", f"events-{RAW}")
    assert f"events-{WRITTEN}: tensorboard takes no path" in command(place, *words, code=2)
    assert not (place / f"events-{RAW}").exists()


def test_lines_on_a_strict_stream_are_printable() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    display.Plain(stream).write(f"samples run-{RAW}/samples")
    stream.seek(0)
    assert stream.read() == f"samples run-{WRITTEN}/samples\n"


def test_no_module_makes_the_bytes_of_text_itself() -> None:
    ours = re.compile(r"json\.dump\(|write_text\(|(dumps|card|render)\([^\n]*\)\.encode\(")
    # these write names from a Config, which is printable, and no paths
    printed = {"text.py", "folder.py", "checkpoint.py", "convert.py", "lock.py"}
    found = [
        str(path.relative_to(SOURCES))
        for path in sorted(SOURCES.rglob("*.py"))
        if path.name not in printed and ours.search(path.read_text())
    ]
    assert found == []
