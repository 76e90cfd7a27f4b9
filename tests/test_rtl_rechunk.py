"""Narrow and Widen: the same values in another width."""

from __future__ import annotations

import numpy as np
import pytest
from stream_harness import run_stream

from cs_hdl.rtl.rechunk import Narrow, Widen

SIZES = [(1, 1), (2, 1), (5, 5), (7, 3), (8, 4), (9, 2), (13, 12)]
STALLS = [(0.0, 0.0, 0), (0.5, 0.0, 0), (0.0, 0.5, 0), (0.3, 0.3, 37)]


def positions(count, channels):
    return np.random.default_rng(channels).integers(-128, 128, (count, channels))


def beats_of(values, lanes):
    """[positions, channels] as beats of ``lanes`` values, the last of a position filled with 0."""
    return np.pad(values, ((0, 0), (0, -values.shape[1] % lanes))).reshape(-1, lanes).tolist()


def as_inputs(beats):
    return [{"values": beat} for beat in beats]


@pytest.mark.parametrize("channels, lanes", SIZES)
@pytest.mark.parametrize("gap, stall, disturb", STALLS)
@pytest.mark.parametrize("depth", [2, 3, 8])
def test_narrow(channels, lanes, gap, stall, disturb, depth):
    values = positions(20, channels)
    expected = beats_of(values, lanes)
    dut = Narrow(channels=channels, lanes=lanes, dtype="int8", depth=depth)
    options = {"gap": gap, "stall": stall, "disturb": disturb, "seed": 5}
    result = run_stream(dut, as_inputs(values.tolist()), len(expected), **options)
    assert [beat["values"] for beat in result.outputs] == expected
    if not (gap or stall):
        first = result.in_cycles[0] + 2
        assert result.out_cycles == list(range(first, first + len(expected)))
        # A burst is taken at once, as much as the queue holds.
        assert result.in_cycles[:depth] == list(range(depth))


@pytest.mark.parametrize("channels, lanes", SIZES)
@pytest.mark.parametrize("gap, stall, disturb", STALLS)
def test_widen(channels, lanes, gap, stall, disturb):
    values = positions(20, channels)
    inputs = beats_of(values, lanes)
    dut = Widen(channels=channels, lanes=lanes, dtype="int8")
    options = {"gap": gap, "stall": stall, "disturb": disturb, "seed": 5}
    result = run_stream(dut, as_inputs(inputs), len(values), **options)
    assert [beat["values"] for beat in result.outputs] == values.tolist()
    if not (gap or stall):
        assert result.in_cycles == list(range(len(inputs)))
        beats = len(inputs) // len(values)
        assert result.out_cycles == [cycle + 1 for cycle in result.in_cycles[beats - 1 :: beats]]


@pytest.mark.parametrize("lanes", [0, 6])
def test_lanes_beyond_the_channels_are_refused(lanes):
    with pytest.raises(ValueError, match=rf"lanes must be 1\.\.5, not {lanes}"):
        Narrow(channels=5, lanes=lanes, dtype="uint8", depth=2)
    with pytest.raises(ValueError, match=rf"lanes must be 1\.\.5, not {lanes}"):
        Widen(channels=5, lanes=lanes, dtype="uint8")


def test_a_queue_of_one_is_refused():
    with pytest.raises(ValueError, match="depth must be at least 2, not 1"):
        Narrow(channels=5, lanes=1, dtype="uint8", depth=1)
