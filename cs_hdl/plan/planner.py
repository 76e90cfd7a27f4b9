"""From a packed network to a plan: every layer gets the cheapest stages that keep within the cycles."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cs_hdl.combine.packed import combine
from cs_hdl.errors import InputError
from cs_hdl.plan.build_stages import Infeasible, StageBuilder
from cs_hdl.plan.candidates import candidate_cycles
from cs_hdl.plan.cost import LUTS_PER_MULTIPLIER, LUTS_PER_REGISTER_BIT, Cost
from cs_hdl.plan.plan import Plan
from cs_hdl.plan.timing import measure

if TYPE_CHECKING:
    from cs_hdl.combine.packed import Packed
    from cs_hdl.network import Network

__all__ = [
    "MODES",
    "DeviceLimits",
    "Explanation",
    "check_mode",
    "draft",
    "explain",
    "fits",
    "make_plan",
    "needs",
    "usable",
]

MODES = ("sparse-sparse", "sparse-dense", "dense")


@dataclass(frozen=True, kw_only=True)
class DeviceLimits:
    """What a device has; ``lut`` counts 4-input LUTs, ``block_ram`` blocks of its ``family``'s own size.

    An ``ice40`` has no RAM made of LUTs and blocks of 4 kbit; ``dsp`` is 0 where multipliers are made of LUTs.
    """

    name: str
    lut: int
    dsp: int
    block_ram: int
    family: str = "ecp5"


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

#: Share of the device's LUTs that may be planned for: beyond it routing gets slow and clocks low.
_LUT_SHARE = 0.75
#: Less where the board's own top level is a tenth of the chip, and registers seldom share a cell with a LUT.
_LUT_SHARE_OF = {"ice40": 0.7}
#: Block RAMs that a board's own top level takes (a request, the stored words, what waits between the clocks), on
#: small chips, where they count.
_BOARD_BLOCK_RAMS = {"ice40": 5, "gowin": 3}


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


def usable(limits: DeviceLimits) -> dict[str, int]:
    """By kind, what of a device may be planned for."""
    block_ram = max(0, limits.block_ram - _BOARD_BLOCK_RAMS.get(limits.family, 0))
    share = _LUT_SHARE_OF.get(limits.family, _LUT_SHARE)
    return {"LUT": int(limits.lut * share), "DSP": limits.dsp, "block RAM": block_ram}


def needs(cost: Cost, limits: DeviceLimits) -> dict[str, int]:
    """By the same kinds, what ``cost`` asks for on such a device."""
    lut, dsp, block_ram = cost.lut, cost.dsp, cost.block_ram
    if limits.family == "ice40":
        lut, block_ram = lut + cost.register_bits * LUTS_PER_REGISTER_BIT, cost.small_ram
    if limits.dsp == 0:
        lut, dsp = lut + dsp * LUTS_PER_MULTIPLIER, 0
    return {"LUT": round(lut), "DSP": dsp, "block RAM": block_ram}


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


def fits(cost: Cost, limits: DeviceLimits) -> bool:
    """Whether ``cost`` is within what of the device may be planned for."""
    there = usable(limits)
    return all(need <= there[kind] for kind, need in needs(cost, limits).items())


def _too_large(network: Network, cost: Cost, limits: DeviceLimits) -> str:
    need, there = needs(cost, limits), usable(limits)
    return (
        f"{network.name}: too large for {limits.name}: the smallest folding takes about {need['LUT']} LUTs, "
        f"{need['DSP']} DSPs and {need['block RAM']} block RAMs of {there['LUT']} usable, {limits.dsp} and "
        f"{there['block RAM']}; take a larger device or a smaller network"
    )
