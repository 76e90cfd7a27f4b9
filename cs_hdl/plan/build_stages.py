"""Build the stages of an accelerator for a given number of cycles a word."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from functools import lru_cache

import numpy as np

from cs_hdl.combine.packed import Packed
from cs_hdl.fixedpoint import dtype_range
from cs_hdl.network import (
    AveragePool,
    GlobalKWTA,
    Layer,
    LocalKWTA,
    MaxPool,
    Network,
    Pool,
    Rescale,
    Residual,
    Tensor,
    WeightLayer,
)
from cs_hdl.plan.adder_graph import AdderGraph, adder_graph
from cs_hdl.plan.cost import Cost, constants_cost, lanes_cost, memory_cost
from cs_hdl.plan.folding import fold_lanes, realise
from cs_hdl.plan.geometry import Geometry, pool_geometry, weight_geometry
from cs_hdl.plan.lanes import LanesPlan, ceil_div
from cs_hdl.plan.plan import Plan
from cs_hdl.plan.residual import Branch, rechunk, residual_stage
from cs_hdl.plan.select import densify_cycles
from cs_hdl.plan.side_windows import pooled, side_windows
from cs_hdl.plan.stages import (
    ArgMaxStage,
    AverageStage,
    ConstantsStage,
    DensifyStage,
    GlobalKWTAStage,
    LanesStage,
    NarrowStage,
    PoolStage,
    RescaleStage,
    Stage,
    WidenStage,
)
from cs_hdl.plan.sums import scaled_sum_lut, tree_levels
from cs_hdl.plan.widths import beat_lanes, consumer_lanes, divisors, takes_lanes
from cs_hdl.plan.winners import Way, cheapest_way

__all__ = ["Infeasible", "StageBuilder", "constants_graph", "constants_window"]

#: Non-zero weights above which constant multipliers are not even considered (12 to 17 LUTs each).
_MOST_CONSTANTS = 4500
#: LUTs that a non-zero weight takes at the least, so that a graph need not be searched where lanes are cheaper
#: by far (measured: 12 to 17 each; less only where many kernels are alike).
_LEAST_LUTS_PER_CONSTANT = 5
#: Flip-flops by the LUTs of a stage, within a third over most designs of docs/results/kernels.json: each adder of a
#: graph has registers behind it, and some that make its operands wait.
_FLIP_FLOPS_PER_LUT, _FLIP_FLOPS_PER_LUT_OF_CONSTANTS = 0.75, 1.7
#: Of the larger one of two sums: a comparison and a choice.
_LUTS_PER_LARGER_SUM = 36
#: Values of a window above which it is not held in registers.
_MOST_WINDOW_VALUES = 1024


@lru_cache(maxsize=64)
def constants_graph(layer: WeightLayer, shape: tuple[int, int, int], dtype: str, *, windows: int) -> AdderGraph:
    """The adder graph of a layer over a window of its input, tap by tap, channel by channel.

    Of ``windows`` neighbouring windows at once: over all that they see, kernel by kernel for the first of them, then
    for the next. (Always named, so that what is kept of 1 is found again.)
    """
    kernels = layer.kernels(Tensor(shape, dtype))
    placed = [np.pad(kernels, ((0, 0), (0, 0), (place, windows - 1 - place), (0, 0))) for place in range(windows)]
    return adder_graph(np.concatenate(placed).reshape(windows * len(kernels), -1), *dtype_range(dtype))


def _lines_cost(geometry: Geometry, lanes: int, beats: int) -> Cost:
    """The rows that a window holds back, in beats of ``lanes`` values."""
    return memory_cost(geometry.raster[1] * beats, max(1, geometry.kernel[0] - 1) * lanes * 8)


def may_be_constants(mode: str | None, layer: WeightLayer, tensor: Tensor, *, windows: int = 1) -> bool:
    """Whether adders could be ``layer``, which reads ``tensor``, in whatever number of cycles; ``windows`` at once."""
    geometry = weight_geometry(layer, tensor)
    return (
        mode != "dense"
        and tensor.winners is None
        and geometry.padding[0] < geometry.kernel[0]
        and geometry.padding[1] < geometry.kernel[1]
        and windows * int((layer.weights != 0).sum()) <= _MOST_CONSTANTS
        and geometry.side_by_side(windows).taps * tensor.shape[2] <= _MOST_WINDOW_VALUES
    )


def constants_window(
    mode: str | None, layer: WeightLayer, tensor: Tensor, *, windows: Iterable[int], cycles: int
) -> tuple[int, int] | None:
    """Columns that are taken at once, and the first of ``windows``, with which adders keep within ``cycles``; None
    where they do with none of them."""
    geometry = weight_geometry(layer, tensor)
    for count in windows:
        columns = geometry.side_by_side(count).window_columns(cycles)
        if columns is not None and may_be_constants(mode, layer, tensor, windows=count):
            return columns, count
    return None


class Infeasible(Exception):
    """No stage of this kind keeps within the cycles."""


class StageBuilder:
    """Walks over the layers once and gives each the cheapest stages of at most ``cycles`` cycles a word.

    ``build`` raises Infeasible where there are none. Along the walk ``_lanes`` is the width of the
    stream: values a beat, or pairs a beat behind a k-WTA. A ``draft`` has the costs, but its sets are not
    packed as the stages want them: that may take seconds.
    """

    def __init__(
        self, packed: Packed, *, mode: str | None, cycles: int, draft: bool = False, input_lanes: int | None = None
    ) -> None:
        self._packed, self._mode, self._cycles, self._draft = packed, mode, cycles, draft
        self._layers = dict(packed.layers)
        self._network = packed.network
        self._stages: list[Stage] = []
        self._windows = 1  # of the first layer, side by side
        self._lanes = self._input_lanes = input_lanes or self._input()
        self.cost = Cost(lut=500, ff=330)

    def build(self) -> Plan:
        """The plan; its cycles are those of the slowest stage, its latency is not yet measured."""
        network = self._network
        for index, layer in enumerate(network.layers):
            self._add_layer(index, layer)
        self._end()
        beats = [ceil_div(network.input.size, self._input_lanes), ceil_div(network.output.size, self._lanes)]
        return Plan(
            packed=dataclasses.replace(self._packed, layers=self._layers),
            mode=self._mode,
            stages=tuple(self._stages),
            input_lanes=self._input_lanes,
            output_lanes=self._lanes,
            words_in_flight=4,
            cycles_per_word=max([*beats, *(stage.cycles for stage in self._stages)]),
            latency_cycles=0,
        )

    def _push(self, stage: Stage, cost: Cost) -> None:
        if stage.cycles > self._cycles:
            raise Infeasible
        self._stages.append(stage)
        share = _FLIP_FLOPS_PER_LUT_OF_CONSTANTS if isinstance(stage, ConstantsStage) else _FLIP_FLOPS_PER_LUT
        self.cost += cost + Cost(ff=max(0.0, share * cost.lut - cost.ff))

    # The two borders.

    def _input(self) -> int:
        """Values a beat of the input: what the first consumer wants, without partly empty beats."""
        tensor = self._network.input
        columns = self._input_columns()
        if columns > 1:
            return columns * tensor.shape[2]
        lanes = consumer_lanes(self._network, 0, self._cycles)
        if lanes is None:
            raise Infeasible
        if tensor.shape[2] % lanes == 0 or tensor.size == tensor.shape[2]:
            return lanes
        layers = self._network.layers
        first = next((layer for layer in layers if not isinstance(layer, Pool | Rescale)), None)
        allowed = beat_lanes(tensor.shape[2]) if isinstance(first, LocalKWTA) else divisors(tensor.shape[2])
        wider = [n for n in divisors(tensor.shape[2]) if n >= lanes and n in allowed]
        if not wider:
            raise Infeasible
        return wider[0]

    def _input_columns(self) -> int:
        """Positions of a beat of the input: several where the first layer must be faster than its raster, or than a
        window a cycle."""
        layer, tensor = self._network.layers[0], self._network.input
        if not isinstance(layer, WeightLayer):
            return 1
        windows = side_windows(self._network)
        found = constants_window(self._mode, layer, tensor, windows=windows, cycles=self._cycles)
        columns, self._windows = found or (1, 1)
        return columns

    def _end(self) -> None:
        """The output border takes dense values, and no beat that is partly empty in the middle of a word."""
        output, last = self._network.output, len(self._network.layers) - 1
        if output.winners is not None:
            self._densify(last, output)
        else:
            self._narrow(last, output, consumer_lanes(self._network, last + 1, self._cycles))
        if output.size != output.shape[2] and output.shape[2] % self._lanes:
            raise Infeasible

    # One layer each.

    def _add_layer(self, index: int, layer: Layer) -> None:
        tensor = self._network.tensors[index]
        if tensor.winners is not None and not self._reads_winners(index):
            self._densify(index, tensor)
        if isinstance(layer, WeightLayer):
            if self._use_constants(index, layer):
                self._constants(index, layer)
            else:
                self._multiply(index, layer)
        elif isinstance(layer, MaxPool):
            self._pool(index, layer)
        elif isinstance(layer, AveragePool):
            self._average(index, layer)
        elif isinstance(layer, Rescale):
            self._rescale(index, layer)
        elif isinstance(layer, Residual):
            self._residual(index, layer)
        else:
            self._narrow(index, tensor, consumer_lanes(self._network, index, self._cycles))
            if isinstance(layer, LocalKWTA):
                self._local_kwta(index, layer)
            elif isinstance(layer, GlobalKWTA):
                self._global_kwta(index, layer)
            else:
                self._argmax(index)

    def _reads_winners(self, index: int) -> bool:
        """Whether layer ``index`` takes pairs, and not every channel."""
        layer, tensor = self._network.layers[index], self._network.tensors[index]
        return (
            isinstance(layer, WeightLayer)
            and tensor.winners is not None
            and self._mode not in ("sparse-dense", "dense")
        )

    def _use_constants(self, index: int, layer: WeightLayer) -> bool:
        """Constants where they keep within the cycles, and lanes do not or cost more."""
        tensor = self._network.tensors[index]
        geometry = weight_geometry(layer, tensor)
        if not may_be_constants(self._mode, layer, tensor):
            return False
        if self._lanes > tensor.shape[2]:
            return True  # the input's beats hold several positions, for this
        height, width = geometry.raster
        if height * width > self._cycles:
            return False
        nonzeros = int((layer.weights != 0).sum())
        lanes = self._fold(index, layer, output_lanes=1)
        weight = math.inf if lanes is None else lanes_cost(lanes).logic_weight
        if weight < _LEAST_LUTS_PER_CONSTANT * nonzeros:
            return False
        graph = constants_graph(layer, tensor.shape, tensor.dtype, windows=1)
        own = constants_cost(graph, outputs=layer.out_channels, taps=geometry.taps * tensor.shape[2])
        return own.logic_weight < weight

    def _fold(self, index: int, layer: WeightLayer, *, output_lanes: int, spanning: bool = True) -> LanesPlan | None:
        tensor = self._network.tensors[index]
        sparse = self._reads_winners(index)
        winners = tensor.winners if sparse and tensor.winners is not None else tensor.shape[2]
        return fold_lanes(
            self._packed.layers[layer.name],
            weight_geometry(layer, tensor),
            entries=winners,
            beat=self._lanes,
            sparse=sparse,
            output_lanes=output_lanes,
            cycles=self._cycles,
            spanning=spanning,
        )

    def _realise(self, index: int, layer: WeightLayer, plan: LanesPlan) -> LanesPlan:
        """Pack the layer as ``plan`` wants; whole kernels do where single weights do not fit the cycles."""
        if self._draft:
            return plan
        packed, kernels = self._packed.layers[layer.name], layer.kernels(self._network.tensors[index])
        found = realise(packed, kernels, plan, cycles=self._cycles)
        if found is None:
            whole = self._fold(index, layer, output_lanes=plan.output_lanes, spanning=False)
            found = None if whole is None else realise(packed, kernels, whole, cycles=self._cycles)
        if found is None:
            raise Infeasible
        self._layers[layer.name], plan = found
        return plan

    def _constants(self, index: int, layer: WeightLayer) -> None:
        tensor = self._network.tensors[index]
        channels = tensor.shape[2]
        if self._lanes < channels:
            cycles = tensor.shape[0] * tensor.shape[1] * ceil_div(channels, self._lanes)
            self._push(
                WidenStage(layer=index, cycles=cycles, channels=channels, lanes=self._lanes, dtype=tensor.dtype),
                Cost(lut=channels * 8),
            )
        columns = max(1, self._lanes // channels)
        windows = self._windows if columns > 1 else 1
        geometry = weight_geometry(layer, tensor).side_by_side(windows)
        height, width = geometry.raster
        graph = constants_graph(layer, tensor.shape, tensor.dtype, windows=windows)
        cost = constants_cost(graph, outputs=layer.out_channels, taps=geometry.taps * channels)
        cost += Cost(lut=layer.out_channels * (windows - 1) * _LUTS_PER_LARGER_SUM)
        cycles = height * width
        if columns > 1:
            cycles = geometry.wide_cycles(columns)
            # Each held bit has a multiplexer.
            cost += _lines_cost(geometry, columns * channels, 1)
            cost += Cost(lut=16 * channels * geometry.kernel[0] * (columns + geometry.kernel[1]))
        stage = ConstantsStage(layer=index, cycles=cycles, geometry=geometry, columns=columns, windows=windows)
        self._push(stage, cost)
        self._lanes = layer.out_channels

    def _multiply(self, index: int, layer: WeightLayer) -> None:
        if not self._reads_winners(index):
            self._narrow(index, self._network.tensors[index], consumer_lanes(self._network, index, self._cycles))
        wanted = consumer_lanes(self._network, index + 1, self._cycles)
        plan = None if wanted is None else self._fold(index, layer, output_lanes=wanted)
        if plan is None:
            raise Infeasible
        plan = self._realise(index, layer, plan)
        cost = lanes_cost(plan)
        scale = layer.requantise
        if scale is not None and (scale.multiplier & (scale.multiplier - 1)).any():
            cost += Cost(dsp=2 * plan.set_columns * plan.engines)
        self._push(LanesStage(layer=index, cycles=plan.cycles, lanes=plan), cost)
        self._lanes = plan.output_lanes

    def _pool(self, index: int, layer: MaxPool) -> None:
        tensor, lanes = self._network.tensors[index], self._lanes
        geometry = pool_geometry(layer, tensor)
        if index == 1:
            geometry = pooled(geometry, self._windows)
        height, width = geometry.raster
        beats = ceil_div(tensor.shape[2], lanes)
        stage = PoolStage(
            layer=index, cycles=height * width * beats, geometry=geometry, lanes=lanes, beats=beats, dtype=tensor.dtype
        )
        if stage.running:
            cost = memory_cost(geometry.out[1] * beats, lanes * 8) + Cost(lut=lanes * 24 + 60)
        else:
            cost = _lines_cost(geometry, lanes, beats) + Cost(lut=geometry.taps * lanes * 20 + 60)
        self._push(stage, cost + Cost(lut=lanes * 16))  # and a register slice

    def _average(self, index: int, layer: AveragePool) -> None:
        tensor, lanes = self._network.tensors[index], self._lanes
        geometry = pool_geometry(layer, tensor)
        height, width = geometry.raster
        beats = ceil_div(tensor.shape[2], lanes)
        stage = AverageStage(
            layer=index,
            cycles=height * width * beats,
            geometry=geometry,
            lanes=lanes,
            beats=beats,
            dtype=tensor.dtype,
            scale=layer.scale,
        )
        if stage.whole:
            bits = 8 + tree_levels(geometry.taps)
            cost = memory_cost(beats, bits * lanes) + Cost(lut=lanes * 2 * bits + 60)
        else:
            cost = _lines_cost(geometry, lanes, beats) + Cost(lut=geometry.taps * lanes * 12 + 60)
        self._push(stage, cost + Cost(lut=lanes * scaled_sum_lut(layer.scale)))

    def _rescale(self, index: int, layer: Rescale) -> None:
        tensor, lanes = self._network.tensors[index], self._lanes
        self._push(
            RescaleStage(
                layer=index,
                cycles=tensor.shape[0] * tensor.shape[1] * ceil_div(tensor.shape[2], lanes),
                lanes=lanes,
                dtype=tensor.dtype,
                scale=layer.scale,
            ),
            Cost(lut=lanes * scaled_sum_lut(layer.scale)),
        )

    def _residual(self, index: int, layer: Residual) -> None:
        tensor = self._network.tensors[index]
        self._narrow(index, tensor, consumer_lanes(self._network, index, self._cycles))
        wanted = consumer_lanes(self._network, index + 1, self._cycles)
        if wanted is None:
            raise Infeasible
        stage, cost = residual_stage(index, layer, tensor, lanes=self._lanes, wanted=wanted, build=self._branch)
        self._push(stage, cost)
        self._lanes = wanted

    def _branch(self, network: Network, lanes: int) -> Branch:
        """The stages of a branch, which reads beats of ``lanes`` or, where it cannot, has them cut anew."""
        wanted = consumer_lanes(network, 0, self._cycles)
        if wanted is None:
            raise Infeasible
        if takes_lanes(network, lanes):
            wanted = max(wanted, lanes)
        front = rechunk(network.input, layer=0, have=lanes, want=wanted)
        packed = Packed(network=network, layers=self._packed.layers)
        builder = StageBuilder(packed, mode=self._mode, cycles=self._cycles, draft=self._draft, input_lanes=wanted)
        plan = builder.build()
        self._layers |= {layer.name: plan.packed.layers[layer.name] for layer, _ in network.weighted}
        return Branch(stages=(*front.stages, *plan.stages), lanes=plan.output_lanes, cost=front.cost + builder.cost)

    def _local_kwta(self, index: int, layer: LocalKWTA) -> None:
        tensor = self._network.tensors[index]
        self._select(index, groups=tensor.shape[0] * tensor.shape[1], features=tensor.shape[2], winners=layer.winners)

    def _global_kwta(self, index: int, layer: GlobalKWTA) -> None:
        tensor = self._network.tensors[index]
        if tensor.shape[2] % self._lanes and tensor.size != tensor.shape[2]:
            raise Infeasible
        self._select(index, groups=1, features=tensor.size, winners=layer.winners)

    def _select(self, index: int, *, groups: int, features: int, winners: int) -> None:
        """The cheapest of sorting, histogram and search, in beats as they come or in narrower ones."""
        tensor = self._network.tensors[index]
        best: tuple[float, NarrowStage | None, Cost, Way] | None = None
        for lanes in divisors(self._lanes):
            if lanes < self._lanes and features % self._lanes:
                continue  # the empty end of a beat would become beats of its own
            way = cheapest_way(
                layer=index, groups=groups, features=features, winners=winners, lanes=lanes, cycles=self._cycles
            )
            front, cost = self._narrower(index, tensor, lanes)
            if way is None or (front is not None and front.cycles > self._cycles):
                continue
            weight = (cost + way.cost).weight
            if best is None or weight < best[0]:
                best = (weight, front, cost, way)
        if best is None:
            raise Infeasible
        _, front, cost, way = best
        if front is not None:
            self._push(front, cost)
        self._push(way.stage, way.cost)
        self._lanes = way.pairs

    def _narrower(self, index: int, tensor: Tensor, lanes: int) -> tuple[NarrowStage | None, Cost]:
        """Beats cut to ``lanes`` values, behind a queue for what a row that comes at full rate leaves waiting."""
        have, (height, width, channels) = self._lanes, tensor.shape
        if lanes == have:
            return None, Cost()
        parts, row = have // lanes, width * ceil_div(channels, have)
        depth = 2 + row - row // parts
        cycles = height * row * parts
        cost = memory_cost(depth, have * 8) + Cost(lut=lanes * 4 * parts + 40)
        return (
            NarrowStage(layer=index, cycles=cycles, channels=have, lanes=lanes, depth=depth, dtype=tensor.dtype),
            cost,
        )

    def _argmax(self, index: int) -> None:
        tensor = self._network.tensors[index]
        cycles = ceil_div(tensor.size, self._lanes)
        self._push(
            ArgMaxStage(layer=index, cycles=cycles, values=tensor.size, lanes=self._lanes, dtype=tensor.dtype),
            Cost(lut=60 * self._lanes + 100),
        )
        self._lanes = 1

    # Between layers.

    def _narrow(self, index: int, tensor: Tensor, wanted: int | None) -> None:
        """Where all channels come at once, queue whole positions and pass on no more than is needed."""
        channels = tensor.shape[2]
        if wanted is None:
            raise Infeasible
        if self._lanes != channels or wanted >= channels:
            return
        depth = max(2, tensor.shape[1])
        self._push(
            NarrowStage(
                layer=index,
                cycles=tensor.shape[0] * tensor.shape[1] * ceil_div(channels, wanted),
                channels=channels,
                lanes=wanted,
                depth=depth,
                dtype=tensor.dtype,
            ),
            memory_cost(depth, channels * 8) + Cost(lut=wanted * 16),
        )
        self._lanes = wanted

    def _densify(self, index: int, tensor: Tensor) -> None:
        """Winners back to a dense tensor, in as few lanes as the cycles allow."""
        assert tensor.winners is not None
        channels, positions, pairs = tensor.shape[2], tensor.shape[0] * tensor.shape[1], self._lanes
        # A histogram stands still while a beat waits: a queue takes all its winners at once.
        burst = pairs > 1 and isinstance(self._stages[-1], GlobalKWTAStage)
        queue = ceil_div(tensor.winners, pairs) + 2 if burst else 0
        for lanes in (1 << n for n in range(channels.bit_length())):
            if positions > 1 and channels % lanes:
                continue
            interval = densify_cycles(channels, tensor.winners, pairs, lanes)
            if interval is not None and (cycles := positions * interval) <= self._cycles:
                self._push(
                    DensifyStage(
                        layer=index,
                        cycles=cycles,
                        channels=channels,
                        winners=tensor.winners,
                        pairs=pairs,
                        lanes=lanes,
                        queue=queue,
                    ),
                    Cost(lut=100 + lanes * 16 * ceil_div(channels, 16 * lanes) + queue * pairs),
                )
                self._lanes = lanes
                return
        raise Infeasible
