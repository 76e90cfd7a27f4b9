"""Multiply, route and sum with constants: the sparse-dense engine with static routing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from cs_hdl.plan.sums import tree_levels
from cs_hdl.plan.timing import QUEUE_LATENCY
from cs_hdl.rtl.primitives.constant_adders import ConstantAdders
from cs_hdl.rtl.primitives.largest import largest
from cs_hdl.rtl.primitives.queue import Queue
from cs_hdl.rtl.primitives.registers import delayed
from cs_hdl.rtl.primitives.room import room_register
from cs_hdl.rtl.primitives.window import window_layout
from cs_hdl.rtl.requantise import Requantiser
from cs_hdl.rtl.streams import value_shape, values_layout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cs_hdl.network import Requantise
    from cs_hdl.plan.adder_graph import AdderGraph
    from cs_hdl.plan.geometry import Geometry

__all__ = ["MultiplyConstants"]


class MultiplyConstants(wiring.Component):
    """All kernels of a layer at once over one window, as a pipelined graph of adders.

    What several weights have in common is built once and shared by the kernels; a product's kernel id is
    where its wire leads. A register behind every ``LEVELS_PER_STAGE`` levels of adders.

    Parameters
    ----------
    graph: the adders, over the window's values in the order tap by tap, channel by channel.
    geometry: of the window; dtype: of its values.
    biases: one a kernel; requantise: None for the exact sums; output_dtype: of the result.
    windows: neighbouring windows that ``geometry`` sees as one. The graph gives the sums of all kernels for the first
        of them, then for the next, and of each kernel only the largest goes on (bias and scale are monotone).

    Members
    -------
    i: ``window_layout``; o: ``values_layout(output_dtype, kernels)``.

    Initiation interval 1 cycle a position, latency ``latency`` cycles. The pipeline never stops, so no
    enable has to reach its many registers: results go into a queue, and a window is let in only while
    there is room for its results too. ``i.ready`` comes from registers alone.
    """

    def __init__(
        self,
        *,
        graph: AdderGraph,
        geometry: Geometry,
        dtype: str,
        biases: Sequence[int],
        requantise: Requantise | None,
        output_dtype: str,
        windows: int = 1,
    ) -> None:
        if graph.inputs != geometry.taps * geometry.shape[2] or len(graph.outputs) != windows * len(biases):
            raise ValueError(
                f"a graph over {graph.inputs} values with {len(graph.outputs)} sums does not fit {windows} windows of "
                f"{len(biases)} kernels, {geometry!r}"
            )
        self._windows = windows
        self._graph, self._dtype, self._output_dtype = graph, dtype, output_dtype
        self._scales = [self._make_scale(index, biases, requantise) for index in range(len(biases))]
        super().__init__(
            {
                "i": In(stream.Signature(window_layout(geometry, lanes=geometry.shape[2], dtype=dtype))),
                "o": Out(stream.Signature(values_layout(output_dtype, len(biases)))),
            }
        )

    def _make_scale(self, index: int, biases: Sequence[int], requantise: Requantise | None) -> Requantiser:
        bounds = [self._graph.bounds(index + place * len(biases)) for place in range(self._windows)]
        low, high = min(low for low, _ in bounds), max(high for _, high in bounds)
        multipliers, shifts = requantise.of_channels([index]) if requantise is not None else ([], [])
        return Requantiser(
            low=low,
            high=high,
            biases=[int(biases[index])],
            multipliers=multipliers,
            shifts=shifts,
            dtype=self._output_dtype,
        )

    @property
    def latency(self) -> int:
        """Cycles from a window to its results, without stalls."""
        return self._depth + QUEUE_LATENCY

    @property
    def _depth(self) -> int:
        """Cycles from a window to the queue."""
        return self._graph.latency + tree_levels(self._windows) + max(scale.latency for scale in self._scales)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.queue = queue = Queue(layout=self.o.p.shape(), depth=self.latency + 1)
        m.d.comb += queue.i.valid.eq(delayed(m, self._admit(m), self._depth, name="valid")[-1])

        inputs = [value for tap in self.i.p.taps for value in tap.values]
        m.submodules.adders = adders = ConstantAdders(graph=self._graph, shape=value_shape(self._dtype))
        m.d.comb += adders.i.eq(Cat(inputs))
        longest = max(scale.latency for scale in self._scales)
        for index, scale in enumerate(self._scales):
            m.submodules[f"scale_{index}"] = scale
            m.d.comb += [scale.en.eq(1), queue.i.p.values[index].eq(scale.o)]
            if self._graph.outputs[index] is not None:
                sums = [adders.o[f"o_{index + place * len(self._scales)}"] for place in range(self._windows)]
                total = largest(m, sums, name=f"largest_{index}")
                # All results of a window leave together: the quicker scales start later.
                wait = longest - scale.latency
                m.d.comb += scale.i.eq(delayed(m, total, wait, name=f"sum_{index}", reset_less=True)[-1])
        wiring.connect(m, queue.o, wiring.flipped(self.o))
        return m

    def _admit(self, m: Module) -> Signal:
        """Whether a window is taken: one waits while as many are under way as the queue can hold."""
        taken = Signal()
        room = room_register(m, limit=self.latency + 1, taken=taken, given=self.o.valid & self.o.ready)
        m.d.comb += [self.i.ready.eq(room), taken.eq(self.i.valid & room)]
        return taken
