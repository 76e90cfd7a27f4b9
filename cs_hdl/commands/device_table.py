"""A network that a device cannot hold: the table of what each layer needs beside what there is."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table

from cs_hdl.errors import InputError
from cs_hdl.network import Network

if TYPE_CHECKING:
    from cs_hdl.plan.device_limits import DeviceLimits

__all__ = ["DeviceError", "needs_table", "refused_plan"]

#: More cycles than any folding takes, and more of everything than any device has.
_ANY_CYCLES, _ANY_AMOUNT = 10**12, 10**15


class DeviceError(InputError):
    """The device cannot hold the network; ``details`` has what each layer of its smallest folding needs."""

    def __init__(self, message: str, details: dict[str, Any]) -> None:
        super().__init__(message)
        self.details = details


def refused_plan(error: InputError, network: Network, limits: DeviceLimits, *, cycles: int | None) -> InputError:
    """``error`` of make_plan with the layers' needs, where it is the device that is too small; else as it is."""
    from cs_hdl.plan.device_limits import usable

    most = _ANY_CYCLES if cycles is None else cycles
    needs = _needs(network, most, limits)
    if needs is None:
        return error
    before, rows = dict.fromkeys(needs, 0), []
    for count, layer in enumerate(network.layers, start=1):
        so_far = _needs(Network(name=network.name, input=network.input, layers=network.layers[:count]), most, limits)
        if so_far is None:  # this beginning has no plan of its own: its layer counts with the next one
            continue
        rows.append({"layer": layer.name, **{kind: max(0, so_far[kind] - before[kind]) for kind in needs}})
        before = so_far
    details = {"device": limits.name, "layers": rows, "needed": needs, "usable": usable(limits)}
    return DeviceError(str(error), details)


def _needs(network: Network, cycles: int, device: DeviceLimits) -> dict[str, int] | None:
    """What the cheapest plan of at most ``cycles`` needs of ``device``, however much; None where there is no plan."""
    from cs_hdl.plan.device_limits import needs
    from cs_hdl.plan.planner import explain, make_plan

    limits = dataclasses.replace(device, name="any", lut=_ANY_AMOUNT, dsp=_ANY_AMOUNT, block_ram=_ANY_AMOUNT)
    try:
        return needs(explain(make_plan(network, limits=limits, cycles=cycles)).cost, device)
    except InputError:
        return None


def needs_table(details: dict[str, Any]) -> Table:
    """The table of a :class:`DeviceError`: layers, their sum, and what of the device may be planned for."""
    kinds = list(details["usable"])
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("layer", no_wrap=True)
    for kind in kinds:
        table.add_column(f"{kind} needed", justify="right")
    for row in details["layers"]:
        table.add_row(row["layer"], *(f"{row[kind]:,}" for kind in kinds))
    table.add_section()
    needed, usable = details["needed"], details["usable"]
    table.add_row("all", *(_marked(needed[kind], usable[kind]) for kind in kinds))
    table.add_row(f"{details['device']}, usable", *(f"{usable[kind]:,}" for kind in kinds))
    return table


def _marked(need: int, there: int) -> str:
    return f"[red]{need:,}[/]" if need > there else f"{need:,}"
