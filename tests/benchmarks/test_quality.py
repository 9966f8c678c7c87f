"""The script that the default recipe was chosen with: what it trains, and what it keeps."""

import json
import re
from pathlib import Path

import pytest

from benchmarks.quality import search as script
from ganforge import recipes
from ganforge.config import Average
from ganforge.experiments.compare.recipes import variants

TINY = ("networks.generator_width=2", "networks.discriminator_width=2", "game.classify=0.5")


def test_a_record_of_a_tiny_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(script, "RESULTS", tmp_path / "results.jsonl")
    monkeypatch.setattr(script, "N", 200)
    command = ["search", "tiny", *TINY, "--epochs", "0.03", "--seed", "101", "--points", "2"]
    monkeypatch.setattr("sys.argv", command)
    script.main()
    script.main()
    lines = (tmp_path / "results.jsonl").read_text().splitlines()
    first, again = (json.loads(line) for line in lines)
    assert [point["step"] for point in first["points"]] == [20, 26]
    half, whole = first["points"]
    assert set(half) == {"step", "cpu", "frechet", "label-accuracy", "worst-class"}
    assert set(whole) == {*half, "precision", "recall", "coverage"}
    assert 0 < half["cpu"] <= whole["cpu"]
    timeless = [{k: v for k, v in p.items() if k != "cpu"} for p in first["points"]]
    assert timeless == [{k: v for k, v in p.items() if k != "cpu"} for p in again["points"]]
    assert first["seed"] == 101 and first["settings"] == list(TINY)
    assert "tiny" in capsys.readouterr().out


def test_the_variant_is_the_recipe_with_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["search", "x", "generator.lr=0.5", "--epochs", "2"])
    made, recipe = script.variant(script.arguments()), recipes.cdcgan()
    assert made.generator.lr == 0.5
    assert (made.epochs, made.seed, made.threads) == (2.0, 100, 1)
    assert (made.discriminator, made.game, made.networks, made.ema) == (
        recipe.discriminator, recipe.game, recipe.networks, recipe.ema,
    )  # fmt: skip


def test_seeds_of_the_final_claim_are_not_used_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["search", "x", "--seed", "9"])
    with pytest.raises(SystemExit):
        script.arguments()


def test_the_plan_for_the_average_names_what_it_compares() -> None:
    text = (Path(__file__).parents[2] / "docs/notes/average.md").read_text()
    commands = re.findall(r"^ganforge compare --recipes (\S+) --seeds (\S+) (.*)$", text, re.M)
    assert [seeds for _, seeds, _ in commands] == ["100..104", "0..4"]
    for names, _, rest in commands:
        assert "--split validation" in rest
        made = list(variants(names.split(",")).values())
        assert made[0] == recipes.cdcgan() and made[0].ema == 0.998
        assert [c.ema for c in made[1:]] == [Average(half_life=h) for h in (5e3, 1e4, 2e4)]
