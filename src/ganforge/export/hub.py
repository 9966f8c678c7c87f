"""A model for the hub: its files in memory, the card, and sending them as one commit."""

from __future__ import annotations

import getpass
import json
import math
import re
import socket
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ganforge import files, images, registry
from ganforge._version import __version__
from ganforge.config import convert
from ganforge.config.user_code import UserCode
from ganforge.data.spec import as_uint8
from ganforge.errors import DataError, UsageError
from ganforge.evaluation import store
from ganforge.evaluation.score import Score
from ganforge.runs import builtin, hub, model
from ganforge.runs.load import model_folder
from ganforge.runs.model import OwnNetworks
from ganforge.sampling.sampler import Sampler
from ganforge.sampling.translate import Translator
from ganforge.text import encoded, json_bytes, json_values

# data sets of this package under their names on the hub
DATASETS = {
    "mnist": "ylecun/mnist",
    "fashion-mnist": "zalando-datasets/fashion_mnist",
    "cifar10": "uoft-cs/cifar10",
}
LICENSE = re.compile(r"[a-z0-9][a-z0-9.-]{0,49}")
Z95 = 1.96  # half a 95 % interval, in standard errors
GRID = 64  # samples in samples.png


def shared(
    run: Path,
    repo: str,
    license: str | None,
    *,
    half: bool = False,
    onnx: bool = False,
    demo: bool = False,
    force: bool = False,
    networks: OwnNetworks | None = None,
) -> dict[str, bytes]:
    """The files that `push` sends, by name: no code, no path, no name of the user or machine.

    Args:
        run: a run folder or a model folder.
        repo: owner/name.
        license: an identifier of the hub, as mit.
        half: large weights are stored in 16 bits.
        onnx, demo: whether model.onnx and demo.html are among them.
        force: also a model whose networks are the user's code, which nobody else can load.
        networks: that code.

    Raises:
        UsageError: no licence, a bad name, user code, or a file that names this user or machine.
        DataError: no model.
    """
    if license is None or not LICENSE.fullmatch(license):
        raise UsageError(
            f"--license {license or 'is missing'}: say what the training data and you allow, as "
            "--license mit or --license cc-by-4.0"
        )
    address = hub.parse(repo)
    if address.revision:
        raise UsageError(f"{repo}: a model is sent to owner/name, without a revision")
    folder = model_folder(run)
    sampler = model.load(folder, networks)
    table = json.loads(files.read_file(folder / model.CONFIG))
    saved = convert.read_part(table["networks"], registry.PARTS, "networks")
    if isinstance(saved, UserCode) and not force:
        raise UsageError(f"{run}: its networks are code of yours, which is not sent: --force")
    training = table["training"]
    training["config"] = model.without_paths(training["config"])
    scores = newest_scores(builtin.folder(run) or run)
    weights = files.read_file(folder / model.WEIGHTS)
    found = {
        model.CONFIG: json_bytes(table, indent=1),
        model.WEIGHTS: model.encoded_weights(sampler, half) if half else weights,
        model.CARD: encoded(card(table, address.repo, license, scores)),
    }
    if sampler.spec.is_image and not isinstance(sampler, Translator):  # it has no pictures to show
        pixels = as_uint8(sampler.grid(GRID), sampler.spec)
        columns = images.layout(GRID, sampler.spec.classes)[1]
        found["samples.png"] = images.png(images.grid(pixels, columns))
    require_nothing_private(found)
    return found | extras(sampler, half, onnx, demo)


def extras(sampler: Sampler, half: bool, onnx: bool, demo: bool) -> dict[str, bytes]:
    """model.onnx and demo.html, if they are wanted."""
    from ganforge.export.demo.page import html
    from ganforge.export.onnx import export

    found = {}
    if onnx:
        with tempfile.TemporaryDirectory() as place:
            path = export(sampler, Path(place) / "model.onnx", half=half)
            found["model.onnx"] = path.read_bytes()
    if demo:
        found["demo.html"] = encoded(html(sampler))
    return found


def require_nothing_private(found: Mapping[str, bytes]) -> None:
    """UsageError if a text that is sent has the home folder, or a path with the user or host."""
    names = {str(Path.home())}
    with suppress(OSError, KeyError, ImportError):
        names |= {f"/{getpass.getuser()}/", f"@{socket.gethostname()}"}
    for name in (model.CONFIG, model.CARD):
        for private in names - {"/", "//"}:
            if private.encode() in found[name]:
                raise UsageError(f"{name} would name {private!r}: remove it from the model folder")


def newest_scores(run: Path) -> list[tuple[str, Score]]:
    """(name of the data, score) of the newest entry of scores.json, the test split first."""
    entries = store.read(store.scores_path(run))
    ours = [entry for entry in entries.values() if not entry.get("foreign")]
    if not ours:
        return []
    best = max(ours, key=store.rank)
    return [(str(best["data"]), s) for s in store.cards(best) if math.isfinite(s.value)]


def card(table: Mapping[str, Any], repo: str, license: str, scores: list[tuple[str, Score]]) -> str:
    """README.md: the facts for the hub in front, which are YAML written as JSON values."""
    facts: dict[str, Any] = {
        "library_name": "ganforge",
        "license": license,
        "tags": ["gan", "ganforge", str(table["name"])],
    }
    if task := model.task(table["spec"]):
        facts["pipeline_tag"] = task
    data = str(table["training"]["config"].get("data", ""))
    if data in DATASETS:
        facts["datasets"] = [DATASETS[data]]
    if scores:
        facts["model-index"] = [{"name": str(table["name"]), "results": [results(scores, task)]}]
    front = "\n".join(f"{key}: {json.dumps(value)}" for key, value in facts.items())
    text = model.card(dict(table)).partition("\n---\n")[2]
    shown = task and not table["spec"].get("source")
    picture = "\n![Samples](samples.png)\n" if shown else ""
    rows = [
        f"| {score.name} | {score.value:.4g} +- {Z95 * score.spread:.2g} | {score.floor:.4g} "
        f"| {score.split}, N {score.n:,} |\n"
        for _, score in scores
    ]
    if rows:
        head = "\n| metric | value, 95 % interval | of real examples | |\n|---|---|---|---|\n"
        rows.insert(0, head)
    text = text.replace("path/to/this/folder", f"hf://{repo}")
    return f"---\n{front}\n---\n{text}{picture}{''.join(rows)}"


def results(scores: list[tuple[str, Score]], task: str) -> dict[str, Any]:
    """The scores as a result of the hub's model-index, each with its interval."""
    data, first = scores[0]
    metrics = [
        {
            "type": score.name,
            "name": f"{score.name} ({score.split}, N = {score.n})",
            "value": score.value,
            "args": json_values({
                "spread": score.spread,
                "interval_95": [score.value + z * score.spread for z in (-Z95, Z95)],
                "real_examples": score.floor,
            }),
        }
        for _, score in scores
    ]  # fmt: skip
    dataset = {"name": Path(data).name, "type": Path(data).name, "split": first.split}
    return {"task": {"type": task or "other"}, "dataset": dataset, "metrics": metrics}


def space(shared: Mapping[str, bytes], repo: str, license: str) -> dict[str, bytes]:
    """The files of a static Space that shows the page of a model: the page, and its card."""
    name = hub.parse(repo).repo
    facts = {"title": name.partition("/")[2], "sdk": "static", "license": license, "models": [name]}
    front = "\n".join(f"{key}: {json.dumps(value)}" for key, value in facts.items())
    text = f"Samples of [{name}](https://huggingface.co/{name}), made in the page."
    card = encoded(f"---\n{front}\n---\n\n{text}\n")
    return {"index.html": shared["demo.html"], model.CARD: card}


def push(
    shared: Mapping[str, bytes],
    repo: str,
    *,
    private: bool = True,
    endpoint: str | None = None,
    kind: str = "model",
) -> str:
    """Send files as one commit to the hub, making the repository; the address of the commit.

    kind: of the repository, "model" or "space", which is a static one.

    Raises:
        UsageError: the extra is not installed.
        DataError: no right to write there, or no answer.
    """
    hub.require_extra()
    from huggingface_hub import CommitOperationAdd, HfApi

    address = hub.parse(repo)
    added = [CommitOperationAdd(name, data) for name, data in shared.items()]
    api = HfApi(endpoint=endpoint, **hub.LIBRARY)
    sdk = "static" if kind == "space" else None
    with hub.explained(address):
        api.create_repo(address.repo, private=private, exist_ok=True, repo_type=kind, space_sdk=sdk)
        made = api.create_commit(
            address.repo, added, commit_message=f"ganforge {__version__}", repo_type=kind
        )
    if not made.commit_url:
        raise DataError(f"{address}: the hub did not say that it has the commit: look at its page")
    return str(made.commit_url)
