"""Lets in no more than a queue can take, so that what lies between never has to stop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amaranth.hdl import Module, Signal

if TYPE_CHECKING:
    from amaranth.hdl import Value

__all__ = ["room_register"]


def room_register(m: Module, *, limit: int, taken: Value, given: Value) -> Signal:
    """A register: whether fewer than ``limit`` are under way, ``taken`` and not yet ``given`` (one a cycle at most).

    A pipeline behind it needs no enable, which would have to reach all of its registers.
    """
    room = Signal(init=1)
    under_way, after = Signal(range(limit + 1)), Signal(range(limit + 1))
    m.d.comb += after.eq(under_way + taken - given)
    m.d.sync += [under_way.eq(after), room.eq(after != limit)]
    return room
