"""Many faults in one text: a plusarg says which of them is there, so that a design is compiled once."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping

from mutation.operators import LATE, Fault
from mutation.verilog import Kind, Module, read_modules

__all__ = ["PLUSARG", "plant_all", "plant_one"]

#: The run with ``+cs_fault=N`` has fault N; without it, or with 0, the design is as it was.
PLUSARG = "cs_fault"
_CHOICE = "cs_fault"


def plant_all(text: str, faults: Mapping[int, Fault]) -> str:
    """``text`` with every fault of ``faults`` (numbers above 0) in it, each asleep until it is chosen."""
    lines = text.split("\n")
    by_line: dict[int, list[tuple[int, Fault]]] = defaultdict(list)
    for number, fault in faults.items():
        by_line[fault.statement.line].append((number, fault))
    for module in read_modules(text):
        own = {line: by_line[line] for line in range(module.first, module.last) if line in by_line}
        if own:
            _plant(lines, module, own)
    return "\n".join(lines)


def plant_one(text: str, fault: Fault) -> str:
    """``text`` with one fault and no choice."""
    lines = text.split("\n")
    statement, (module,) = fault.statement, [m for m in read_modules(text) if m.name == fault.statement.module]
    value = fault.text
    if value == LATE:
        value = "cs_late_1"
        lines[module.last] = _late_register(1, fault, module) + lines[module.last]
    line = statement.with_text(value)
    lines[statement.line] = line.replace(statement.target, fault.target, 1) if fault.target else line
    return "\n".join(lines)


def _plant(lines: list[str], module: Module, own: Mapping[int, list[tuple[int, Fault]]]) -> None:
    extra = []
    for line, planted in own.items():
        statement = planted[0][1].statement
        value, target = f"({statement.text})", ""
        for number, fault in planted:
            chosen = f"{_CHOICE} == 16'd{number}"
            if fault.target:
                target = f"{chosen} ? ({_index(fault.target)}) : {target or f'({_index(statement.target)})'}"
                continue
            text = f"cs_late_{number}" if fault.text == LATE else fault.text
            if fault.text == LATE:
                extra.append(_late_register(number, fault, module))
            value = f"{chosen} ? ({text}) : {value}"
        lines[line] = statement.with_text(value)
        if target:
            memory = statement.target.split("[")[0]
            lines[line] = lines[line].replace(statement.target, f"{memory}[{target}]", 1)
        if statement.kind is Kind.CONTENT:
            _choose_before_content(lines, line)
    read = f'$value$plusargs("{PLUSARG}=%d", {_CHOICE})'
    declaration = f"\n  reg [15:0] {_CHOICE};\n  initial if (!{read}) {_CHOICE} = 16'd0;"
    # The ports are on the line of "module", or up to the first ");".
    header = next(i for i in range(module.first, module.last) if lines[i].rstrip().endswith(");"))
    lines[header] += declaration
    lines[module.last] = "".join(extra) + lines[module.last]


def _index(target: str) -> str:
    return target[target.index("[") + 1 : target.rindex("]")]


def _late_register(number: int, fault: Fault, module: Module) -> str:
    width = module.widths[fault.statement.target.strip()]
    source = fault.statement.text
    return f"  reg [{width - 1}:0] cs_late_{number} = 0;\n  always @(posedge clk) cs_late_{number} <= {source};\n"


def _choose_before_content(lines: list[str], line: int) -> None:
    """Verilog gives the initial blocks of a module no order: this one reads the choice itself."""
    read = f'if (!$value$plusargs("{PLUSARG}=%d", {_CHOICE})) {_CHOICE} = 16\'d0;'
    while not re.match(r"\s*initial begin", lines[line]):
        line -= 1
    if read not in lines[line]:
        lines[line] = f"{lines[line].rstrip()} {read}"
