"""Local k-WTA against a plain golden function: shapes, ties, stalls, and its stated cycles."""

from __future__ import annotations

import itertools
import random

import pytest
from stream_harness import Result, run_stream
from winners import golden

from cs_hdl.rtl.local_kwta import LocalKWTA

# channels, winners, beats, pairs
SHAPES = [
    (1, 1, 1, 1),
    (2, 1, 2, 1),
    (3, 2, 1, 4),
    (5, 5, 1, 2),
    (7, 3, 2, 2),
    (7, 7, 4, 3),
    (8, 2, 8, 1),
    (13, 5, 4, 5),
    (16, 16, 4, 16),
    (16, 15, 2, 4),
    (17, 6, 2, 3),
    (30, 6, 4, 6),
    (30, 7, 4, 1),
    (64, 8, 4, 8),
]


def make_positions(count: int, channels: int, seed: int) -> list[list[int]]:
    """Positions of all kinds: spread values, few different ones, mostly zeros, all equal, the extremes."""
    rng = random.Random(seed)
    kinds = [
        lambda: rng.randrange(256),
        lambda: rng.choice((0, 1, 255)),
        lambda: rng.choice((0, 0, 0, 0, rng.randrange(256))),
        lambda: 0,
        lambda: 255,
    ]
    positions = [[kinds[n % len(kinds)]() for _ in range(channels)] for n in range(count)]
    positions[-1] = sorted(positions[0])
    return positions


def to_beats(positions: list[list[int]], *, lanes: int, beats: int, filler: int) -> list[dict[str, list[int]]]:
    """Beats of each position; lanes beyond the last channel hold ``filler``, which must not matter."""
    result = []
    for position in positions:
        padded = position + [filler] * (lanes * beats - len(position))
        result += [{"values": padded[beat * lanes : (beat + 1) * lanes]} for beat in range(beats)]
    return result


def check(result: Result, positions: list[list[int]], *, winners: int, pairs: int) -> None:
    out_beats = -(-winners // pairs)
    for number, position in enumerate(positions):
        beats = result.outputs[number * out_beats : (number + 1) * out_beats]
        slots = [slot for beat in beats for slot in zip(beat["indices"], beat["values"], strict=True)]
        assert sorted(slots[:winners]) == golden(position, winners), f"position {number}: {position}"
        assert all(slot == (0, 0) for slot in slots[winners:]), f"position {number}: unused slots are not 0"


@pytest.mark.parametrize(("gap", "stall"), [(0.0, 0.0), (0.3, 0.0), (0.0, 0.3), (0.2, 0.2)])
@pytest.mark.parametrize(("channels", "winners", "beats", "pairs"), SHAPES)
def test_winners(channels: int, winners: int, beats: int, pairs: int, gap: float, stall: float) -> None:
    dut = LocalKWTA(channels=channels, winners=winners, beats=beats, pairs=pairs)
    positions = make_positions(20, channels, seed=channels)
    inputs = to_beats(positions, lanes=dut.lanes, beats=beats, filler=255)
    out_beats = -(-winners // pairs)
    result = run_stream(dut, inputs, len(positions) * out_beats, seed=1, gap=gap, stall=stall)
    check(result, positions, winners=winners, pairs=pairs)
    if gap == stall == 0.0:
        assert result.out_cycles[0] - result.in_cycles[beats - 1] == dut.latency
        starts = result.out_cycles[::out_beats]
        assert {after - before for before, after in itertools.pairwise(starts)} == {dut.interval}
        assert dut.interval == max(beats, out_beats)


@pytest.mark.parametrize("layers_per_stage", [2, 3, 100])
def test_fewer_registers(layers_per_stage: int) -> None:
    dut = LocalKWTA(channels=30, winners=6, beats=4, pairs=4, layers_per_stage=layers_per_stage)
    assert dut.latency < LocalKWTA(channels=30, winners=6, beats=4, pairs=4).latency
    positions = make_positions(20, 30, seed=5)
    inputs = to_beats(positions, lanes=8, beats=4, filler=255)
    result = run_stream(dut, inputs, 40, seed=2)
    check(result, positions, winners=6, pairs=4)
    assert result.out_cycles[0] - result.in_cycles[3] == dut.latency


@pytest.mark.parametrize("disturb", [1, 2, 9, 30])
def test_reset_at_any_time_brings_back_the_first_state(disturb: int) -> None:
    dut = LocalKWTA(channels=13, winners=5, beats=4, pairs=2)
    positions = make_positions(10, 13, seed=6)
    inputs = to_beats(positions, lanes=4, beats=4, filler=7)
    result = run_stream(dut, inputs, 30, seed=disturb, disturb=disturb, stall=0.1)
    check(result, positions, winners=5, pairs=2)


def test_latency_is_the_depth_of_the_networks() -> None:
    # Sorter of 16 (10 layers), a merger (4), the selector (1), into the memory and out of it.
    assert LocalKWTA(channels=64, winners=8, beats=4, pairs=8).latency == 17
    # Nothing to sort where all win.
    assert LocalKWTA(channels=64, winners=64, beats=4, pairs=16).latency == 2


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match=r"winners must be 1\.\.8"):
        LocalKWTA(channels=8, winners=9, beats=1, pairs=1)
    with pytest.raises(ValueError, match=r"winners must be 1\.\.8"):
        LocalKWTA(channels=8, winners=0, beats=1, pairs=1)
    with pytest.raises(TypeError, match="power of two, not 3"):
        LocalKWTA(channels=8, winners=2, beats=3, pairs=1)
    with pytest.raises(ValueError, match="do not reach the last of 8 beats"):
        LocalKWTA(channels=10, winners=2, beats=8, pairs=1)
    with pytest.raises(TypeError, match="pairs must be a positive integer"):
        LocalKWTA(channels=8, winners=2, beats=2, pairs=0)
