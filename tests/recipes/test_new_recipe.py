"""A new recipe as docs/notes/exercises.md adds it passes what is asked of every recipe."""

from __future__ import annotations

import re
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from ganforge import recipes
from ganforge.nets import DCGAN
from ganforge.recipes import RECIPES
from tests.recipes.test_recipes import test_it_is_a_complete_config as complete
from tests.recipes.test_recipes import test_it_is_described as described
from tests.recipes.test_recipes import trained
from tests.report.test_citations import test_the_papers_of_a_recipe_are_those_of_its_text as cited

EXERCISES = Path(__file__).parents[2] / "docs/notes/exercises.md"


@pytest.fixture
def added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The recipe of the exercise: its file, and its name in the table."""
    section = EXERCISES.read_text().partition("\n## A recipe\n")[2].partition("\n## ")[0]
    (code,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    (tmp_path / "dcgan_hinge.py").write_text(code)
    spec = spec_from_file_location("ganforge.recipes.dcgan_hinge", tmp_path / "dcgan_hinge.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    monkeypatch.setitem(RECIPES, "dcgan-hinge", module.dcgan_hinge)
    return "dcgan-hinge"


def test_the_recipe_of_the_exercise_is_one_of_the_package(added: str, tmp_path: Path) -> None:
    described(added)
    complete(added)
    cited(added)
    config = recipes.find(added)
    assert isinstance(config.networks, DCGAN)
    assert (config.game.loss, config.networks.discriminator_norm) == ("hinge", "spectral")
    trained(config, tmp_path / "run")
