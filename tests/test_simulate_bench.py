"""The bench on a stand-in accelerator: right results pass, and each kind of wrong one is named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from stand_in import negative_network, write_negative

from cs_hdl.errors import CsHdlError, InputError, ResultError
from cs_hdl.network import load_network, save_network
from cs_hdl.simulate.bench import BenchOptions, run_bench
from cs_hdl.simulate.environment import find_simulator
from cs_hdl.simulate.simulate import check_result, random_words, simulate

SIMULATORS = ("icarus", "verilator")


def need(simulator: str) -> None:
    try:
        find_simulator(simulator)
    except CsHdlError as error:
        pytest.skip(str(error))


def quick_simulator() -> str:
    """Icarus compiles a small design at once; Verilator takes ten seconds."""
    for simulator in SIMULATORS:
        try:
            find_simulator(simulator)
            return simulator
        except CsHdlError:
            continue
    pytest.skip("neither Icarus nor Verilator can be used")


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_right_hardware_passes_and_cycles_are_measured(simulator: str, tmp_path: Path) -> None:
    need(simulator)
    network = write_negative(tmp_path, shape=(2, 3, 3), lanes=2, rest=4)  # 18 values in 9 beats
    words = random_words(network, 6, seed=3)
    result = simulate(tmp_path, words=words, simulator=simulator, backpressure=True)
    check_result(result)
    assert np.array_equal(result.outputs, 255 - words)
    assert result.outputs.dtype == np.uint8
    assert (result.cycles_per_word, result.latency_cycles) == (13, 9)
    saved = json.loads((tmp_path / "simulation.json").read_text())
    wanted = {"words": 6, "values": 108, "mismatches": 0, "cycles_per_word": 13, "latency_cycles": 9}
    assert wanted.items() <= saved.items()
    assert {"cycles", "simulator", "seconds"} <= set(saved)
    compiled = [path.stat().st_mtime_ns for path in (tmp_path / "build" / "simulation").glob("*/compiled")]
    again = simulate(tmp_path, words=words[:1], simulator=simulator)
    check_result(again)
    assert again.outputs.shape == (1, 2, 3, 3)
    assert compiled == [path.stat().st_mtime_ns for path in (tmp_path / "build" / "simulation").glob("*/compiled")]
    assert list((tmp_path / "build" / "simulation").glob("run-*")) == []


def test_altered_expected_data_fail_in_both_runs_and_are_named(tmp_path: Path) -> None:
    write_negative(tmp_path)
    sent = np.random.default_rng(1).integers(0, 256, size=(5, 6, 2)).astype(np.uint8)
    expected = 255 - sent
    expected[3, 4, 1] ^= 1
    result = run_bench(
        tmp_path / "design.v",
        tmp_path / "manifest.json",
        sent=sent,
        expected=expected,
        build_root=tmp_path / "build",
        options=BenchOptions(simulator=find_simulator(quick_simulator()), back_pressure=True),
        progress=lambda step: None,
    )
    assert result.failed_tests == 2
    got = int(255 - sent[3, 4, 1])
    assert result.back_pressure is not None
    for run in (result.full_rate, result.back_pressure):
        assert run["mismatches"] == 1
        assert run["first"] == [{"word": 3, "index": 9, "expected": got ^ 1, "got": got}]
        assert run["faults"] == []


def test_a_golden_model_that_differs_is_a_result_error(tmp_path: Path) -> None:
    write_negative(tmp_path)
    network = load_network(tmp_path / "network.npz")
    layer = network.layers[0]
    bias = np.array(layer.bias)
    bias[0] -= 1
    changed = type(layer)(name=layer.name, weights=layer.weights, bias=bias, requantise=layer.requantise)
    save_network(type(network)(name="other", input=network.input, layers=(changed,)), tmp_path / "network.npz")
    words = np.full((2, 2, 3, 2), 9, dtype=np.uint8)
    result = simulate(tmp_path, words=words, simulator=quick_simulator())
    assert result.mismatches > 0
    with pytest.raises(ResultError, match="word 0, index 0: expected 245, got 246"):
        check_result(result)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"flaw": "tlast"}, "word 0, beat 0: tlast is 1"),
        ({"flaw": "tuser"}, "word 0, beat 0: tuser is 1"),
        ({"flaw": "endless"}, "word 1, beat 0: tlast is 1"),
        ({"latency_cycles": 7}, "latency measured 6 cycles, but the manifest states 7"),
        ({"cycles_per_word": 10}, "cycles a word measured 11, but the manifest states 10"),
    ],
)
def test_each_flaw_is_found(options: dict, problem: str, tmp_path: Path) -> None:
    write_negative(tmp_path, **options)
    result = simulate(tmp_path, random_count=3, simulator=quick_simulator())
    with pytest.raises(ResultError, match=problem):
        check_result(result)


def test_hardware_that_gives_too_much_or_too_little_is_found(tmp_path: Path) -> None:
    write_negative(tmp_path)
    sent = np.zeros((3, 6, 2), dtype=np.uint8)
    simulator = find_simulator(quick_simulator())

    def faults(expected: np.ndarray) -> str:
        result = run_bench(
            tmp_path / "design.v",
            tmp_path / "manifest.json",
            sent=sent,
            expected=expected,
            build_root=tmp_path / "build",
            options=BenchOptions(simulator=simulator),
            progress=lambda step: None,
        )
        assert result.failed_tests == 1
        return "; ".join(result.full_rate["faults"])

    assert "a beat after the last result" in faults(np.full((2, 6, 2), 255, dtype=np.uint8))
    assert "only 18 of 24 beats came" in faults(np.full((4, 6, 2), 255, dtype=np.uint8))


def test_a_beat_that_changes_while_it_waits_breaks_a_rule(tmp_path: Path) -> None:
    """Its value is right by the time that it is taken: only who looks in every cycle can tell."""
    write_negative(tmp_path, flaw="restless")
    result = simulate(tmp_path, random_count=6, simulator=quick_simulator(), backpressure=True)
    with pytest.raises(ResultError, match=r"with random pauses: m_axis broke a rule of AXI4-Stream in \d+ cycles"):
        check_result(result)


def test_a_result_that_waits_for_its_taker_is_found(tmp_path: Path) -> None:
    """AXI4-Stream 2.2.1: two sides that wait for each other would wait for ever."""
    write_negative(tmp_path, flaw="shy")
    result = simulate(tmp_path, random_count=6, simulator=quick_simulator(), backpressure=True)
    with pytest.raises(ResultError, match="with random pauses: no result is offered to a sink that waits"):
        check_result(result)


def test_wrong_lengths_that_nobody_repairs_are_found(tmp_path: Path) -> None:
    """The stand-in passes on what comes; a real accelerator's Verilog is run like this in test_mutation."""
    write_negative(tmp_path)
    result = simulate(tmp_path, random_count=6, simulator=quick_simulator(), wrong_lengths=True)
    with pytest.raises(ResultError, match="with wrong lengths: word"):
        check_result(result)
    assert result.wrong_lengths is not None and result.wrong_lengths["faults"] > 0


@pytest.mark.parametrize("suffix", [".vcd", ".fst"])
def test_waveforms_are_written(suffix: str, tmp_path: Path) -> None:
    need("icarus")
    write_negative(tmp_path / "design")
    waves = tmp_path / f"waves{suffix}"
    check_result(simulate(tmp_path / "design", random_count=2, simulator="icarus", waves=waves))
    content = waves.read_bytes()
    assert (b"$enddefinitions" in content) == (suffix == ".vcd")
    assert len(content) > 1000


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (np.zeros((2, 2, 3, 1), dtype=np.uint8), "shape"),
        (np.zeros((2, 2, 3, 2)), "integers"),
        (np.full((1, 2, 3, 2), 256), "256"),
        (np.zeros((0, 2, 3, 2), dtype=np.uint8), "no words"),
    ],
)
def test_wrong_words_are_refused(words: np.ndarray, message: str, tmp_path: Path) -> None:
    write_negative(tmp_path)
    with pytest.raises(InputError, match=message):
        simulate(tmp_path, words=words)
    assert not (tmp_path / "simulation.json").exists()


def test_a_folder_without_a_design_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no design directory"):
        simulate(tmp_path)
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(InputError, match="manifest"):
        simulate(tmp_path)


def test_random_words_reach_both_ends_of_the_range() -> None:
    words = random_words(negative_network((2, 2, 1)), 4, seed=1)
    assert words.shape == (4, 2, 2, 1)
    assert words[0].min() == 255
    assert words[1].max() == 0
    assert np.array_equal(words, random_words(negative_network((2, 2, 1)), 4, seed=1))
