"""A table of constants, read in a cycle."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from amaranth.hdl import ClockSignal, Instance, Module
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from cs_hdl.rtl.platform import EmitPlatform
from cs_hdl.rtl.streams import index_width

__all__ = ["ConstantTable"]

_VERILOG = """\
module {name}(clk, en, address, data);
  input clk;
  input en;
  input [{address_width}:0] address;
  output [{width}:0] data;
  reg [{width}:0] data;
  (* rom_style = "{style}" *)
  reg [{width}:0] rows [{depth}:0];
  initial begin
{rows}
  end
  always @(posedge clk) begin
    if (en) data <= rows[address];
  end
endmodule
"""


class ConstantTable(wiring.Component):
    """``data`` is row ``address`` of the last cycle in which ``en`` was high (always, if left alone); no reset.

    Latency 1 cycle, initiation interval 1.

    In Verilog it is a module of its own, written as text: Amaranth and Yosys take seconds for a megabit.
    What is read beyond the last row means nothing.

    Parameters
    ----------
    rows: numbers of ``width`` bits. style: ``"block"`` for block RAM, ``"logic"`` for LUTs.
    """

    def __init__(self, rows: Sequence[int], *, width: int, style: str) -> None:
        self._rows, self._width, self._style = list(rows), width, style
        super().__init__({"address": In(index_width(len(rows))), "en": In(1, init=1), "data": Out(width)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        if isinstance(platform, EmitPlatform):
            m.submodules.memory = Instance(
                self._text_module(platform),
                i_clk=ClockSignal(),
                i_en=self.en,
                i_address=self.address,
                o_data=self.data,
            )
            return m
        memory = m.submodules.memory = Memory(shape=self._width, depth=len(self._rows), init=self._rows)
        read = memory.read_port()
        m.d.comb += [read.en.eq(self.en), read.addr.eq(self.address[: len(read.addr)]), self.data.eq(read.data)]
        return m

    def _text_module(self, platform: EmitPlatform) -> str:
        """The name of the module with these rows, which ``platform`` has from now on."""
        text = _VERILOG.format(
            name="{name}",
            address_width=len(self.address) - 1,
            width=self._width - 1,
            style=self._style,
            depth=len(self._rows) - 1,
            rows="\n".join(f"    rows[{place}] = {self._width}'h{row:x};" for place, row in enumerate(self._rows)),
        )
        name = f"cs_table_{hashlib.sha256(text.encode()).hexdigest()[:16]}"
        platform.texts[name] = text.replace("{name}", name)
        return name
