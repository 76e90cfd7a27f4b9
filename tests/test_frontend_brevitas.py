"""Models that brevitas trained and exported (QCDQ, standard operators), against onnxruntime."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import numpy as np
import pytest
from onnx_graphs import onnxruntime_output

torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra: torch)")
pytest.importorskip("brevitas", reason="brevitas is not installed (extra: brevitas)")
pytest.importorskip("onnxoptimizer", reason="onnxoptimizer is not installed (extra: brevitas)")

from torch import nn  # noqa: E402

from cs_hdl.frontend.onnx import read_onnx_model  # noqa: E402
from cs_hdl.golden.dense import run_dense  # noqa: E402


def exported(path: Path, *, fixed_point: bool, activation_bits: int = 8, weight_bits: int = 8) -> Path:
    """A small network, calibrated on random data: powers of two for all scales, or any."""
    import brevitas.nn as qnn
    import brevitas.quant as quant
    from brevitas.export import export_onnx_qcdq

    weight = quant.Int8WeightPerTensorFixedPoint if fixed_point else quant.Int8WeightPerTensorFloat
    activation = quant.Uint8ActPerTensorFixedPoint if fixed_point else quant.Uint8ActPerTensorFloat
    common = {"weight_quant": weight, "weight_bit_width": weight_bits, "bias_quant": quant.Int32Bias, "bias": True}
    torch.manual_seed(3)
    model = nn.Sequential(
        qnn.QuantIdentity(act_quant=activation, return_quant_tensor=True),
        qnn.QuantConv2d(1, 6, 3, padding=1, **common),
        qnn.QuantReLU(act_quant=activation, bit_width=activation_bits, return_quant_tensor=True),
        nn.MaxPool2d(2),
        qnn.QuantConv2d(6, 6, 3, groups=3, **common),
        qnn.QuantReLU(act_quant=activation, bit_width=activation_bits, return_quant_tensor=True),
        nn.Flatten(),
        qnn.QuantLinear(6 * 4, 10, **common),
    )
    model.train()
    for _ in range(10):
        model(torch.rand(32, 1, 8, 8))
    logging.disable(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        export_onnx_qcdq(
            model.eval(), torch.rand(1, 1, 8, 8), export_path=str(path), opset_version=17, dynamo=False,
        )  # fmt: skip
    logging.disable(logging.NOTSET)
    return path


def compare(path: Path, count: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Our outputs and onnxruntime's, as real numbers, and the scale of ours."""
    model = read_onnx_model(path)
    words = np.random.default_rng(5).integers(0, 256, (count, 8, 8, 1)).astype(np.uint8)
    ours = run_dense(model.network, words).reshape(count, -1) * model.output_scale
    images = words.transpose(0, 3, 1, 2).astype(np.float32) * np.float32(model.input_scale)
    theirs = np.concatenate([onnxruntime_output(path, image[None]) for image in images])
    return ours, theirs, model.output_scale


@pytest.mark.parametrize(("activation_bits", "weight_bits"), [(8, 8), (4, 4)])
def test_fixed_point_models_are_equal_in_every_bit(tmp_path: Path, activation_bits: int, weight_bits: int) -> None:
    path = exported(tmp_path / "m.onnx", fixed_point=True, activation_bits=activation_bits, weight_bits=weight_bits)
    ours, theirs, _ = compare(path)
    assert np.array_equal(ours, theirs)
    assert np.unique(theirs).size > 10
    largest = max(int(np.abs(layer.weights).max()) for layer, _ in read_onnx_model(path).network.weighted)
    assert largest <= 2 ** (weight_bits - 1) - 1


def test_other_scales_are_nearly_equal_nearly_always(tmp_path: Path) -> None:
    """The last layer gives accumulators: one step of a single activation moves them by a weight at most."""
    ours, theirs, scale = compare(exported(tmp_path / "m.onnx", fixed_point=False))
    steps = np.abs(ours - theirs) / scale
    # float32 rounds the sums of the runtime; 0.01 of a step of the accumulators is far below any weight.
    moved = steps > 0.5
    assert moved.mean() < 0.05 and steps.max() <= 2 * 127
