"""The statements of an emitted ``design.v``: enough of Verilog to plant faults in it, and no more.

Yosys writes one operator an assignment and one statement a line, so that a line is what a fault
changes. Everything that is not understood is left alone: it takes no fault.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

__all__ = ["Expression", "Kind", "Module", "Statement", "parse", "parse_expression", "read_modules"]

_NAME = r"(?:\\\S+\s|[A-Za-z_$][\w$]*)"
# An address may have a select of its own, as in memory[write[8:2]].
_TARGET = rf"(?P<target>{_NAME}\s*(?:\[(?:[^\[\]]|\[[^\]]*\])*\])?)"
_TOKEN = re.compile(
    rf"\s*(?:(?P<name>{_NAME})|(?P<number>\d+'s?[bdh][0-9a-fxz?_]+|\d+)"
    r"|(?P<operator><<<|>>>|<<|>>|===|!==|==|!=|<=|>=|&&|\|\||[-+*/%&|^~!<>?:,(){}\[\]]))"
)
_BINARY = frozenset(["+", "-", "*", "&", "|", "^", "==", "!=", "<", "<=", ">", ">=", "<<", ">>", ">>>", "&&", "||"])
_UNARY = frozenset(["~", "!", "&", "|", "^", "-"])
_CLOSING = {"(": ")", "{": "}", "[": "]"}


class Kind(Enum):
    """Where a statement stands."""

    ASSIGN = "continuous assignment"
    REGISTER = "register"
    WRITE = "write to a memory"
    ENABLE = "condition of a write or of a register"
    CONTENT = "initial content of a memory"
    CASE = "arm of a casez"


@dataclass(frozen=True, kw_only=True)
class Statement:
    """One line: ``head`` and ``tail`` stand around the expression ``text``; ``target`` is what it changes."""

    module: str
    line: int
    kind: Kind
    head: str
    target: str
    text: str
    tail: str

    def with_text(self, text: str) -> str:
        """The line with another expression."""
        return f"{self.head}{text}{self.tail}"


@dataclass(frozen=True, kw_only=True)
class Module:
    """``first`` and ``last`` are the lines of ``module`` and ``endmodule``, counted from 0.

    ``widths`` holds the bits of each net, ``memories`` the words of each memory; ``instances`` are
    (module, {port: expression}).
    """

    name: str
    first: int
    last: int
    inputs: frozenset[str]
    outputs: frozenset[str]
    widths: dict[str, int]
    memories: dict[str, int]
    statements: tuple[Statement, ...]
    instances: tuple[tuple[str, dict[str, str]], ...]


@dataclass(frozen=True)
class Expression:
    """One operator and its operands: "" for a mere operand, "?" for the conditional."""

    operator: str
    operands: tuple[str, ...]


def read_modules(text: str) -> list[Module]:
    """All modules of ``text``, in its order."""
    lines = text.split("\n")
    starts = [i for i, line in enumerate(lines) if line.startswith("module ")]
    ends = [i for i, line in enumerate(lines) if line.strip() == "endmodule"]
    return [parse(lines, first, last) for first, last in zip(starts, ends, strict=True)]


def parse(lines: list[str], first: int, last: int) -> Module:
    """The module between two lines."""
    match = re.match(rf"module\s+({_NAME})", lines[first])
    assert match is not None, lines[first]
    name = match.group(1).strip()
    ports: dict[str, set[str]] = {"input": set(), "output": set()}
    widths: dict[str, int] = {}
    memories: dict[str, int] = {}
    for line in lines[first:last]:
        _declaration(line, ports, widths, memories)
    return Module(
        name=name,
        first=first,
        last=last,
        inputs=frozenset(ports["input"]),
        outputs=frozenset(ports["output"]),
        widths=widths,
        memories=memories,
        statements=tuple(_statements(name, lines, first, last)),
        instances=tuple(_instances(lines, first, last)),
    )


_DECLARATION = re.compile(
    rf"\s*(?:\(\*.*?\*\)\s*)?(?P<words>(?:(?:input|output|wire|reg|signed)\s+)+)"
    rf"(?:\[(?P<high>\d+):(?P<low>\d+)\]\s*)?(?P<name>{_NAME})\s*(?:\[(?P<a>\d+):(?P<b>\d+)\])?\s*(?:=.*)?[;,]"
)


def _declaration(line: str, ports: dict[str, set[str]], widths: dict[str, int], memories: dict[str, int]) -> None:
    match = _DECLARATION.match(line)
    if match is None:
        return
    name = match["name"].strip()
    widths[name] = int(match["high"]) - int(match["low"]) + 1 if match["high"] else 1
    if match["a"] is not None:
        memories[name] = abs(int(match["a"]) - int(match["b"])) + 1
    for word in set(match["words"].split()) & set(ports):
        ports[word].add(name)


_LINES = {
    Kind.ASSIGN: re.compile(rf"(?P<head>\s*assign {_TARGET}\s*= )(?P<text>.*)(?P<tail>;)$"),
    Kind.REGISTER: re.compile(rf"(?P<head>\s*{_TARGET}\s*<= )(?P<text>.*)(?P<tail>;)$"),
    Kind.CONTENT: re.compile(rf"(?P<head>\s*{_TARGET}\s*= )(?P<text>\d+'h[0-9a-f]+)(?P<tail>;)$"),
    Kind.CASE: re.compile(rf"(?P<head>\s*{_TARGET}\s*= )(?P<text>.*)(?P<tail>;)$"),
    Kind.ENABLE: re.compile(r"(?P<head>\s*if \()(?P<text>.*)(?P<tail>\)(?: begin)?)$"),
}


def _statements(name: str, lines: list[str], first: int, last: int) -> list[Statement]:
    found, block = [], ""
    for number in range(first, last):
        line = lines[number]
        stripped = line.strip()
        if re.match(r"always @\(posedge", stripped):
            block = "always"
        elif stripped.startswith("initial"):
            block = "initial"
        elif stripped.startswith("function"):
            block = "function"
        elif stripped.startswith(("end", "assign")):
            block = "" if stripped != "endcase" else block
        kind = _kind(stripped, block)
        match = _LINES[kind].match(line) if kind else None
        if kind is None or match is None:
            continue
        groups = match.groupdict()
        target = (groups.get("target") or "").strip()
        if kind is Kind.REGISTER and target.endswith("]"):
            kind = Kind.WRITE
        found.append(
            Statement(
                module=name, line=number, kind=kind, head=groups["head"], target=target, text=_plain(groups["text"]),
                tail=groups["tail"],
            )
        )  # fmt: skip
    return found


def _kind(stripped: str, block: str) -> Kind | None:
    if stripped.startswith("assign "):
        return Kind.ASSIGN
    if stripped.startswith("if ("):
        return Kind.ENABLE if block == "always" else None
    return {
        "always": Kind.REGISTER if "<=" in stripped else None,
        "initial": Kind.CONTENT,
        "function": Kind.CASE if stripped.endswith(";") and "=" in stripped else None,
    }.get(block)


def _plain(text: str) -> str:
    """Without attributes, which mean nothing to a simulation. An escaped name ends with a space."""
    plain = re.sub(r"\(\*.*?\*\)\s*", "", text).strip()
    return f"{plain} " if re.search(r"\\\S+$", plain) else plain


def _instances(lines: list[str], first: int, last: int) -> list[tuple[str, dict[str, str]]]:
    found = []
    head = re.compile(rf"  ({_NAME})\s*(?:#\(|{_NAME}\s*\($)")
    number = first + 1
    while number < last:
        match = head.match(lines[number])
        if match is None or match.group(1) in ("function", "always", "if"):
            number += 1
            continue
        ports: dict[str, str] = {}
        while not lines[number].strip().endswith(");"):
            number += 1
            port = re.match(rf"\s*\.({_NAME})\s*\((.*)\),?$", lines[number])
            if port is not None:
                ports[port.group(1).strip()] = _plain(port.group(2))
        found.append((match.group(1).strip(), ports))
        number += 1
    return found


def parse_expression(text: str) -> Expression | None:
    """``text`` taken apart at its one operator; None where there are more, or something unknown."""
    parts = _top_level(text)
    if parts is None:
        return None
    operators = [part for part in parts if part in _BINARY | {"?", ":", "~", "!"}]
    operands = tuple(part for part in parts if part not in operators)
    match operators, len(operands), len(parts):
        case [], 1, 1:
            return Expression("", operands)
        case ["?", ":"], 3, 5:
            return Expression("?", operands)
        case [operator], 2, 3 if operator in _BINARY and parts[1] == operator:
            return Expression(operator, operands)
        case [operator], 1, 2 if operator in _UNARY and parts[0] == operator:
            return Expression(f"unary {operator}", operands)
    return None


def _top_level(text: str) -> list[str] | None:
    """Operands and operators outside of any brackets; an operand keeps its select."""
    parts: list[str] = []
    position = 0
    text = text.rstrip() + " "
    while position < len(text.rstrip()):
        match = _TOKEN.match(text, position)
        if match is None:
            return None
        position = match.end()
        operator = match["operator"]
        if operator is None:
            parts.append(match.group().lstrip())
        elif operator in _CLOSING:
            end = _closing(text, position - 1)
            group = text[position - 1 : end]
            position = end
            # A select or the arguments of a function belong to the name before them.
            if operator in "[(" and parts and re.match(r"[\\A-Za-z_$]", parts[-1]):
                parts[-1] += group
            else:
                parts.append(group)
        else:
            parts.append(operator)
    return parts


def _closing(text: str, start: int) -> int:
    depth = 0
    for position in range(start, len(text)):
        depth += (text[position] in "({[") - (text[position] in ")}]")
        if depth == 0:
            return position + 1
    raise ValueError(f"a bracket is not closed: {text}")
