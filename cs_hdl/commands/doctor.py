"""``cs-hdl doctor``: which tools were found, which are missing and how to get them."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from cs_hdl.commands.console import output, print_json
from cs_hdl.errors import ToolError
from cs_hdl.simulate.environment import SIMULATORS, find_simulator

__all__ = ["doctor"]

#: A second opinion only: without it nothing is out of reach.
_OPTIONAL = ("icarus",)


def doctor(json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """Say which tools were found, which are missing and how to get them (exit code 3 if one is needed)."""
    from cs_hdl.build.tools import find_tools

    rows = [_simulator(name) for name in SIMULATORS]
    for tool in find_tools():
        row = {"name": tool.name, "for": tool.needed_for, "found": tool.found}
        rows.append(row | {"version": tool.version, "where": tool.origin, "hint": "" if tool.found else tool.hint})
    if json:
        print_json({"tools": rows})
    else:
        output().print(_table(rows))
    if any(not row["found"] and row["name"] not in _OPTIONAL for row in rows):
        raise typer.Exit(ToolError.exit_code)


def _simulator(name: str) -> dict[str, Any]:
    row: dict[str, Any] = {"name": name, "for": "simulate", "found": True, "version": "", "where": "", "hint": ""}
    try:
        found = find_simulator(name)
    except ToolError as error:
        return row | {"found": False, "hint": str(error)}
    return row | {"version": found.version, "where": found.path}


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    for column in ("tool", "needed for", "version", "where, or how to get it"):
        table.add_column(column, no_wrap=column == "tool", overflow="fold")
    for row in rows:
        optional = row["name"] in _OPTIONAL
        mark = "[green]✓[/]" if row["found"] else "[yellow]-[/]" if optional else "[red]✗[/]"
        purpose = f"{row['for']} (optional)" if optional else row["for"]
        table.add_row(mark, row["name"], purpose, escape(row["version"]), escape(row["where"] or row["hint"]))
    return table
