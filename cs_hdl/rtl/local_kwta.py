"""Local k-WTA: the k largest channels of each position, by sorting networks without any feedback."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from cs_hdl.rtl.sorting import SortingNetwork, merger, selector, sorter
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
    ``i.ready`` follows ``o.ready`` in the same cycle; the pipeline moves as a whole, and while nothing waits
    at its end it moves without input too.
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
        self._networks = _networks(channels=channels, winners=winners, beats=beats, lanes=lanes)
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
        return sum(-(-len(network.layers) // self._layers_per_stage) for network in self._networks) + 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        move = Signal()
        valid: Value = self.i.valid
        keys, rank_bits = self._input_keys(m, move)
        for level, network in enumerate(self._networks):
            if level:
                keys, valid = _pair_up(m, keys, valid, move, rank_bits, f"level{level}")
                rank_bits += 1
            keys, valid = self._pipeline(m, network, keys, valid, move, rank_bits, f"level{level}")
        self._output(m, keys, valid, move, rank_bits)
        m.d.comb += self.i.ready.eq(move)
        return m

    def _input_keys(self, m: Module, move: Signal) -> tuple[list[Value], int]:
        """The keys of this beat's lanes, and how many bits of them are the lane's complement."""
        rank_bits = (self._lanes - 1).bit_length()
        highest = (1 << rank_bits) - 1
        last = Signal()
        if self._beats == 1:
            m.d.comb += last.eq(1)
        else:
            beat = Signal(range(self._beats))
            m.d.comb += last.eq(beat == self._beats - 1)
            with m.If(self.i.valid & move):
                m.d.sync += beat.eq(beat + 1)
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
        self, m: Module, network: SortingNetwork, keys: list[Value], valid: Value, move: Signal, rank_bits: int, name: str
    ) -> tuple[list[Value], Value]:
        """The network with a register behind every ``layers_per_stage`` layers and behind the last."""
        wires = dict(enumerate(keys))
        steps = zip(network.layers, network.tie_winners(), network.live()[1:], strict=True)
        for depth, (layer, tie_winners, live) in enumerate(steps, start=1):
            results = dict(wires)
            for (better, worse), tie_winner in zip(layer, tie_winners, strict=True):
                swap = Signal(name=f"{name}_swap{depth}_{better}")
                m.d.comb += swap.eq(_must_swap(wires[better], wires[worse], tie_winner == better, tie_winner, rank_bits))
                results[better] = Mux(swap, wires[worse], wires[better])
                results[worse] = Mux(swap, wires[better], wires[worse])
            registered = depth % self._layers_per_stage == 0 or depth == len(network.layers)
            wires = {}
            for wire in sorted(live):
                wires[wire] = Signal(
                    _VALUE_BITS + rank_bits, name=f"{name}_key{depth}_{wire}", reset_less=True
                )
                if not registered:
                    m.d.comb += wires[wire].eq(results[wire])
            if registered:
                stage_valid = Signal(name=f"{name}_valid{depth}")
                with m.If(move):
                    m.d.sync += stage_valid.eq(valid)
                    m.d.sync += [wires[wire].eq(results[wire]) for wire in sorted(live)]
                valid = stage_valid
        return [wires[wire] for wire in network.outputs], valid

    def _output(self, m: Module, keys: list[Value], valid: Value, move: Signal, rank_bits: int) -> None:
        """Takes a position's winners at once and gives them in beats; drives ``move``."""
        # An empty slot: value 0, and the complement of index 0.
        empty = Const((1 << rank_bits) - 1, _VALUE_BITS + rank_bits)
        slots = [
            Signal(_VALUE_BITS + rank_bits, name=f"slot{slot}", reset_less=True)
            for slot in range(self._out_beats * self._pairs)
        ]
        given, full, at_end = Signal(range(max(2, self._out_beats))), Signal(), Signal()
        m.d.comb += [
            self.o.valid.eq(full),
            at_end.eq(given == self._out_beats - 1),
            move.eq(~valid | ~full | (self.o.ready & at_end)),
        ]
        with m.If(self.o.ready & full):
            m.d.sync += [given.eq(given + 1), Cat(slots).eq(Cat(slots[self._pairs :]))]
            with m.If(at_end):
                m.d.sync += [given.eq(0), full.eq(0)]
        with m.If(valid & move):
            m.d.sync += full.eq(1)
            for number, slot in enumerate(slots):
                m.d.sync += slot.eq(keys[number] if number < self._winners else empty)
        for pair in range(self._pairs):
            m.d.comb += [
                self.o.p.values[pair].eq(slots[pair][rank_bits:]),
                self.o.p.indices[pair].eq(self._channel(~slots[pair][:rank_bits])),
            ]

    def _channel(self, place: Value) -> Value:
        """The channel ``beat * lanes + lane`` from its place, the lane's bits below the beat's."""
        lane_bits = (self._lanes - 1).bit_length()
        if self._lanes == 1 << lane_bits:
            return place
        channel: Value = place[:lane_bits]
        for bit in range(len(place) - lane_bits):
            channel = channel + Mux(place[lane_bits + bit], self._lanes << bit, 0)
        return channel


def _networks(*, channels: int, winners: int, beats: int, lanes: int) -> list[SortingNetwork]:
    """The sorter of a beat, then the merger of each level; only the last one's result needs no order."""
    levels = beats.bit_length() - 1
    if winners == channels:
        # All win: the lists are only joined, and the lanes beyond the last channel are the last ones.
        joined = [lanes << level for level in range(levels)] + [channels]
        widths = [lanes, *(2 * width for width in joined[:-1])]
        return [
            SortingNetwork(wires=width, layers=(), outputs=tuple(range(kept)))
            for width, kept in zip(widths, joined, strict=True)
        ]
    sizes = [min(lanes << level, winners) for level in range(levels + 1)]
    networks = [sorter(lanes, sizes[0], ordered=levels > 0)]
    for level in range(1, levels + 1):
        build = merger if level < levels else selector
        networks.append(build(sizes[level - 1], sizes[level - 1], sizes[level]))
    return networks


def _must_swap(better: Value, worse: Value, first_wins_ties: bool, tie_winner: int | None, rank_bits: int) -> Value:
    """Whether the key at the worse place is the better one; values alone decide where ties are settled."""
    if tie_winner is None:
        return worse > better
    if first_wins_ties:
        return worse[rank_bits:] > better[rank_bits:]
    return worse[rank_bits:] >= better[rank_bits:]


def _pair_up(
    m: Module, keys: list[Value], valid: Value, move: Signal, rank_bits: int, name: str
) -> tuple[list[Value], Value]:
    """Holds every other list until its successor is there; the first of two has the lower channels."""
    second = Signal(name=f"{name}_second")
    held = [Signal(len(key), name=f"{name}_held{wire}", reset_less=True) for wire, key in enumerate(keys)]
    with m.If(valid & move):
        m.d.sync += second.eq(~second)
        with m.If(~second):
            m.d.sync += [hold.eq(key) for hold, key in zip(held, keys, strict=True)]
    pairs: list[Value] = []
    for complement, side in ((1, held), (0, keys)):
        pairs += [Cat(key[:rank_bits], Const(complement, 1), key[rank_bits:]) for key in side]
    both = Signal(name=f"{name}_both")
    m.d.comb += both.eq(valid & second)
    return pairs, both
