"""Talks to a board's core at its serial pins: requests bit by bit in, responses bit by bit out.

The job, a JSON file that the environment variable CS_HDL_BOARD_JOB names:
``{"serial_ns", "core_ns", "clocks_per_bit", "chunks": [{"bytes": hex, "quiet_bits": n}], "expected": [hex]}``.
After each chunk the line is silent for ``quiet_bits`` bit times; ``expected`` holds the responses, whole
frames, in order. In an expected identity the four bytes of the measured clock may differ by what one
cycle makes of it. Times are in ns.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, FallingEdge, Timer

from cs_hdl.host import FrameDecoder, FrameType, Identity

VARIABLE = "CS_HDL_BOARD_JOB"


@cocotb.test()
async def serial_pins(dut):
    """Every response is the expected one, and nothing else comes."""
    job = json.loads(Path(os.environ[VARIABLE]).read_text())
    bit = job["serial_ns"] * job["clocks_per_bit"]
    dut.rst.value = 1
    dut.rx.value = 1
    cocotb.start_soon(Clock(dut.serial_clk, job["serial_ns"], unit="ns").start())
    cocotb.start_soon(Clock(dut.clk, job["core_ns"], unit="ns").start())
    await ClockCycles(dut.serial_clk, 20)
    dut.rst.value = 0
    await Timer(50 * bit, unit="ns")

    received = bytearray()
    cocotb.start_soon(_listen(dut, bit, received))
    for chunk in job["chunks"]:
        for byte in bytes.fromhex(chunk["bytes"]):
            for level in (0, *((byte >> i) & 1 for i in range(8)), 1):
                dut.rx.value = level
                await Timer(bit, unit="ns")
        await Timer(chunk["quiet_bits"] * bit, unit="ns")

    expected = [bytes.fromhex(text) for text in job["expected"]]
    decoder = FrameDecoder()
    frames = list(decoder.feed(bytes(received)))
    assert len(received) == sum(map(len, expected)), f"{len(received)} bytes of responses: {received.hex()}"
    assert len(frames) == len(expected)
    position = 0
    for number, (frame, wanted) in enumerate(zip(frames, expected, strict=True)):
        raw = bytes(received[position : position + len(wanted)])
        position += len(wanted)
        if frame.type == FrameType.IDENTITY:
            (right,) = FrameDecoder().feed(wanted)
            _check_identity(Identity.decode(frame.payload), Identity.decode(right.payload))
        else:
            assert raw == wanted, f"response {number} is {raw.hex()}, not {wanted.hex()}"


def _check_identity(found: Identity, wanted: Identity) -> None:
    assert abs(found.clock_khz - wanted.clock_khz) <= 1
    for name in ("digest", "input_shape", "input_dtype", "output_shape", "output_dtype"):
        assert getattr(found, name) == getattr(wanted, name), name


async def _listen(dut, bit, received):
    while True:
        await FallingEdge(dut.tx)
        await Timer(bit // 2, unit="ns")
        assert dut.tx.value == 0, "a start bit that is too short"
        byte = 0
        for index in range(8):
            await Timer(bit, unit="ns")
            byte |= int(dut.tx.value) << index
        await Timer(bit, unit="ns")
        assert dut.tx.value == 1, "no stop bit"
        received.append(byte)
