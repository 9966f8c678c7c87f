"""The report: whole and self-contained for any run, and every figure on it the run's own."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import shlex
import shutil
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import reported
from drawn import record
from ganforge import (
    config,
    history,
    judging,
    model,
    pictures,
    recipes,
    report,
    runs,
)  # fmt: skip
from ganforge.cli import main
from ganforge.codec import DataSpec
from ganforge.config import Config
from ganforge.data import source
from ganforge.data.dataset import Examples
from ganforge.diagnosis import NAMES, Diagnosis, Finding, diagnose
from ganforge.report import curves, facts, film, page, samples, words
from ganforge.runs import Run
from ganforge.sampling import Sampler
from reported import CARD, HOSTILE, add_scores, trained
from tiny import pictures as noise

HEALTHY = Diagnosis((), ("GF001",), {}, 4)


@pytest.fixture(autouse=True, scope="module")
def few() -> Iterator[None]:
    """Neighbours are looked for among few examples, and runs are called healthy unasked."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page.diagnosis, "diagnose", lambda path, **options: HEALTHY)
        patch.setattr(samples, "SEARCHED", 300)
        patch.setattr(samples, "JUDGED", 120)
        yield


@pytest.fixture(scope="module")
def gaussian(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("runs") / "g", steps=400)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return reported.digits(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose class names, folder, recipe and settings would be markup, were they not told."""
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


class Reader(HTMLParser):
    """What a browser would see: tags with their attributes, and the text of each element."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.inside: dict[str, list[str]] = {}
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {k: v or "" for k, v in attrs}))
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self.open:
            self.inside.setdefault(self.open[-1], []).append(data)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attrs for name, attrs in self.tags if name == tag]

    @property
    def text(self) -> str:
        shown = (t for tag, parts in self.inside.items() if tag not in ("script", "style")
                 for t in parts)  # fmt: skip
        return " ".join(" ".join(shown).split())

    @property
    def data(self) -> Any:
        return json.loads(next(t for t in self.inside["script"] if t.startswith("{")))


def made(*paths: Path) -> tuple[str, Reader]:
    """The page about some runs."""
    html = report.render([
        report.read(runs.open_run(p), f"{p.name}", f"run-{i + 1}") for i, p in enumerate(paths)
    ])  # fmt: skip
    return html, Reader(html)


def decoded(uri: str) -> np.ndarray[Any, Any]:
    data = base64.b64decode(uri.partition("base64,")[2])
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"))


def check_whole(html: str, seen: Reader) -> None:
    """Self-contained, accessible, and closed to anything that is not its own."""
    assert "://" not in html
    for tag, attrs in seen.tags:
        assert not {a for a in attrs if a.startswith("on")}, (tag, attrs)
        for key in ("src", "href", "srcset", "action", "data", "poster"):
            assert attrs.get(key, "#").startswith(("#", "data:image/", "data:,")), (tag, attrs)
    assert not set(dict(seen.tags)) & {"iframe", "object", "embed", "base", "form", "a:link"}
    assert all(i.get("alt", "").strip() for i in seen.all("img"))
    assert all(s.get("aria-label") for s in seen.all("svg") if s.get("role") == "img")
    assert all("role" in s or "aria-hidden" in s for s in seen.all("svg"))
    ids = [a["id"] for _, a in seen.tags if "id" in a]
    assert len(ids) == len(set(ids))
    assert {u["href"][1:] for u in seen.all("use")} <= set(ids)
    levels = [int(tag[1]) for tag, _ in seen.tags if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b <= a + 1 for a, b in pairwise(levels))
    policy = next(m["content"] for m in seen.all("meta") if "http-equiv" in m)
    assert "default-src 'none'" in policy
    for tag in ("style", "script"):
        own = [t for t in seen.inside[tag] if not t.startswith("{")]
        assert len(own) == 1
        hashed = base64.b64encode(hashlib.sha256(own[0].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{hashed}'" in policy


# whole runs


def test_the_page_of_a_labelled_run(digits: Path) -> None:
    html, seen = made(digits)
    check_whole(html, seen)
    text = seen.text
    for part in (
        "cdcgan on noise.npz", "5 ± 0.5", "real examples 4: as real", "95.0 %", "Samples over time",
        "Loss of each player", "Diagnosis", "frechet", "Nearest training examples", "97.0 %",
        "FD[mnist-lenet] is 5 where real examples have 4 (N = 100, validation split): as real",
    ):  # fmt: skip
        assert part in text, part
    rows = [i for i in seen.all("img") if "asked for" in i["alt"]]
    assert [i["alt"].rpartition(" ")[2] for i in rows] == [str(k) for k in range(10)]
    pairs = [i for i in seen.all("img") if "nearest to" in i["alt"]]
    assert len(pairs) == 2 * samples.SHOWN


def test_the_json_holds_the_runs_own_figures(digits: Path) -> None:
    run, (_, seen) = Run(digits), made(digits)
    (told,) = seen.data["runs"]
    weights = (run.model / model.WEIGHTS).read_bytes()
    assert told["hashes"]["model, model/model.safetensors"] == hashlib.sha256(weights).hexdigest()
    assert told["hashes"]["training data"] == source.load(run.settings()["data"]).sha256
    assert told["config"] == run.settings() and told["info"] == run.info()
    assert told["log"] == run.log() and told["log_records"] == len(run.log())
    assert told["state"] == "finished" and told["missing"] == {}
    assert [c["accuracy"] for c in told["classes"]] == pytest.approx(np.arange(90, 100) / 100)
    (entry,) = told["scores"]
    assert [c["value"] for c in entry["scores"]] == [5.0, 0.95]
    assert "samples" not in json.dumps(told["neighbours"])
    for value in (*told["info"]["versions"].values(), *told["hashes"].values()):
        assert str(value) in seen.text


def test_every_frame_is_the_grid_with_a_label_a_column(digits: Path) -> None:
    run, (_, seen) = Run(digits), made(digits)
    moments = history.moments(run)
    frames = [i for i in seen.all("img") if "same noise" in i["alt"]]
    assert len(frames) == len(moments) >= 2
    layout = history.tiling(run)
    for frame, moment in zip(frames, moments, strict=True):
        pixels, tiles = decoded(frame["src"]), history.tiles(moment, layout)
        for label in (0, 3, 9):
            for row in (0, 1):
                y, x = row * 30, label * 30
                tile = pixels[y : y + 28, x : x + 28]
                np.testing.assert_array_equal(tile[..., :3], tiles[label * 2 + row])
        assert (
            pixels.shape == (58, 298, 4)
            and not pixels[28:30, :, 3].any()
            and not pixels[:, 28:30, 3].any()
        )
    shown = [f for f in seen.all("figure") if f.get("class", "").startswith("frame")]
    assert ["hidden" in f for f in shown] == [True] * (len(shown) - 1) + [False]
    (slider,) = seen.all("input")
    assert (slider["min"], slider["max"]) == ("0", str(len(moments) - 1))


def test_the_page_of_points(gaussian: Path) -> None:
    html, seen = made(gaussian)
    check_whole(html, seen)
    assert "It has not been scored" in seen.text and "real" in seen.text
    assert not seen.all("img")
    moments = history.moments(Run(gaussian))
    clouds = [p["d"] for p in seen.all("path") if p.get("class") == "dots fake"]
    known = history.truth(Run(gaussian), moments[-1].points())
    assert len(clouds) == len(moments) + 1  # and the legend's dot
    for cloud, moment in zip(clouds[:-1], moments, strict=True):
        inside = moment.points()
        inside = inside[((inside >= known.limits[0]) & (inside <= known.limits[1])).all(1)]
        unit = (inside - known.limits[0]) / np.ptp(known.limits, axis=0)
        drawn = np.array(re.findall(r"M([\d.]+) ([\d.]+)h0", cloud), dtype=float)
        expected = np.stack([400 * unit[:, 0], 400 - 400 * unit[:, 1]], 1)
        np.testing.assert_allclose(drawn, expected, atol=0.051)


def test_the_one_dimensional_game_is_drawn_as_densities(tmp_path: Path) -> None:
    html, seen = made(trained(tmp_path / "f", "figure1", 30))
    check_whole(html, seen)
    areas = [p["d"] for p in seen.all("path") if p.get("class") == "area fake"]
    assert len(areas) == len(history.moments(Run(tmp_path / "f")))
    assert all(a.startswith("M0.0 ") and a.endswith("Z") for a in areas)
    assert "density" in seen.text


def test_names_of_others_are_told_never_run(hostile: Path) -> None:
    html, seen = made(hostile)
    check_whole(html, seen)
    assert "<img src=x" not in html and "</script>&" not in html and "run<b>" not in html
    assert "<img src=x onerror=alert(1)>" in seen.text and 'run<b>&"' in seen.text
    (told,) = seen.data["runs"]
    assert told["config"]["name"] == HOSTILE[:29]
    assert told["classes"][0]["name"].startswith("<img") or told["classes"][1]["name"].startswith(
        "<img"
    )
    assert any(i["src"].startswith("data:image/") for i in seen.all("img"))


# runs that are not whole


def bare(path: Path, recipe: Config | None = None, **info: Any) -> Run:
    """A run folder with nothing but its settings, and perhaps run.json."""
    run = Run(path)
    path.mkdir()
    (path / runs.CONFIG).write_text(config.dumps(recipe or recipes.cdcgan()))
    if info:
        run.write_info(**info)
    return run


def test_a_run_before_its_first_step(tmp_path: Path) -> None:
    html, seen = made(bare(tmp_path / "r").path)
    check_whole(html, seen)
    for part in (
        "no checkpoint yet",
        "no samples yet",
        "There are no log records yet",
        "Not begun.",
    ):
        assert part in seen.text, part


def test_a_run_that_runs_and_one_that_was_killed(tmp_path: Path) -> None:
    run = bare(tmp_path / "r", status="running", step=100)
    runs.append_log(run.log_path, [record(100), record(200)])
    _, seen = made(run.path)
    assert "Interrupted" in seen.text and seen.data["runs"][0]["state"] == "interrupted"
    with runs.locked(run):
        html, seen = made(run.path)
    check_whole(html, seen)
    assert "Running now" in seen.text and "2 epochs" in seen.text
    assert "Loss of each player" in seen.text and "no checkpoint yet" in seen.text


def test_a_run_that_diverged(tmp_path: Path) -> None:
    run = bare(tmp_path / "r", status="diverged", step=200)
    log = [record(100), record(200, loss_d=float("nan"), loss_g=float("inf"))]
    runs.append_log(run.log_path, log)
    html, seen = made(run.path)
    check_whole(html, seen)
    assert seen.data["runs"][0]["verdict"] == "Diverged"
    assert seen.data["runs"][0]["log"][1]["loss_d"] is None
    assert "2 of 4 not finite" in seen.text


def test_what_is_damaged_is_told_in_its_place(digits: Path, tmp_path: Path) -> None:
    path = tmp_path / "r"
    shutil.copytree(digits, path)
    newest = max((path / "samples").iterdir())
    newest.write_bytes(b"no picture")
    (path / "model" / model.WEIGHTS).write_bytes(b"no weights")
    html, seen = made(path)
    check_whole(html, seen)
    missing = seen.data["runs"][0]["missing"]
    assert newest.name in missing["film"] and model.WEIGHTS in missing["model"]
    assert missing["film"] in seen.text and missing["neighbours"] in seen.text


def test_neighbours_need_the_data_of_the_training(digits: Path, tmp_path: Path) -> None:
    path = tmp_path / "r"
    shutil.copytree(digits, path)
    Run(path).write_info(data_sha256="of other data")
    _, seen = made(path)
    assert "their sha256 differs" in seen.text


def test_findings_are_shown_with_evidence_and_remedy(
    gaussian: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures.save(tmp_path / "why.png", pictures.png(np.zeros((8, 8, 3), np.uint8)))
    finding = Finding("GF999", "a name <b>", "3 > 2 & 1", "Less of it", {"x": np.nan},
                      (tmp_path / "why.png", tmp_path / "gone.png"))  # fmt: skip
    found = Diagnosis((finding,), ("GF001",), {"GF002": "no reason", "GF003": "no reason"}, 9)
    monkeypatch.setattr(page.diagnosis, "diagnose", lambda path, **options: found)
    html, seen = made(gaussian)
    check_whole(html, seen)
    for part in (
        f"Not looked for: GF002 {NAMES['GF002']}; GF003 {NAMES['GF003']} (no reason).",
        "1 of 1 check found something wrong; it is told below",
        "Less of it.",
        f"Looked for, at step 9: GF001 {NAMES['GF001']}.",
        finding.code,
        finding.name,
        finding.evidence,
        finding.remedy,
    ):
        assert part in seen.text, part
    assert seen.data["runs"][0]["verdict"].startswith("Not healthy: ")
    assert seen.data["runs"][0]["diagnosis"]["findings"][0]["code"] == finding.code
    (image,) = [i for i in seen.all("img") if i["alt"] == "evidence of a name <b>"]
    assert decoded(image["src"]).shape == (8, 8, 4)


# several runs


def test_several_runs_are_compared_first(digits: Path, gaussian: Path, tmp_path: Path) -> None:
    other = trained(tmp_path / "g2", steps=100, seed=7)
    html, seen = made(gaussian, other, digits)
    check_whole(html, seen)
    assert [a["id"] for a in seen.all("article")] == ["run-1", "run-2", "run-3"]
    assert [a["href"] for a in seen.all("a")] == ["#run-1", "#run-2", "#run-3"]
    for part in ("3 runs compared", "Side by side", "Loss of D", "Loss of G", "Newest samples"):
        assert part in seen.text, part
    differing = seen.data["differences"]
    assert differing["seed"] == ["0", "7", "0"] and differing["labels"] == [
        "false",
        "false",
        "true",
    ]
    assert "noise.law" not in differing
    charts = [s for s in seen.all("svg") if s.get("role") == "img"]
    overlaid = next(c for c in charts if c["aria-label"].startswith("Loss of D,"))
    assert all(f"{name}: from" in overlaid["aria-label"] for name in ("g", "g2", "digits"))


def test_scores_that_were_made_differently_are_not_held_together(
    digits: Path, tmp_path: Path
) -> None:
    path = tmp_path / "other"
    shutil.copytree(digits, path)
    _, seen = made(digits, path)
    assert "cannot be held against each other" not in seen.text
    (path / judging.SCORES).unlink()
    add_scores(path, replace(CARD, n=200), n=200)
    _, seen = made(digits, path)
    assert "cannot be held against each other" in seen.text


def test_curves_of_scores_are_drawn_with_their_floor(digits: Path, tmp_path: Path) -> None:
    path = tmp_path / "scored"
    shutil.copytree(digits, path)
    lines = [
        {"step": s, "epoch": float(s), "frechet": 10.0 / s, "floor": 2.0,
         "scores": [CARD.to_json()]} for s in (1, 2, 4)
    ]  # fmt: skip
    (path / "scores.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))
    _, seen = made(path)
    (chart,) = [s for s in seen.all("svg") if "FD[mnist-lenet]" in s.get("aria-label", "")]
    assert "generated: from 10 to 2.5; real (floor): from 2 to 2." in chart["aria-label"]
    assert seen.data["runs"][0]["curve"] == lines


# the parts


def test_the_newest_score_on_the_test_split_is_quoted(digits: Path, tmp_path: Path) -> None:
    path = tmp_path / "r"
    shutil.copytree(digits, path)
    add_scores(path, replace(CARD, value=7.0, split="test"), split="test", step=4)
    add_scores(path, replace(CARD, value=3.0), step=2)
    known = facts.gather(Run(path))
    assert [e.step for e in known.entries] == [4, 4, 2]
    assert known.score is not None and known.score.value == 7.0
    add_scores(path, replace(CARD, value=0.1, split="test", n=900), split="test", foreign=True)
    known = facts.gather(Run(path))
    assert known.score is not None and known.score.value == 7.0
    assert words.figures(known, None)[0].value.startswith("7 ")
    assert "(N 100, test)" in words.figures(known, None)[0].beside
    assert len(known.entries) == 4  # still shown, with its stamp


@pytest.mark.parametrize(
    "changes",
    [{}, {"seed": 3, "batch": 32}, {"epochs": 2.5}, {"kimg": 1.5}, {"data": "a b/pictures"},
     {"ema": 0.9, "threads": 2}, {"sync_bn": True},
     {"generator": replace(recipes.cdcgan().generator, betas=(0.5, 0.9), lr=1e-5)},
     {"game": replace(recipes.cdcgan().game, penalties=())}],
)  # fmt: skip
def test_the_command_trains_the_same(
    changes: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = bare(tmp_path / "r", replace(recipes.cdcgan(), **changes))
    words = shlex.split(facts.command(run.path, run.settings()))
    assert words[:2] == ["ganforge", "train"] and words[-2:] == ["--out", str(run.path)]
    assert main([*words[1:], "--print-config"]) == 0
    assert tomllib.loads(capsys.readouterr().out) == run.settings()


def test_changes_are_those_from_the_recipe(tmp_path: Path) -> None:
    run = bare(tmp_path / "r", replace(recipes.gaussian(), seed=3, kimg=2.0))
    assert facts.changes(run.settings()) == (("seed", "0", "3"), ("kimg", "–", "2"))
    old = run.settings()
    del old["output"]["score"]  # by an older version, which had no such setting
    assert facts.changes(old) == facts.changes(run.settings())
    assert facts.changes({"name": "mine"}) is None


def test_a_copy_is_found_beside_its_original(monkeypatch: pytest.MonkeyPatch) -> None:
    train, held = noise(400, seed=1), noise(200, seed=2)
    monkeypatch.setattr(samples, "training_data", lambda run: (train, held))
    copies = train.values[7:127]
    monkeypatch.setattr(judging, "draw", lambda sampler, data, n, seed: (copies, None))
    monkeypatch.setattr(samples, "SEARCHED", 1000)
    sampler = Sampler(None, train.spec, recipes.cdcgan().noise)  # type: ignore[arg-type]
    found = samples.neighbours(Run(Path("none")), sampler)
    assert found.authentic == 0 and found.floor > 0.2
    assert (found.searched, found.of, found.count, found.held) == (400, 400, 120, 120)
    for i, pair in enumerate(found.first):
        assert pair.ratio == 0 and pair.sample == pair.neighbour
        np.testing.assert_array_equal(decoded(pair.sample)[..., :1], train.values[7 + i])


def test_accuracies_are_read_from_the_metric_itself() -> None:
    """The note of label-accuracy is text: here it is made by the metric, not by hand."""
    train, test = source.load("mnist"), source.load("mnist", part="test")
    pick = np.flatnonzero(np.asarray(test.labels) != 4)[:300]
    asked = np.where(np.asarray(test.labels)[pick] == 3, 4, np.asarray(test.labels)[pick])
    fakes = Examples(np.asarray(test.values)[pick], asked)
    cards = judging.measure(fakes, judging.Real(train, test), n=300, metrics=["label-accuracy"])
    entry = facts.Entry(0, "test", "", "", tuple(cards))
    each = samples.accuracies(entry, 10)
    assert each[4] == 0 and min(each[:3]) > 0.9 and len(each) == 10
    assert np.isnan(each[3])  # never asked for
    assert samples.accuracies(entry, 9) == [] and samples.accuracies(None, 10) == []


def test_many_frames_are_thinned_and_said_to_be(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "r"
    shutil.copytree(digits, path)
    grid = max((path / "samples").iterdir()).read_bytes()
    for step in range(100, 200):
        (path / "samples" / f"{step:09d}.png").write_bytes(grid)
    made_ = film.of_run(Run(path))
    assert made_ is not None and len(made_.frames) == film.FRAMES
    assert made_.note == f"{film.FRAMES} of {len(history.moments(Run(path)))} moments"
    monkeypatch.setattr(film, "BYTES", 5 * len(made_.frames[-1].image))  # the one there are 100 of
    fewer = film.of_run(Run(path))
    assert fewer is not None and 2 <= len(fewer.frames) < 12
    assert fewer.frames[-1] == made_.frames[-1]
    assert sum(f.key for f in made_.frames) == film.KEYS


@pytest.mark.parametrize(
    ("names", "named"),
    [(tuple("0123456789"), True), (("cats", "dogs"), True), ((), False), (("long",) * 20, False)],
)
def test_names_stand_over_columns_where_all_have_room(names: tuple[str, ...], named: bool) -> None:
    assert film.Film((), 1, 1, names).named is named


def test_a_curve_has_gaps_where_there_is_no_number() -> None:
    y = np.array([1, 2, np.nan, 4, np.inf, 6, 7.0])
    assert curves.path(np.arange(7.0), y) == (
        "M0.0 1.0L1.0 2.0M1.0 4.0h4M5.0 6.0L6.0 7.0"
    )  # fmt: skip


def test_thinned_curves_keep_their_spikes() -> None:
    x = np.arange(10_000.0)
    y = np.zeros(10_000)
    y[1234], y[7777], y[5000] = 9, -9, np.nan
    short_x, short_y = curves.thinned(x, y, wild=True)
    assert len(short_x) <= curves.POINTS and (np.diff(short_x) > 0).all()
    assert short_x[short_y.argmax()] == 1234 and short_x[short_y.argmin()] == 7777


def test_a_chart_puts_values_where_its_ticks_say() -> None:
    x = np.array([0.0, 1, 2])
    chart = curves.draw("t", [curves.Series("a", "d", x, np.array([1.0, 2, 3]))], {"two": 2.0})
    at = {float(text): y for y, text in chart.y_ticks}
    points = re.findall(r"[ML]([\d.]+) ([\d.]+)", chart.lines[0].raw)
    assert [float(y) for _, y in points] == pytest.approx([at[1], at[2], at[3]], abs=0.06)
    assert chart.levels == ((pytest.approx(at[2]), "two"),)
    where = {float(text): x for x, text in chart.x_ticks}
    assert [float(x) for x, _ in points] == pytest.approx([where[0], where[1], where[2]], abs=0.06)


def test_a_score_that_falls_far_is_drawn_on_a_logarithm() -> None:
    y = np.array([1000.0, 100, 10])
    chart = curves.draw("t", [curves.Series("a", "d", np.arange(3.0), y)], log_scale=True)
    down = [float(v) for v in re.findall(r" ([\d.]+)", chart.lines[0].raw)]
    assert down[1] - down[0] == pytest.approx(down[2] - down[1], abs=0.11)


def test_json_holds_no_number_that_is_none() -> None:
    odd = {
        "a": float("nan"),
        "b": (np.float32(2), np.inf),
        3: Path("x"),
        "c": np.arange(2),
        "d": b"",
    }
    assert page.plain(odd) == {"a": None, "b": [2.0, None], "3": "x", "c": [0, 1], "d": None}


def test_classes_beyond_the_shown_are_counted() -> None:
    class Flat:
        spec, class_names = DataSpec((1, 4, 4), 30), ()

        def sample(self, count: int, label: int, seed: int) -> np.ndarray[Any, Any]:
            return np.full((count, 4, 4, 1), label, np.uint8)

    rows = samples.class_rows(Flat(), [])  # type: ignore[arg-type]
    assert rows is not None and len(rows.rows) == 20 and rows.left_out == 10
    assert (decoded(rows.rows[7].image)[:4, :4, 0] == 7).all()
    assert rows.rows[0].accuracy is None


# the command


def test_the_command_writes_beside_the_run(
    gaussian: Path, digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(page.diagnosis, "diagnose", diagnose)  # for once in earnest
    assert main(["report", str(gaussian)]) == 0
    found = Reader((gaussian / "report.html").read_text()).data["runs"][0]["diagnosis"]
    assert found["step"] == 400 and set(found["checked"]) | set(found["skipped"]) == set(NAMES)
    monkeypatch.setattr(page.diagnosis, "diagnose", lambda path, **options: HEALTHY)
    out = capsys.readouterr().out
    assert str(gaussian / "report.html") in out and out.startswith("g: ")
    assert (gaussian / "report.html").stat().st_size < 1_000_000
    for pair in ((gaussian, digits), (digits, gaussian)):  # a page each, none over another
        assert main(["report", *map(str, pair)]) == 0
    both = sorted(tmp_path.glob("report-*-vs-*.html"))
    assert len(both) == 2 and all("2 runs compared" in page.read_text() for page in both)
    assert main(["report", str(gaussian), "-o", "deep/er/x.html"]) == 0
    assert (tmp_path / "deep/er/x.html").exists()


@pytest.mark.parametrize(
    ("words", "code", "wanted"),
    [([], 2, "name at least one"), (["nothing"], 65, "nothing: no such run"),
     (["{run}", "{empty}"], 65, "not a run folder"), (["{run}", "-o", "x.pdf"], 2, ".html"),
     (["{damaged}"], 65, "scores.json: damaged"), (["{run}", "--code", "no.py"], 2, "no.py")],
)  # fmt: skip
def test_bad_input_is_one_line(
    words: list[str], code: int, wanted: str, gaussian: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    damaged = bare(tmp_path / "damaged").path
    (damaged / judging.SCORES).write_text("{")
    places = {"run": gaussian, "empty": tmp_path / "empty", "damaged": damaged}
    assert main(["report", *(w.format(**places) for w in words)]) == code
    err = capsys.readouterr().err
    assert err.startswith("ganforge: ") and wanted in err and err.count("\n") == 1
    assert not list(tmp_path.glob("report*.html"))


def test_runs_of_the_same_name_are_told_apart(gaussian: Path, tmp_path: Path) -> None:
    shutil.copytree(gaussian, tmp_path / "g")
    found = [Run(gaussian), Run(tmp_path / "g"), Run(tmp_path / "h")]
    assert page.names(found) == [str(gaussian), str(tmp_path / "g"), "h"]


def test_networks_of_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = tmp_path / "mine.py"
    code.write_text(
        "from dataclasses import replace\nfrom torch import nn\nimport ganforge as gf\n"
        "def networks(spec, noise):\n"
        "    return {'generator': nn.Linear(noise, 2), 'discriminator': nn.Linear(2, 1)}\n"
        "def run():\n"
        "    return replace(gf.recipes.gaussian(), name='mine', networks=networks, epochs=1)\n"
    )
    out = tmp_path / "r"
    assert main(["train", f"{code}:run", "--output.score", "false", "--out", str(out)]) == 0
    assert main(["report", str(out)]) == 0
    seen = Reader((out / "report.html").read_text())
    assert "--code FILE.py" in seen.data["runs"][0]["missing"]["model"]
    assert "code of the user’s own" in seen.text
    assert main(["report", str(out), "--code", str(code)]) == 0
    seen = Reader((out / "report.html").read_text())
    assert seen.data["runs"][0]["neighbours"]["count"] == samples.JUDGED


def test_the_words_follow_the_figures(digits: Path) -> None:
    known = facts.gather(Run(digits))
    finding = Finding("GF001", "mode collapse", "", "")

    def headline(word: str, *findings: Finding, state: str = "finished") -> tuple[str, str]:
        scored = replace(known.entries[0], scores=(replace(CARD, word=word),))
        told = words.verdict(
            replace(known, entries=(scored,), state=state), replace(HEALTHY, findings=findings)
        )
        return told.tone, told.text

    by = "by its Frechet distance"
    assert headline("as real") == (words.GOOD, f"Healthy, and as good as real {by}")
    assert headline("close") == (words.FAIR, f"Healthy, and close to real {by}")
    assert headline("far") == (words.BAD, f"Healthy, but still far from real {by}")
    assert headline("unknown") == (
        words.OPEN,
        "Healthy, and its Frechet distance does not tell how good",
    )
    few_samples = Finding("GF011", "too few samples", "", "")
    of_scores = replace(HEALTHY, findings=(few_samples,), checked=("GF001", "GF002", "GF011"))
    told = words.of_health(of_scores, "")
    assert told == "2 checks found nothing wrong. Of its scores, not of the run: too few samples."
    assert headline("as real", finding) == (words.BAD, "Not healthy: mode collapse")
    assert headline("as real", state="diverged") == (words.BAD, "Diverged")
    assert words.verdict(known, None).tone == words.OPEN
    assert words.verdict(replace(known, entries=()), replace(HEALTHY, checked=())) == (
        words.Verdict(words.OPEN, "Too early to tell")
    )
    few = replace(HEALTHY, skipped={"GF002": "", "GF003": ""})
    assert words.verdict(replace(known, entries=()), few).text == "Too early to tell"
    assert words.figures(known, few)[2].value == "open"
    open_ = tuple(replace(CARD, word=w) for w in ("as real", "unknown", "close"))
    scored = replace(known, entries=(replace(known.entries[0], scores=open_),))
    told = words.of_quality(scored)
    assert "3 scores 1 is as real, 1 close. Of 1 nothing can be said." in told
    ahead = replace(known, info={**known.info, "step": 9})
    assert "the run has gone on for 5 steps" in words.of_quality(ahead)


def test_a_film_of_points_tells_what_part_of_the_plane_is_shown() -> None:
    limits = np.array([[-2.0, -5.5], [4.0, 9.25]])
    assert film.extent(limits) == "-2 to 4 across, -5.5 to 9.2 up"
    assert film.extent(limits[:, :1]) == "-2 to 4 across"
