"""Residual blocks in a plan: the branches as networks of their own, and the stage that holds them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cs_hdl.combine.packed import Packed
from cs_hdl.network import Network, Residual, Tensor
from cs_hdl.plan.cost import Cost, memory_cost
from cs_hdl.plan.intake import queue_depth
from cs_hdl.plan.lanes import ceil_div
from cs_hdl.plan.stages import NarrowStage, ResidualStage, Stage, WidenStage
from cs_hdl.plan.sums import scaled_sum_lut

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cs_hdl.plan.plan import Plan

__all__ = ["Branch", "BuildBranch", "branch_plans", "flat_stages", "rechunk", "residual_stage"]


@dataclass(frozen=True, kw_only=True)
class Branch:
    """Stages that give ``lanes`` values a beat, and what they cost."""

    stages: tuple[Stage, ...]
    lanes: int
    cost: Cost


#: From a branch's network and the values a beat that come in to its stages.
BuildBranch = Callable[[Network, int], Branch]


def branch_networks(layer: Residual, tensor: Tensor) -> tuple[Network, Network | None]:
    """Body and shortcut over ``tensor``; None for a shortcut that is the tensor itself."""
    body = Network(name=f"{layer.name}.body", input=tensor.dense, layers=layer.body)
    if not layer.shortcut:
        return body, None
    return body, Network(name=f"{layer.name}.shortcut", input=tensor.dense, layers=layer.shortcut)


def branch_plans(plan: Plan, stage: ResidualStage) -> tuple[Plan, Plan]:
    """``plan`` seen from within the body and the shortcut: its stages count the branch's layers."""
    layer = plan.network.layers[stage.layer]
    assert isinstance(layer, Residual)
    body, shortcut = branch_networks(layer, plan.network.tensors[stage.layer])
    layers = plan.packed.layers
    return (
        dataclasses.replace(plan, packed=Packed(network=body, layers=layers), stages=stage.body),
        dataclasses.replace(
            plan, packed=Packed(network=shortcut or plan.network, layers=layers), stages=stage.shortcut
        ),
    )


def flat_stages(stages: tuple[Stage, ...]) -> Iterator[Stage]:
    """All stages, those within residual blocks too."""
    for stage in stages:
        if isinstance(stage, ResidualStage):
            yield from flat_stages(stage.body)
            yield from flat_stages(stage.shortcut)
        yield stage


def rechunk(tensor: Tensor, *, layer: int, have: int, want: int) -> Branch:
    """Stages from beats of ``have`` values to beats of ``want``."""
    channels, positions = tensor.shape[2], tensor.shape[0] * tensor.shape[1]
    whole = max(have, want) if channels % max(have, want) == 0 and max(have, want) % min(have, want) == 0 else channels
    stages: list[Stage] = []
    cost = Cost()
    if have < whole:
        cycles = positions * ceil_div(channels, have)
        stages.append(WidenStage(layer=layer, cycles=cycles, channels=whole, lanes=have, dtype=tensor.dtype))
        cost += Cost(lut=8 * whole)
    if want < whole:
        cycles = positions * ceil_div(channels, whole) * ceil_div(whole, want)
        stages.append(NarrowStage(layer=layer, cycles=cycles, channels=whole, lanes=want, depth=2, dtype=tensor.dtype))
        cost += memory_cost(2, 8 * whole) + Cost(lut=16 * want)
    return Branch(stages=tuple(stages), lanes=want, cost=cost)


def residual_stage(
    index: int, layer: Residual, tensor: Tensor, *, lanes: int, wanted: int, build: BuildBranch
) -> tuple[ResidualStage, Cost]:
    """The stage for ``layer`` over ``tensor``, whose beats of ``lanes`` come in and of ``wanted`` go out."""
    result = layer.output(tensor)
    cost = Cost(lut=40 + wanted * scaled_sum_lut(layer.scale))
    ends: list[tuple[Stage, ...]] = []
    dtypes: list[str] = []
    for network in branch_networks(layer, tensor):
        branch = Branch(stages=(), lanes=lanes, cost=Cost()) if network is None else build(network, lanes)
        end = (tensor if network is None else network.output).dense
        last = index if network is None else len(network.layers) - 1
        more = rechunk(end, layer=last, have=branch.lanes, want=wanted)
        ends.append((*branch.stages, *more.stages))
        dtypes.append(end.dtype)
        cost += branch.cost + more.cost
    body, shortcut = ends
    word = result.shape[0] * result.shape[1] * ceil_div(result.shape[2], wanted)
    depths = queue_depth(body, shortcut, word=word), queue_depth(shortcut, body, word=word)
    for depth in depths:
        cost += memory_cost(depth, 8 * wanted)
    coming = tensor.shape[0] * tensor.shape[1] * ceil_div(tensor.shape[2], lanes)
    cycles = max(coming, word, *(stage.cycles for stage in (*body, *shortcut)))
    stage = ResidualStage(
        layer=index,
        cycles=cycles,
        input_lanes=lanes,
        input_dtype=tensor.dtype,
        lanes=wanted,
        body=body,
        shortcut=shortcut,
        body_queue=depths[0],
        shortcut_queue=depths[1],
        dtypes=(dtypes[0], dtypes[1]),
        scale=layer.scale,
    )
    return stage, cost
