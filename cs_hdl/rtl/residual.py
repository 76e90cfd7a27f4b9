"""A residual block: a stream through two branches, and the scaled sum of what they give."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from cs_hdl.rtl.fork import Fork, Join
from cs_hdl.rtl.primitives.queue import Queue

if TYPE_CHECKING:
    from cs_hdl.rtl.scaled_sum import ScaledSum

__all__ = ["ResidualBlock"]


class ResidualBlock(wiring.Component):
    """``sum`` of what ``body`` and ``shortcut`` make of the same beats.

    A queue stands behind each branch, so that one may be ahead of the other by as many beats as ``depths`` says
    (body, shortcut): see :func:`cs_hdl.plan.intake.queue_depth`, which is why nothing can block for ever.

    Parameters
    ----------
    layout: of ``i``. body, shortcut: components with streams ``i`` and ``o``; None for the stream itself.
    depths: beats in the two queues. sum: what adds.

    Members: ``i``, ``o``. Latency: that of the slower branch, 2 for its queue, and that of the sum.
    """

    def __init__(self, *, layout: Any, body: Any, shortcut: Any, depths: tuple[int, int], sum: ScaledSum) -> None:
        self._branches, self._depths, self._sum, self._layout = (body, shortcut), depths, sum, layout
        super().__init__({"i": In(stream.Signature(layout)), "o": Out(sum.o.signature)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.fork = fork = Fork(self._layout)
        connect(m, flipped(self.i), fork.i)
        ends = []
        for name, branch, start, depth in zip(
            ("body", "shortcut"), self._branches, (fork.first, fork.second), self._depths, strict=True
        ):
            if branch is not None:
                m.submodules[name] = branch
                connect(m, start, branch.i)
                start = branch.o
            m.submodules[f"{name}_queue"] = queue = Queue(layout=start.payload.shape(), depth=depth)
            connect(m, start, queue.i)
            ends.append(queue.o)
        m.submodules.joiner = join = Join(first=ends[0].payload.shape(), second=ends[1].payload.shape())
        m.submodules.sum = self._sum
        connect(m, ends[0], join.first)
        connect(m, ends[1], join.second)
        connect(m, join.o, self._sum.i)
        connect(m, self._sum.o, flipped(self.o))
        return m
