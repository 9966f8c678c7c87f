"""What the commands do, as functions that return the text to print."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ganforge import (
    checkpoint,
    config,
    distributed,
    judging,
    pictures,
    plots,
    recipes,
    runs,
    scoring,
    session,
    training,
)
from ganforge.codec import Array
from ganforge.config import Config
from ganforge.data import source
from ganforge.devices import cores, resolve
from ganforge.errors import DataError, UsageError, check, choice
from ganforge.model import OwnNetworks
from ganforge.sampling import Sampler

dumps = config.dumps


def assemble(
    recipe: str | None,
    file: Path | None,
    options: Mapping[str, Any],
    overrides: Mapping[str, str],
    tensorboard: bool,
    every: float | None = None,
    stop: str | None = None,
) -> Config:
    """defaults < recipe < file < command line."""
    table: dict[str, Any] = {}
    if file is not None:
        try:
            table = tomllib.loads(checkpoint.read_file(file).decode())
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{file}: not valid TOML: {error}") from None
    name = str(table.get("name", "cdcgan")) if recipe is None else recipe
    whole = recipe is None and {"networks", "game"} <= set(table)
    if recipe is None and not whole:  # a file may not name code that is run: only the user may
        choice("name", name, list(recipes.RECIPES))
    chosen = recipes.RECIPES["cdcgan"]() if whole else recipes.find(name)
    if table:
        try:
            chosen = (
                config.from_dict(Config, {"name": name, **table}, recipes.PARTS)
                if whole
                else config.merge(chosen, table, recipes.PARTS)
            )
        except UsageError as error:
            raise UsageError(f"{file}: {error}") from None
    given = {key: value for key, value in options.items() if value is not None}
    if "epochs" in given and "kimg" in given:
        raise UsageError("--epochs and --kimg both state the budget: give one of them")
    if "epochs" in given:
        given["kimg"] = None
    if overrides:
        chosen = config.override(chosen, overrides, recipes.PARTS)
    output: dict[str, Any] = {"tensorboard": True} if tensorboard else {}
    output |= {} if every is None else {"score_every": every}
    if stop is not None:
        choice("stop", stop, ("auto",))
        rule = scoring.end_rule(every, chosen.output.score_every)
        output |= dict(zip(("score_every", "patience"), rule, strict=True))
    return replace(chosen, **given, output=replace(chosen.output, **output))


def rehearse(chosen: Config, out: Path | None) -> list[str]:
    """Everything of a run but its steps: what it would train, on what, for how long."""
    data = source.load(chosen.data, size=chosen.size)
    resolved = resolve(chosen)
    t = training.build(chosen, runs.Run(out or session.default_folder(chosen)), data, resolved)
    if t.run.exists():
        runs.refuse_changes(t.run, chosen)
    t.batches.close()
    counts = {
        side: sum(p.numel() for p in module.parameters())
        for side, module in (
            ("generator", t.state.players.generator),
            ("discriminator", t.state.players.discriminator),
        )
    }
    return [
        f"recipe         {chosen.name}",
        f"data           {chosen.data}: {len(data):,} examples of shape {data.spec.shape}",
        *(f"{side:<14} {count:,} parameters" for side, count in counts.items()),
        f"budget         {t.steps:,} steps of {chosen.batch}",
        f"device         {resolved.device}, {resolved.precision}, {resolved.threads} threads",
        f"folder         {t.run.path}",
        "nothing was trained or written",
    ]


def launch(processes: int, chosen: Config, arguments: Sequence[str]) -> int:
    """The same command in several processes, without its --gpus; the exit code."""
    check(processes >= 1, "gpus", processes, "at least 1 process")
    distributed.World(0, processes).part(chosen.batch)  # refused once, not by each of them
    words = [w for w in arguments if not w.startswith("--gpus=")]
    if "--gpus" in words:
        at = words.index("--gpus")
        del words[at : at + 2]
    return distributed.launch(processes, words)


def summary(trained: session.Trained) -> list[str]:
    """The lines at the end of a run: how it stands, where things are, what to type next."""
    path = trained.path
    lines = [closing_losses(trained.run.log())]
    if not trained.sampler.spec.is_image:
        lines += moments(trained)
    lines.append(f"model    {trained.run.model}")
    if trained.grid:
        lines.append(f"samples  {trained.grid}")
    if trained.plot:
        lines.append(f"plot     {trained.plot}")
    label = " --label 8" if trained.sampler.spec.classes > 8 else ""
    if trained.sampler.spec.classes and not label:
        label = " --label 0"
    out = "-o samples.png" if trained.sampler.spec.is_image else "-n 1000 -o samples.npz"
    lines.append(f"sample   ganforge sample {path}{label} {out}")
    if trained.unscored:
        lines.append(trained.unscored)
    if trained.scores:
        lines += ["", judging.table(trained.scores)]
        lines.append(f"more metrics, on the test split: ganforge evaluate {path}")
    return lines


def closing_losses(log: Sequence[Mapping[str, Any]]) -> str:
    """Both losses over the last quarter of a run; one interval alone is noisy."""
    last = log[-max(1, len(log) // 4) :]
    if not last:
        return "no step has been logged yet"
    d, g = (np.mean([r.get(key, np.nan) for r in last]) for key in ("loss_d", "loss_g"))
    first = log[-len(last) - 1].get("epoch", 0.0) if len(log) > len(last) else 0.0
    return f"loss_D {d:.3f}, loss_G {g:.3f} (mean of epochs {first:.1f} to {last[-1]['epoch']:.1f})"


def moments(trained: session.Trained, count: int = 10_000) -> list[str]:
    """Mean and covariance of the samples beside the law's, for vectors of up to 4 numbers."""
    if trained.sampler.spec.size > 4:
        return []
    samples = trained.sample(count, seed=trained.run.info().get("seed", 0))
    truth = session.true_moments(trained.run.settings()["data"])
    if truth is None:
        return []
    columns = {"generated": _moments(samples), "true": truth}
    return [
        f"{name:<10} mean {_matrix(mean)}  covariance {_matrix(covariance)}"
        for name, (mean, covariance) in columns.items()
    ]


def _moments(samples: Array) -> tuple[Array, Array]:
    return samples.mean(0), np.atleast_2d(np.cov(samples.T))


def _matrix(values: Any) -> str:
    return np.array2string(np.asarray(values, dtype=float), precision=2, separator=", ").replace(
        "\n", ""
    )


def own_networks(code: Path | None, path: Path) -> OwnNetworks | None:
    """The user's function from a file they named, by the name the model was saved with."""
    if code is None:
        return None
    import json

    run = session.run_of(path)
    folder = run.model if run else path
    try:
        name = json.loads(checkpoint.read_file(folder / "config.json"))["networks"]["name"]
    except (ValueError, KeyError, TypeError):
        name = "networks"
    found: OwnNetworks = recipes.attribute(code, str(name))
    return found


def target(path: Path, output: Path | None, default: str, kinds: Sequence[str]) -> Path:
    """Where to write: `output`, or `default` in the run folder."""
    out = output or path / default
    if out.suffix.lower() not in kinds:
        raise UsageError(f"{out}: expected a file name ending in {' or '.join(kinds)}")
    return out


def sample(
    path: Path,
    count: int,
    labels: list[int] | None,
    seed: int,
    output: Path | None,
    code: Path | None = None,
) -> str:
    """Samples of a run as a picture or an .npz file."""
    sampler = session.open_sampler(path, own_networks(code, path))
    out = target(path, output, "sample.png", (".png", ".npz"))
    drawn = sampler.sample(count, labels, seed)
    used = sampler.labels(count, labels)
    if out.suffix.lower() == ".npz":
        arrays = {"samples": drawn} | ({} if used is None else {"labels": used})
        pictures.save(out, pictures.npz(**arrays))
    else:
        columns = sampler.spec.classes if used is not None and labels is None else None
        pictures.save(out, picture(sampler, drawn, columns))
    return f"{count} samples in {out}"


def evaluate(
    path: Path,
    data: str | None,
    size: int | None,
    n: int,
    metrics: str | None,
    split: str,
    seed: int,
    space: str | None,
    code: Path | None = None,
) -> str:
    """The scores of a run, a model or a file of samples as a table, and where they are kept."""
    names = None if metrics is None else [m.strip() for m in metrics.split(",") if m.strip()]
    scores = judging.judge(
        path,
        data=data,
        size=size,
        n=n,
        metrics=names,
        space=space,
        seed=seed,
        split=split,
        networks=own_networks(code, path),
    )
    return f"{judging.table(scores)}\nsaved in {judging.scores_path(path)}"


def score_cell(run: runs.Run) -> str:
    """A run's newest Frechet distance with its floor and stamp; empty where there is none."""
    score = judging.newest(run)
    if score is None:
        return ""
    stamp = f"{score.split}, N {score.n:,}"
    return f"FD[{score.space}] {score.value:.4g}, floor {score.floor:.4g} ({stamp})"


def picture(sampler: Sampler, drawn: Array, columns: int | None = None) -> bytes:
    """A grid of pictures, or a scatter of vectors, as a PNG file's bytes."""
    if not sampler.spec.is_image:
        return plots.points(drawn)
    columns = columns or pictures.layout(len(drawn), 0)[1]
    scale = max(1, 64 // sampler.spec.shape[1])
    return pictures.png(pictures.grid(pictures.as_uint8(drawn, sampler.spec), columns), scale=scale)


def interpolate(
    path: Path, rows: int, steps: int, seed: int, output: Path | None, code: Path | None = None
) -> str:
    """Paths between noises, as a picture (a row a path) or a GIF."""
    sampler = session.open_sampler(path, own_networks(code, path))
    out = target(path, output, "interpolate.png", (".png", ".gif"))
    walk = sampler.interpolate(rows, steps, seed)
    if not sampler.spec.is_image:
        raise UsageError(f"{path} makes vectors, not pictures: use `ganforge sample {path}`")
    if out.suffix.lower() == ".gif":
        frames = pictures.as_uint8(walk, sampler.spec).reshape(rows, steps, *walk.shape[1:])
        columns = pictures.layout(rows, 0)[1]
        grids = [pictures.grid(frames[:, i], columns) for i in range(steps)]
        pictures.save(out, pictures.gif([*grids, *grids[-2:0:-1]]))
    else:
        pictures.save(out, picture(sampler, walk, steps))
    return f"{rows} paths of {steps} samples in {out}"


def plot(path: Path, output: Path | None) -> str:
    """A run's overview as a picture, or its samples over time as a GIF."""
    run = runs.open_run(path)
    out = target(path, output, session.PLOT, (".png", ".gif"))
    gif = out.suffix.lower() == ".gif"
    pictures.save(out, plots.animation(run) if gif else plots.overview(run))
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
        except DataError as error:
            rows.append((str(run.path), "?", str(error), "", "", "", "", "", ""))
            continue
        status = info.get("status", "?")
        alive = runs.lock_holder(run.path / runs.LOCK) if (run.path / runs.LOCK).exists() else None
        if status == "running" and alive is None:
            status = "interrupted"
        last = log[-1] if log else {}
        seconds = int(info.get("seconds", 0))
        rows.append((
            str(run.path), str(info.get("name", "?")), status,
            f"{last.get('epoch', info.get('epoch', 0)):.1f}",
            f"{last.get('samples_seen', 0) / 1000:.1f}",
            f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}",
            f"{last.get('loss_d', float('nan')):.3f}", f"{last.get('loss_g', float('nan')):.3f}",
            score,
        ))  # fmt: skip
    return table(rows)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest entry."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def recipes_text(name: str | None) -> str:
    """The list of recipes, or one's docstring and settings."""
    if name is not None:
        chosen = recipes.find(name)
        return f"{recipes.describe(name)}\n\n{config.dumps(chosen)}".rstrip()
    rows = []
    for known in recipes.RECIPES:
        first = recipes.describe(known).splitlines()[0]
        rows.append((known, first.partition(":")[2].strip().rstrip(".")))
    return f"{table(rows)}\n\n`ganforge recipes NAME` tells all about one; `ganforge train NAME`."


def data_show(name: str, size: int | None, output: Path | None) -> str:
    """What is in a data set, and where the grid of it was saved."""
    data = source.load(name, size=size)
    stem = Path(name).name.split(".")[0] or "data"
    out = target(Path(), output, f"data-{stem}.png", (".png",))
    lines = [f"{label:<12} {value}" for label, value in source.describe(data)]
    if data.spec.is_image:
        shown = pictures.as_uint8(source.preview(data, 64), data.spec)
        grid = pictures.grid(shown, pictures.layout(len(shown), 0)[1])
        pictures.save(out, pictures.png(grid, scale=max(1, 64 // data.spec.shape[1])))
    else:
        pictures.save(out, plots.points(np.asarray(data.values[:2000]), real=True))
    return "\n".join([*lines, f"{'grid':<12} {out}"])


def data_pack(name: str, out: Path, size: int | None) -> str:
    """Pack a data set; what was packed and what was skipped."""
    from ganforge.data import packed

    path = packed.pack(name, out, size, 0, processes=cores())
    data = source.load(str(path))
    lines = [f"{label:<12} {value}" for label, value in source.describe(data)]
    return "\n".join([*lines, f"packed in {path}; train on it with --data {path}"])
