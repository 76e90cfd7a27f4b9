"""Every leaf component of cs_hdl.rtl as it stands in real designs, to be measured alone."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from amaranth.hdl import Module, UnusedElaboratable

from cs_hdl.build.alone import GOAL_MHZ
from cs_hdl.build.slowest import delay_by_kind
from cs_hdl.rtl.accelerator import Accelerator

if TYPE_CHECKING:
    from cs_hdl.build.alone import Routed
    from cs_hdl.plan.plan import Plan

__all__ = ["COMPOSED", "describe_routed", "find_leaves"]

#: What a path begins or ends at, by the port of an ECP5's slice.
_PORTS = {
    "Q": "register",
    "DI": "register",
    "M": "register",
    "CE": "enable of",
    "LSR": "reset of",
    "WD": "LUT RAM",
    "WRE": "write enable of",
}
#: Those that only put others together.
COMPOSED = ("Accelerator", "Chain", "LaneChain", "OwnReset", "ResidualBlock")


def find_leaves(plans: dict[str, Plan]) -> dict[str, Any]:
    """The components of the accelerators of ``plans``, by class and design: ``Lane, conv 5x5``.

    Of equal places in one design (the lanes of a chain, say) the last one counts: its sums are the
    widest. Engines are among them, since their parts stand nowhere alone.
    """
    # What is only looked at here would be told of as forgotten, whenever it is collected.
    warnings.filterwarnings("ignore", category=UnusedElaboratable)
    found: dict[str, Any] = {}
    for design, plan in plans.items():
        for component in _components(Accelerator(plan)):
            name = type(component).__name__
            if name not in COMPOSED:
                found[f"{name}, {design}"] = component
    return dict(sorted(found.items()))


def describe_routed(routed: Routed) -> dict[str, Any]:
    """What the record says of a leaf's routing: ``fmax_mhz``, and below the goal ``slowest_path``.

    That is where the path begins and ends (in words, and the cell), how many LUTs and carries are on it, and the
    nanoseconds by nextpnr's kinds.
    """
    found: dict[str, Any] = {"fmax_mhz": routed.fmax_mhz}
    if routed.fmax_mhz < GOAL_MHZ and routed.path:
        first, last = routed.path[0], routed.path[-1]
        found["slowest_path"] = {
            "from": f"{_kind_of(first.ports[0])} {_short(first.cells[0])}",
            "to": f"{_kind_of(last.ports[1])} {_short(last.cells[1])}",
            "steps": sum(part.kind == "logic" for part in routed.path),
            "ns": {kind: round(ns, 2) for kind, ns in delay_by_kind(routed.path).items()},
        }
    return found


def _kind_of(port: str) -> str:
    """What an ECP5's cell with this ``port`` at the end of a path is, or what the port means to it."""
    if re.fullmatch(r"(AD|D[IO]|CE|OCE|WE|RST|CS)[AB]\d*", port):
        return "block RAM"
    return _PORTS.get(port, f"pin {port} of")


def _short(cell: str) -> str:
    """The signal or memory within the leaf that nextpnr's name of ``cell`` is made of."""
    return re.split(r"_TRELLIS_FF|_LUT4|_PFUMX|_L6MUX|\$", cell.removeprefix("dut.").removeprefix("$"))[0]


def _components(component: Any) -> Iterator[Any]:
    """``component`` and all components of cs_hdl below it."""
    yield component
    module = component.elaborate(None)
    if not isinstance(module, Module):
        return
    # Amaranth has no public way to a module's submodules as they were given.
    for part, _ in (*module._named_submodules.values(), *module._anon_submodules):
        if type(part).__module__.startswith("cs_hdl.rtl."):
            yield from _components(part)
