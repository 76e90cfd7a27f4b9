"""From a packed network to a plan: every layer gets the cheapest stages that keep within the cycles."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cs_hdl.combine.packed import combine
from cs_hdl.errors import InputError
from cs_hdl.plan.build_stages import Infeasible, StageBuilder
from cs_hdl.plan.candidates import candidate_cycles
from cs_hdl.plan.device_limits import fits, needs, usable
from cs_hdl.plan.plan import Plan
from cs_hdl.plan.timing import measure

if TYPE_CHECKING:
    from cs_hdl.combine.packed import Packed
    from cs_hdl.network import Network
    from cs_hdl.plan.cost import Cost
    from cs_hdl.plan.device_limits import DeviceLimits

__all__ = [
    "MODES",
    "Explanation",
    "check_mode",
    "draft",
    "explain",
    "make_plan",
]

MODES = ("sparse-sparse", "sparse-dense", "dense")


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """Why a plan is as it is.

    ``bottleneck`` names the layers that take all of its cycles, ``cost`` is what the planner expects it to take, and
    ``faster`` has the cycles a word and the cost of the next faster plan, whether that fits or not; None where no
    folding is faster.
    """

    bottleneck: tuple[str, ...]
    cost: Cost
    faster: tuple[int, Cost] | None


#: Faster plans that are tried where the cheapest one does not fit the device.
_FASTER_TRIED = 20


def make_plan(network: Network, *, limits: DeviceLimits, cycles: int | None = None, mode: str | None = None) -> Plan:
    """Plan ``network``: at most ``cycles`` cycles a word, or the fewest that fit ``limits``.

    Raises InputError where ``cycles`` cannot be reached, the device cannot hold the network, or the
    network does not allow ``mode``.
    """
    check_mode(network, mode)
    packed = combine(network, dense=mode == "dense")
    if cycles is not None:
        return measure(_at_most(packed, mode, cycles, limits))
    candidates = candidate_cycles(packed)

    def draft_fits(index: int) -> bool:
        built = draft(packed, mode, candidates[index])
        return built is not None and fits(built[1], limits)

    first = bisect_left(range(len(candidates) - 1), True, key=draft_fits)
    built = None
    for cycles in candidates[first:]:  # (packed in earnest, it may just fail to fit)
        built = _build(packed, mode, cycles)
        if built is not None and fits(built[1], limits):
            return measure(built[0])
    if built is None:
        raise InputError(f"{network.name}: no folding was found for any number of cycles")
    raise InputError(_too_large(network, built[1], limits))


def explain(plan: Plan) -> Explanation:
    """What bounds ``plan``, and what a faster one would take."""
    packed = combine(plan.network, dense=plan.mode == "dense")
    built = _build(packed, plan.mode, plan.cycles_per_word, draft=True)
    assert built is not None  # it has been built before
    fewer = [count for count in candidate_cycles(packed) if count < plan.cycles_per_word]
    faster = _build(packed, plan.mode, fewer[-1], draft=True) if fewer else None
    return Explanation(
        bottleneck=tuple(layer.name for layer in plan.layers if layer.cycles == plan.cycles_per_word),
        cost=built[1],
        faster=None if faster is None else (faster[0].cycles_per_word, faster[1]),
    )


def _at_most(packed: Packed, mode: str | None, cycles: int, limits: DeviceLimits) -> Plan:
    """The cheapest plan of at most ``cycles`` cycles a word."""
    name = packed.network.name
    if cycles < 1:
        raise InputError(f"--cycles {cycles}: must be at least 1")
    built = _build(packed, mode, cycles)
    if built is None:
        more = (count for count in candidate_cycles(packed) if count > cycles)
        fewest = next((count for count in more if _build(packed, mode, count, draft=True)), None)
        hint = f"the fewest are {fewest}" if fewest else "no folding was found for any number of cycles"
        raise InputError(f"{name}: {cycles} cycles a word cannot be reached; {hint}")
    if fits(built[1], limits):
        return built[0]
    # The cheapest may want more of one resource than there is: a faster one, more evenly spread, may fit.
    fewer = [count for count in candidate_cycles(packed) if count < cycles]
    for count in fewer[:: -max(1, len(fewer) // _FASTER_TRIED)]:
        faster = _build(packed, mode, count)
        if faster is not None and fits(faster[1], limits):
            return faster[0]
    raise InputError(_too_large(packed.network, built[1], limits) + ", or allow more cycles")


def check_mode(network: Network, mode: str | None) -> None:
    """InputError where ``network`` does not allow ``mode``."""
    if mode is None:
        return
    if mode not in MODES:
        raise InputError(f"--mode {mode}: must be one of {', '.join(MODES)}")
    if mode == "sparse-sparse" and all(tensor.winners is None for _, tensor in network.weighted):
        raise InputError(
            f"{network.name}: --mode sparse-sparse needs sparse activations, but no layer has a k-WTA in front; "
            "give --active-inputs, or take --mode sparse-dense"
        )


def _build(packed: Packed, mode: str | None, cycles: int, *, draft: bool = False) -> tuple[Plan, Cost] | None:
    """The cheapest plan of at most ``cycles`` cycles and what it costs; None where there is none."""
    try:
        builder = StageBuilder(packed, mode=mode, cycles=cycles, draft=draft)
        return builder.build(), builder.cost
    except Infeasible:
        return None


def draft(packed: Packed, mode: str | None, cycles: int) -> tuple[int, Cost] | None:
    """Cycles and cost of the cheapest plan of at most ``cycles`` cycles, as far as can be told without packing by
    single weights; None where there is none."""
    built = _build(packed, mode, cycles, draft=True)
    return None if built is None else (built[0].cycles_per_word, built[1])


def _too_large(network: Network, cost: Cost, limits: DeviceLimits) -> str:
    need, there = needs(cost, limits), usable(limits)
    return (
        f"{network.name}: too large for {limits.name}: the smallest folding takes about {need['LUT']} LUTs, "
        f"{need['DSP']} DSPs and {need['block RAM']} block RAMs of {there['LUT']} usable, {limits.dsp} and "
        f"{there['block RAM']}; take a larger device or a smaller network"
    )
