"""The provers can fail: planted faults are refuted, with the assertion and a trace; a missing tool is no proof."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import prover
import pytest
import test_requantise_proof
import test_sorting_proof
from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from prover import Proof, Refuted, Undecided, prove
from streams import StreamHarness
from test_stream_rules import queue

from cs_hdl.rtl.local_kwta import LocalKWTA
from cs_hdl.rtl.primitives.queue import Queue
from cs_hdl.rtl.streams import values_layout


class Faulty(wiring.Component):
    """A queue of three beats with one fault."""

    def __init__(self, fault: str) -> None:
        self._fault = fault
        layout = values_layout("uint8", 1)
        super().__init__({"i": In(stream.Signature(layout)), "o": Out(stream.Signature(layout))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        layout = values_layout("uint8", 1)
        m.submodules.inner = inner = Queue(layout=layout, depth=3)
        m.d.comb += [
            inner.i.payload.eq(self.i.payload),
            inner.i.valid.eq(self.i.valid),
            self.i.ready.eq(inner.i.ready),
            self.o.payload.eq(inner.o.payload),
            self.o.valid.eq(inner.o.valid),
            inner.o.ready.eq(self.o.ready),
        ]
        given = Signal(2)
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += given.eq(given + 1)
        if self._fault == "drops when full":
            m.d.comb += self.i.ready.eq(1)
        elif self._fault == "doubles every fourth":
            m.d.comb += inner.o.ready.eq(self.o.ready & (given != 3))
        elif self._fault == "invents after a pause":
            m.d.comb += self.o.valid.eq(inner.o.valid | (given == 3))
        elif self._fault == "changes while it waits":
            waited = Signal()
            m.d.sync += waited.eq(self.o.valid & ~self.o.ready)
            m.d.comb += self.o.payload.values[0].eq(inner.o.payload.values[0] ^ waited)
        elif self._fault == "withdraws":
            m.d.sync += given.eq(given + 1)
            m.d.comb += self.o.valid.eq(inner.o.valid & (given != 1))
        elif self._fault == "keeps the last one":
            m.d.comb += self.o.valid.eq(inner.o.valid & self.i.valid)
        return m


FAULTS = (
    "drops when full", "doubles every fourth", "invents after a pause", "changes while it waits", "withdraws",
    "keeps the last one",
)  # fmt: skip


def refuted(harness: Any, ports: list[Any], folder: Any, proof: Proof) -> None:
    with pytest.raises(Refuted) as caught:
        prove(harness, ports, folder, name="planted", proof=proof)
    assert caught.value.trace.is_file() and caught.value.trace.suffix == ".vcd"
    file, _, line = caught.value.assertion.partition(":")
    assert file.endswith(".py") and line.split(".")[0].isdigit()
    assert caught.value.assertion in str(caught.value)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_stream_is_refuted(fault, tmp_path):
    harness = StreamHarness(Faulty(fault), dataclasses.replace(queue(3).contract, most_owed=8))
    refuted(harness, harness.ports, tmp_path, Proof(depth=14))


def test_without_a_bound_a_fault_is_refuted_too(tmp_path):
    harness = StreamHarness(Faulty("drops when full"), queue(3).contract)
    refuted(harness, harness.ports, tmp_path, Proof())


class Biased(test_requantise_proof.AnyValue):
    """A requantiser whose bias is one too large."""

    def __init__(self, scale: Any) -> None:
        super().__init__(scale)
        self._dut = dataclasses.replace(scale, biases=[bias + 1 for bias in scale.biases]).make()


def test_a_wrong_bias_is_refuted(tmp_path):
    scale = test_requantise_proof.CASES["a shift"]
    harness = Biased(scale)
    refuted(harness, harness.ports, tmp_path, Proof(depth=harness.depth, engine=scale.engine))


class Mirrored(wiring.Component):
    """A k-WTA that numbers channels from the other end, so that ties go to the highest."""

    def __init__(self, channels: int, winners: int) -> None:
        self._channels = channels
        self._inner = LocalKWTA(channels=channels, winners=winners, beats=1, pairs=winners)
        self.latency = self._inner.latency
        super().__init__({"i": In(wiring.flipped(self._inner.i).signature), "o": Out(self._inner.o.signature)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.inner = inner = self._inner
        m.d.comb += [
            inner.i.valid.eq(self.i.valid),
            self.i.ready.eq(inner.i.ready),
            self.o.valid.eq(inner.o.valid),
            inner.o.ready.eq(self.o.ready),
            self.o.payload.values.eq(inner.o.payload.values),
        ]
        for channel in range(self._channels):
            m.d.comb += inner.i.payload.values[channel].eq(self.i.payload.values[self._channels - 1 - channel])
        for own, theirs in zip(self.o.payload.indices, inner.o.payload.indices, strict=True):
            m.d.comb += own.eq(self._channels - 1 - theirs)
        return m


def test_ties_to_the_highest_channel_are_refuted(tmp_path):
    harness = test_sorting_proof.OnePosition(channels=4, winners=2, bits=2, highest=2)
    harness._dut = Mirrored(4, 2)
    refuted(harness, [], tmp_path, Proof(depth=harness.depth))


def test_a_missing_solver_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(prover, "_path", lambda: "/nowhere")
    harness = StreamHarness(Queue(layout=values_layout("uint8", 1), depth=1), queue(1).contract)
    with pytest.raises(RuntimeError, match=r"missing; install it with: pip install 'cs-hdl\[build,test\]'"):
        prove(harness, harness.ports, tmp_path, name="planted", proof=Proof(depth=3))


def test_a_proof_that_ends_in_an_error_is_none(tmp_path):
    harness = StreamHarness(Queue(layout=values_layout("uint8", 1), depth=1), queue(1).contract)
    with pytest.raises(RuntimeError, match="neither proven nor refuted"):
        prove(harness, harness.ports, tmp_path, name="planted", proof=Proof(depth=3, engine="smtbmc nosuchsolver"))


def test_a_proof_that_takes_too_long_is_none_and_its_programs_end(tmp_path, monkeypatch):
    monkeypatch.setenv("CS_HDL_PROOF_SECONDS", "2")
    folder = tmp_path / "proof that takes too long"
    with pytest.raises(Undecided, match="neither proven nor refuted in 2 s of processor time"):
        test_sorting_proof.prove_position(folder, channels=16, winners=8, bits=2, highest=2)
    left = [path for path in Path("/proc").glob("[0-9]*/cwd") if folder.name in _link(path)]
    assert not left


def _link(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:  # it ended meanwhile, or is nobody's business
        return ""
