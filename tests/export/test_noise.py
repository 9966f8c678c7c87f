"""The noise modules: Python's has the noise of samples, JavaScript's that of Python."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ganforge.config.convert import to_dict
from ganforge.config.noise import LatentCode, Noise
from ganforge.export import noise as module
from ganforge.export.noise import noise
from ganforge.rng import Stream

SCRIPT = Path(module.__file__).with_name("noise.mjs")
NODE = shutil.which("node")
CASES = [
    {"count": 5, "size": 100, "law": "normal", "seed": 0, "first": 0},
    {"count": 3, "size": 7, "law": "normal", "seed": -3, "first": 11},
    {"count": 4, "size": 3, "law": "uniform", "seed": 12, "first": 5},
    {"count": 2, "size": 1, "law": "normal", "seed": 2**62 + 1, "first": 0},
    {"count": 2, "size": 100, "law": "normal", "seed": 7, "first": 2**52},
    {"count": 0, "size": 2, "law": "uniform", "seed": 1, "first": 9},
]
needs_node = pytest.mark.skipif(NODE is None, reason="node is not installed")


def in_node(body: str) -> Any:
    """What JavaScript code sends with `answer(value)`, with the module's functions in scope."""
    assert NODE is not None
    script = (
        f"import {{ masks, noise, words, sha256 }} from {json.dumps(SCRIPT.as_uri())};\n"
        f"const answer = (value) => console.log(JSON.stringify(value));\n{body}"
    )
    done = subprocess.run(
        [NODE, "--input-type=module", "-e", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


CODED = Noise(
    10, "normal", (LatentCode("digit", "categorical", 4), LatentCode("slant", "uniform", 3))
)
CODES = to_dict(CODED)["codes"]


def test_codes_follow_the_plain_numbers() -> None:
    """They have the bits of a sampler, and truncation leaves them as they are."""
    wanted = CODED.draw(3, "sample/z", 5, 4)
    made = noise(4, CODED.size, "normal", 3, 5, codes=CODES)
    assert np.array_equal(made, wanted) and made.dtype == np.float32
    half = noise(4, CODED.size, "normal", 3, 5, 0.5, codes=CODES)
    assert np.array_equal(half, np.hstack([wanted[:, :3] / 2, wanted[:, 3:]]))


@needs_node
def test_javascript_has_the_codes_too() -> None:
    options = {"law": "normal", "seed": 3, "first": 5, "truncation": 0.5, "codes": CODES}
    made = in_node(f"answer([...noise(4, {CODED.size}, {json.dumps(options)})]);")
    wanted = noise(4, CODED.size, "normal", 3, 5, 0.5, codes=CODES)
    np.testing.assert_allclose(np.reshape(made, wanted.shape), wanted, atol=1e-6)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_python_has_the_bits_of_a_sampler(case: dict[str, Any]) -> None:
    stream = Stream(case["seed"], "sample/z")
    wanted = stream.draw(case["law"], case["first"], case["count"], case["size"])
    made = noise(**case)
    assert made.dtype == np.float32
    assert np.array_equal(made, wanted)
    assert np.array_equal(noise(**case, truncation=0.7), wanted * np.float32(0.7))


@needs_node
@pytest.mark.parametrize("case", CASES, ids=str)
def test_javascript_has_the_noise_of_python(case: dict[str, Any]) -> None:
    for t in (1, 0.7):
        options = f"law: '{case['law']}', seed: {case['seed']}n, first: {case['first']}"
        sizes = f"{case['count']}, {case['size']}"
        made = in_node(f"answer([...noise({sizes}, {{{options}, truncation: {t}}})])")
        wanted = noise(**case, truncation=float(t))
        np.testing.assert_allclose(
            np.reshape(made, wanted.shape), wanted, rtol=0, atol=1e-6 if t == 1 else 7e-7
        )


@needs_node
def test_both_have_the_masks_of_a_translator() -> None:
    name = "translate/b2a/dropout.1"
    for size, first, seed in ((12, 0, 0), (7, 3, -5)):
        wanted = Stream(seed, name).dropout_mask(first, 4, size, 0.3)
        made = module.masks(4, size, 0.3, name, seed, first)
        assert made.dtype == np.float32 and np.array_equal(made, wanted)
        options = f"{{seed: {seed}, first: {first}}}"
        shown = in_node(f"answer([...masks(4, {size}, 0.3, '{name}', {options})])")
        assert np.array_equal(np.float32(shown).reshape(4, size), wanted)
    for bad in ({"drop": 1.0}, {"first": -1}, {"seed": 0.5}, {"size": 0}):
        with pytest.raises(ValueError, match=f"{next(iter(bad))} = "):
            module.masks(**{"count": 1, "size": 2, "drop": 0.5, "stream": name, **bad})
    refused = in_node(
        "answer(['1, 0, .5', '1, 2, 1', '1, 2, .5, \"a\", {first: -1}'].map((a) => "
        "{ try { return eval(`masks(${a})`) } catch (e) { return `${e}` } }))"
    )
    assert ["size = 0" in refused[0], "drop = 1" in refused[1], "first = -1" in refused[2]] == [
        True, True, True,
    ]  # fmt: skip


@needs_node
def test_javascript_has_the_words_and_the_hash_of_python() -> None:
    made = in_node("answer([...words(5, 3n, 30), ...words(-1, 2n ** 40n + 3n, 9)])")
    wanted = [*Stream(5, "sample/z").words(3, 30), *Stream(-1, "sample/z").words(2**40 + 3, 9)]
    assert made == [int(word) for word in wanted]
    texts = ["", "abc", "x" * 55, "x" * 56, "x" * 64, "y" * 200]
    sums = in_node(
        f"answer({json.dumps(texts)}.map((t) => "
        "Buffer.from(sha256(new TextEncoder().encode(t))).toString('hex')))"
    )
    assert sums == [hashlib.sha256(text.encode()).hexdigest() for text in texts]


BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"count": -1}, "-1, 2", "count = -1"),
    ({"size": 0}, "1, 0", "size = 0"),
    ({"first": -1}, "1, 2, {first: -1}", "first = -1"),
    ({"first": 1.5}, "1, 2, {first: 1.5}", "first = 1.5"),
    ({"seed": "1"}, "1, 2, {seed: '1'}", "seed = "),
    ({"seed": None}, "1, 2, {seed: null}", "seed = "),
    ({"seed": True}, "1, 2, {seed: true}", "seed = "),
    ({"seed": 0.5}, "1, 2, {seed: 0.5}", "seed = 0.5"),
    ({"law": "cauchy"}, "1, 2, {law: 'cauchy'}", "law = "),
    ({"truncation": 0}, "1, 2, {truncation: 0}", "truncation = 0"),
    ({"truncation": 1.1}, "1, 2, {truncation: 1.1}", "truncation = 1.1"),
    ({"truncation": float("nan")}, "1, 2, {truncation: NaN}", "truncation = "),
]


@pytest.mark.parametrize(("options", "_", "says"), BAD, ids=str)
def test_python_refuses(options: dict[str, Any], _: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        noise(**{"count": 1, "size": 2, **options})


@needs_node
def test_javascript_refuses_the_same() -> None:
    tries = ",".join(f"() => noise({given})" for _, given, _ in BAD)
    said = in_node(
        f"answer([{tries}].map((f) => {{ try {{ f(); return 'nothing'; }} "
        "catch (e) { return e.name + ': ' + e.message; } }))"
    )
    for (_, given, says), text in zip(BAD, said, strict=True):
        assert text.startswith(f"RangeError: {says}"), given


def test_the_python_module_needs_numpy_alone(tmp_path: Path) -> None:
    """It is copied to machines without torch and without this package."""
    shutil.copy(module.__file__, tmp_path / "noise.py")
    code = (
        "import sys; from noise import noise; noise(2, 3)\n"
        "print(sorted({'torch', 'scipy', 'ganforge'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={}, capture_output=True, text=True,
        timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "[]"
