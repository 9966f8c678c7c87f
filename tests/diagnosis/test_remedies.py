"""Remedies are commands that work for this very run and change what it does."""

from __future__ import annotations

import shlex
from dataclasses import replace
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ganforge import recipes, registry
from ganforge.api.settings import changed as with_keywords
from ganforge.cli import main
from ganforge.config import convert
from ganforge.config.schema import Config
from ganforge.diagnosis import CHECKS, run_checks
from ganforge.diagnosis.calls import in_python
from ganforge.diagnosis.remedies import LOWER_G, Change, changed
from ganforge.gan.penalties import R1
from ganforge.runs.folder import Run
from tests.diagnosis.test_checks import HEALTHY, SICK

OF_TRANSLATION = [code for code, check in CHECKS.items() if "translations" in check.needs]
OF_TRAINING = [code for code in CHECKS if code not in ("GF011", "GF012", *OF_TRANSLATION)]
CODES = {"": OF_TRAINING, "paired": ["GF013", "GF014", "GF015"], "unpaired": OF_TRANSLATION}


def remedy(code: str, config: Config, path: Path, **figures: float) -> str:
    (one,) = run_checks(
        HEALTHY | SICK[code] | figures, {}, (code,), config=config, path=path
    ).findings
    return one.remedy


def command(text: str) -> list[str]:
    """The words of the command after "what it is: ganforge"."""
    words = shlex.split(text.partition(": ")[2])
    assert words[0] == "ganforge"
    return words[1:]


@pytest.mark.parametrize(
    ("code", "name"),
    [
        *product(OF_TRAINING, ["cdcgan", "dcgan", "mnist-mlp", "gaussian", "ring"]),
        *product(CODES["paired"], ["pix2pix"]),
        *product(CODES["unpaired"], ["cyclegan"]),
    ],
)
def test_the_command_works_for_the_run_and_changes_it(
    code: str, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = replace(recipes.find(name), threads=1)
    path = tmp_path / "my run"
    path.mkdir()
    (path / "config.toml").write_text(convert.dumps(config))
    text = remedy(code, config, path)
    words = command(text)
    assert words[0] == "train" and words[words.index("--out") + 1] == f"{path}-2"
    assert main([*words, "--print-config"]) == 0
    printed = capsys.readouterr().out
    other = convert.loads(printed, registry.PARTS)
    assert other != config
    assert other.data == config.data and other.networks == replace(
        config.networks, **({"label": other.networks.label} if code == "GF009" else {})
    )
    assert called(text, {path: config}) == (other, f"{path}-2")


def called(text: str, runs: dict[Path, Config]) -> tuple[Config, str]:
    """What the call of a remedy in Python would train, and where."""

    def train(config: Config, out: str, **settings: Any) -> tuple[Config, str]:
        return with_keywords(config, settings), out

    def load(path: str) -> SimpleNamespace:
        return SimpleNamespace(config=runs[Path(path)])

    names = {"gf": SimpleNamespace(train=train, load=load)}
    made: tuple[Config, str] = eval(in_python(text).partition(": ")[2], names)  # noqa: S307
    return made


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ("try: ganforge train --game.loss hinge", 'try: gf.train(..., loss="hinge")'),
        ("score: ganforge evaluate runs/a --split validation -n 5000; next",
         'score: gf.evaluate("runs/a", split="validation", n=5000); next'),
        ("use: ganforge evaluate 'my runs/a/best'", 'use: gf.evaluate("my runs/a/best")'),
        ("kernel: ganforge evaluate RUN --metrics kernel,recall",
         'kernel: gf.evaluate("RUN", metrics=["kernel", "recall"])'),
        ("look: ganforge data show mnist", "look: !ganforge data show mnist"),
        ("the same command with --generator.lr 1e-4 --out runs/a-2",
         'the same call with generator={"lr": 0.0001}, out="runs/a-2"'),
        ("stopped; `ganforge evaluate runs/a` does it",
         'stopped; `gf.evaluate("runs/a")` does it'),
        ("too few (ganforge train --every 1)",
         'too few (gf.train(..., output={"score_every": 1}))'),
        ("healthy (checked GF001)", "healthy (checked GF001)"),
    ],
)  # fmt: skip
def test_commands_in_a_text_become_calls(said: str, wanted: str) -> None:
    assert in_python(said) == wanted


def test_a_notebook_shows_calls() -> None:
    found = run_checks(HEALTHY | SICK["GF001"], {}, ("GF001",), config=recipes.find("dcgan"))
    assert "remedy" in repr(found) and "ganforge train --config" in repr(found)
    assert "gf.train(gf.load(" in (page := found._repr_html_()) and "--config" not in page


@pytest.mark.parametrize("name", ["dcgan", "mnist-mlp", "cdcgan"])
def test_classes_on_request_are_advised_only_to_a_run_that_has_none(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, path = recipes.find(name), tmp_path / "run"
    text = remedy("GF002", config, path, labels_available=1.0)
    assert ("--labels true" in text) == (not config.labels) and ("--batch" in text) == config.labels
    path.mkdir()
    (path / "config.toml").write_text(convert.dumps(config))
    assert main([*command(text), "--dry-run"]) == 0
    assert "nothing was trained" in capsys.readouterr().out


def test_a_run_that_is_like_cdcgan_is_not_sent_to_cdcgan(tmp_path: Path) -> None:
    text = remedy("GF001", recipes.find("cdcgan"), tmp_path / "run")
    assert "relativistic" not in text and "--generator.lr 0.000667" in text
    assert "relativistic" in remedy("GF001", recipes.find("dcgan"), tmp_path / "run")
    two = replace(recipes.find("cdcgan"), game=replace(recipes.find("cdcgan").game, g_steps=3))
    assert "--game.g_steps 1" in remedy("GF001", two, tmp_path / "run")


def test_a_run_that_stops_by_scores_is_not_told_to(tmp_path: Path) -> None:
    config = recipes.find("cdcgan")
    assert "--every 1 --stop auto" in remedy("GF010", config, tmp_path)
    stops = replace(config, output=replace(config.output, score_every=1.0, patience=5.0))
    assert "--stop" not in (text := remedy("GF010", stops, tmp_path)) and "--epochs 2.5" in text


def test_too_few_scored_samples_are_scored_again_only_if_there_are_more(tmp_path: Path) -> None:
    config = recipes.find("cdcgan")
    more = remedy("GF011", config, tmp_path / "run", held_out=5000.0)
    assert command(more)[:2] == ["evaluate", str(tmp_path / "run")] and "-n 5000" in more
    none = remedy("GF011", config, tmp_path / "run", held_out=120.0)
    assert "-n" not in command(none) and "kernel" in none


def test_a_game_without_these_settings_gets_another_remedy(tmp_path: Path) -> None:
    for name in recipes.RECIPES:
        config = recipes.find(name)
        for code in CODES[config.pairing]:
            text = remedy(code, config, tmp_path / "run")
            assert "ganforge" in text, (name, code, text)


def test_a_run_of_own_networks_names_the_same_command(tmp_path: Path) -> None:
    config = replace(recipes.find("gaussian"), networks=lambda spec, noise: {})
    assert remedy("GF007", config, tmp_path).startswith("lower both learning rates to a third: the")
    assert Run(tmp_path).path == tmp_path


def test_penalties_of_the_run_are_not_replaced(tmp_path: Path) -> None:
    config = recipes.find("dcgan")
    game = replace(config.game, penalties=(R1(1.0, 4),))
    text = remedy("GF001", replace(config, game=game), tmp_path / "run")
    assert "--game.loss relativistic" in text and "--game.penalties" not in text


def test_a_change_that_cannot_be_or_changes_nothing_is_none() -> None:
    config = recipes.find("gaussian")
    assert changed(LOWER_G, config) == {"generator.lr": f"{config.generator.lr / 3:.3g}"}
    never = replace(config, generator=replace(config.generator, lr=0.0))
    for change, where in (
        (Change("x", (("no.such", "1"),)), config),
        (Change("x", (("game.loss", "none such"),)), config),
        (Change("x", (("game.loss", "/3"),)), config),
        (Change("x", (("game.loss", config.game.loss),)), config),
        (Change("x", (("batch", "4"),), unless="generator.lr"), config),
        (LOWER_G, never),
    ):
        assert changed(change, where) == {}
