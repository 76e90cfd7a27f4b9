"""The faults that are planted in emitted Verilog: each operator gives the other texts that a statement may have."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from mutation.live import live_statements
from mutation.verilog import Expression, Kind, Module, Statement, parse_expression, read_modules

__all__ = ["LATE", "OPERATORS", "Fault", "find_faults"]

#: Stands for "the same value one clock cycle later", which needs a register of its own.
LATE = "<one cycle late>"

_CONSTANT = re.compile(r"(\d+)'(s?)h([0-9a-f]+)")
_STALLS = re.compile(r"ready|free|space|full|room|busy|taken|stall|wait")
_SELECT = re.compile(r"(?P<name>.*?)(?P<space>\s*)\[(?P<high>\d+):(?P<low>\d+)\]\s*$")


@dataclass(frozen=True, kw_only=True)
class Fault:
    """``statement`` with another expression or, for a write, another ``target``."""

    operator: str
    statement: Statement
    text: str
    target: str = ""

    @property
    def place(self) -> str:
        """The module."""
        return self.statement.module

    @property
    def was(self) -> str:
        """The line as it was."""
        return self.statement.with_text(self.statement.text).strip()

    @property
    def now(self) -> str:
        """The faulty line."""
        line = self.statement.with_text(self.text)
        return (line.replace(self.statement.target, self.target, 1) if self.target else line).strip()


@dataclass(frozen=True)
class _Place:
    """A statement, its expression, and where it stands."""

    statement: Statement
    module: Module
    following: Statement | None

    @cached_property
    def expression(self) -> Expression:
        return parse_expression(self.statement.text) or Expression("unknown", ())

    def origin(self, name: str) -> str:
        """The net behind a chain of plain assignments, "~" before it for each inversion."""
        for _ in range(20):
            name = name.strip()
            text = _aliases(self.module).get(name)
            if text is None:
                return name
            if text.startswith("~"):
                return f"~{self.origin(text[1:])}"
            name = text
        return name


_alias_tables: dict[int, tuple[Module, dict[str, str]]] = {}


def _aliases(module: Module) -> dict[str, str]:
    if id(module) not in _alias_tables:
        table = {}
        for statement in module.statements:
            if statement.kind is Kind.ASSIGN and re.fullmatch(r"~?\s*(?:\\\S+|[A-Za-z_$][\w$]*)\s*", statement.text):
                table[statement.target] = statement.text.replace(" ", "")
        _alias_tables[id(module)] = module, table
    return _alias_tables[id(module)][1]


def _flipped_constant(place: _Place) -> Iterator[str]:
    """The lowest and the highest bit of each constant."""
    text = place.statement.text
    for match in _CONSTANT.finditer(text):
        width, value = int(match[1]), int(match[3], 16)
        for bit in {0, width - 1}:
            yield f"{text[: match.start()]}{width}'{match[2]}h{value ^ (1 << bit):x}{text[match.end() :]}"


_SWITCHED = {"+": "-", "-": "+", "*": "+"}
_LOGICAL = {"&": "|", "|": "&", "^": "|"}
_INVERTED = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
_BOUNDARY = {"<": "<=", "<=": "<", ">": ">=", ">=": ">"}


def _exchange(table: dict[str, str]) -> Callable[[_Place], Iterator[str]]:
    def texts(place: _Place) -> Iterator[str]:
        expression = place.expression
        if expression.operator in table:
            left, right = expression.operands
            yield f"{left} {table[expression.operator]} {right}"

    return texts


def _swapped_operands(place: _Place) -> Iterator[str]:
    """Of an operation where their order counts, and of two parts of a concatenation that are of one width."""
    expression, text = place.expression, place.statement.text
    if expression.operator in ("-", "<", "<=", ">", ">=", "<<", ">>"):
        left, right = expression.operands
        yield f"{right} {expression.operator} {left}"
    if expression.operator == "" and text.startswith("{") and "{" not in text[1:]:
        parts = text.strip()[1:-1].split(",")
        for i, (left, right) in enumerate(pairwise(parts)):
            width = _width(left, place.module)
            if width is not None and width == _width(right, place.module) and left.strip() != right.strip():
                yield "{ " + ",".join([*parts[:i], right, left, *parts[i + 2 :]]) + " }"


def _width(text: str, module: Module) -> int | None:
    text = text.strip()
    match = _SELECT.match(text)
    if match is not None:
        return int(match["high"]) - int(match["low"]) + 1
    if re.search(r"[^\\\s]*\s*\[\d+\]$", text) and text not in module.widths:
        return 1
    match = _CONSTANT.fullmatch(text)
    return int(match[1]) if match else module.widths.get(text)


def _off_by_one(place: _Place) -> Iterator[str]:
    if place.expression.operator in ("+", "-"):
        yield f"{place.statement.text} + 1'h1"


def _wrong_bits(place: _Place) -> Iterator[str]:
    """The bits one place above or below, where the net has them."""
    match = _SELECT.match(place.statement.text)
    if place.expression.operator or match is None:
        return
    width = place.module.widths.get(match["name"].strip(), 0)
    for step in (1, -1):
        high, low = int(match["high"]) + step, int(match["low"]) + step
        if low >= 0 and high < width:
            yield f"{match['name']}{match['space']}[{high}:{low}]"


def _address(text: str, module: Module) -> tuple[str, str] | None:
    match = re.fullmatch(r"(\\?[^\s\[]+)\s*\[(.+)\]", text.strip())
    return (match[1], match[2]) if match and match[1] in module.memories and module.memories[match[1]] > 1 else None


def _wrong_read_address(place: _Place) -> Iterator[str]:
    found = _address(place.statement.text, place.module)
    if found is not None:
        yield f"{found[0]} [{found[1]} ^ 1'h1]"
        yield f"{found[0]} [{found[1]} + 1'h1]"


def _inverted_condition(place: _Place) -> Iterator[str]:
    if place.expression.operator == "?":
        condition, left, right = place.expression.operands
        yield f"{condition} ? {right} : {left}"
    if place.statement.kind is Kind.ENABLE:
        yield f"!({place.statement.text})"


def _stuck_condition(place: _Place) -> Iterator[str]:
    """Of a conditional; that of a reset, and the enable of a register, have operators of their own."""
    if place.expression.operator == "?" and not _is_reset(place) and not _is_enable(place):
        yield from place.expression.operands[1:]


def _is_enable(place: _Place) -> bool:
    """One of the branches is the register that keeps its value."""
    registers = {s.target for s in place.module.statements if s.kind is Kind.REGISTER}
    return any(place.origin(branch) in registers for branch in place.expression.operands[1:])


def _is_reset(place: _Place) -> bool:
    return place.origin(place.expression.operands[0]) == "rst"


def _stuck_enable(place: _Place) -> Iterator[str]:
    if place.statement.kind is Kind.ENABLE:
        yield from ("1'h0", "1'h1")
    elif place.expression.operator == "?" and not _is_reset(place) and _is_enable(place):
        yield from place.expression.operands[1:]


def _missing_reset(place: _Place) -> Iterator[str]:
    if place.expression.operator == "?" and _is_reset(place):
        yield place.expression.operands[2]


def _dropped(place: _Place, *, stalls: bool) -> Iterator[str]:
    expression = place.expression
    if expression.operator in ("&", "|"):
        for dropped, kept in (expression.operands, expression.operands[::-1]):
            if bool(_STALLS.search(place.origin(dropped))) == stalls:
                yield kept


def _dropped_stall(place: _Place) -> Iterator[str]:
    """An operand that says whether there is room or whether the other side is ready."""
    yield from _dropped(place, stalls=True)


def _dropped_term(place: _Place) -> Iterator[str]:
    yield from _dropped(place, stalls=False)


def _dropped_inversion(place: _Place) -> Iterator[str]:
    if place.expression.operator in ("unary ~", "unary -"):
        yield place.expression.operands[0]


def _other_reduction(place: _Place) -> Iterator[str]:
    for one, other in (("|", "&"), ("&", "|")):
        if place.expression.operator == f"unary {one}":
            yield f"{other} {place.expression.operands[0]}"


def _swapped_arm(place: _Place) -> Iterator[str]:
    """What the next arm of the same casez gives."""
    other = place.following
    if place.statement.kind is Kind.CASE and other is not None and other.target == place.statement.target:
        yield other.text


def _late(place: _Place) -> Iterator[str]:
    if place.statement.target in place.module.widths and "clk" in place.module.inputs:
        yield LATE


#: Name, what kinds of statements it changes, and how.
OPERATORS: dict[str, tuple[frozenset[Kind], Callable[[_Place], Iterator[str]]]] = {
    "flipped constant": (frozenset({Kind.ASSIGN, Kind.CONTENT, Kind.REGISTER}), _flipped_constant),
    "arithmetic operator": (frozenset({Kind.ASSIGN, Kind.REGISTER}), _exchange(_SWITCHED)),
    "logical operator": (frozenset({Kind.ASSIGN}), _exchange(_LOGICAL)),
    "inverted comparison": (frozenset({Kind.ASSIGN}), _exchange(_INVERTED)),
    "wrong tie": (frozenset({Kind.ASSIGN}), _exchange(_BOUNDARY)),
    "swapped operands": (frozenset({Kind.ASSIGN, Kind.REGISTER}), _swapped_operands),
    "off by one": (frozenset({Kind.ASSIGN}), _off_by_one),
    "wrong bits": (frozenset({Kind.ASSIGN, Kind.REGISTER}), _wrong_bits),
    "wrong read address": (frozenset({Kind.ASSIGN, Kind.REGISTER}), _wrong_read_address),
    "inverted condition": (frozenset({Kind.ASSIGN, Kind.ENABLE}), _inverted_condition),
    "stuck condition": (frozenset({Kind.ASSIGN}), _stuck_condition),
    "stuck enable": (frozenset({Kind.ASSIGN, Kind.ENABLE}), _stuck_enable),
    "missing reset": (frozenset({Kind.ASSIGN}), _missing_reset),
    "dropped stall": (frozenset({Kind.ASSIGN}), _dropped_stall),
    "dropped term": (frozenset({Kind.ASSIGN}), _dropped_term),
    "dropped inversion": (frozenset({Kind.ASSIGN}), _dropped_inversion),
    "other reduction": (frozenset({Kind.ASSIGN}), _other_reduction),
    "swapped arm": (frozenset({Kind.CASE}), _swapped_arm),
    "late register": (frozenset({Kind.REGISTER}), _late),
}
_WRITE_ADDRESS = "wrong write address"


def find_faults(text: str, top: str) -> list[Fault]:
    """Every fault that the operators know of in the Verilog ``text``, in its order; none in dead logic."""
    modules = read_modules(text)
    live = live_statements(modules, top)
    faults = []
    for module in modules:
        contents = _written(module)
        for statement, following in zip(module.statements, [*module.statements, None][1:], strict=True):
            if (module.name, statement.line) not in live:
                continue
            # What a memory holds at first is a fault only where it holds it for ever.
            if statement.kind is Kind.CONTENT and statement.target.split("[")[0].strip() in contents:
                continue
            faults += _of_statement(_Place(statement, module, following))
    return faults


def _written(module: Module) -> set[str]:
    return {s.target.split("[")[0].strip() for s in module.statements if s.kind is Kind.WRITE}


def _of_statement(place: _Place) -> list[Fault]:
    statement = place.statement
    faults = [
        Fault(operator=name, statement=statement, text=text)
        for name, (kinds, texts) in OPERATORS.items()
        if statement.kind in kinds
        for text in dict.fromkeys(texts(place))
        if text != statement.text
    ]
    found = _address(statement.target, place.module) if statement.kind is Kind.WRITE else None
    if found is not None:
        target = f"{found[0]} [{found[1]} + 1'h1]"
        faults.append(Fault(operator=_WRITE_ADDRESS, statement=statement, text=statement.text, target=target))
    return faults
