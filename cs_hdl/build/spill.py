"""Which memories become registers where a chip has too few block RAMs for all: those that waste most of one."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from cs_hdl.plan.cost import small_rams

__all__ = ["Memory", "find_memories", "registers_for"]

_MODULE = re.compile(r"^module (\\?\S+?) ?\(", re.MULTILINE)
_MEMORY = re.compile(r"^  reg (?:\[(\d+):0\] )?(\\?\S+) +\[(\d+):0\];", re.MULTILINE)
#: Registers are no bargain beyond so many bits for a block RAM saved.
_MOST_BITS = 800


@dataclass(frozen=True, kw_only=True)
class Memory:
    """A memory of a module that is there ``copies`` times, in blocks of 4 kbit of which each copy takes ``blocks``."""

    module: str
    name: str
    bits: int
    blocks: int
    copies: int

    @property
    def pattern(self) -> str:
        """How Yosys selects it."""
        return f"{self.module.removeprefix(chr(92))}/m:{self.name.removeprefix(chr(92))}"


def find_memories(design: str) -> list[Memory]:
    """All memories of the Verilog text ``design``."""
    starts = [(match.start(), match[1]) for match in _MODULE.finditer(design)]
    instances: Counter[str] = Counter(re.findall(r"^  (\\?\S+) (?:#\([^;]*?\) )?\\?\S+ \($", design, re.MULTILINE))
    found = []
    for (start, module), end in zip(starts, [*(at for at, _ in starts[1:]), len(design)], strict=True):
        for width, name, high in _MEMORY.findall(design[start:end]):
            depth, bits = int(high) + 1, int(width or 0) + 1
            found.append(
                Memory(
                    module=module,
                    name=name,
                    bits=depth * bits,
                    blocks=small_rams(depth, bits),
                    copies=max(1, instances[module]),
                )
            )
    return found


def registers_for(design: str, blocks: int) -> list[str]:
    """Patterns of the memories that free ``blocks`` block RAMs, the smallest first; as many as are worth it."""
    freed, chosen = 0, []
    for memory in sorted(find_memories(design), key=lambda memory: (memory.bits / memory.blocks, memory.pattern)):
        if freed >= blocks or memory.bits / memory.blocks > _MOST_BITS:
            break
        freed += memory.blocks * memory.copies
        chosen.append(memory.pattern)
    return chosen
