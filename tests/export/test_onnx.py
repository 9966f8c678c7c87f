"""ONNX files: the samples of the model, no trace of the machine, none that was not checked."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import ganforge as gf
from ganforge import files, recipes
from ganforge.cli import main
from ganforge.config import convert
from ganforge.config.schema import Noise
from ganforge.data.spec import DataSpec
from ganforge.errors import DataError, UsageError
from ganforge.export import CLIENTS, onnx
from ganforge.export.noise import masks, noise
from ganforge.nets.base import PlainModule
from ganforge.recipes import RECIPES
from ganforge.runs import model
from ganforge.sampling.sampler import Sampler
from tests.helpers.samplers import Styled, fresh, styled
from tests.sampling.test_translate import made as translator_of

DIGITS = DataSpec((1, 28, 28), 10)
VECTORS = DataSpec((2,), 0, "float32", False, (0.0,), (1.0,))
needs_extra = pytest.mark.skipif(
    not all(find_spec(name) for name in ("onnx", "onnxruntime", "onnxscript")),
    reason="the extra is not installed: pip install 'ganforge[onnx]'",
)


def session(path: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def made(opened: Any, sampler: Sampler, count: int, batch: int = 250) -> Any:
    """Samples 0 .. count - 1 of seed 0 from a file, fed by the noise module in batches."""
    out, labels = [], sampler.labels(count)
    for first in range(0, count, batch):
        n = min(batch, count - first)
        law = convert.to_dict(sampler.noise)
        given = {"z": noise(n, law["size"], law["law"], first=first, codes=law.get("codes", ()))}
        if labels is not None:
            given["label"] = labels[first : first + n]
        if sampler.truncation_law == "style":
            given["truncation"] = np.ones((n, 1), np.float32)
        out.append(opened.run(None, given)[0])
    return np.concatenate(out)


def levels(one: Any, other: Any) -> tuple[int, float]:
    """The largest difference in levels, and the share of pixels that differ."""
    gaps = np.abs(one.astype(int) - other.astype(int))
    return int(gaps.max()), float((gaps > 0).mean())


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> tuple[Sampler, Path]:
    """The default generator as a model folder, exported as model.onnx and half.onnx in it."""
    folder, sampler = tmp_path_factory.mktemp("digits"), fresh(DIGITS)
    model.save(folder, sampler, recipes.find("cdcgan"), {})
    assert gf.export(folder, folder / "model.onnx") == folder / "model.onnx"
    gf.export(sampler, folder / "half.onnx", half=True)
    return sampler, folder


# --- the same samples -------------------------------------------------------------------------


@needs_extra
def test_a_file_makes_the_samples_of_the_model(digits: tuple[Sampler, Path]) -> None:
    sampler, folder = digits
    opened, wanted = session(folder / "model.onnx"), sampler.sample(300)
    assert wanted.std() > 30
    for batch in (1, 7, 256):
        count = 40 if batch == 1 else 300
        most, share = levels(made(opened, sampler, count, batch), wanted[:count])
        assert most <= 1 and share <= 1e-4
    none = {"z": np.zeros((0, 100), np.float32), "label": np.zeros(0, np.int64)}
    assert opened.run(None, none)[0].shape == (0, 28, 28, 1)


@needs_extra
def test_half_weights_half_the_size_and_one_level(digits: tuple[Sampler, Path]) -> None:
    sampler, folder = digits
    whole, half = (folder / name for name in ("model.onnx", "half.onnx"))
    assert half.stat().st_size <= 0.55 * whole.stat().st_size
    most, _ = levels(made(session(half), sampler, 300), sampler.sample(300))
    assert most <= 1
    assert whole.stat().st_size <= 1.02 * (folder / "model.safetensors").stat().st_size


@needs_extra
def test_seed_label_index_and_truncation_make_the_same_picture(
    digits: tuple[Sampler, Path],
) -> None:
    sampler, folder = digits
    z = noise(5, 100, seed=9, first=31, truncation=0.6)
    got = session(folder / "model.onnx").run(None, {"z": z, "label": np.full(5, 8)})[0]
    most, _ = levels(got, sampler.sample(5, 8, seed=9, first=31, truncation=0.6))
    assert most <= 1


@needs_extra
def test_a_style_is_truncated_in_the_file(tmp_path: Path) -> None:
    sampler = Sampler(Styled(), VECTORS, Noise(2), "styled")
    opened = session(gf.export(sampler, tmp_path / "s.onnx"))
    given = {"z": noise(6, 2, seed=1), "truncation": np.full((6, 1), 0.4, np.float32)}
    wanted = sampler.sample(6, seed=1, truncation=0.4)
    np.testing.assert_allclose(opened.run(None, given)[0], wanted, atol=1e-5)
    law = json.loads(opened.get_modelmeta().custom_metadata_map["truncation"])
    assert law == {"law": "style", "above": 0, "at_most": 1}
    sampler = styled()
    opened = session(gf.export(sampler, tmp_path / "s.onnx"))
    given = {"z": noise(5, 12, seed=1), "truncation": np.full((5, 1), 0.4, np.float32)}
    got = opened.run(None, {**given, "label": np.array([0, 1, 2, 0, 1])})[0]
    assert levels(got, sampler.sample(5, seed=1, truncation=0.4))[0] <= 1


@needs_extra
@pytest.mark.parametrize(("name", "direction"), [("pix2pix", "a2b"), ("cyclegan", "b2a")])
def test_a_translator_translates_in_the_file(name: str, direction: str, tmp_path: Path) -> None:
    """Pictures 5 .. 7 of seed 3, with dropout masks from the noise module."""
    translator = translator_of(name)
    opened = session(gf.export(translator, tmp_path / "t.onnx", direction=direction))
    half = gf.export(translator, tmp_path / "h.onnx", direction=direction, half=True)
    assert half.stat().st_size < (tmp_path / "t.onnx").stat().st_size
    facts = opened.get_modelmeta().custom_metadata_map
    source, target = translator.ends(direction)
    assert json.loads(facts["source"])["shape"] == list(source.shape)
    assert json.loads(facts["spec"])["shape"] == list(target.shape)
    assert facts["direction"] == f'"{direction}"' and "noise" not in facts
    require_no_trace(half.read_bytes())
    pictures = np.random.default_rng(1).integers(0, 256, (3, *source.stored_shape), np.uint8)
    given = {"source": pictures}
    for key, one in json.loads(facts["inputs"]).items():
        factors = masks(3, math.prod(one["shape"]), one["drop"], one["stream"], seed=3, first=5)
        given[key] = factors.reshape(3, *one["shape"])
    assert [i.name for i in opened.get_inputs()] == list(given) and len(given) == (
        4 if name == "pix2pix" else 1
    )
    wanted = translator.translate(pictures, seed=3, direction=direction, first=5)
    made = opened.run(None, given)[0]
    assert levels(made, wanted)[0] <= 1 and made.shape == wanted.shape
    assert levels(session(half).run(None, given)[0], wanted)[0] <= 2
    if given.keys() > {"source"}:
        other = translator.translate(pictures, seed=4, direction=direction, first=5)
        assert levels(made, other)[0] > 1


@needs_extra
def test_a_direction_that_is_none_is_refused(digits: tuple[Sampler, Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="direction = 'b2a': cdcgan translates no pictures"):
        gf.export(digits[0], tmp_path / "m.onnx", direction="b2a")
    with pytest.raises(UsageError, match="train cyclegan for both ways"):
        gf.export(translator_of("pix2pix"), tmp_path / "m.onnx", direction="b2a")


def documented(language: str) -> str:
    """The client in a language that the documentation shows."""
    text = (Path(__file__).parents[2] / "docs/shipping.md").read_text()
    found = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    (client,) = [code for code in found if "noise" in code]
    assert len(client.splitlines()) <= 10
    return client


@needs_extra
def test_the_client_in_python_that_the_documents_show(digits: tuple[Sampler, Path]) -> None:
    sampler, folder = digits
    for client in CLIENTS:
        (folder / client.name).write_bytes(client.read_bytes())
    code = documented("python") + "images.tofile('python.bin')\n"
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True, timeout=100)
    made = np.fromfile(folder / "python.bin", np.uint8).reshape(4, 28, 28, 1)
    assert levels(made, sampler.sample(4, labels=8, seed=7))[0] <= 1


WEB = next((folder for folder in os.environ.get("NODE_PATH", "").split(os.pathsep)
            if (Path(folder) / "onnxruntime-web").is_dir()), None)  # fmt: skip


@needs_extra
@pytest.mark.nightly
@pytest.mark.skipif(WEB is None, reason="onnxruntime-web is not in NODE_PATH: make nightly")
def test_the_client_in_javascript_that_the_documents_show(
    digits: tuple[Sampler, Path], tmp_path: Path
) -> None:
    assert WEB is not None
    for file in (*CLIENTS, digits[1] / "model.onnx"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "node_modules").symlink_to(WEB)
    code = 'import { writeFile } from "node:fs/promises";\n' + documented("js")
    (tmp_path / "c.mjs").write_text(code + 'await writeFile("js.bin", image.data);\n')
    subprocess.run(["node", "c.mjs"], cwd=tmp_path, check=True, timeout=100)
    made = np.fromfile(tmp_path / "js.bin", np.uint8).reshape(4, 28, 28, 1)
    assert levels(made, digits[0].sample(4, labels=8, seed=7))[0] <= 1


# --- what is in the file ----------------------------------------------------------------------


def require_no_trace(data: bytes) -> None:
    """No path of the machine, no user, no year of today's in a file; weights are any bytes."""
    from onnx import load_model_from_string

    proto = load_model_from_string(data)
    for tensor in proto.graph.initializer:
        tensor.ClearField("raw_data")
    data = proto.SerializeToString()
    for secret in (str(Path.home()), os.getcwd(), sys.prefix, "site-packages", "/tmp/", ".py"):
        assert secret.encode() not in data, secret
    assert not re.search(rb"20\d\d-\d\d-\d\d", data)


@needs_extra
def test_metadata_say_what_a_client_must_know(digits: tuple[Sampler, Path]) -> None:
    _, folder = digits
    opened = session(folder / "model.onnx")
    facts = opened.get_modelmeta().custom_metadata_map
    weights = (folder / "model.safetensors").read_bytes()
    assert facts["weights_sha256"] == hashlib.sha256(weights).hexdigest()
    assert json.loads(facts["noise"]) == {"size": 100, "law": "normal"}
    assert json.loads(facts["labels"]) == [0, 9]
    assert json.loads(facts["spec"])["shape"] == [1, 28, 28]
    assert (facts["name"], facts["output"]) == ("cdcgan", "stored")
    assert [i.name for i in opened.get_inputs()] == ["z", "label"]
    assert opened.get_outputs()[0].type == "tensor(uint8)"
    require_no_trace((folder / "model.onnx").read_bytes())
    require_no_trace((folder / "half.onnx").read_bytes())


@needs_extra
def test_the_same_model_makes_the_same_bytes(digits: tuple[Sampler, Path], tmp_path: Path) -> None:
    sampler, folder = digits
    again = gf.export(sampler, tmp_path / "again.onnx").read_bytes()
    assert again == (folder / "model.onnx").read_bytes()


# --- what is refused --------------------------------------------------------------------------


class Branching(nn.Module):
    """Doubles its output if it is positive on the whole."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 2)

    def forward(self, z: Tensor) -> Tensor:
        y: Tensor = self.linear(z)
        return 2 * y if y.sum() > 0 else y


@needs_extra
def test_a_branch_on_values_is_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    inner = nn.Sequential(nn.Identity(), Branching())
    sampler = Sampler(PlainModule(inner, False), VECTORS, Noise(3), "own")
    with pytest.raises(
        UsageError, match=r"^Branching \(test_onnx\.py, line \d+\) cannot"
    ) as raised:
        gf.export(sampler, tmp_path / "own.onnx")
    assert "\n" not in str(raised.value)
    assert capfd.readouterr() == ("", "")
    assert not list(tmp_path.iterdir())


class Counting(nn.Linear):
    """Makes a row for each of the examples that it counts."""

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = super().forward(x)
        return y + torch.ones(1, 2).expand(len(x), 2)


@needs_extra
def test_a_fixed_number_of_examples_is_one_line(tmp_path: Path) -> None:
    sampler = Sampler(PlainModule(Counting(3, 2), False), VECTORS, Noise(3), "own")
    with pytest.raises(UsageError, match=r"^Counting cannot .* x\.shape\[0\] in place of len"):
        gf.export(sampler, tmp_path / "own.onnx")
    assert not list(tmp_path.iterdir())


@needs_extra
def test_a_file_that_differs_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """16 bits are too few for vectors, and a wrong graph is never left."""
    vectors = Sampler(PlainModule(nn.Linear(64, 2), False), VECTORS, Noise(64), "vectors")
    with pytest.raises(DataError, match=r"vectors: the file differs .* without --half"):
        gf.export(vectors, tmp_path / "v.onnx", half=True)
    sampler = fresh(DIGITS)
    right = onnx.encoded(sampler, onnx.Exported(sampler, False), False, 18)
    with torch.no_grad():
        next(sampler.model.parameters()).mul_(2)
    monkeypatch.setattr(onnx, "encoded", lambda *_: right)
    with pytest.raises(DataError, match=r"differs from the model by \d+ levels"):
        gf.export(sampler, tmp_path / "d.onnx")
    assert not list(tmp_path.iterdir())


@needs_extra
def test_an_interrupted_export_leaves_no_file(
    digits: tuple[Sampler, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = (digits[1] / "model.onnx").read_bytes()
    monkeypatch.setattr(onnx, "encoded", lambda *_: data)

    def interrupted(path: Path, data: bytes) -> None:
        path.write_bytes(data[: len(data) // 2])
        raise KeyboardInterrupt

    monkeypatch.setattr(files, "write_file", interrupted)
    with pytest.raises(KeyboardInterrupt):
        gf.export(digits[0], tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_without_the_extra_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model.save(tmp_path / "model", fresh(DIGITS), recipes.find("cdcgan"), {})
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert main(["export", str(tmp_path / "model"), "-o", str(tmp_path / "m.onnx")]) == 2
    wanted = "ganforge: an ONNX file needs an extra: pip install 'ganforge[onnx]'\n"
    assert capsys.readouterr().err == wanted


@pytest.mark.parametrize("options", [{"opset": 16}, {"opset": 24}, {"opset": "18"}])
def test_arguments_are_checked_first(options: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="opset = "):
        gf.export(tmp_path / "no-model", tmp_path / "m.onnx", **options)
    with pytest.raises(UsageError, match=r"ending in \.onnx"):
        gf.export(tmp_path / "no-model", tmp_path / "m.pt")


@needs_extra
def test_the_command_and_its_noise_modules(
    digits: tuple[Sampler, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "m.onnx"
    words = ["export", str(digits[1]), "-o", str(out), "--half", "--noise"]
    assert main(words) == 0
    assert f"{out} (" in capsys.readouterr().out
    assert out.read_bytes() == (digits[1] / "half.onnx").read_bytes()
    for client in CLIENTS:
        assert (out.parent / client.name).read_bytes() == client.read_bytes()
    assert main(words) == 2
    assert "m.onnx exists: add --overwrite" in capsys.readouterr().err
    assert main([*words[:-1], "--overwrite"]) == 0
    out.unlink()
    assert main(words) == 2  # noise.py is there
    assert "noise.py exists" in capsys.readouterr().err


# --- every recipe, in minutes -----------------------------------------------------------------

TRANSLATORS = ("pix2pix", "cyclegan")  # above
SIZES = {
    "dcgan": [DataSpec((3, 64, 64)), DataSpec((3, 45, 71)), DataSpec((3, 128, 128))],
    "wgan-gp": [DataSpec((3, 32, 32))], "stylegan2": [DataSpec((3, 32, 32))],
    "gaussian": [VECTORS], "gaussian-stable": [VECTORS], "ring": [VECTORS], "grid": [VECTORS],
    "pacgan": [VECTORS], "wgan-gp-toy": [VECTORS],
    "figure1": [DataSpec((1,), 0, "float32", False, (0.0,), (1.0,))],
}  # fmt: skip


def specs(name: str) -> list[DataSpec]:
    """The shapes that a recipe is exported for."""
    classes = 10 if recipes.find(name).labels else 0
    return SIZES.get(name, [DataSpec((1, 28, 28), classes)])


@needs_extra
@pytest.mark.nightly
@pytest.mark.parametrize(
    ("name", "spec"),
    [(n, s) for n in RECIPES if n not in TRANSLATORS for s in specs(n)],
    ids=lambda v: str(getattr(v, "shape", v)),
)
def test_every_recipe(name: str, spec: DataSpec, tmp_path: Path) -> None:
    sampler = fresh(spec, name)
    before = time.process_time()
    path = gf.export(sampler, tmp_path / "m.onnx")
    assert time.process_time() - before <= 15
    opened, large = session(path), spec.size > 1000
    count = 200 if spec.size > 10_000 or name == "stylegan2" else 1000
    wanted = sampler.sample(count)
    for batch in (1, 7, 256):
        n = min(count, max(200, 20 * batch))
        got = made(opened, sampler, n, batch)
        if spec.is_image:
            most, share = levels(got, wanted[:n])
            assert most <= 1 and share <= 1e-4, (batch, most, share)
        else:
            assert np.abs(got - wanted[:n]).max() <= 1e-5 * np.ptp(wanted)
    require_no_trace(path.read_bytes())
    weights = sum(t.numel() * t.element_size() for t in sampler.model.state_dict().values())
    if weights > 2**20:
        assert path.stat().st_size <= 1.02 * weights
    if spec.is_image:
        half = gf.export(sampler, tmp_path / "half.onnx", half=True)
        if weights > 2**20:
            assert half.stat().st_size <= 0.55 * path.stat().st_size
        n = 100 if large else 300
        assert levels(made(session(half), sampler, n), wanted[:n])[0] <= 1


@needs_extra
@pytest.mark.nightly
@pytest.mark.parametrize("opset", onnx.OPSETS)
def test_every_opset(opset: int, tmp_path: Path) -> None:
    sampler = fresh(DIGITS)
    path = gf.export(sampler, tmp_path / "m.onnx", opset=opset)
    most, share = levels(made(session(path), sampler, 200), sampler.sample(200))
    assert most <= 1 and share <= 1e-4


@needs_extra
@pytest.mark.nightly
def test_two_processes_make_the_same_bytes_within_a_gigabyte(
    digits: tuple[Sampler, Path], tmp_path: Path
) -> None:
    # a process counts the memory of the one that began it, so that a small one has to
    began = "import resource as r, subprocess as s, sys; s.run(sys.argv[1:], check=True)"
    tell = "; print(r.getrusage(r.RUSAGE_CHILDREN).ru_maxrss)"
    for i in (1, 2):
        command = [sys.executable, "-m", "ganforge", "export", digits[1], "-o"]
        done = subprocess.run(
            [sys.executable, "-c", began + tell, *command, tmp_path / f"{i}.onnx"],
            capture_output=True, check=True, env={**os.environ, "PYTHONHASHSEED": str(i)},
            timeout=300,
        )  # fmt: skip
        assert int(done.stdout.split()[-1]) <= 2**20  # kilobytes
    one, two = ((tmp_path / f"{i}.onnx").read_bytes() for i in (1, 2))
    assert one == two == (digits[1] / "model.onnx").read_bytes()
