"""The report in a real browser: nothing is fetched or thrown, the slider moves, all can be read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ganforge.diagnosis import Diagnosis, Finding
from tests.helpers import reported
from tests.helpers.browser import CONTRAST, MARKS, Visit, chromium, playwright
from tests.helpers.pages import made

pytestmark = MARKS

SHOWN = """() => [...document.querySelectorAll("#run-1 .frame")].flatMap((f, i) =>
  f.getClientRects().length ? [[i, f.querySelector("img").src]] : [])"""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page of two runs: pictures with labels, and points whose names would be markup."""
    root = tmp_path_factory.mktemp("browser")
    finding = Finding("GF001", "a name", "3 > 2 & 1", "less of it", {}, ())
    collapsed = Diagnosis((finding,), ("GF001",), {"GF002": "no reason"}, 4)
    labelled = reported.digits(root)
    points = reported.trained(root / "a<b>", steps=100, name=reported.HOSTILE)
    html, _ = made(labelled, points, diagnosis=collapsed)
    (root / "report.html").write_text(html)
    return (root / "report.html").as_uri()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as opened:
        yield opened


def test_nothing_is_fetched_and_nothing_thrown(browser: Any, address: str) -> None:
    with Visit(browser, address) as visit:
        page = visit.page
        broken = page.evaluate(
            "[...document.images].filter((i) => !i.alt || (i.complete && !i.naturalWidth)).length"
        )
        assert broken == 0 and page.locator("img").count() > 20
        assert page.locator("h1").count() == 1
        assert page.locator("h2").all_inner_texts()[0] == "Side by side"
        data = page.evaluate("JSON.parse(document.getElementById('report-data').textContent)")
        assert [run["config"]["name"] for run in data["runs"]] == ["cdcgan", reported.HOSTILE]
        assert reported.HOSTILE in page.inner_text("#run-2 h2")
        assert visit.wrong == []
        assert {url for url in visit.requests if not url.startswith("data:")} == {address}


def test_the_slider_is_moved_by_keys_and_by_the_button(browser: Any, address: str) -> None:
    with Visit(browser, address) as visit:
        page = visit.page
        slider = page.locator("#run-1 input[type=range]")
        last = page.locator("#run-1 .frame").count() - 1
        assert last >= 2
        ((index, newest),) = page.evaluate(SHOWN)
        assert index == last and slider.get_attribute("aria-valuetext")
        slider.focus()
        page.keyboard.press("ArrowLeft")
        ((index, before),) = page.evaluate(SHOWN)
        assert index == last - 1 and before != newest
        page.keyboard.press("Home")
        ((index, first),) = page.evaluate(SHOWN)
        assert index == 0 and first not in (before, newest)
        assert slider.get_attribute("aria-valuetext") == "epoch 0"
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Play"
        page.keyboard.press("Enter")
        playwright.expect(slider).to_have_value(str(last))
        playwright.expect(page.locator("#run-1 button")).to_have_text("Play")
        assert page.evaluate(SHOWN) == [[last, newest]]
        assert visit.wrong == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1200])
def test_all_can_be_read(browser: Any, address: str, scheme: str, width: int) -> None:
    size = {"width": width, "height": 900}
    with Visit(browser, address, viewport=size, color_scheme=scheme) as visit:
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
        least, where = visit.page.evaluate(CONTRAST)
        assert least >= 4.5, where
        paper = visit.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (paper == "rgb(255, 255, 255)") == (scheme == "light")


def test_charts_have_the_colours_of_the_page(browser: Any, address: str) -> None:
    shown = """() => [...document.querySelectorAll(".chart img")].map((i) =>
      [i.className, i.getClientRects().length, i.naturalWidth > 0])"""
    for options in ({"color_scheme": "light"}, {"color_scheme": "dark"}, {"media": "print"}):
        with Visit(browser, address, color_scheme="dark") as visit:
            visit.page.emulate_media(**options)
            found = visit.page.evaluate(shown)
            light = options != {"color_scheme": "dark"}
            assert len(found) >= 8 and all(loaded for _, _, loaded in found)
            assert all(bool(rects) == ((name == "on-light") == light) for name, rects, _ in found)


def test_without_scripts_and_on_paper(browser: Any, address: str) -> None:
    with Visit(browser, address, java_script_enabled=False) as visit:
        assert visit.page.locator("#run-1 .frame:visible").count() == 1
        assert visit.page.locator(".control:visible").count() == 0
    with Visit(browser, address, color_scheme="dark") as visit:
        visit.page.emulate_media(media="print")
        assert visit.page.locator("#run-1 .frame:visible").count() > 1
        assert visit.page.locator(".control:visible").count() == 0
        paper = visit.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert paper == "rgb(255, 255, 255)"


def test_the_least_contrast_is_seen(browser: Any, address: str) -> None:
    """The check above can fail."""
    with Visit(browser, address) as visit:
        visit.page.evaluate("document.querySelector('footer p').style.color = '#aaa'")
        least, where = visit.page.evaluate(CONTRAST)
        assert least < 4.5 and where.startswith("P Made")
