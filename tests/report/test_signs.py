"""Signs of one system: codes, augmentation and styles, as the report has them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ganforge import recipes
from ganforge.augment.adaptive import Adaptive
from ganforge.config.noise import LatentCode
from ganforge.diagnosis import log_signals
from ganforge.gan.information import Information
from ganforge.nets.codes import entropy, likelihood, limits
from ganforge.report import facts, page, signs
from ganforge.rng import Stream
from ganforge.runs.folder import Run
from ganforge.training import loop
from tests.helpers.tiny import pictures, shortened


def run_of(name: str, path: Path, **changes: object) -> Run:
    config = replace(shortened(recipes.find(name), 6, log_every=1), **changes)  # type: ignore[arg-type]
    side = config.size or 28
    channels = 1 if name == "infogan" else 3
    list(loop.train(config, path, data=pictures(16, side, channels)))
    return Run(path)


def named(run: Run) -> dict[str, str]:
    return dict(signs.signs(facts.gather(run)))


@pytest.mark.parametrize("law", ["categorical", "uniform", "normal"])
def test_limits_are_the_bound_of_a_blind_and_of_a_sure_q(law: str) -> None:
    code = LatentCode("a", law, 3)
    drawn = torch.from_numpy(code.draw(Stream(0, "a"), 0, 200_000))
    blind = likelihood(code, drawn, torch.zeros(1, 3)).mean() + entropy(code)
    sure = likelihood(code, drawn, 1000 * drawn if law == "categorical" else drawn).mean()
    assert limits(code)[1] == pytest.approx(float(sure) + entropy(code), abs=1e-3)
    if law != "categorical":
        assert limits(code)[0] == pytest.approx(float(blind), abs=0.01)


def test_codes_are_shown_by_their_bound(tmp_path: Path) -> None:
    run = run_of("infogan", tmp_path / "r")
    log = tmp_path / "r" / "log.jsonl"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    for line in lines:
        line["code_digit"] = 1.15129
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = named(run)
    assert found["code digit"] == "50% shown: 1.15 nats, 2.30 at most, 0.00 for none"
    assert {"code slant", "code width"} < set(found)


def test_what_guessing_costs_has_no_bound_of_codes() -> None:
    """D's loss has minus the bound in it, which is no sign of a D that is always right."""
    record = {"logit_real": 0.0, "logit_fake": 0.0, "d_fake": 0.5, "gradient_g": 1.0}
    record |= {"adversarial_d": 1.3863, "loss_d": -0.9, "information_d": -2.29}
    found = log_signals.of_log([record] * 8, Information())
    assert found["d_cost"] == pytest.approx(1, abs=1e-3) == found["cost_peak"]


def test_styles_and_augmentation(tmp_path: Path) -> None:
    config = recipes.find("stylegan2")
    game = replace(config.game, augment=(Adaptive(),))
    run = run_of("stylegan2", tmp_path / "r", game=game)
    found = named(run)
    assert found["noise strengths"].count(",") >= 3
    assert found["average style"].startswith("root mean square ")
    assert found["augmentation"].startswith("p = ")
    page.write([run.path], tmp_path / "a.html")
    assert "Signs of this system" in (tmp_path / "a.html").read_text()


def test_other_systems_have_none(digits: Path) -> None:
    assert named(Run(digits)) == {}
