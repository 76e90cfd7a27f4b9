"""A board's core with a generated design.v inside, driven at its serial pins by the cocotb bench sim/board_bench.py."""

from __future__ import annotations

import json
import os
import random
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from amaranth.hdl import ClockDomain, ClockSignal, Module
from amaranth.lib import wiring
from amaranth.lib.cdc import ResetSynchronizer
from amaranth.lib.wiring import In, Out

from cs_hdl.board.board_core import BoardCore, receive_depth
from cs_hdl.board.catalogue import device_limits
from cs_hdl.board.design_ports import DesignPorts
from cs_hdl.emit.design import write_design
from cs_hdl.emit.verilog import emit_verilog
from cs_hdl.errors import ToolError
from cs_hdl.frontend.kernel import LinearOptions, make_linear
from cs_hdl.golden.dense import run_dense
from cs_hdl.host import ErrorCode, FrameType, checksum, encode_frame, pack_values, stored_values
from cs_hdl.plan.planner import make_plan
from cs_hdl.resources import data_folder
from cs_hdl.rtl.primitives.multiplier import portable_verilog
from cs_hdl.simulate.environment import find_simulator, simulator_environment

SERIAL_NS, CORE_NS, CLOCKS_PER_BIT = 10, 6, 8
#: One millisecond of the oscillator in this small world.
OSCILLATOR_KHZ = 300
QUIET_BITS = 400
INPUTS = 12
#: Words of a run of the board's own benchmark.
RUN = 50


class Pins(wiring.Component):
    """BoardCore with its two clock domains as ports."""

    def __init__(self, ports):
        self._core = BoardCore(
            ports=ports, clocks_per_bit=CLOCKS_PER_BIT, oscillator_khz=OSCILLATOR_KHZ,
            timeout=150 * CLOCKS_PER_BIT * SERIAL_NS // CORE_NS,
            receive_depth=receive_depth(ports, cycles_per_byte=10 * CLOCKS_PER_BIT * SERIAL_NS / CORE_NS),
            benchmark_cycles=RUN * ports.cycles_per_word,
        )  # fmt: skip
        super().__init__({"clk": In(1), "serial_clk": In(1), "rst": In(1), "rx": In(1), "tx": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.domains.sync = ClockDomain()
        m.domains.serial = ClockDomain()
        m.submodules.core = self._core
        m.submodules.reset_sync = ResetSynchronizer(self.rst, domain="sync")
        m.submodules.reset_serial = ResetSynchronizer(self.rst, domain="serial")
        m.d.comb += [
            ClockSignal("sync").eq(self.clk),
            ClockSignal("serial").eq(self.serial_clk),
            self._core.rx.eq(self.rx),
            self.tx.eq(self._core.tx),
        ]
        return m


RUNNER = """
import json, sys
from cocotb_tools.runner import VerilatorControlFile, get_runner
from cocotb_tools.check_results import get_results
name, build, control, sources = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]
runner = get_runner(name)
args = []
if name == "verilator":
    # Only the pins can be seen: a table of all signals would take most of the compiler's time.
    args = ["-O3", "-Wno-fatal", "--no-public-flat-rw", "-CFLAGS", "-O1"]
    sources = [VerilatorControlFile(control), *sources]
runner.build(sources=sources, hdl_toplevel="board_pins", build_args=args, build_dir=build, timescale=("1ns", "1ps"))
results = runner.test(test_module="board_bench", hdl_toplevel="board_pins", build_dir=build, test_dir=build,
                      hdl_toplevel_lang="verilog", timescale=("1ns", "1ps"))
print("VERDICT", json.dumps(get_results(results)))
"""
CONTROL = '`verilator_config\npublic_flat_rw -module "board_pins" -var "*"\n'


#: Sparse weights and activations, and sums of two bytes each.
NETWORK = make_linear(LinearOptions(in_features=INPUTS, out_features=5, weight_sparsity=0.75, active_inputs=4, seed=7))


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    """The folder with the Verilog of the core and of the design, and what it says of itself."""
    folder = tmp_path_factory.mktemp("board")
    manifest = write_design(make_plan(NETWORK, limits=device_limits("LFE5U-25F")), folder / "design")
    ports = DesignPorts.from_manifest(manifest)
    text = emit_verilog(Pins(ports), name="board_pins")
    # design.v has this module, too.
    (folder / "board_pins.v").write_text(text.replace(portable_verilog().strip("\n"), ""))
    (folder / "pins.vlt").write_text(CONTROL)
    return folder, ports


def converse(board, chunks, expected) -> tuple[int, int, str]:
    """Run the bench; gives cocotb's tests and failures, and the log."""
    folder, _ = board
    name = "verilator"
    try:
        find_simulator(name)
    except ToolError as error:
        try:
            find_simulator(name := "icarus")
        except ToolError:
            pytest.skip(f"no simulator: {error}")
    job = {
        "serial_ns": SERIAL_NS,
        "core_ns": CORE_NS,
        "clocks_per_bit": CLOCKS_PER_BIT,
        "chunks": [{"bytes": data.hex(), "quiet_bits": QUIET_BITS} for data in chunks],
        "expected": [data.hex() for data in expected],
    }
    (folder / "job.json").write_text(json.dumps(job))
    environment = simulator_environment(name) | {
        "CS_HDL_BOARD_JOB": str(folder / "job.json"),
        "PYTHONPATH": os.pathsep.join([str(data_folder("sim")), str(Path(__file__).parent.parent)]),
    }
    environment.pop("PYTEST_CURRENT_TEST", None)
    sources = [str(folder / "board_pins.v"), str(folder / "design" / "design.v")]
    result = subprocess.run(
        [sys.executable, "-c", RUNNER, name, str(folder / "build"), str(folder / "pins.vlt"), *sources],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    output = result.stdout + result.stderr
    verdicts = [line for line in result.stdout.splitlines() if line.startswith("VERDICT")]
    assert verdicts, output
    tests, failed = json.loads(verdicts[-1].removeprefix("VERDICT"))
    return tests, failed, output


def infer(word: bytes, tag: int) -> tuple[bytes, bytes]:
    """A request, and the response that it must have: what the golden model gives, and a good status."""
    values = np.frombuffer(word, dtype=np.uint8).reshape(1, *NETWORK.input.shape)
    answer = pack_values(run_dense(NETWORK, values), NETWORK.output.dtype) + b"\0"
    return encode_frame(FrameType.INFER, word, tag=tag), encode_frame(FrameType.RESULT, answer, tag=tag)


def error(code: ErrorCode) -> bytes:
    return encode_frame(FrameType.ERROR, bytes([code]))


def test_images_in_and_results_out_at_the_serial_pins(board):
    choose = random.Random(11)
    chunks, expected = [], []

    def good(*tags):
        """Requests without a pause between them."""
        pairs = [infer(bytes(choose.randrange(256) for _ in range(INPUTS)), tag) for tag in tags]
        chunks.append(b"".join(request for request, _ in pairs))
        expected.extend(response for _, response in pairs)

    def bad(request, code):
        chunks.append(bytes(request))
        expected.append(error(code))

    good(0)
    good(1, 2)
    # Garbage without a sync is no frame: silence. A damaged frame gives an error, and never a result.
    chunks.append(bytes(choose.randrange(256) for _ in range(40)).replace(b"\xc5\x3a", b"\xc5\xc5"))
    good(4)
    damaged = bytearray(infer(bytes(INPUTS), 5)[0])
    damaged[8] ^= 0x10
    bad(damaged, ErrorCode.CRC)
    good(6)
    bad(infer(bytes(INPUTS), 7)[0][:10], ErrorCode.TIMEOUT)
    bad(encode_frame(FrameType.INFER, bytes(5)), ErrorCode.LENGTH)
    # By now the clock has been measured.
    _, ports = board
    identity = bytearray(ports.identity.encode())
    identity[9:13] = (OSCILLATOR_KHZ * SERIAL_NS // CORE_NS).to_bytes(4, "little")
    chunks.append(encode_frame(FrameType.IDENTIFY, tag=77))
    expected.append(encode_frame(FrameType.IDENTITY, bytes(identity), tag=77))
    good(254, 255)

    tests, failed, output = converse(board, chunks, expected)
    assert (tests, failed) == (1, 0), output


def benchmarked(ports, tag: int) -> bytes:
    """The response to a BENCHMARK: cycles as the plan states, the checksum of the golden results."""
    stored = stored_values(ports.identity)
    golden = run_dense(NETWORK, stored)
    results = [pack_values(golden[number % len(stored)], NETWORK.output.dtype) for number in range(RUN)]
    check = checksum(results, bytes_per_beat=ports.output.bytes_per_beat)
    cycles = ports.latency_cycles + (RUN - 1) * ports.cycles_per_word + 1
    return encode_frame(FrameType.BENCHMARKED, struct.pack("<IIQI", RUN, 0, cycles, check), tag=tag)


def test_the_board_measures_itself(board):
    _, ports = board
    request, response = infer(bytes(range(INPUTS)), 3)
    chunks = [encode_frame(FrameType.BENCHMARK, tag=1), request, encode_frame(FrameType.BENCHMARK, tag=2) + request]
    expected = [benchmarked(ports, 1), response, benchmarked(ports, 2), response]
    tests, failed, output = converse(board, chunks, expected)
    assert (tests, failed) == (1, 0), output


def test_the_bench_finds_a_wrong_result(board):
    request, response = infer(bytes(range(INPUTS)), 3)
    wrong = encode_frame(FrameType.RESULT, bytes(len(response) - 11) + b"\0", tag=3)
    assert len(wrong) == len(response) and wrong != response
    tests, failed, output = converse(board, [request], [wrong])
    assert (tests, failed) == (1, 1), output
    assert "response 0 is" in output
