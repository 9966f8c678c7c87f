"""Every recipe has the settings with which the figures in the documents were measured.

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

SETTINGS = Path(__file__).with_name("settings.json")


def same(now: Any, measured: Any) -> Any:
    """`now` without the settings that were not there when the recipe was measured."""
    if isinstance(now, dict) and isinstance(measured, dict):
        return {key: same(value, measured[key]) for key, value in now.items() if key in measured}
    if isinstance(now, list | tuple) and isinstance(measured, list) and len(now) == len(measured):
        return [same(*pair) for pair in zip(now, measured, strict=True)]
    return now


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_a_recipe_has_the_settings_it_was_measured_with(name: str) -> None:
    measured = json.loads(SETTINGS.read_text())[name]
    assert same(to_dict(RECIPES[name]()), measured) == measured


def test_no_other_recipe_is_recorded() -> None:
    assert set(json.loads(SETTINGS.read_text())) == set(RECIPES)


if __name__ == "__main__":
    lines = [f'"{name}": {json.dumps(to_dict(recipe()))}' for name, recipe in RECIPES.items()]
    SETTINGS.write_text("{\n" + ",\n".join(lines) + "\n}\n")
