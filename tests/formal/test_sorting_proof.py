"""Sorting networks: proven over their comparators exhaustively, and in the real RTL by the solver.

The argument, in full in docs/proofs.md: keys (value, then lower channel) all differ, so the 0-1 principle holds for
them; a comparator that is told which of its wires wins a tie compares values only.
"""

from __future__ import annotations

from typing import Any

import pytest
from amaranth.hdl import Cat, Const, Elaboratable, Module, Signal, Value
from prover import Proof, always, assumed, constant, prove

from cs_hdl.plan.sorting import SortingNetwork, merger, selection_networks, selector, sorter
from cs_hdl.rtl.local_kwta import LocalKWTA

SIXTEEN = 16


def truth_tables(n: int) -> list[int]:
    """Input wire i as a number whose bit x is bit i of x: all 2**n inputs of zeros and ones at once."""
    tables = []
    for wire in range(n):
        block, period = ((1 << (1 << wire)) - 1) << (1 << wire), 2 << wire
        table = block
        while period < 1 << n:
            table |= table << period
            period *= 2
        tables.append(table)
    return tables


def at_least(tables: list[int], n: int) -> list[int]:
    """Entry j: the inputs with more than j ones among ``tables`` (a unary count, table by table)."""
    counts = [0] * len(tables)
    for table in tables:
        for place in reversed(range(1, len(counts))):
            counts[place] |= counts[place - 1] & table
        counts[0] |= table
    return counts


def run_network(network: SortingNetwork, wires: list[int]) -> list[int]:
    for layer in network.layers:
        for better, worse in layer:
            wires[better], wires[worse] = wires[better] | wires[worse], wires[better] & wires[worse]
    return [wires[wire] for wire in network.outputs]


@pytest.mark.parametrize("n", range(1, SIXTEEN + 1))
def test_sorters_select_and_sort_whatever_comes(n):
    inputs = truth_tables(n)
    counts = at_least(inputs, n)
    for keep in range(1, n + 1):
        assert run_network(sorter(n, keep), list(inputs)) == counts[:keep]
        kept = run_network(sorter(n, keep, ordered=False), list(inputs))
        assert at_least(kept, n) == counts[:keep]


def ordered_lists(a: int, b: int) -> list[int]:
    """All pairs of two ordered lists of zeros and ones, bit ``ones * (b + 1) + others``."""
    cases = [(ones, others) for ones in range(a + 1) for others in range(b + 1)]
    first = [sum((ones > wire) << case for case, (ones, _) in enumerate(cases)) for wire in range(a)]
    return first + [sum((others > wire) << case for case, (_, others) in enumerate(cases)) for wire in range(b)]


@pytest.mark.parametrize("half", [1, 2, 3, 5, 8, 16, 31, 64])
def test_mergers_and_selectors_of_long_lists(half):
    """(Two ordered lists of a and b items have only (a + 1)(b + 1) inputs of zeros and ones.)"""
    inputs = ordered_lists(half, half)
    counts = at_least(inputs, 2 * half)
    for keep in sorted({1, half, half + half // 2, 2 * half}):
        assert run_network(merger(half, half, keep), list(inputs)) == counts[:keep]
        assert at_least(run_network(selector(half, half, keep), list(inputs)), 2 * half) == counts[:keep]


def check_tie_winners(network: SortingNetwork) -> None:
    """A named winner of ties is a wire that can only ever carry lower inputs than the other: by reachability."""
    reach = [1 << wire for wire in range(network.wires)]
    for layer, winners in zip(network.layers, network.tie_winners(), strict=True):
        for pair, winner in zip(layer, winners, strict=True):
            if winner is not None:
                (other,) = set(pair) - {winner}
                assert reach[winner].bit_length() <= (reach[other] & -reach[other]).bit_length() - 1
            both = reach[pair[0]] | reach[pair[1]]
            reach[pair[0]] = reach[pair[1]] = both


@pytest.mark.parametrize("n", range(1, SIXTEEN + 1))
def test_named_winners_of_ties_hold_for_any_input(n):
    for keep in range(1, n + 1):
        for beats in (1, 2, 4):
            if (beats - 1) * -(-n // beats) < n:
                for network in selection_networks(channels=n, winners=keep, beats=beats):
                    check_tie_winners(network)


class OnePosition(Elaboratable):
    """The real component, with one unknown position of values below ``1 << bits`` behind the reset."""

    def __init__(self, *, channels: int, winners: int, bits: int, highest: int) -> None:
        self._channels, self._winners, self._bits, self._highest = channels, winners, bits, highest
        self._dut = LocalKWTA(channels=channels, winners=winners, beats=1, pairs=winners)
        self.depth = self._dut.latency + 3

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.dut = dut = self._dut
        values = [constant(m, self._bits, f"value_{channel}") for channel in range(self._channels)]
        m.d.comb += [assumed(value <= self._highest) for value in values]
        m.d.comb += [lane.eq(value) for lane, value in zip(dut.i.p.values, values, strict=True)]
        sent, age = Signal(), Signal(range(self.depth + 1))
        m.d.comb += [dut.i.valid.eq(~sent), dut.o.ready.eq(1)]
        m.d.sync += [sent.eq(sent | dut.i.ready), age.eq(age + 1)]
        # Channel c wins where fewer than k come before it.
        ahead: list[Value] = []
        for place, value in enumerate(values):
            before = [other >= value for other in values[:place]] + [other > value for other in values[place + 1 :]]
            ahead.append(sum(before, Const(0)))
        seen: Value = Const(0, self._channels)
        right: Value = Const(1)
        for slot in range(self._winners):
            index, value = dut.o.p.indices[slot], dut.o.p.values[slot]
            hit = Signal(self._channels, name=f"hit_{slot}")
            m.d.comb += hit.eq(Cat(index == channel for channel in range(self._channels)))
            good = Cat(hit[c] & (ahead[c] < self._winners) & (value == values[c]) for c in range(self._channels)).any()
            right = right & good & ((seen & hit) == 0)
            seen = seen | hit
        m.d.comb += [always(~dut.o.valid | right), always((age != dut.latency) | dut.o.valid)]
        return m


def prove_position(folder: Any, **sizes: int) -> None:
    harness = OnePosition(**sizes)
    prove(harness, [], folder, name=f"k-WTA {sizes}", proof=Proof(depth=harness.depth, engine="abc bmc3"))


@pytest.mark.parametrize(("channels", "winners"), [(2, 1), (4, 2)])
def test_the_component_keeps_k_for_all_values(channels, winners, tmp_path):
    prove_position(tmp_path, channels=channels, winners=winners, bits=8, highest=255)


@pytest.mark.slow_proof
@pytest.mark.parametrize(("channels", "winners"), [(5, 3), (8, 3), (8, 8), (12, 4), (16, 2), (16, 8)])
def test_larger_components_keep_k(channels, winners, tmp_path):
    """Values 0, 1 and 2 (below, at and above any threshold) stand for all: see docs/proofs.md."""
    prove_position(tmp_path, channels=channels, winners=winners, bits=2, highest=2)
