"""Sorting networks as plain data: which wires meet in which layer, whatever a wire carries.

All networks come from Batcher's odd-even merge. They are built for powers of two; wires that only fill up
are known to be the worst and are resolved at build time, and comparators that no kept output needs are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

__all__ = ["Comparator", "Layer", "SortingNetwork", "merger", "selection_networks", "selector", "sorter"]

#: ``(better, worse)``: the wire that carries the better of the two items behind the comparator, and the other.
Comparator = tuple[int, int]
#: Comparators that share no wire, so all of them work at the same time.
Layer = tuple[Comparator, ...]

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class SortingNetwork:
    """``wires`` items go in, one a wire; behind the ``layers``, the wires ``outputs`` carry what is kept.

    ``outputs`` names the best first where the network is an ordered one, else in any order.
    """

    wires: int
    layers: tuple[Layer, ...]
    outputs: tuple[int, ...]

    @property
    def comparators(self) -> int:
        """How many comparators there are, in all layers."""
        return sum(map(len, self.layers))

    def live(self) -> tuple[frozenset[int], ...]:
        """For the input and behind each layer: the wires that anything behind it still reads."""
        needed = set(self.outputs)
        result = [frozenset(needed)]
        for layer in reversed(self.layers):
            needed.update(wire for pair in layer for wire in pair)
            result.append(frozenset(needed))
        return tuple(reversed(result))

    def tie_winners(self) -> tuple[tuple[int | None, ...], ...]:
        """For each comparator, in the shape of ``layers``: the wire that wins a tie if lower inputs win ties.

        None where that depends on the items: there, equal items need their input's number to be compared.
        """
        origins = [{wire} for wire in range(self.wires)]
        winners: list[tuple[int | None, ...]] = []
        for layer in self.layers:
            known: list[int | None] = []
            for pair in layer:
                low, high = sorted(pair, key=lambda wire: min(origins[wire]))
                known.append(low if max(origins[low]) < min(origins[high]) else None)
            for first, second in layer:
                origins[first] = origins[second] = origins[first] | origins[second]
            winners.append(tuple(known))
        return tuple(winners)

    def apply(self, items: Sequence[_T], better: Callable[[_T, _T], bool]) -> list[_T]:
        """What the network makes of ``items``, where ``better(a, b)`` says that a goes before b."""
        if len(items) != self.wires:
            raise ValueError(f"a network of {self.wires} wires cannot take {len(items)} items")
        wires = list(items)
        for layer in self.layers:
            for first, second in layer:
                if better(wires[second], wires[first]):
                    wires[first], wires[second] = wires[second], wires[first]
        return [wires[wire] for wire in self.outputs]


def sorter(n: int, keep: int, *, ordered: bool = True) -> SortingNetwork:
    """The best ``keep`` of ``n`` items, best first (or in any order, which is cheaper).

    Raises ValueError unless 1 <= keep <= n.
    """
    _check_keep(keep, n)
    if keep == n and not ordered:
        return SortingNetwork(wires=n, layers=(), outputs=tuple(range(n)))
    size = _power_of_two(n)
    slots: list[int | None] = [wire if wire < n else None for wire in range(size)]
    comparators = _resolve(_odd_even_sort(0, size, last_merge=ordered), slots)
    if ordered:
        kept = _real(slots)[:keep]
    else:
        first, second = _real(slots[: size // 2]), _real(slots[size // 2 :])
        selected, kept = _select(first[:keep], second[:keep], keep)
        comparators += selected
    return _network(n, comparators, kept)


def merger(a: int, b: int, keep: int) -> SortingNetwork:
    """The best ``keep`` of two ordered lists, best first: wires 0..a-1 and a..a+b-1, each best first.

    Raises ValueError unless a and b are at least 1 and 1 <= keep <= a + b.
    """
    _check_lists(a, b, keep)
    half = _power_of_two(max(a, b))
    slots: list[int | None] = [wire if wire < a else None for wire in range(half)]
    slots += [a + wire if wire < b else None for wire in range(half)]
    comparators = _resolve(_odd_even_merge(0, 2 * half, 1), slots)
    return _network(a + b, comparators, _real(slots)[:keep])


def selector(a: int, b: int, keep: int) -> SortingNetwork:
    """As :func:`merger`, but the result is in any order: a single layer of comparators.

    Of two ordered lists, the better of ``first[i]`` and ``second[keep - 1 - i]`` is always kept: an item
    that loses there has ``i + 1`` of the one list and ``keep - 1 - i`` of the other list before it.
    """
    _check_lists(a, b, keep)
    comparators, kept = _select(list(range(min(a, keep))), list(range(a, a + min(b, keep))), keep)
    return _network(a + b, comparators, kept)


def _check_keep(keep: int, n: int) -> None:
    if not 1 <= keep <= n:
        raise ValueError(f"keep must be 1..{n}, the number of items, not {keep!r}")


def _check_lists(a: int, b: int, keep: int) -> None:
    if a < 1 or b < 1:
        raise ValueError(f"the two lists must hold at least one item each, not {a!r} and {b!r}")
    _check_keep(keep, a + b)


def _power_of_two(n: int) -> int:
    """The smallest power of two that is at least ``n``."""
    return 1 << (n - 1).bit_length()


def _odd_even_sort(low: int, size: int, *, last_merge: bool = True) -> list[Comparator]:
    """Batcher's network for ``size`` (a power of two) wires from ``low`` on."""
    if size == 1:
        return []
    half = size // 2
    halves = _odd_even_sort(low, half) + _odd_even_sort(low + half, half)
    return halves + (_odd_even_merge(low, size, 1) if last_merge else [])


def _odd_even_merge(low: int, size: int, step: int) -> list[Comparator]:
    """Merges the two sorted halves of the wires ``low, low + step, ... low + size - step``."""
    if 2 * step == size:
        return [(low, low + step)]
    ends = [(wire, wire + step) for wire in range(low + step, low + size - step, 2 * step)]
    return _odd_even_merge(low, size, 2 * step) + _odd_even_merge(low + step, size, 2 * step) + ends


def _resolve(comparators: list[Comparator], slots: list[int | None]) -> list[Comparator]:
    """Play the comparators over ``slots`` (changed in place), where None is an item worse than all others.

    What meets None needs no comparator: it takes the better place, by name only.
    """
    real: list[Comparator] = []
    for first, second in comparators:
        better, worse = slots[first], slots[second]
        if better is None:
            slots[first], slots[second] = worse, None
        elif worse is not None:
            real.append((better, worse))
    return real


def _real(slots: list[int | None]) -> list[int]:
    return [wire for wire in slots if wire is not None]


def _select(first: list[int], second: list[int], keep: int) -> tuple[list[Comparator], list[int]]:
    """Comparators and kept wires that take the best ``keep`` of two ordered lists of wires."""
    comparators: list[Comparator] = []
    kept: list[int] = []
    for here in range(keep):
        there = keep - 1 - here
        if here < len(first) and there < len(second):
            comparators.append((first[here], second[there]))
        kept.extend(first[here : here + 1] or second[there : there + 1])
    return comparators, kept


def _network(wires: int, comparators: list[Comparator], kept: list[int]) -> SortingNetwork:
    """Leaves out what no kept wire needs, and puts each comparator into the first layer that it can be in."""
    needed = set(kept)
    useful: list[Comparator] = []
    for pair in reversed(comparators):
        if needed.intersection(pair):
            needed.update(pair)
            useful.append(pair)
    depth = [0] * wires
    layers: list[list[Comparator]] = []
    for first, second in reversed(useful):
        level = max(depth[first], depth[second])
        if level == len(layers):
            layers.append([])
        layers[level].append((first, second))
        depth[first] = depth[second] = level + 1
    return SortingNetwork(wires=wires, layers=tuple(map(tuple, layers)), outputs=tuple(kept))


def selection_networks(*, channels: int, winners: int, beats: int) -> list[SortingNetwork]:
    """What a local k-WTA is made of: the sorter of a beat, then the merger of each level.

    ``winners`` of ``channels`` that come in ``beats`` beats (a power of two); only the last network's
    result needs no order.
    """
    levels = beats.bit_length() - 1
    lanes = -(-channels // beats)
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
