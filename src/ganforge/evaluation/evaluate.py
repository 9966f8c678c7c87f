"""Is it any good? One function scores a run, a model folder, a file of samples, or a sampler.

scores = evaluate("runs/cdcgan")      # against the test split; saved in scores.json
print(table(scores))
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ganforge import bar
from ganforge.config import user_code
from ganforge.data import load
from ganforge.data.dataset import Dataset, Examples
from ganforge.data.formats import arrays
from ganforge.errors import DataError, UsageError, check, choice
from ganforge.evaluation import features, store, translation
from ganforge.evaluation.inputs import LEAST, Real, given, make_case, subset
from ganforge.evaluation.metrics import UserMetric, check_names, fitting, scores
from ganforge.evaluation.score import Better, Score
from ganforge.runs import builtin, model
from ganforge.runs import folder as runs
from ganforge.runs.load import model_folder
from ganforge.runs.model import OwnNetworks
from ganforge.sampling.sampler import FAST, Sampler
from ganforge.sampling.translate import Translator
from ganforge.types import Array, Floats

Function = Callable[[Array, Array], float]  # of (samples, real examples)
Embed = Callable[[Array], Array]  # of stored examples

N = 10_000  # samples, if no other number is given
SPLITS = ("test", "validation")
QUICK = "quick"  # in place of names: the metrics that take a second or two at N = 2,500
PROBES = 500  # real examples by which the shipped classifier shows that it knows the data


@dataclass(frozen=True)
class Subject:
    """What is scored: a generator, or samples made before.

    Args:
        name: for messages.
        source: the generator or the samples.
        file: where its scores are saved; None for nowhere.
        data, size, data_sha256, step, pairing: of its training, as far as they are known.
    """

    name: str
    source: Sampler | Examples = field(repr=False)
    file: Path | None = None
    data: str | None = None
    size: int | None = None
    data_sha256: str = ""
    step: int | None = None
    pairing: str = ""


def evaluate(
    subject: Path | str | Subject | Sampler | Examples,
    real: Real | None = None,
    *,
    data: str | None = None,
    size: int | None = None,
    n: int = N,
    metrics: Sequence[str | Function] | str | None = None,
    space: str | Embed | None = None,
    seed: int = 0,
    split: str = "test",
    networks: OwnNetworks | None = None,
) -> list[Score]:
    """Score a generator or samples against real examples that did not train it.

    The scores of a path are saved too, in the file that `store.scores_path` names. A conditional
    generator gets every label as often as it stands in the data. N is `n`, or as many as there are
    of the fewest; every score's note says so.

    Args:
        subject: path of a run (its newest model), of a model, or of a file of samples (`samples`,
            and `labels` if there); or a sampler, or samples in memory.
        real: the real examples. Without it `data`, `size` and `split` name them.
        data, size: as in training; None for those of the training itself.
        n: samples, at least 100.
        metrics: keys of `METRICS`, or functions of (samples, real examples);
            None for all that fit; "quick" for those of a second or two.
        space: a key of `features.SPACES`, or a function of examples (N, ...);
            None for the default of the data.
        seed: of the noise, the subsets and the networks trained afresh.
        split: "test" or "validation".
        networks: your function, if the model was trained with one.

    Raises:
        UsageError: a request that no data can meet.
        DataError: samples or data that are too few, missing, of another shape, type or range, or
            not finite; a run without a checkpoint.
    """
    wanted, chosen = of_users(metrics, space)
    check_request(n, wanted, chosen, split)
    subject = as_subject(subject, networks)
    if subject.file is not None:
        store.check_writable(subject.file)  # before a minute's work, not after
    real = real or real_for(subject, data, size, split)
    source = subject.source
    if isinstance(source, Translator):
        refuse_metrics(metrics, subject.name)
        made = translation.scores(source, real, n=n, seed=seed, space=chosen)
    else:
        if wanted == QUICK:
            conditional = not isinstance(source, Examples) and source.spec.classes > 0
            wanted = quick_metrics(real, conditional)
        made = _measure(source, real, n, wanted, chosen, seed)
    if subject.file is not None:
        named = chosen.name if isinstance(chosen, features.Space) else chosen
        foreign = subject.data_sha256 not in ("", real.train.sha256)
        store.add(subject.file, made, real, step=subject.step, space=named, foreign=foreign)
    return made


def refuse_metrics(metrics: Any, name: str) -> None:
    """UsageError for metrics that are named for a translator."""
    if metrics not in (None, QUICK):
        raise UsageError(
            f"metrics = {metrics!r}: {name} translates, and is scored by the measures "
            "of translations: leave the metrics out"
        )


def of_users(metrics: Any, space: Any) -> tuple[Any, Any]:
    """Metrics and space with a user's functions as what is computed, with name and sha256."""
    if isinstance(metrics, list | tuple):
        metrics = [user_metric(one) if callable(one) else one for one in metrics]
    return metrics, user_space(space) if callable(space) else space


def user_metric(function: Any) -> UserMetric:
    """A user's function of (samples, real examples) as a metric; `better` may be its attribute."""
    table = user_code.record(function)
    better: Better = getattr(function, "better", "floor")
    return UserMetric(table["name"], table["sha256"], function, better)


def user_space(function: Any) -> features.Space:
    """A user's function of stored examples (N, ...) -> (N, F) as a feature space."""
    table = user_code.record(function)
    name = str(table["name"])

    def embed(values: Array) -> Floats:
        found = np.asarray(function(values), dtype=np.float32)
        if found.ndim != 2 or len(found) != len(values):
            raise UsageError(
                f"your space {name!r} gives {found.shape} for {len(values)} examples: expected "
                f"({len(values)}, F), a row each"
            )
        return found

    return features.Space(name, str(table["sha256"]), embed)


def check_request(
    n: int,
    metrics: Sequence[str | UserMetric] | str | None,
    space: str | features.Space | None,
    split: str,
) -> None:
    """UsageError for a request that no data can meet, before any are read."""
    check(n >= LEAST, "n", n, f"at least {LEAST} samples")
    choice("split", split, SPLITS)
    if metrics != QUICK and metrics is not None:
        check(len(metrics) > 0, "metrics", metrics, "at least one name")
        check_names(metrics)
    if isinstance(space, str):
        choice("space", space, list(features.SPACES))


def as_subject(
    subject: Path | str | Subject | Sampler | Examples, networks: OwnNetworks | None = None
) -> Subject:
    """The generator or the samples of `evaluate`."""
    if isinstance(subject, Subject):
        return subject
    if isinstance(subject, Path | str):
        return open_subject(Path(subject), networks)
    name = "the samples" if isinstance(subject, Examples) else subject.name
    return Subject(name, subject)


def open_subject(path: Path, networks: OwnNetworks | None = None) -> Subject:
    """The generator or the samples at a path; DataError if there are none."""
    if path.suffix == ".npz" and path.exists():
        return Subject(str(path), arrays.read_npz(path), store.scores_path(path))
    if path.is_file():
        raise DataError(f"{path}: not a run or model folder, nor a file of samples (.npz)")
    folder = model_folder(path)
    training = model.training(folder)
    places = (runs.Run(place) for place in (folder, *folder.absolute().parents[:2]))
    settings = next((place.settings() for place in places if place.exists()), training)
    return Subject(
        str(path),
        model.load(folder, networks),
        None if builtin.folder(path) else store.scores_path(path),
        settings.get("data"),
        training["size"],
        training["data_sha256"] or "",
        training["step"],
        training["pairing"],
    )


def real_for(subject: Subject, data: str | None, size: int | None, split: str) -> Real:
    """The real examples for a subject: of `data`, or those it was trained on."""
    name = data or subject.data
    if name is None:
        raise UsageError(f"{subject.name} does not say what data it stands for: add --data")
    if data is not None or size is not None:
        return load_real(name, size or subject.size, split, subject.pairing)
    try:
        real = load_real(name, subject.size, split, subject.pairing)
    except (DataError, UsageError) as error:
        raise DataError(f"{error} (--data names other data to score with)") from None
    if subject.data_sha256 not in ("", real.train.sha256):
        raise DataError(
            f"{name}: not the data {subject.name} was trained on (their sha256 differs): "
            "restore them, or name the data to score with by --data"
        )
    return real


def load_real(data: str, size: int | None, split: str, pairing: str = "") -> Real:
    """The training part of a data set and the part to score with."""
    train, held_out = (
        load.load(data, part=part, size=size, pairing=pairing) for part in ("train", split)
    )
    return Real(train, held_out)


def _measure(
    source: Sampler | Examples,
    real: Real,
    n: int,
    metrics: Sequence[str | UserMetric] | None,
    space: str | features.Space | None,
    seed: int,
) -> list[Score]:
    train, held_out = real.train, real.held_out
    counts = {
        f"{held_out.part} examples": len(held_out),
        "training examples for each subset of the floor": len(train) // 2,
    }
    if isinstance(source, Examples):
        counts = {"samples": len(source.values)} | counts
    size, note = limited(n, counts)
    if isinstance(source, Examples):
        note = "; ".join(filter(None, (note, *(f"samples: {said}" for said in source.notes))))
    else:
        source = Examples(*draw(source, train, size, seed))
    if train.labels is None or held_out.labels is None:
        source = replace(source, labels=None)
    case = make_case(
        train,
        held_out,
        source,
        spec=train.spec,
        space=space,
        mixture=real.mixture,
        seed=seed,
        split=held_out.part,
        n=size,
        note=note,
        floors=real.floors,
    )
    return scores(case, metrics)


def limited(n: int, counts: Mapping[str, int]) -> tuple[int, str]:
    """The N that all can give, and a note if that is less than n."""
    what, least = min(counts.items(), key=lambda item: item[1])
    if least < LEAST:
        more = "" if what == "samples" else ": train on DATA@held_out=0.2 to hold out a fifth"
        raise DataError(f"{least} {what}: too few to score, at least {LEAST} are needed{more}")
    if least >= n:
        return n, ""
    return least, f"N = {least:,}, not {n:,}: there are no more {what}"


def draw(sampler: Sampler, train: Dataset, n: int, seed: int) -> tuple[Array, Array | None]:
    """n samples and their labels (n,), each label as often as it stands in the data."""
    classes, labels = sampler.spec.classes, train.labels
    if not classes or labels is None:
        labels = sampler.labels(n)
    elif classes != train.spec.classes:
        raise DataError(
            f"{train.name} has {train.spec.classes} classes, {sampler.name} knows {classes}: "
            "name the data it was trained on with --data"
        )
    else:
        labels = labels[subset(len(train), n, seed, "labels")]
    with bar.phase("samples", n, "examples"):
        return sampler.generate(sampler.z(n, seed), labels, batch=FAST), labels


def quick_metrics(real: Real, conditional: bool) -> tuple[str, ...]:
    """The metrics that take a second or two at N = 2,500, for use while a run goes on.

    Those of classes only if the shipped classifier knows the data: another would have to be
    trained first.
    """
    spec, held_out = real.train.spec, real.held_out
    if not spec.is_image:
        return fitting(given(real.mixture is not None, False, False), "vectors")
    known = False
    if held_out.labels is not None:
        pick = subset(len(held_out), min(PROBES, len(held_out)), 0, "asked")
        logits = features.digit_logits(held_out.values[pick], held_out.labels[pick], spec)
        known = logits is not None
    return fitting(given(False, known, conditional), "images")
