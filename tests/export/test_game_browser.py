"""The game in a real browser: it learns, its controls work, nothing is fetched or thrown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ganforge import recipes
from ganforge.export.demo import game
from ganforge.gan.penalties import R1
from tests.helpers.browser import CONTRAST, MARKS, Visit, chromium, playwright, until

pytestmark = MARKS
READY = "document.documentElement.dataset.ready === 'yes'"
# How far the mean of G's points lies from that of the law, in its units of spread.
GAP = """(() => {
  const made = lab.game.generate(lab.state.z).data;
  const mean = [0, 0];
  made.forEach((v, i) => { mean[i % 2] += 2 * v / made.length; });
  return Math.hypot(...mean);
})()"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    root = tmp_path_factory.mktemp("game")
    return game.game("gaussian-stable", root / "game.html").as_uri()


def opened(browser: Any, address: str, **options: Any) -> Visit:
    visit = Visit(browser, address, **options)
    until(visit.page, READY)
    return visit


def test_it_learns_the_law(browser: Any, address: str) -> None:
    with opened(browser, address) as visit:
        page = visit.page
        page.evaluate("lab.game.weights.generator[1].data.fill(2)")  # G begins far away
        assert page.evaluate(GAP) > 2
        page.get_by_role("button", name="Run").click()
        until(page, f"{GAP} < 0.3", seconds=60)
        page.get_by_role("button", name="Stop").click()
        steps = page.evaluate("lab.game.steps")
        page.wait_for_timeout(200)
        assert steps > 50 and page.evaluate("lab.game.steps") == steps
        assert page.inner_text("#count") == f"Step {steps:,}"
        assert visit.wrong == []
        assert {u for u in visit.requests if not u.startswith("data:")} == {address}


def test_single_turns_move_one_player(browser: Any, address: str) -> None:
    weights = "['generator', 'discriminator'].map((s) => lab.game.weights[s][0].data.join())"
    with opened(browser, address) as visit:
        page = visit.page
        g, d = page.evaluate(weights)
        page.locator("#step-d").focus()
        page.keyboard.press("Enter")
        assert page.evaluate(weights)[0] == g
        after = page.evaluate(weights)[1]
        assert after != d
        page.get_by_role("button", name="G learns once").click()
        assert page.evaluate(weights)[0] != g and page.evaluate(weights)[1] == after
        page.get_by_role("button", name="One step").click()
        assert page.evaluate("lab.game.steps") == 1
        page.get_by_role("button", name="Start again").click()
        assert page.evaluate("lab.game.steps") == 0
        assert visit.wrong == []


def test_controls_reach_the_game(browser: Any, address: str) -> None:
    with opened(browser, address) as visit:
        page = visit.page
        page.get_by_label("Loss", exact=True).select_option("hinge")
        page.locator("#rate-d").fill("-2")
        page.locator("#gamma").fill("-4.2")
        page.locator("#turns").fill("3")
        settings = page.evaluate("lab.game.settings")
        assert settings["loss"] == "hinge" and settings["penalties"] == []
        assert settings["optimizers"]["discriminator"]["lr"] == pytest.approx(0.01)
        assert settings["d_steps"] == 3
        page.get_by_label("Hidden units of G").select_option("64 + 64")
        page.get_by_label("Real points", exact=True).select_option("ring")
        assert page.evaluate("lab.game.weights.generator.map((w) => w.columns)") == [
            64, 64, 64, 64, 2, 2]  # fmt: skip
        for name in ("Map of D", "Flow of G", "Net of G", "One step"):
            page.get_by_role("button", name=name).click()
        assert visit.wrong == []


@pytest.mark.parametrize("gamma", [1.0, 0.1])
def test_it_starts_with_the_penalty_of_the_recipe(
    browser: Any, gamma: float, tmp_path: Path
) -> None:
    config = recipes.gaussian_stable()
    config = replace(config, game=replace(config.game, penalties=(R1(gamma),)))
    with opened(browser, game.game(config, tmp_path / "game.html").as_uri()) as visit:
        penalties = visit.page.evaluate("lab.game.settings.penalties")
        assert [p["gamma"] for p in penalties] == [pytest.approx(gamma)]
        assert visit.page.inner_text("#gamma-value") == str(gamma).removesuffix(".0")


def test_points_are_drawn_by_hand(browser: Any, address: str) -> None:
    with opened(browser, address) as visit:
        page = visit.page
        page.get_by_label("Real points", exact=True).select_option("by-hand")
        page.get_by_role("button", name="Run").click()
        playwright.expect(page.get_by_role("alert")).to_contain_text("Draw some points")
        page.locator("#board").scroll_into_view_if_needed()
        box = page.locator("#board").bounding_box()
        page.mouse.move(box["x"] + 0.8 * box["width"], box["y"] + 0.2 * box["height"])
        page.mouse.down()
        page.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + 0.1 * box["height"], steps=5)
        page.mouse.up()
        real = page.evaluate("[...lab.state.real.data]")
        assert min(real[::2]) > 0.5 and min(real[1::2]) > 0.5  # at the right and above
        page.get_by_role("button", name="Run").click()
        until(page, "lab.game.steps > 3")
        page.get_by_role("button", name="Clear the points").click()
        assert visit.wrong == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1200])
def test_all_can_be_read(browser: Any, address: str, scheme: str, width: int) -> None:
    size = {"width": width, "height": 900}
    with opened(browser, address, viewport=size, color_scheme=scheme) as visit:
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
        least, where = visit.page.evaluate(CONTRAST)
        assert least >= 4.5, where
    with Visit(browser, address, java_script_enabled=False) as visit:
        assert "switched off" in visit.page.inner_text("noscript")
