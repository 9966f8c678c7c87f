"""Code tokens of a folder of Python files: no comments, no docstrings, no blank lines.

python -m tests.helpers.tokens src/ganforge
"""

from __future__ import annotations

import ast
import io
import sys
import tokenize
from collections import Counter
from pathlib import Path

LAYOUT = {
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
    tokenize.ENCODING, tokenize.ENDMARKER,
}  # fmt: skip
DESCRIBED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def docstrings(tree: ast.AST) -> set[tuple[int, int]]:
    """Where the docstrings of a file begin."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, DESCRIBED) and ast.get_docstring(node, clean=False) is not None:
            first = node.body[0]
            found.add((first.lineno, first.col_offset))
    return found


def count(text: str) -> int:
    """The code tokens of a file's text."""
    skipped = docstrings(ast.parse(text))
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return sum(t.type not in LAYOUT and t.start not in skipped for t in tokens)


def main() -> None:
    """Print the tokens of each part of a folder, the largest first, and their sum."""
    root = Path(sys.argv[1])
    found: Counter[str] = Counter()
    for path in root.rglob("*.py"):
        found[path.relative_to(root).parts[0]] += count(path.read_text())
    for name, tokens in found.most_common():
        print(f"{tokens:>9,}  {name}")
    print(f"{sum(found.values()):>9,}  in all")


if __name__ == "__main__":
    main()
