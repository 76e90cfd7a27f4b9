"""The studies: published layers, plans of networks, instances and links, masks, and the page that tells of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cs_hdl import cli
from cs_hdl.board.catalogue import device_limits
from cs_hdl.build.tools import require_tool
from cs_hdl.combine.masks import lower_bound
from cs_hdl.commands import studies as command
from cs_hdl.commands.console import run_command
from cs_hdl.emit.verilog import emit_verilog
from cs_hdl.errors import InputError, ToolError
from cs_hdl.frontend.kernel import LinearOptions, make_linear
from cs_hdl.frontend.onnx import read_onnx
from cs_hdl.models import find_model
from cs_hdl.plan.planner import explain, make_plan
from cs_hdl.rtl.accelerator import Accelerator
from cs_hdl.studies import masks, networks
from cs_hdl.studies.layers import NETWORKS, LayerShape
from cs_hdl.studies.page import write_page
from cs_hdl.studies.scale_out import LINKS, scale_out
from cs_hdl.studies.ultrascale import count_ultrascale
from cs_hdl.sweep.study import load_study

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("name", "layers", "weights", "macs"),
    # What torchvision counts: parameters without batch normalisation and biases, multiplications.
    [("ResNet-50", 54, 25_502_912, 4_089_184_256), ("MobileNetV2", 53, 3_469_760, 300_774_272)],
)
def test_layers_are_as_published(name: str, layers: int, weights: int, macs: int) -> None:
    shapes = NETWORKS[name]()
    assert sum(shape.count for shape in shapes) == layers
    assert sum(shape.count * shape.weights for shape in shapes) == weights
    assert sum(shape.count * shape.macs for shape in shapes) == macs
    assert len({shape.name for shape in shapes}) >= len(shapes) - 3  # (some differ in what is before them)


def test_every_study_of_the_repository_can_be_read() -> None:
    found = {path.stem: load_study(path) for path in sorted((ROOT / "studies").glob("*.toml"))}
    assert {"weights-1x1", "weights-3x3", "activations-1x1"} <= set(found)
    for study in found.values():
        assert len(study.points) > 5 and study.run.simulate and study.run.synthesise
        assert [point.options["mode"] for point in study.points].count("dense") == 1


def test_networks_are_planned_for_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = (
        LayerShape(kernel=3, in_channels=3, out_channels=16, size=16, stride=2, after="image"),
        LayerShape(kernel=1, in_channels=16, out_channels=32, size=8, after="linear", count=2),
        LayerShape(kernel=3, in_channels=32, out_channels=32, size=8, depthwise=True),
        LayerShape(kernel=1, in_channels=32, out_channels=64, size=8),
    )
    monkeypatch.setattr(networks, "NETWORKS", {"small": lambda: shapes})
    monkeypatch.setattr(networks, "DEVICES", ("LFE5U-12F", "XCVU13P"))
    record = networks.plan_networks()
    assert record == json.loads(json.dumps(record))
    designs = record["networks"]["small"]["designs"]
    for design in designs.values():
        small, large = design["devices"]
        assert large["fits"] and large["cycles"] <= small["cycles"]
    dense, both = (designs[mode]["layers"] for mode in ("dense", "sparse-sparse"))
    assert [layer["nonzeros"] == layer["weights"] for layer in both] == [False, False, True, False]
    assert all(layer["nonzeros"] == layer["weights"] for layer in dense)
    outside = designs["dense"]["outside"]
    assert outside["bytes"] == sum(shape.weights * shape.count for shape in shapes)
    assert designs["sparse-sparse"]["outside"]["bytes"] < outside["bytes"]


def test_planned_devices_can_be_named(tmp_path: Path) -> None:
    assert device_limits("xcvu19p").block_ram == 2 * 2160
    options = ["--in-features", "12", "--out-features", "6", "--device", "XCZU3EG", "--out", str(tmp_path / "design")]
    assert cli.run(["generate", "linear", *options]) == 0


def test_scaling_out_from_the_record() -> None:
    record = json.loads((ROOT / "docs" / "results" / "gsc-ulx3s-85f.json").read_text())
    cells = {"LUT": 40_000, "FF": 44_000, "DSP": 600, "block RAM": 200}
    found = scale_out(record, read_onnx(find_model("gsc").path), ultrascale_plus=cells)
    own, *others = found["instances"]
    (binding,) = (entry["binds"] for entry in others if entry["device"] == "XCVU19P")
    assert binding == ["DSP"]  # 3,840 of them, 600 an instance
    assert own["device"] == record["report"]["device"] and own["instances"] == 1 and own["routed"]
    assert own["words_per_second"] == record["report"]["words_per_second"]
    assert (found["bytes_in"], found["bytes_out"]) == (1024, 48)
    assert not any(entry["routed"] for entry in others)
    for entry in found["instances"]:
        assert entry["links"]["serial port, 3 Mbaud"] == pytest.approx(3e5 / 1024, abs=0.1)
    behind = {cut["after"]: cut for cut in found["cuts"]}
    kwta = behind["kwta1"]
    # 196 positions, 8 winners of 64: 8 bits of value and 6 of index each.
    assert kwta["bytes_dense"] == 14 * 14 * 64 and kwta["bytes_pairs"] == 196 * 8 * 14 // 8
    assert set(kwta["links"]) <= set(LINKS)


def test_imposed_masks_reach_the_bound_and_found_ones_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masks, "SPARSITIES", (0.75,))
    monkeypatch.setattr(masks, "_EPOCHS", 3)
    monkeypatch.setattr(masks, "_SHAPES", {"small": (32, 64)})
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 10, 300)
    # Each class has a pattern of its own.
    images = rng.random((10, 64))[labels] + 0.3 * rng.random((300, 64))
    found = masks.study_masks((images[:200], labels[:200], images[200:], labels[200:]), seeds=(1,))
    (imposed,), (random,), (pruned,) = (found["trained"][kind] for kind in ("imposed", "random", "pruned"))
    assert imposed["sets"] == imposed["bound"] and imposed["efficiency"] == 1
    for entry in (random, pruned):
        assert entry["sets"] > entry["bound"] and entry["bound"] <= entry["spanning_sets"] <= entry["sets"]
        assert entry["efficiency"] < entry["spanning_efficiency"] <= entry["bound_efficiency"] < 1
    assert min(entry["accuracy"] for kind in found["trained"].values() for entry in kind) > 0.5
    again = masks.study_masks((images[:200], labels[:200], images[200:], labels[200:]), seeds=(1,))
    assert again == found


def sweep_record() -> dict[str, Any]:
    """Made up: what a sweep of few points would give."""

    def point(mode: str, lut: int, **options: Any) -> dict[str, Any]:
        metrics = {"lut": lut, "ff": lut, "dsp": 2, "block_ram": 1, "cycles_per_word": 100, "multipliers": 3}
        metrics |= {"nonzeros": 64, "macs_dense": 640, "macs_sparse": 64}
        metrics |= {"estimated_lut": lut, "estimated_kwta_lut": lut // 4}
        return {"options": {"mode": mode, "in-channels": 64, **options}, "status": "ok", "metrics": metrics}

    points = [point("dense", 9000), point("sparse-dense", 2000, **{"weight-sparsity": 0.75})]
    for active, lut in ((4, 1000), (8, 1900), (16, 4000)):
        points.append(point("sparse-sparse", lut, **{"weight-sparsity": 0.75, "active-inputs": active}))
    points.append({"options": {"mode": "dense"}, "status": "failed", "metrics": {}, "error": "simulate: no"})
    return {"command": "scripts/studies --only x", "points": points}


def test_the_page_tells_what_the_records_say(tmp_path: Path) -> None:
    records = tmp_path / "results" / "studies"
    records.mkdir(parents=True)
    for name in ("activations-1x1", "weights-1x1"):
        (records / f"{name}.json").write_text(json.dumps(sweep_record()))
    written = write_page(tmp_path)
    text = (tmp_path / "studies.md").read_text()
    assert written[0] == tmp_path / "studies.md" and all(path.is_file() for path in written)
    # The last number of active inputs at which sparse-sparse takes fewer LUTs than sparse-dense.
    assert "sparse-sparse is worth more up to 8 of 64 active inputs" in text
    assert "1 of 6 points are missing: simulate: no" in text
    assert text.count("Not made yet") == 5
    before = {path: path.read_bytes() for path in written}
    write_page(tmp_path)
    assert {path: path.read_bytes() for path in written} == before


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    records = tmp_path / "results" / "studies"
    records.mkdir(parents=True)
    (records / "weights-3x3.json").write_text("{")
    with pytest.raises(InputError, match=r"weights-3x3\.json: cannot be read"):
        write_page(tmp_path)
    (records / "weights-3x3.json").write_text('{"points": []}')
    write_page(tmp_path)
    assert "The dense design, which all others are compared with, is missing" in (tmp_path / "studies.md").read_text()
    (records / "weights-3x3.json").write_text('{"designs": []}')
    with pytest.raises(InputError, match=r"weights-3x3\.json: not the record"):
        write_page(tmp_path)


def test_an_unknown_study_is_one_line(capfd: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["studies", "--only", "no-such-study"])
    with pytest.raises(SystemExit) as caught:
        run_command(command.studies)
    err = capfd.readouterr().err
    assert caught.value.code == 2 and "no study of that name" in err and len(err.strip().splitlines()) == 1


def test_cells_of_ultrascale_are_counted_by_yosys() -> None:
    """A design on lanes: each of its multipliers is one DSP48E2."""
    try:
        require_tool("yosys")
    except ToolError as error:
        pytest.skip(str(error))
    options = LinearOptions(in_features=16, out_features=8, weight_sparsity=0.75, active_inputs=4)
    plan = make_plan(make_linear(options), limits=device_limits("LFE5U-85F"))
    cells = count_ultrascale(emit_verilog(Accelerator(plan), name="cs_accelerator"), top="cs_accelerator")
    assert cells["DSP"] == explain(plan).cost.dsp > 0 and 100 < cells["LUT"] < 2000 and 100 < cells["FF"] < 2000


def test_the_speech_network_with_each_kind_of_mask() -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed (extra: torch)")
    import torch

    from cs_hdl.torch.speech_masks import chosen_mask, with_masks
    from cs_hdl.torch.speech_network import speech_network

    dense, some = speech_network("dense"), torch.randint(0, 256, (8, 1, 32, 32), dtype=torch.uint8)
    networks = {kind: with_masks(dense, kind, seed=0, images=some) for kind in ("imposed", "pruned", "random")}
    layers = {kind: model.get_submodule("conv2") for kind, model in networks.items()}
    weights = dense.get_submodule("conv2").weight.detach().numpy().reshape(64, -1)
    found = {kind: layer.mask.numpy().reshape(64, -1) != 0 for kind, layer in layers.items()}
    for kind, layer in layers.items():
        assert (layer.weight.detach().numpy().reshape(64, -1) == weights * found[kind]).all()
    found["assigned"] = chosen_mask(np.abs(weights), "assigned", 100, seed=0)
    fitted = with_masks(dense, "fitted", seed=0, images=some).get_submodule("conv2").mask.numpy().reshape(64, -1) != 0
    assert (fitted.sum(axis=1) == 100).all() and lower_bound(fitted) == 4
    assert all((mask.sum(axis=1) == 100).all() for mask in found.values())
    kept = {kind: float(np.abs(weights)[mask].sum()) for kind, mask in found.items()}
    assert kept["pruned"] >= kept["assigned"] > max(kept["imposed"], kept["random"])
    bounds = {kind: lower_bound(mask) for kind, mask in found.items()}
    assert bounds["imposed"] == bounds["assigned"] == 4 < min(bounds["pruned"], bounds["random"])
