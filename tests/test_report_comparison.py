"""What a design is compared with: ideal dense designs, and onnxruntime on this machine's processor."""

from __future__ import annotations

import numpy as np
import pytest

from cs_hdl.frontend.onnx import read_onnx
from cs_hdl.models import find_model
from cs_hdl.report.comparison import LUTS_PER_MULTIPLIER, accuracy, compare_with_dense, device_bounds
from cs_hdl.report.cpu import measure_onnxruntime, random_images

MANIFEST = {
    "cycles_per_word": 50,
    "layers": [
        {"macs_dense": 9000, "macs_sparse": 300, "multipliers": 6, "constant_multipliers": 0},
        {"macs_dense": 1000, "macs_sparse": 100, "multipliers": 0, "constant_multipliers": 14},
    ],
}


def test_the_bound_on_as_many_multipliers():
    found = compare_with_dense(MANIFEST, clock_mhz=100.0)
    assert found.words_per_second == 2e6  # 100 MHz in 50 cycles
    assert found.dense_bound == pytest.approx(6e8 / 10_000) and found.speedup == pytest.approx(2e6 / 6e4)
    assert found.speedup_with_constants == pytest.approx(2e6 / 2e5)


def test_the_bounds_on_a_whole_device():
    bounds = device_bounds(MANIFEST, dsp=10, lut=10 * LUTS_PER_MULTIPLIER + 5, clock_mhz=100.0)
    assert bounds["dsp"] == {"multipliers": 10, "cycles_per_word": 1000.0, "words_per_second": 1e5}
    assert bounds["dsp_and_lut"] == {"multipliers": 20, "cycles_per_word": 500.0, "words_per_second": 2e5}


def test_accuracy_takes_the_first_of_equal_outputs():
    outputs = np.array([[1, 3, 3], [5, 2, 1], [0, 0, 0]])
    assert accuracy(outputs, np.array([1, 1, 0])) == pytest.approx(2 / 3)
    assert accuracy(np.array([[[[1]]], [[[2]]]]), np.array([1, 0])) == 0.5


def test_onnxruntime_is_measured_on_a_shipped_model():
    path = find_model("digits").path
    images = random_images(read_onnx(path), count=5)
    assert images.shape == (5, 1, 8, 8) and images.dtype == np.float32
    found = measure_onnxruntime(path, images, seconds=0.2)
    assert set(found["words_per_second_by_batch"]) == {"1", "64"} and found["processor"] and found["cores"] >= 1
    assert all(rate > 0 for rate in found["words_per_second_by_batch"].values())
