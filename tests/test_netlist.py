"""Synthesised for the ECP5: the netlist gives what the RTL gives, and every memory and multiplier is what was meant."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from netlists import Synthesised, make_design, netlist_folder, synthesise_design

from cs_hdl.build.run import run_tool
from cs_hdl.build.tools import require_tool
from cs_hdl.errors import CsHdlError
from cs_hdl.frontend.kernel import ConvOptions, LinearOptions, make_conv, make_linear
from cs_hdl.network import Network, load_network
from cs_hdl.plan.lanes import LanesPlan
from cs_hdl.plan.stages import LanesStage
from cs_hdl.simulate.environment import find_simulator
from cs_hdl.simulate.simulate import SimulationResult, check_result, random_words, simulate

_WORDS = 6
#: One worker of pytest-xdist runs them all, since each design is synthesised once.
pytestmark = pytest.mark.xdist_group("netlist")


def sparse_dense() -> tuple[Network, int, str | None]:
    options = ConvOptions(
        kernel=(3, 3), in_channels=2, out_channels=3, input=(4, 5), padding=(1, 1, 1, 1), weight_sparsity=0.5,
        scale="1/2^8",
    )  # fmt: skip
    return make_conv(options), 40, "sparse-dense"


def sparse_sparse() -> tuple[Network, int, str | None]:
    options = ConvOptions(
        kernel=(3, 3), in_channels=8, out_channels=8, input=(6, 6), weight_sparsity=0.75, active_inputs=2, winners=3,
        scale="1/2^9",
    )  # fmt: skip
    return make_conv(options), 400, None


def block_ram() -> tuple[Network, int, str | None]:
    options = LinearOptions(in_features=600, out_features=8, weight_sparsity=0.9, active_inputs=16, scale="1/2^9")
    return make_linear(options), 700, None


DESIGNS = {"sparse-dense": sparse_dense, "sparse-sparse": sparse_sparse, "block RAM": block_ram}
_BUILT: dict[str, Synthesised] = {}


@pytest.fixture
def built(request: Any, tmp_path_factory: Any) -> Synthesised:
    """Each design is synthesised once, for all tests of it."""
    name = request.param
    if name not in _BUILT:
        try:
            require_tool("yosys")
        except CsHdlError as error:
            pytest.skip(str(error))
        network, cycles, mode = DESIGNS[name]()
        folder = tmp_path_factory.mktemp("netlist")
        plan = make_design(network, folder / "design", cycles=cycles, mode=mode)
        _BUILT[name] = synthesise_design(plan, folder / "design", folder / "netlist")
    return _BUILT[name]


def each(*names: str) -> Any:
    return pytest.mark.parametrize("built", names, indirect=True)


def lanes_of(built: Synthesised) -> LanesPlan:
    (stage,) = (stage for stage in built.plan.stages if isinstance(stage, LanesStage))
    return stage.lanes


def simulated(design: Path) -> SimulationResult:
    """A run at full rate and with random pauses, compared with the golden model and the stated cycles."""
    try:
        find_simulator("verilator")
    except CsHdlError as error:
        pytest.skip(str(error))
    words = random_words(load_network(design / "network.npz"), _WORDS, seed=11)
    result = simulate(design, words=words, backpressure=True, seed=5)
    check_result(result)
    assert result.back_pressure is not None and result.back_pressure["words"] >= _WORDS
    return result


@each("sparse-sparse")
def test_the_netlist_gives_what_the_golden_model_gives(built, tmp_path):
    simulated(netlist_folder(built, tmp_path / "gates"))


@pytest.mark.slow_proof
@each(*DESIGNS)
def test_the_netlist_is_equal_to_the_rtl_in_every_value_and_cycle(built, tmp_path):
    gates = simulated(netlist_folder(built, tmp_path / "gates"))
    rtl = simulated(built.design)
    assert np.array_equal(rtl.outputs, gates.outputs)
    assert (rtl.cycles, rtl.cycles_per_word, rtl.latency_cycles) == (
        gates.cycles,
        gates.cycles_per_word,
        gates.latency_cycles,
    )


@pytest.mark.slow_proof
@each("sparse-sparse")
def test_a_fault_in_the_netlist_is_found(built, tmp_path):
    """Multipliers that leave out a bit of their weights."""
    folder = netlist_folder(built, tmp_path / "gates")
    text = (folder / "design.v").read_text()
    faulty, places = re.subn(r"\.B6\([^)]*\)", ".B6(1'h0)", text)
    assert places
    (folder / "design.v").write_text(faulty)
    words = random_words(load_network(built.design / "network.npz"), _WORDS, seed=11)
    result = simulate(folder, words=words, seed=5)
    assert result.mismatches > 0


@each("sparse-sparse", "block RAM")
def test_multipliers_keep_their_registers_in_the_dsp_block(built):
    plan = lanes_of(built)
    multipliers = [cell for _, cell in built.cells() if cell["type"] == "MULT18X18D"]
    assert len(multipliers) == plan.multipliers
    for cell in multipliers:
        settings = cell["parameters"]
        assert {settings[f"REG_{place}_CLK"] for place in ("INPUTA", "INPUTB", "OUTPUT")} == {"CLK0"}
        assert settings["REG_PIPELINE_CLK"] == "NONE"
    # The RTL states one register at each factor, one behind the product, all within the block, and another in the
    # fabric, on the product's way to its accumulators: nothing else may take a bit of a product.
    for name, module in built.modules.items():
        products = {
            bit
            for cell in module["cells"].values()
            if cell["type"] == "MULT18X18D"
            for port, bits in cell["connections"].items()
            if port[0] == "P" and port[1:].isdigit()
            for bit in bits
        }
        takers = [
            (cell["type"], port, bit)
            for cell in module["cells"].values()
            if cell["type"] != "MULT18X18D"
            for port, bits in cell["connections"].items()
            for bit in products.intersection(bits)
        ]
        assert {taker[:2] for taker in takers} <= {("TRELLIS_FF", "DI")}, f"{name}: logic behind products"
        assert len(takers) == len({bit for _, _, bit in takers}), f"{name}: two registers behind a product"
        assert bool(takers) == bool(products)


@each("sparse-dense")
def test_constants_take_no_multiplier(built):
    assert built.count("MULT18X18D") == 0 and built.count("CCU2C") > 0


def memory_cells(built: Synthesised, part: str) -> Counter[str]:
    """Memory cells whose place in the hierarchy names ``part``."""
    return Counter(
        cell["type"] for name, cell in built.cells() if part in name and cell["type"] in ("TRELLIS_DPR16X4", "DP16KD")
    )


@each("sparse-sparse", "block RAM")
def test_accumulators_are_lut_ram(built):
    """Two banks for each multiplier; 16 x 4 bits a cell."""
    plan = lanes_of(built)
    for bank in range(2):
        found = memory_cells(built, f"bank_0_{bank}")
        assert found["TRELLIS_DPR16X4"] >= plan.lanes and not found["DP16KD"], found


@each("block RAM")
def test_block_ram_has_its_own_output_registers(built):
    modes = Counter(
        cell["parameters"][f"REGMODE_{side}"] for _, cell in built.cells() if cell["type"] == "DP16KD" for side in "AB"
    )
    assert modes["OUTREG"] >= lanes_of(built).lanes  # a lane's table, at the least


@each("sparse-sparse", "block RAM")
def test_tables_are_where_the_plan_puts_them(built):
    plan = lanes_of(built)
    found = memory_cells(built, "table")
    assert not found["TRELLIS_DPR16X4"]
    if plan.table_in_block_ram:
        assert found["DP16KD"] >= plan.lanes
    else:
        assert not found["DP16KD"]


@each("sparse-sparse", "block RAM")
def test_activations_are_in_memories(built):
    plan = lanes_of(built)
    assert sum(memory_cells(built, "activations").values()) >= plan.lanes


@each("sparse-dense", "sparse-sparse", "block RAM")
def test_no_memory_became_registers(built):
    """(Yosys may code a state in a few registers more, but in fewer than the smallest memory has bits.)"""
    stated, smallest = registers_and_smallest_memory(built)
    assert built.count("TRELLIS_FF") < stated + smallest


def registers_and_smallest_memory(built: Synthesised) -> tuple[int, int]:
    """Of design.v before synthesis: bits of all flip-flops, and of the smallest memory that is written."""
    script = "read_verilog design.v\nhierarchy -top cs_accelerator\nproc\nflatten\nopt_clean\nmemory_collect\n"
    (built.folder / "rtl.ys").write_text(f"{script}write_json rtl.json\n")
    run_tool(require_tool("yosys"), ["rtl.ys"], folder=built.folder, log="rtl.log")
    cells = json.loads((built.folder / "rtl.json").read_text())["modules"]["cs_accelerator"]["cells"].values()
    registers = sum(len(cell["connections"]["Q"]) for cell in cells if "dff" in cell["type"])
    memories = [cell["parameters"] for cell in cells if cell["type"] == "$mem_v2"]
    sizes = [int(m["SIZE"], 2) * int(m["WIDTH"], 2) for m in memories if int(m["WR_PORTS"], 2)]
    return registers, min(sizes)
