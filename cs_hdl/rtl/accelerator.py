"""The whole accelerator: the stages of a plan between two AXI4-Stream borders."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from amaranth.hdl import ClockDomain, ClockSignal, Module, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from cs_hdl.plan.stages import BEHIND_SLICE, ConstantsStage, LanesStage, PoolStage
from cs_hdl.rtl.axi_input import AxiInput
from cs_hdl.rtl.axi_output import AxiOutput
from cs_hdl.rtl.axi_stream import bytes_per_value
from cs_hdl.rtl.layer import make_stage, stage_name
from cs_hdl.rtl.own_reset import RESET_DELAY, OwnReset
from cs_hdl.rtl.platform import Separate, separate_module

if TYPE_CHECKING:
    from cs_hdl.plan.plan import Plan
    from cs_hdl.plan.stages import Stage

__all__ = ["Accelerator"]


class Accelerator(wiring.Component):
    """What ``design.v`` is: words in at ``s_axis``, results out at ``m_axis``, one clock.

    ``aresetn`` is synchronous and active low. A word is ``plan.input_beats`` beats of
    ``plan.input_lanes`` values, a result ``plan.output_beats`` beats of ``plan.output_lanes`` values;
    ``plan.cycles_per_word`` and ``plan.latency_cycles`` hold with a driver and a sink that never wait.
    A word of the wrong length is repaired, its result is marked by ``m_axis_tuser``, and
    ``error_count`` counts it (modulo 65536).
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        output = plan.network.output
        super().__init__(
            {
                "aclk": In(1),
                "aresetn": In(1),
                "s_axis_tdata": In(8 * plan.input_lanes),
                "s_axis_tvalid": In(1),
                "s_axis_tready": Out(1),
                "s_axis_tlast": In(1),
                "m_axis_tdata": Out(8 * bytes_per_value(output.dtype) * plan.output_lanes),
                "m_axis_tvalid": Out(1),
                "m_axis_tready": In(1),
                "m_axis_tlast": Out(1),
                "m_axis_tuser": Out(1),
                "error_count": Out(16),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        plan = self._plan
        m.domains.whole = ClockDomain()
        m.d.comb += [ClockSignal("whole").eq(self.aclk), ResetSignal("whole").eq(~self.aresetn)]
        m.submodules.input = source = OwnReset(
            AxiInput(
                values_per_beat=plan.input_lanes,
                beats=plan.input_beats,
                dtype=plan.network.input.dtype,
                values=plan.network.input.size,
                before_slice=isinstance(plan.stages[0], BEHIND_SLICE),
            )
        )
        m.submodules.output = sink = OwnReset(
            AxiOutput(
                values_per_beat=plan.output_lanes,
                beats=plan.output_beats,
                dtype=plan.network.output.dtype,
                values=plan.network.output.size,
                words_in_flight=plan.words_in_flight,
            )
        )
        connect(m, source.reports, sink.reports)
        ready = self._warm_up(m)
        m.d.comb += [
            source.s_axis.tdata.eq(self.s_axis_tdata),
            source.s_axis.tvalid.eq(self.s_axis_tvalid & ready),
            source.s_axis.tlast.eq(self.s_axis_tlast),
            self.s_axis_tready.eq(source.s_axis.tready & ready),
            self.m_axis_tdata.eq(sink.m_axis.tdata),
            self.m_axis_tvalid.eq(sink.m_axis.tvalid & ready),
            self.m_axis_tlast.eq(sink.m_axis.tlast),
            self.m_axis_tuser.eq(sink.m_axis.tuser),
            sink.m_axis.tready.eq(self.m_axis_tready & ready),
            self.error_count.eq(sink.error_count),
        ]
        stream = source.o
        for index, stage in enumerate(plan.stages):
            name = stage_name(plan, stage)
            module = Separate(make=partial(_make, plan, index), weight=_weight(stage))
            m.submodules[name], component = separate_module(module, name=name, domain="whole", platform=platform)
            connect(m, stream, component.i)
            stream = component.o
        connect(m, stream, sink.i)
        return m

    def _warm_up(self, m: Module) -> Signal:
        """High once all are out of reset and the memories that have no reset are cleared: nothing is taken or given
        before."""
        cycles = self._plan.warm_up_cycles + RESET_DELAY
        ready = Signal()
        left = Signal(range(cycles + 1), init=cycles)
        m.d.whole += ready.eq(left == 0)
        with m.If(left != 0):
            m.d.whole += left.eq(left - 1)
        return ready


def _make(plan: Plan, index: int) -> OwnReset:
    """The component of the stage ``index``."""
    return OwnReset(make_stage(plan, plan.stages[index]))


def _weight(stage: Stage) -> int:
    """About what it takes to elaborate a stage, in milliseconds as measured on the speech network."""
    if isinstance(stage, LanesStage):
        lanes = stage.lanes
        words = lanes.lanes * lanes.table_depth * lanes.set_columns
        return 200 + 58 * lanes.engines * lanes.lanes + words // 400
    if isinstance(stage, ConstantsStage):
        return 300 + 20 * stage.geometry.taps
    if isinstance(stage, PoolStage):
        return 5 * stage.lanes
    return 200
