"""Changes the clock of a design that is routed already: a PLL's dividers are plain configuration."""

from __future__ import annotations

import json
from pathlib import Path

from cs_hdl.board.clocks import Pll
from cs_hdl.board.pll import PllSettings
from cs_hdl.board.pll_gowin import GowinPll
from cs_hdl.board.pll_ice40 import Ice40Pll
from cs_hdl.build.pll_config import set_pll
from cs_hdl.errors import ToolError

__all__ = ["set_clock"]


def set_clock(config: Path, pll: Pll) -> None:
    """Rewrite nextpnr's result ``config`` for ``pll``; nothing else changes. ToolError where it has not one PLL."""
    text = config.read_text()
    if isinstance(pll, PllSettings):
        config.write_text(set_pll(text, pll))
    elif isinstance(pll, GowinPll):
        values = {name: f"{value:032b}" for name, value in pll.parameters().items()}
        config.write_text(_set_parameters(text, "rPLL", values))
    elif isinstance(pll, Ice40Pll) and not pll.bypass:
        widths = pll.widths()
        values = {name: f"{value:0{widths[name]}b}" for name, value in pll.parameters().items()}
        config.write_text(_set_parameters(text, "ICESTORM_PLL", values))


def _set_parameters(text: str, kind: str, values: dict[str, str]) -> str:
    """The routed netlist, as JSON, with other parameters of its one cell of type ``kind``."""
    content = json.loads(text)
    cells = [cell for cell in content["modules"]["top"]["cells"].values() if cell["type"] == kind]
    if len(cells) != 1:
        raise ToolError(f"the routed design has {len(cells)} PLLs, not 1")
    cells[0]["parameters"].update(values)
    return json.dumps(content)
