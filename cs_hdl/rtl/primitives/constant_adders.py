"""A constant matrix times a vector, as a pipeline of adders that never stops."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amaranth.hdl import Cat, Module, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from cs_hdl.fixedpoint import bits_for_range
from cs_hdl.plan.adder_graph import LEVELS_PER_STAGE
from cs_hdl.plan.adders import width

if TYPE_CHECKING:
    from typing import Any

    from amaranth.hdl import Value

    from cs_hdl.plan.adder_graph import AdderGraph
    from cs_hdl.plan.adders import Adder

__all__ = ["ConstantAdders"]


class ConstantAdders(wiring.Component):
    """The outputs of an adder graph for a new vector each cycle, ``graph.latency`` cycles later.

    Parameters
    ----------
    graph: the adders. shape: of each input.

    Members
    -------
    i: the vector; o: a struct of the outputs that are not always 0, ``o_0`` and so on by their numbers,
        each as wide as its range (:meth:`AdderGraph.bounds`) needs.
    """

    def __init__(self, *, graph: AdderGraph, shape: Any) -> None:
        self._graph = graph
        outputs = {
            f"o_{number}": signed(bits_for_range(*graph.bounds(number)))
            for number, term in enumerate(graph.outputs)
            if term is not None
        }
        super().__init__({"i": In(data.ArrayLayout(shape, graph.inputs)), "o": Out(data.StructLayout(outputs))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        nodes = _Nodes(m, [self.i[number] for number in range(self._graph.inputs)])
        for adder in self._graph.adders:
            cycle = (adder.level - 1) // LEVELS_PER_STAGE
            registered = adder.level % LEVELS_PER_STAGE == 0
            shape = unsigned if adder.low >= 0 else signed
            name = f"adder_{len(nodes.values)}"
            result = Signal(shape(width(adder.low, adder.high)), name=name, reset_less=registered)
            total = _add(m, adder, nodes.at(adder.left, cycle), nodes.at(adder.right, cycle))
            if registered:
                m.d.sync += result.eq(total)
            else:
                m.d.comb += result.eq(total)
            nodes.append(result, adder.level // LEVELS_PER_STAGE)
        for number, term in enumerate(self._graph.outputs):
            if term is not None:
                total = nodes.at(term.node, self._graph.latency) << term.shift
                m.d.comb += self.o[f"o_{number}"].eq(total if term.sign > 0 else -total)
        return m


def _add(m: Module, adder: Adder, left: Value, right: Value) -> Value:
    """The lowest bits of ``left`` stay as they are where ``right`` has none there."""
    shift = adder.right_shift
    above = (left << adder.left_shift).shift_right(shift)
    total: Value = above + right if adder.sign > 0 else above - right
    if not shift:
        return total
    below = Signal(shift, name="below")
    m.d.comb += below.eq(left)
    return Cat(below, total)


class _Nodes:
    """Values of the graph's nodes, each in the cycle in which it is needed."""

    def __init__(self, m: Module, inputs: list[Value]) -> None:
        self._m = m
        self.values: list[list[Value]] = [[value] for value in inputs]
        self._cycles = [0] * len(inputs)

    def append(self, value: Value, cycle: int) -> None:
        """A new node that is ready ``cycle`` cycles after the vector."""
        self.values.append([value])
        self._cycles.append(cycle)

    def at(self, node: int, cycle: int) -> Value:
        """The node's value ``cycle`` cycles after the vector."""
        stages = self.values[node]
        while len(stages) <= cycle - self._cycles[node]:
            stage = Signal(stages[-1].shape(), name=f"node_{node}_{len(stages)}", reset_less=True)
            self._m.d.sync += stage.eq(stages[-1])
            stages.append(stage)
        return stages[cycle - self._cycles[node]]
