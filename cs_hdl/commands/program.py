"""``cs-hdl program``: the bitstream into the board."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cs_hdl.board.catalogue import find_board
from cs_hdl.commands.console import Steps, output, print_json
from cs_hdl.errors import InputError

__all__ = ["program"]


def program(
    board: Annotated[str, typer.Option(help="The board (cs-hdl boards lists them).")],
    design: Annotated[Path | None, typer.Argument(metavar="[DIR]", help="The design directory, built before.")] = None,
    bitstream: Annotated[Path | None, typer.Option(metavar="FILE", help="A bitstream, in place of DIR's.")] = None,
    flash: Annotated[bool, typer.Option("--flash", help="Into the flash, so that it stays after power-off.")] = False,
    cable: Annotated[str | None, typer.Option(help="Programmer, where the board has none of its own.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Load a bitstream into a board, with openFPGALoader."""
    from cs_hdl.build.program import find_bitstream, program_arguments, program_board

    found = find_board(board)
    if (design is None) == (bitstream is None):
        raise InputError("give the design directory, or --bitstream FILE")
    path = bitstream
    if design is not None:
        path = find_bitstream(design, found)
    assert path is not None  # one of the two was given
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    arguments = program_arguments(found, path, flash=flash, cable=cable)
    with Steps() as step:
        step(f"loading {path} into {found.name}")
        program_board(arguments)
    if json:
        print_json({"board": found.name, "bitstream": str(path), "flash": flash})
    else:
        output().print(f"loaded; next: cs-hdl run {design or 'DIR'} --port /dev/ttyUSB0", soft_wrap=True)
