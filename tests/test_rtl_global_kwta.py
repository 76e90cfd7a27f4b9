"""Global k-WTA against a plain golden function: sizes, ties, stalls, and cycles that never depend on data."""

from __future__ import annotations

import random

import pytest
from stream_harness import Result, run_stream
from winners import golden

from cs_hdl.rtl.global_kwta import GlobalKWTA

# features, winners, lanes
SHAPES = [
    (1, 1, 1),
    (1, 1, 4),
    (2, 1, 2),
    (3, 3, 1),
    (5, 2, 8),
    (10, 1, 4),
    (10, 3, 1),
    (10, 10, 4),
    (17, 5, 3),
    (17, 16, 2),
    (31, 9, 5),
    (37, 6, 2),
    (64, 8, 4),
    (100, 7, 3),
    (128, 20, 4),
    (250, 249, 4),
]


def make_words(features: int, winners: int, seed: int) -> list[list[int]]:
    """Words of all kinds, with winners that are spread, all at the start, all at the end, or all equal."""
    rng = random.Random(seed)
    words = [
        [rng.randrange(256) for _ in range(features)],
        [rng.choice((0, 15, 16, 255)) for _ in range(features)],
        [0] * features,
        [255] * features,
        [200] * winners + [3] * (features - winners),
        [3] * (features - winners) + [200] * winners,
        [rng.choice((0, 0, 0, rng.randrange(256))) for _ in range(features)],
        [rng.randrange(112, 118) for _ in range(features)],
        [min(index, 255) for index in range(features)],
        [255 - min(index, 255) for index in range(features)],
    ]
    rng.shuffle(words)
    return words


def to_beats(words: list[list[int]], *, lanes: int, filler: int) -> list[dict[str, list[int]]]:
    """Beats of each word; lanes beyond the last feature hold ``filler``, which must not matter."""
    result = []
    for word in words:
        padded = word + [filler] * (-len(word) % lanes)
        result += [{"values": padded[start : start + lanes]} for start in range(0, len(padded), lanes)]
    return result


def check(result: Result, words: list[list[int]], *, winners: int, lanes: int) -> None:
    out_beats = -(-winners // lanes)
    for number, word in enumerate(words):
        beats = result.outputs[number * out_beats : (number + 1) * out_beats]
        slots = [slot for beat in beats for slot in zip(beat["indices"], beat["values"], strict=True)]
        assert slots[:winners] == golden(word, winners), f"word {number}: {word}"
        assert all(slot == (0, 0) for slot in slots[winners:]), f"word {number}: unused slots are not 0"


@pytest.mark.parametrize(("gap", "stall"), [(0.3, 0.0), (0.0, 0.3), (0.1, 0.1)])
@pytest.mark.parametrize(("features", "winners", "lanes"), SHAPES)
def test_winners(features: int, winners: int, lanes: int, gap: float, stall: float) -> None:
    dut = GlobalKWTA(features=features, winners=winners, lanes=lanes)
    words = make_words(features, winners, seed=features)
    inputs = to_beats(words, lanes=lanes, filler=255)
    count = len(words) * -(-winners // lanes)
    check(run_stream(dut, inputs, count, seed=3, gap=gap, stall=stall), words, winners=winners, lanes=lanes)


@pytest.mark.parametrize(("features", "winners", "lanes"), SHAPES)
def test_cycles_are_those_stated_whatever_the_data(features: int, winners: int, lanes: int) -> None:
    dut = GlobalKWTA(features=features, winners=winners, lanes=lanes)
    words = make_words(features, winners, seed=features + 1)
    inputs = to_beats(words, lanes=lanes, filler=255)
    out_beats = -(-winners // lanes)
    result = run_stream(dut, inputs, len(words) * out_beats, seed=4)
    check(result, words, winners=winners, lanes=lanes)
    assert dut.interval == dut.beats == -(-features // lanes)
    for number in range(len(words)):
        last_in = result.in_cycles[(number + 1) * dut.beats - 1]
        gives = result.out_cycles[number * out_beats : (number + 1) * out_beats]
        assert last_in == (number + 1) * dut.interval - 1
        assert gives == [last_in + dut.latency - out_beats + 1 + beat for beat in range(out_beats)]


@pytest.mark.parametrize(("features", "winners", "lanes"), [(1500, 150, 2), (4096, 5, 4)])
def test_large_words(features: int, winners: int, lanes: int) -> None:
    dut = GlobalKWTA(features=features, winners=winners, lanes=lanes)
    words = make_words(features, winners, seed=5)[:4]
    inputs = to_beats(words, lanes=lanes, filler=255)
    count = len(words) * -(-winners // lanes)
    result = run_stream(dut, inputs, count, seed=6, patience=5000)
    check(result, words, winners=winners, lanes=lanes)
    assert result.out_cycles[-1] - result.in_cycles[-1] == dut.latency


@pytest.mark.parametrize("disturb", [1, 5, 12, 33, 47, 61])
def test_reset_at_any_time_brings_back_the_first_state(disturb: int) -> None:
    dut = GlobalKWTA(features=37, winners=6, lanes=4)
    words = make_words(37, 6, seed=7)
    inputs = to_beats(words, lanes=4, filler=255)
    result = run_stream(dut, inputs, 20, seed=disturb, disturb=disturb, stall=0.05)
    check(result, words, winners=6, lanes=4)


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match=r"winners must be 1\.\.8"):
        GlobalKWTA(features=8, winners=9, lanes=1)
    with pytest.raises(ValueError, match=r"winners must be 1\.\.8"):
        GlobalKWTA(features=8, winners=0, lanes=1)
    with pytest.raises(TypeError, match="lanes must be a positive integer, not 0"):
        GlobalKWTA(features=8, winners=1, lanes=0)
