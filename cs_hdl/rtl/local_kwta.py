"""Local k-WTA: the k largest channels of each position, by sorting networks without any feedback."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from cs_hdl.plan.sorting import SortingNetwork, selection_networks
from cs_hdl.rtl.streams import pairs_layout, values_layout

__all__ = ["LocalKWTA"]

_VALUE_BITS = 8


class LocalKWTA(wiring.Component):
    """Exactly ``winners`` channels of each position: the largest values, of equal ones the lower channels.

    A pipelined sorter orders each beat; a ladder of log2(beats) mergers halves the number of lists, level by
    level. An item is a key, its value above the complement of its channel, so that all keys differ and the
    larger always wins. The channel grows with the ladder: a level adds one bit, which of its two lists it was.

    Parameters
    ----------
    channels, winners: of a position; 1 <= winners <= channels.
    beats: beats of a position, a power of two with ``(beats - 1) * lanes < channels`` where
        ``lanes = ceil(channels / beats)``.
    pairs: winners of an output beat.
    layers_per_stage: comparator layers between two registers; 1 is for 120 MHz on an ECP5 of speed 6.

    Members
    -------
    i: ``values_layout("uint8", lanes)``, ``beats`` a position; lanes beyond the last channel are ignored.
    o: ``pairs_layout(channels, pairs)``, ``ceil(winners / pairs)`` beats a position, pairs in any order,
        a winner of value 0 included; slots that are left over hold value 0, index 0.

    Initiation interval ``interval`` cycles a position, ``latency`` cycles through; neither depends on data.
    The pipeline never stops, so no enable has to reach its many registers: winners go into a memory, and a
    position is let in only while there is room for its winners too. ``i.ready`` comes from registers alone.
    """

    def __init__(self, *, channels: int, winners: int, beats: int, pairs: int, layers_per_stage: int = 1) -> None:
        for name, number in (("channels", channels), ("pairs", pairs), ("layers_per_stage", layers_per_stage)):
            if not isinstance(number, int) or number < 1:
                raise TypeError(f"{name} must be a positive integer, not {number!r}")
        if not isinstance(beats, int) or beats < 1 or beats & (beats - 1):
            raise TypeError(f"beats must be a power of two, not {beats!r}")
        if not 1 <= winners <= channels:
            raise ValueError(f"winners must be 1..{channels}, the number of channels, not {winners!r}")
        lanes = -(-channels // beats)
        if (beats - 1) * lanes >= channels:
            raise ValueError(
                f"{channels} channels in beats of {lanes} do not reach the last of {beats} beats; take fewer beats"
            )
        self._channels, self._winners, self._beats, self._pairs = channels, winners, beats, pairs
        self._lanes, self._layers_per_stage = lanes, layers_per_stage
        self._out_beats = -(-winners // pairs)
        self._networks = selection_networks(channels=channels, winners=winners, beats=beats)
        super().__init__(
            {
                "i": In(stream.Signature(values_layout("uint8", lanes))),
                "o": Out(stream.Signature(pairs_layout(channels, pairs))),
            }
        )

    @property
    def lanes(self) -> int:
        """Values of an input beat."""
        return self._lanes

    @property
    def interval(self) -> int:
        """Cycles from one position to the next, with a driver and a consumer that never wait."""
        return max(self._beats, self._out_beats)

    @property
    def latency(self) -> int:
        """Cycles from a position's last input beat being taken to its first output beat being valid.

        Holds while the output keeps up: with more output beats than input beats, for the first position.
        """
        return self._depth + 2

    @property
    def _depth(self) -> int:
        """Registers of all networks, one behind the other."""
        return sum(-(-len(network.layers) // self._layers_per_stage) for network in self._networks)

    @property
    def _room(self) -> int:
        """Positions under way that keep the pipeline full: from the first beat to the memory's register, and one."""
        return -(-(self._beats + self._depth + 2) // self.interval) + 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        taken, given = Signal(), Signal()
        last = self._admit(m, taken, given)
        keys, rank_bits = self._input_keys(m, last)
        valid: Value = taken
        for level, network in enumerate(self._networks):
            if level:
                keys, valid = _pair_up(m, keys, valid, rank_bits, f"level{level}")
                rank_bits += 1
            keys, valid = self._pipeline(m, network, keys, valid, rank_bits, f"level{level}")
        self._output(m, keys, valid, given, rank_bits)
        return m

    def _admit(self, m: Module, taken: Signal, given: Signal) -> Value:
        """Counts beats and positions under way; a position's first beat waits for room. Gives the last beat."""
        beat, under_way = Signal(range(max(2, self._beats))), Signal(range(self._room + 1))
        first, last = Signal(), Signal()
        m.d.comb += [
            first.eq(beat == 0),
            last.eq(beat == self._beats - 1),
            self.i.ready.eq(~first | (under_way != self._room)),
            taken.eq(self.i.valid & self.i.ready),
        ]
        with m.If(taken):
            m.d.sync += beat.eq(Mux(last, 0, beat + 1))
        m.d.sync += under_way.eq(under_way + (taken & first) - given)
        return last

    def _input_keys(self, m: Module, last: Value) -> tuple[list[Value], int]:
        """The keys of this beat's lanes, and how many bits of them are the lane's complement."""
        rank_bits = (self._lanes - 1).bit_length()
        highest = (1 << rank_bits) - 1
        lanes_of_last = self._channels - (self._beats - 1) * self._lanes
        keys: list[Value] = []
        for lane in range(self._lanes):
            value: Value = self.i.p.values[lane]
            if lane >= lanes_of_last:
                # With value 0 and the highest index of all, it loses to every channel that is there.
                value = Mux(last, 0, value)
            keys.append(Cat(Const(highest - lane, rank_bits), value[:_VALUE_BITS]))
        return keys, rank_bits

    def _pipeline(
        self,
        m: Module,
        network: SortingNetwork,
        keys: list[Value],
        valid: Value,
        rank_bits: int,
        name: str,
    ) -> tuple[list[Value], Value]:
        """The network with a register behind every ``layers_per_stage`` layers and behind the last."""
        wires = dict(enumerate(keys))
        steps = zip(network.layers, network.tie_winners(), network.live()[1:], strict=True)
        for depth, (layer, tie_winners, live) in enumerate(steps, start=1):
            results = dict(wires)
            for (better, worse), tie_winner in zip(layer, tie_winners, strict=True):
                swap = Signal(name=f"{name}_swap{depth}_{better}")
                m.d.comb += swap.eq(
                    _must_swap(wires[better], wires[worse], tie_winner == better, tie_winner, rank_bits)
                )
                results[better] = Mux(swap, wires[worse], wires[better])
                results[worse] = Mux(swap, wires[better], wires[worse])
            registered = depth % self._layers_per_stage == 0 or depth == len(network.layers)
            wires = {}
            for wire in sorted(live):
                wires[wire] = Signal(_VALUE_BITS + rank_bits, name=f"{name}_key{depth}_{wire}", reset_less=True)
                if not registered:
                    m.d.comb += wires[wire].eq(results[wire])
            if registered:
                m.d.sync += [wires[wire].eq(results[wire]) for wire in sorted(live)]
                stage_valid = Signal(name=f"{name}_valid{depth}")
                m.d.sync += stage_valid.eq(valid)
                valid = stage_valid
        return [wires[wire] for wire in network.outputs], valid

    def _output(self, m: Module, keys: list[Value], valid: Value, given: Signal, rank_bits: int) -> None:
        """Queues a position's winners and gives them in beats; ``given`` when a position leaves the queue."""
        # Where all win, each winner's place is known, and values are all that has to be kept.
        kept_from = rank_bits if self._winners == self._channels else 0
        width = _VALUE_BITS + rank_bits - kept_from
        queue = m.submodules.queue = Memory(shape=width * self._winners, depth=self._room, init=[])
        write, read = queue.write_port(), queue.read_port()
        waiting = Signal(range(self._room + 1))
        beat, full, at_end = Signal(range(max(2, self._out_beats))), Signal(), Signal()
        m.d.comb += [
            write.en.eq(valid),
            write.data.eq(Cat(key[kept_from:] for key in keys)),
            at_end.eq(beat == self._out_beats - 1),
            given.eq((waiting != 0) & (~full | (self.o.ready & at_end))),
            read.en.eq(given),
            self.o.valid.eq(full),
        ]
        m.d.sync += waiting.eq(waiting + valid - given)
        for step, address in ((valid, write.addr), (given, read.addr)):
            place = Signal.like(address, name="place")
            m.d.comb += address.eq(place)
            with m.If(step):
                m.d.sync += place.eq(Mux(place == self._room - 1, 0, place + 1))
        with m.If(self.o.ready & full):
            m.d.sync += [beat.eq(Mux(at_end, 0, beat + 1)), full.eq(~at_end)]
        with m.If(given):
            m.d.sync += full.eq(1)

        slots: list[Value] = []
        for number in range(self._out_beats * self._pairs):
            if number >= self._winners:
                # An empty slot: value 0, and the complement of index 0.
                slots.append(Const((1 << rank_bits) - 1, _VALUE_BITS + rank_bits))
                continue
            kept = read.data[number * width : (number + 1) * width]
            slots.append(Cat(Const(self._rank(number, rank_bits), kept_from), kept))
        for pair in range(self._pairs):
            slot = _at(m, slots[pair :: self._pairs], beat, f"slot{pair}")
            m.d.comb += [
                self.o.p.values[pair].eq(slot[rank_bits:]),
                self.o.p.indices[pair].eq(self._channel(~slot[:rank_bits])),
            ]

    def _rank(self, channel: int, rank_bits: int) -> int:
        """The complement of a channel's place, the lane's bits below the beat's."""
        beat, lane = divmod(channel, self._lanes)
        return (1 << rank_bits) - 1 - (beat << (self._lanes - 1).bit_length() | lane)

    def _channel(self, place: Value) -> Value:
        """The channel ``beat * lanes + lane`` from its place, the lane's bits below the beat's."""
        lane_bits = (self._lanes - 1).bit_length()
        if self._lanes == 1 << lane_bits:
            return place
        channel: Value = place[:lane_bits]
        for bit in range(len(place) - lane_bits):
            channel = channel + Mux(place[lane_bits + bit], self._lanes << bit, 0)
        return channel


def _must_swap(better: Value, worse: Value, first_wins_ties: bool, tie_winner: int | None, rank_bits: int) -> Value:
    """Whether the key at the worse place is the better one; values alone decide where ties are settled."""
    if tie_winner is None:
        return worse > better
    if first_wins_ties:
        return worse[rank_bits:] > better[rank_bits:]
    return worse[rank_bits:] >= better[rank_bits:]


def _pair_up(m: Module, keys: list[Value], valid: Value, rank_bits: int, name: str) -> tuple[list[Value], Value]:
    """Holds every other list until its successor is there; the first of two has the lower channels."""
    second = Signal(name=f"{name}_second")
    held = [Signal(len(key), name=f"{name}_held{wire}", reset_less=True) for wire, key in enumerate(keys)]
    with m.If(valid):
        m.d.sync += second.eq(~second)
        with m.If(~second):
            m.d.sync += [hold.eq(key) for hold, key in zip(held, keys, strict=True)]
    pairs: list[Value] = []
    for complement, side in ((1, held), (0, keys)):
        pairs += [Cat(key[:rank_bits], Const(complement, 1), key[rank_bits:]) for key in side]
    both = Signal(name=f"{name}_both")
    m.d.comb += both.eq(valid & second)
    return pairs, both


def _at(m: Module, choices: list[Value], number: Value, name: str) -> Signal:
    """The one of ``choices`` that ``number`` names."""
    chosen = Signal(len(choices[0]), name=name)
    with m.Switch(number):
        for case, choice in enumerate(choices):
            with m.Case(case):
                m.d.comb += chosen.eq(choice)
    return chosen
