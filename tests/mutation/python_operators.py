"""The faults that are planted in golden functions: each operator changes one node of the syntax tree."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

__all__ = ["PYTHON_OPERATORS", "Change", "find_changes"]


@dataclass(frozen=True, kw_only=True)
class Change:
    """``source`` is the whole module with one statement changed: ``was`` became ``now``."""

    operator: str
    function: str
    line: int
    was: str
    now: str
    source: str


_ARITHMETIC = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.FloorDiv: ast.Mult, ast.Div: ast.Mult,
    ast.Mod: ast.FloorDiv, ast.LShift: ast.RShift, ast.RShift: ast.LShift, ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd, ast.Pow: ast.Mult,
}  # fmt: skip
_COMPARISONS = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.GtE, ast.GtE: ast.Lt, ast.Gt: ast.LtE, ast.LtE: ast.Gt,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
_BOUNDARIES = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt}
_FUNCTIONS = {"maximum": "minimum", "minimum": "maximum", "max": "min", "min": "max", "argmax": "argmin", "any": "all"}
_NOT_SWAPPED = (ast.Add, ast.Mult, ast.BitAnd, ast.BitOr)


def _arithmetic(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
        yield ast.BinOp(node.left, _ARITHMETIC[type(node.op)](), node.right)


def _swapped(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.BinOp) and not isinstance(node.op, _NOT_SWAPPED):
        yield ast.BinOp(node.right, node.op, node.left)


def _comparison(table: dict[type, type]) -> Callable[[ast.AST], Iterator[ast.AST]]:
    def changes(node: ast.AST) -> Iterator[ast.AST]:
        if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in table:
            yield ast.Compare(node.left, [table[type(node.ops[0])]()], node.comparators)

    return changes


def _constant(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)) and not isinstance(node.value, bool):
        yield ast.Constant(node.value + 1)
        yield ast.Constant(node.value - 1)


def _inverted(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.IfExp):
        yield ast.IfExp(node.test, node.orelse, node.body)
    if isinstance(node, ast.If):
        yield ast.If(ast.UnaryOp(ast.Not(), node.test), node.body, node.orelse)


def _dropped_sign(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.UnaryOp):
        yield node.operand


def _other_function(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.Call(func=ast.Attribute(value=value, attr=name)) if name in _FUNCTIONS:
            yield ast.Call(ast.Attribute(value, _FUNCTIONS[name], ast.Load()), node.args, node.keywords)
        case ast.Call(func=ast.Name(id=name)) if name in _FUNCTIONS:
            yield ast.Call(ast.Name(_FUNCTIONS[name], ast.Load()), node.args, node.keywords)


def _dropped_argument(node: ast.AST) -> Iterator[ast.AST]:
    """A named argument; the positional ones would only give a TypeError, and strict=True only checks."""
    if isinstance(node, ast.Call):
        for i in (i for i, keyword in enumerate(node.keywords) if keyword.arg != "strict"):
            yield ast.Call(node.func, node.args, node.keywords[:i] + node.keywords[i + 1 :])


def _swapped_elements(node: ast.AST) -> Iterator[ast.AST]:
    """Two neighbours of a tuple, be it of values, indices or targets."""
    if isinstance(node, ast.Tuple) and len(node.elts) > 1:
        for i in range(len(node.elts) - 1):
            elements = list(node.elts)
            elements[i], elements[i + 1] = elements[i + 1], elements[i]
            if ast.dump(elements[i]) != ast.dump(elements[i + 1]):
                yield ast.Tuple(elements, node.ctx)


def _moved_slice(node: ast.AST) -> Iterator[ast.AST]:
    one = ast.Constant(1)
    if isinstance(node, ast.Slice) and node.lower is not None:
        yield ast.Slice(ast.BinOp(node.lower, ast.Add(), one), node.upper, node.step)
    if isinstance(node, ast.Slice) and node.upper is not None:
        yield ast.Slice(node.lower, ast.BinOp(node.upper, ast.Sub(), one), node.step)


def _dropped_term(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.BinOp):
        yield node.left
        yield node.right
    if isinstance(node, ast.BoolOp) and len(node.values) == 2:
        yield from node.values


def _dropped_statement(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.AugAssign) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)):
        yield ast.Pass()


def _set_for_added(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.AugAssign):
        yield ast.Assign([node.target], node.value)


PYTHON_OPERATORS: dict[str, Callable[[ast.AST], Iterator[ast.AST]]] = {
    "arithmetic operator": _arithmetic,
    "swapped operands": _swapped,
    "inverted comparison": _comparison(_COMPARISONS),
    "wrong tie": _comparison(_BOUNDARIES),
    "changed constant": _constant,
    "inverted condition": _inverted,
    "dropped sign": _dropped_sign,
    "other function": _other_function,
    "dropped argument": _dropped_argument,
    "swapped elements": _swapped_elements,
    "moved slice": _moved_slice,
    "dropped term": _dropped_term,
    "dropped statement": _dropped_statement,
    "set for added": _set_for_added,
}


def find_changes(source: str) -> list[Change]:
    """Every change that the operators know of in the functions and tables of ``source``, in its order.

    Messages of errors, annotations and docstrings are left alone: they are no arithmetic.
    """
    tree = ast.parse(source)
    unchanged = ast.unparse(tree)
    changes = []
    for function, body, number in _statements(tree):
        for path, node in _nodes(body[number]):
            for name, operator in PYTHON_OPERATORS.items():
                for other in operator(node):
                    change = _changed(tree, unchanged, function, body, number, path, other, name)
                    changes += [change] if change is not None else []
    return changes


_Statement = tuple[str, list[ast.stmt], int]


def _statements(tree: ast.Module) -> Iterator[_Statement]:
    """Each statement that is no function: the function that it is in, the list that holds it, and its place there."""

    def walk(body: list[ast.stmt], function: str) -> Iterator[_Statement]:
        for number, statement in enumerate(body):
            if isinstance(statement, (ast.Import, ast.ImportFrom, ast.Raise)):
                continue
            if isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.unparse(statement.test):
                continue
            if isinstance(statement, ast.FunctionDef):
                yield from walk(statement.body, statement.name)
                continue
            yield function, body, number
            for name in ("body", "orelse"):
                yield from walk(getattr(statement, name, []), function)
            for case in getattr(statement, "cases", []):
                yield from walk(case.body, function)

    return walk(tree.body, "")


_Path = tuple[tuple[str, int | None], ...]


def _nodes(statement: ast.stmt) -> Iterator[tuple[_Path, ast.AST]]:
    """The nodes of a statement but not of the statements in it, each with the way to it."""

    def walk(node: ast.AST, path: _Path) -> Iterator[tuple[_Path, ast.AST]]:
        yield path, node
        for name, value in ast.iter_fields(node):
            if name in ("body", "orelse", "cases", "annotation") and isinstance(node, ast.stmt):
                continue
            children = value if isinstance(value, list) else [value]
            for i, child in enumerate(children):
                if isinstance(child, ast.AST) and not isinstance(child, (ast.stmt, ast.expr_context)):
                    yield from walk(child, (*path, (name, i if isinstance(value, list) else None)))

    return walk(statement, ())


def _changed(
    tree: ast.Module,
    unchanged: str,
    function: str,
    body: list[ast.stmt],
    number: int,
    path: _Path,
    other: ast.AST,
    operator: str,
) -> Change | None:
    """The module with ``other`` at ``path``; None where that is no Python, or no change. ``tree`` stays as it is."""
    statement = body[number]
    was = _head(statement)
    with _set(body, number, path, other):
        now, source = _head(body[number]), ast.unparse(ast.fix_missing_locations(tree))
    try:
        compile(source, "changed", "exec")
    except SyntaxError:
        return None
    if source == unchanged:
        return None
    return Change(operator=operator, function=function, line=statement.lineno, was=was, now=now, source=source)


@contextmanager
def _set(body: list[ast.stmt], number: int, path: _Path, other: ast.AST) -> Iterator[None]:
    """While it lasts, ``other`` stands at ``path`` of a statement (in place of it where the path is empty)."""
    node: ast.AST = body[number]
    for name, i in path[:-1]:
        node = getattr(node, name) if i is None else getattr(node, name)[i]
    name, i = path[-1] if path else ("", number)
    place = getattr(node, name) if path and i is not None else body
    old = getattr(node, name) if i is None else place[i]
    if i is None:
        setattr(node, name, other)
    else:
        place[i] = other  # type: ignore[call-overload]
    try:
        yield
    finally:
        if i is None:
            setattr(node, name, old)
        else:
            place[i] = old


def _head(node: ast.AST) -> str:
    """A statement's text; of a compound one the first line."""
    text = ast.unparse(ast.fix_missing_locations(node))
    return text if not hasattr(node, "body") or isinstance(node, ast.Expr) else text.split("\n")[0]
