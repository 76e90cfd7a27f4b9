"""Whole networks on one device, planned but not synthesised: every layer with hardware of its own, all at one rate.

All figures are the planner's estimates. Sums of residual blocks, poolings and queues between layers are left out (they
are small beside the layers); weights are constants on the chip, which is what binds on every device here.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from cs_hdl.board.catalogue import device_limits
from cs_hdl.board.devices import PLANNED_DEVICES, SOURCES
from cs_hdl.combine.packed import combine
from cs_hdl.frontend.kernel import ConvOptions, make_conv
from cs_hdl.plan.cost import Cost
from cs_hdl.plan.device_limits import DeviceLimits, needs, usable
from cs_hdl.plan.planner import draft
from cs_hdl.studies.layers import NETWORKS, LayerShape

if TYPE_CHECKING:
    from cs_hdl.combine.packed import Packed

__all__ = ["DEVICES", "MEMORIES", "plan_networks"]

#: Share of the weights, and of a position's channels, that are zero where they can be.
WEIGHT_SPARSITY, ACTIVATION_SPARSITY = 0.9, 0.9
MODES = ("dense", "sparse-dense", "sparse-sparse")
#: Rates that are tried: cycles a word, two to an octave.
_RATES = tuple(round(2 ** (step / 2)) for step in range(2 * 13, 2 * 25 + 1))
_CLOCK_MHZ = 100
DEVICES = ("LFE5U-12F", "LFE5U-45F", "LFE5U-85F", *(limits.name for limits in PLANNED_DEVICES))
#: Peak bytes a second of what could hold weights outside, as published.
MEMORIES = {
    "16-bit SDRAM at 143 MHz (ULX3S)": 2 * 143e6,
    "DDR3L-800, 16 bits (OrangeCrab)": 2 * 800e6,
    "DDR4-2400, 64 bits, one channel": 8 * 2400e6,
    "DDR4 of an Alveo U250, four channels": 77e9,
    "HBM2 of an Alveo U280": 460e9,
}


@dataclass(frozen=True, kw_only=True, eq=False)
class _Design:
    """A layer, packed for one design, and what the rates cost that were asked for so far."""

    packed: Packed
    mode: str | None
    known: dict[int, tuple[int, Cost] | None]

    def cost(self, cycles: int) -> tuple[int, Cost] | None:
        if cycles not in self.known:
            self.known[cycles] = draft(self.packed, self.mode, cycles)
        return self.known[cycles]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Layer:
    """A shape of a network and its design."""

    shape: LayerShape
    design: _Design

    def cost(self, cycles: int) -> tuple[int, Cost] | None:
        """Cycles and cost at no more than ``cycles`` a word."""
        return self.design.cost(cycles)

    @property
    def packed(self) -> Packed:
        """The layer's only kernel, packed."""
        return self.design.packed

    @property
    def nonzeros(self) -> int:
        (weights,) = (layer.weights for layer, _ in self.packed.network.weighted)
        return int((weights != 0).sum())

    @property
    def stored_bits(self) -> int:
        """Weights and kernel ids of one such layer, only those that are there."""
        (packed,) = self.packed.layers.values()
        # (The position itself tells the kernel where each sees a channel of its own.)
        shared = packed.kernels_per_set > 1 and not self.shape.depthwise
        kernel_id = math.ceil(math.log2(packed.kernels_per_set)) if shared else 0
        return self.nonzeros * (8 + kernel_id)


def plan_networks() -> dict[str, Any]:
    """For each network and design: its layers, the rate on each device, and the bandwidth of weights from outside."""
    found = {}
    for name, shapes in NETWORKS.items():
        designs = {}
        for mode in MODES:
            layers = [_layer(shape, mode) for shape in shapes()]
            designs[mode] = {
                "layers": [_layer_entry(layer) for layer in layers],
                "devices": [_device_entry(layers, device_limits(device)) for device in DEVICES],
                "outside": _outside(layers),
            }
        found[name] = {
            "macs": sum(shape.macs * shape.count for shape in shapes()),
            "weights": sum(shape.weights * shape.count for shape in shapes()),
            "designs": designs,
        }
    conditions = {
        "weight_sparsity": WEIGHT_SPARSITY, "activation_sparsity": ACTIVATION_SPARSITY, "clock_mhz": _CLOCK_MHZ,
        "sources": SOURCES,
    }  # fmt: skip
    return {"conditions": conditions, "networks": found}


def _layer(shape: LayerShape, mode: str) -> _Layer:
    # A depthwise kernel sees one channel, of which there is nothing to select, and is small: it stays dense.
    dense = mode == "dense" and not shape.depthwise
    # A k-WTA needs unsigned values.
    selected = mode == "sparse-sparse" and shape.after == "relu" and not shape.depthwise
    return _Layer(shape=shape, design=_design(replace(shape, count=1), dense, selected))


@cache
def _design(shape: LayerShape, dense: bool, selected: bool) -> _Design:
    """Layers that are the same in two designs are costed once."""
    sparse = not dense and not shape.depthwise
    options = ConvOptions(
        kernel=(shape.kernel, shape.kernel),
        in_channels=shape.in_channels,
        out_channels=shape.out_channels,
        input=(shape.size, shape.size),
        stride=(shape.stride, shape.stride),
        padding=(shape.kernel // 2,) * 4,
        groups=shape.in_channels if shape.depthwise else 1,
        input_dtype="int8" if shape.after == "linear" else "uint8",
        weight_sparsity=WEIGHT_SPARSITY if sparse else 0.0,
        active_inputs=max(1, round((1 - ACTIVATION_SPARSITY) * shape.in_channels)) if selected else None,
        scale="1/2^9",
    )
    return _Design(packed=combine(make_conv(options), dense=dense), mode="dense" if dense else None, known={})


def _layer_entry(layer: _Layer) -> dict[str, Any]:
    shape = layer.shape
    entry: dict[str, Any] = {
        "name": shape.name, "count": shape.count, "macs": shape.macs, "weights": shape.weights,
        "nonzeros": layer.nonzeros, "stored_bits": layer.stored_bits,
    }  # fmt: skip
    # At about a hundred words a second.
    rate = min(_RATES, key=lambda cycles: abs(cycles - _CLOCK_MHZ * 1e6 / 100))
    built = layer.cost(rate)
    return entry | ({} if built is None else {"cycles": built[0], **_numbers(built[1])})


def _numbers(cost: Cost) -> dict[str, int]:
    return {"lut": round(cost.lut), "dsp": cost.dsp, "block_ram": cost.block_ram}


def _total(layers: Sequence[_Layer], cycles: int) -> Cost | None:
    """All layers at ``cycles`` a word."""
    total = Cost()
    for layer in layers:
        built = layer.cost(cycles)
        if built is None:
            return None
        for _ in range(layer.shape.count):
            total += built[1]
    return total


def _device_entry(layers: Sequence[_Layer], limits: DeviceLimits) -> dict[str, Any]:
    """The fewest cycles a word that fit, and what keeps it from being faster; what is missing where nothing fits."""
    entry: dict[str, Any] = {"device": limits.name}

    def fit(cycles: int) -> bool:
        total = _total(layers, cycles)
        return total is not None and not _over(total, limits)

    # More cycles never cost more.
    first = bisect_left(_RATES, True, key=fit)
    if first < len(_RATES):
        best = _RATES[first]
        faster = _total(layers, _RATES[first - 1]) if first else None
        cost = _total(layers, best)
        assert cost is not None  # it fits
        entry |= {"fits": True, "cycles": best, "words_per_second": round(_CLOCK_MHZ * 1e6 / best, 2)}
        return entry | _numbers(cost) | {"binds": sorted(_over(faster, limits)) if faster is not None else []}
    cost = _total(layers, _RATES[-1])
    assert cost is not None  # any folding is slow enough
    over = _over(cost, limits)
    return entry | {"fits": False, "cycles": _RATES[-1], **_numbers(cost), "binds": sorted(over),
                    "times_too_much": {kind: round(share, 2) for kind, share in over.items()}}  # fmt: skip


def _over(cost: Cost, limits: DeviceLimits) -> dict[str, float]:
    """By kind, how many times more than there is ``cost`` needs."""
    there = usable(limits)
    return {kind: need / there[kind] for kind, need in needs(cost, limits).items() if need > there[kind]}


def _outside(layers: Sequence[_Layer]) -> dict[str, Any]:
    """Words a second that the memories allow if all weights are read once a word, and once for 16 words."""
    total = sum(layer.stored_bits * layer.shape.count for layer in layers) / 8
    rates = {name: round(bandwidth / total, 1) for name, bandwidth in MEMORIES.items()}
    return {"bytes": round(total), "words_per_second": rates}
