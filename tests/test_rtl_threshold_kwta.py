"""k-WTA by a search for the threshold, against a plain golden function: sizes, ties, stalls, and its stated cycles."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stream_harness import Result, run_stream
from winners import golden

from cs_hdl.rtl.threshold_kwta import ThresholdKWTA

# features, winners, lanes, scan
SHAPES = [
    (1, 1, 1, 1),
    (2, 1, 2, 4),
    (7, 7, 1, 2),
    (13, 5, 1, 1),
    (16, 15, 4, 4),
    (31, 9, 3, 6),
    (37, 6, 2, 8),
    (64, 8, 1, 16),
]


def make_groups(features: int, winners: int, seed: int) -> list[list[int]]:
    """Groups of all kinds: spread values, few different ones, all equal, all winners at the start or the end."""
    rng = random.Random(seed)
    groups = [
        [rng.randrange(256) for _ in range(features)],
        [rng.choice((0, 127, 128, 255)) for _ in range(features)],
        [0] * features,
        [255] * features,
        [200] * winners + [3] * (features - winners),
        [3] * (features - winners) + [200] * winners,
        [rng.choice((0, 0, 0, rng.randrange(256))) for _ in range(features)],
    ]
    rng.shuffle(groups)
    return groups


def run(dut: ThresholdKWTA, groups: list[list[int]], winners: int, lanes: int, **options: float) -> Result:
    """``groups`` through ``dut``, lanes beyond the last feature full of what must not matter; results are checked."""
    beats = []
    for group in groups:
        padded = group + [255] * (-len(group) % lanes)
        beats += [{"values": padded[start : start + lanes]} for start in range(0, len(padded), lanes)]
    result = run_stream(dut, beats, len(groups) * winners, **options)
    pairs = [(beat["indices"][0], beat["values"][0]) for beat in result.outputs]
    for number, group in enumerate(groups):
        assert pairs[number * winners : (number + 1) * winners] == golden(group, winners), f"group {number}: {group}"
    return result


@pytest.mark.parametrize(("features", "winners", "lanes", "scan"), SHAPES)
def test_cycles_are_those_stated_whatever_the_data(features: int, winners: int, lanes: int, scan: int) -> None:
    dut = ThresholdKWTA(features=features, winners=winners, lanes=lanes, scan=scan)
    groups = make_groups(features, winners, seed=features)
    result = run(dut, groups, winners, lanes, seed=1)
    assert result.out_cycles[winners - 1] - result.in_cycles[-(-features // lanes) - 1] == dut.latency
    assert dut.interval == 8 * (-(-features // scan) + 3) + 1 + features
    first = result.out_cycles[0]
    expected = [first + number * dut.interval + slot for number in range(len(groups)) for slot in range(winners)]
    assert result.out_cycles == expected


@pytest.mark.parametrize(("gap", "stall"), [(0.3, 0.0), (0.0, 0.5), (0.1, 0.2)])
@pytest.mark.parametrize(("features", "winners", "lanes", "scan"), SHAPES)
def test_stalls(features: int, winners: int, lanes: int, scan: int, gap: float, stall: float) -> None:
    dut = ThresholdKWTA(features=features, winners=winners, lanes=lanes, scan=scan)
    run(dut, make_groups(features, winners, seed=3)[:5], winners, lanes, seed=2, gap=gap, stall=stall)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(data=st.data())
def test_any_size_and_ties(data: st.DataObject) -> None:
    features = data.draw(st.integers(1, 40))
    winners, lanes = data.draw(st.integers(1, features)), data.draw(st.integers(1, 5))
    dut = ThresholdKWTA(features=features, winners=winners, lanes=lanes, scan=lanes * data.draw(st.integers(1, 4)))
    some = st.sampled_from(data.draw(st.sets(st.integers(0, 255), min_size=1, max_size=4).map(sorted)))
    groups = data.draw(st.lists(st.lists(some, min_size=features, max_size=features), min_size=1, max_size=3))
    run(dut, groups, winners, lanes, seed=5, gap=data.draw(st.sampled_from([0.0, 0.2])), stall=0.2)


def test_large_groups() -> None:
    dut = ThresholdKWTA(features=1500, winners=150, lanes=2, scan=32)
    result = run(dut, make_groups(1500, 150, seed=7)[:2], 150, 2, seed=8)
    assert result.out_cycles[150] - result.out_cycles[0] == dut.interval


@pytest.mark.parametrize("disturb", [1, 40, 75, 110, 130])
def test_reset_at_any_time_brings_back_the_first_state(disturb: int) -> None:
    dut = ThresholdKWTA(features=13, winners=5, lanes=1, scan=2)
    run(dut, make_groups(13, 5, seed=6)[:3], 5, 1, seed=disturb, disturb=disturb, stall=0.1)


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match=r"winners must be 1\.\.8"):
        ThresholdKWTA(features=8, winners=9, lanes=1, scan=1)
    with pytest.raises(ValueError, match="scan must be a multiple of the 2 lanes, not 3"):
        ThresholdKWTA(features=8, winners=1, lanes=2, scan=3)
    with pytest.raises(TypeError, match="lanes must be a positive integer, not 0"):
        ThresholdKWTA(features=8, winners=1, lanes=0, scan=1)
