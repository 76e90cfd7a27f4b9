"""``cs-hdl report``: one HTML page of a design, or of two side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cs_hdl.commands.console import Steps, output, print_json
from cs_hdl.commands.tables import facts
from cs_hdl.commands.target import DEFAULT_BOARD
from cs_hdl.errors import InputError

__all__ = ["report"]


def report(
    design: Annotated[Path, typer.Argument(metavar="DIR", help="The design directory.")],
    other: Annotated[Path | None, typer.Argument(metavar="[OTHER_DIR]", help="Another one, beside it.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="PAGE.html", help="The page (default: DIR/report.html).")] = None,
    board: Annotated[
        str, typer.Option(help="Its clock and its device's limits count where there is no build.")
    ] = DEFAULT_BOARD,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Draw a design on one HTML page that needs no other file: network, packing, pipeline, resources, timing."""
    from cs_hdl.files import write_aside
    from cs_hdl.report.design_facts import gather
    from cs_hdl.report.design_page import design_page

    page = out or design / "report.html"
    if page.is_dir():
        raise InputError(f"--out {page}: is a folder; name the page in it")
    found = []
    with Steps() as step:
        for folder in (design, other):
            if folder is not None:
                step(f"reading {folder}")
                found.append(gather(folder, board=board))
        step("drawing")
        text = design_page(found)
        try:
            write_aside(page, text)
        except OSError as error:
            raise InputError(f"--out {page}: cannot be written ({error.strerror})") from None
    notes = [note for facts_ in found for note in facts_.notes]
    if json:
        print_json({"page": str(page), "bytes": len(text.encode()), "designs": [str(f.folder) for f in found],
                    "notes": notes})  # fmt: skip
        return
    rows = {"page": f"[bold]{page}[/], {len(text.encode()) / 1000:,.0f} kB, nothing else is needed"}
    output().print(facts(rows | {f"note {number}": note for number, note in enumerate(notes, 1)}))
