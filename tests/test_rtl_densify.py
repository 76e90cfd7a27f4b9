"""Densify: winners back in their places, zeros everywhere else, nothing left of the position before."""

from __future__ import annotations

import numpy as np
import pytest
from stream_harness import run_stream

from cs_hdl.plan.select import densify_cycles, densify_delay
from cs_hdl.rtl.densify import Densify

# channels, winners, pairs, lanes
SIZES = [
    (1, 1, 1, 1),
    (2, 1, 1, 2),
    (7, 3, 2, 1),
    (8, 8, 3, 4),
    (13, 2, 2, 4),
    (16, 5, 4, 8),
    (40, 5, 1, 2),
    (5, 4, 4, 4),
    # Block RAM: more beats out than pairs in, fewer, as many (where the memories cost a cycle), and several lanes.
    (130, 3, 1, 1),
    (130, 129, 3, 1),
    (129, 129, 1, 1),
    (258, 9, 2, 2),
]


def make_positions(rng, count, channels, winners, pairs):
    """Beats of pairs in any order, unused slots (0, 0) at the end; and what they stand for."""
    beats, dense = [], np.zeros((count, channels), dtype=int)
    for position in range(count):
        chosen = rng.permutation(channels)[:winners]
        values = rng.integers(0, 256, winners) * (rng.random(winners) < 0.8)  # some winners are 0
        dense[position, chosen] = values
        spare = [0] * (-winners % pairs)
        indices, values = chosen.tolist() + spare, values.tolist() + spare
        beats += [
            {"values": values[first : first + pairs], "indices": indices[first : first + pairs]}
            for first in range(0, len(values), pairs)
        ]
    return beats, dense


def run(channels, winners, pairs, lanes, *, count=7, **options):
    beats, dense = make_positions(np.random.default_rng(channels), count, channels, winners, pairs)
    out_beats = -(-channels // lanes)
    dut = Densify(channels=channels, winners=winners, pairs=pairs, lanes=lanes)
    result = run_stream(dut, beats, count * out_beats, **options)
    values = np.array([beat["values"] for beat in result.outputs]).reshape(count, -1)
    np.testing.assert_array_equal(values[:, :channels], dense)
    assert not values[:, channels:].any()
    return result


@pytest.mark.parametrize("channels, winners, pairs, lanes", SIZES)
def test_full_rate(channels, winners, pairs, lanes):
    result = run(channels, winners, pairs, lanes, seed=1)
    in_beats, out_beats = -(-winners // pairs), -(-channels // lanes)
    first = result.out_cycles[0]
    assert first == result.in_cycles[in_beats - 1] + 3 + densify_delay(channels, lanes)
    ends = result.out_cycles[out_beats - 1 :: out_beats]
    interval = max(in_beats * pairs, out_beats)
    if densify_cycles(channels, winners, pairs, lanes) is None:
        assert np.diff(ends)[2:].tolist() == [interval, interval + 1] * (len(ends) // 2 - 1)
    else:
        assert np.diff(ends)[2:].tolist() == [interval] * (len(ends) - 3)
        assert interval == densify_cycles(channels, winners, pairs, lanes)


@pytest.mark.parametrize("channels, winners, pairs, lanes", SIZES)
@pytest.mark.parametrize("gap, stall, disturb", [(0.4, 0.0, 0), (0.0, 0.5, 0), (0.2, 0.3, 53), (0.0, 0.2, 3)])
def test_stalls_and_resets(channels, winners, pairs, lanes, gap, stall, disturb):
    run(channels, winners, pairs, lanes, gap=gap, stall=stall, disturb=disturb, seed=9)


@pytest.mark.parametrize("lanes", [0, 3])
def test_lanes_are_a_power_of_two(lanes):
    with pytest.raises(ValueError, match=f"lanes must be a power of two, not {lanes}"):
        Densify(channels=8, winners=2, pairs=1, lanes=lanes)
