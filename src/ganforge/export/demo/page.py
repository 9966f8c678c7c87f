"""A generator as one HTML file that makes its samples in the browser.

    gf.demo("runs/cdcgan", "demo.html")

`html(sampler)` is the text of the page, for programs that serve it: the page makes no request, and
its policy is in it, so it can be answered at any address with `Content-Type: text/html`. A server
that sends a Content-Security-Policy header has to send `policy_of(text)`, since both
apply.
"""

from __future__ import annotations

import base64
import math
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ganforge import files, images
from ganforge._version import __version__
from ganforge.api import Trained
from ganforge.data.spec import as_uint8, decode, encode
from ganforge.errors import DataError, UsageError, check
from ganforge.export.demo.graph import PAGE_REMEDY, Graph, UnknownModuleError, of_generator
from ganforge.export.demo.reference import Reference
from ganforge.nets.base import Network
from ganforge.plotting import style
from ganforge.rng import Stream
from ganforge.runs.load import open_sampler
from ganforge.runs.model import LEAST_HALVED, OwnNetworks
from ganforge.sampling.sampler import Sampler
from ganforge.sampling.translate import Translator
from ganforge.text import encoded, json_values
from ganforge.types import Array

FORMAT = 1
WEB = Path(__file__).parent / "web"
NOISE = Path(__file__).parents[1] / "noise.mjs"
LARGEST = 25.0  # MB of a page, which a phone still opens
CHECKED = 64  # samples that are compared
TOLERANCE = 2e-3  # of vectors, as a fraction of their range; their weights have 11 bits


def demo(
    source: Path | str | Sampler | Trained,
    path: Path | str,
    *,
    full: bool = False,
    largest: float = LARGEST,
    networks: OwnNetworks | None = None,
) -> Path:
    """Write a generator as an HTML page (`gf.demo`); a file of that name is replaced.

    Args:
        source: a run or model folder, a sampler, or what `gf.train` returned.
        path: of the file, ending in .html.
        full: weights are stored in 32 bits, not 16: twice the size, and fewer pixels differ from
            Python's by a level.
        largest: MB of the file at most.
        networks: your function, if the model was trained with one.

    Returns:
        The path.

    A generator with a module that the page has no operation for gets a page that says so, with
    samples as a picture and the way to an .onnx file.

    Raises:
        UsageError: a page that is too large, or a bad argument.
        DataError: no model, or the page differs from it by more than one level (vectors: by more
            than 2e-3 of their range). Nothing is written then.
    """
    path = Path(path)
    check(path.suffix == ".html", "path", str(path), "a file name ending in .html")
    check(0 < largest < math.inf, "largest", largest, "a number of MB, more than 0")
    if isinstance(source, Sampler | Trained):
        sampler = source if isinstance(source, Sampler) else source.sampler
    else:
        sampler = open_sampler(source, networks)
    try:
        page = html(sampler, full)
    except UnknownModuleError as error:
        page = explanation(sampler, error)
    text = encoded(page)
    if len(text) > largest * 1e6:
        raise UsageError(
            f"{sampler.name}: the page would have {len(text) / 1e6:.1f} MB, more than {largest:g}: "
            f"{'leave out --full, ' if full else ''}allow it with --largest "
            f"{len(text) / 1e6 + 0.5:.0f}, train smaller networks or pictures (--size), or "
            f"{PAGE_REMEDY}"
        )
    return files.save_file(path, text)


def html(sampler: Sampler, full: bool = False) -> str:
    """The page of a sampler; UnknownModuleError if it has no operation for a module."""
    if isinstance(sampler, Translator):
        return translator_html(sampler, full)
    graph = of_generator(sampler.model)
    weights, table, tensors = stored(graph, full)
    require_same(sampler, graph, tensors)
    spec = sampler.spec
    model = {
        "format": FORMAT,
        "ganforge": __version__,
        "name": sampler.name,
        **asdict(spec),
        "class_names": sampler.class_names,
        "noise": asdict(sampler.noise),
        "truncation": sampler.truncation_law,
        "inputs": {"z": [sampler.noise.size]},
        "operations": graph.operations,
        "tensors": table,
    }
    return rendered(
        "demo.html",
        ("noise.mjs", "engine.mjs", "sampler.mjs", "drawing.mjs", "demo.mjs"),
        title=sampler.name,
        model=json_values(model),
        weights=Markup(base64.b64encode(weights).decode()),
    )


def translator_html(translator: Translator, full: bool) -> str:
    """The page of a translator: a graph for each direction, over one run of bytes."""
    data, directions = b"", {}
    for direction in translator.directions:
        source, target = translator.ends(direction)
        network = translator.network(direction)
        graph = of_generator(network, translates=True)
        weights, table, tensors = stored(graph, full)
        drawn = network.sampling_inputs() if isinstance(network, Network) else {}
        require_same_translation(translator, direction, graph, tensors)
        directions[direction] = {
            "source": asdict(source),
            "target": asdict(target),
            "inputs": {"source": source.shape} | {name: one.shape for name, one in drawn.items()},
            "drop": {name: one.drop for name, one in drawn.items()},
            "operations": graph.operations,
            "tensors": [row | {"at": row["at"] + len(data)} for row in table],
        }
        data += weights
    return rendered(
        "translate.html",
        ("noise.mjs", "engine.mjs", "drawing.mjs", "translate.mjs"),
        title=translator.name,
        model=json_values({"format": FORMAT, "name": translator.name, "directions": directions}),
        weights=Markup(base64.b64encode(data).decode()),
    )


@torch.no_grad()
def require_same_translation(
    translator: Translator, direction: str, graph: Graph, tensors: list[Array]
) -> None:
    """DataError unless the operations translate two pictures of random levels as the model does."""
    source, target = translator.ends(direction)
    pictures = np.random.default_rng(0).integers(0, 256, (2, *source.stored_shape), np.uint8)
    network = translator.network(direction)
    drawn = network.sampling_inputs() if isinstance(network, Network) else {}
    inputs = {"source": encode(torch.from_numpy(pictures), source)} | {
        name: torch.from_numpy(one.draw(Stream(0, f"translate/{direction}/{name}"), 0, 2))
        for name, one in drawn.items()
    }
    made = decode(Reference(tensors, inputs).run(graph.operations), target).numpy()
    wanted = translator.translate(pictures, direction=direction)
    found = int(np.abs(made.astype(int) - wanted.astype(int)).max())
    if found > 1:
        raise DataError(
            f"{translator.name}: the page would differ from the model by {found} levels, at most 1 "
            "is allowed; nothing was written: use --full, or ganforge translate"
        )


def explanation(sampler: Sampler, error: UnknownModuleError) -> str:
    """The page of a generator that cannot run in a page."""
    picture = ""
    if sampler.spec.is_image and not isinstance(sampler, Translator):
        made = as_uint8(sampler.sample(16), sampler.spec)
        scale = max(1, 128 // sampler.spec.shape[2])
        png = images.png(images.grid(made, 8), scale=scale)
        picture = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    return rendered("missing.html", (), title=sampler.name, why=str(error), picture=picture)


def rendered(
    template: str, modules: tuple[str, ...], sources: str = "img-src data:", **values: Any
) -> str:
    """A page of the folder web/, with its style, its scripts and its policy inside.

    sources: where its pictures come from, and whom it may ask, as directives of the policy.
    """
    environment = Environment(
        loader=FileSystemLoader(WEB),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    sheet = environment.get_template("style.css").render(colours=style.COLOURS)
    script = "".join(map(without_modules, modules))
    return environment.get_template(template).render(
        policy=policy(sheet, script, sources),
        style=Markup(sheet),
        script=Markup(script),
        engine=Markup(base64.b64encode((WEB / "engine.wasm").read_bytes()).decode()),
        version=__version__,
        **values,
    )


def without_modules(name: str) -> str:
    """A module's text to stand in one script with others: it imports and exports nothing."""
    text = (NOISE if name == NOISE.name else WEB / name).read_text()
    text = re.sub(r"^import [^;]*;\n", "", text, flags=re.MULTILINE)
    return re.sub(r"^export ", "", text, flags=re.MULTILINE)


def policy(sheet: str, script: str, sources: str) -> str:
    """A content security policy: nothing else is fetched, no script runs but the page's."""
    return (
        f"default-src 'none'; {sources}; style-src {files.policy_hash(sheet)}; script-src "
        f"{files.policy_hash(script)} 'wasm-unsafe-eval'; base-uri 'none'; form-action 'none'"
    )


def policy_of(text: str) -> str:
    """The policy that a page has in it."""
    found = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    if found is None:
        raise UsageError("this text is no page of ganforge: it has no Content-Security-Policy")
    return found[1].replace("&#39;", "'")


def stored(graph: Graph, full: bool) -> tuple[bytes, list[dict[str, Any]], list[Array]]:
    """The tensors as bytes; shape, place and precision of each; and the numbers as stored.

    Small tensors, and those beyond the range of 16 bits, are stored in 32 bits.
    """
    data, table, tensors = bytearray(), [], []
    for tensor in graph.tensors:
        large = np.abs(tensor).max() > np.finfo(np.float16).max
        half = not full and tensor.size >= LEAST_HALVED and not large
        values = tensor.astype("<f2" if half else "<f4")
        table.append({"shape": list(tensor.shape), "at": len(data), "half": half})
        tensors.append(values.astype(np.float32))
        data += values.tobytes()
        data += bytes(-len(data) % 4)
    return bytes(data), table, tensors


@torch.no_grad()
def require_same(sampler: Sampler, graph: Graph, tensors: list[Array]) -> None:
    """DataError unless the operations, with the stored weights, make the sampler's samples."""
    z, labels = sampler.z(CHECKED).cpu(), sampler.labels(CHECKED)
    inputs = {"z": z}
    if labels is not None:
        inputs["label"] = torch.from_numpy(labels)
    x = Reference(tensors, inputs).run(graph.operations).reshape(CHECKED, *sampler.spec.shape)
    made = decode(x, sampler.spec).double().numpy()
    wanted = sampler.generate(sampler.z(CHECKED), labels).astype(np.float64)
    found, most, unit = float(np.abs(made - wanted).max()), 1.0, "levels"
    if sampler.spec.dtype != "uint8":
        found, most, unit = found / (float(np.ptp(wanted)) or 1.0), TOLERANCE, "of the range"
    if not found <= most:
        raise DataError(
            f"{sampler.name}: the page would differ from the model by {found:.3g} {unit}, at most "
            f"{most:g} is allowed; nothing was written: use --full, or {PAGE_REMEDY}"
        )
