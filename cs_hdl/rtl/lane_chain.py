"""One engine: a chain of lanes, and behind it merging, bias and scale, and the channel order."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from amaranth.hdl import Module
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from cs_hdl.plan.lane_timing import column_kernels
from cs_hdl.rtl.lane import Lane, command_layout, write_layout
from cs_hdl.rtl.lane_columns import passed_on, step_layout
from cs_hdl.rtl.lane_control import tag_layout
from cs_hdl.rtl.merge_guests import MergeGuests
from cs_hdl.rtl.platform import shared_part
from cs_hdl.rtl.primitives.registers import delayed
from cs_hdl.rtl.reorder import Reorder
from cs_hdl.rtl.requantise import Requantiser
from cs_hdl.rtl.streams import value_shape, values_layout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from amaranth.hdl import Value

    from cs_hdl.combine.packed import PackedLayer
    from cs_hdl.network import Requantise
    from cs_hdl.plan.lane_tables import LaneTable
    from cs_hdl.plan.lanes import LanesPlan

__all__ = ["LaneChain"]


class LaneChain(wiring.Component):
    """Works on every ``plan.engines``-th output column, from column ``engine`` on.

    Parameters
    ----------
    packed: the complementary sets; plan: the folding; tables: what its lanes hold.
    engine: which of the engines this is.
    biases: one a kernel; requantise: None for the exact sums.
    dtype, output_dtype: of an input value and of a result.

    Members
    -------
    command, tag, write: from the control and the writer, or from the engine before.
    next_command, next_tag, next_write: the same for the engine behind, ``engine_delay`` cycles later (a write one).
    steps, next_steps: only where ``plan.shared_fetch``: what the lanes of the engine before do, a cycle ago, and
        what these do, for the engine behind.
    slot_free, reserve: see :class:`~cs_hdl.rtl.reorder.Reorder`.
    o: ``values_layout(output_dtype, plan.output_lanes)``.
    """

    def __init__(
        self,
        *,
        packed: PackedLayer,
        plan: LanesPlan,
        tables: Sequence[LaneTable],
        engine: int,
        biases: Sequence[int],
        requantise: Requantise | None,
        dtype: str,
        output_dtype: str,
    ) -> None:
        self._packed, self._plan, self._tables, self._engine = packed, plan, tables, engine
        self._biases, self._requantise = biases, requantise
        self._dtype, self._output_dtype = dtype, output_dtype
        command, tag, write = command_layout(plan), tag_layout(plan), write_layout(plan, value_shape(dtype))
        steps = data.ArrayLayout(step_layout(plan, value_shape(dtype)), plan.lanes)
        super().__init__(
            {
                "command": In(command),
                "tag": In(tag),
                "write": In(write),
                "next_command": Out(command),
                "next_tag": Out(tag),
                "next_write": Out(write),
                **({"steps": In(steps), "next_steps": Out(steps)} if plan.shared_fetch else {}),
                "slot_free": Out(1),
                "reserve": In(1),
                "o": Out(stream.Signature(values_layout(output_dtype, plan.output_lanes))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        plan = self._plan
        places = tuple(self._places())
        m.submodules.reorder, reorder = shared_part(
            partial(
                Reorder,
                places=places,
                columns=plan.set_columns,
                depth=plan.drained,
                slots=plan.slots,
                lanes=plan.output_lanes,
                dtype=self._output_dtype,
                table_in_block_ram=plan.places_in_block_ram,
            ),
            key=(Reorder, plan, places, self._output_dtype),
            platform=platform,
        )
        connect(m, reorder.o, flipped(self.o))
        m.d.comb += [self.slot_free.eq(reorder.slot_free), reorder.reserve.eq(self.reserve)]
        sums = self._lanes(m)
        valid: Value = self.tag.valid
        if self._engine >= plan.last_group:
            valid = valid & ~self.tag.short  # nothing to do in the last group of a row
        valid = delayed(m, valid, plan.chain_latency - 1, name="tag_valid")[-1]
        address = delayed(m, self.tag.address, plan.chain_latency - 1, name="tag_address", reset_less=True)[-1]
        low, high = self._tables[-1].chain_low, self._tables[-1].chain_high
        if plan.merge_latency:
            sums, valid, address = self._merge(m, sums, valid, address)
            low, high = 2 * low, 2 * high
        scales = [self._scale(column, low, high) for column in range(plan.set_columns)]
        latency = max(scale.latency for scale in scales)
        for column, scale in enumerate(scales):
            m.submodules[f"scale_{column}"] = scale
            m.d.comb += [scale.en.eq(1), scale.i.eq(sums[column]), scale.address.eq(address)]
            scaled = delayed(m, scale.o, latency - scale.latency, name=f"scaled_{column}", reset_less=True)
            m.d.comb += reorder.write.values[column].eq(scaled[-1])
        m.d.comb += [
            reorder.write.valid.eq(delayed(m, valid, latency, name="write_valid")[-1]),
            reorder.write.address.eq(delayed(m, address, latency, name="write_address", reset_less=True)[-1]),
        ]
        if self._engine < plan.engines - 1:
            passed_on(m, self.next_write, self.write)
            passed_on(m, self.next_tag, self.tag, plan.engine_delay)
        return m

    def _lanes(self, m: Module) -> Value:
        """The chain: returns the sums behind the last lane."""
        plan = self._plan
        command: Value = self.command
        sums: Value | None = None
        sum_width = 0
        for index, table in enumerate(self._tables):
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
                engine=self._engine,
                # The lane to the right, in the engine before, was at the same column a cycle ago.
                borrows=(borrows := plan.shared_fetch and self._engine > 0 and column < plan.columns - 1),
            )
            m.submodules[f"lane_{index}"] = lane
            if borrows:
                m.d.comb += lane.step.eq(self.steps[index + 1])
            if plan.shared_fetch:
                m.d.comb += self.next_steps[index].eq(lane.next_step)
            m.d.comb += [lane.command.eq(command), lane.write.eq(self.write)]
            if sums is not None:
                m.d.comb += lane.sums.eq(sums)
            command, sums, sum_width = lane.next_command, lane.next_sums, table.chain_width
            if index == 0 and self._engine < plan.engines - 1:
                passed_on(m, self.next_command, lane.next_command, plan.engine_delay - 1)
        assert sums is not None
        return sums

    def _merge(self, m: Module, sums: Value, valid: Value, address: Value) -> tuple[Value, Value, Value]:
        plan, spanning = self._plan, self._packed.spanning
        assert spanning is not None
        m.submodules.merge = merge = MergeGuests(
            guests=spanning.guests, depth=plan.drained, width=self._tables[-1].chain_width
        )
        m.d.comb += [merge.i.eq(sums), merge.address.eq(address)]
        valid = delayed(m, valid, plan.merge_latency, name="merged_valid")[-1]
        return merge.o, valid, delayed(m, address, plan.merge_latency, name="merged_address", reset_less=True)[-1]

    def _places(self) -> list[tuple[int, int]]:
        """For each channel: the set column and the address in it where its sum is drained."""
        plan, spanning = self._plan, self._packed.spanning
        places = [(0, 0)] * plan.out_channels
        for number, members in enumerate(self._packed.sets[: plan.drains * plan.set_columns]):
            drain, column = divmod(number, plan.set_columns)
            for kid, kernel in enumerate(members):
                if kernel >= 0 and not (spanning is not None and kid in spanning.guests[column]):
                    places[kernel] = (column, drain * plan.kernels_per_set + kid)
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
