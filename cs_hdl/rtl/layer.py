"""From a stage of the plan to its components."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from cs_hdl.network import WeightLayer
from cs_hdl.plan.build_stages import constants_graph
from cs_hdl.plan.residual import branch_plans
from cs_hdl.plan.stages import (
    BEHIND_SLICE,
    ArgMaxStage,
    AverageStage,
    ConstantsStage,
    DensifyStage,
    GlobalKWTAStage,
    LanesStage,
    LocalKWTAStage,
    NarrowStage,
    PoolStage,
    RescaleStage,
    ResidualStage,
    ThresholdKWTAStage,
    WidenStage,
)
from cs_hdl.rtl.argmax import ArgMax
from cs_hdl.rtl.average_pool import AveragePool, GlobalAveragePool
from cs_hdl.rtl.block_pool import BlockMaxPool
from cs_hdl.rtl.densify import Densify
from cs_hdl.rtl.global_kwta import GlobalKWTA
from cs_hdl.rtl.local_kwta import LocalKWTA
from cs_hdl.rtl.max_pool import MaxPool
from cs_hdl.rtl.multiply_constants import MultiplyConstants
from cs_hdl.rtl.multiply_lanes import MultiplyLanes
from cs_hdl.rtl.primitives.queue import Queue
from cs_hdl.rtl.primitives.register_slice import RegisterSlice
from cs_hdl.rtl.primitives.wide_window import WideWindow
from cs_hdl.rtl.primitives.window import Window
from cs_hdl.rtl.rechunk import Narrow, Widen
from cs_hdl.rtl.residual import ResidualBlock
from cs_hdl.rtl.scaled_sum import ScaledSum
from cs_hdl.rtl.streams import values_layout
from cs_hdl.rtl.threshold_kwta import ThresholdKWTA

if TYPE_CHECKING:
    from cs_hdl.plan.plan import Plan
    from cs_hdl.plan.stages import Stage

__all__ = ["Chain", "identifier", "make_stage", "stage_name"]


class Chain(wiring.Component):
    """Components one behind the other, each from ``i`` to ``o``; together they are again such a one."""

    def __init__(self, **parts: Any) -> None:
        self._parts = parts
        first, *_, last = [*parts.values(), *parts.values()]
        super().__init__({"i": In(flipped(first.i).signature), "o": Out(last.o.signature)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        stream = flipped(self.i)
        for name, part in self._parts.items():
            m.submodules[name] = part
            connect(m, stream, part.i)
            stream = part.o
        connect(m, stream, flipped(self.o))
        return m


def make_stage(plan: Plan, stage: Stage) -> Any:
    """The component of ``stage``: a stream ``i`` in, a stream ``o`` out."""
    component = _component(plan, stage)
    if isinstance(stage, BEHIND_SLICE):
        return Chain(slice=RegisterSlice(component.i.payload.shape()), component=component)
    return component


def _component(plan: Plan, stage: Stage) -> Any:
    if isinstance(stage, ConstantsStage):
        return _constants(plan, stage)
    if isinstance(stage, LanesStage):
        return _lanes(plan, stage)
    if isinstance(stage, PoolStage):
        kind = BlockMaxPool if stage.running else MaxPool
        pool = kind(geometry=stage.geometry, lanes=stage.lanes, beats=stage.beats, dtype=stage.dtype)
        if stage.running:
            return pool  # it has a queue of its own
        return Chain(pool=pool, slice=RegisterSlice(pool.o.payload.shape()))
    if isinstance(stage, AverageStage):
        return _average(stage)
    if isinstance(stage, RescaleStage):
        rescale = ScaledSum(scale=stage.scale, dtypes=[stage.dtype], lanes=stage.lanes)
        return Chain(rescale=rescale, slice=RegisterSlice(rescale.o.payload.shape()))
    if isinstance(stage, ResidualStage):
        return _residual(plan, stage)
    if isinstance(stage, NarrowStage):
        return Narrow(channels=stage.channels, lanes=stage.lanes, dtype=stage.dtype, depth=stage.depth)
    if isinstance(stage, WidenStage):
        return Widen(channels=stage.channels, lanes=stage.lanes, dtype=stage.dtype)
    if isinstance(stage, LocalKWTAStage):
        return LocalKWTA(channels=stage.channels, winners=stage.winners, beats=stage.beats, pairs=stage.pairs)
    if isinstance(stage, GlobalKWTAStage):
        return GlobalKWTA(features=stage.features, winners=stage.winners, lanes=stage.lanes)
    if isinstance(stage, ThresholdKWTAStage):
        return ThresholdKWTA(features=stage.features, winners=stage.winners, lanes=stage.lanes, scan=stage.scan)
    if isinstance(stage, ArgMaxStage):
        return ArgMax(values=stage.values, lanes=stage.lanes, dtype=stage.dtype)
    assert isinstance(stage, DensifyStage)
    densify = Densify(channels=stage.channels, winners=stage.winners, pairs=stage.pairs, lanes=stage.lanes)
    if not stage.queue:
        return densify
    return Chain(queue=Queue(layout=densify.i.payload.shape(), depth=stage.queue), densify=densify)


def identifier(name: str) -> str:
    """A layer's name with ``_`` for all that is neither letter nor digit."""
    return "".join(c if c.isalnum() else "_" for c in name)


def stage_name(plan: Plan, stage: Stage) -> str:
    """``linear1_lanes``: the layer, and what the stage does for it."""
    layer = plan.network.layers[stage.layer]
    own = type(stage).__name__.removesuffix("Stage").lower()
    clean = identifier(layer.name)
    return f"{clean}_{own}" if isinstance(layer, WeightLayer) or clean != own else clean


def _average(stage: AverageStage) -> Chain:
    pool: AveragePool | GlobalAveragePool
    if stage.whole:
        pool = GlobalAveragePool(
            positions=stage.geometry.taps, lanes=stage.lanes, beats=stage.beats, dtype=stage.dtype, scale=stage.scale
        )
    else:
        pool = AveragePool(
            geometry=stage.geometry, lanes=stage.lanes, beats=stage.beats, dtype=stage.dtype, scale=stage.scale
        )
    return Chain(pool=pool, slice=RegisterSlice(pool.o.payload.shape()))


def _residual(plan: Plan, stage: ResidualStage) -> Chain:
    """Both branches, and a register slice behind the sum."""
    branches = []
    for branch in branch_plans(plan, stage):
        parts = {
            f"{stage_name(branch, inner)}_{index}": make_stage(branch, inner)
            for index, inner in enumerate(branch.stages)
        }
        branches.append(Chain(**parts) if parts else None)
    block = ResidualBlock(
        layout=values_layout(stage.input_dtype, stage.input_lanes),
        body=branches[0],
        shortcut=branches[1],
        depths=(stage.body_queue, stage.shortcut_queue),
        sum=ScaledSum(scale=stage.scale, dtypes=stage.dtypes, lanes=stage.lanes),
    )
    return Chain(block=block, slice=RegisterSlice(block.o.payload.shape()))


def _constants(plan: Plan, stage: ConstantsStage) -> Chain:
    layer, tensor = plan.network.layers[stage.layer], plan.network.tensors[stage.layer]
    assert isinstance(layer, WeightLayer)
    multiply = MultiplyConstants(
        graph=constants_graph(layer, tensor.shape, tensor.dtype, windows=stage.windows),
        geometry=stage.geometry,
        dtype=tensor.dtype,
        biases=layer.bias.tolist(),
        requantise=layer.requantise,
        output_dtype=plan.network.tensors[stage.layer + 1].dtype,
        windows=stage.windows,
    )
    window: Window | WideWindow
    if stage.columns > 1:
        window = WideWindow(
            geometry=stage.geometry, columns=stage.columns, channels=tensor.shape[2], dtype=tensor.dtype
        )
    else:
        window = Window(geometry=stage.geometry, lanes=tensor.shape[2], beats=1, dtype=tensor.dtype)
    return Chain(window=window, multiply=multiply)


def _lanes(plan: Plan, stage: LanesStage) -> MultiplyLanes:
    layer = plan.network.layers[stage.layer]
    assert isinstance(layer, WeightLayer)
    return MultiplyLanes(
        packed=plan.packed.layers[layer.name],
        plan=stage.lanes,
        biases=layer.bias.tolist(),
        requantise=layer.requantise,
        dtype=plan.network.tensors[stage.layer].dtype,
        output_dtype=plan.network.tensors[stage.layer + 1].dtype,
    )
