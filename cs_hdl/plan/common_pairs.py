"""Common sub-expressions of a constant matrix: pairs of digits that occur again and again become one node.

Every row is a sum of signed digits, ``sign * (node << shift)``. A pair is two nodes, the distance of their
shifts and whether their signs agree. The pair that saves most is made a node, replaces its occurrences in
all rows, and the next is looked for, until no pair occurs twice (the greedy rule of da4ml and others).
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from typing import TYPE_CHECKING

from cs_hdl.plan.adders import Term, width

if TYPE_CHECKING:
    from cs_hdl.plan.adders import AdderBuilder

__all__ = ["Row", "share_pairs"]

#: Digits of a row: node, then shift, then sign.
Row = dict[int, dict[int, int]]
#: A pair in one number: two nodes of 20 bits, the second's shift less the first's, and whether the signs agree.
_NODE_BITS, _SHIFT_BITS = 20, 8
_NODE_BIT = _SHIFT_BITS + 1
_SHIFT_ZERO = 1 << (_SHIFT_BITS - 1)
#: Pairs of digits, summed over the rows, above which only the digits of one input are paired (seconds, not minutes).
_MOST_PAIRS = 1_500_000


def share_pairs(rows: list[Row], builder: AdderBuilder) -> None:
    """Make nodes of the pairs that several places have in common; ``rows`` are rewritten to use them."""
    _Sharing(rows, builder).run()


class _Sharing:
    def __init__(self, rows: list[Row], builder: AdderBuilder) -> None:
        self._rows, self._builder = rows, builder
        digits = (sum(map(len, row.values())) for row in rows)
        self._across = sum(count * count // 2 for count in digits) <= _MOST_PAIRS
        self._count: defaultdict[int, int] = defaultdict(int)
        self._overlap: dict[int, int] = {}
        # Best pair first; entries whose count has fallen since are put right when they come up.
        self._queue: list[tuple[int, int]] = []
        # Pairs whose count has risen and that are not yet queued with it.
        self._risen: set[int] = set()

    def run(self) -> None:
        for row in self._rows:
            digits = [(node, shift, sign) for node, shifts in row.items() for shift, sign in shifts.items()]
            row.clear()
            for digit in digits:
                self._insert(row, *digit)
        self._queue_risen()
        while self._queue:
            saving, pair = heapq.heappop(self._queue)
            if self._count[pair] < 2:
                continue
            now = self._saving(pair)
            if saving != -now:
                heapq.heappush(self._queue, (-now, pair))
                continue
            self._share(pair)
            self._queue_risen()

    def _queue_risen(self) -> None:
        for pair in self._risen:
            if self._count[pair] > 1:
                heapq.heappush(self._queue, (-self._saving(pair), pair))
        self._risen.clear()

    def _saving(self, pair: int) -> int:
        """Bits that a node for ``pair`` is worth: as often as it occurs, those in which both operands have any."""
        overlap = self._overlap.get(pair)
        if overlap is None:
            overlap = self._overlap[pair] = self._overlap_of(pair)
        return self._count[pair] * overlap

    def _share(self, pair: int) -> None:
        first, second, distance, agree = _unpack(pair)
        places = [
            (row, shift)
            for row in self._rows
            if first in row and second in row
            for shift in _places(row, first, second, distance, agree)
        ]
        if len(places) < 2:
            # The others overlapped: 10101 has two of 101, but only one can be taken.
            self._count[pair] = 0
            return
        low = max(0, -distance)
        made = self._builder.add(Term(first, low, 1), Term(second, low + distance, agree))
        for row, shift in places:
            sign = row[first][shift]
            self._remove(row, first, shift)
            self._remove(row, second, shift + distance)
            self._insert(row, made.node, min(shift, shift + distance), sign * made.sign)

    def _insert(self, row: Row, node: int, shift: int, sign: int) -> None:
        """Add a digit; one that is there already becomes twice as much, or nothing."""
        shifts = row.setdefault(node, {})
        while shift in shifts:
            same = shifts[shift] == sign
            self._remove(row, node, shift)
            if not same:
                return
            shift += 1
            shifts = row.setdefault(node, {})
        shifts[shift] = sign
        self._recount(row, node, shift, sign, 1)

    def _remove(self, row: Row, node: int, shift: int) -> None:
        sign = row[node].pop(shift)
        self._recount(row, node, shift, sign, -1)
        if not row[node]:
            del row[node]

    def _recount(self, row: Row, node: int, shift: int, sign: int, change: int) -> None:
        """A digit came or went: all its pairs in this row are one more or one less."""
        # What _pack does, with all that does not change taken out of the loop: most of the time is spent here.
        as_first, as_second = _pack(node, 0, -shift, False), _pack(0, node, shift, False)
        counts, risen = self._count, self._risen
        for other in row if self._across else (node,):
            for place, other_sign in row[other].items():
                if other > node or (other == node and place > shift):
                    pair = as_first + (other << _NODE_BIT) + place * 2 + (sign == other_sign)
                elif other < node or place < shift:
                    pair = as_second + (other << _NODE_BITS + _NODE_BIT) - place * 2 + (sign == other_sign)
                else:
                    continue
                counts[pair] += change
                if change > 0:
                    risen.add(pair)

    def _overlap_of(self, pair: int) -> int:
        first, second, distance, _ = _unpack(pair)
        ends = width(*self._builder.range[first]), width(*self._builder.range[second]) + distance
        return min(ends) - max(0, distance)


def _places(row: Row, first: int, second: int, distance: int, agree: int) -> list[int]:
    """Shifts of ``first`` at which ``row`` has the pair, none overlapping another."""
    ones, others = row[first], row[second]
    found: list[int] = []
    used: set[int] = set()
    for shift in sorted(ones):
        partner = shift + distance
        if partner in others and ones[shift] * others[partner] == agree and (first != second or shift not in used):
            found.append(shift)
            used.add(partner)
    return found


def _pack(first: int, second: int, distance: int, agree: bool) -> int:
    return ((first << _NODE_BITS | second) << _SHIFT_BITS | (distance + _SHIFT_ZERO)) << 1 | agree


def _unpack(pair: int) -> tuple[int, int, int, int]:
    """First node, second node, distance of the shifts, product of the signs."""
    nodes, distance = pair >> _NODE_BIT, (pair >> 1) & ((1 << _SHIFT_BITS) - 1)
    first, second = nodes >> _NODE_BITS, nodes & ((1 << _NODE_BITS) - 1)
    return first, second, distance - _SHIFT_ZERO, 1 if pair & 1 else -1
