"""Logic as a graph of AND, XOR and multiplexers over bits, each function kept once, and its cover by LUTs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache

__all__ = ["FALSE", "LOGIC_KINDS", "TRUE", "UNKNOWN", "Graph"]

FALSE, TRUE = 0, 1
#: May be either (so may its inverse, -1): a multiplexer with such an input is none.
UNKNOWN = -2
_LEAF, _AND, _XOR, _MUX = range(4)
#: What the LUTs of a cover are counted by: the last function in each.
LOGIC_KINDS = ("and", "xor", "mux")
#: Inputs of a LUT, and covers kept of each node.
_INPUTS = 4
_KEPT = 4
#: Inputs of the widest one that the slice's multiplexers make of several.
_WIDEST = 7
#: Leaves of functions that are compared by their values.
_FEW = 6


class Graph:
    """A graph of bits.

    A bit is an integer: twice the number of its node, plus one where it is inverted; :data:`FALSE` and
    :data:`TRUE` are constants. Equal functions of equal bits are one node, and constants are propagated.
    """

    def __init__(self) -> None:
        self._nodes: list[tuple[int, ...]] = [(_LEAF,)]
        self._known: dict[tuple[int, ...], int] = {}
        #: Of nodes that depend on few leaves: those leaves, and the function's values over them.
        self._functions: list[tuple[tuple[int, ...], int] | None] = [((), 0)]
        self._by_function: dict[tuple[tuple[int, ...], int], int] = {}
        #: What new nodes are counted for, and what each node is.
        self.owner = ""
        self._owners: dict[int, str] = {}

    def leaf(self) -> int:
        """A new bit that no logic drives."""
        self._nodes.append((_LEAF,))
        number = len(self._nodes) - 1
        self._functions.append(((number,), 0b10))
        self._by_function[(number,), 0b10] = 2 * number
        return 2 * number

    def inputs(self, bit: int) -> tuple[int, ...]:
        """The bits that the node of ``bit`` is made from; none for a leaf or a constant."""
        return self._nodes[bit >> 1][1:] if bit > TRUE else ()

    def _node(self, *key: int) -> int:
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._new(key)
        return found

    def _new(self, key: tuple[int, ...]) -> int:
        """A node, or the bit that is the same function of the same few leaves."""
        function = self._function(key)
        if function is not None:
            leaves, values = function
            full = (1 << (1 << len(leaves))) - 1
            if not leaves:
                return TRUE if values else FALSE
            for inverted in (0, 1):
                known = self._by_function.get((leaves, values ^ (full if inverted else 0)))
                if known is not None:
                    return known ^ inverted
        number = len(self._nodes)
        self._owners[number] = self.owner
        self._nodes.append(key)
        self._functions.append(function)
        if function is not None:
            self._by_function[function] = 2 * number
        return 2 * number

    def _function(self, key: tuple[int, ...]) -> tuple[tuple[int, ...], int] | None:
        """The leaves that the node ``key`` really depends on and its values; None where they are many."""
        kind, *inputs = key
        below = [self._functions[bit >> 1] for bit in inputs]
        leaves: tuple[int, ...] = ()
        for one in below:
            if one is None:
                return None
            leaves = _union(leaves, one[0])
        if len(leaves) > _FEW:
            return None
        full = (1 << (1 << len(leaves))) - 1
        tables = [
            _spread(one[1], tuple(map(leaves.index, one[0])), len(leaves)) ^ (full if bit & 1 else 0)
            for bit, one in zip(inputs, below, strict=True)
            if one is not None
        ]
        if kind == _MUX:
            values = (tables[0] & tables[2]) | (~tables[0] & full & tables[1])
        else:
            values = tables[0] & tables[1] if kind == _AND else tables[0] ^ tables[1]
        return _reduced(leaves, values)

    def and_(self, a: int, b: int) -> int:
        """Both."""
        a, b = max(a, FALSE), max(b, FALSE)
        if a > b:
            a, b = b, a
        if a == FALSE or a == b ^ 1:
            return FALSE
        if a in (TRUE, b):
            return b
        return self._node(_AND, a, b)

    def or_(self, a: int, b: int) -> int:
        """Either."""
        return self.and_(a ^ 1, b ^ 1) ^ 1

    def xor(self, a: int, b: int) -> int:
        """Just one."""
        a, b = max(a, FALSE), max(b, FALSE)
        inverted = (a ^ b) & 1
        a, b = sorted((a & ~1, b & ~1))
        if a == b:
            return inverted
        if a == FALSE:
            return b ^ inverted
        return self._node(_XOR, a, b) ^ inverted

    def xnor(self, a: int, b: int) -> int:
        """Both or none."""
        return self.xor(a, b) ^ 1

    def mux(self, select: int, low: int, high: int) -> int:
        """``high`` where ``select``, else ``low``."""
        if low < 0 or select < 0:
            return high
        if high < 0:
            return low
        if select & 1:
            select, low, high = select ^ 1, high, low
        if low == high or select == FALSE:
            return low
        if low == high ^ 1:
            return self.xor(select, low)
        if low <= TRUE or low in (select, select ^ 1):
            keep = low in (FALSE, select)
            return self.and_(select, high) if keep else self.or_(select ^ 1, high)
        if high <= TRUE or high in (select, select ^ 1):
            keep = high in (TRUE, select)
            return self.or_(select, low) if keep else self.and_(select ^ 1, low)
        if low & 1:
            return self._node(_MUX, select, low ^ 1, high ^ 1) ^ 1
        return self._node(_MUX, select, low, high)

    def all_(self, bits: Iterable[int]) -> int:
        """AND of all, as a balanced tree."""
        level = list(bits) or [TRUE]
        while len(level) > 1:
            level = [self.and_(*level[i : i + 2]) if i + 1 < len(level) else level[i] for i in range(0, len(level), 2)]
        return level[0]

    def any_(self, bits: Iterable[int]) -> int:
        """OR of all."""
        return self.all_(bit ^ 1 for bit in bits) ^ 1

    def parity(self, bits: Iterable[int]) -> int:
        """XOR of all."""
        result = FALSE
        for bit in bits:
            result = self.xor(result, bit)
        return result

    def cover(self, roots: Sequence[int]) -> Counter[tuple[str, str]]:
        """LUTs of :data:`_INPUTS` inputs that make all ``roots``, by owner and kind; an inverter alone is one too.

        Of all covers that are looked at, the one of the least area flow is taken.

        What depends on so few leaves that a wide LUT (several, joined by the slice's multiplexers) holds
        all of it may become one.
        """
        nodes = self._nodes
        fanout = self._fanout(roots)
        cuts: dict[int, list[tuple[int, ...]]] = {}
        support: dict[int, frozenset[int] | None] = {}
        flow: dict[int, float] = {}
        for number in sorted(fanout):
            kind, *inputs = nodes[number]
            if kind == _LEAF:
                cuts[number], flow[number], support[number] = [(number,)], 0.0, frozenset((number,))
                continue
            below = [bit >> 1 for bit in inputs]
            choices = self._merge([cuts[node] for node in below])
            own = support[number] = self._join([support[node] for node in below])
            if own is not None and len(own) > _INPUTS:
                choices.add(tuple(sorted(own)))
            best = sorted((_luts(cut) + sum(flow[leaf] for leaf in cut), len(cut), cut) for cut in choices)[:_KEPT]
            flow[number] = best[0][0] / fanout[number]
            cuts[number] = [cut for _, _, cut in best] + [(number,)]
        used: set[int] = set()
        luts: Counter[tuple[str, str]] = Counter()
        todo = [bit >> 1 for bit in roots if bit > TRUE]
        while todo:
            number = todo.pop()
            if number in used or nodes[number][0] == _LEAF:
                continue
            used.add(number)
            luts[self._owners[number], LOGIC_KINDS[nodes[number][0] - 1]] += _luts(cuts[number][0])
            todo.extend(cuts[number][0])
        luts["", "and"] += len({bit for bit in roots if bit > TRUE and bit & 1 and nodes[bit >> 1][0] == _LEAF})
        return luts

    @staticmethod
    def _join(supports: Sequence[frozenset[int] | None]) -> frozenset[int] | None:
        """All leaves below a node, or None where there are more than a wide LUT has inputs."""
        joined: frozenset[int] = frozenset()
        for support in supports:
            if support is None:
                return None
            joined |= support
        return joined if len(joined) <= _WIDEST else None

    @staticmethod
    def _merge(inputs: Sequence[list[tuple[int, ...]]]) -> set[tuple[int, ...]]:
        merged: set[tuple[int, ...]] = {()}
        for cuts in inputs:
            merged = {
                tuple(sorted(union))
                for one in merged
                for other in cuts
                if len(other) <= _INPUTS and len(union := {*one, *other}) <= _INPUTS
            }
        return merged

    def _fanout(self, roots: Sequence[int]) -> dict[int, int]:
        """How often each node that ``roots`` need is used."""
        count: dict[int, int] = {}
        todo = [bit >> 1 for bit in roots if bit > TRUE]
        while todo:
            number = todo.pop()
            count[number] = count.get(number, 0) + 1
            if count[number] == 1:
                todo.extend(bit >> 1 for bit in self._nodes[number][1:])
        return count


def _luts(cut: tuple[int, ...]) -> int:
    return 1 << max(0, len(cut) - _INPUTS)


@lru_cache(maxsize=100_000)
def _union(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted({*a, *b}))


@lru_cache(maxsize=100_000)
def _spread(values: int, places: tuple[int, ...], count: int) -> int:
    """The values of a function over ``count`` leaves, of which it knows those at ``places``."""
    result = 0
    for row in range(1 << count):
        own = sum(((row >> place) & 1) << i for i, place in enumerate(places))
        result |= ((values >> own) & 1) << row
    return result


@lru_cache(maxsize=100_000)
def _rows(count: int, place: int) -> int:
    """The rows of a function over ``count`` leaves in which the leaf at ``place`` is 0."""
    return sum(1 << row for row in range(1 << count) if not (row >> place) & 1)


def _reduced(leaves: tuple[int, ...], values: int) -> tuple[tuple[int, ...], int]:
    """Without the leaves that make no difference."""
    for place in reversed(range(len(leaves))):
        count = len(leaves)
        low = values & _rows(count, place)
        high = (values >> (1 << place)) & _rows(count, place)
        if low == high:
            kept = [row for row in range(1 << count) if not (row >> place) & 1]
            values = sum(((values >> row) & 1) << i for i, row in enumerate(kept))
            leaves = leaves[:place] + leaves[place + 1 :]
    return leaves, values
