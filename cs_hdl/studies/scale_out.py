"""Several instances on a chip, and stages on several boards, from one instance that was placed and routed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cs_hdl.board.catalogue import device_limits
from cs_hdl.host.values import bytes_of
from cs_hdl.plan.device_limits import usable

if TYPE_CHECKING:
    from cs_hdl.network import Network, Tensor

__all__ = ["LINKS", "scale_out"]

#: Payload bytes a second of links between boards or to a host, at best.
LINKS = {
    "serial port, 3 Mbaud": 3e6 / 10,
    "Fast Ethernet": 12.5e6,
    "USB 2.0": 40e6,
    "Gigabit Ethernet": 118e6,
    "5 Gbit/s SerDes, one lane": 500e6,
    "10 Gbit/s Ethernet": 1.18e9,
    "PCI Express 3.0 x16": 12e9,
}
_DEVICES = ("LFE5U-85F", "XCZU9EG", "XCKU5P", "XCU250", "XCVU19P")


def scale_out(record: Mapping[str, Any], network: Network, *, ultrascale_plus: Mapping[str, int]) -> dict[str, Any]:
    """``record`` is that of ``scripts/evidence``: the network's design on one board, simulated, placed and routed.

    ``ultrascale_plus``: the cells that the same design takes there, see :mod:`cs_hdl.studies.ultrascale`.
    """
    report = record["report"]
    rate = float(report["words_per_second"])
    used = {"LUT": report["lut"], "DSP": report["dsp"], "block RAM": report["block_ram"]}
    into, out = _bytes(network.input), _bytes(network.output)
    instances = []
    for name in _DEVICES:
        there = usable(device_limits(name))
        needs = ultrascale_plus if name.startswith("XC") else used
        counts = {kind: there[kind] // needs[kind] for kind in used}
        own = name == report["device"]
        # One is there already, at a higher share than plans allow.
        count = max(min(counts.values()), 1 if own else 0)
        binds = [kind for kind, most in counts.items() if most <= min(counts.values())]
        entry = {"device": name, "instances": count, "binds": binds, "words_per_second": round(count * rate, 1)}
        entry |= {"bytes_per_second": round(count * rate * (into + out)), "routed": own}
        entry["links"] = {link: round(min(count * rate, speed / max(into, out)), 1) for link, speed in LINKS.items()}
        instances.append(entry)
    return {
        "board": report["board"], "clock_mhz": report["clock_mhz"], "words_per_second": rate, "used": used,
        "ultrascale_plus": dict(ultrascale_plus),
        "bytes_in": into, "bytes_out": out, "instances": instances, "cuts": list(_cuts(network, rate)),
    }  # fmt: skip


def _cuts(network: Network, rate: float) -> Any:
    """For each place between two layers: bytes a word on the link, dense and as the pairs of a k-WTA."""
    for layer, tensor in zip(network.layers, network.tensors[1:], strict=True):
        dense = _bytes(tensor)
        pairs = None
        if tensor.winners is not None:
            bits = 8 + math.ceil(math.log2(tensor.shape[2]))
            pairs = math.ceil(tensor.shape[0] * tensor.shape[1] * tensor.winners * bits / 8)
        least = min(dense, pairs or dense)
        yield {
            "after": layer.name, "bytes_dense": dense, "bytes_pairs": pairs,
            "bytes_per_second": round(least * rate),
            "links": [link for link, speed in LINKS.items() if speed >= least * rate],
        }  # fmt: skip


def _bytes(tensor: Tensor) -> int:
    """On a link, every channel sent."""
    return tensor.size * bytes_of(tensor.dtype)
