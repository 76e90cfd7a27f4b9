"""Folding onto lanes: cycles are kept, every weight is in its place, and no sum outgrows its bounds."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from networks import random_bias, sparse_weights

from cs_hdl.combine.masks import complementary_masks
from cs_hdl.combine.packed import combine
from cs_hdl.fixedpoint import dtype_range
from cs_hdl.network import Conv2d, LocalKWTA, Network, Tensor
from cs_hdl.plan.folding import fold_lanes, lane_cycles, realise, row_demand
from cs_hdl.plan.geometry import Geometry, weight_geometry
from cs_hdl.plan.lane_tables import lane_tables


def layer_of(seed, *, small=False):
    """A random convolution behind a k-WTA: (packed layer, kernels, geometry, winners)."""
    rng = np.random.default_rng(seed)
    channels = int(rng.integers(1, 4 if small else 13))
    kernel = tuple(int(size) for size in rng.integers(1, 3 if small else 5, 2))
    height, width = kernel[0] + int(rng.integers(0, 4)), kernel[1] + int(rng.integers(0, 4))
    kernels = int(rng.integers(1, 4 if small else 20))
    layer = Conv2d(
        name="conv",
        weights=sparse_weights(rng, (kernels, channels, *kernel), (0.15, 0.5, 1)[seed % 3]),
        bias=random_bias(rng, kernels),
        stride=(int(rng.integers(1, 3)), 1),
        padding=tuple(int(edge) for edge in rng.integers(0, 3, 4)),
    )
    winners = int(rng.integers(1, channels + 1))
    tensor = Tensor((height, width, channels), "uint8")
    network = Network(name="net", input=tensor, layers=(LocalKWTA(name="k", winners=winners), layer))
    return combine(network).layers["conv"], layer.kernels(tensor), weight_geometry(layer, tensor), winners


def foldings(seed, *, small=False):
    """Foldings that numbers of cycles lead to, for pairs and for dense values, the layer packed for each."""
    packed, kernels, geometry, winners = layer_of(seed, small=small)
    for sparse, entries in ((True, winners), (False, geometry.shape[2])):
        for beat in {1, min(2, entries), entries}:
            options = {"entries": entries, "beat": beat, "sparse": sparse}
            every = sorted(lane_cycles(packed, geometry, **options))
            for cycles in [*every[:: -(-len(every) // 4)], every[-1]]:
                plan = fold_lanes(packed, geometry, output_lanes=1, cycles=cycles, **options)
                assert plan is not None
                found = realise(packed, kernels, plan, cycles=cycles)
                if found is None:  # single weights did not fit as closely as hoped: whole kernels do
                    plan = fold_lanes(packed, geometry, output_lanes=1, cycles=cycles, spanning=False, **options)
                    assert plan is not None
                    found = realise(packed, kernels, plan, cycles=cycles)
                assert found is not None
                yield found[0], kernels, geometry, cycles, found[1]


@pytest.mark.parametrize("seed", range(12))
def test_cycles_are_kept_and_everything_has_a_place(seed):
    found = 0
    for packed, _, geometry, cycles, plan in foldings(seed):
        assert plan.cycles <= cycles and plan.kernels_per_set >= packed.kernels_per_set
        assert plan.engines <= geometry.out[1] and 1 <= plan.last_group <= plan.engines
        assert (packed.spanning is not None) == plan.spanning
        assert plan.rows * plan.lane_rows >= geometry.kernel[0]
        assert plan.columns * plan.lane_columns >= geometry.kernel[1]
        assert plan.slices * plan.lane_entries >= plan.entries
        assert plan.passes * plan.set_columns >= len(packed.sets)
        assert plan.ring_rows & (plan.ring_rows - 1) == 0 and plan.ring_rows > row_demand(geometry)
        assert plan.slots >= 2 and plan.row_pitch >= plan.row_words
        found += 1
    assert found >= 2


@pytest.mark.parametrize("seed", range(12))
def test_the_fewest_cycles_are_the_fewest(seed):
    packed, _, geometry, winners = layer_of(seed)
    options = {"entries": winners, "beat": 1, "sparse": True}
    every = lane_cycles(packed, geometry, **options)
    fewest = fold_lanes(packed, geometry, output_lanes=1, cycles=min(every), **options)
    assert fewest is not None and fewest.cycles == min(every)
    assert fold_lanes(packed, geometry, output_lanes=1, cycles=min(every) - 1, **options) is None
    # Beyond the most, there is nothing more to save.
    most = fold_lanes(packed, geometry, output_lanes=1, cycles=max(every), **options)
    assert most == fold_lanes(packed, geometry, output_lanes=1, cycles=10 * max(every), **options)


def found_weights(tables, plan, packed, shape):
    """The kernels as the lanes hold them; with ``plan.sparse`` each slice of winners has them all."""
    result = np.zeros((plan.slices, *shape), dtype=int)
    grid = itertools.product(range(plan.rows), range(plan.columns), range(plan.slices))
    for table, (row, column, part) in zip(tables, grid, strict=True):
        places = itertools.product(
            range(plan.passes), range(plan.lane_rows), range(plan.lane_columns), range(plan.table_channels)
        )
        for address, (turn, dy, dx, channel) in enumerate(places):
            for set_column, weight in enumerate(table.weights[address].tolist()):
                if weight:
                    members = packed.sets[turn * plan.set_columns + set_column]
                    kernel = members[int(table.kernel_ids[address, set_column])]
                    own = channel if plan.sparse else part * plan.lane_entries + channel
                    place = kernel, row * plan.lane_rows + dy, column * plan.lane_columns + dx, own
                    assert result[(part, *place)] == 0
                    result[(part, *place)] = weight
    return result


@pytest.mark.parametrize("seed", range(10))
def test_tables_reproduce_the_kernels(seed):
    for packed, kernels, _, _, plan in foldings(seed):
        tables = lane_tables(packed, plan, dtype_range("uint8"))
        assert all(len(table.weights) == plan.table_depth for table in tables)
        found = found_weights(tables, plan, packed, kernels.shape)
        if plan.sparse:
            assert (found == kernels).all()
        else:
            np.testing.assert_array_equal(found.sum(axis=0), kernels)


def extreme_sums(taps, entries):
    """Least and greatest sum over all inputs of 0 and 255 with at most ``entries`` values a tap, by trying."""
    low = high = 0
    for tap in taps:
        sums = [
            255 * sum(chosen)
            for count in range(min(entries, len(tap)) + 1)
            for chosen in itertools.combinations(tap, count)
        ]
        low, high = low + min(sums), high + max(sums)
    return low, high


@pytest.mark.parametrize("seed", range(10))
def test_bounds_are_what_the_worst_input_reaches(seed):
    for packed, _, _, _, plan in foldings(seed, small=True):
        shape = plan.passes, plan.lane_rows * plan.lane_columns, plan.table_channels, plan.set_columns
        chain: dict[tuple[int, int, int], np.ndarray] = {}
        for table in lane_tables(packed, plan, dtype_range("uint8")):
            weights, ids = table.weights.reshape(shape).astype(int), table.kernel_ids.reshape(shape)
            own = []
            for key in itertools.product(range(plan.drains), range(plan.set_columns), range(packed.kernels_per_set)):
                drain, column, kid = key
                turns = slice(None) if plan.spanning else slice(drain, drain + 1)
                taps = np.where(ids[turns, ..., column] == kid, weights[turns, ..., column], 0)
                # (All turns' weights of a tap meet the same values.)
                taps = np.moveaxis(taps, 0, 1).reshape(taps.shape[1], -1)
                own.append(extreme_sums(taps.tolist(), plan.lane_entries))
                chain[key] = chain.get(key, np.zeros(2, dtype=int)) + own[-1]
            assert (table.low, table.high) == (min(low for low, _ in own), max(high for _, high in own))
            assert table.chain_low == min(low for low, _ in chain.values())
            assert table.chain_high == max(high for _, high in chain.values())
            assert -(1 << table.accumulator_width - 1) <= table.low
            assert table.high < 1 << table.accumulator_width - 1
            assert table.accumulator_width <= table.chain_width


@pytest.mark.parametrize("seed", range(6))
def test_bounds_hold_for_signed_values(seed):
    packed, kernels, geometry, _ = layer_of(seed)
    channels = geometry.shape[2]
    plan = fold_lanes(packed, geometry, entries=channels, beat=1, sparse=False, output_lanes=1, cycles=10**9)
    assert plan is not None
    table = lane_tables(packed, plan, dtype_range("int8"))[-1]
    flat = kernels.reshape(len(kernels), -1).astype(int)
    highest = np.where(flat > 0, 127 * flat, -128 * flat).sum(axis=1).max()
    lowest = np.where(flat > 0, -128 * flat, 127 * flat).sum(axis=1).min()
    assert table.chain_low <= min(0, lowest) and table.chain_high >= max(0, highest)


def speech_layer():
    """The second convolution of the paper's speech network, 8 of 64 winners."""
    rng = np.random.default_rng(1)
    masks = complementary_masks(kernels=64, positions=1600, nonzeros=100, seed=1).reshape(64, 64, 5, 5)
    weights = np.where(masks, rng.integers(1, 128, masks.shape), 0).astype(np.int8)
    layer = Conv2d(name="conv", weights=weights, bias=random_bias(rng, 64))
    tensor = Tensor((14, 14, 64), "uint8")
    network = Network(name="net", input=tensor, layers=(LocalKWTA(name="k", winners=8), layer))
    return combine(network).layers["conv"], weight_geometry(layer, tensor)


def test_cheaper_foldings_take_fewer_multipliers():
    packed, geometry = speech_layer()
    multipliers = []
    for cycles in (4_000, 16_000, 64_000, 256_000):
        plan = fold_lanes(packed, geometry, entries=8, beat=2, sparse=True, output_lanes=4, cycles=cycles)
        assert plan is not None and plan.cycles <= cycles
        multipliers.append(plan.multipliers)
    assert multipliers == sorted(multipliers, reverse=True) and multipliers[0] > multipliers[-1]


def test_the_foldings_of_the_tests_are_of_all_kinds():
    plans = [plan for seed in range(12) for *_, plan in foldings(seed)]
    assert {plan.spanning for plan in plans} == {True, False}
    assert any(plan.spanning and plan.set_columns > 1 for plan in plans)
    assert any(plan.engines > 1 for plan in plans) and any(plan.passes > 1 for plan in plans)


def test_no_folding_is_none():
    packed, geometry = speech_layer()
    assert fold_lanes(packed, geometry, entries=8, beat=1, sparse=True, output_lanes=4, cycles=5) is None


def test_rows_that_must_be_held():
    geometry = Geometry(shape=(9, 4, 1), kernel=(3, 3), stride=(1, 1), padding=(0, 0, 0, 0))
    assert row_demand(geometry) == 3
    strided = Geometry(shape=(9, 4, 1), kernel=(1, 1), stride=(4, 1), padding=(0, 0, 0, 0))
    assert row_demand(strided) == 4  # what is skipped must come in before it can be released
