"""A small accelerator with the real one's ports, for tests of what only sees Verilog and a manifest."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from amaranth.hdl import ClockDomain, ClockSignal, Module, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from cs_hdl.emit.manifest import make_manifest
from cs_hdl.emit.verilog import emit_verilog
from cs_hdl.network import Conv2d, Network, Requantise, Tensor, save_network


class Negative(wiring.Component):
    """255 - x of each byte, through one register; after a word it rests for ``rest`` cycles."""

    def __init__(self, *, lanes: int, beats: int, rest: int, flaw: str = "") -> None:
        self._lanes, self._beats, self._rest, self._flaw = lanes, beats, rest, flaw
        super().__init__(
            {
                "aclk": In(1),
                "aresetn": In(1),
                "s_axis_tdata": In(8 * lanes),
                "s_axis_tvalid": In(1),
                "s_axis_tready": Out(1),
                "s_axis_tlast": In(1),
                "m_axis_tdata": Out(8 * lanes),
                "m_axis_tvalid": Out(1),
                "m_axis_tready": In(1),
                "m_axis_tlast": Out(1),
                "m_axis_tuser": Out(1),
                "error_count": Out(16),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.domains.sync = ClockDomain(local=True)
        m.d.comb += [ClockSignal().eq(self.aclk), ResetSignal().eq(~self.aresetn)]
        resting = Signal(range(self._rest + 1))
        beat = Signal(range(self._beats))
        valid = Signal()
        m.d.comb += self.s_axis_tready.eq((resting == 0) & (self.m_axis_tready | ~valid))
        with m.If(resting != 0):
            m.d.sync += resting.eq(resting - 1)
        m.d.comb += self.m_axis_tvalid.eq(valid & (self.m_axis_tready | (self._flaw != "shy")))
        with m.If(self.m_axis_tready):
            m.d.sync += valid.eq(self._flaw == "endless")
        if self._flaw == "restless":  # an unused bit would not show; tuser is 0 again when the beat is taken
            m.d.comb += self.m_axis_tuser.eq(valid & ~self.m_axis_tready)
        with m.If(self.s_axis_tvalid & self.s_axis_tready):
            m.d.sync += [
                valid.eq(1),
                self.m_axis_tlast.eq(self.s_axis_tlast ^ (self._flaw == "tlast")),
                *([] if self._flaw == "restless" else [self.m_axis_tuser.eq(self._flaw == "tuser")]),
                beat.eq(beat + 1),
            ]
            for lane in range(self._lanes):
                m.d.sync += self.m_axis_tdata[8 * lane : 8 * lane + 8].eq(~self.s_axis_tdata[8 * lane : 8 * lane + 8])
            with m.If(self.s_axis_tlast):
                m.d.sync += [beat.eq(0), resting.eq(self._rest)]
        return m


def negative_network(shape: tuple[int, int, int]) -> Network:
    """What :class:`Negative` computes, as a network: a 1x1 convolution by -1 with a bias of 255."""
    channels = shape[2]
    layer = Conv2d(
        name="negative",
        weights=-np.eye(channels, dtype=np.int8).reshape(channels, channels, 1, 1),
        bias=np.full(channels, 255, dtype=np.int32),
        requantise=Requantise(multiplier=np.array([1]), shift=np.array([0])),
    )
    return Network(name="negative", input=Tensor(shape, "uint8"), layers=(layer,))


def write_negative(
    folder: Path,
    *,
    shape: tuple[int, int, int] = (2, 3, 2),
    lanes: int = 2,
    rest: int = 5,
    flaw: str = "",
    **stated: int,
) -> Network:
    """A design directory of :class:`Negative`; ``stated`` overrides the manifest's cycles."""
    network = negative_network(shape)
    beats = network.input.size // lanes
    folder.mkdir(parents=True, exist_ok=True)
    component = Negative(lanes=lanes, beats=beats, rest=rest, flaw=flaw)
    (folder / "design.v").write_text(emit_verilog(component, name="cs_accelerator"))
    save_network(network, folder / "network.npz")
    plan: Any = SimpleNamespace(
        network=network,
        input_lanes=lanes,
        output_lanes=lanes,
        latency_cycles=stated.get("latency_cycles", beats),
        cycles_per_word=stated.get("cycles_per_word", beats + rest),
        layers=(),
    )
    digests = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in ("design.v", "network.npz")}
    manifest = make_manifest(plan, name="cs_accelerator", source="stand-in", sources=digests)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return network
