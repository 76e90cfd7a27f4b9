"""``cs-hdl estimate DIR --front``: throughput against area, over all devices that are known."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table

from cs_hdl.board.catalogue import Board, known_devices
from cs_hdl.commands.console import Steps, human_time, output

if TYPE_CHECKING:
    from cs_hdl.plan.device_limits import DeviceLimits
    from cs_hdl.plan.front import FrontPoint

__all__ = ["front_content", "show_front"]

_RESOURCES = {"lut": "LUT", "dsp": "DSP", "block_ram": "block RAM"}


def front_content(design: Path, board: Board) -> dict[str, Any]:
    """What ``--json`` prints: the front, and what each device can do at the usual clock of ``board``."""
    from cs_hdl.emit.design import check_design
    from cs_hdl.plan.device_limits import fits, needs, usable
    from cs_hdl.plan.front import throughput_front
    from cs_hdl.plan.plan import load_plan

    check_design(design)
    started = time.monotonic()
    with Steps() as step:
        step("planning for all devices")
        plan = load_plan(design)
        devices = known_devices()
        front = throughput_front(plan.network, devices=devices, mode=plan.mode)

    def numbers(point: FrontPoint, limits: DeviceLimits) -> dict[str, Any]:
        words = round(board.clock_mhz * 1e6 / point.cycles, 1)
        takes = dict(zip(_RESOURCES, needs(point.cost, limits).values(), strict=True))
        return {"cycles_per_word": point.cycles, "words_per_second": words, **takes}

    return {
        "design": str(design),
        "clock_mhz": board.clock_mhz,
        "front": [
            {
                **numbers(point, board.limits),
                "smallest_device": next((limits.name for limits in devices if fits(point.cost, limits)), None),
            }
            for point in front.points
        ],
        "devices": [
            {
                "device": limits.name,
                "usable": dict(zip(_RESOURCES, usable(limits).values(), strict=True)),
                "fastest": None if point is None else numbers(point, limits),
            }
            for limits, point in zip(devices, front.fastest, strict=True)
        ],
        "seconds": round(time.monotonic() - started, 2),
    }


def show_front(content: Mapping[str, Any]) -> None:
    """Both as tables."""
    console = output()
    front = _table("cycles a word", "words/s", *_RESOURCES.values(), "smallest device")
    for point in content["front"]:
        front.add_row(*_cells(point), point["smallest_device"] or "none that is known")
    console.print(front)
    table = _table("device", "cycles a word", "words/s", *_RESOURCES.values())
    for names, device in _same(content["devices"]):
        fastest = device["fastest"]
        shares = [] if fastest is None else [_share(fastest[key], device["usable"][key]) for key in _RESOURCES]
        table.add_row(names, *(("too small", "") if fastest is None else _cells(fastest)[:2]), *shares)
    console.print(table)
    console.print(
        f"At {content['clock_mhz']:g} MHz, as the planner expects it, in {human_time(content['seconds'])}; "
        "the shares are of what may be planned for.",
        highlight=False,
    )


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for column in columns:
        table.add_column(column, justify="left" if "device" in column else "right", no_wrap="device" not in column)
    return table


def _cells(point: Mapping[str, Any]) -> list[str]:
    return [f"{point[key]:,}" if key != "words_per_second" else f"{point[key]:,.0f}" for key in (
        "cycles_per_word", "words_per_second", *_RESOURCES,
    )]  # fmt: skip


def _share(need: int, there: int) -> str:
    return f"{need:,} ({need / there:.0%})" if there else f"{need:,}"


def _same(devices: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    """Devices that have the same, in one row."""
    rows: dict[str, tuple[list[str], dict[str, Any]]] = {}
    for device in devices:
        names, _ = rows.setdefault(str(device["usable"]), ([], device))
        names.append(device["device"])
    return [(", ".join(names), device) for names, device in rows.values()]
