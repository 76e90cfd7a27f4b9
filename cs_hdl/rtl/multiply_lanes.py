"""Multiply, route and sum on chains of lanes: the engine whose values fetch their weights by index."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from amaranth.hdl import Cat, Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from cs_hdl.fixedpoint import dtype_range
from cs_hdl.plan.lane_tables import lane_tables
from cs_hdl.rtl.activation_writer import ActivationWriter, input_layout
from cs_hdl.rtl.gather import Gather
from cs_hdl.rtl.lane_chain import LaneChain
from cs_hdl.rtl.lane_control import LaneControl
from cs_hdl.rtl.streams import values_layout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cs_hdl.combine.packed import PackedLayer
    from cs_hdl.network import Requantise
    from cs_hdl.plan.lanes import LanesPlan

__all__ = ["MultiplyLanes"]


class MultiplyLanes(wiring.Component):
    """A convolution or a linear layer, folded as ``plan`` says.

    Control, activations and drained sums pass from lane to lane and from engine to engine, one a cycle,
    so no wire is longer than to the neighbour; behind the last lane of an engine bias and scale are
    applied and the channel order is restored, and behind all of them the raster order.

    Parameters
    ----------
    packed: the complementary sets; plan: the folding.
    biases: one a kernel; requantise: None for the exact sums.
    dtype, output_dtype: of an input value and of a result.

    Members
    -------
    i: ``input_layout(plan, dtype)``; o: ``values_layout(output_dtype, plan.output_lanes)``.

    Initiation interval ``plan.cycles`` cycles a word.
    """

    def __init__(
        self,
        *,
        packed: PackedLayer,
        plan: LanesPlan,
        biases: Sequence[int],
        requantise: Requantise | None,
        dtype: str,
        output_dtype: str,
    ) -> None:
        self._packed, self._plan = packed, plan
        self._biases, self._requantise = [int(bias) for bias in biases], requantise
        self._dtype, self._output_dtype = dtype, output_dtype
        super().__init__(
            {
                "i": In(stream.Signature(input_layout(plan, dtype))),
                "o": Out(stream.Signature(values_layout(output_dtype, plan.output_lanes))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        plan = self._plan
        m.submodules.writer = writer = ActivationWriter(plan=plan, dtype=self._dtype)
        m.submodules.control = control = LaneControl(plan)
        connect(m, flipped(self.i), writer.i)
        m.d.comb += [writer.space.eq(control.space), control.row_written.eq(writer.row_written)]
        chains = self._chains(m)
        m.d.comb += [
            chains[0].command.eq(control.command),
            chains[0].tag.eq(control.tag),
            chains[0].write.eq(writer.write),
            control.slot_free.eq(Cat(chain.slot_free for chain in chains).all()),
        ]
        for engine, chain in enumerate(chains):
            idle = control.reserve_short if engine >= plan.last_group else 0
            m.d.comb += chain.reserve.eq(control.reserve & ~idle)
        for before, chain in itertools.pairwise(chains):
            m.d.comb += [
                chain.command.eq(before.next_command),
                chain.tag.eq(before.next_tag),
                chain.write.eq(before.next_write),
            ]
            if plan.shared_fetch:
                m.d.comb += chain.steps.eq(before.next_steps)
        self._output(m, chains)
        return m

    def _chains(self, m: Module) -> list[LaneChain]:
        tables = lane_tables(self._packed, self._plan, dtype_range(self._dtype))
        chains = [
            LaneChain(
                packed=self._packed,
                plan=self._plan,
                tables=tables,
                engine=engine,
                biases=self._biases,
                requantise=self._requantise,
                dtype=self._dtype,
                output_dtype=self._output_dtype,
            )
            for engine in range(self._plan.engines)
        ]
        for engine, chain in enumerate(chains):
            m.submodules[f"engine_{engine}"] = chain
        return chains

    def _output(self, m: Module, chains: list[LaneChain]) -> None:
        plan = self._plan
        if len(chains) == 1:
            connect(m, chains[0].o, flipped(self.o))
            return
        m.submodules.gather = gather = Gather(
            layout=values_layout(self._output_dtype, plan.output_lanes),
            beats=plan.output_beats,
            inputs=plan.engines,
            groups=plan.row_groups,
            last=plan.last_group,
        )
        for engine, chain in enumerate(chains):
            connect(m, chain.o, getattr(gather, f"i_{engine}"))
        connect(m, gather.o, flipped(self.o))
