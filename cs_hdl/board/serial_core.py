"""Between the bytes of the serial link and the accelerator: answers the requests of docs/protocol.md."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Array, Const, Module, Mux, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from cs_hdl.board.design_ports import DesignPorts
from cs_hdl.board.frame_receiver import FrameReceiver
from cs_hdl.board.frame_transmitter import FrameTransmitter
from cs_hdl.board.largest_value import LargestValue
from cs_hdl.board.result_reader import ResultReader
from cs_hdl.board.self_benchmark import SelfBenchmark, figures_layout
from cs_hdl.board.word_sender import WordSender
from cs_hdl.host.protocol import FrameType
from cs_hdl.rtl.axi_stream import axi_stream

__all__ = ["SerialCore"]

#: Where the clock stands in an identity: behind version and digest, four bytes.
_CLOCK_AT = 9


class _Chosen:
    """A register between the choice of a byte, which is a long way, and what is done with it: a byte in two cycles."""

    def __init__(self, index: Signal) -> None:
        self.index = index
        self.byte, self.fresh = Signal(8, reset_less=True), Signal()


class SerialCore(wiring.Component):
    """Answers one request after the other; a word goes to the accelerator only after its frame was found whole.

    The payload's memory is free as soon as the accelerator has the word, so that the next request
    may come while the response goes out; it waits there until its turn.

    Parameters
    ----------
    ports:
        The accelerator's, see :class:`cs_hdl.board.design_ports.DesignPorts`.
    timeout:
        Clock cycles of silence that end a frame, see :class:`cs_hdl.board.frame_receiver.FrameReceiver`.
    benchmark_words:
        Words of a run of the benchmark.

    Members
    -------
    i, o:
        Streams of bytes, from and to the host.
    m_axis, s_axis:
        To the accelerator's input, from its output.
    clock_khz:
        The clock, for the identity.
    busy, error:
        For LEDs: a request is being answered; the last request was refused.
    largest:
        For LEDs: where the largest value of the last result lies, see
        :class:`cs_hdl.board.largest_value.LargestValue`.
    """

    def __init__(self, *, ports: DesignPorts, timeout: int, benchmark_words: int) -> None:
        self._ports, self._timeout, self._benchmark_words = ports, timeout, benchmark_words
        self._largest = LargestValue(values=ports.output_values, dtype=ports.identity.output_dtype)
        super().__init__(
            {
                "i": In(stream.Signature(8)),
                "o": Out(stream.Signature(8)),
                "m_axis": Out(axi_stream(ports.input.bytes_per_beat)),
                "s_axis": In(axi_stream(ports.output.bytes_per_beat, user=True)),
                "clock_khz": In(32),
                "busy": Out(1),
                "error": Out(1),
                "largest": Out(self._largest.position.shape()),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        source, sink = self._ports.input, self._ports.output
        m.submodules.receiver = receiver = FrameReceiver(payload_bytes=source.word_bytes, timeout=self._timeout)
        m.submodules.transmitter = transmitter = FrameTransmitter()
        m.submodules.sender = sender = WordSender(bytes_per_beat=source.bytes_per_beat, beats=source.beats)
        m.submodules.reader = reader = ResultReader(bytes_per_beat=sink.bytes_per_beat, word_bytes=sink.word_bytes)

        m.submodules.largest = largest = self._largest
        m.d.comb += [
            largest.start.eq(reader.start),
            largest.byte.eq(reader.o.payload),
            largest.take.eq(reader.o.valid & reader.o.ready),
            self.largest.eq(largest.position),
        ]

        # What a last beat holds beyond the word is never written, and stays 0.
        m.submodules.payload = payload = memory.Memory(
            shape=8, depth=max(2, source.bytes_per_beat * source.beats), init=[]
        )
        write, read = payload.write_port(), payload.read_port()
        m.d.comb += [
            write.addr.eq(receiver.write_address),
            write.data.eq(receiver.write_data),
            write.en.eq(receiver.write_enable),
            read.addr.eq(sender.address),
            sender.data.eq(read.data),
        ]
        wiring.connect(m, wiring.flipped(self.i), receiver.i)
        wiring.connect(m, transmitter.o, wiring.flipped(self.o))
        m.submodules.benchmark = benchmark = SelfBenchmark(ports=self._ports, words=self._benchmark_words)
        self._join(m, benchmark, sender, reader)

        request, response = receiver.o.payload, transmitter.start.payload
        identity = self._ports.identity.encode()
        identity_bytes, index = self._identity(m, identity)
        tag, code = Signal(8), Signal(8)  # of the request that is being answered
        chosen = _Chosen(index)
        m.d.comb += response.tag.eq(tag)
        # From the start of a word until all of it is with the accelerator.
        sending = Signal()
        with m.If(sending & sender.done):
            m.d.comb += receiver.o.ready.eq(1)
            m.d.sync += sending.eq(0)

        with m.FSM() as fsm:
            m.d.comb += self.busy.eq(~fsm.ongoing("IDLE"))
            with m.State("IDLE"):
                m.d.sync += [index.eq(0), chosen.fresh.eq(0), tag.eq(request.tag), code.eq(request.error)]
                with m.If(receiver.o.valid & ~sending):
                    m.d.sync += self.error.eq(request.error != 0)
                    with m.If(request.error != 0):
                        m.d.comb += receiver.o.ready.eq(1)
                        m.next = "ERROR"
                    with m.Elif(request.type == FrameType.IDENTIFY):
                        m.d.comb += receiver.o.ready.eq(1)
                        m.next = "IDENTITY"
                    with m.Elif(request.type == FrameType.BENCHMARK):
                        m.d.comb += [receiver.o.ready.eq(1), benchmark.start.eq(1)]
                        m.next = "BENCHMARK"
                    with m.Else():
                        m.d.comb += [sender.start.eq(1), reader.start.eq(1)]
                        m.d.sync += sending.eq(1)
                        m.next = "RESULT"
            with m.State("ERROR"):
                m.d.comb += [
                    response.type.eq(FrameType.ERROR),
                    response.tag.eq(0),
                    response.length.eq(1),
                    transmitter.payload.payload.eq(code),
                    transmitter.payload.valid.eq(1),
                ]
                self._finish(m, transmitter)
            with m.State("IDENTITY"):
                self._give(m, transmitter, FrameType.IDENTITY, length=len(identity), chosen=chosen, byte=identity_bytes)
            with m.State("BENCHMARK"), m.If(benchmark.done):
                figures = benchmark.figures.as_value()
                byte = figures.word_select(index, 8)
                self._give(m, transmitter, FrameType.BENCHMARKED, length=len(figures) // 8, chosen=chosen, byte=byte)
            with m.State("RESULT"):
                m.d.comb += [
                    response.type.eq(FrameType.RESULT),
                    response.length.eq(sink.word_bytes + 1),
                    transmitter.payload.payload.eq(reader.o.payload),
                    transmitter.payload.valid.eq(reader.o.valid),
                    reader.o.ready.eq(transmitter.payload.ready),
                ]
                self._finish(m, transmitter)
        return m

    def _join(self, m: Module, benchmark: SelfBenchmark, sender: WordSender, reader: ResultReader) -> None:
        """The accelerator belongs to the benchmark while that runs."""
        source, sink = self.m_axis, self.s_axis

        def attach(giver: SelfBenchmark | WordSender, taker: SelfBenchmark | ResultReader) -> None:
            for name in ("tvalid", "tdata", "tlast"):
                m.d.comb += getattr(source, name).eq(getattr(giver.m_axis, name))
            m.d.comb += [giver.m_axis.tready.eq(source.tready), sink.tready.eq(taker.s_axis.tready)]
            m.d.comb += taker.s_axis.tvalid.eq(sink.tvalid)

        with m.If(benchmark.done):
            attach(sender, reader)
        with m.Else():
            attach(benchmark, benchmark)
        for name in ("tdata", "tlast", "tuser"):
            for target in (reader, benchmark):
                m.d.comb += getattr(target.s_axis, name).eq(getattr(sink, name))

    def _give(
        self, m: Module, transmitter: FrameTransmitter, kind: FrameType, *, length: int, chosen: _Chosen, byte: Any
    ) -> None:
        """A response of ``length`` bytes, ``byte`` being the one at the index of ``chosen``."""
        response = transmitter.start.payload
        m.d.comb += [
            response.type.eq(kind),
            response.length.eq(length),
            transmitter.payload.payload.eq(chosen.byte),
            transmitter.payload.valid.eq(chosen.fresh),
        ]
        m.d.sync += [chosen.byte.eq(byte), chosen.fresh.eq(1)]
        with m.If(chosen.fresh & transmitter.payload.ready):
            m.d.sync += [chosen.index.eq(chosen.index + 1), chosen.fresh.eq(0)]
        self._finish(m, transmitter)

    @staticmethod
    def _finish(m: Module, transmitter: FrameTransmitter) -> None:
        """Keep the response going until it has gone out."""
        m.d.comb += transmitter.start.valid.eq(1)
        with m.If(transmitter.start.ready):
            m.next = "IDLE"

    def _identity(self, m: Module, identity: bytes) -> tuple[Any, Signal]:
        """The byte of the identity at the index given back; the clock is what it was when it began."""
        index = Signal(range(max(len(identity), figures_layout().size // 8)))
        clock = Signal(32)
        with m.If(index == 0):
            m.d.sync += clock.eq(self.clock_khz)
        value = Array(Const(byte, 8) for byte in identity)[index]
        in_clock = (index >= _CLOCK_AT) & (index < _CLOCK_AT + 4)
        return Mux(in_clock, clock.word_select((index - _CLOCK_AT)[:2], 8), value), index
