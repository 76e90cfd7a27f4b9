"""The examples of instantiation: in plain Verilog and in LiteX, simulated with Icarus."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cs_hdl.board.catalogue import device_limits
from cs_hdl.emit.design import write_design
from cs_hdl.frontend.kernel import LinearOptions, make_linear
from cs_hdl.frontend.onnx import read_onnx
from cs_hdl.golden.dense import run_dense
from cs_hdl.models import find_model
from cs_hdl.plan.planner import make_plan
from cs_hdl.simulate.beats import pack_beats

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
LIMITS = device_limits("LFE5U-85F")

pytestmark = pytest.mark.skipif(shutil.which("iverilog") is None, reason="iverilog is missing")


def simulate(folder: Path, bench: str, *sources: Path) -> str:
    """What the bench prints."""
    (folder / "bench.v").write_text(bench)
    names = [str(source) for source in (*sources, folder / "bench.v")]
    subprocess.run(["iverilog", "-g2001", "-o", "bench", *names], cwd=folder, check=True, capture_output=True)
    return subprocess.run(["vvp", "bench"], cwd=folder, check=True, capture_output=True, text=True).stdout


VERILOG_BENCH = """\
module bench;
  reg clk = 0, reset = 1;
  always #1 clk = !clk;
  wire [3:0] class_index;
  wire class_valid;
  wire [15:0] errors;
  digit_recogniser dut (
    .clk(clk), .reset(reset), .class_index(class_index), .class_valid(class_valid), .errors(errors)
  );
  initial begin
    #20 reset = 0;
    #40000 $display("timeout");
    $finish;
  end
  integer seen = 0;
  always @(posedge clk) if (class_valid) begin
    $display("class %0d errors %0d", class_index, errors);
    seen = seen + 1;
    if (seen == 3) $finish;
  end
endmodule
"""


def test_the_verilog_example_recognises_a_digit(tmp_path):
    network = read_onnx(find_model("digits-tiny").path)
    manifest = write_design(make_plan(network, limits=LIMITS, cycles=400), tmp_path / "design")
    # What the example's parameters say.
    assert (manifest["input"]["values_per_beat"], manifest["input"]["beats"]) == (1, 64)
    assert (manifest["output"]["dtype"], manifest["output"]["values_per_beat"]) == ("int24", 1)
    image = np.random.default_rng(5).integers(0, 17, (1, 8, 8, 1)).astype(np.uint8)
    (tmp_path / "image.hex").write_text("\n".join(f"{value:02x}" for value in image.flat) + "\n")
    wanted = int(run_dense(network, image).argmax())
    text = simulate(tmp_path, VERILOG_BENCH, tmp_path / "design" / "design.v", EXAMPLES / "verilog" / "instance.v")
    assert text.splitlines() == [f"class {wanted} errors 0"] * 3


LITEX = """\
import sys
sys.path.insert(0, sys.argv[1])
from accelerator import standalone
from migen.fhdl.verilog import convert
module, pins = standalone(sys.argv[2])
convert(module, ios=pins, name="litex_top").write("litex_top.v")
"""
LITEX_BENCH = """\
module bench;
  reg clk = 0, reset = 1;
  always #1 clk = !clk;
  reg [SENT*IN_BITS-1:0] words = WORDS;
  integer sent = 0, got = 0;
  wire ready, valid, last, fault;
  wire [OUT_BITS-1:0] data;
  litex_top dut (
    .sys_clk(clk), .sys_rst(reset), .sink_valid(!reset && sent < SENT), .sink_ready(ready),
    .sink_first(1'b0), .sink_last(sent % BEATS == BEATS - 1), .sink_payload_data(words[sent*IN_BITS +: IN_BITS]),
    .source_valid(valid), .source_ready(1'b1), .source_last(last), .source_payload_data(data),
    .source_payload_fault(fault)
  );
  initial begin
    #20 reset = 0;
    #20000 $finish;
  end
  always @(posedge clk) if (!reset) begin
    if (sent < SENT && ready) sent <= sent + 1;
    if (valid) $display("%h %b %b", data, last, fault);
  end
endmodule
"""


def test_the_litex_example_gives_what_the_golden_model_gives(tmp_path):
    pytest.importorskip("litex", reason="LiteX is missing")
    network = make_linear(LinearOptions(in_features=12, out_features=5, weight_sparsity=0.75, active_inputs=4, seed=7))
    manifest = write_design(make_plan(network, limits=LIMITS), tmp_path / "design")
    source, sink = manifest["input"], manifest["output"]
    script = [sys.executable, "-c", LITEX, str(EXAMPLES / "litex"), str(tmp_path / "design")]
    subprocess.run(script, cwd=tmp_path, check=True, capture_output=True)
    words = np.random.default_rng(5).integers(0, 256, (3, 1, 1, 12)).astype(np.uint8)
    per_beat, beats = source["values_per_beat"], source["beats"]
    padded = np.zeros((3, beats * per_beat), dtype=np.uint8)
    padded[:, :12] = words.reshape(3, 12)
    sizes = {"SENT": 3 * beats, "BEATS": beats, "IN_BITS": 8 * per_beat, "OUT_BITS": 24 * sink["values_per_beat"]}
    total = 8 * padded.size
    bench = LITEX_BENCH.replace("WORDS", f"{total}'h{int.from_bytes(padded.tobytes(), 'little'):x}")
    for name, value in sizes.items():
        bench = bench.replace(name, str(value))
    text = simulate(tmp_path, bench, tmp_path / "design" / "design.v", tmp_path / "litex_top.v")
    lines = [line.split() for line in text.splitlines()]
    assert [line[1] for line in lines] == (["0"] * (sink["beats"] - 1) + ["1"]) * 3
    assert {line[2] for line in lines} == {"0"}
    got = [int(line[0], 16) for line in lines]
    beats = pack_beats(
        run_dense(network, words), dtype=sink["dtype"], values_per_beat=sink["values_per_beat"], beats=sink["beats"]
    )
    assert got == [int.from_bytes(beat.tobytes(), "little") for word in beats for beat in word]
