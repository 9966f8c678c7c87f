"""Recipes and experiments have the settings with which the figures in docs were measured.

After a change of a recipe or of a default on purpose: measure again what the documents say of it,
then write the settings with `python -m tests.recipes.test_settings`. A new setting needs neither,
if its default leaves the runs as they are.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ganforge.config.convert import to_dict
from ganforge.recipes import RECIPES
from ganforge.reproduce import fewshot, modes, translation

SETTINGS = Path(__file__).with_name("settings.json")


def settings() -> dict[str, Any]:
    """The settings of every recipe and of every row of a published experiment."""
    found = {name: to_dict(recipe()) for name, recipe in RECIPES.items()}
    found |= {f"{name} as published": to_dict(modes.plain(name)) for name in ("ring", "grid")}
    studies = {
        "pix2pix": translation.pix2pix(),
        "pix2pix-64": translation.pix2pix(64),
        "cyclegan": translation.cyclegan(),
    }
    for name, study in studies.items():
        found |= {f"{name}: {row}": to_dict(config) for row, config in study.rows.items()}
        found[f"{name}: study"] = {"epochs": study.epochs, "measures": list(study.measures)}
    found |= {f"fewshot: {row}": to_dict(config) for row, (_, config) in fewshot.rows().items()}
    return found


NOW = settings()


def same(now: Any, measured: Any) -> Any:
    """`now` without the settings that were not there when the recipe was measured."""
    if isinstance(now, dict) and isinstance(measured, dict):
        return {key: same(value, measured[key]) for key, value in now.items() if key in measured}
    if isinstance(now, list | tuple) and isinstance(measured, list) and len(now) == len(measured):
        return [same(*pair) for pair in zip(now, measured, strict=True)]
    return now


@pytest.mark.parametrize("name", sorted(NOW))
def test_the_settings_are_those_of_the_figures(name: str) -> None:
    measured = json.loads(SETTINGS.read_text())[name]
    assert same(NOW[name], measured) == measured


def test_no_others_are_recorded() -> None:
    assert set(json.loads(SETTINGS.read_text())) == set(NOW)


if __name__ == "__main__":
    lines = [f'"{name}": {json.dumps(table)}' for name, table in NOW.items()]
    SETTINGS.write_text("{\n" + ",\n".join(lines) + "\n}\n")
