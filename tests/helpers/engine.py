"""The engine of the pages, run by node: a graph, its tensors and its inputs in, numbers out."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ganforge.export.demo import page
from tests.helpers.pages import Reader

NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="node is not installed")

PRELUDE = """
import { readFileSync, writeFileSync } from "node:fs";
import * as engine from "WEB/engine.mjs";
import { Sampler, between, onPlane } from "WEB/sampler.mjs";
const given = JSON.parse(readFileSync(process.argv[1]));
const loops = given.loops === "simd"
  ? await engine.simd(readFileSync(WASM)) : engine.plain();
const numbers = (text) => new Float32Array(new Uint8Array(Buffer.from(text, "base64")).buffer);
const answer = (values) => writeFileSync(process.argv[2], new Uint8Array(
  Float32Array.from(values).buffer));
"""


def in_node(folder: Path, body: str, loops: str, **given: Any) -> NDArray[np.float32]:
    """The numbers that JavaScript code sends with `answer(values)`.

    Args:
        folder: for files in between.
        body: has `given`, `loops`, `engine`, `Sampler`, `between`, `onPlane` and `numbers` in its
            scope.
        loops: "simd" or "plain".
        given: JSON values; arrays become text that `numbers` reads.
    """
    assert NODE is not None
    prelude = PRELUDE.replace("WEB/", page.WEB.as_uri() + "/")
    prelude = prelude.replace("WASM", json.dumps(str(page.WEB / "engine.wasm")))
    (folder / "given.json").write_text(json.dumps({"loops": loops, **given}, default=text))
    done = subprocess.run(
        [NODE, "--input-type=module", "-e", prelude + body, folder / "given.json", folder / "out"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return np.fromfile(folder / "out", "<f4")


def text(array: Any) -> str:
    """An array, or tensor, as base64 of float32 numbers."""
    return base64.b64encode(np.asarray(array, "<f4").tobytes()).decode()


def samples(folder: Path, html: str, loops: str, count: int, **options: Any) -> NDArray[np.float32]:
    """Samples of a page, as it stores them (count, numbers of an example)."""
    model = Reader(html).data
    weights = re.findall(r'id="weights">([^<]*)<', html)[0]
    body = """
    const bytes = engine.fromBase64(given.weights);
    const sampler = new Sampler(given.model, new engine.Engine(given.model, bytes, loops));
    answer(sampler.samples(given.count, given.options));
    """
    made = in_node(folder, body, loops, model=model, weights=weights, count=count, options=options)
    return made.reshape(count, *model["shape"])
