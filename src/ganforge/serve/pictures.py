"""Samples as the body of an answer: PNG, npz or JSON."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from ganforge import files, images
from ganforge.data.spec import DataSpec, as_uint8
from ganforge.sampling.sampler import Sampler
from ganforge.serve.values import SampleRequest
from ganforge.text import json_bytes
from ganforge.types import Array, Pixels

MODES = {1: "L", 3: "RGB", 4: "RGBA"}  # the kind of a PNG by its channels


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
    channels = pixels.shape[-1]
    if len(pixels) > 1 or channels not in MODES:
        return images.png(images.grid(pixels, images.layout(len(pixels), 0)[1]))
    return single(pixels[0])


def single(picture: Pixels) -> bytes:
    """One picture (H, W, C), C one of MODES, as PNG with its channels."""
    buffer = io.BytesIO()
    flat = picture[..., 0] if picture.shape[-1] == 1 else picture
    Image.fromarray(flat).save(buffer, "PNG", pnginfo=images.marked())
    return buffer.getvalue()
