"""Every stream component keeps the rules of a stream and gives what its contract says (streams.py, docs/proofs.md)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from prover import Proof, Refuted, always, combinational_inputs, prove
from slow import quick_first
from streams import Claims, Contract, StreamHarness, exactly

from cs_hdl.combine.packed import combine
from cs_hdl.fixedpoint import dtype_range
from cs_hdl.network import Conv2d, Network, Tensor
from cs_hdl.plan.adder_graph import adder_graph
from cs_hdl.plan.folding import fold_lanes
from cs_hdl.plan.geometry import Geometry, weight_geometry
from cs_hdl.plan.stages import PoolStage
from cs_hdl.rtl.argmax import ArgMax
from cs_hdl.rtl.block_pool import BlockMaxPool
from cs_hdl.rtl.densify import Densify
from cs_hdl.rtl.global_kwta import GlobalKWTA
from cs_hdl.rtl.local_kwta import LocalKWTA
from cs_hdl.rtl.max_pool import MaxPool
from cs_hdl.rtl.multiply_constants import MultiplyConstants
from cs_hdl.rtl.multiply_lanes import MultiplyLanes
from cs_hdl.rtl.primitives.queue import Queue
from cs_hdl.rtl.primitives.register_slice import RegisterSlice
from cs_hdl.rtl.primitives.window import Window
from cs_hdl.rtl.rechunk import Narrow, Widen
from cs_hdl.rtl.streams import value_shape, values_layout


@dataclass(frozen=True, kw_only=True)
class Case:
    """A component, its contract, and how far it is proven (``depth`` None: without a bound).

    Where there is a bound, it is one for what beats hold. Control is decided far sooner, so it has a bound of its own:
    long enough for a group and a rest behind it, which is what says that nothing is lost.
    """

    dut: Callable[[], Any]
    contract: Contract
    depth: int | None = None

    @property
    def control_depth(self) -> int:
        return self.contract.drain + self.contract.in_beats + self.contract.out_beats + 8


def ceil_div(a: int, b: int) -> int:
    return -(-a // b)


def raw(values: list[Any], bits: int) -> Value:
    """Values side by side, each in its bits."""
    return Cat(Value.cast(value)[:bits] for value in values)


def channels_of(inputs: Any, channels: int) -> list[Any]:
    """All values of a group of beats in their order, the spare lanes left out."""
    return [beat.values[lane] for beat in inputs for lane in range(len(beat.values))][:channels]


def register_slice() -> Case:
    return Case(
        dut=lambda: RegisterSlice(5),
        contract=Contract(in_beats=1, out_beats=1, check=exactly(lambda i: [Value.cast(i[0])]), drain=3, most_owed=2),
    )


def queue(depth: int) -> Case:
    return Case(
        dut=lambda: Queue(layout=values_layout("uint8", 1), depth=depth),
        contract=Contract(
            in_beats=1,
            out_beats=1,
            check=exactly(lambda i: [Value.cast(i[0])]),
            drain=depth + 3,
            most_owed=depth + 1,
        ),
    )


def narrow(channels: int, lanes: int, depth: int) -> Case:
    beats = ceil_div(channels, lanes)

    def golden(inputs: Any) -> list[Value]:
        values = [*inputs[0].values, *[Const(0, 8)] * (beats * lanes - channels)]
        return [raw(values[first : first + lanes], 8) for first in range(0, beats * lanes, lanes)]

    return Case(
        dut=lambda: Narrow(channels=channels, lanes=lanes, dtype="uint8", depth=depth),
        contract=Contract(
            in_beats=1,
            out_beats=beats,
            check=exactly(golden),
            drain=(depth + 1) * beats + 3,
            most_owed=(depth + 1) * beats + 1,
        ),
    )


def widen(channels: int, lanes: int) -> Case:
    return Case(
        dut=lambda: Widen(channels=channels, lanes=lanes, dtype="int8"),
        contract=Contract(
            in_beats=ceil_div(channels, lanes),
            out_beats=1,
            check=exactly(lambda i: [raw(channels_of(i, channels), 8)]),
            drain=3,
            most_owed=2,
        ),
    )


def taps(geometry: Geometry, inputs: Any, beats: int, outside: Any) -> list[list[Any]]:
    """For each output beat: what the kernel sees, a beat's array of values or ``outside``."""
    height, width = geometry.shape[:2]
    top, left = geometry.padding[:2]
    seen = []
    for row in range(geometry.out[0]):
        for column in range(geometry.out[1]):
            for beat in range(beats):
                window: list[Any] = []
                for y in range(geometry.kernel[0]):
                    for x in range(geometry.kernel[1]):
                        place = (row * geometry.stride[0] + y - top, column * geometry.stride[1] + x - left)
                        inside = 0 <= place[0] < height and 0 <= place[1] < width
                        window.append(
                            inputs[(place[0] * width + place[1]) * beats + beat].values if inside else outside
                        )
                seen.append(window)
    return seen


def raster_contract(geometry: Geometry, beats: int, check: Any, latency: int, interval: int, bits: int) -> Contract:
    """Words of a raster; more than one may be in a window that is larger than the input."""
    out_beats = geometry.positions * beats
    words = 2 + ceil_div(latency, interval)
    return Contract(
        in_beats=geometry.shape[0] * geometry.shape[1] * beats,
        out_beats=out_beats,
        check=check,
        drain=latency + interval + 4,
        most_owed=words * out_beats,
        bits=bits,
    )


def window(geometry: Geometry, *, beats: int = 1, bits: int = 1, depth: int | None = None) -> Case:
    def make() -> Window:
        return Window(geometry=geometry, lanes=1, beats=beats, dtype="uint8", padding_value=7)

    def golden(inputs: Any) -> list[Value]:
        return [
            Cat(Const(7, 8) if values is None else values[0] for values in window)
            for window in taps(geometry, inputs, beats, None)
        ]

    latency, interval = make().latency, make().interval
    return Case(
        dut=make, contract=raster_contract(geometry, beats, exactly(golden), latency, interval, bits), depth=depth
    )


def max_pool(geometry: Geometry, dtype: str, *, running: bool = False, bits: int = 8, depth: int | None = None) -> Case:
    def make() -> MaxPool | BlockMaxPool:
        return (BlockMaxPool if running else MaxPool)(geometry=geometry, lanes=1, beats=1, dtype=dtype)

    def golden(inputs: Any) -> list[Value]:
        results = []
        for places in taps(geometry, inputs, 1, None):
            values = [values[0] for values in places if values is not None]
            largest: Value = Const(dtype_range(dtype)[0], value_shape(dtype))
            for value in values:
                largest = Mux(value > largest, value, largest)
            results.append(largest[:8])
        return results

    latency, interval = make().latency, make().interval
    contract = raster_contract(geometry, 1, exactly(golden), latency, interval, bits)
    if running:
        # What its queue holds, and the results of a word that has begun.
        contract = replace(contract, most_owed=PoolStage.RUNNING_DEPTH + contract.out_beats)
    return Case(dut=make, contract=contract, depth=depth)


def densify(channels: int, winners: int, pairs: int, lanes: int, *, depth: int | None = None) -> Case:
    in_beats, out_beats = ceil_div(winners, pairs), ceil_div(channels, lanes)

    def slots(inputs: Any) -> list[tuple[Any, Any]]:
        return [(beat.values[n], beat.indices[n]) for beat in inputs for n in range(pairs)]

    def assumed(inputs: Any) -> list[Value]:
        """Winners are different channels that exist; spare slots hold value 0."""
        found: list[Value] = [index < channels for _, index in slots(inputs)]
        for number, (value, index) in enumerate(slots(inputs)):
            for other, other_index in slots(inputs)[:number]:
                found.append((index != other_index) | (value == 0) | (other == 0))
        return found

    def golden(inputs: Any) -> list[Value]:
        dense: list[Value] = []
        for channel in range(out_beats * lanes):
            total: Value = Const(0, 8)
            for value, index in slots(inputs):
                total = total | Mux(index == channel, value, 0)
            dense.append(total if channel < channels else Const(0, 8))
        return [raw(dense[first : first + lanes], 8) for first in range(0, out_beats * lanes, lanes)]

    return Case(
        dut=lambda: Densify(channels=channels, winners=winners, pairs=pairs, lanes=lanes),
        contract=Contract(
            in_beats=in_beats,
            out_beats=out_beats,
            check=exactly(golden),
            drain=3 * out_beats + in_beats * pairs + 5,
            most_owed=4 * out_beats,
            assumed=assumed,
        ),
        depth=depth,
    )


def wins(values: list[Any], winners: int) -> list[Value]:
    """For each value whether fewer than ``winners`` others come before it: larger ones, and equal ones before it."""
    found = []
    for place, value in enumerate(values):
        before = [other >= value for other in values[:place]] + [other > value for other in values[place + 1 :]]
        found.append(sum(before, Const(0)) < winners)
    return found


def exact_winners(channels: int, winners: int, pairs: int, *, in_order: bool) -> Any:
    """The check of a k-WTA: each of the ``winners`` slots holds a winner and its value, none of them twice.

    So they are just the winners, by counting. Slots that are left over hold value 0, index 0.
    """

    def check(m: Module, inputs: Any, given: Value, number: Value, payload: Any) -> None:
        values = channels_of(inputs, channels)
        winner, seen = Signal(channels), Signal(channels)
        m.d.comb += winner.eq(Cat(wins(values, winners)))
        hits: list[Value] = []
        for pair in range(pairs):
            index, value = payload.indices[pair], payload.values[pair]
            used = number * pairs + pair < winners
            one = Signal(channels, name=f"hit_{pair}")
            m.d.comb += one.eq(Mux(used, Cat(index == channel for channel in range(channels)), 0))
            right = Cat((index == c) & winner[c] & (value == values[c]) for c in range(channels)).any()
            earlier = seen
            for hit in hits:
                earlier = earlier | hit
            with m.If(given):
                m.d.comb += [
                    always(Mux(used, right, (index == 0) & (value == 0))),
                    always((earlier & one) == 0),
                ]
                if in_order:  # nothing that was given before has a higher index
                    m.d.comb += always(~used | (earlier < one))
            hits.append(one)
        with m.If(given):
            m.d.sync += seen.eq(Cat(Cat(hit[c] for hit in hits).any() for c in range(channels)) | seen)

    return check


def local_kwta(channels: int, winners: int, beats: int, pairs: int, *, depth: int) -> Case:
    def make() -> LocalKWTA:
        return LocalKWTA(channels=channels, winners=winners, beats=beats, pairs=pairs)

    out_beats = ceil_div(winners, pairs)
    under_way = make().latency // make().interval + 4
    return Case(
        dut=make,
        contract=Contract(
            in_beats=beats,
            out_beats=out_beats,
            check=exact_winners(channels, winners, pairs, in_order=False),
            drain=make().latency + under_way * out_beats + 4,
            most_owed=under_way * out_beats,
        ),
        depth=depth,
    )


def global_kwta(features: int, winners: int, lanes: int, *, depth: int) -> Case:
    def make() -> GlobalKWTA:
        return GlobalKWTA(features=features, winners=winners, lanes=lanes)

    out_beats = ceil_div(winners, lanes)
    under_way = make().latency // make().interval + 3
    return Case(
        dut=make,
        contract=Contract(
            in_beats=ceil_div(features, lanes),
            out_beats=out_beats,
            check=exact_winners(features, winners, lanes, in_order=True),
            drain=make().latency + 4,
            most_owed=under_way * out_beats,
        ),
        depth=depth,
    )


def argmax(values: int, lanes: int, dtype: str, *, depth: int | None = None) -> Case:
    def make() -> ArgMax:
        return ArgMax(values=values, lanes=lanes, dtype=dtype)

    def golden(inputs: Any) -> list[Value]:
        index: Value = Const(0, 8)
        for place, is_winner in enumerate(wins(channels_of(inputs, values), 1)):
            index = index | Mux(is_winner, place, 0)
        return [index]

    return Case(
        dut=make,
        contract=Contract(
            in_beats=ceil_div(values, lanes),
            out_beats=1,
            check=exactly(golden),
            drain=make().latency + 3,
            most_owed=make().latency + 3,
        ),
        depth=depth,
    )


def weighted_sums(inputs: list[Any], weights: list[list[int]], biases: list[int], bits: int) -> Value:
    """All kernels' exact sums side by side."""
    totals = []
    for row, bias in zip(weights, biases, strict=True):
        total = sum(
            (value * weight for value, weight in zip(inputs, row, strict=True) if weight), Const(bias, signed(bits))
        )
        totals.append(Cat(total, total[-1].replicate(bits))[:bits])
    return Cat(totals)


def constants(weights: list[list[int]], biases: list[int], *, bits: int = 2, depth: int) -> Case:
    graph = adder_graph(np.array(weights), 0, 255)
    place = Geometry(shape=(1, 1, len(weights[0])), kernel=(1, 1), stride=(1, 1), padding=(0, 0, 0, 0))

    def make() -> MultiplyConstants:
        return MultiplyConstants(
            graph=graph, geometry=place, dtype="uint8", biases=biases, requantise=None, output_dtype="int24"
        )

    def golden(inputs: Any) -> list[Value]:
        return [weighted_sums(list(inputs[0].taps[0].values), weights, biases, 24)]

    return Case(
        dut=make,
        contract=Contract(
            in_beats=1,
            out_beats=1,
            check=exactly(golden),
            drain=make().latency + 3,
            most_owed=make().latency + 2,
            bits=bits,
        ),
        depth=depth,
    )


def lanes(*, depth: int) -> Case:
    """Two kernels over two channels on one lane; values of two bits (the multiplier is proven by its own test)."""
    weights = np.array([[3, 0], [0, -5]])
    layer = Conv2d(
        name="conv",
        weights=weights.reshape(2, 2, 1, 1).astype(np.int8),
        bias=np.array([7, -9], dtype=np.int32),
        stride=(1, 1),
        padding=(0, 0, 0, 0),
        requantise=None,
    )
    network = Network(name="net", input=Tensor((1, 1, 2), "uint8"), layers=(layer,))
    packed = combine(network).layers["conv"]
    plan = fold_lanes(
        packed, weight_geometry(layer, network.input), entries=2, beat=1, sparse=False, output_lanes=2, cycles=2
    )
    assert plan is not None

    def golden(inputs: Any) -> list[Value]:
        return [weighted_sums([beat.values[0] for beat in inputs], weights.tolist(), [7, -9], 16)]

    under_way = plan.slots + plan.ring_rows + 2
    return Case(
        dut=lambda: MultiplyLanes(
            packed=packed, plan=plan, biases=[7, -9], requantise=None, dtype="uint8", output_dtype="int16"
        ),
        contract=Contract(in_beats=2, out_beats=1, check=exactly(golden), drain=36, most_owed=under_way, bits=2),
        depth=depth,
    )


def geometry(shape: tuple[int, int], kernel: tuple[int, int], stride: int = 1, padding: int = 0) -> Geometry:
    return Geometry(shape=(*shape, 1), kernel=kernel, stride=(stride, stride), padding=(padding,) * 4)


#: The quick ones first. Seconds each takes stand in docs/proofs.md.
UNBOUNDED = {
    "register slice": lambda: register_slice(),
    "queue of 1": lambda: queue(1),
    "queue of 3": lambda: queue(3),
    "narrow, spare lanes": lambda: narrow(3, 2, 2),
    "widen, spare lanes": lambda: widen(3, 2),
    "widen, one beat": lambda: widen(2, 2),
    "queue of 8": lambda: queue(8),
    "narrow": lambda: narrow(4, 2, 3),
    "argmax": lambda: argmax(3, 2, "int8"),
    "argmax, four values": lambda: argmax(5, 4, "uint8"),
}
BOUNDED = {
    "argmax": lambda: argmax(3, 2, "int8", depth=12),
    "constants": lambda: constants([[127, 127], [-3, 0]], [-77, 1000], depth=12),
    "densify": lambda: densify(4, 2, 2, 2, depth=18),
    "window": lambda: window(geometry((2, 2), (2, 2)), depth=24),
    "window, padded": lambda: window(geometry((2, 3), (2, 2), padding=1), depth=24),
    "window, stride": lambda: window(geometry((3, 3), (2, 1), stride=2), depth=24),
    "window, two beats": lambda: window(geometry((1, 3), (1, 2), padding=0), beats=2, depth=24),
    "max-pool": lambda: max_pool(geometry((2, 2), (2, 2), stride=2), "int8", depth=20),
    "max-pool, overlap": lambda: max_pool(geometry((1, 2), (2, 2), padding=1), "uint8", bits=2, depth=22),
    "max-pool, running": lambda: max_pool(geometry((2, 4), (2, 2), stride=2), "int8", running=True, depth=20),
    "max-pool, running, rest": lambda: max_pool(geometry((3, 3), (2, 2), stride=2), "uint8", running=True, depth=24),
    "densify, one lane": lambda: densify(3, 2, 1, 1, depth=18),
    "local k-WTA": lambda: local_kwta(4, 2, 1, 2, depth=14),
    "local k-WTA, two beats": lambda: local_kwta(5, 2, 2, 1, depth=18),
    "global k-WTA": lambda: global_kwta(4, 2, 2, depth=27),
    "constants, all values": lambda: constants([[3, -5]], [-77], bits=8, depth=12),
    "constants, three inputs": lambda: constants([[127, -127, 1], [5, 11, -6], [0, 0, 1]], [0, 3, -9], depth=12),
    "lanes": lambda: lanes(depth=30),
}
ALL = {**UNBOUNDED, **{f"{name}, bounded": make for name, make in BOUNDED.items()}}


def run(case: Case, folder: Any, name: str, *, claims: Claims, depth: int | None) -> None:
    harness = StreamHarness(case.dut(), case.contract, claims=claims)
    prove(harness, harness.ports, folder, name=name, proof=Proof(depth=depth))


@pytest.mark.parametrize("name", quick_first(UNBOUNDED, 6))
def test_rules(name, tmp_path):
    run(UNBOUNDED[name](), tmp_path, name, claims="all", depth=None)


@pytest.mark.parametrize("name", quick_first(BOUNDED, 2))
def test_what_beats_hold_within_a_bound(name, tmp_path):
    case = BOUNDED[name]()
    run(case, tmp_path, name, claims="values", depth=case.depth)


@pytest.mark.parametrize("name", quick_first(BOUNDED, 4))
def test_nothing_is_lost_within_a_bound(name, tmp_path):
    case = BOUNDED[name]()
    run(case, tmp_path, name, claims="control", depth=case.control_depth)


@pytest.mark.parametrize("name", quick_first(BOUNDED, 2))
def test_the_bound_is_long_enough_for_a_whole_group(name, tmp_path):
    case = BOUNDED[name]()
    with pytest.raises(Refuted):
        run(case, tmp_path, name, claims="no end", depth=case.depth)


@pytest.mark.parametrize("name", quick_first(BOUNDED, 2))
def test_the_bound_is_long_enough_for_a_rest_behind_it(name, tmp_path):
    case = BOUNDED[name]()
    with pytest.raises(Refuted):
        run(case, tmp_path, name, claims="no rest", depth=case.control_depth)


@pytest.mark.parametrize("name", ALL)
def test_valid_does_not_depend_on_ready(name, tmp_path):
    dut = ALL[name]().dut()
    inputs = {"ready": dut.o.ready, "valid": dut.i.valid, "payload": dut.i.payload}
    assert "ready" not in combinational_inputs(dut, inputs, dut.o.valid, tmp_path)
