"""``cs-hdl boards`` and ``cs-hdl models``."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table

from cs_hdl.commands.console import output, print_json
from cs_hdl.commands.tables import shape_text
from cs_hdl.network import Tensor

__all__ = ["boards", "models"]


def boards(json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """List the boards that are known."""
    from cs_hdl.board.catalogue import boards as known

    if json:
        print_json({"boards": [_board(board) for board in known()]})
        return
    table = _table("board", "device", "family", "LUT", "DSP", "block RAM", "models")
    for board in known():
        entry, limits = _board(board), board.limits
        numbers = (f"{number:,}" for number in (limits.lut, limits.dsp, limits.block_ram))
        table.add_row(entry["name"], entry["device"], entry["family"], *numbers, ", ".join(entry["models"]))
    output().print(table)


def _board(board: Any) -> dict[str, Any]:
    return {"name": board.name, "device": board.device, "family": board.family, "models": list(board.models)}


def models(json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """List the models that the package ships."""
    from cs_hdl.frontend.onnx import read_onnx
    from cs_hdl.models import models as known

    # What a design of the model takes and gives, rather than the float tensors of the file.
    found = [(model, read_onnx(model.path)) for model in known()]
    if json:
        entries = [
            {
                "name": model.name,
                "path": str(model.path),
                "summary": model.summary,
                "input": _tensor(network.input),
                "output": _tensor(network.output),
            }
            for model, network in found
        ]
        print_json({"models": entries})
        return
    table = _table("model", "input", "output", "about")
    for model, network in found:
        ports = (f"{shape_text(tensor.shape)} {tensor.dtype}" for tensor in (network.input, network.output))
        table.add_row(model.name, *ports, model.summary)
    output().print(table)


def _tensor(tensor: Tensor) -> dict[str, Any]:
    return {"shape": list(tensor.shape), "dtype": tensor.dtype}


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(columns):
        number = column in ("LUT", "DSP", "block RAM")
        table.add_column(column, justify="right" if number else "left", no_wrap=index == 0, overflow="fold")
    return table
