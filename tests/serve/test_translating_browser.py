"""The form of a translator whose demo would be too large, or cannot be."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.helpers.browser import CONTRAST, MARKS, Visit, chromium, playwright, until
from tests.helpers.served import Served, serving
from tests.sampling.test_translate import images_of, made

pytestmark = MARKS
PIX2PIX, CYCLEGAN = made("pix2pix"), made("cyclegan")
SOURCE = "document.getElementById('target').getAttribute('src')"
SHOWN = """async () => {
  const image = document.getElementById("target");
  if (!image.complete || !image.naturalWidth) return null;
  const [width, height] = [image.naturalWidth, image.naturalHeight];
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  canvas.getContext("2d").drawImage(image, 0, 0);
  return [width, height, ...canvas.getContext("2d").getImageData(0, 0, width, height).data];
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving(CYCLEGAN, PIX2PIX, demos=False) as found:
        yield found


def picked(visit: Visit, data: bytes, name: str = "a.png") -> None:
    file = {"name": name, "mimeType": "image/png", "buffer": data}
    visit.page.locator("#file").set_input_files(file)


def test_a_picture_is_sent_and_its_translation_shown(browser: Any, served: Served) -> None:
    picture = images_of(1)[0]
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    address = f"http://127.0.0.1:{served.port}/models"
    with Visit(browser, f"{address}/cyclegan") as visit:
        page = visit.page
        for direction in ("a2b", "b2a"):
            page.get_by_label("Direction").select_option(direction)
            before = page.locator("#target").get_attribute("src") or ""
            picked(visit, buffer.getvalue())
            until(page, f"![null, '{before}'].includes({SOURCE})")
            until(page, f"({SHOWN})()")
            width, height, *values = page.evaluate(SHOWN)
            found = np.array(values).reshape(height, width, 4)[..., :3]
            assert (found == CYCLEGAN.translate(picture, direction=direction)).all()
        large = io.BytesIO()
        Image.new("RGB", (640, 160)).save(large, "PNG")
        picked(visit, large.getvalue())
        until(page, "document.getElementById('target').naturalWidth === 64")  # 32 x 32 pixels
        assert visit.wrong == []
        assert all(u.startswith((address, "data:", "blob:")) for u in visit.requests)
    with Visit(browser, f"{address}/pix2pix") as visit:
        page = visit.page
        picked(visit, b"none", "b.png")
        alert = page.get_by_role("alert")
        playwright.expect(alert).to_contain_text("b.png: this browser cannot read it")
        picked(visit, buffer.getvalue())
        playwright.expect(alert).to_be_empty()
        page.get_by_label("Seed").fill("x")
        page.keyboard.press("Tab")
        playwright.expect(alert).to_contain_text("seed = 'x': expected a whole number")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_can_be_read(browser: Any, served: Served, scheme: str) -> None:
    size = {"width": 400, "height": 800}
    address = f"http://127.0.0.1:{served.port}/"
    with Visit(browser, address, viewport=size, color_scheme=scheme) as visit:
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= 400
        least, where = visit.page.evaluate(CONTRAST)
        assert least >= 4.5, where
