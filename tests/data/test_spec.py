"""Stored values and model values: there and back."""

from typing import Any

import numpy as np
import pytest
import torch

from ganforge.data.spec import DataSpec, decode, encode
from ganforge.errors import DataError
from ganforge.rng import Stream


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_all_256_levels_come_back(channels: int) -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(4, 8, 8, 1).repeat(channels, axis=3)
    spec = DataSpec((channels, 8, 8))
    x = encode(torch.from_numpy(levels), spec)
    assert x.shape == (4, channels, 8, 8)
    assert x.dtype == torch.float32
    assert (x.min(), x.max()) == (-1, 1)
    assert torch.equal(decode(x, spec), torch.from_numpy(levels))
    assert np.array_equal(decode(x, spec).numpy(), levels)
    assert len(x.unique()) == 256


def test_pictures_are_channels_last_without_a_copy() -> None:
    spec = DataSpec((3, 5, 4))
    stored = torch.arange(2 * 5 * 4 * 3).to(torch.uint8).view(2, 5, 4, 3)
    x = encode(stored, spec)
    assert x.is_contiguous(memory_format=torch.channels_last)
    assert x[1, 2, 3, 1].item() == pytest.approx(stored[1, 3, 1, 2].item() / 127.5 - 1)
    back = decode(x, spec)
    assert back.is_contiguous()
    assert back.shape == (2, *spec.stored_shape)


def test_what_is_stored_is_left_alone() -> None:
    """`encode` works in place on a copy, never on the data set."""
    for dtype in (torch.uint8, torch.float32):
        stored = torch.full((2, 4, 4, 1), 7).to(dtype)
        name = "uint8" if dtype == torch.uint8 else "float32"
        encode(stored, DataSpec((1, 4, 4), dtype=name))
        assert (stored == 7).all()


def test_out_of_range_is_clamped_not_wrapped() -> None:
    spec = DataSpec((1, 1, 5))
    x = torch.tensor([-1.5, -1.0, 0.0, 1.0, 9.0]).view(1, 1, 1, 5)
    assert decode(x, spec).flatten().tolist() == [0, 0, 128, 255, 255]


def test_to_the_nearest_level() -> None:
    spec = DataSpec((1, 1, 3))
    x = (torch.tensor([10.4, 10.6, 200.49]) - 127.5) / 127.5
    assert decode(x.view(1, 1, 1, 3), spec).flatten().tolist() == [10, 11, 200]


def test_vectors_feature_by_feature() -> None:
    spec = DataSpec((3,), 0, "float32", False, (1.0, -200.0, 0.0), (2.0, 50.0, 1e-3))
    z = Stream(0, "codec").normal(0, 1000, 3)
    stored = z * np.float32(spec.scale) + np.float32(spec.offset)
    x = encode(torch.from_numpy(stored), spec)
    assert np.allclose(x.numpy(), z, atol=1e-4)
    assert np.allclose(decode(x, spec).numpy(), stored, rtol=1e-5)
    assert decode(x, spec).numpy().dtype == np.float32


def test_toy_vectors_are_in_data_units() -> None:
    spec = DataSpec((2,), 0, "float32", False, (0.0,), (1.0,))
    stored = torch.randn(20, 2)
    assert torch.equal(encode(stored, spec), stored)
    assert torch.equal(decode(stored, spec), stored)


def test_float_pictures() -> None:
    spec = DataSpec((1, 4, 4), 0, "float32", True, (5.0,), (5.0,))
    stored = torch.linspace(0, 10, 32).view(2, 4, 4, 1)
    x = encode(stored, spec)
    assert (x.min(), x.max()) == (-1, 1)
    assert torch.allclose(decode(x, spec), stored, atol=1e-6)


def test_half_precision_samples_are_decoded_in_full() -> None:
    spec = DataSpec((1, 16, 16))
    levels = torch.arange(256, dtype=torch.uint8).view(1, 16, 16, 1)
    x = encode(levels, spec).to(torch.bfloat16)
    assert (decode(x, spec).int() - levels.int()).abs().max() <= 1


def test_what_a_spec_says() -> None:
    picture, vector = DataSpec((3, 4, 5), 7), DataSpec((6,))
    assert picture.is_image and not vector.is_image
    assert (picture.size, vector.size) == (60, 6)
    assert (picture.stored_shape, vector.stored_shape) == ((4, 5, 3), (6,))


@pytest.mark.parametrize(
    "bad",
    [{"shape": (2, 3)}, {"shape": ()}, {"shape": (0,)}, {"shape": (1, 0, 4)},
     {"shape": (2,), "dtype": "float64"}, {"shape": (2,), "scale": (0.0,)},
     {"shape": (2,), "scale": (float("nan"),)}, {"shape": (2,), "scale": (-1.0,)},
     {"shape": (3,), "offset": (0.0, 0.0)}, {"shape": (3,), "scale": (1.0, 1.0)},
     {"shape": (3, 3, 3), "offset": (0.0, 0.0, 0.0)}],
)  # fmt: skip
def test_specs_that_cannot_be(bad: dict[str, Any]) -> None:
    with pytest.raises(DataError):
        DataSpec(**bad)
