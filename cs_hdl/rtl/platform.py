"""Tells components whether they are elaborated to be simulated or to be written as Verilog."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from amaranth.hdl import ClockSignal, Instance, ResetSignal
from amaranth.lib.wiring import Out

__all__ = ["EmitPlatform", "shared_part"]


class EmitPlatform:
    """The platform that ``emit`` elaborates with.

    With it, a component behind the technology seam becomes an instance of a named Verilog module,
    which ``build`` may exchange for a device's own. Without a platform (Amaranth's simulator) it
    is plain logic. What is used more than once, or is quicker to write as text, is collected here.

    Attributes
    ----------
    parts: by name, components that are written as modules of their own, each once (see :func:`shared_part`).
    texts: by name, modules as Verilog text.
    """

    emit = True

    def __init__(self, *, name: str) -> None:
        self._name = name
        self._names: dict[Hashable, str] = {}
        self.parts: dict[str, Any] = {}
        self.texts: dict[str, str] = {}

    def part(self, key: Hashable, make: Callable[[], Any]) -> tuple[str, Any]:
        """The module for all components of this ``key``, made when it is first asked for, and its name, by which
        synthesis keeps it apart."""
        if key not in self._names:
            self._names[key] = f"{self._name}.part_{len(self._names)}"
            self.parts[self._names[key]] = make()
        return self._names[key], self.parts[self._names[key]]


def shared_part(make: Callable[[], Any], *, key: Hashable, platform: Any) -> tuple[Any, Any]:
    """A submodule and its interface: the component that ``make`` gives, for both, or, in Verilog, an instance of one
    module for all components of the same ``key``.

    The key must tell apart components that differ. They have to use both clock and reset.
    """
    if not isinstance(platform, EmitPlatform):
        component = make()
        return component, component
    name, component = platform.part(key, make)
    interface = component.signature.create(path=("part",))
    ports: dict[str, Any] = {}
    for path, member, port in component.signature.flatten(interface):
        direction = "o" if member.flow == Out else "i"
        ports[f"{direction}_{'__'.join(map(str, path))}"] = port
    return Instance(name, i_clk=ClockSignal(), i_rst=ResetSignal(), **ports), interface
