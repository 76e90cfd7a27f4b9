"""From the words of an elaborated module to bits: its registers, carry chains, memories and logic."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from cs_hdl.estimate.graph import FALSE, TRUE, UNKNOWN, Graph

__all__ = ["Module", "Table", "read_module"]

_REGISTERS = ("$dff", "$dffe", "$sdff", "$sdffe", "$sdffce", "$adff", "$adffe")
_BLOCKS = {"CCU2C": "carry", "DP16KD": "block_ram", "MULT18X18D": "dsp", "TRELLIS_DPR16X4": "lut_ram"}
#: Shorter additions become LUTs (Yosys' arith_map for CCU2C).
_SHORT_ALU = 4
#: The submodule that a flattened name begins with.
_PART = re.compile(r"^(?:\$flatten\\\\)?(\w+)\.")


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table that goes into LUTs: ``columns[i]`` holds bit i of all words, word 0 in its lowest bit."""

    depth: int
    columns: tuple[int, ...]


@dataclass(kw_only=True)
class Module:
    """What an elaborated module consists of.

    ``counts[part, kind]`` says how many of a kind the part takes that was a submodule of that name before it was
    flattened ("" where none is known): ``and``, ``xor``, ``mux`` are LUTs that cover its logic, tables aside, by
    their last function; ``ff``, and those of them that are ``enabled``; ``carry``, ``lut_ram``, ``dsp``,
    ``block_ram``. ``tables`` and ``instances`` (modules of the design below it) come with their part too.
    """

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    tables: list[tuple[str, Table]] = field(default_factory=list)
    instances: list[tuple[str, str]] = field(default_factory=list)


#: A register: its cell and which of its bits.
_Place = tuple[str, int]


def read_module(content: dict[str, Any]) -> Module:
    """Count what the module with Yosys' JSON ``content`` takes; only what its outputs need."""
    sys.setrecursionlimit(max(sys.getrecursionlimit(), 50_000))
    same: dict[_Place, _Place | int] = {}
    while True:
        reader = _Reader(content, same)
        module = reader.read()
        more = reader.redundant_registers()
        if not more:
            return module
        same.update(more)


class _Reader:
    """Walks from the outputs back to the inputs; a bit is made when it is asked for the first time."""

    def __init__(self, content: dict[str, Any], same: dict[_Place, _Place | int]) -> None:
        self._cells: dict[str, Any] = content["cells"]
        self._ports: dict[str, Any] = content["ports"]
        self._same = same
        self._graph = Graph()
        self._bits: dict[int, int] = {}
        self._made: dict[_Place, int] = {}
        self._drivers: dict[int, tuple[str, str, int]] = {}
        for cell_name, cell in self._cells.items():
            for port, bits in cell["connections"].items():
                if cell["port_directions"].get(port) == "output":
                    self._drivers.update(
                        {bit: (cell_name, port, i) for i, bit in enumerate(bits) if isinstance(bit, int)}
                    )
        self._init: dict[int, str] = {}
        self._parts: dict[str, str] = {}
        self._net_parts: dict[int, str] = {}
        for name, net in content["netnames"].items():
            if part := _PART.match(name):
                self._net_parts.update(dict.fromkeys(net["bits"], part[1]))
            if init := net["attributes"].get("init", ""):
                self._init.update(zip(net["bits"], reversed(init), strict=False))
        self._roots: list[int] = []
        self._needs: dict[int, Callable[[], None]] = {}
        self._operated: dict[tuple[str, str], list[int]] = {}
        self._registers: dict[_Place, tuple[Any, ...]] = {}
        self._blocks: set[str] = set()
        self._slices: dict[str, int] = {}
        self._columns: dict[str, set[int]] = {}

    def read(self) -> Module:
        """Everything that the outputs need, counted."""
        module = Module()
        for port in self._ports.values():
            if port["direction"] == "output":
                self._roots += [self.bit(bit) for bit in port["bits"]]
        self._follow()
        for name in self._blocks:
            kind = self._cells[name]["type"]
            if kind in _BLOCKS:
                module.counts[self._part(name), _BLOCKS[kind]] += 1
            else:
                module.instances.append((self._part(name), kind))
        for name, columns in self._columns.items():
            module.tables.append((self._part(name), self._table(name, columns)))
        for (name, _), (_, _, _, _, controls) in self._registers.items():
            module.counts[self._part(name), "ff"] += 1
            module.counts[self._part(name), "enabled"] += any(port == "EN" for port, _ in controls)
        for name, highest in self._slices.items():
            module.counts[self._part(name), "carry"] += highest // 2 + 1
        module.counts.update(self._graph.cover(self._roots))
        return module

    def _part(self, name: str) -> str:
        """The submodule that the cell ``name`` was in: by its own name, or that of a net that it drives."""
        if name not in self._parts:
            outputs = (
                self._net_parts.get(bit, "")
                for port, bits in self._cells[name]["connections"].items()
                if self._cells[name]["port_directions"].get(port) == "output"
                for bit in bits
            )
            own = _PART.match(name)
            self._parts[name] = own[1] if own else next(filter(None, outputs), "")
        return self._parts[name]

    def _follow(self) -> None:
        """From the outputs to all that they need: what stands behind a leaf adds to the roots."""
        seen: set[int] = set()
        done = 0
        while done < len(self._roots):
            todo = self._roots[done:]
            done = len(self._roots)
            while todo:
                bit = todo.pop() & ~1
                if bit in seen or bit < 0:
                    continue
                seen.add(bit)
                todo.extend(self._graph.inputs(bit))
                if bit in self._needs:
                    self._needs[bit]()

    def _leaf(self, need: Callable[[], None]) -> int:
        """A bit without logic; ``need`` is called once if anything needs it."""
        leaf = self._graph.leaf()
        self._needs[leaf] = need
        return leaf

    def redundant_registers(self) -> dict[_Place, _Place | int]:
        """Registers that hold a constant, or what another one holds, each with that bit or other register."""
        found: dict[_Place, _Place | int] = {}
        first: dict[tuple[Any, ...], _Place] = {}
        for where, key in self._registers.items():
            _, data, reset, init, _ = key
            values = {value for value in (reset, init) if value in ("0", "1")}
            if data == self._made[where]:  # it never changes
                data = int(values.pop()) if len(values) == 1 else data
            if data <= TRUE and values <= {str(data)}:
                found[where] = data
            elif first.setdefault(key, where) != where:
                found[where] = first[key]
        return found

    def bit(self, bit: Any) -> int:
        """The graph's bit of a bit of the netlist."""
        if not isinstance(bit, int):
            return {"0": FALSE, "1": TRUE}.get(bit, UNKNOWN)
        if bit not in self._bits:
            driver = self._drivers.get(bit)
            self._bits[bit] = self._graph.leaf() if driver is None else self._drive(*driver)
        return self._bits[bit]

    def _word(self, cell: dict[str, Any], port: str, width: int | None = None) -> list[int]:
        bits = [self.bit(bit) for bit in cell["connections"][port]]
        if width is None or len(bits) >= width:
            return bits[:width]
        signed = int(cell["parameters"].get(f"{port}_SIGNED", "0"), 2)
        return bits + [bits[-1] if signed and bits else FALSE] * (width - len(bits))

    def _drive(self, name: str, port: str, index: int) -> int:
        outer, self._graph.owner = self._graph.owner, self._part(name)
        try:
            return self._make(name, port, index)
        finally:
            self._graph.owner = outer

    def _make(self, name: str, port: str, index: int) -> int:
        cell = self._cells[name]
        kind = cell["type"]
        if kind in _REGISTERS:
            where = self._same.get((name, index), (name, index))
            while isinstance(where, tuple) and where in self._same:
                where = self._same[where]
            if isinstance(where, int):
                return where
            if where not in self._made:
                self._made[where] = self._leaf(partial(self._register, *where))
            return self._made[where]
        if kind == "$alu" and len(cell["connections"]["Y"]) > _SHORT_ALU:
            return self._carry_chain(name, cell, port, index)
        if kind == "$mem_v2":
            return self._leaf(partial(self._memory, name, cell, index))
        if kind.startswith("$"):
            if (name, port) not in self._operated:
                self._operated[name, port] = _OPERATIONS.get(kind, _Reader._other)(self, cell, port)
            return self._operated[name, port][index]
        return self._leaf(partial(self._block, name, cell))

    def _block(self, name: str, cell: dict[str, Any]) -> None:
        if name not in self._blocks:
            self._blocks.add(name)
            for port, bits in cell["connections"].items():
                if cell["port_directions"][port] == "input":
                    self._roots += [self.bit(bit) for bit in bits]

    def _register(self, name: str, index: int) -> None:
        cell = self._cells[name]
        kind, connections, parameters = cell["type"], cell["connections"], cell["parameters"]
        data = self.bit(connections["D"][index])
        controls = {port: self.bit(connections[port][0]) for port in ("EN", "SRST", "ARST") if port in connections}
        for port in controls:
            if int(parameters[f"{port}_POLARITY"], 2) == 0:
                controls[port] ^= 1
        if kind == "$sdffce":
            controls["SRST"] = self._graph.and_(controls["SRST"], controls["EN"])
        value = parameters.get("SRST_VALUE", parameters.get("ARST_VALUE", ""))
        reset = value[len(value) - 1 - index] if value else ""
        # The clock enable has an inverter of its own, the reset has none.
        self._roots += [data, controls.get("EN", TRUE) & ~1, controls.get("SRST", controls.get("ARST", FALSE))]
        init = self._init.get(connections["Q"][index], "x")
        self._registers[name, index] = (kind, data, reset, init, tuple(sorted(controls.items())))

    def _carry_chain(self, name: str, cell: dict[str, Any], port: str, index: int) -> int:
        if port == "X":
            a, b = (self._word(cell, side, index + 1)[index] for side in "AB")
            return self._graph.xor(self._graph.xor(a, b), self.bit(cell["connections"]["BI"][0]))
        if port == "CO" and index % 2 == 0:
            # In the middle of a carry cell: made again by a LUT.
            a, b = (self._word(cell, side, index + 1)[index] for side in "AB")
            carry = self._leaf(partial(self._slice, name, cell, index))
            return self._majority(a, self._graph.xor(b, self.bit(cell["connections"]["BI"][0])), carry)
        return self._leaf(partial(self._slice, name, cell, index))

    def _slice(self, name: str, cell: dict[str, Any], index: int) -> None:
        if name not in self._slices:
            self._slices[name] = index
            width = len(cell["connections"]["Y"])
            self._roots += [*self._word(cell, "A", width), *self._word(cell, "B", width)]
            self._roots += [self.bit(cell["connections"][side][0]) & ~1 for side in ("BI", "CI")]
        self._slices[name] = max(self._slices[name], index)

    def _majority(self, a: int, b: int, c: int) -> int:
        g = self._graph
        return g.mux(g.xor(a, b), a, c)

    def _memory(self, name: str, cell: dict[str, Any], index: int) -> None:
        if name not in self._columns:
            self._columns[name] = set()
            for port in ("RD_ADDR", "RD_EN", "WR_ADDR", "WR_DATA", "WR_EN"):
                self._roots += [self.bit(bit) for bit in cell["connections"].get(port, ())]
        self._columns[name].add(index % int(cell["parameters"]["WIDTH"], 2))

    def _table(self, name: str, columns: set[int]) -> Table:
        parameters = self._cells[name]["parameters"]
        depth, width = int(parameters["SIZE"], 2), int(parameters["WIDTH"], 2)
        init = parameters["INIT"][::-1].replace("x", "0")
        return Table(
            depth=depth, columns=tuple(int(init[column::width][:depth][::-1] or "0", 2) for column in sorted(columns))
        )

    # What each kind of cell does; all give the bits of the output that is asked for.

    def _bitwise(self, cell: dict[str, Any], port: str) -> list[int]:
        g = self._graph
        width = len(cell["connections"]["Y"])
        a, b = self._word(cell, "A", width), self._word(cell, "B", width)
        make = {
            "$and": g.and_, "$or": g.or_, "$xor": g.xor, "$xnor": g.xnor,
        }[cell["type"]]  # fmt: skip
        return [make(x, y) for x, y in zip(a, b, strict=True)]

    def _unary(self, cell: dict[str, Any], port: str) -> list[int]:
        flip = 1 if cell["type"] == "$not" else 0
        return [bit ^ flip for bit in self._word(cell, "A", len(cell["connections"]["Y"]))]

    def _reduce(self, cell: dict[str, Any], port: str) -> list[int]:
        g, kind, a = self._graph, cell["type"], self._word(cell, "A")
        if kind == "$reduce_and":
            result = g.all_(a)
        elif kind in ("$reduce_xor", "$reduce_xnor"):
            result = g.parity(a) ^ (kind == "$reduce_xnor")
        elif kind in ("$logic_and", "$logic_or"):
            join = g.and_ if kind == "$logic_and" else g.or_
            result = join(g.any_(a), g.any_(self._word(cell, "B")))
        else:
            result = g.any_(a) ^ (kind == "$logic_not")
        return [result] + [FALSE] * (len(cell["connections"]["Y"]) - 1)

    def _compare(self, cell: dict[str, Any], port: str) -> list[int]:
        g = self._graph
        width = max(len(cell["connections"][side]) for side in "AB")
        pairs = zip(self._word(cell, "A", width), self._word(cell, "B", width), strict=True)
        equal = g.all_(g.xor(x, y) ^ 1 for x, y in pairs)
        return [equal ^ (cell["type"] in ("$ne", "$nex"))] + [FALSE] * (len(cell["connections"]["Y"]) - 1)

    def _mux(self, cell: dict[str, Any], port: str) -> list[int]:
        select = self._word(cell, "S")[0]
        pairs = zip(self._word(cell, "A"), self._word(cell, "B"), strict=True)
        return [self._graph.mux(select, low, high) for low, high in pairs]

    def _pmux(self, cell: dict[str, Any], port: str) -> list[int]:
        g, a, selects, b = self._graph, self._word(cell, "A"), self._word(cell, "S"), self._word(cell, "B")
        none, width = g.any_(selects) ^ 1, len(a)
        return [
            g.any_([g.and_(none, bit), *(g.and_(s, b[n * width + i]) for n, s in enumerate(selects))])
            for i, bit in enumerate(a)
        ]

    def _bmux(self, cell: dict[str, Any], port: str) -> list[int]:
        width, words = len(cell["connections"]["Y"]), self._word(cell, "A")
        rows = [words[i : i + width] for i in range(0, len(words), width)]
        for select in self._word(cell, "S"):
            pairs = zip(rows[::2], rows[1::2], strict=True)
            rows = [[self._graph.mux(select, x, y) for x, y in zip(low, high, strict=True)] for low, high in pairs]
        return rows[0]

    def _demux(self, cell: dict[str, Any], port: str) -> list[int]:
        g, rows = self._graph, [self._word(cell, "A")]
        for select in reversed(self._word(cell, "S")):
            rows = [[g.and_(bit, s) for bit in row] for row in rows for s in (select ^ 1, select)]
        return [bit for row in rows for bit in row]

    def _shift(self, cell: dict[str, Any], port: str) -> list[int]:
        g, width = self._graph, len(cell["connections"]["Y"])
        left = cell["type"] in ("$shl", "$sshl")
        size = max(width, len(cell["connections"]["A"]))
        a, amount = self._word(cell, "A", size), self._word(cell, "B")
        fill = a[-1] if cell["type"] == "$sshr" and int(cell["parameters"]["A_SIGNED"], 2) else FALSE
        for stage, select in enumerate(amount):
            step = min(1 << stage, size)
            moved = [FALSE] * step + a[: size - step] if left else a[step:] + [fill] * step
            a = [g.mux(select, x, y) for x, y in zip(a, moved, strict=True)]
        return a[:width]

    def _short_alu(self, cell: dict[str, Any], port: str) -> list[int]:
        g, width = self._graph, len(cell["connections"]["Y"])
        flip, carry = (self.bit(cell["connections"][side][0]) for side in ("BI", "CI"))
        found: dict[str, list[int]] = {"X": [], "Y": [], "CO": []}
        for x, y in zip(self._word(cell, "A", width), self._word(cell, "B", width), strict=True):
            other = g.xor(y, flip)
            half = g.xor(x, other)
            found["X"].append(half)
            found["Y"].append(g.xor(half, carry))
            carry = self._majority(x, other, carry)
            found["CO"].append(carry)
        return found[port]

    def _full_adder(self, cell: dict[str, Any], port: str) -> list[int]:
        g = self._graph
        triples = zip(*(self._word(cell, side) for side in "ABC"), strict=True)
        if port == "X":
            return [self._majority(a, b, c) for a, b, c in triples]
        return [g.xor(g.xor(a, b), c) for a, b, c in triples]

    def _lut(self, cell: dict[str, Any], port: str) -> list[int]:
        inputs = self._word(cell, "A")
        level = [TRUE if bit == "1" else FALSE for bit in reversed(cell["parameters"]["LUT"])]
        level = level[: 1 << len(inputs)]
        for select in inputs:
            level = [self._graph.mux(select, low, high) for low, high in zip(level[::2], level[1::2], strict=True)]
        return level

    def _other(self, cell: dict[str, Any], port: str) -> list[int]:
        """A kind that is not known: its inputs are needed, and each output bit takes a LUT."""
        g = self._graph
        inputs = [
            self.bit(bit)
            for side, bits in cell["connections"].items()
            if cell["port_directions"][side] == "input"
            for bit in bits
        ]
        self._roots += inputs
        return [g.leaf() for _ in cell["connections"][port]]


_OPERATIONS: dict[str, Callable[[_Reader, dict[str, Any], str], list[int]]] = {
    **dict.fromkeys(("$and", "$or", "$xor", "$xnor"), _Reader._bitwise),
    **dict.fromkeys(("$not", "$pos", "$buf"), _Reader._unary),
    **dict.fromkeys(
        ("$reduce_and", "$reduce_or", "$reduce_bool", "$reduce_xor", "$reduce_xnor", "$logic_not", "$logic_and",
         "$logic_or"),
        _Reader._reduce,
    ),
    **dict.fromkeys(("$eq", "$ne", "$eqx", "$nex"), _Reader._compare),
    **dict.fromkeys(("$shl", "$shr", "$sshl", "$sshr", "$shift", "$shiftx"), _Reader._shift),
    "$mux": _Reader._mux,
    "$pmux": _Reader._pmux,
    "$bmux": _Reader._bmux,
    "$demux": _Reader._demux,
    "$alu": _Reader._short_alu,
    "$fa": _Reader._full_adder,
    "$lut": _Reader._lut,
}  # fmt: skip
