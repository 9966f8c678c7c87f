"""The shape of the package: imports go down the ladder, functions are short, calls are safe."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import ganforge

ROOT = Path(ganforge.__file__).parent

# From the top down: a folder imports from the folders of its line and from those below it.
LADDER = """
__main__
cli
serve export report theory reproduce
experiments
api
callbacks
diagnosis
training
plotting evaluation
runs
sampling
recipes
registry
gan
augment nets
data
config
images bar files rng types errors text _version _deprecated
"""
RANK = {name: i for i, line in enumerate(LADDER.strip().split("\n")) for name in line.split()}
MOST_FILES_AT_THE_TOP = 12

MAX_FUNCTION = 60
MAY_PRINT = {"cli.app", "__main__", "callbacks.display", "training.stuck"}


def modules() -> dict[str, Path]:
    """Every module of the package, by its dotted name inside it; "" is the package itself."""
    out = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        out[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return out


MODULES = modules()
TREES = {name: ast.parse(path.read_text()) for name, path in MODULES.items()}
NAMED = sorted(name for name in MODULES if name)


def imports(name: str) -> Iterator[tuple[str, bool]]:
    """(module of ours, for types only) for every import in a file, those in functions too."""
    types_only = {
        id(inner)
        for node in ast.walk(TREES[name])
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(TREES[name]):
        found = []
        if isinstance(node, ast.Import):
            found = [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name}: a relative import"
            found = [f"{node.module}.{a.name}" for a in node.names]
        for full in found:
            if full.split(".")[0] == "ganforge":
                inside = full.partition(".")[2]
                while inside and inside not in MODULES:
                    inside = inside.rpartition(".")[0]
                yield inside, id(node) in types_only


def rank(name: str) -> int:
    top = name.split(".", maxsplit=1)[0]
    assert top in RANK, f"{name} has no place in LADDER"
    return RANK[top]


@pytest.mark.parametrize("name", NAMED)
def test_imports_go_down_the_ladder(name: str) -> None:
    upward = [other for other, _ in imports(name) if other and rank(other) < rank(name)]
    assert not upward, f"{name} imports {upward}, which stand above it"


def test_few_files_lie_at_the_top() -> None:
    files = sorted(path.name for path in ROOT.glob("*.py"))
    assert len(files) <= MOST_FILES_AT_THE_TOP, files


def packages(name: str) -> set[str]:
    """The packages that a module lies in; their files are run before it."""
    parts = name.split(".")
    return {".".join(parts[:i]) for i in range(1, len(parts))}


def test_there_are_no_cycles() -> None:
    """Every module can be the first that a program imports."""
    graph = {
        name: {
            module
            for other, types in imports(name)
            if other and not types
            for module in {other} | packages(other)
        } - {name} - packages(name)
        for name in NAMED
    }  # fmt: skip
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " > ".join([*path, name])
        if name not in done:
            for other in graph[name]:
                visit(other, (*path, name))
            done.add(name)

    for name in NAMED:
        visit(name, ())


def test_the_loop_never_evaluates() -> None:
    """Whoever iterates over it does."""
    reached, todo = set(), ["training.loop"]
    while todo:
        name = todo.pop()
        if name and name not in reached:
            reached.add(name)
            todo += [other for other, _ in imports(name)]
    assert not {n for n in reached if n.split(".")[0] in ("evaluation", "plotting", "diagnosis")}


def test_metrics_see_arrays() -> None:
    """Not players, runs or recipes; only data sets, for their classifiers."""
    for name in NAMED:
        if name.startswith("evaluation.") and name not in (
            "evaluation.evaluate",
            "evaluation.store",
            "evaluation.translation",
        ):
            packages = {other.split(".")[0] for other, _ in imports(name)}
            below = {"", "evaluation", "data", "rng", "errors", "types", "text", "bar"}
            assert packages <= below, name


def test_nobody_inside_imports_the_face() -> None:
    for name in NAMED:
        for node in ast.walk(TREES[name]):
            if isinstance(node, ast.ImportFrom) and node.module == "ganforge":
                names = {a.name for a in node.names}
                assert names <= set(MODULES), f"{name}: from ganforge import {names}"
            if isinstance(node, ast.Import):
                assert "ganforge" not in {a.name for a in node.names}, name


# --- size -------------------------------------------------------------------------------------


def too_long(tree: ast.AST, command: bool) -> list[str]:
    """Functions longer than MAX_FUNCTION, with signature and docstring; those of a command are its
    options and its help text, and are not counted."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node) is not None
            first = node.body[text].lineno if command and len(node.body) > text else node.lineno
            length = (node.end_lineno or 0) - first + 1
            if length > MAX_FUNCTION:
                found.append(f"{node.name} has {length} lines")
    return found


@pytest.mark.parametrize("name", sorted(MODULES))
def test_functions_are_short(name: str) -> None:
    assert too_long(TREES[name], name.startswith("cli.commands.")) == []


@pytest.mark.parametrize("command", [True, False])
def test_the_check_counts_signature_docstring_and_body(command: bool) -> None:
    described = 'def f(\n    x,\n):\n    """One.\n' + "\n" * 53 + '    """\n'
    assert too_long(ast.parse(described + "    return x\n" * 2), command) == []
    assert too_long(ast.parse(described + "    return x\n" * 3), command) == (
        [] if command else ["f has 61 lines"]
    )
    assert too_long(ast.parse("def f(x):\n" + "    x += 1\n" * 61), command)


@pytest.mark.parametrize("name", sorted(MODULES))
def test_what_is_public_is_described(name: str) -> None:
    assert ast.get_docstring(TREES[name]), f"{name} has no docstring"
    recipe = name.rpartition(".")[2] if name.startswith("recipes.") else ""  # the file describes it
    for node in TREES[name].body:
        public = isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
        if public and node.name != recipe:
            assert ast.get_docstring(node), f"{name}.{node.name} has no docstring"


# --- what is never called ---------------------------------------------------------------------

FORBIDDEN_MODULES = {
    "pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "joblib", "torchvision",
}  # fmt: skip
FORBIDDEN_CALLS = {
    "eval", "exec", "compile", "torch.load", "torch.save", "torch.export.load", "torch.jit.load",
    "torch.hub.load", "torch.compiler.load", "yaml.load", "os.system", "os.popen", "np.save",
    "np.nan_to_num", "torch.nan_to_num",
}  # fmt: skip
FORBIDDEN_METHODS = {"extractall", "extract", "nan_to_num", "nan_to_num_"}


def offences(tree: ast.AST) -> list[str]:
    """Imports and calls that are not allowed, as text."""
    out = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [a.name for a in node.names]
            if isinstance(node, ast.ImportFrom):
                names = [node.module or "", *(f"{node.module}.{n}" for n in names)]
            bad = [n for n in names if n.split(".")[0] in FORBIDDEN_MODULES]
            out += [f"import {n}" for n in (*bad, *(n for n in names if n in FORBIDDEN_CALLS))]
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func).replace("numpy.", "np.")
            keywords = {k.arg: ast.unparse(k.value) for k in node.keywords}
            method = called.rpartition(".")[2] if "." in called else ""
            if called in FORBIDDEN_CALLS or method in FORBIDDEN_METHODS:
                out.append(called)
            if called in ("np.load", "np.lib.format.read_array") and (
                keywords.get("allow_pickle") != "False"
            ):
                out.append(f"{called} without allow_pickle=False")
            if keywords.get("allow_pickle") == "True" or keywords.get("shell") == "True":
                out.append(ast.unparse(node))
    return out


@pytest.mark.parametrize("name", sorted(MODULES))
def test_nothing_unsafe_is_called(name: str) -> None:
    assert offences(TREES[name]) == []


@pytest.mark.parametrize(
    "text",
    ["import pickle", "from pickle import loads", "import torch\ntorch.load(p)", "eval('1')",
     "from torch import load, save\nload(p)", "torch.export.load(p)", "yaml.load(f)", "exec(code)",
     "archive.extractall(folder)", "np.load(p)", "numpy.load(p, allow_pickle=True)",
     "np.load(p, mmap_mode='r')", "subprocess.run(c, shell=True)", "x.nan_to_num()"],
)  # fmt: skip
def test_the_check_sees_what_is_unsafe(text: str) -> None:
    assert offences(ast.parse(text))


@pytest.mark.parametrize(
    "text",
    ["model.eval()", "spec.loader.exec_module(m)", "np.load(p, allow_pickle=False)",
     "json.loads(t)", "safetensors.torch.load(data)"],
)  # fmt: skip
def test_the_check_leaves_what_is_safe(text: str) -> None:
    assert offences(ast.parse(text)) == []


QUIET = [name for name in sorted(MODULES) if not {name, name.split(".")[0]} & MAY_PRINT]


@pytest.mark.parametrize("name", QUIET)
def test_only_the_entry_of_the_command_line_prints(name: str) -> None:
    mains = [n for n in TREES[name].body if isinstance(n, ast.FunctionDef) and n.name == "main"]
    allowed = {id(inner) for main in mains for inner in ast.walk(main)}  # `python -m` of a file
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.Call) and id(node) not in allowed:
            called = ast.unparse(node.func)
            assert called not in ("print", "sys.stdout.write", "sys.exit"), node.lineno


# --- what an import costs ---------------------------------------------------------------------

HEAVY = ("torch", "numpy", "matplotlib", "PIL", "rich.progress", "scipy", "lightning", "pooch")


@pytest.mark.parametrize("name", ["ganforge", "ganforge.cli"])
def test_imports_that_must_be_cheap(name: str) -> None:
    if name.endswith("cli") and "cli" not in MODULES:
        pytest.skip("there is no command line yet")
    heavy = HEAVY if name == "ganforge" else ("torch", "scipy")
    code = f"import sys, {name}; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_every_public_name_is_there() -> None:
    missing = [n for n in ganforge.__all__ if n not in dir(ganforge)]
    assert missing == []
    optional = {"lightning"}
    for name in sorted(set(ganforge.__all__) - optional):
        assert getattr(ganforge, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = ganforge.nothing
