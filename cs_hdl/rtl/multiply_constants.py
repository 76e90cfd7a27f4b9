"""Multiply, route and sum with constants: the sparse-dense engine with static routing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from cs_hdl.fixedpoint import bits_for_range, dtype_range
from cs_hdl.plan.adder_graph import LEVELS_PER_STAGE, AdderGraph
from cs_hdl.rtl.primitives.window import window_layout
from cs_hdl.rtl.requantise import Requantiser
from cs_hdl.rtl.streams import values_layout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from amaranth.hdl import Value

    from cs_hdl.network import Requantise
    from cs_hdl.plan.geometry import Geometry

__all__ = ["MultiplyConstants"]


class MultiplyConstants(wiring.Component):
    """All kernels of a layer at once over one window, as a pipelined graph of adders.

    Each input's multiples are made once and shared by the kernels; a product's kernel id is where its
    wire leads. A register behind every second level of adders.

    Parameters
    ----------
    graph: the adders, over the window's values in the order tap by tap, channel by channel.
    geometry, channels: of the window; dtype: of its values.
    biases: one a kernel; requantise: None for the exact sums; output_dtype: of the result.

    Members
    -------
    i: ``window_layout``; o: ``values_layout(output_dtype, kernels)``.

    Initiation interval 1 cycle a position, latency ``latency`` cycles.
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
    ) -> None:
        if graph.inputs != geometry.taps * geometry.shape[2]:
            raise ValueError(f"a graph over {graph.inputs} values does not fit {geometry!r}")
        self._graph, self._dtype, self._output_dtype = graph, dtype, output_dtype
        self._scales = [self._make_scale(index, biases, requantise) for index in range(len(biases))]
        super().__init__(
            {
                "i": In(stream.Signature(window_layout(geometry, lanes=geometry.shape[2], dtype=dtype))),
                "o": Out(stream.Signature(values_layout(output_dtype, len(biases)))),
            }
        )

    def _bounds(self, output: int) -> tuple[int, int]:
        term = self._graph.outputs[output]
        if term is None:
            return 0, 0
        if term.node < self._graph.inputs:
            low, high = dtype_range(self._dtype)
        else:
            adder = self._graph.adders[term.node - self._graph.inputs]
            low, high = adder.low, adder.high
        low, high = sorted((term.sign * low << term.shift, term.sign * high << term.shift))
        return low, high

    def _make_scale(self, index: int, biases: Sequence[int], requantise: Requantise | None) -> Requantiser:
        low, high = self._bounds(index)
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
        return self._graph.latency + max(scale.latency for scale in self._scales)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        move = Signal()
        m.d.comb += [move.eq(self.o.ready | ~self.o.valid), self.i.ready.eq(move)]
        valid: Value = self.i.valid
        for cycle in range(self.latency):
            stage = Signal(name=f"valid_{cycle + 1}")
            with m.If(move):
                m.d.sync += stage.eq(valid)
            valid = stage
        m.d.comb += self.o.valid.eq(valid)

        nodes = self._adders(m, move)
        longest = max(scale.latency for scale in self._scales)
        for index, scale in enumerate(self._scales):
            m.submodules[f"scale_{index}"] = scale
            term = self._graph.outputs[index]
            early = self._graph.latency + longest - scale.latency
            m.d.comb += scale.en.eq(move)
            if term is not None:
                total = nodes.at(term.node, early) << term.shift
                m.d.comb += scale.i.eq(total if term.sign > 0 else -total)
            m.d.comb += self.o.p.values[index].eq(scale.o)
        return m

    def _adders(self, m: Module, move: Value) -> _Nodes:
        inputs = [value for tap in self.i.p.taps for value in tap.values]
        nodes = _Nodes(m, move, inputs)
        for adder in self._graph.adders:
            cycle = (adder.level - 1) // LEVELS_PER_STAGE
            left = nodes.at(adder.left, cycle) << adder.left_shift
            right = nodes.at(adder.right, cycle) << adder.right_shift
            total = left + right if adder.sign > 0 else left - right
            registered = adder.level % LEVELS_PER_STAGE == 0
            name = f"adder_{len(nodes.values)}"
            result = Signal(signed(bits_for_range(adder.low, adder.high)), name=name, reset_less=registered)
            if registered:
                with m.If(move):
                    m.d.sync += result.eq(total)
            else:
                m.d.comb += result.eq(total)
            nodes.append(result, adder.level // LEVELS_PER_STAGE)
        return nodes


class _Nodes:
    """Values of the graph's nodes, each in the cycle in which it is needed."""

    def __init__(self, m: Module, move: Value, inputs: list[Value]) -> None:
        self._m, self._move = m, move
        self.values: list[list[Value]] = [[value] for value in inputs]
        self._cycles = [0] * len(inputs)

    def append(self, value: Value, cycle: int) -> None:
        """A new node that is ready ``cycle`` cycles after the window."""
        self.values.append([value])
        self._cycles.append(cycle)

    def at(self, node: int, cycle: int) -> Value:
        """The node's value ``cycle`` cycles after the window."""
        stages = self.values[node]
        while len(stages) <= cycle - self._cycles[node]:
            stage = Signal(stages[-1].shape(), name=f"node_{node}_{len(stages)}", reset_less=True)
            with self._m.If(self._move):
                self._m.d.sync += stage.eq(stages[-1])
            stages.append(stage)
        return stages[cycle - self._cycles[node]]
