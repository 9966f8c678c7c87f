"""Models over a hub on this machine: same samples, nothing private, a line for every fault."""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import ganforge as gf
from ganforge import recipes
from ganforge.data.spec import DataSpec
from ganforge.errors import DataError, UsageError
from ganforge.evaluation.score import Score
from ganforge.export import hub as sharing
from ganforge.export.demo.page import html
from ganforge.runs import hub, model
from ganforge.runs import load as loading
from ganforge.sampling.sampler import Sampler
from tests.helpers.loopback_hub import State, loopback
from tests.helpers.samplers import fresh
from tests.helpers.tiny import narrow
from tests.sampling.test_translate import made as translator

pytest.importorskip("huggingface_hub", reason="the extra: pip install 'ganforge[hub]'")
ONNX = all(map(find_spec, ("onnx", "onnxruntime", "onnxscript")))
ADDRESS = hub.parse("hf://me/digits")
QUIET = {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_OFFLINE": "0",
         "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_TOKEN": "hf_secret"}  # fmt: skip


@pytest.fixture(scope="module")
def sampler() -> Sampler:
    return fresh(DataSpec((1, 28, 28), 10))


@pytest.fixture
def folder(tmp_path: Path, sampler: Sampler) -> Path:
    """A model whose config.json has the path of a user's data, as old ones have."""
    made = model.save(tmp_path / "digits", sampler, recipes.cdcgan(), {"step": 7})
    config = made / model.CONFIG
    private = f"{Path.home()}/customers"
    config.write_text(config.read_text().replace('"data": "mnist"', f'"data": "{private}"'))
    assert private in config.read_text()
    return made


@pytest.fixture
def server() -> Iterator[State]:
    with loopback() as state:
        yield state


@pytest.fixture
def filled(server: State, folder: Path) -> State:
    """The hub with the model, and files that must not be fetched."""
    server.repos["me/digits"] = {p.name: p.read_bytes() for p in folder.iterdir()} | {
        "code.py": b"raise SystemExit", "weights.pkl": b"x", "../outside.txt": b"y",
        "/tmp/absolute": b"z",
    }  # fmt: skip
    return server


def at(state: State, tmp_path: Path) -> hub.Hub:
    return hub.Hub(state.endpoint, tmp_path / "cache")


# --- there and back ---------------------------------------------------------------------------


def command(state: State, tmp_path: Path, *words: str, **more: str) -> Any:
    """Python with the hub in its environment."""
    environment = {**os.environ, **QUIET, "HF_ENDPOINT": state.endpoint,
                   "HF_HOME": str(tmp_path / "home"), **more}  # fmt: skip
    return subprocess.run(
        [sys.executable, *words],
        capture_output=True,
        text=True,
        env=environment,
        timeout=100,
        check=False,
    )


def test_push_and_load(server: State, folder: Path, sampler: Sampler, tmp_path: Path) -> None:
    pushed = command(server, tmp_path, "-m", "ganforge", "push", str(folder), "me/digits",
                     "--license", "mit")  # fmt: skip
    assert pushed.returncode == 0, pushed.stderr
    assert pushed.stdout.splitlines()[-1] == f"{server.endpoint}/me/digits/commit/{'a' * 40}"
    assert server.private is True and "hf_secret" not in pushed.stdout + pushed.stderr
    assert set(server.repos["me/digits"]) == {
        "config.json", "model.safetensors", "README.md", "samples.png",
    }  # fmt: skip
    sent = len(server.asked)
    code = (
        "import ganforge as gf, hashlib\n"
        "made = gf.load('hf://me/digits@main').sample(20, seed=3)\n"
        "print(hashlib.sha256(made.tobytes()).hexdigest())\n"
    )
    first = command(server, tmp_path, "-c", code)
    assert first.returncode == 0, first.stderr
    digest = gf.load(folder).sample(20, seed=3).tobytes()
    assert first.stdout.strip() == hashlib.sha256(digest).hexdigest()
    assert sent <= 16 and len(server.asked) - sent <= 16
    server.asked.clear()
    again = command(server, tmp_path, "-c", code, HF_HUB_OFFLINE="1")
    assert again.stdout == first.stdout and not server.asked


def test_a_second_load_fetches_no_weights(filled: State, tmp_path: Path) -> None:
    first = hub.pull(ADDRESS, at(filled, tmp_path))
    assert filled.sent == len(filled.repos["me/digits"]["model.safetensors"])
    assert hub.pull(ADDRESS, at(filled, tmp_path)) == first
    assert filled.sent == len(filled.repos["me/digits"]["model.safetensors"])


def test_only_three_files_are_fetched(filled: State, tmp_path: Path) -> None:
    found = hub.pull(ADDRESS, at(filled, tmp_path))
    assert {p.name for p in found.iterdir()} == {"config.json", "model.safetensors", "README.md"}
    assert not [
        p for p in tmp_path.rglob("*") if p.name in ("outside.txt", "code.py", "weights.pkl")
    ]
    fetched = [a for a in filled.asked if "/resolve/" in a]
    assert {a.rpartition("/")[2] for a in fetched} == {p.name for p in found.iterdir()}


def test_the_pulled_folder_is_a_model(
    filled: State, tmp_path: Path, sampler: Sampler, monkeypatch: pytest.MonkeyPatch
) -> None:
    pulled = command(filled, tmp_path, "-m", "ganforge", "pull", "me/digits", "-o",
                     str(tmp_path / "out"))  # fmt: skip
    assert pulled.returncode == 0, pulled.stderr
    assert (gf.load(tmp_path / "out").sample(2) == sampler.sample(2)).all()
    assert (gf.load(f"file://{tmp_path}/out").sample(2) == sampler.sample(2)).all()
    assert not any(p.is_symlink() for p in (tmp_path / "out").iterdir())


# --- faults -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "path", "line"),
    [
        (404, "/api/models", "no such model"),
        (401, "/api/models", "HF_TOKEN"),
        (403, "/api/models", "ask for access|HF_TOKEN"),
        (400, "/api/models", "the hub answered 400"),
        (429, "/api/models", "the hub answered 429"),
        (500, "/api/models", "the hub answered 500"),
        (403, "/me/digits/resolve", "ask for access|HF_TOKEN"),
    ],
)
def test_a_refusal_is_a_line(
    filled: State, tmp_path: Path, status: int, path: str, line: str
) -> None:
    filled.fail[path] = status
    with pytest.raises(DataError, match=rf"hf://me/digits: .*({line})") as caught:
        hub.pull(ADDRESS, at(filled, tmp_path))
    assert "\n" not in str(caught.value)


def test_weights_of_another_hash_are_not_used(filled: State, tmp_path: Path) -> None:
    filled.swapped["model.safetensors"] = filled.repos["me/digits"]["model.safetensors"][::-1]
    with pytest.raises(DataError, match="another sha256"):
        hub.pull(ADDRESS, at(filled, tmp_path))
    assert not list(tmp_path.rglob("cache/**/model.safetensors"))
    filled.swapped.clear()
    assert gf.load(hub.pull(ADDRESS, at(filled, tmp_path))).sample(1).shape == (1, 28, 28, 1)


def test_a_torn_download_is_not_used(filled: State, tmp_path: Path) -> None:
    filled.torn = True
    with pytest.raises(DataError, match="hf://me/digits: "):
        hub.pull(ADDRESS, at(filled, tmp_path))
    assert not list(tmp_path.rglob("cache/**/snapshots/*/model.safetensors"))
    filled.torn = False
    assert gf.load(hub.pull(ADDRESS, at(filled, tmp_path))).sample(1).shape == (1, 28, 28, 1)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_file_that_is_too_large_is_not_fetched(filled: State, tmp_path: Path, name: str) -> None:
    filled.sizes[name] = 10 * 2**30
    with pytest.raises(DataError, match=f"{name} has 10,737,418,240 bytes, more than"):
        hub.pull(ADDRESS, at(filled, tmp_path))
    assert not [a for a in filled.asked if "/resolve/" in a]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"model.safetensors": None}, "it has no model.safetensors"),
        ({"config.json": None}, "it has no config.json"),
        ({"config.json": b'{"library": "other"}'}, "not one of ganforge's"),
        ({"config.json": b"[]"}, "not one of ganforge's"),
        ({"config.json": b"[" * 5000}, "not one of ganforge's"),
    ],
)
def test_what_is_no_model_of_ours_is_refused(
    filled: State, tmp_path: Path, change: dict[str, bytes | None], line: str
) -> None:
    repo = {**filled.repos["me/digits"], **change}
    filled.repos["me/digits"] = {n: d for n, d in repo.items() if d is not None}
    with pytest.raises(DataError, match=line):
        hub.pull(ADDRESS, at(filled, tmp_path))


@pytest.mark.parametrize(
    "text",
    ["hf://", "hf://a", "hf://a/b/c", "hf://../b", "hf://a/..", "hf://a/b@../c", "hf://a/b@"],
)
def test_addresses_of_another_form_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="expected hf://owner/name"):
        gf.load(text)


def test_a_missing_folder_may_be_meant_as_an_address() -> None:
    with pytest.raises(DataError, match="of the hub: hf://me/digits"):
        gf.load("me/digits")
    with pytest.raises(UsageError, match="`ganforge pull me/digits` first"):
        gf.load(Path("hf://me/digits"))


# --- what is sent -----------------------------------------------------------------------------


def test_nothing_private_is_sent(folder: Path) -> None:
    found = sharing.shared(folder, "me/digits", "mit", onnx=ONNX, demo=True)
    assert set(found) >= {"demo.html", "samples.png", *(["model.onnx"] if ONNX else [])}
    for name, data in found.items():
        for private in (str(Path.home()), str(folder), f"/{getpass.getuser()}/"):
            assert private.encode() not in data, name
    assert json.loads(found["config.json"])["training"]["config"]["data"] == "customers"
    dirty = json.loads((folder / "config.json").read_text())
    dirty["training"]["note"] = f"{Path.home()}/secret"
    (folder / "config.json").write_text(json.dumps(dirty))
    with pytest.raises(UsageError, match="would name"):
        sharing.shared(folder, "me/digits", "mit")


def test_the_card_names_scores_licence_and_data(tmp_path: Path, sampler: Sampler) -> None:
    made = model.save(tmp_path / "m", sampler, recipes.cdcgan(), {"step": 7})
    score = Score("frechet", 0.5, 0.1, 0.2, 1000, "mnist", "0", 0, "test", "lower")
    entry = {"data": "mnist", "step": 7, "split": "test", "n": 1000, "made": "x", "foreign": False,
             "scores": [score.to_json()]}  # fmt: skip
    (made / "scores.json").write_text(json.dumps({"format": 1, "entries": {"a": entry}}))
    text = sharing.shared(made, "me/digits", "cc-by-4.0")["README.md"].decode()
    front = yaml.safe_load(text.split("---\n")[1])
    assert {k: front[k] for k in ("library_name", "license", "pipeline_tag", "datasets")} == {
        "library_name": "ganforge",
        "license": "cc-by-4.0",
        "pipeline_tag": "unconditional-image-generation",
        "datasets": ["ylecun/mnist"],
    }
    assert {"gan", "ganforge", "cdcgan"} <= set(front["tags"])
    from huggingface_hub import ModelCard

    (result,) = ModelCard(text).data.eval_results
    assert result.metric_value == 0.5 and result.dataset_name == "mnist"
    assert result.metric_args["interval_95"] == pytest.approx([0.304, 0.696])
    assert 'gf.load("hf://me/digits")' in text and "![Samples](samples.png)" in text
    assert re.search(r"\| frechet \| 0\.5 \+- 0\.2 \| 0\.2 \| test, N 1,000 \|", text)


def test_half_weights_have_half_the_size_and_samples_within_a_level(
    tmp_path: Path, folder: Path, sampler: Sampler
) -> None:
    whole = sharing.shared(folder, "me/digits", "mit")
    half = sharing.shared(folder, "me/digits", "mit", half=True, onnx=ONNX)
    assert len(half[model.WEIGHTS]) <= 0.55 * len(whole[model.WEIGHTS])
    assert {k: v for k, v in half.items() if k in whole} | {model.WEIGHTS: b""} == whole | {
        model.WEIGHTS: b""
    }
    if ONNX:
        assert len(half["model.onnx"]) <= 0.55 * len(whole[model.WEIGHTS])
    pulled = tmp_path / "pulled"
    pulled.mkdir()
    for name, data in half.items():
        (pulled / name).write_bytes(data)
    made, wanted = gf.load(pulled).sample(100).astype(int), sampler.sample(100)
    assert 0 < np.abs(made - wanted).max() <= 1


def test_a_translator_is_sent_without_pictures_and_a_law_without_their_task(tmp_path: Path) -> None:
    score = Score("l1", 0.5, 0.1, 0.2, 100, "", "0", 0, "test", "lower")
    entry = {"data": "x", "step": 7, "split": "test", "n": 100, "made": "x", "foreign": False,
             "scores": [score.to_json()]}  # fmt: skip
    for recipe, made, task in (
        ("pix2pix", translator("pix2pix"), "image-to-image"),
        ("ring", fresh(DataSpec((2,), 0, "float32", False, (0.0,), (1.0,)), "ring"), None),
    ):
        config = narrow(recipes.find(recipe)) if task else recipes.find(recipe)
        saved = model.save(tmp_path / recipe, made, config, {"step": 7})
        (saved / "scores.json").write_text(json.dumps({"format": 1, "entries": {"a": entry}}))
        found = sharing.shared(saved, f"me/{recipe}", "mit")
        assert set(found) == {"config.json", "model.safetensors", "README.md"}
        text = found["README.md"].decode()
        front = yaml.safe_load(text.split("---\n")[1])
        assert front.get("pipeline_tag") == task and "samples.png" not in text
        (result,) = front["model-index"][0]["results"]
        assert result["task"]["type"] == (task or "other")
        assert ("numbers of" in text, ".translate(pictures)" in text) == (not task, bool(task))


@pytest.mark.parametrize("license", [None, "", "MIT licence"])
def test_a_licence_is_needed(folder: Path, license: str | None) -> None:
    with pytest.raises(UsageError, match="--license"):
        sharing.shared(folder, "me/digits", license)


def test_networks_of_the_user_are_sent_by_force_alone(tmp_path: Path, sampler: Sampler) -> None:
    def networks(spec: DataSpec, noise: int) -> dict[str, Any]:
        return {"generator": sampler.model, "discriminator": sampler.model}

    config = replace(recipes.cdcgan(), networks=networks)
    made = model.save(tmp_path / "m", sampler, config, {})
    with pytest.raises(UsageError, match="--force"):
        sharing.shared(made, "me/digits", "mit", networks=networks)
    assert sharing.shared(made, "me/digits", "mit", force=True, networks=networks)


def test_a_dry_run_sends_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str], server: State
) -> None:
    from ganforge.cli import main

    assert main(["push", str(folder), "me/digits", "--license", "mit", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "model.safetensors" in out and "nothing was sent" in out and not server.asked


def test_a_space_shows_the_demo(
    server: State, folder: Path, sampler: Sampler, capsys: pytest.CaptureFixture[str]
) -> None:
    from ganforge.cli import main

    shared = sharing.shared(folder, "me/digits", "mit", demo=True)
    files = sharing.space(shared, "me/digits", "mit")
    address = sharing.push(files, "me/digits", endpoint=server.endpoint, kind="space")
    shown = server.repos["spaces/me/digits"]
    assert "/spaces/me/digits/commit/" in address and set(shown) == {"index.html", "README.md"}
    assert shown["index.html"] == shared["demo.html"] == html(sampler).encode()
    facts = yaml.safe_load(shown["README.md"].decode().split("---")[1])
    assert facts == {"title": "digits", "sdk": "static", "license": "mit", "models": ["me/digits"]}
    assert server.made == [server.made[0]] and server.made[0]["sdk"] == "static"
    assert server.private
    words = ["push", str(folder), "me/digits", "--license", "mit", "--space", "--dry-run"]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "demo.html" in out and "index.html" in out and 'sdk: "static"' in out


def test_push_says_what_the_hub_refuses(folder: Path, server: State) -> None:
    server.fail["/api/repos/create"] = 403
    with pytest.raises(DataError, match=r"HF_TOKEN|access"):
        sharing.push({"README.md": b"x"}, "me/digits", endpoint=server.endpoint)


@pytest.mark.parametrize("text", ["hf:/", "hf:/owner", "hf:/a/b/c"])
def test_a_path_of_another_form_than_an_address_is_no_model_to_pull(text: str) -> None:
    """The command line has an address as a path, of which it says what to fetch."""
    with pytest.raises(UsageError, match="expected hf://owner/name"):
        loading.located(Path(text))
    with pytest.raises(UsageError, match="fetch it with `ganforge pull a/b` first"):
        loading.located(Path("hf:/a/b"))
