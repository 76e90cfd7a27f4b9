"""No accumulator, chain register or adder can overflow for the weights given: exact bounds from code of its own.

Nothing here uses the bounds' own code: a constants graph is unrolled into what each node adds up, input by input;
a lane's table is read word by word, as the lane reads it.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from cs_hdl.combine.masks import complementary_masks
from cs_hdl.combine.packed import combine
from cs_hdl.fixedpoint import bits_for_range, dtype_range
from cs_hdl.network import Conv2d, LocalKWTA, Network, Tensor
from cs_hdl.plan.adder_graph import AdderGraph, adder_graph
from cs_hdl.plan.folding import fold_lanes
from cs_hdl.plan.geometry import weight_geometry
from cs_hdl.plan.lane_tables import LaneTable, lane_tables

ACTIVATIONS = {"uint8": range(256), "int8": range(-128, 128)}


def reach(coefficients: np.ndarray, values: range) -> tuple[int, int]:
    """Least and greatest value of a sum of products with values that are chosen freely, each on its own."""
    products = np.stack([coefficients * values[0], coefficients * values[-1]])
    return int(products.min(axis=0).sum()), int(products.max(axis=0).sum())


def fits(low: int, high: int, bits: int) -> bool:
    return -(1 << (bits - 1)) <= low and high < 1 << (bits - 1)


def linear_forms(graph: AdderGraph) -> list[np.ndarray]:
    """Each node as its coefficients over the inputs: a graph of shifts and additions is linear."""
    forms = [row.astype(object) for row in np.eye(graph.inputs, dtype=np.int64)]
    for adder in graph.adders:
        forms.append(forms[adder.left] * 2**adder.left_shift + adder.sign * forms[adder.right] * 2**adder.right_shift)
    return forms


@pytest.mark.parametrize("dtype", ACTIVATIONS)
@pytest.mark.parametrize("seed", range(12))
def test_a_graph_of_constants_is_its_matrix_and_nothing_wraps(seed, dtype):
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(1, 24)), int(rng.integers(1, 60)))
    matrix = rng.integers(-127, 128, shape) * (rng.random(shape) < rng.choice([0.1, 0.4, 1.0]))
    graph = adder_graph(matrix, *dtype_range(dtype))
    forms = linear_forms(graph)
    for adder, form in zip(graph.adders, forms[graph.inputs :], strict=True):
        low, high = reach(form, ACTIVATIONS[dtype])
        # The signal of an adder is as wide as the range that the graph states.
        assert adder.low <= low and high <= adder.high
    for row, term in zip(matrix, graph.outputs, strict=True):
        form = 0 * forms[0] if term is None else term.sign * forms[term.node] * 2**term.shift
        assert form.tolist() == row.tolist()


def drawn_network(seed: int) -> Network:
    rng = np.random.default_rng(seed)
    height, width = (int(size) for size in rng.integers(1, 5, 2))
    channels, kernels = int(rng.integers(1, 20)), int(rng.integers(1, 24))
    places = height * width * channels
    nonzeros = int(rng.integers(1, max(2, places // 2 + 1)))
    masks = complementary_masks(kernels=kernels, positions=places, nonzeros=nonzeros, seed=seed)
    extreme = rng.random() < 0.4  # all weights at the end of their range
    sizes = 127 if extreme else rng.integers(1, 128, masks.shape)
    signs = 1 if rng.random() < 0.3 else rng.choice([-1, 1], masks.shape)
    weights = np.where(masks, sizes * signs, 0).reshape(kernels, height, width, channels).transpose(0, 3, 1, 2)
    conv = Conv2d(
        name="conv",
        weights=weights.astype(np.int8),
        bias=rng.integers(-1000, 1000, kernels).astype(np.int32),
        stride=(1, 1),
        padding=(0, 0, 0, 0),
        requantise=None,
    )
    sparse = bool(rng.random() < 0.5) and channels > 1
    front = (LocalKWTA(name="front", winners=int(rng.integers(1, channels))),) if sparse else ()
    dtype = "uint8" if sparse or rng.random() < 0.5 else "int8"
    return Network(name="net", input=Tensor((height + 2, width + 3, channels), dtype), layers=(*front, conv))


def lane_reach(plan: Any, table: Any, values: range) -> dict[tuple[int, int, int], tuple[int, int]]:
    """For each (pass, set column, kernel id): the least and the greatest its accumulator can ever hold.

    A lane's accumulator starts at 0 and gets at most ``lane_entries`` products of each tap, in any order; so it stays
    between the sum of what is negative and the sum of what is positive.
    """
    taps = plan.lane_rows * plan.lane_columns
    shape = (plan.passes, taps, plan.table_channels, plan.set_columns)
    weights, ids = table.weights.reshape(shape), table.kernel_ids.reshape(shape)
    found = {}
    for turn, column, kid in itertools.product(
        range(plan.passes), range(plan.set_columns), range(plan.kernels_per_set)
    ):
        low = high = 0
        for tap in range(taps):
            own = [
                int(w)
                for w, k in zip(weights[turn, tap, :, column], ids[turn, tap, :, column], strict=True)
                if k == kid
            ]
            least = sorted(min(0, w * values[0], w * values[-1]) for w in own)
            greatest = sorted((max(0, w * values[0], w * values[-1]) for w in own), reverse=True)
            low += sum(least[: plan.lane_entries])
            high += sum(greatest[: plan.lane_entries])
        found[turn, column, kid] = (low, high)
    return found


@pytest.mark.parametrize("seed", range(40))
def test_no_accumulator_of_a_lane_and_no_sum_of_the_chain_wraps(seed):
    network = drawn_network(seed)
    packed = combine(network)
    dtype = network.tensors[len(network.layers) - 1].dtype
    folded = 0
    for beat in (1, 2):
        for cycles in (20, 60, 300, 5000):
            folded += check_folding(network, packed, dtype, beat=beat, cycles=cycles)
    assert folded


def check_folding(network: Network, packed: Any, dtype: str, *, beat: int, cycles: int) -> bool:
    """Whether the layer can be folded so; if it can, nothing wraps."""
    conv, tensor = network.layers[-1], network.tensors[-2]
    assert isinstance(conv, Conv2d)
    sparse = tensor.winners is not None
    entries = tensor.winners if sparse else tensor.shape[2]
    geometry = weight_geometry(conv, tensor)
    plan = fold_lanes(
        packed.layers["conv"],
        geometry,
        entries=entries,
        beat=min(beat, entries),
        sparse=sparse,
        output_lanes=1,
        cycles=geometry.positions * cycles,
    )
    if plan is None:
        return False
    chain: dict[Any, tuple[int, int]] = {}
    for table in lane_tables(packed.layers["conv"], plan, dtype_range(dtype)):
        for place, (low, high) in lane_reach(plan, table, ACTIVATIONS[dtype]).items():
            assert fits(low, high, table.accumulator_width)
            before = chain.get(place, (0, 0))
            chain[place] = (before[0] + low, before[1] + high)
            assert fits(*chain[place], table.chain_width)
    return True


def test_a_width_of_one_bit_less_is_found():
    network = drawn_network(1)
    packed = combine(network)
    dtype = network.tensors[-2].dtype
    real = LaneTable.accumulator_width
    try:
        LaneTable.accumulator_width = property(lambda self: bits_for_range(self.low, self.high) - 1)
        with pytest.raises(AssertionError):
            check_folding(network, packed, dtype, beat=1, cycles=300)
    finally:
        LaneTable.accumulator_width = real
