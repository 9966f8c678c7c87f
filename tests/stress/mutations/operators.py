"""Mutants of one source file: every place where one small change is possible, each by a name.

A name is `file:function old -> new`, without a line number, so that it stays the same while the
rest of the file changes.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

Node = ast.expr | ast.stmt

SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
}  # fmt: skip
LONGEST = 64  # characters of an expression in a name
UNREAD = (ast.Raise, ast.JoinedStr, ast.Assert)  # the texts of messages


@dataclass(frozen=True)
class Mutant:
    """One changed file.

    Args:
        name: `file:function old -> new`, the file relative to the package.
        file: relative to the package.
        text: the whole changed source.
        where: `file:function`.
        kind: what the changed node is, "Constant" for one.
        tests: files or ids of tests that judge it; if none, the tests that enter the function.
    """

    name: str
    file: str
    text: str
    where: str
    kind: str = ""
    tests: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Source:
    """One file with the byte offset at which each line begins; the parser counts in bytes."""

    data: bytes
    starts: tuple[int, ...]

    @classmethod
    def of(cls, text: str) -> _Source:
        data, starts = text.encode(), [0]
        for line in data.splitlines(keepends=True):
            starts.append(starts[-1] + len(line))
        return cls(data, tuple(starts))

    def span(self, node: Node) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return (
            self.starts[node.lineno - 1] + node.col_offset,
            self.starts[node.end_lineno - 1] + node.end_col_offset,
        )

    def replaced(self, node: Node, new: str) -> str:
        first, last = self.span(node)
        return (self.data[:first] + new.encode() + self.data[last:]).decode()

    def change(self, node: Node, new: str, shown: Node) -> str:
        """`old -> new` for a node, with so much of the expression around it as tells where."""
        (first, last), (begin, end) = self.span(node), self.span(shown)
        before, old, after = (
            self.data[i:j].decode() for i, j in ((begin, first), (first, last), (last, end))
        )
        room = max(LONGEST - len(old), 0)
        before = before if len(before) <= room else f"...{before[len(before) - room :]}"
        return f"{_short(before + old + after)} -> {_short(before + new + after)}"


def mutants(path: Path, root: Path) -> Iterator[Mutant]:
    """Every mutant of the functions of a file, in the order of the source; constants outside
    functions, messages, annotations and default arguments stay.

    Args:
        path: the file.
        root: the package's folder.
    """
    text, file = path.read_text(), path.relative_to(root).as_posix()
    source, seen = _Source.of(text), Counter[str]()
    for where, node, shown in _nodes(ast.parse(text)):
        for new in _changes(node):
            name = f"{file}:{where} {source.change(node, new, shown)}"
            seen[name] += 1
            name += f" [{seen[name]}]" if seen[name] > 1 else ""
            text = source.replaced(node, new)
            yield Mutant(name, file, text, f"{file}:{where}", type(node).__name__)


def function(text: str, qualified: str) -> tuple[int, int]:
    """The part of a source that a function or class takes, by its qualified name.

    Returns:
        First and last character's position; the whole file for the name "".
    """
    if not qualified:
        return 0, len(text)
    node: ast.AST = ast.parse(text)
    for part in qualified.split("."):
        node = next(n for n in ast.iter_child_nodes(node) if getattr(n, "name", "") == part)
    source = _Source.of(text)
    first, last = source.span(node)  # type: ignore[arg-type]
    return len(source.data[:first].decode()), len(source.data[:last].decode())


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


Place = tuple[str, Node, Node]


def _nodes(tree: ast.AST, where: str = "", inside: bool = False) -> Iterator[Place]:
    """(qualified name of the function, node, what a name shows of it) for every node that may
    change."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.ClassDef | ast.FunctionDef):
            name = f"{where}.{child.name}" if where else child.name
            for statement in child.body:
                yield from _walk(statement, name, inside or isinstance(child, ast.FunctionDef))


def _walk(node: ast.AST, where: str, inside: bool, around: Node | None = None) -> Iterator[Place]:
    if isinstance(node, UNREAD):
        return
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        yield from _nodes(ast.Module([node], []), where, inside)
        return
    if isinstance(node, ast.expr | ast.stmt):
        short = isinstance(node, ast.Constant | ast.Name | ast.UnaryOp | ast.Tuple | ast.Slice)
        around = around if short and around else node
        if inside:
            yield where, node, around
    annotation = getattr(node, "annotation", None)
    for child in ast.iter_child_nodes(node):
        if child is not annotation:
            yield from _walk(child, where, inside, around)


def _changes(node: Node) -> Iterator[str]:
    """The texts that take a node's place."""
    match node:
        case ast.Compare(left, [op, *ops], values) if type(op) in SWAPS:
            yield f"({ast.unparse(ast.Compare(left, [SWAPS[type(op)](), *ops], values))})"
        case ast.BoolOp(op, values):
            yield f"({ast.unparse(ast.BoolOp(SWAPS[type(op)](), values))})"
        case ast.BinOp(left, op, right) if type(op) in SWAPS and not _is_text(left, right):
            yield f"({ast.unparse(ast.BinOp(left, SWAPS[type(op)](), right))})"
        case ast.UnaryOp(ast.Not(), operand):
            yield f"({ast.unparse(operand)})"
        case ast.Constant(bool(value)):
            yield str(not value)
        case ast.Constant(int(value)):
            yield str(value + 1)
        case ast.Constant(float(value)):
            yield str(2 * value or 1.0)
        case ast.Return(value) if not _is_none(value):
            yield "return None"
        case ast.Expr(ast.Call()):
            yield "pass"
        case ast.Call(called, given, [*named, ast.keyword(str())]):
            yield ast.unparse(ast.Call(called, given, named))
        case _:
            return


def _is_none(value: ast.expr | None) -> bool:
    return value is None or (isinstance(value, ast.Constant) and value.value is None)


def _is_text(*operands: ast.expr) -> bool:
    return any(
        isinstance(o, ast.JoinedStr) or (isinstance(o, ast.Constant) and isinstance(o.value, str))
        for o in operands
    )
