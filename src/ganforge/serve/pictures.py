"""Samples as the body of an answer: PNG, npz or JSON."""

from __future__ import annotations

import numpy as np

from ganforge import files, images
from ganforge.data.spec import DataSpec, as_uint8
from ganforge.sampling.sampler import Sampler
from ganforge.serve.values import SampleRequest
from ganforge.text import json_bytes
from ganforge.types import Array


def encoded(samples: Array, request: SampleRequest, sampler: Sampler) -> bytes:
    """The body of the answer to a request, from its samples as `Sampler.sample` gives them."""
    if request.format == "png":
        return png(samples, sampler.spec)
    if request.format == "npz":
        labels = {} if request.labels is None else {"labels": np.array(request.labels)}
        return files.npz(samples=samples, **labels)
    return json_bytes({
        "model": sampler.name,
        "n": request.n,
        "seed": request.seed,
        "first": request.first,
        "labels": request.labels,
        "truncation": request.truncation,
        "dtype": str(samples.dtype),
        "shape": samples.shape,
        "samples": samples.tolist(),
    })  # fmt: skip


def png(samples: Array, spec: DataSpec) -> bytes:
    """One sample as it is, several as a grid, see `images.grid`."""
    pixels = as_uint8(samples, spec)
    if len(pixels) == 1:
        return images.single(pixels[0])
    return images.png(images.grid(pixels, images.layout(len(pixels), 0)[1]))
