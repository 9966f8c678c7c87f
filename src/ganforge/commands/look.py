"""`ganforge sample, interpolate, plot, runs, recipes`."""

from __future__ import annotations

from pathlib import Path

from ganforge import api, files, images, recipes
from ganforge.commands.text import own_networks, target
from ganforge.config import convert
from ganforge.data import spec
from ganforge.errors import DataError, DiskError, UsageError
from ganforge.evaluation import store
from ganforge.plotting import overview, points, strips, style
from ganforge.runs import folder as runs
from ganforge.runs import load
from ganforge.sampling.sampler import Sampler
from ganforge.text import columns
from ganforge.types import Array


def sample(
    path: Path,
    count: int,
    labels: list[str] | None,
    seed: int,
    output: Path | None,
    code: Path | None = None,
) -> str:
    """Samples of a run as a picture or an .npz file."""
    sampler = load.open_sampler(path, own_networks(code, path))
    out = target(path, output, "sample.png", (".png", ".npz"))
    drawn = sampler.sample(count, labels, seed)
    used = sampler.labels(count, labels)
    if out.suffix.lower() == ".npz":
        arrays = {"samples": drawn} | ({} if used is None else {"labels": used})
        files.save_file(out, files.npz(**arrays))
    else:
        columns = sampler.spec.classes if used is not None and labels is None else None
        files.save_file(out, picture(sampler, drawn, columns))
    return f"{count} samples in {out}"


def picture(sampler: Sampler, drawn: Array, columns: int | None = None) -> bytes:
    """A grid of pictures, or a scatter of vectors, as a PNG file's bytes."""
    if not sampler.spec.is_image:
        return style.png(points.vectors(None, drawn))
    columns = columns or images.layout(len(drawn), 0)[1]
    scale = max(1, 64 // sampler.spec.shape[1])
    return images.png(images.grid(spec.as_uint8(drawn, sampler.spec), columns), scale=scale)


def interpolate(
    path: Path, rows: int, steps: int, seed: int, output: Path | None, code: Path | None = None
) -> str:
    """Paths between noises, as a picture (a row a path) or a GIF."""
    sampler = load.open_sampler(path, own_networks(code, path))
    out = target(path, output, "interpolate.png", (".png", ".gif"))
    walk = sampler.interpolate(rows, steps, seed)
    if not sampler.spec.is_image:
        raise UsageError(f"{path} makes vectors, not pictures: use `ganforge sample {path}`")
    if out.suffix.lower() == ".gif":
        frames = spec.as_uint8(walk, sampler.spec).reshape(rows, steps, *walk.shape[1:])
        columns = images.layout(rows, 0)[1]
        grids = [images.grid(frames[:, i], columns) for i in range(steps)]
        files.save_file(out, images.gif([*grids, *grids[-2:0:-1]]))
    else:
        files.save_file(out, picture(sampler, walk, steps))
    return f"{rows} paths of {steps} samples in {out}"


def plot(path: Path, output: Path | None) -> str:
    """A run's overview as a picture, or its samples over time as a GIF."""
    run = runs.open_run(path)
    out = target(path, output, api.PLOT, (".png", ".gif"))
    gif = out.suffix.lower() == ".gif"
    files.save_file(out, strips.animation(run) if gif else overview.overview(run))
    return str(out)


def runs_table(folder: Path) -> str:
    """One line a run: what is there, its state and how far it got."""
    found = runs.find_runs(folder)
    if not found:
        raise DataError(f"{folder}: no runs here; `ganforge train` makes one")
    rows = [("run", "recipe", "state", "epochs", "kimg", "time", "loss_D", "loss_G", "score")]
    for run in found:
        try:
            info, log, score = run.info(), run.log(), score_cell(run)
        except (DataError, DiskError) as error:
            rows.append((str(run.path), "?", str(error), "", "", "", "", "", ""))
            continue
        last = log[-1] if log else {}
        seconds = int(info.get("seconds", 0))
        rows.append((
            str(run.path), str(info.get("name", "?")), runs.state(run),
            f"{last.get('epoch', info.get('epoch', 0)):.1f}",
            f"{last.get('samples_seen', 0) / 1000:.1f}",
            f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}",
            f"{last.get('loss_d', float('nan')):.3f}", f"{last.get('loss_g', float('nan')):.3f}",
            score,
        ))  # fmt: skip
    return columns(rows)


def score_cell(run: runs.Run) -> str:
    """A run's newest Frechet distance with its floor and stamp; empty where there is none."""
    score = store.newest(run)
    if score is None:
        return ""
    stamp = f"{score.split}, N {score.n:,}"
    return f"FD[{score.space}] {score.value:.4g}, floor {score.floor:.4g} ({stamp})"


def recipes_text(name: str | None) -> str:
    """The list of recipes, or one's docstring and settings."""
    if name is not None:
        chosen = recipes.find(name)
        return f"{recipes.describe(name)}\n\n{convert.dumps(chosen)}".rstrip()
    rows = []
    for known in recipes.RECIPES:
        first = recipes.describe(known).splitlines()[0]
        rows.append((known, first.partition(":")[2].strip().rstrip(".")))
    return f"{columns(rows)}\n\n`ganforge recipes NAME` tells all about one; `ganforge train NAME`."
