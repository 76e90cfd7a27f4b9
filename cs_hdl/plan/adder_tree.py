"""The sum of a few terms as a tree of adders with few bits and few levels."""

from __future__ import annotations

import heapq
import itertools
from typing import TYPE_CHECKING

from cs_hdl.plan.adders import Term, sum_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cs_hdl.plan.adders import AdderBuilder

__all__ = ["add_up"]

#: Terms beyond these are added in the order of their levels, without a search.
_MOST_SEARCHED = 48
#: Terms that may be added next are at most this far apart in the order of their shifts.
_WINDOW = 6
#: So many last terms are tried in every order.
_LAST = 5
#: Carry bits that one level less is worth: a level costs a register for everything that has to wait for it.
_LEVEL_BITS = 1


def add_up(terms: Sequence[Term], builder: AdderBuilder) -> Term | None:
    """The sum of ``terms``, positive where that is possible; None where there are none."""
    left = _first_ready(list(terms), builder)
    while len(left) > _LAST:
        left.sort(key=lambda term: (term.shift, term.node))
        left = _merge(left, *_cheapest(left, builder), builder)
    items = [(term, builder.range[term.node], builder.level[term.node]) for term in left]
    for one, other in _best_order(items)[1]:
        left = _merge(left, one, other, builder, positive=len(left) == 2)
    return left[0] if left else None


def _first_ready(terms: list[Term], builder: AdderBuilder) -> list[Term]:
    """Add what is ready first until few enough are left to be searched."""
    heap = [(builder.level[term.node], term.shift, place, term) for place, term in enumerate(terms)]
    heapq.heapify(heap)
    count = len(heap)
    while len(heap) > _MOST_SEARCHED:
        made = builder.add(heapq.heappop(heap)[3], heapq.heappop(heap)[3])
        heapq.heappush(heap, (builder.level[made.node], made.shift, count, made))
        count += 1
    return [entry[3] for entry in heap]


def _cheapest(terms: list[Term], builder: AdderBuilder) -> tuple[int, int]:
    """Which two of ``terms``, that are sorted by their shifts, to add next."""
    ranges = [builder.range[term.node] for term in terms]
    levels = [builder.level[term.node] for term in terms]
    best = (1 << 30, 0, 0)
    for one, term in enumerate(terms):
        for other in range(one + 1, min(len(terms), one + _WINDOW)):
            bits = sum_of(term, ranges[one], terms[other], ranges[other]).carry_bits
            best = min(best, (bits + _LEVEL_BITS * max(levels[one], levels[other]), one, other))
    return best[1:]


def _merge(terms: list[Term], one: int, other: int, builder: AdderBuilder, *, positive: bool = False) -> list[Term]:
    """``terms`` without two of them and with their sum at the end."""
    rest = [term for place, term in enumerate(terms) if place not in (one, other)]
    return [*rest, builder.add(terms[one], terms[other], positive=positive)]


#: A term, its range, and its level; the term of a sum that is not made yet has node -1.
_Item = tuple[Term, tuple[int, int], int]


def _best_order(items: list[_Item]) -> tuple[int, list[tuple[int, int]]]:
    """The cheapest order in which to add all ``items``: its cost, and which two come next each time.

    The sum of two takes the last place of what is left, as with :func:`_merge`.
    """
    best: tuple[int, list[tuple[int, int]]] = (0, []) if len(items) < 2 else (1 << 30, [])
    for one, other in itertools.combinations(range(len(items)), 2):
        (term, bounds, level), (other_term, other_bounds, other_level) = items[one], items[other]
        made = sum_of(term, bounds, other_term, other_bounds, positive=len(items) == 2)
        cost = made.carry_bits + _LEVEL_BITS * max(level, other_level)
        if len(items) == 2 and made.sign < 0:
            cost += made.carry_bits  # what changes its sign
        if cost >= best[0]:
            continue
        rest = [item for place, item in enumerate(items) if place not in (one, other)]
        new = (Term(-1, made.shift, made.sign), (made.low, made.high), max(level, other_level) + 1)
        later, order = _best_order([*rest, new])
        if cost + later < best[0]:
            best = (cost + later, [(one, other), *order])
    return best
