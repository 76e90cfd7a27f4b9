"""The engine on lanes, folded by hand in all directions, against the plain golden model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from networks import random_bias
from stream_harness import run_stream

from cs_hdl.combine.masks import complementary_masks
from cs_hdl.combine.packed import combine, span_sets
from cs_hdl.fixedpoint import dtype_range
from cs_hdl.golden.dense import run_dense
from cs_hdl.network import Conv2d, LocalKWTA, Network, Requantise, Tensor
from cs_hdl.plan.geometry import weight_geometry
from cs_hdl.plan.lanes import LanesPlan
from cs_hdl.rtl.lane_columns import _MOST_INDEXED
from cs_hdl.rtl.multiply_lanes import MultiplyLanes


@dataclass(frozen=True, kw_only=True)
class Case:
    """A convolution and how it is folded; without ``winners`` every channel comes in order.

    With ``spanning`` the masks are not complementary, and kernels span sets in so many columns.
    """

    shape: tuple[int, int, int] = (6, 6, 8)
    kernels: int = 12
    kernel: tuple[int, int] = (3, 3)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    nonzeros: int = 0
    winners: int | None = None
    beat: int = 1
    grid: tuple[int, int, int] = (1, 1, 1)
    passes: int = 1
    output_lanes: int = 1
    table_in_block_ram: bool = False
    places_in_block_ram: bool = False
    engines: int = 1
    spanning: int = 0
    ring_rows: int = 0
    multipliers: tuple[int, ...] = (1,)
    dtype: str = "uint8"

    @property
    def entries(self) -> int:
        return self.winners or self.shape[2]

    def network(self) -> Network:
        rng = np.random.default_rng(7)
        height, width = self.kernel
        positions = height * width * self.shape[2]
        masks = complementary_masks(
            kernels=self.kernels, positions=positions, nonzeros=self.nonzeros or max(1, positions // 4), seed=7
        )
        if self.spanning:
            masks = rng.permuted(masks, axis=1)
        weights = np.where(masks, rng.integers(1, 128, masks.shape) * rng.choice([-1, 1], masks.shape), 0)
        conv = Conv2d(
            name="conv",
            weights=weights.reshape(-1, height, width, self.shape[2]).transpose(0, 3, 1, 2).astype(np.int8),
            bias=random_bias(rng, self.kernels),
            stride=self.stride,
            padding=self.padding,
            requantise=Requantise(multiplier=np.array(self.multipliers), shift=np.array([9]))
            if self.multipliers
            else None,
        )
        layers = (conv,) if self.winners is None else (LocalKWTA(name="front", winners=self.winners), conv)
        return Network(name="net", input=Tensor(self.shape, self.dtype), layers=layers)

    def engine(self, network: Network) -> tuple[MultiplyLanes, LanesPlan]:
        conv, packed = network.layers[-1], combine(network).layers["conv"]
        assert isinstance(conv, Conv2d)
        rows, columns, slices = self.grid
        passes = self.passes
        if self.spanning:
            passes += -(-packed.lower_bound // self.spanning) - 1
            spanned = span_sets(packed, conv.kernels(network.tensors[-2]), columns=self.spanning, turns=passes)
            assert spanned is not None and any(spanned.spanning.guests) == (self.spanning > 1)
            packed = spanned
        plan = LanesPlan(
            geometry=weight_geometry(conv, network.input),
            entries=self.entries,
            beat=self.beat,
            sparse=self.winners is not None,
            sets=len(packed.sets),
            kernels_per_set=packed.kernels_per_set,
            out_channels=self.kernels,
            rows=rows,
            columns=columns,
            slices=slices,
            passes=passes,
            spanning=self.spanning > 0,
            ring_rows=self.ring_rows or 1 << (3 * self.shape[0] + 3).bit_length(),
            slots=16,
            output_lanes=self.output_lanes,
            table_in_block_ram=self.table_in_block_ram,
            places_in_block_ram=self.places_in_block_ram,
            engines=self.engines,
        )
        engine = MultiplyLanes(
            packed=packed,
            plan=plan,
            biases=conv.bias.tolist(),
            requantise=conv.requantise,
            dtype=self.dtype,
            output_dtype=network.output.dtype,
        )
        return engine, plan

    def beats(self, words: np.ndarray) -> list[dict[str, Any]]:
        rng, result = np.random.default_rng(1), []
        for position in words.reshape(-1, self.shape[2]):
            indices = np.arange(self.shape[2])
            if self.winners is not None:  # the winners, in any order
                indices = rng.permutation(np.argsort(-position, kind="stable")[: self.winners])
            spare = -self.entries % self.beat
            pairs = {"values": np.pad(position[indices], (0, spare))}
            if self.winners is not None:
                pairs["indices"] = np.pad(indices, (0, spare))
            result += [
                {name: array[first : first + self.beat].tolist() for name, array in pairs.items()}
                for first in range(0, self.entries, self.beat)
            ]
        return result


CASES = {
    "one lane": Case(),
    "rows": Case(winners=2, grid=(3, 1, 1)),
    "rows and columns, padded": Case(winners=2, grid=(3, 3, 1), padding=(1, 1, 1, 1)),
    "pairs two a beat, passes": Case(
        winners=2, beat=2, grid=(2, 2, 1), padding=(1, 2, 0, 1), passes=2, output_lanes=3, stride=(2, 1)
    ),
    "slices of channels, exact sums": Case(shape=(6, 6, 12), beat=2, grid=(3, 1, 3), multipliers=()),
    "more kernels a set than steps": Case(
        shape=(4, 4, 8), kernel=(4, 4), kernels=20, nonzeros=10, winners=3, beat=3, grid=(2, 1, 1), output_lanes=4
    ),
    "linear, slices of winners": Case(
        shape=(1, 1, 40), kernel=(1, 1), kernels=30, nonzeros=5, winners=8, beat=2, grid=(1, 1, 2), output_lanes=2
    ),
    "no sparsity": Case(shape=(1, 1, 40), kernel=(1, 1), kernels=7, nonzeros=40, winners=8, beat=2, grid=(1, 1, 4)),
    "signed": Case(
        shape=(6, 6, 3),
        dtype="int8",
        beat=3,
        padding=(2, 2, 2, 2),
        grid=(3, 1, 1),
        output_lanes=4,
        stride=(2, 2),
    ),
    "a stride that skips": Case(shape=(7, 7, 8), kernel=(1, 1), stride=(3, 3), kernels=5),
    "one channel, wide padding": Case(shape=(5, 4, 1), kernel=(3, 2), kernels=3, padding=(3, 4, 3, 2)),
    "lanes that do not divide the kernel": Case(shape=(6, 5, 2), kernel=(5, 4), grid=(3, 3, 1), padding=(2, 1, 2, 2)),
    "table in block RAM": Case(winners=3, grid=(3, 1, 1), table_in_block_ram=True, passes=3),
    # Sets of four kernels, one of which only shifts while the others multiply.
    "scales that take different times": Case(multipliers=(1,) * 4 + (3,) * 8),
    "two engines": Case(winners=2, grid=(3, 1, 1), engines=2),
    "engines, the last group short": Case(shape=(5, 7, 4), grid=(1, 3, 1), engines=3, output_lanes=4, passes=2),
    "engines share what is read": Case(winners=2, shape=(5, 7, 4), grid=(1, 3, 1), engines=4),
    "engines share, rows, padding": Case(shape=(5, 6, 3), grid=(3, 3, 1), engines=2, padding=(1, 1, 1, 1), passes=2),
    "engines share, lanes of two columns, stride 2": Case(
        winners=2, shape=(6, 9, 4), kernel=(2, 4), grid=(2, 2, 1), stride=(1, 2), engines=3
    ),
    "engines, stride and padding": Case(
        shape=(7, 9, 6), winners=3, beat=3, engines=4, stride=(2, 2), padding=(1, 2, 1, 1), output_lanes=5
    ),
    "an engine for each column": Case(shape=(4, 5, 3), kernel=(2, 2), engines=4, output_lanes=12, beat=3),
    "groups of set columns": Case(
        shape=(1, 1, 40), kernel=(1, 1), kernels=30, nonzeros=10, winners=7, beat=2, grid=(1, 1, 2)
    ),
    "groups, a deep table in banks": Case(
        shape=(1, 1, 1100),
        kernel=(1, 1),
        kernels=40,
        nonzeros=275,
        winners=9,
        passes=2,
        table_in_block_ram=True,
        places_in_block_ram=True,
    ),
    "kernels span the sets of one column": Case(winners=2, grid=(3, 1, 1), spanning=1),
    "kernels span two columns": Case(winners=3, grid=(1, 3, 1), spanning=2, output_lanes=3, multipliers=(3,)),
    "kernels span columns, engines": Case(
        shape=(5, 6, 8),
        kernels=20,
        grid=(3, 1, 1),
        spanning=3,
        engines=3,
        table_in_block_ram=True,
        padding=(1, 0, 0, 1),
    ),
    "linear, kernels span columns, exact sums": Case(
        shape=(1, 1, 40), kernel=(1, 1), kernels=50, nonzeros=11, winners=8, beat=2, spanning=5, multipliers=()
    ),
    "one kernel": Case(shape=(3, 3, 2), kernel=(2, 2), kernels=1, nonzeros=8),
    "lanes keep their own columns": Case(shape=(4, 5, 8), kernel=(3, 5), winners=3, beat=2, grid=(1, 5, 1), passes=2),
    "own columns and slices, columns that nobody reads": Case(
        shape=(5, 7, 8), kernel=(3, 5), stride=(2, 3), beat=2, grid=(2, 3, 2), output_lanes=3
    ),
    "own columns, padding on the right": Case(
        shape=(4, 4, 6), kernel=(2, 6), winners=2, padding=(1, 0, 0, 2), grid=(2, 2, 1)
    ),
}


def run(case, *, count, **options):
    network = case.network()
    low, high = dtype_range(case.dtype)
    rng = np.random.default_rng(5)
    words = rng.integers(low, high + 1, (count, *case.shape))
    words[rng.random(words.shape) < 0.3] = 0
    words[0] = high  # all sums at once as large as they can be
    engine, plan = case.engine(network)
    beats = case.beats(words)
    result = run_stream(engine, beats, count * plan.geometry.positions * plan.output_beats, **options)
    values = np.array([beat["values"] for beat in result.outputs]).reshape(count, plan.geometry.positions, -1)
    assert not values[..., case.kernels :].any()
    expected = run_dense(network, words)
    np.testing.assert_array_equal(values[..., : case.kernels].reshape(expected.shape), expected)
    return plan, len(beats) // count, result


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_full_rate(case):
    count = 6
    plan, beats, result = run(case, count=count, seed=1)
    assert len(result.in_cycles) == count * beats
    word = plan.geometry.positions * plan.output_beats
    interval = max(plan.cycles, beats, word)
    assert np.diff(result.out_cycles[word - 1 :: word])[2:].tolist() == [interval] * (count - 3)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_stalls_on_both_sides(case):
    run(case, count=2, gap=0.2, stall=0.3, seed=3)


@pytest.mark.parametrize("options", [{}, {"gap": 0.2, "stall": 0.3}], ids=["full rate", "stalls"])
def test_a_table_in_many_banks(options, monkeypatch):
    """So many that each has a register that says whether it is the one."""
    monkeypatch.setattr(LanesPlan, "TABLE_BANK_DEPTH", 256)
    plan, _, _ = run(CASES["groups, a deep table in banks"], count=2, seed=4, **options)
    assert plan.table_banks == 9 > _MOST_INDEXED


@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_no_row_is_overwritten_before_the_last_lane_has_read_it(stall):
    """Rows that are written much faster than a command travels along the lanes, into a ring that just holds them."""
    fast = Case(shape=(9, 1, 1), kernel=(4, 3), padding=(0, 1, 0, 1), grid=(4, 3, 1), kernels=2, ring_rows=4)
    run(fast, count=4, stall=stall, seed=2)


@pytest.mark.parametrize("disturb", [1, 5, 90, 151])
@pytest.mark.parametrize("name", ["rows and columns, padded", "pairs two a beat, passes", "signed", "no sparsity"])
def test_a_reset_clears_the_accumulators(name, disturb):
    run(CASES[name], count=2, disturb=disturb, seed=disturb)


def test_multipliers_are_lanes_times_sets_divided_by_passes():
    case = CASES["pairs two a beat, passes"]
    _, plan = case.engine(case.network())
    assert plan.multipliers == math.prod(case.grid) * -(-plan.sets // 2)
