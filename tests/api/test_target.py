"""What `ganforge train WHAT` names."""

from __future__ import annotations

from pathlib import Path

import pytest

from ganforge import recipes
from ganforge.api.target import Target, base, target
from ganforge.errors import DataError, UsageError
from ganforge.runs import folder


def test_a_recipe_comes_before_data_and_a_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("pictures", "dcgan", "cifar10"):
        (tmp_path / name).mkdir()
    assert target("pictures") == Target(recipe="pictures")
    assert target("pictures/") == Target(data="pictures/")
    assert target("./dcgan") == Target(data="./dcgan")
    assert target("cifar10") == Target(data="cifar10")
    assert target("grid") == Target(recipe="grid")  # a recipe and a data set
    assert target("mine.py:run") == Target(recipe="mine.py:run")
    assert target(None) == Target()


def test_a_run_folder_is_a_run(tmp_path: Path) -> None:
    folder.prepare(tmp_path / "run", recipes.RECIPES["gaussian"]())
    assert target(str(tmp_path / "run")) == Target(run=tmp_path / "run")
    (tmp_path / "pictures").mkdir()
    assert target(str(tmp_path / "pictures")).data is not None


def test_what_is_nothing_is_refused_with_what_comes_near(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"'dcgam' is no recipe.*dcgan"):
        target("dcgam")
    with pytest.raises(UsageError, match=r"cifar10"):
        target("cifar-10")
    with pytest.raises(DataError, match="no such file or folder"):
        target(str(tmp_path / "missing"))
    with pytest.raises(UsageError, match=r"photos\.zip.*no such recipe, file or folder"):
        target("photos.zip")


@pytest.mark.parametrize(
    "data", ["/pictures", "../pictures", "~/pictures", "here|../b", "a/../../b"]
)
def test_a_file_may_not_name_data_outside_its_folder_unless_the_user_does(
    tmp_path: Path, data: str
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(f"name = 'dcgan'\ndata = {data!r}\n")
    with pytest.raises(UsageError, match="is outside this folder: if you mean it, say so with"):
        base(None, file, data_given=False)
    assert base(None, file, data_given=True).data == data
    file.write_text("name = 'dcgan'\ndata = 'here|there'\n")
    assert base(None, file, data_given=False).data == "here|there"
