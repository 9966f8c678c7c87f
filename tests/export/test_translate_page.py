"""Pages of translators: a picture drawn or opened, turned as in Python, masks of dropout too."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ganforge.errors import DataError
from ganforge.export.demo import page as pages
from ganforge.export.demo.graph import of_generator
from tests.helpers.browser import CONTRAST, MARKS, Visit, chromium, playwright, until
from tests.sampling.test_translate import made

pytestmark = MARKS
READY = "document.documentElement.dataset.drawn === 'yes'"
TRANSLATORS = {"pix2pix": made("pix2pix"), "cyclegan": made("cyclegan")}


def test_a_translator_that_differs_is_refused() -> None:
    translator = TRANSLATORS["pix2pix"]
    graph = of_generator(translator.network(), translates=True)
    _, _, tensors = pages.stored(graph, full=False)
    pages.require_same_translation(translator, "a2b", graph, tensors)
    with pytest.raises(DataError, match=r"differ from the model by \d+ levels"):
        pages.require_same_translation(translator, "a2b", graph, [3 * t for t in tensors])


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


def opened(browser: Any, tmp_path: Path, name: str, **options: Any) -> Visit:
    path = tmp_path / "demo.html"
    path.write_text(pages.html(TRANSLATORS[name]))
    visit = Visit(browser, path.as_uri(), **options)
    until(visit.page, READY)
    return visit


@pytest.mark.parametrize("name", TRANSLATORS)
def test_it_translates_as_python(browser: Any, tmp_path: Path, name: str) -> None:
    translator = TRANSLATORS[name]
    with opened(browser, tmp_path, name) as visit:
        page = visit.page
        for direction in translator.directions:
            if len(translator.directions) > 1:
                page.get_by_label("Direction").select_option(direction)
            source, target = translator.ends(direction)
            picture = np.random.default_rng(1).integers(0, 256, source.stored_shape, np.uint8)
            levels = picture.transpose(2, 0, 1).ravel().tolist()
            found = page.evaluate("(levels) => [...demo.translate(levels, 3n)]", levels)
            wanted = translator.translate(picture, seed=3, direction=direction)
            gap = np.array(found).reshape(target.shape).transpose(1, 2, 0) - wanted
            assert np.abs(gap).max() <= 1
        assert visit.wrong == []
        assert {u for u in visit.requests if not u.startswith("data:")} == {visit.address}


def test_it_begins_with_a_drawing_that_the_white_sheet_takes_away(
    browser: Any, tmp_path: Path
) -> None:
    dark = """(() => { const c = document.getElementById("source");
      const seen = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
      return seen.filter((v, i) => i % 4 === 0 && v < 128).length / (c.width * c.height); })()"""
    with opened(browser, tmp_path, "pix2pix") as visit:
        assert 0.02 < visit.page.evaluate(dark) < 0.2
        visit.page.get_by_role("button", name="White sheet").click()
        until(visit.page, f"{dark} === 0")
        assert visit.wrong == []


def test_lines_are_drawn_and_pictures_opened(browser: Any, tmp_path: Path) -> None:
    shown = "document.getElementById('target').toDataURL()"
    with opened(browser, tmp_path, "pix2pix") as visit:
        page = visit.page
        before = page.evaluate(shown)
        box = page.locator("#source").bounding_box()
        page.mouse.move(box["x"] + 9, box["y"] + 9)
        page.mouse.down()
        page.mouse.move(box["x"] + 200, box["y"] + 150, steps=3)
        page.mouse.up()
        until(page, f"{shown} !== '{before}'")
        before = page.evaluate(shown)
        buffer = io.BytesIO()
        Image.new("RGB", (50, 40), (200, 30, 90)).save(buffer, "PNG")
        file = {"name": "a.png", "mimeType": "image/png", "buffer": buffer.getvalue()}
        page.locator("#file").set_input_files(file)
        until(page, f"{shown} !== '{before}'")
        page.locator("#file").set_input_files(file | {"name": "b.png", "buffer": b"none"})
        playwright.expect(page.get_by_role("alert")).to_contain_text("b.png: this browser")
        page.get_by_label("Seed").fill("x")
        page.keyboard.press("Tab")
        playwright.expect(page.get_by_role("alert")).to_contain_text("seed = x: expected")
        assert visit.wrong == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_can_be_read(browser: Any, tmp_path: Path, scheme: str) -> None:
    size = {"width": 400, "height": 900}
    options = {"viewport": size, "color_scheme": scheme}
    with opened(browser, tmp_path, "cyclegan", **options) as visit:
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= 400
        least, where = visit.page.evaluate(CONTRAST)
        assert least >= 4.5, where
