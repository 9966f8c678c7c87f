"""Short runs that the tests of the report share, and do not change."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers import reported
from tests.helpers.reported import HOSTILE, trained


@pytest.fixture(scope="session")
def gaussian(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("runs") / "g", steps=400)


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return reported.digits(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose class names, folder, recipe and settings are markup unless escaped."""
    root = tmp_path_factory.mktemp("hostile")
    rng = np.random.default_rng(0)
    for i in range(24):
        folder = root / "data" / ("plain" if i % 2 else HOSTILE.replace("/", "\N{DIVISION SLASH}"))
        folder.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    path = root / ("run<b>&" + '"')
    name = HOSTILE[:29]
    return trained(path, "cdcgan", 4, name=name, data=str(root / "data"), size=16)
