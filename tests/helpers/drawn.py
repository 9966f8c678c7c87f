"""Log records and run folders made by hand, and looking at what was drawn of them.

Every picture and every record of these folders is known.
"""

import io
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from ganforge import files, images, recipes
from ganforge.config import convert
from ganforge.config.schema import Config
from ganforge.data import load
from ganforge.data.spec import DataSpec
from ganforge.plotting import style
from ganforge.runs import folder
from ganforge.runs.folder import Run
from ganforge.types import Array

STEPS = [0, 100, 200, 300, 400]


def record(step: int, **values: Any) -> dict[str, Any]:
    """A log record; an epoch has 100 steps."""
    means = {"loss_d": 1.2, "loss_g": 0.8, "d_real": 0.6, "d_fake": 0.4,
             "logit_real": 0.5, "logit_fake": -0.5}  # fmt: skip
    return {"step": step, "samples_seen": step * 8, "epoch": step / 100, **means, **values}


def opened(data: bytes) -> Image.Image:
    """A picture file's bytes, decoded."""
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def pixels(data: bytes | Figure) -> Array:
    """Every pixel as one number, 0xRRGGBB, (H, W) int64."""
    image = opened(data if isinstance(data, bytes) else style.png(data))
    rgb = np.asarray(image.convert("RGB"), dtype=np.int64)
    return np.asarray((rgb[..., 0] << 16) + (rgb[..., 1] << 8) + rgb[..., 2])


def line(figure: Figure, panel: int, label: str) -> Any:
    """The line of that name in one of the panels."""
    return next(x for x in figure.axes[panel].lines if x.get_label() == label)


def run_folder(path: Path, recipe: Config, log: list[dict[str, Any]], **info: Any) -> Run:
    """A run folder without samples and model."""
    run = Run(path)
    run.samples.mkdir(parents=True)
    (path / folder.CONFIG).write_text(convert.dumps(recipe))
    run.write_info(status="finished", **info)
    folder.append_log(run.log_path, log)
    return run


def shade(noise: int, step: int) -> int:
    """The one colour of a made-up picture, 0xRRGGBB: different for each noise and step."""
    return (noise * 3 << 16) + (step // 2 << 8) + 200


def colours(data: bytes | Figure) -> dict[int, int]:
    """How many pixels there are of each colour."""
    values, counts = np.unique(pixels(data), return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))


def picture_run(path: Path, spec: DataSpec, names: tuple[str, ...] = (), count: int = 64) -> Run:
    """A run whose picture i at step s is all of `shade(i, s)`."""
    recipe = recipes.cdcgan() if spec.classes else recipes.dcgan()
    recipe = replace(recipe, output=replace(recipe.output, grid=count))
    run = run_folder(path, recipe, [record(s) for s in STEPS[1:]])
    run.model.mkdir()
    table = {"spec": asdict(spec), "class_names": names}
    (run.model / "config.json").write_text(json.dumps(table))
    rows, columns = images.layout(count, spec.classes)
    _, height, width = spec.shape
    for step in STEPS:
        numbers = [shade(i, step) for i in range(rows * columns if spec.classes else count)]
        shades = np.array([[n >> 16, n >> 8 & 255, n & 255] for n in numbers], np.uint8)
        flat = np.broadcast_to(shades[:, None, None], (len(shades), height, width, 3))
        grid = images.grid(flat, columns)
        files.save_file(run.samples / f"{step:09d}.png", images.png(grid))
    return run


def vector_run(path: Path, recipe: Config, **info: Any) -> Run:
    """A run of vectors: its samples are the data, moved by less and less."""
    data = load.load(recipe.data)
    run = run_folder(
        path, recipe, [record(s) for s in STEPS[1:]], **{"data_sha256": data.sha256, **info}
    )
    for step in STEPS:
        samples = data.values[-100:] + np.float32(1 - step / 400)
        files.save_file(run.samples / f"{step:09d}.npz", files.npz(samples=samples))
    return run


def texts(figure: Figure) -> list[str]:
    """All text on the page, and the titles of its axes."""
    return [t.get_text() for t in figure.texts] + [a.get_title("left") for a in figure.axes]
