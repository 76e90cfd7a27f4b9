"""The design directory: whole or not at all, replaced only where it is ours, the same every time."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from cs_hdl.emit.design import check_design, check_target, replace_folder, write_design
from cs_hdl.errors import InputError
from cs_hdl.frontend.kernel import ConvOptions, make_conv
from cs_hdl.network import load_network
from cs_hdl.plan.device_limits import DeviceLimits
from cs_hdl.plan.plan import Plan, load_plan
from cs_hdl.plan.planner import make_plan

LIMITS = DeviceLimits(name="LFE5U-85F", lut=83640, dsp=156, block_ram=208)


@pytest.fixture(scope="module")
def plan() -> Plan:
    options = ConvOptions(
        kernel=(3, 3), in_channels=2, out_channels=5, input=(5, 6), weight_sparsity=0.7, scale="1/2^8", padding=(1,) * 4
    )
    return make_plan(make_conv(options), limits=LIMITS)


@pytest.fixture(scope="module")
def design(plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("emit") / "design"
    write_design(plan, folder, source="a test")
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_manifest_says_what_the_contract_promises(design: Path, plan: Plan) -> None:
    manifest = json.loads((design / "manifest.json").read_text())
    assert (manifest["format"], manifest["top"]) == (1, "cs_accelerator")
    assert (manifest["clock"], manifest["reset"]) == ("aclk", "aresetn")
    ports = {"input": ("s_axis", [5, 6, 2], plan.input_lanes), "output": ("m_axis", [5, 6, 5], plan.output_lanes)}
    for key, (name, shape, lanes) in ports.items():
        port = manifest[key]
        size = shape[0] * shape[1] * shape[2]
        wanted = {"port": name, "shape": shape, "dtype": "uint8", "values_per_beat": lanes, "beats": -(-size // lanes)}
        assert port == wanted
    assert manifest["cycles_per_word"] == plan.cycles_per_word > 0
    assert manifest["latency_cycles"] == plan.latency_cycles > 0
    (layer,) = manifest["layers"]
    keys = {"name", "kind", "mode", "sets", "set_bound", "multipliers", "constant_multipliers"}
    assert keys | {"macs_dense", "macs_sparse", "cycles", "nonzeros"} <= set(layer)
    assert (layer["macs_dense"], layer["nonzeros"]) == (5 * 6 * 5 * 18, 5 * 5)
    for name, digest in manifest["sources"].items():
        assert hashlib.sha256((design / name).read_bytes()).hexdigest() == digest
    assert {"design.v", "network.npz"} <= set(manifest["sources"])


def test_network_and_plan_come_back(design: Path, plan: Plan) -> None:
    assert load_network(design / "network.npz").tensors == plan.network.tensors
    assert load_plan(design).stages == plan.stages
    assert check_design(design)["network"] == "conv"


def test_a_second_design_is_equal_byte_for_byte_and_drops_old_results(design: Path, plan: Plan) -> None:
    before = files(design)
    (design / "build" / "some-board").mkdir(parents=True)
    (design / "simulation.json").write_text("{}")
    write_design(plan, design, source="a test")
    assert files(design) == before
    assert not (design / "build").exists()
    assert [path.name for path in design.parent.iterdir()] == [design.name]


def test_only_new_empty_or_own_folders_are_taken(tmp_path: Path) -> None:
    check_target(tmp_path / "new")
    check_target(tmp_path)
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(InputError, match="other files"):
        check_target(tmp_path)
    with pytest.raises(InputError, match="no folder"):
        check_target(tmp_path / "precious.txt")
    (tmp_path / "manifest.json").write_text("{}")
    check_target(tmp_path)


@pytest.mark.parametrize("error", [KeyboardInterrupt, InputError])
def test_an_interruption_leaves_the_old_state(error: type[BaseException], tmp_path: Path) -> None:
    out = tmp_path / "design"
    out.mkdir()
    (out / "manifest.json").write_text("old")

    def fill(folder: Path) -> None:
        (folder / "manifest.json").write_text("half")
        raise error

    for target in (out, tmp_path / "new"):
        with pytest.raises(error):
            replace_folder(target, fill)
    assert files(out) == {"manifest.json": b"old"}
    assert [path.name for path in tmp_path.iterdir()] == ["design"]


def test_an_impossible_name_is_refused_before_anything_is_written(plan: Plan, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--name"):
        write_design(plan, tmp_path / "design", name="2fast")
    assert list(tmp_path.iterdir()) == []


def test_a_design_that_lacks_a_file_is_refused(tmp_path: Path) -> None:
    manifest = dict.fromkeys(("top", "input", "output", "latency_cycles", "cycles_per_word", "layers"), 1)
    content = manifest | {"format": 1, "sources": {"design.v": "0"}}
    (tmp_path / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"design\.v: missing"):
        check_design(tmp_path)
    (tmp_path / "manifest.json").write_text(json.dumps(content | {"format": 2}))
    with pytest.raises(InputError, match="format 2"):
        check_design(tmp_path)
