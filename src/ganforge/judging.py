"""Is it any good? One question asked of a run, a model or a file of samples.

    scores = judge("runs/cdcgan")      # against the test split, kept in runs/cdcgan/scores.json
    print(table(scores))

`measure` is the same for a sampler and real examples in memory: what a run scores itself by.
"""

from __future__ import annotations

import errno
import json
import math
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ganforge import __version__, checkpoint, model, runs
from ganforge.codec import Array
from ganforge.columns import columns
from ganforge.data import arrays, source, toy
from ganforge.data.dataset import Dataset, Examples
from ganforge.errors import DataError, UsageError, check, choice, did_you_mean
from ganforge.evaluation import features
from ganforge.evaluation.case import LEAST, TRUSTED, check_samples, subset
from ganforge.evaluation.modes import Mixture
from ganforge.evaluation.score import METRICS, Score, evaluate
from ganforge.model import OwnNetworks
from ganforge.printable import json_bytes
from ganforge.runs import Run
from ganforge.sampling import Sampler

N = 10_000  # samples judged where nothing else is asked for
SCORES, FORMAT = "scores.json", 1
SPLITS = ("test", "validation")
ASKED = 500  # real examples shown to the shipped classifier to see whether it knows the data


@dataclass(frozen=True)
class Real:
    """Real examples to judge by: those that trained, and those of a split that did not."""

    train: Dataset
    held: Dataset

    @property
    def mixture(self) -> Mixture | None:
        """The modes of a toy law whose modes can be told apart and are equally likely."""
        law = toy.LAWS.get(self.train.name)
        if isinstance(law, toy.Mixture) and law.modes is not None and not law.weights:
            return Mixture(law.modes.astype("float64"), law.sigma)
        return None


@dataclass(frozen=True)
class Subject:
    """What is judged: a generator, or samples made before.

    kept: the file its scores go to. data, size, data_sha256, step: of its training, as far as they
    are known.
    """

    name: str
    kept: Path
    sampler: Sampler | None = None
    samples: Examples | None = field(default=None, repr=False)
    data: str | None = None
    size: int | None = None
    data_sha256: str = ""
    step: int | None = None


def judge(
    path: Path | str,
    *,
    data: str | None = None,
    size: int | None = None,
    n: int = N,
    metrics: Sequence[str] | None = None,
    space: str | None = None,
    seed: int = 0,
    split: str = "test",
    networks: OwnNetworks | None = None,
) -> list[Score]:
    """Score a run folder, a model folder or a samples.npz against real examples of a split.

    The scores are kept too, in the file `scores_path` names. Labels of a conditional generator are
    asked for as often as they stand in the data. N is `n`, or as many as there are of the fewest;
    every score's note says so.

    path: of the run (its newest model), the model, or the file (`samples`, and `labels` if there).
    data, size: as in training; those of the training itself where they are not given.
    metrics: keys of `METRICS`; None for all that fit. space: a key of `features.SPACES`.
    seed: of the noise, the subsets and the judges. split: "test" or "validation".
    networks: your own function, where the model was trained with one.
    Raises UsageError for what cannot be meant; DataError for samples or data that are too few,
    missing, of another shape, type or range, or not finite, and for a run without a checkpoint.
    """
    check_request(n, metrics, space, split)
    subject = open_subject(Path(path), networks)
    read(subject.kept)  # damaged or not to be written: told before a minute's work, not after
    if not os.access(subject.kept.parent, os.W_OK):
        refused = PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        raise checkpoint.disk_error(subject.kept, refused)
    real = real_for(subject, data, size, split)
    scores = measure(
        subject.sampler or subject.samples,
        real,
        n=n,
        metrics=metrics,
        space=space,
        seed=seed,
        name=subject.name,
    )
    foreign = subject.data_sha256 not in ("", real.train.sha256)
    keep(subject.kept, scores, real, step=subject.step, space=space, foreign=foreign)
    return scores


def check_request(n: int, metrics: Sequence[str] | None, space: str | None, split: str) -> None:
    """UsageError for a request that no data can meet, before any are read."""
    check(n >= LEAST, "n", n, f"at least {LEAST} samples")
    choice("split", split, SPLITS)
    check(metrics is None or len(metrics) > 0, "metrics", metrics, "at least one name")
    for name in metrics or ():
        if name not in METRICS:
            raise UsageError(f"metric {name!r}: {did_you_mean(name, list(METRICS))}")
    if space is not None:
        choice("space", space, list(features.SPACES))


def scores_path(path: Path | str) -> Path:
    """Where the scores of a run, a model or a file of samples are kept."""
    path = Path(path)
    return path.with_suffix(".scores.json") if path.suffix == ".npz" else path / SCORES


def open_subject(path: Path, networks: OwnNetworks | None = None) -> Subject:
    """The generator or the samples at a path; DataError where there are none."""
    if not path.exists():
        raise DataError(f"{path}: no such run, model or file (`ganforge runs` lists the runs)")
    if path.suffix == ".npz":
        return Subject(str(path), scores_path(path), samples=arrays.read_npz(path))
    if path.is_file():
        raise DataError(f"{path}: not a run or model folder, nor a file of samples (.npz)")
    folder = path if (path / model.CONFIG).is_file() else runs.open_run(path).model
    if not (folder / model.CONFIG).is_file():
        raise DataError(
            f"{path}: this run has no checkpoint yet, so there is nothing to score: train on"
        )
    sampler = model.load(folder, networks)
    training = model.training(folder)
    return Subject(
        str(path),
        scores_path(path),
        sampler,
        data=training["data"],
        size=training["size"],
        data_sha256=training["data_sha256"] or "",
        step=training["step"],
    )


def real_for(subject: Subject, data: str | None, size: int | None, split: str) -> Real:
    """The real examples for a subject: of `data`, or those it was trained on."""
    if data is not None or (size is not None and subject.data is not None):
        return load_real(data or str(subject.data), size or subject.size, split)
    if subject.data is None:
        raise UsageError(f"{subject.name} does not say what data it stands for: add --data")
    try:
        real = load_real(subject.data, subject.size, split)
    except DataError as error:
        raise DataError(f"{error} (--data names other data to judge by)") from None
    if subject.data_sha256 not in ("", real.train.sha256):
        raise DataError(
            f"{subject.data}: not the data {subject.name} was trained on (their sha256 differs): "
            "restore them, or name the data to judge by with --data"
        )
    return real


def load_real(data: str, size: int | None, split: str) -> Real:
    """The training part of a data set and the part to judge by."""
    return Real(source.load(data, size=size), source.load(data, part=split, size=size))


def measure(
    subject: Sampler | Examples | None,
    real: Real,
    *,
    n: int = N,
    metrics: Sequence[str] | None = None,
    space: str | None = None,
    seed: int = 0,
    name: str = "the model",
) -> list[Score]:
    """Score a generator, or samples, against real examples; arguments as `judge`."""
    counts = {
        f"{real.held.part} examples": len(real.held),
        "training examples to stand in for samples": len(real.train),
    }
    if isinstance(subject, Examples):
        check_samples(subject.values, real.train.spec, f"{name}: samples")
        counts = {"samples": len(subject.values)} | counts
    size, note = limited(n, counts)
    if isinstance(subject, Sampler):
        fake, labels = draw(subject, real.train, size, seed)
    elif subject is not None:
        pick = subset(len(subject.values), size, seed, "fake")
        fake = subject.values[pick]
        labels = None if subject.labels is None else subject.labels[pick]
    else:
        raise UsageError(f"{name}: neither a generator nor samples")
    pick = subset(len(real.held), size, seed, "real")
    labelled = real.train.labels is not None and real.held.labels is not None
    scores = evaluate(
        real.train.values,
        real.held.values[pick],
        fake,
        spec=real.train.spec,
        train_labels=real.train.labels,
        eval_labels=None if real.held.labels is None else real.held.labels[pick],
        fake_labels=labels if labelled else None,
        metrics=metrics,
        space=space,
        mixture=real.mixture,
        seed=seed,
        split=real.held.part,
    )
    return [replace(s, note="; ".join(filter(None, (s.note, note)))) for s in scores]


def limited(n: int, counts: Mapping[str, int]) -> tuple[int, str]:
    """The N that all can give, and a note where that is less than was asked for."""
    what = min(counts, key=lambda key: counts[key])
    least = counts[what]
    if least < LEAST:
        raise DataError(f"{least} {what}: too few to score, at least {LEAST} are needed")
    if least >= n:
        return n, ""
    return least, f"N = {least:,}, not {n:,}: there are no more {what}"


def draw(sampler: Sampler, train: Dataset, n: int, seed: int) -> tuple[Array, Array | None]:
    """n samples, and the labels they were asked for: as often as each stands in the data."""
    classes, labels = sampler.spec.classes, None
    if classes and train.labels is None:
        labels = sampler.labels(n)
    elif classes and train.labels is not None:
        if classes != train.spec.classes:
            raise DataError(
                f"{train.name} has {train.spec.classes} classes, {sampler.name} knows {classes}: "
                "name the data it was trained on with --data"
            )
        labels = train.labels[subset(len(train), n, seed, "labels")]
    return sampler.generate(sampler.z(n, seed), labels), labels


def quick_metrics(real: Real, conditional: bool) -> tuple[str, ...]:
    """The metrics that take a second or two at N = 2,500, for use while a run goes on.

    Those of classes only where the shipped classifier knows the data: another would have to be
    trained first.
    """
    near = ("precision", "recall", "coverage")
    if not real.train.spec.is_image:
        names = ("frechet", "sliced-wasserstein", *near)
        modes = ("modes", "heavy-modes", "mode-kl", "high-quality")
        return names + modes if real.mixture is not None else names
    labels, spec = real.held.labels, real.train.spec
    if labels is None or spec.shape != (1, 28, 28) or spec.classes != 10 or spec.dtype != "uint8":
        return ("frechet", *near)
    pick = subset(len(real.held), min(ASKED, len(real.held)), 0, "asked")
    seen = features.classify(real.held.values[pick]).argmax(1)
    if (seen == labels[pick]).mean() < TRUSTED:
        return ("frechet", *near)
    classes = ("heavy-modes", "label-accuracy", "worst-class") if conditional else ("heavy-modes",)
    return ("frechet", *near, *classes)


def keep(
    path: Path,
    scores: Sequence[Score],
    real: Real,
    *,
    step: int | None = None,
    space: str | None = None,
    foreign: bool = False,
) -> None:
    """Add scores to a scores.json, beside all that is there.

    Scores of the same data, split, N, seed, space and step are one entry, a metric asked for again
    replaces itself; everything else is kept. foreign: of other data than those that trained it.
    """
    if not scores:
        return
    entries = read(path)
    n, seed, split = max(s.n for s in scores), scores[0].seed, scores[0].split
    space = space or features.default_space(real.train.spec)
    key = f"{real.train.name} {split} n={n} seed={seed} {space} step={step}"
    made = {s.name: s.to_json() for s in scores}
    before = entries.pop(key, {})
    if before.get("data_sha256") == real.held.sha256:
        made = {c["name"]: c for c in before["scores"]} | made
    entries[key] = {
        "data": real.train.name,
        "data_sha256": real.held.sha256,
        "split": split,
        "n": n,
        "seed": seed,
        "space": space,
        "step": step,
        "foreign": foreign,
        "ganforge": __version__,
        "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "scores": list(made.values()),
    }
    table = {"format": FORMAT, "entries": entries}
    checkpoint.replace_file(path, json_bytes(table, indent=1, allow_nan=False))


def read(path: Path) -> dict[str, dict[str, Any]]:
    """The entries of a scores.json by their key, {} where there is none yet."""
    if not path.is_file():
        return {}
    try:
        table = json.loads(checkpoint.read_file(path))
        version, entries = table["format"], dict(table["entries"])
        for entry in entries.values():
            entry["step"], entry["split"], entry["n"], entry["made"]
            cards(entry)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise DataError(f"{path}: damaged: restore it from a copy, or remove it") from None
    if version != FORMAT:
        raise DataError(f"{path}: format {version}, this ganforge reads {FORMAT}")
    return entries


def cards(entry: Mapping[str, Any]) -> list[Score]:
    """The scores of an entry of scores.json, or of a record of a run's scores.jsonl."""
    return [Score.from_json(card) for card in entry["scores"]]


def own_entries(run: Run) -> list[dict[str, Any]]:
    """The entries of a run's scores.json, but for those by other data than it was trained on."""
    return [e for e in read(run.path / SCORES).values() if not e.get("foreign")]


def newest(run: Run) -> Score | None:
    """The newest Frechet distance of a run's newest step; test before validation, larger N first.

    None where it has none. Scores by other data than its own are not the run's.
    """
    found = []
    for entry in own_entries(run):
        for score in cards(entry):
            if score.name == "frechet" and math.isfinite(score.value):
                rank = (entry["step"] or 0, score.split == "test", score.n, entry["made"])
                found.append((rank, score))
    return max(found, key=lambda pair: pair[0])[1] if found else None


def table(scores: Sequence[Score]) -> str:
    """Scores as text: value, spread, floor and word, and the stamp that they share.

    What a metric has for itself (a smaller N, another judge, a p) stands at the end of its line.
    """
    if not scores:
        return "no scores"
    n, space, digest = Counter((s.n, s.space, s.space_sha256) for s in scores).most_common(1)[0][0]
    rows = [("metric", "value", "spread", "floor", "word", "")]
    for s in scores:
        own = [f"N {s.n:,}"] if s.n != n else []
        own += [f"{s.space} {s.space_sha256[:8]}"] if s.space_sha256 != digest else []
        own += [part for part in s.note.split("; ") if part.startswith(("p ", "floor p "))]
        numbers = (f"{s.value:.4g}", f"{s.spread:.2g}", f"{s.floor:.4g}")
        rows.append((s.name, *numbers, s.word, ", ".join(own)))
    lines = [columns(rows, right=range(1, 4))]
    split, seed = scores[0].split, scores[0].seed
    lines.append(f"{n:,} samples against {n:,} of the {split} split, seed {seed}")
    lines.append(f"space {space}, sha256 {digest[:12]}")
    shared = [note for note in scores[0].note.split("; ") if note.startswith("N = ")]
    lines += [note for note in shared if all(note in s.note for s in scores)]
    lines.append("floor: the same with real examples in the samples' place")
    return "\n".join(lines)
