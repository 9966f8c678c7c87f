"""Which test files are related to a package: those of its folder, and some of others."""

from __future__ import annotations

import re
from pathlib import Path

# package -> further tests, besides tests/PACKAGE
FURTHER = {
    "augment": ["tests/gan/test_devices.py", "tests/gan/test_step.py"],
    "evaluation": ["tests/callbacks/test_evaluate.py"],
    "gan": ["tests/training/test_resume.py"],
    "nets": ["tests/gan/test_devices.py"],
    "runs": ["tests/test_files.py", "tests/training/test_recovery.py"],
    "": ["tests/test_*.py", "tests/runs", "tests/sampling"],
}
# beginning of a module's path -> tests that judge it by way of others, without importing it
WITHOUT_IMPORT = {
    "api/": ["tests/api/test_surface.py"],
    "augment/": ["tests/gan/test_devices.py"],
    "callbacks/log_": ["tests/callbacks/test_loggers.py"],
    "cli/": [
        "tests/cli/test_answers.py",
        "tests/cli/test_commands.py",
        "tests/cli/test_mistakes.py",
    ],
    "config/": ["tests/api/test_own_parts.py", "tests/gan/test_optimizers.py"],
    "diagnosis/": ["tests/diagnosis/test_checks.py", "tests/diagnosis/test_signals.py"],
    "evaluation/metrics/": ["tests/evaluation/test_floors.py"],
    "export/": ["tests/export/test_demo.py"],
    "gan/": ["tests/gan/test_devices.py"],
    "nets/": ["tests/gan/test_devices.py"],
    "nets/layers.py": ["tests/experiments/test_ensemble.py"],
    "recipes/": ["tests/recipes/test_settings.py"],
    "reproduce/": ["tests/recipes/test_settings.py"],
    "serve/": ["tests/serve/test_guard.py", "tests/serve/test_translating.py"],
    "theory/": ["tests/theory/test_theory.py"],
}
NEAREST = 5  # test files that judge a module by its import
# They read the source or start a whole comparison of programs, so they would see any change or none
NEVER = ("tests/test_layers.py", "tests/test_docs.py", "tests/stress", "tests/benchmarks")


def package(file: str) -> str:
    """The package of a file by its path below the root package; "" for the root's files."""
    return file.partition("/")[0] if "/" in file else ""


def related(tree: Path, part: str) -> list[str]:
    """The test files for mutants of a package, relative to `tree`."""
    wanted = [f"tests/{part}", *FURTHER.get(part, [])] if part else FURTHER[""]
    found: dict[str, None] = {}
    for pattern in wanted:
        for place in sorted(tree.glob(pattern)):
            tests = sorted(place.glob("test_*.py")) if place.is_dir() else [place]
            found |= dict.fromkeys(test.relative_to(tree).as_posix() for test in tests)
    return [name for name in found if not name.startswith(NEVER)]


def near(tree: Path, file: str) -> list[str]:
    """The test files that import a module or judge it by way of others, relative to `tree`; the
    one of the same name first, then the package's and those of `WITHOUT_IMPORT`; `NEAREST` of them.

    Without a trace: a mutant that they kill is killed; one that survives them may not survive all.
    """
    path = Path(file).with_suffix("")
    stem = path.parent.name if path.name == "__init__" else path.name
    dotted = re.escape(".".join(["ganforge", *path.parts]).removesuffix(".__init__"))
    parent = re.escape(".".join(["ganforge", *path.parent.parts]))
    imported = re.compile(rf"{dotted}\b|from {parent} import (\([^)]*|[^\n]*)\b{stem}\b")
    found = []
    beside = [name for start, names in WITHOUT_IMPORT.items() if file.startswith(start)
              for name in names]  # fmt: skip
    for test in sorted(tree.glob("tests/**/test_*.py")):
        name = test.relative_to(tree).as_posix()
        same = test.stem == f"test_{stem}"
        wanted = same or name in beside or imported.search(test.read_text())
        if wanted and not name.startswith(NEVER):
            apart = test.parent.name != path.parts[0] and name not in beside
            found.append((not same, apart, name))
    return [name for *_, name in sorted(found)[:NEAREST]]
