"""The accelerator as a LiteX module: two stream endpoints, and the count of faulty inputs as a CSR.

In a SoC::

    from accelerator import Accelerator
    self.recogniser = Accelerator(self.platform, "digits")   # the folder of `cs-hdl generate`
    self.comb += [dma_reader.source.connect(self.recogniser.sink), self.recogniser.source.connect(dma_writer.sink)]

``sink`` and ``source`` carry beats of the widths that ``manifest.json`` states, ``last`` on the last beat of a word;
``source.fault`` marks the result of an input that was too short or too long.
"""

import json
from pathlib import Path

from litex.gen import LiteXModule
from litex.soc.interconnect import stream
from litex.soc.interconnect.csr import CSRStatus
from migen import ClockSignal, Instance, ResetSignal, Signal

BYTES = {"uint8": 1, "int8": 1, "uint16": 2, "int16": 2, "int24": 3, "int32": 4}


def beat_bits(port: dict) -> int:
    """Bits of tdata of a manifest's port."""
    return 8 * BYTES[port["dtype"]] * port["values_per_beat"]


class Accelerator(LiteXModule):
    """``design.v`` of the folder ``design``; ``platform`` (or None) gets the file as a source."""

    def __init__(self, platform, design):
        folder = Path(design)
        manifest = json.loads((folder / "manifest.json").read_text())
        self.sink = sink = stream.Endpoint([("data", beat_bits(manifest["input"]))])
        self.source = source = stream.Endpoint([("data", beat_bits(manifest["output"])), ("fault", 1)])
        self.error_count = CSRStatus(16, description="Words whose length was wrong.")
        self.specials += Instance(
            manifest["top"],
            i_aclk=ClockSignal("sys"),
            i_aresetn=~ResetSignal("sys"),
            i_s_axis_tdata=sink.data,
            i_s_axis_tvalid=sink.valid,
            o_s_axis_tready=sink.ready,
            i_s_axis_tlast=sink.last,
            o_m_axis_tdata=source.data,
            o_m_axis_tvalid=source.valid,
            i_m_axis_tready=source.ready,
            o_m_axis_tlast=source.last,
            o_m_axis_tuser=source.fault,
            o_error_count=self.error_count.status,
        )
        if platform is not None:
            platform.add_source(str(folder / "design.v"))


def standalone(design):
    """The module alone with its streams as pins: ``(module, pins)`` for migen.fhdl.verilog.convert."""
    module = Accelerator(None, design)
    pins = {signal for endpoint in (module.sink, module.source) for signal in endpoint.flatten() if len(signal)}
    count = Signal(16, name="error_count")
    module.comb += count.eq(module.error_count.status)
    return module, pins | {count}
