"""The page: whole and self-contained for any run, with the numbers of that run."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ganforge import files, images
from ganforge.cli import main
from ganforge.data import load
from ganforge.diagnosis import CHECKS, Diagnosis, Finding
from ganforge.evaluation import store
from ganforge.plotting import points, strips
from ganforge.report import page, samples
from ganforge.runs import folder as runs
from ganforge.runs import model
from ganforge.runs.folder import Run
from ganforge.runs.samples import moments
from ganforge.text import json_values
from tests.helpers.drawn import record
from tests.helpers.pages import Reader, bare, check_whole, decoded, made
from tests.helpers.reported import CARD, HOSTILE, add_scores, trained


def test_the_page_of_a_labelled_run(digits: Path) -> None:
    html, seen = made(digits)
    check_whole(html, seen)
    text = seen.text
    for part in (
        "cdcgan on noise.npz", "5 ± 0.5", "real examples 4: as real", "95.0 %", "Samples over time",
        "Loss of each player", "Diagnosis", "frechet", "Nearest training examples", "97.0 %",
        "FD[mnist-lenet] is 5; that of real examples is 4 (N = 100, validation split): as real",
    ):  # fmt: skip
        assert part in text, part
    rows = [i for i in seen.all("img") if "samples of label" in i["alt"]]
    assert [i["alt"].rpartition(" ")[2] for i in rows] == [str(k) for k in range(10)]
    pairs = [i for i in seen.all("img") if "nearest to" in i["alt"]]
    assert len(pairs) == 2 * samples.SHOWN


def test_the_json_holds_the_runs_own_figures(digits: Path) -> None:
    run, (_, seen) = Run(digits), made(digits)
    (found,) = seen.data["runs"]
    weights = (run.model / model.WEIGHTS).read_bytes()
    assert found["hashes"]["model, model/model.safetensors"] == hashlib.sha256(weights).hexdigest()
    assert found["hashes"]["training data"] == load.load(run.settings()["data"]).sha256
    assert found["config"] == run.settings() and found["info"] == run.info()
    assert found["log"] == run.log() and found["log_records"] == len(run.log())
    assert found["state"] == "finished" and found["missing"] == {}
    assert [c["accuracy"] for c in found["classes"]] == pytest.approx(np.arange(90, 100) / 100)
    (entry,) = found["scores"]
    assert [c["value"] for c in entry["scores"]] == [5.0, 0.95]
    assert "samples" not in json.dumps(found["neighbours"])
    for value in (*found["info"]["versions"].values(), *found["hashes"].values()):
        assert str(value) in seen.text


def test_every_frame_is_the_grid_with_a_label_a_column(digits: Path) -> None:
    run, (_, seen) = Run(digits), made(digits)
    found = moments(run)
    frames = [i for i in seen.all("img") if "same noise" in i["alt"]]
    assert len(frames) == len(found) >= 2
    layout = strips.tiling(run)
    for frame, moment in zip(frames, found, strict=True):
        pixels, tiles = decoded(frame["src"]), strips.tiles(moment, layout)
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
    assert (slider["min"], slider["max"]) == ("0", str(len(found) - 1))


def test_the_page_of_points(gaussian: Path) -> None:
    html, seen = made(gaussian)
    check_whole(html, seen)
    assert "It has not been scored" in seen.text and "real" in seen.text
    assert {i["class"] for i in seen.all("img")} == {"on-light", "on-dark"}  # the charts
    found = moments(Run(gaussian))
    clouds = [p["d"] for p in seen.all("path") if p.get("class") == "dots fake"]
    known = points.truth(Run(gaussian), found[-1].points())
    assert len(clouds) == len(found) + 1  # and the legend's dot
    for cloud, moment in zip(clouds[:-1], found, strict=True):
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
    assert len(areas) == len(moments(Run(tmp_path / "f")))
    assert all(a.startswith("M0.0 ") and a.endswith("Z") for a in areas)
    assert "density" in seen.text


def test_names_are_shown_and_never_run(hostile: Path) -> None:
    html, seen = made(hostile)
    check_whole(html, seen)
    assert "<img src=x" not in html and "</script>&" not in html and "run<b>" not in html
    assert "<img src=x onerror=alert(1)>" in seen.text and 'run<b>&"' in seen.text
    (found,) = seen.data["runs"]
    assert found["config"]["name"] == HOSTILE[:29]
    assert found["classes"][0]["name"].startswith("<img") or found["classes"][1]["name"].startswith(
        "<img"
    )
    assert any(i["src"].startswith("data:image/") for i in seen.all("img"))


def test_a_run_before_its_first_step(tmp_path: Path) -> None:
    html, seen = made(bare(tmp_path / "r").path)
    check_whole(html, seen)
    for part in (
        "no checkpoint yet",
        "no samples yet",
        "There are no log records yet",
        "Not started.",
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


def test_a_damaged_part_is_named_in_its_place(digits: Path, tmp_path: Path) -> None:
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


def test_findings_are_shown_with_evidence_and_remedy(gaussian: Path, tmp_path: Path) -> None:
    files.save_file(tmp_path / "why.png", images.png(np.zeros((8, 8, 3), np.uint8)))
    finding = Finding("GF999", "a name <b>", "3 > 2 & 1", "Less of it", {"x": np.nan},
                      (tmp_path / "why.png", tmp_path / "gone.png"))  # fmt: skip
    found = Diagnosis((finding,), ("GF001",), {"GF002": "no reason", "GF003": "no reason"}, 9)
    html, seen = made(gaussian, diagnosis=found)
    check_whole(html, seen)
    for part in (
        f"Not checked: GF002 {CHECKS['GF002'].name}; GF003 {CHECKS['GF003'].name} (no reason).",
        "1 of 1 check found a problem; it is described below",
        "Less of it.",
        f"Checked at step 9: GF001 {CHECKS['GF001'].name}.",
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


def test_a_comparison_stands_before_several_runs(
    digits: Path, gaussian: Path, tmp_path: Path
) -> None:
    other = trained(tmp_path / "g2", steps=100, seed=7)
    html, seen = made(gaussian, other, digits)
    check_whole(html, seen)
    assert [a["id"] for a in seen.all("article")] == ["run-1", "run-2", "run-3"]
    assert [a["href"] for a in seen.all("a")] == ["#run-1", "#run-2", "#run-3"]
    for part in ("3 runs compared", "Side by side", "Loss of D", "Loss of G", "Newest samples",
                 "5 ± 0.5", "not scored"):  # fmt: skip
        assert part in seen.text, part
    cells = re.findall(r'<td class="n">([^<]*)</td>', html)[:18]
    assert cells[6:9] != cells[9:12] and [cells[i] for i in (5, 11, 17)] == ["0", "7", "0"]
    assert {"line real", "line fake", "line d"} <= {p.get("class") for p in seen.all("path")}
    differing = seen.data["differences"]
    assert differing["seed"] == ["0", "7", "0"] and differing["labels"] == [
        "false",
        "false",
        "true",
    ]
    assert "noise.law" not in differing
    overlaid = [i["alt"] for i in seen.all("img") if i["alt"].startswith("Loss of D,")]
    assert len(overlaid) == 2  # for light pages and for dark ones
    assert all(f"{name}: from" in overlaid[0] for name in ("g", "g2", "digits"))


def test_scores_computed_differently_are_not_compared(digits: Path, tmp_path: Path) -> None:
    path = tmp_path / "other"
    shutil.copytree(digits, path)
    _, seen = made(digits, path)
    assert "so they cannot be compared" not in seen.text
    (path / store.SCORES).unlink()
    add_scores(path, replace(CARD, n=200), n=200)
    _, seen = made(digits, path)
    assert "so they cannot be compared" in seen.text


def test_curves_of_scores_are_drawn_with_their_floor(digits: Path, tmp_path: Path) -> None:
    path = tmp_path / "scored"
    shutil.copytree(digits, path)
    lines = [
        {"step": s, "epoch": float(s), "frechet": 10.0 / s, "floor": 2.0,
         "scores": [CARD.to_json()]} for s in (1, 2, 4)
    ]  # fmt: skip
    (path / "scores.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))
    _, seen = made(path)
    (chart,) = [i for i in seen.all("img") if i["alt"].startswith("FD[") and "dark" in i["class"]]
    assert "generated: from 10 to 2.5; real (floor): from 2 to 2." in chart["alt"]
    keys = {p.get("class", "").strip() for p in seen.all("path")}
    assert {"line d", "line g", "line fake", "line real dash"} <= keys
    assert seen.data["runs"][0]["curve"] == lines


def test_numbers_that_are_not_finite_are_null_in_json() -> None:
    odd = {
        "a": float("nan"),
        "b": (np.float32(2), np.inf),
        3: Path("x"),
        "c": np.arange(2),
        "d": b"",
    }
    assert json_values(odd) == {"a": None, "b": [2.0, None], "3": "x", "c": [0, 1], "d": None}


def test_the_command_writes_beside_the_run(
    gaussian: Path, digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(["report", str(gaussian)]) == 0
    found = Reader((gaussian / "report.html").read_text()).data["runs"][0]["diagnosis"]
    assert found["step"] == 400 and set(found["checked"]) | set(found["skipped"]) == set(CHECKS)
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
    (damaged / store.SCORES).write_text("{")
    places = {"run": gaussian, "empty": tmp_path / "empty", "damaged": damaged}
    assert main(["report", *(w.format(**places) for w in words)]) == code
    err = capsys.readouterr().err
    assert err.startswith("ganforge: ") and wanted in err and err.count("\n") == 1
    assert not list(tmp_path.glob("report*.html"))


def test_runs_of_the_same_name_are_told_apart(gaussian: Path, tmp_path: Path) -> None:
    shutil.copytree(gaussian, tmp_path / "g")
    found = [Run(gaussian), Run(tmp_path / "g"), Run(tmp_path / "h")]
    assert page.names(found) == [str(gaussian), str(tmp_path / "g"), "h"]


def test_networks_that_are_code_of_the_user(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
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
    assert "FILE.py is the user’s code" in seen.text
    assert main(["report", str(out), "--code", str(code)]) == 0
    seen = Reader((out / "report.html").read_text())
    assert "FILE.py" not in seen.text and f"--code {code}" in seen.text
    assert seen.data["runs"][0]["neighbours"]["count"] == 500
