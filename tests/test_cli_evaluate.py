"""cs-hdl evaluate: accuracies that other code computes too, qualities by hand, wrong input in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnx_graphs import onnxruntime_output

from cs_hdl.cli import run
from cs_hdl.datasets.digits import load_digits_split
from cs_hdl.frontend.onnx import read_onnx_model
from cs_hdl.models import find_model
from cs_hdl.network import Linear, Network, Requantise, Tensor
from cs_hdl.report.quality import run_both

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra: test)")
pytest.importorskip("sklearn", reason="scikit-learn, which carries the digits, is not installed")


def evaluated(*arguments: str, capfd: Any) -> dict[str, Any]:
    assert run(["evaluate", *arguments, "--json"]) == 0
    content: dict[str, Any] = json.loads(capfd.readouterr().out)
    return content


def float_graph(path: Path, out: Path) -> Path:
    """The model without its quantisers of activations: a ReLU stands where one to uint8 stood."""
    model = onnx.load(path)
    constants = {c.name: numpy_helper.to_array(c) for c in model.graph.initializer}
    codes = {}
    for node in list(model.graph.node):
        if node.op_type == "QuantizeLinear":
            codes[node.output[0]] = node.input[0]
            assert constants[node.input[2]].dtype == np.uint8
        if node.op_type == "DequantizeLinear" and node.input[0] in codes:
            relu = onnx.helper.make_node("Relu", [codes[node.input[0]]], [node.output[0]])
            model.graph.node.insert(list(model.graph.node).index(node), relu)
            model.graph.node.remove(node)
    kept = [node for node in model.graph.node if node.op_type != "QuantizeLinear"]
    del model.graph.node[:]
    model.graph.node.extend(kept)
    onnx.save(model, out)
    return out


def test_digits_agree_with_onnxruntime_on_both_graphs(tmp_path: Path, capfd: Any) -> None:
    content = evaluated("digits", "--data", "digits", "--hardware-words", "0", capfd=capfd)
    words, labels = load_digits_split("test")
    path = find_model("digits").path
    images = words.transpose(0, 3, 1, 2).astype(np.float32)
    quantised = onnxruntime_output(path, images)
    accuracy = content["accuracy"]
    assert content["words"] == len(labels) == 359
    assert accuracy["integer"] == accuracy["onnxruntime"]
    assert accuracy["integer"]["right"] == int((quantised.argmax(axis=1) == labels).sum())
    assert content["values_equal_to_onnxruntime"] == 1.0
    real = onnxruntime_output(float_graph(path, tmp_path / "float.onnx"), images)
    assert accuracy["float"]["right"] == int((real.argmax(axis=1) == labels).sum())
    ours = run_both(read_onnx_model(path).network, words)
    scale = read_onnx_model(path).output_scale
    np.testing.assert_allclose(ours.real.reshape(len(words), -1) * scale, real, rtol=1e-4, atol=1e-3)


def test_the_original_float_model_stands_beside(tmp_path: Path, capfd: Any) -> None:
    float_model = float_graph(find_model("digits").path, tmp_path / "float.onnx")
    options = ("--words", "50", "--hardware-words", "0", "--float-model", str(float_model))
    accuracy = evaluated("digits", "--data", "digits", *options, capfd=capfd)["accuracy"]
    assert accuracy["original"] == accuracy["float"] and accuracy["original"]["words"] == 50


def test_layers_of_digits(capfd: Any) -> None:
    content = evaluated("digits", "--data", "digits", "--words", "60", "--hardware-words", "0", capfd=capfd)
    layers = {layer["name"]: layer for layer in content["layers"]}
    assert list(layers) == ["conv", "pool", "kwta1", "linear1", "kwta2", "output"]
    assert layers["conv"]["weight_density"] == 148 / 750
    assert layers["kwta1"]["density"] <= 6 / 30 and layers["kwta2"]["density"] <= 25 / 128
    assert layers["pool"]["own_snr_db"] is None is layers["output"]["own_snr_db"]
    assert layers["conv"]["own_snr_db"] == layers["conv"]["snr_db"] > 30
    assert layers["kwta1"]["own_snr_db"] is None, "selecting makes no error by itself"


def test_qualities_by_hand() -> None:
    layer = Linear(
        name="half",
        weights=np.array([[1], [0], [-1]], np.int8),
        bias=np.zeros(3, np.int32),
        requantise=Requantise(multiplier=np.array([3]), shift=np.array([1])),
    )
    network = Network(name="test", input=Tensor((1, 1, 1), "uint8"), layers=(layer,))
    # 1.5 -> 2, 300 -> 255 (cut), and zeros.
    result = run_both(network, np.array([1, 200], np.uint8).reshape(2, 1, 1, 1))
    (quality,) = result.layers
    assert (quality.weight_density, quality.density, quality.saturation) == (2 / 3, 2 / 6, 1 / 6)
    expected = 10 * np.log10((1.5**2 + 300**2) / (0.5**2 + 45**2))
    assert quality.own_snr_db == quality.snr_db == pytest.approx(expected, abs=0.01)


@pytest.mark.slow_proof
def test_an_npz_and_the_simulated_hardware(tmp_path: Path, capfd: Any) -> None:
    pytest.importorskip("cocotb", reason="cocotb is not installed (extra: simulate)")
    words, labels = load_digits_split("validation")
    np.savez(tmp_path / "x.npz", x=words[:30], y=labels[:30])
    content = evaluated("digits", "--data", str(tmp_path / "x.npz"), "--hardware-words", "3", capfd=capfd)
    assert content["data"] == "x.npz" and content["words"] == 30
    hardware = content["accuracy"]["hardware"]
    assert hardware["words"] == 3 and hardware["accuracy"] == hardware["integer_on_the_same"]


def test_without_json_it_is_a_table(capfd: Any) -> None:
    assert run(["evaluate", "digits", "--data", "digits", "--words", "20", "--hardware-words", "0"]) == 0
    text = capfd.readouterr().out
    for part in ("integers (golden model)", "own signal/noise", "linear1", "100.0000% of the outputs", "loses most"):
        assert part in text


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros((2, 8, 8, 1), np.uint8)}, "holds no array 'y' (but x)"),
        ({"x": np.zeros((2, 8, 8, 1)), "y": np.zeros(2, int)}, "x is float64 [2, 8, 8, 1]; accepted: integers"),
        ({"x": np.zeros((2, 64), np.uint8), "y": np.zeros(2, int)}, "x is uint8 [2, 64]; accepted"),
        ({"x": np.zeros((2, 8, 8, 1), np.uint8), "y": np.zeros(3, int)}, "y is int64 [3]; accepted: integers [2]"),
        ({"x": np.zeros((2, 8, 8, 1), np.uint8), "y": np.array([1, 10])}, "label 10, but digits has 10 classes"),
        ({"x": np.zeros((2, 9, 8, 1), np.uint8), "y": np.zeros(2, int)}, "digits takes [words, 8, 8, 1]"),
        ({"x": np.full((2, 8, 8, 1), 256), "y": np.zeros(2, int)}, "is outside 0..255"),
        ({"x": np.array([{}]), "y": np.zeros(2, int)}, "not an .npz file of numbers"),
    ],
)
def test_wrong_arrays(tmp_path: Path, capfd: Any, arrays: dict[str, Any], message: str) -> None:
    np.savez(tmp_path / "x.npz", **arrays)
    refused(["digits", "--data", str(tmp_path / "x.npz")], message, capfd)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["digits", "--data", "nothing"], "give digits, a Speech Commands folder, or an .npz file"),
        (["digits", "--data", "nothing.npz"], "no such file"),
        (["digits", "--data", "digits", "--split", "all"], "--split all: choose one of train, validation, test"),
        (["digit", "--data", "digits"], "neither an ONNX file nor a shipped model (digits"),
        (["gsc", "--data", "digits", "--hardware-words", "0"], "gsc takes [words, 32, 32, 1]"),
        (["digits"], "--data"),
    ],
)
def test_wrong_options(capfd: Any, arguments: list[str], message: str) -> None:
    refused(arguments, message, capfd)


def test_a_folder_that_is_no_speech_set_and_a_damaged_npz(tmp_path: Path, capfd: Any) -> None:
    refused(["digits", "--data", str(tmp_path)], "no folder 'yes'", capfd)
    (tmp_path / "x.npz").write_bytes(b"PK\x03\x04 cut short")
    refused(["digits", "--data", str(tmp_path / "x.npz")], "not an .npz file of numbers", capfd)
    (tmp_path / "f.onnx").write_bytes(b"no model")
    options = ["digits", "--data", "digits", "--hardware-words", "0", "--float-model", str(tmp_path / "f.onnx")]
    refused(options, "onnxruntime refuses it", capfd)


def refused(arguments: list[str], message: str, capfd: Any) -> None:
    assert run(["evaluate", *arguments]) == 2
    captured = capfd.readouterr()
    error = [line for line in captured.err.splitlines() if "✓" not in line and "✗" not in line]
    assert message in error[-1] and "Traceback" not in captured.err and captured.out == ""
