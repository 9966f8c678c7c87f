"""The table of commands: one file and one line a command, help without heavy imports."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import ganforge
from ganforge.cli import main
from ganforge.cli.commands import COMMANDS
from tests.test_layers import HEAVY

FOLDER = Path(ganforge.__file__).parent / "cli/commands"
EXERCISES = Path(__file__).parents[2] / "docs/notes/exercises.md"


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command of docs/notes/exercises.md: its file and its line of the table."""
    code, line = re.findall(r"```python\n(.*?)```", EXERCISES.read_text(), re.DOTALL)[:2]
    (tmp_path / "toy_command.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    ((name, where),) = ast.literal_eval(f"{{{line}}}").items()
    assert where == "ganforge.cli.commands.toy:toy"
    monkeypatch.setitem(COMMANDS, name, "toy_command:toy")


@pytest.mark.usefixtures("toy")
def test_a_new_command_takes_one_file_and_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["toy", "hello", "-n", "3"]) == 3
    assert capsys.readouterr().out == "hello\n" * 3
    for words in (["toy", "--help"], ["help", "toy"]):
        assert main(words) == 0
        assert capsys.readouterr().out.startswith("Usage: ganforge toy [OPTIONS] WORD")
    assert main(["--help"]) == 0
    assert "Print a word several times." in capsys.readouterr().out
    assert main(["toy"]) == 2
    wanted = "ganforge: toy: WORD is missing; usage: ganforge toy [OPTIONS] WORD\n"
    assert capsys.readouterr().err == wanted
    assert main(["help", "tooy"]) == 2
    assert "did you mean 'toy'?" in capsys.readouterr().err


def test_without_its_line_there_is_no_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["toy", "hello"]) == 2
    assert "toy" in capsys.readouterr().err


def test_every_file_has_its_line() -> None:
    files = {path.stem for path in FOLDER.glob("*.py")} - {"__init__"}
    assert files == set(COMMANDS)
    for name, where in COMMANDS.items():
        assert where.startswith(f"ganforge.cli.commands.{name}:")


def test_the_help_of_every_command_imports_nothing_heavy() -> None:
    commands = [*([name] for name in COMMANDS), ["data", "show"], ["data", "pack"]]
    heavy = [name for name in HEAVY if name != "rich.progress"]
    code = (
        "import sys\n"
        "from ganforge.cli import main\n"
        f"for words in {commands!r}:\n"
        "    assert main([*words, '--help']) == 0\n"
        f"print([name for name in {heavy!r} if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert done.stdout.count("Usage: ganforge ") >= len(commands)
