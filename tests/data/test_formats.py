"""The table of formats: one file and one line a format."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from ganforge.data import formats, load
from ganforge.data.dataset import Dataset
from ganforge.data.formats import FORMATS
from ganforge.data.pack import pack
from ganforge.data.spec import DataSpec
from ganforge.errors import DataError

EXERCISES = Path(__file__).parents[2] / "docs/notes/exercises.md"
FOLDER = Path(formats.__file__).parent
VALUES = np.random.default_rng(0).normal(size=(40, 3))


@pytest.fixture
def table(tmp_path: Path) -> str:
    """A file that only the format of the exercise reads."""
    path = tmp_path / "numbers.csv"
    np.savetxt(path, VALUES, delimiter=",")
    return str(path)


@pytest.fixture
def added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The format of docs/notes/exercises.md: its file and its line of the table."""
    section = EXERCISES.read_text().partition("## A data format\n")[2].partition("\n## ")[0]
    code, line = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    ((name, kind),) = ast.literal_eval(f"{{{line}}}").items()
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / f"{name}.py").write_text(code)
    monkeypatch.setattr(formats, "__path__", [*formats.__path__, str(tmp_path / "new")])
    monkeypatch.setitem(FORMATS, name, kind)
    yield
    sys.modules.pop(f"ganforge.data.formats.{name}", None)


@pytest.mark.usefixtures("added")
def test_a_new_format_takes_one_file_and_one_line(tmp_path: Path, table: str) -> None:
    data = load.load(table)
    assert data.spec.shape == (3,) and len(data) == 36
    assert {tuple(row) for row in data.values} < {tuple(row) for row in VALUES.astype(np.float32)}
    packed = load.load(str(pack(table, tmp_path / "packed")))
    assert packed.sha256 == data.sha256
    Path(table).write_text("1,2\n3,x\n")
    with pytest.raises(DataError, match=r"numbers\.csv: not a table of numbers \(could not"):
        load.load(table)
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(DataError, match=r"a\.txt: not a \.csv of numbers, a folder or \.zip of "):
        load.load(str(tmp_path / "a.txt"))


WRONG = {
    "pass": "values of float64 with 2 axes: convert them to pictures uint8 or float32",
    "values = values.astype(np.int16)": "values of int16 with 2 axes: convert",
    "values = values.astype(np.float32)[0]": "values of float32 with 1 axes: convert",
    "values = np.full((40, 3), np.nan, np.float32)": "row 0 holds NaN or infinity: remove",
    "values, labels = values.astype(np.float32), np.arange(40.0)": "labels are float64: give",
    "values, labels = values.astype(np.float32), np.arange(39)": "labels of shape .39,. for 40",
    "values, labels = values.astype(np.float32), np.arange(40) - 1": "label -1 of row 0 is out of",
    "values, labels = values.astype(np.float32), np.arange(40, dtype=np.int16)": "labels of int16",
}


@pytest.mark.parametrize("line", WRONG)
def test_a_format_that_gives_what_is_not_stored_is_named(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "raw.py").write_text(
        "import numpy as np\n"
        "from ganforge.data.dataset import Examples\n"
        "def recognises(path, head): return path.suffix == '.raw'\n"
        "def read(path, options):\n"
        "    values, labels = np.random.default_rng(0).normal(size=(40, 3)), None\n"
        f"    {line}\n"
        "    return Examples(values, labels)\n"
    )
    monkeypatch.setattr(formats, "__path__", [*formats.__path__, str(tmp_path)])
    monkeypatch.setitem(FORMATS, "raw", "a .raw file")
    monkeypatch.delitem(sys.modules, "ganforge.data.formats.raw", raising=False)
    (tmp_path / "a.raw").write_text("numbers")
    with pytest.raises(DataError, match=rf"a\.raw, read by the format raw: {WRONG[line]}"):
        load.load(str(tmp_path / "a.raw"))
    sys.modules.pop("ganforge.data.formats.raw")


def test_a_data_set_made_by_hand_is_checked_against_its_spec() -> None:
    spec = DataSpec((3,), 0, "float32", False, (0.0,), (1.0,))
    with pytest.raises(DataError, match="data 'mine': values of float64 with 2 axes: convert"):
        Dataset("mine", "train", spec, VALUES)
    with pytest.raises(DataError, match=r"examples of float32 \(2,\), and their spec says float32"):
        Dataset("mine", "train", spec, VALUES[:, :2].astype(np.float32))


def test_without_its_line_there_is_no_format(table: str) -> None:
    with pytest.raises(DataError, match=r"numbers\.csv: not a folder .* it begins with"):
        load.load(table)


def test_every_file_has_its_line_and_two_functions() -> None:
    files = {path.stem for path in FOLDER.glob("*.py")} - {"__init__", "packed"}
    assert files == set(FORMATS)
    for name in FORMATS:
        module = import_module(f"ganforge.data.formats.{name}")
        assert list(inspect.signature(module.recognises).parameters) == ["path", "head"]
        assert list(inspect.signature(module.read).parameters) == ["path", "options"]
