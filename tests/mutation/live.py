"""Which nets of a design can reach its outputs: a change of any other would be no fault."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

from mutation.verilog import Kind, Module, Statement

__all__ = ["live_statements", "names_in"]

_NAMES = re.compile(r"(?<![\w'$\\])(?:\\\S+(?=\s|$)|[A-Za-z_$][\w$]*)")


def names_in(text: str) -> set[str]:
    """The identifiers of an expression (names of functions too, which does no harm)."""
    return set(_NAMES.findall(text))


def live_statements(modules: Iterable[Module], top: str) -> set[tuple[str, int]]:
    """(module, line) of every statement from which some output of ``top`` can be reached."""
    by_name = {module.name.lstrip("\\"): module for module in modules}
    live: dict[str, set[str]] = defaultdict(set)
    live[top] |= by_name[top].outputs
    # A parent's nets decide which outputs of a child count, a child's inputs which nets of its parent do.
    while True:
        before = sum(map(len, live.values()))
        for name, module in by_name.items():
            _spread(module, live, live[name])
        if sum(map(len, live.values())) == before:
            break
    return {
        (module.name, statement.line)
        for name, module in by_name.items()
        for statement in module.statements
        if _base(statement, module) in live[name]
    }


def _spread(module: Module, live: dict[str, set[str]], nets: set[str]) -> None:
    sources: dict[str, set[str]] = defaultdict(set)
    for statement in module.statements:
        sources[_base(statement, module)] |= names_in(statement.text) | names_in(_select(statement))
    for child, ports in module.instances:
        child_live = live[child.lstrip("\\")]
        for port, text in ports.items():
            # What a child's output drives depends on the child's live inputs: those are added below.
            if names_in(text) & nets:
                child_live.add(port)
            if port in child_live:
                sources[f"input of {child}"] |= names_in(text)
    pending = list(nets) + [name for name in sources if name.startswith("input of ")]
    while pending:
        for source in sources.get(pending.pop(), ()):
            if source not in nets:
                nets.add(source)
                pending.append(source)


def _base(statement: Statement, module: Module) -> str:
    """The net, memory or function that a statement changes; a condition counts as what stands behind it."""
    if statement.kind is Kind.ENABLE:
        following = [other for other in module.statements if other.line > statement.line]
        return _base(following[0], module) if following else ""
    match = _NAMES.match(statement.target)
    return match.group() if match else ""


def _select(statement: Statement) -> str:
    match = _NAMES.match(statement.target)
    return statement.target[match.end() :] if match else ""
