"""The table of commands: one file and one line a command, help without heavy imports."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cyclopts import App
from cyclopts.completion import detect

import ganforge
from ganforge.cli import main
from ganforge.cli.app import application
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
    named = {name.lstrip("-").replace("-", "_"): where for name, where in COMMANDS.items()}
    assert files == set(named)
    for name, where in named.items():
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


def commands(app: App, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], App]]:
    """Every command, those inside others too, by its words."""
    for name in app:
        if name not in ("-h", "--help", "--version"):
            words = (*path, name)
            yield words, app[name]
            yield from commands(app[name], words)


EVERY = dict(commands(application()))


@pytest.mark.parametrize("words", [words for words in EVERY if words != ("data",)], ids=" ".join)
def test_the_help_explains_every_argument(words: tuple[str, ...]) -> None:
    for argument in EVERY[words].assemble_argument_collection(parse_docstring=True):
        text = " ".join((argument.parameter.help or "").split())
        explained = re.sub(r" ?\[default: .*\]", "", text)
        assert re.fullmatch(r".{9,}\.", explained), f"{argument.name}: {text!r}"


def test_the_help_says_no_default_twice_and_none_of_flags(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for words in EVERY:
        assert main([*words, "--help"]) == 0
        text = " ".join(capsys.readouterr().out.replace("│", " ").split())
        assert "[default: False]" not in text and '[default: ""]' not in text
        assert not re.search(r"\[default: [^\]]*\] \[default: ", text), words


HOME_FILES = {
    "bash": (".local/share/bash-completion/completions/ganforge", ".bashrc"),
    "zsh": (".zsh/completions/_cyclopts_ganforge", ".zshrc"),
    "fish": (".config/fish/completions/ganforge.fish", ""),
}


@pytest.mark.parametrize("shell", HOME_FILES)
def test_completion_is_installed_without_heavy_imports(shell: str, tmp_path: Path) -> None:
    code = (
        "import sys; from ganforge.cli import main\n"
        f"code = main(['--install-completion', '--shell', {shell!r}])\n"
        f"assert not set(sys.modules) & {set(HEAVY)}\n"
        "sys.exit(code)"
    )
    home = {"HOME": str(tmp_path), "ZSH": "", "ZSH_CUSTOM": ""}
    for _ in range(2):  # a second time changes nothing
        done = subprocess.run(
            [sys.executable, "-c", code],
            check=False,
            capture_output=True,
            text=True,
            env=os.environ | home,
        )
        assert done.returncode == 0 and f"completion for {shell} in {tmp_path}" in done.stdout
    script, loaded_by = (tmp_path / name for name in HOME_FILES[shell])
    for word in ("translate", "dry-run", "install-completion"):
        assert word in script.read_text()
    if loaded_by.is_file():
        assert loaded_by.read_text().count(str(script.parent)) == {"bash": 2, "zsh": 1}[shell]


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
@pytest.mark.parametrize(
    ("typed", "wanted"),
    [("ganforge tra", {"train", "translate"}), ("ganforge sample --trunc", {"--truncation"}),
     ("ganforge data ", {"pack", "show"})],
)  # fmt: skip
def test_bash_completes(typed: str, wanted: set[str], tmp_path: Path) -> None:
    script = tmp_path / "completion"
    script.write_text(application().generate_completion(shell="bash"))
    words = typed.split(" ")
    command = (
        f"source {script}; COMP_WORDS=({' '.join(words[:-1])} '{words[-1]}'); "
        f"COMP_CWORD={len(words) - 1}; _ganforge; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    )
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == wanted


def test_an_unknown_shell_is_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(detect, "detect_shell", lambda: "powershell")
    assert main(["--install-completion"]) == 2
    assert "no completion for powershell: add --shell bash" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
