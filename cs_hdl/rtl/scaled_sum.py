"""Two tensors added, or one scaled anew: value by value, rounded once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from cs_hdl.fixedpoint import dtype_range
from cs_hdl.plan.sums import scaled_sum_latency
from cs_hdl.rtl.primitives.adder_tree import Node, scale_sum
from cs_hdl.rtl.primitives.registers import delayed
from cs_hdl.rtl.streams import values_layout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cs_hdl.network import ScaledSum as Scale

__all__ = ["ScaledSum", "operands_layout"]


def operands_layout(dtypes: Sequence[str], lanes: int) -> data.StructLayout:
    """``operand_n.values[lane]``: one beat of each operand."""
    return data.StructLayout({f"operand_{index}": values_layout(dtype, lanes) for index, dtype in enumerate(dtypes)})


class ScaledSum(wiring.Component):
    """``clamp(round_half_even(sum of operand * multiplier / 2**shift))`` in each lane.

    Multiplied by adders alone, one for each digit of a multiplier that is not 0: no DSP. Initiation interval 1,
    latency ``latency`` cycles; while ``o`` waits, nothing moves.

    Parameters
    ----------
    scale: multipliers, shift, dtype and limits of the result.
    dtypes: of the operands, as many as there are multipliers (ValueError). lanes: values of a beat.

    Members
    -------
    i: ``operands_layout(dtypes, lanes)``. o: ``values_layout(scale.dtype, lanes)``.
    """

    def __init__(self, *, scale: Scale, dtypes: Sequence[str], lanes: int) -> None:
        if len(dtypes) != len(scale.multipliers):
            raise ValueError(f"{len(dtypes)} operands do not fit {len(scale.multipliers)} multipliers")
        self._scale, self._dtypes, self._lanes = scale, tuple(dtypes), lanes
        super().__init__(
            {
                "i": In(stream.Signature(operands_layout(dtypes, lanes))),
                "o": Out(stream.Signature(values_layout(scale.dtype, lanes))),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from a beat to its result, without stalls."""
        return scaled_sum_latency(self._scale)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        move = Signal()
        m.d.comb += [move.eq(self.o.ready | ~self.o.valid), self.i.ready.eq(move)]
        m.d.comb += self.o.valid.eq(delayed(m, self.i.valid, self.latency, name="valid", enable=move)[-1])
        for lane in range(self._lanes):
            operands = [
                Node(self.i.payload[f"operand_{index}"].values[lane], *dtype_range(dtype))
                for index, dtype in enumerate(self._dtypes)
            ]
            result = scale_sum(m, operands, self._scale, move=move, name=f"sum_{lane}")
            m.d.comb += self.o.p.values[lane].eq(result)
        return m
