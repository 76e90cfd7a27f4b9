# amaranth: UnusedElaboratable=no
"""The adders that clear and choose: their models in Amaranth, and both Verilog versions behind the technology seam."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from amaranth.back import rtlil
from amaranth.sim import Simulator
from build_tools import need_build_tools

from cs_hdl.build.cells import device_verilog
from cs_hdl.build.run import run_tool
from cs_hdl.build.tools import require_tool
from cs_hdl.errors import ToolError
from cs_hdl.rtl.platform import EmitPlatform
from cs_hdl.rtl.primitives import carry_adders
from cs_hdl.rtl.primitives.carry_adders import ADDER_MODULES, AddOrClear, ChooseAndAdd

#: 1, 2, odd and even, and that of the speech network's sums.
WIDTHS = [1, 2, 3, 8, 13, 22]

#: What Yosys's model of the carry cell is made of.
LUTS = """
module LUT2(input A, B, output Z);
    parameter INIT = 4'h0;
    assign Z = INIT[{B, A}];
endmodule
module LUT4(input A, B, C, D, output Z);
    parameter INIT = 16'h0000;
    assign Z = INIT[{D, C, B, A}];
endmodule
"""


def wrap(value: int, width: int) -> int:
    """``value`` modulo ``2**width``, as a signed number."""
    return (value + (1 << width - 1)) % (1 << width) - (1 << width - 1)


def run(dut, inputs, expected):
    """Random numbers, those at the ends of their range among them, against what the docstring says."""
    choose = random.Random(7)

    async def bench(ctx):
        for _ in range(400):
            values = {}
            for name, width in inputs.items():
                ends = (-(1 << width - 1), (1 << width - 1) - 1) if width > 1 else (0, 1)
                values[name] = choose.choice((*ends, choose.randint(*ends)))
                if width == 1 and name not in ("clear", "choice"):
                    values[name] = -values[name]
                ctx.set(getattr(dut, name), values[name])
            await ctx.delay(1e-9)
            assert ctx.get(dut.o) == expected(**values)

    simulator = Simulator(dut)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize("width", WIDTHS)
def test_adds_or_clears(width):
    run(
        AddOrClear(width),
        {"clear": 1, "a": width, "b": width},
        lambda *, clear, a, b: 0 if clear else wrap(a + b, width),
    )


@pytest.mark.parametrize("width", WIDTHS)
def test_chooses_and_adds(width):
    run(
        ChooseAndAdd(width),
        {"choice": 1, "a0": width, "a1": width, "b": width},
        lambda *, choice, a0, a1, b: wrap((a1 if choice else a0) + b, width),
    )


@pytest.mark.parametrize("component", [AddOrClear, ChooseAndAdd])
def test_emitted_as_an_instance_of_a_module_that_comes_with_it(component):
    platform = EmitPlatform(name="top")
    text = rtlil.convert(component(11), platform=platform, name="top")
    (module,) = platform.texts
    assert rf"cell \{module} " in text and r"parameter signed \WIDTH 11" in text.replace(
        "parameter \\", "parameter signed \\"
    )
    assert "$add" not in text and f"module {module} " in platform.texts[module]


def compare(folder: Path, module: str, *, width: int, device: str) -> None:
    """Prove with Yosys's own model of the carry cell that both versions are equal; ToolError where they are not."""
    portable = (Path(carry_adders.__file__).parent / f"{module.removeprefix('cs_')}.v").read_text()
    (folder / "portable.v").write_text(portable.replace(f"module {module}", "module portable"))
    (folder / "device.v").write_text(device.replace(f"module {module}", "module device"))
    (folder / "luts.v").write_text(LUTS)
    script = f"""
read_verilog portable.v
read_verilog device.v
read_verilog +/lattice/ccu2c_sim.vh
read_verilog luts.v
chparam -set WIDTH {width} portable device
hierarchy
proc
flatten
miter -equiv -make_assert -flatten portable device miter
hierarchy -top miter
sat -verify -prove-asserts -set-def-inputs miter
"""
    (folder / "compare.ys").write_text(script)
    run_tool(require_tool("yosys"), ["compare.ys"], folder=folder, log="compare.log")
    assert "SAT proof finished - no model found: SUCCESS!" in (folder / "compare.log").read_text()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("module", ADDER_MODULES)
def test_the_two_versions_are_equal(module, width, tmp_path):
    need_build_tools("yosys")
    text = device_verilog(module, "ecp5")
    assert text is not None
    compare(tmp_path, module, width=width, device=text)


@pytest.mark.parametrize("module", ADDER_MODULES)
def test_the_comparison_finds_a_difference(module, tmp_path):
    need_build_tools("yosys")
    text = device_verilog(module, "ecp5")
    wrong = text.replace("16'h1444", "16'h1448").replace("16'h665A", "16'h666A")
    assert wrong != text
    with pytest.raises(ToolError):
        compare(tmp_path, module, width=8, device=wrong)


@pytest.mark.parametrize("module", ADDER_MODULES)
def test_an_ecp5_takes_a_half_of_a_carry_cell_a_bit(module, tmp_path):
    need_build_tools("yosys")
    (tmp_path / "adder.v").write_text(device_verilog(module, "ecp5"))
    script = f"read_verilog adder.v\nchparam -set WIDTH 12 {module}\nsynth_ecp5 -top {module}\ntee -o count stat\n"
    (tmp_path / "count.ys").write_text(script)
    run_tool(require_tool("yosys"), ["count.ys"], folder=tmp_path, log="count.log")
    cells = (tmp_path / "count").read_text()
    assert "CCU2C" in cells and "LUT4" not in cells
