"""Tells components whether they are elaborated to be simulated or to be written as Verilog."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import ClockSignal, Instance, ResetSignal, UnusedElaboratable
from amaranth.lib.wiring import Out

__all__ = ["EmitPlatform", "Separate", "separate_module", "shared_part"]


@dataclass(frozen=True, kw_only=True)
class Separate:
    """A module that is elaborated on its own, maybe in another process.

    ``make`` gives the component and can be pickled; ``weight`` is what it takes, in no unit.
    """

    make: Callable[[], Any]
    weight: int


class EmitPlatform:
    """The platform that ``emit`` elaborates with.

    With it, a component behind the technology seam becomes an instance of a named Verilog module,
    which ``build`` may exchange for a device's own. Without a platform (Amaranth's simulator) it
    is plain logic. What is used more than once, or is quicker to write as text, is collected here.

    Attributes
    ----------
    parts: by name, components that are written as modules of their own, each once (see :func:`shared_part`).
    separate: by name, modules that need nothing of the others (see :func:`separate_module`).
    texts: by name, modules as Verilog text.
    """

    emit = True

    def __init__(self, *, name: str) -> None:
        self._name = name
        self._names: dict[Hashable, str] = {}
        self.parts: dict[str, Any] = {}
        self.separate: dict[str, Separate] = {}
        self.texts: dict[str, str] = {}

    def add_separate(self, name: str, module: Separate) -> str:
        """The name of the Verilog module that ``module`` becomes."""
        full = f"{self._name}.{name}"
        self.separate[full] = module
        return full

    def part(self, key: Hashable, make: Callable[[], Any]) -> tuple[str, Any]:
        """The module for all components of this ``key``, made when it is first asked for, and its name, by which
        synthesis keeps it apart."""
        if key not in self._names:
            self._names[key] = f"{self._name}.shared.part_{len(self._names)}"
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
    return _instance(name, component, {"clk": ClockSignal(), "rst": ResetSignal()})


def separate_module(module: Separate, *, name: str, domain: str, platform: Any) -> tuple[Any, Any]:
    """The same for a component whose registers are in ``domain``: in Verilog a module of its own, called after the
    design and ``name``, which is elaborated apart from all others."""
    component = module.make()
    if not isinstance(platform, EmitPlatform):
        return component, component
    # This one only says what its ports are: the one that is elaborated may be made in another process.
    warnings.filterwarnings("ignore", category=UnusedElaboratable)
    full = platform.add_separate(name, module)
    return _instance(full, component, {f"{domain}_clk": ClockSignal(domain), f"{domain}_rst": ResetSignal(domain)})


def _instance(name: str, component: Any, clocks: dict[str, Any]) -> tuple[Instance, Any]:
    interface = component.signature.create(path=("part",))
    ports: dict[str, Any] = {f"i_{clock}": signal for clock, signal in clocks.items()}
    for path, member, port in component.signature.flatten(interface):
        direction = "o" if member.flow == Out else "i"
        ports[f"{direction}_{'__'.join(map(str, path))}"] = port
    return Instance(name, **ports), interface
