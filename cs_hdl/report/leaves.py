"""Every leaf component of cs_hdl.rtl as it stands in real designs, to be measured alone."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from amaranth.hdl import Module, UnusedElaboratable

from cs_hdl.rtl.accelerator import Accelerator

if TYPE_CHECKING:
    from cs_hdl.plan.plan import Plan

__all__ = ["COMPOSED", "find_leaves"]

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
