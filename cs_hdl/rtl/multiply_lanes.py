"""Multiply, route and sum on a chain of lanes: the engine whose values fetch their weights by index."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from cs_hdl.fixedpoint import dtype_range
from cs_hdl.plan.lane_timing import column_kernels
from cs_hdl.plan.lanes import lane_tables
from cs_hdl.rtl.activation_writer import ActivationWriter, input_layout
from cs_hdl.rtl.lane import Lane
from cs_hdl.rtl.lane_control import LaneControl
from cs_hdl.rtl.reorder import Reorder
from cs_hdl.rtl.requantise import Requantiser
from cs_hdl.rtl.streams import value_shape, values_layout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from amaranth.hdl import Value

    from cs_hdl.combine.packed import PackedLayer
    from cs_hdl.network import Requantise
    from cs_hdl.plan.lanes import LanesPlan

__all__ = ["MultiplyLanes"]


class MultiplyLanes(wiring.Component):
    """A convolution or a linear layer, folded as ``plan`` says.

    Control, activations and drained sums pass from lane to lane, one a cycle, so no wire is longer than
    to the neighbour; behind the last lane bias and scale are applied and the channel order is restored.

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
        m.submodules.reorder = reorder = Reorder(
            places=self._places(),
            columns=plan.set_columns,
            depth=plan.passes * plan.kernels_per_set,
            slots=plan.slots,
            lanes=plan.output_lanes,
            dtype=self._output_dtype,
        )
        connect(m, flipped(self.i), writer.i)
        connect(m, reorder.o, flipped(self.o))
        m.d.comb += [
            writer.space.eq(control.space),
            control.row_written.eq(writer.row_written),
            control.slot_free.eq(reorder.slot_free),
            reorder.reserve.eq(control.reserve),
        ]
        sums, low, high = self._lanes(m, control.command, writer.write)
        valid, address = self._delayed(m, [control.tag.valid, control.tag.address], plan.chain_latency - 1, "tag")
        scales = [self._scale(column, low, high) for column in range(plan.set_columns)]
        latency = max(scale.latency for scale in scales)
        for column, scale in enumerate(scales):
            m.submodules[f"scale_{column}"] = scale
            m.d.comb += [scale.en.eq(1), scale.i.eq(sums[column]), scale.address.eq(address)]
            (value,) = self._delayed(m, [scale.o], latency - scale.latency, f"scaled_{column}")
            m.d.comb += reorder.write.values[column].eq(value)
        write_valid, write_address = self._delayed(m, [valid, address], latency, "write")
        m.d.comb += [reorder.write.valid.eq(write_valid), reorder.write.address.eq(write_address)]
        return m

    @staticmethod
    def _delayed(m: Module, values: list[Value], cycles: int, name: str) -> list[Value]:
        for cycle in range(cycles):
            stages: list[Value] = [Signal(v.shape(), name=f"{name}_{i}_{cycle}") for i, v in enumerate(values)]
            for stage, value in zip(stages, values, strict=True):
                m.d.sync += stage.eq(value)
            values = stages
        return values

    def _lanes(self, m: Module, command: Value, write: Value) -> tuple[Value, int, int]:
        """The chain: returns the sums behind the last lane and their range."""
        plan = self._plan
        tables = lane_tables(self._packed, plan, dtype_range(self._dtype))
        sums: Value | None = None
        sum_width = 1
        for index, table in enumerate(tables):
            place, part = divmod(index, plan.slices)
            row, column = divmod(place, plan.columns)
            lane = Lane(
                plan=plan,
                table=table,
                row=row,
                column=column,
                part=part,
                value_shape=value_shape(self._dtype),
                sum_width=sum_width,
            )
            m.submodules[f"lane_{index}"] = lane
            m.d.comb += [lane.command.eq(command), lane.write.eq(write)]
            if sums is not None:
                m.d.comb += lane.sums.eq(sums)
            command, sums, sum_width = lane.next_command, lane.next_sums, table.chain_width
        assert sums is not None
        return sums, tables[-1].chain_low, tables[-1].chain_high

    def _places(self) -> list[tuple[int, int]]:
        """For each channel: the set column and the address in it where its sum is drained."""
        places = [(0, 0)] * self._plan.out_channels
        for number, members in enumerate(self._packed.sets):
            turn, column = divmod(number, self._plan.set_columns)
            for kid, kernel in enumerate(members):
                places[kernel] = (column, turn * self._plan.kernels_per_set + kid)
        return places

    def _scale(self, column: int, low: int, high: int) -> Requantiser:
        """Bias and scale of the kernels that are drained in ``column``, by address."""
        kernels = column_kernels(self._packed, self._plan, column)
        scale = self._requantise
        multipliers, shifts = scale.of_channels(kernels) if scale is not None else ([], [])
        return Requantiser(
            low=low,
            high=high,
            biases=[self._biases[kernel] for kernel in kernels],
            multipliers=multipliers,
            shifts=shifts,
            dtype=self._output_dtype,
        )
