"""Which of the possible faults are planted: as many of each operator as there are, spread over the modules."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

__all__ = ["choose"]


class _Possible(Protocol):
    @property
    def operator(self) -> str: ...

    @property
    def place(self) -> str: ...


T = TypeVar("T", bound=_Possible)


def choose(possible: Mapping[str, Sequence[T]], count: int, seed: int) -> dict[str, list[T]]:
    """``count`` of the ``possible`` faults of each design (all of them where there are fewer).

    Operators and designs take turns; within them the module with the fewest faults so far comes
    first. The same arguments give the same faults, and a larger ``count`` gives these and more.
    """
    queues: dict[tuple[str, str], list[T]] = defaultdict(list)
    for design, faults in possible.items():
        for fault in faults:
            queues[fault.operator, design].append(fault)
    for (operator, design), queue in queues.items():
        random.Random(f"{seed} {operator} {design}").shuffle(queue)
    chosen: dict[str, list[T]] = {design: [] for design in possible}
    used: Counter[tuple[str, str]] = Counter()
    left = count
    while left and any(queues.values()):
        for operator, design in sorted(queues):
            queue = queues[operator, design]
            if not queue or not left:
                continue
            best = min(range(len(queue)), key=lambda i: (used[design, queue[i].place], i))
            fault = queue.pop(best)
            used[design, fault.place] += 1
            chosen[design].append(fault)
            left -= 1
    return chosen
