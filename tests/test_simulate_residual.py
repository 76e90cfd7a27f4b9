"""From an ONNX graph with a residual block to the emitted Verilog, against onnxruntime, with pauses on both sides."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx_graphs import inverted_residual, nchw, nhwc, onnxruntime_output
from test_simulate_bench import quick_simulator

from cs_hdl.emit.design import write_design
from cs_hdl.frontend.onnx import read_onnx_model
from cs_hdl.plan.device_limits import DeviceLimits
from cs_hdl.plan.planner import make_plan
from cs_hdl.simulate.simulate import check_result, random_words, simulate

LIMITS = DeviceLimits(name="LFE5U-85F", lut=83640, dsp=156, block_ram=208)


@pytest.mark.slow_proof  # Verilog is compared with the golden model elsewhere, that with onnxruntime too
def test_verilog_equals_onnxruntime(tmp_path: Path) -> None:
    graph, output = inverted_residual(np.random.default_rng(1))
    path = graph.save(tmp_path / "block.onnx", output)
    model = read_onnx_model(path)
    manifest = write_design(make_plan(model.network, limits=LIMITS, cycles=100), tmp_path / "design")
    kinds = [(layer["name"], layer["kind"]) for layer in manifest["layers"]]
    assert kinds[:2] == [("expand", "Conv2d"), ("expand_clip", "Rescale")] and ("add", "Residual") in kinds
    words = random_words(model.network, 4, seed=2)
    result = simulate(tmp_path / "design", words=words, simulator=quick_simulator(), backpressure=True)
    check_result(result)  # values, latency and cycles a word
    real = nchw(words).astype(np.float32) * np.float32(model.input_scale)
    theirs = nhwc(onnxruntime_output(path, real))
    np.testing.assert_array_equal(result.outputs * model.output_scale, theirs)
