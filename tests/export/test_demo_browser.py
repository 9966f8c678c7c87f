"""Pages of generators in a real browser: the pixels of Python, and all that a reader can do."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ganforge.data.spec import DataSpec
from ganforge.export.demo import page as pages
from ganforge.sampling.sampler import Sampler
from tests.helpers.browser import CONTRAST, MARKS, Visit, chromium, playwright, until
from tests.helpers.samplers import fresh

pytestmark = MARKS
HOSTILE = "</script><img src=x onerror=alert(1)>"
DIGITS = replace(fresh(DataSpec((1, 28, 28), 10)), name=HOSTILE)
COLOURS = fresh(DataSpec((3, 16, 24)), "dcgan")
RING = fresh(DataSpec((2,), 0, "float32", False, (0.0,), (0.7,)), "ring")
LINE = fresh(DataSpec((1,), 0, "float32", False, (0.0,), (1.5,)), "figure1")
CODED = fresh(DataSpec((1, 28, 28)), "infogan", width=4, hidden=32)
# a law whose samples lie in two corners, so that many walks would end where they begin
CORNERS = fresh(DataSpec((2,), 0, "float32", True, (0.0,), (1.0,)), "ring")
for weights in CORNERS.model.out.parameters():
    weights.mul_(100)
SAMPLERS = {
    "digits": DIGITS, "colours": COLOURS, "ring": RING, "line": LINE, "coded": CODED,
    "corners": CORNERS,
}  # fmt: skip
READY = "document.documentElement.dataset.ready === 'yes'"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("demo")
    for name, sampler in SAMPLERS.items():
        (root / f"{name}.html").write_text(pages.html(sampler, full=name == "corners"))
    return root


def opened(browser: Any, folder: Path, name: str, more: str = "", **options: Any) -> Visit:
    """A page that has started."""
    visit = Visit(browser, (folder / f"{name}.html").as_uri() + more, **options)
    until(visit.page, READY)
    return visit


def pixels(page: Any, canvas: str) -> np.ndarray[Any, Any]:
    """What a canvas shows, (H, W, 4)."""
    address = page.evaluate(f"document.getElementById('{canvas}').toDataURL()")
    data = base64.b64decode(address.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGBA")).astype(int)


def close(made: np.ndarray[Any, Any], sampler: Sampler, *asked: Any, **options: Any) -> bool:
    """Whether a canvas shows a sample of Python, within a level."""
    wanted = sampler.sample(1, *asked, **options)[0].astype(int)
    return bool(np.abs(made[..., :3] - wanted).max() <= 1)


def test_the_pixels_are_those_of_python(browser: Any, folder: Path) -> None:
    with opened(browser, folder, "digits") as visit:
        page = visit.page
        assert close(pixels(page, "picture"), DIGITS, 0)
        page.get_by_role("button", name="7", exact=True).click()
        page.get_by_label("Seed", exact=True).fill("-12345678901")
        page.get_by_label("Picture number").fill("41")
        page.keyboard.press("Tab")
        page.locator("#truncation").fill("0.5")
        made = pixels(page, "picture")
        assert close(made, DIGITS, 7, seed=-12345678901, first=41, truncation=0.5)
        assert not close(made, DIGITS, 7, seed=-12345678901, first=41)
        line = page.inner_text("#python")
        assert line == (
            'gf.load("RUN").sample(1, labels=7, seed=-12345678901, first=41, truncation=0.5)'
        )
        until(page, "document.documentElement.dataset.grid === '-12345678901 0.5'")
        every = DIGITS.sample(60, seed=-12345678901, truncation=0.5).reshape(6, 10, 28, 28)
        grid = pixels(page, "grid")[..., 0]
        assert np.abs(grid - every.transpose(0, 2, 1, 3).reshape(168, 280)).max() <= 1
        assert visit.wrong == []
        assert {u for u in visit.requests if not u.startswith("data:")} == {visit.address}


def test_colours_and_the_plain_loops(browser: Any, folder: Path) -> None:
    with opened(browser, folder, "colours", "#seed=5&index=2") as visit:
        assert close(pixels(visit.page, "picture"), COLOURS, seed=5, first=2)
        assert "WebAssembly" in visit.page.inner_text("#engine-note")
        assert visit.wrong == []
    with Visit(browser, "about:blank") as visit:
        visit.page.add_init_script("delete globalThis.WebAssembly")
        visit.page.goto((folder / "colours.html").as_uri())
        until(visit.page, READY)
        assert "plain JavaScript" in visit.page.inner_text("#engine-note")
        assert close(pixels(visit.page, "picture"), COLOURS)
        assert visit.wrong == []


def test_codes_are_controls(browser: Any, folder: Path) -> None:
    with opened(browser, folder, "coded", "#code.digit=3") as visit:
        page, shown = visit.page, partial(pixels, visit.page, "picture")
        assert close(shown(), CODED, codes={"digit": 3})
        page.get_by_role("button", name="7", exact=True).click()
        page.get_by_role("slider", name="Code slant").fill("-1.5")
        assert close(shown(), CODED, codes={"digit": 7, "slant": -1.5})
        call = 'gf.load("RUN").sample(1, seed=0, codes={"digit": 7, "slant": -1.5})'
        assert page.inner_text("#python") == call
        page.get_by_role("group", name="Code digit").get_by_role("button", name="drawn").click()
        assert close(shown(), CODED, codes={"slant": -1.5})
        until(page, """document.documentElement.dataset.grid === '0 1 codes={"slant": -1.5}'""")
        every = CODED.sample(64, codes={"slant": -1.5}).reshape(8, 8, 28, 28)
        grid = pixels(page, "grid")[..., 0]
        assert np.abs(grid - every.transpose(0, 2, 1, 3).reshape(224, 224)).max() <= 1
        assert visit.wrong == []


@pytest.mark.parametrize("bad", ["digit=10", "digit=", "digit=2.5", "slant=x"])
def test_bad_codes_in_the_address_are_named(browser: Any, folder: Path, bad: str) -> None:
    with opened(browser, folder, "coded", f"#code.{bad}") as visit:
        said = visit.page.inner_text("#error")
        assert said.startswith(f"code {bad.partition('=')[0]} = ") and "expected" in said
        assert close(pixels(visit.page, "picture"), CODED)


@pytest.mark.parametrize(
    ("field", "value"),
    [("Seed", "1.5"), ("Seed", "9" * 19), ("Seed", ""), ("Picture number", "-1")],
)
def test_bad_values_are_named(browser: Any, folder: Path, field: str, value: str) -> None:
    with opened(browser, folder, "digits") as visit:
        page, before = visit.page, pixels(visit.page, "picture")
        page.get_by_label(field, exact=True).fill(value)
        page.keyboard.press("Tab")
        playwright.expect(page.get_by_role("alert")).to_contain_text(
            f"{field.lower().replace('picture', 'sample')} = {value}: expected a whole number"
        )
        assert (pixels(page, "picture") == before).all()
        page.get_by_role("button", name="Another").click()
        playwright.expect(page.get_by_role("alert")).to_have_text("")
        assert visit.wrong == []


@pytest.mark.parametrize("bad", ["label=10", "label=-1", "label=x", "seed=x", "truncation=2"])
def test_bad_addresses_are_named(browser: Any, folder: Path, bad: str) -> None:
    with opened(browser, folder, "digits", f"#{bad}") as visit:
        said = visit.page.inner_text("#error")
        assert said.startswith(bad.partition("=")[0]) and "expected" in said
        assert close(pixels(visit.page, "picture"), DIGITS, 0)


def test_names_stay_text(browser: Any, folder: Path) -> None:
    with opened(browser, folder, "digits") as visit:
        assert visit.page.inner_text("h1") == HOSTILE
        assert visit.page.title() == f"{HOSTILE} – ganforge demo"
        assert visit.page.locator("img").count() == 0 and visit.wrong == []


def test_a_walk_of_points_goes_some_way(browser: Any, folder: Path) -> None:
    with opened(browser, folder, "corners", "#seed=2") as visit:
        page = visit.page
        left = CORNERS.sample(6, seed=2)[:, 0] < 0
        assert left.tolist() == [True, True, False, True, True, False]
        assert page.inner_text("#ends") == "From sample 0 to 2:"
        page.get_by_role("button", name="Walk elsewhere").click()
        assert page.inner_text("#ends") == "From sample 0 to 5:"
        page.get_by_label("Seed", exact=True).fill("4")
        page.keyboard.press("Tab")
        assert page.inner_text("#ends") == "From sample 0 to 1:"
        assert visit.wrong == []


def test_the_keyboard_alone(browser: Any, folder: Path) -> None:
    with opened(browser, folder, "digits") as visit:
        page = visit.page
        page.locator("#grid").focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowDown")
        assert close(pixels(page, "picture"), DIGITS, 1, first=11)
        first = pixels(page, "walk")
        page.locator("#way").focus()
        page.keyboard.press("Home")
        assert close(pixels(page, "walk"), DIGITS, 1, first=11)
        page.keyboard.press("End")
        assert close(pixels(page, "walk"), DIGITS, 1, first=12)
        assert (first != pixels(page, "walk")).any()
        page.locator("#plane").focus()
        before = pixels(page, "plane-picture")
        page.keyboard.press("ArrowLeft")
        assert (before != pixels(page, "plane-picture")).any()
        page.locator("#play").focus()
        page.keyboard.press("Enter")
        playwright.expect(page.locator("#play")).to_have_text("Stop")
        until(page, "Number(document.getElementById('way').value) < 90")
        page.keyboard.press("Enter")
        playwright.expect(page.locator("#play")).to_have_text("Play")
        assert visit.wrong == []


def test_the_plane_is_dragged_and_a_png_saved(browser: Any, folder: Path) -> None:
    with opened(browser, folder, "digits") as visit:
        page = visit.page
        page.locator("#plane").scroll_into_view_if_needed()
        box = page.locator("#plane").bounding_box()
        page.mouse.move(box["x"] + 5, box["y"] + 5)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=4)
        page.mouse.up()
        assert close(pixels(page, "plane-picture"), DIGITS, 0)  # the middle is the sample above
        with page.expect_download() as waiting:
            page.get_by_role("button", name="Save PNG").click()
        saved = np.asarray(Image.open(waiting.value.path()).convert("RGB")).astype(int)
        assert close(saved, DIGITS, 0)
        assert waiting.value.suggested_filename.endswith("-seed0-0-label0.png")
        assert visit.wrong == []


def test_the_plane_is_completed_although_all_is_drawn_again(browser: Any, folder: Path) -> None:
    whole = """[...Array(49).keys()].every((i) => {
      const { width, height } = document.getElementById("plane");
      const [x, y] = [(i % 7 + 0.5) * width / 7, (Math.floor(i / 7) + 0.5) * height / 7];
      return document.getElementById("plane").getContext("2d").getImageData(x, y, 1, 1).data[3];
    })"""
    with opened(browser, folder, "digits") as visit:
        page = visit.page
        page.evaluate(
            "document.getElementById('another').click();"
            "document.getElementById('seed').dispatchEvent(new Event('change'))"
        )
        until(page, whole)


@pytest.mark.parametrize("name", ["ring", "line"])
def test_laws_are_drawn_and_follow_the_seed(browser: Any, folder: Path, name: str) -> None:
    sampler = {"ring": RING, "line": LINE}[name]
    with opened(browser, folder, name) as visit:
        page = visit.page
        made = page.evaluate("[...demo.samples(2000, { seed: 3 })]")
        wanted = sampler.sample(2000, seed=3).ravel()
        assert np.abs(np.array(made) - wanted).max() <= 2e-3 * np.ptp(wanted)
        before = pixels(page, "picture")
        assert len(np.unique(before.reshape(-1, 4), axis=0)) > 3
        page.get_by_role("button", name="Another").click()
        assert (pixels(page, "picture") != before).any()
        assert page.inner_text("#python") == 'gf.load("RUN").sample(2000, seed=1)'
        assert visit.wrong == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1200])
def test_all_can_be_read(browser: Any, folder: Path, scheme: str, width: int) -> None:
    for name in ("digits", "ring"):
        size = {"width": width, "height": 900}
        with opened(browser, folder, name, viewport=size, color_scheme=scheme) as visit:
            assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
            least, where = visit.page.evaluate(CONTRAST)
            assert least >= 4.5, where
            paper = visit.page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert (paper == "rgb(255, 255, 255)") == (scheme == "light")


def test_without_scripts(browser: Any, folder: Path) -> None:
    address = (folder / "digits.html").as_uri()
    with Visit(browser, address, java_script_enabled=False) as visit:
        assert "switched off" in visit.page.inner_text("noscript")
        assert visit.page.locator("main:visible").count() == 0
