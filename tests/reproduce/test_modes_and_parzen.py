"""Published experiments, shortened: the table, the files, and going on after a stop."""

from __future__ import annotations

import importlib
import json
import math
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.neighbors import KernelDensity

from ganforge import recipes
from ganforge.cli import main
from ganforge.config.schema import Config, Optimizer
from ganforge.data import load, toy
from ganforge.data.dataset import Dataset
from ganforge.errors import DataError, DivergedError, UsageError
from ganforge.evaluation.metrics import parzen as metric
from ganforge.experiments.ensemble import stack
from ganforge.experiments.seeds import StoppedError
from ganforge.reproduce import EXPERIMENTS, modes, parzen
from ganforge.runs.folder import Run
from ganforge.runs.load import open_sampler
from ganforge.text import columns
from tests.helpers.tiny import folder_hashes, pictures, shortened

# --- the tables -------------------------------------------------------------------------------


def test_columns_are_aligned() -> None:
    assert columns([("a", "bb"), ("ccc", "d")]) == "a    bb\nccc  d"
    assert columns([("a", "bb"), ("ccc", "d")], right=(0, 1)) == "  a  bb\nccc   d"


# --- Parzen -----------------------------------------------------------------------------------

ROOT = Path(__file__).parents[2]
EPOCHS = 3


def digits() -> dict[str, Dataset]:
    return {part: pictures(40, side=6, seed=i) for i, part in enumerate(load.PARTS)}


def short() -> Config:
    config = shortened(recipes.find("parzen"), 1, log_every=5)
    return replace(config, kimg=None, epochs=EPOCHS)


def train(folder: Path, **options: Any) -> str:
    given = {"base": short(), "data": digits(), "centres": 30, "every": 1, "threads": 1}
    return parzen.run(folder, **(given | options)).text


def test_parzen_trains_chooses_by_validation_and_scores_once(tmp_path: Path) -> None:
    text = train(tmp_path, seeds=(0, 1))
    curve = json.loads((tmp_path / "seed-1/curve.json").read_text())
    assert [p["epoch"] for p in curve] == [1, 2, 3]
    score = json.loads((tmp_path / "seed-1/score.json").read_text())
    best = max(curve, key=lambda p: p["validation"])
    assert score["step"] == best["step"]
    data = digits()
    from ganforge.runs import model

    drawn = model.load(tmp_path / "seed-1/best").sample(30, seed=1).reshape(30, -1) / 255
    test = data["test"].values.reshape(40, -1) / 255
    expected = KernelDensity(bandwidth=score["sigma"]).fit(drawn).score_samples(test).mean()
    assert score["mean"] == pytest.approx(expected)
    assert f"ours, seed 1, epoch {best['epoch']:g}" in text
    assert "225 +- 2" in text and "a perfect sampler (30" in text and "a memoriser" in text
    before = folder_hashes(tmp_path)
    assert train(tmp_path, seeds=(0, 1)) == text
    assert folder_hashes(tmp_path) == before


def test_parzen_goes_on_where_it_was_killed(tmp_path: Path, monkeypatch: Any) -> None:
    whole = train(tmp_path / "whole")
    calls = []
    real = parzen.best_sigma

    def killed(*arguments: Any) -> tuple[float, float]:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(parzen, "best_sigma", killed)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "parts")
    assert len(json.loads((tmp_path / "parts/seed-0/curve.json").read_text())) == 1
    assert train(tmp_path / "parts") == whole
    curves = [(tmp_path / n / "seed-0/curve.json").read_text() for n in ("whole", "parts")]
    assert curves[0] == curves[1]


def test_the_controls_are_real_digits(tmp_path: Path) -> None:
    """With as many centres as there are, a perfect sampler is a memoriser."""
    data = digits()
    few = parzen.controls(tmp_path / "few.json", data, 10)
    every = parzen.controls(tmp_path / "all.json", data, 40)
    assert every["perfect"] == every["memoriser"] == few["memoriser"]
    assert few["perfect"] != few["memoriser"]
    unit = {part: one.values.reshape(40, -1) / 255 for part, one in data.items()}
    assert every["perfect"] == metric.parzen(unit["train"], unit["validation"], unit["test"])


def test_mnist_in_the_published_order() -> None:
    ordered = {part: load.load("mnist-50000", part=part) for part in load.PARTS}
    assert [len(ordered[part]) for part in load.PARTS] == [50_000, 10_000, 10_000]
    # the fifth training digit of the file is a 9, the first a 5; the first test digit a 7
    assert ordered["train"].labels is not None
    assert ordered["train"].labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert np.array_equal(ordered["test"].values, load.load("mnist", part="test").values)
    again = load.load("mnist-50000", part="validation", seed=7)
    assert again.sha256 == ordered["validation"].sha256


# --- ring and grid ----------------------------------------------------------------------------


def toys(name: str = "ring") -> Config:
    return shortened(recipes.find(name), 40)


def play(folder: Path, **options: Any) -> str:
    return modes.run(
        folder,
        **(
            {"name": "ring", "seeds": (0, 3), "base": toys(), "threads": 1, "display": "quiet"}
            | options
        ),
    ).text


def test_ring_and_grid_list_every_seed_beside_the_published(tmp_path: Path) -> None:
    for name, gan in (("ring", "6.3 +- .5"), ("grid", "17.3 +- .8")):
        text = play(tmp_path / name, name=name, base=toys(name))
        assert gan in text and "PacGAN4" in text and "ours, 2 seeds" in text
        known = json.loads((tmp_path / name / "scores.json").read_text())
        assert [one["seed"] for one in known["runs"]] == [0, 3]
        samples = np.load(tmp_path / name / "samples/seed-3.npz", allow_pickle=False)["samples"]
        assert samples.shape == (2500, 2)
        one = known["runs"][1]
        assert repr(modes.count(3, samples, name)) == repr(modes.Result(**one))
        assert (tmp_path / name / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    before = folder_hashes(tmp_path / "ring")
    assert play(tmp_path / "ring") == play(tmp_path / "ring")
    assert folder_hashes(tmp_path / "ring") == before


def test_the_figures_of_a_run_by_hand() -> None:
    """Six samples: two modes, five good ones, 4 and 1 of them."""
    centre = toy.LAWS["ring"].modes
    assert centre is not None
    samples = np.stack([centre[0]] * 4 + [centre[2] + 0.02] + [centre[4] + 0.05]).astype("f4")
    found = modes.count(9, samples, "ring")
    kl = 0.8 * math.log(8 * 0.8) + 0.2 * math.log(8 * 0.2)
    assert (found.covered, found.heavy) == (2, 2)
    assert found.high_quality == pytest.approx(500 / 6)
    assert found.reverse_kl == pytest.approx(kl)


def test_a_perfect_sampler_has_all_modes_and_a_memoriser_is_uneven() -> None:
    found = modes.controls("grid", range(3))
    perfect, memoriser = found.values()
    for one in perfect:
        assert one.covered == 25 and one.high_quality == pytest.approx(98.89, abs=0.8)
        assert one.reverse_kl < 0.015  # (25 - 1) / 5000 and its spread
    assert min(m.reverse_kl for m in memoriser) > max(p.reverse_kl for p in perfect)


def test_a_stopped_experiment_goes_on_bit_for_bit(tmp_path: Path, monkeypatch: Any) -> None:
    play(tmp_path / "whole")
    real, calls = stack.Ensemble.step, []

    def interrupted(self: stack.Ensemble, *arguments: Any) -> Any:
        calls.append(self.state.step)
        if len(calls) == 26:
            signal.raise_signal(signal.SIGINT)
        return real(self, *arguments)

    monkeypatch.setattr(stack.Ensemble, "step", interrupted)
    with pytest.raises(StoppedError, match="ring, 2 seeds: stopped and saved") as error:
        play(tmp_path / "parts")
    assert error.value.exit_code == 130
    assert not (tmp_path / "parts/scores.json").exists()
    play(tmp_path / "parts")
    assert calls.count(25) == 1 and calls.count(26) == 1 and calls[-1] == 39
    ends = [json.loads((tmp_path / n / "scores.json").read_text()) for n in ("whole", "parts")]
    assert ends[0]["runs"] == ends[1]["runs"]
    samples = [(tmp_path / n / "samples/seed-3.npz").read_bytes() for n in ("whole", "parts")]
    assert samples[0] == samples[1]


def test_the_seeds_are_ordinary_runs_in_fp32_on_the_cpu(tmp_path: Path) -> None:
    play(tmp_path, base=replace(toys(), precision="bf16"))
    for seed in (0, 3):
        info = Run(tmp_path / f"seed-{seed}").info()
        assert (info["status"], info["step"], info["resolved"]["stacked"]) == ("finished", 40, 2)
        assert (info["resolved"]["device"], info["resolved"]["precision"]) == ("cpu", "fp32")
        assert Run(tmp_path / f"seed-{seed}").settings()["output"]["score"] is False
        samples = np.load(tmp_path / f"samples/seed-{seed}.npz", allow_pickle=False)["samples"]
        again = open_sampler(tmp_path / f"seed-{seed}").sample(2500, seed=seed)
        assert np.array_equal(samples, again)


def test_an_unfinished_folder_of_an_earlier_version_is_refused_in_one_line(tmp_path: Path) -> None:
    """Its checkpoints are of all seeds together; a finished one is still shown."""
    table = play(tmp_path)
    (tmp_path / "checkpoints/step-000000020").mkdir(parents=True)
    assert play(tmp_path) == table
    saved = tmp_path / "scores.json"
    assert '"covered":' in saved.read_text()
    saved.write_text(saved.read_text().replace('"covered":', '"held":'))  # its older name
    assert play(tmp_path) == table
    saved.unlink()
    with pytest.raises(UsageError, match="made by an earlier version: give --out for a new") as e:
        play(tmp_path)
    assert "\n" not in str(e.value)


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    play(tmp_path / "ring")
    with pytest.raises(UsageError, match="seeds was"):
        play(tmp_path / "ring", seeds=(0, 1))
    with pytest.raises(UsageError, match="lr was"):
        play(tmp_path / "ring", base=replace(toys(), generator=Optimizer(lr=0.1)))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    with pytest.raises(UsageError, match="something else"):
        play(tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "x"


def test_no_table_is_made_of_the_seeds_that_did_not_diverge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = stack.Ensemble.batches

    def poisoned(self: stack.Ensemble) -> Any:
        made = batches(self)
        for batch in made if self.state.step >= 5 else ():
            batch.real.unflatten(0, (len(self.seeds), -1))[1] = torch.inf
        return made

    monkeypatch.setattr(stack.Ensemble, "batches", poisoned)
    for _ in range(2):
        with pytest.raises(DivergedError, match=r"seed 3 diverged, see .*seed-3"):
            play(tmp_path)
    assert not (tmp_path / "scores.json").exists()


def test_a_game_that_diverges_with_every_seed_is_named(tmp_path: Path) -> None:
    with pytest.raises(DivergedError, match="all 2 seeds diverged"):
        play(tmp_path, base=replace(toys(), generator=Optimizer(name="sgd", lr=1e30)))


def test_the_plain_gan_of_the_tables() -> None:
    config = modes.plain("grid")
    made = config.networks(load.load("grid").spec, 2)
    weights = {
        side: sum(p.numel() for p in m.parameters() if p.dim() > 1) for side, m in made.items()
    }
    assert weights["generator"] == 2 * 400 + 3 * 400 * 400 + 400 * 2
    assert weights["discriminator"] == (2 * 200 + 2 * 200 * 200) * 5 + 200


def test_the_published_game_is_the_plain_gan_of_the_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(folder: Path, **options: Any) -> str:
        return f"{folder.name} {options['base'].name} {options['name']} {options['seeds']}"

    monkeypatch.setattr(modes, "run", run)
    text = EXPERIMENTS["grid-published"](tmp_path / "out", seeds=(4,))
    assert text == "out grid-published grid (4,)"


# --- the command ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        (["parzne"], 2, "did you mean 'parzen'"),
        (["ring", "--seeds", "0..x"], 2, "seeds = '0..x'"),
        (["ring", "--seeds", ","], 2, "seeds = ','"),
        (["ring", "--budget", "0"], 2, "budget = 0"),
        (["ring", "--budget", "nan"], 2, "budget = nan"),
        (["grid", "--threads", "-1"], 2, "threads = -1"),
    ],
)
def test_arguments_that_cannot_be_used_are_named(
    words: list[str], code: int, expected: str, capsys: Any, tmp_path: Path
) -> None:
    assert main(["reproduce", *words, "--out", str(tmp_path / "out")]) == code
    error = capsys.readouterr().err
    assert expected in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_damaged_file_of_figures_is_named(tmp_path: Path) -> None:
    play(tmp_path)
    (tmp_path / "scores.json").write_text("{")
    with pytest.raises(DataError, match=r"scores\.json"):
        play(tmp_path)


def test_the_command_prints_the_table(tmp_path: Path, capsys: Any) -> None:
    words = ["--budget", "0.01", "--seeds", "0,1", "--threads", "1", "--out", str(tmp_path / "a")]
    assert main(["reproduce", "ring", *words]) == 0
    out = capsys.readouterr().out
    assert "ring of 8" in out and "10 iterations" in out and f"saved in {tmp_path / 'a'}" in out


def test_the_search_tool_counts_modes_on_separate_seeds(monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    tool = importlib.import_module("benchmarks.quality.modes")
    short = ["networks.generator=[8]", "networks.discriminator=[8]", "--epochs", "0.02"]
    monkeypatch.setattr("sys.argv", ["modes", "ring", *short, "--seeds", "100,105"])
    tool.main()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(",")[0] for line in lines] == ["step 10", "step 20"]
    monkeypatch.setattr("sys.argv", ["modes", "ring", *short, "--seeds", "0,100"])
    with pytest.raises(SystemExit):
        tool.main()


def test_the_panels_of_the_seeds_lie_side_by_side_in_the_picture(tmp_path: Path) -> None:
    """Seven seeds: five to a line, none over another or beyond the edge."""
    values = load.load("ring").values[:50]
    for seed in range(7):
        np.savez(tmp_path / f"seed-{seed}.npz", samples=values)
    figure = modes.picture("ring", [modes.Result(s, 8, 8, 99.0, 0.0) for s in range(7)], tmp_path)
    boxes = [axes.get_position() for axes in figure.axes]
    assert len(boxes) == 7 and len({round(box.y0, 6) for box in boxes}) == 2
    for i, box in enumerate(boxes):
        assert 0 < box.x0 < box.x1 < 1 and 0 < box.y0 < box.y1 < 1
        for other in boxes[:i]:
            beside = box.x1 <= other.x0 or other.x1 <= box.x0
            assert beside or box.y1 <= other.y0 or other.y1 <= box.y0
