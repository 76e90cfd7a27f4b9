# amaranth: UnusedElaboratable=no
"""RegisteredMultiplier: its model in Amaranth, and the two Verilog versions behind the technology seam."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from amaranth.back import rtlil
from amaranth.hdl import signed, unsigned
from amaranth.sim import Simulator
from verilator_program import verilator_command

from cs_hdl.build import cells
from cs_hdl.errors import ToolError
from cs_hdl.rtl.platform import EmitPlatform
from cs_hdl.rtl.primitives.multiplier import RegisteredMultiplier, portable_verilog
from cs_hdl.simulate.environment import verilator_environment

MODELS = Path(__file__).parent / "models"


def corners(shape):
    low, high = (-(1 << shape.width - 1), (1 << shape.width - 1) - 1) if shape.signed else (0, (1 << shape.width) - 1)
    return low, high


@pytest.mark.parametrize(
    ("a_shape", "b_shape"),
    [(unsigned(8), signed(8)), (signed(8), signed(8)), (unsigned(1), unsigned(1)), (signed(18), unsigned(16))],
)
@pytest.mark.parametrize("pauses", [False, True])
def test_product_after_two_enabled_cycles(a_shape, b_shape, pauses):
    dut = RegisteredMultiplier(a_shape=a_shape, b_shape=b_shape)
    choose = random.Random(5)

    async def bench(ctx):
        factors = []
        for _ in range(300):
            a, b = (choose.choice((*corners(s), choose.randint(*corners(s)))) for s in (a_shape, b_shape))
            enabled = not pauses or choose.random() < 0.6
            ctx.set(dut.a, a)
            ctx.set(dut.b, b)
            ctx.set(dut.en, enabled)
            await ctx.tick()
            factors += [a * b] if enabled else []
            if len(factors) >= 2:
                assert ctx.get(dut.o) == factors[-2]

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def test_emitted_as_an_instance_with_its_parameters():
    text = rtlil.convert(
        RegisteredMultiplier(a_shape=unsigned(7), b_shape=signed(9)), platform=EmitPlatform(name="top"), name="top"
    )
    cell = text[text.index(r"cell \cs_registered_multiplier") :]
    parameters = dict(re.findall(r"parameter \\(\w+) (\d+)", cell))
    assert {name: int(value) for name, value in parameters.items()} == {
        "A_WIDTH": 7, "A_SIGNED": 0, "B_WIDTH": 9, "B_SIGNED": 1,
    }  # fmt: skip
    assert "$mul" not in text


def test_wrong_shape():
    with pytest.raises(TypeError, match="b_shape must have at least one bit"):
        RegisteredMultiplier(a_shape=8, b_shape=0)


#: Widths and signs that are compared, all pairs of factors up to 16 bits together.
CASES = [
    (8, 0, 8, 1),
    (8, 1, 8, 1),
    (3, 0, 5, 0),
    (1, 0, 8, 1),
    (18, 1, 18, 1),
    (18, 0, 18, 0),
    (18, 0, 16, 1),
    (22, 1, 16, 0),
]


def parameters(a_width: int, a_signed: int, b_width: int, b_signed: int) -> dict[str, int]:
    exhaustive = a_width + b_width <= 16
    pairs = 2 ** (a_width + b_width) if exhaustive else 5000
    factors = {"A_WIDTH": a_width, "A_SIGNED": a_signed, "B_WIDTH": b_width, "B_SIGNED": b_signed}
    return factors | {"PAIRS": pairs, "ALL": int(exhaustive)}


def write_sources(folder: Path) -> list[str]:
    """The two versions, a bench for each case, and one for each of two wrong versions of the device's own.

    All are in one simulation, because Verilator takes far longer to compile than to run.
    """
    name = "cs_registered_multiplier"
    device, bench = cells.device_verilog(name, "ecp5"), (MODELS / "multiplier_bench.v").read_text()
    wrong = {
        "unregistered": device.replace('.REG_INPUTB_CLK("CLK0")', '.REG_INPUTB_CLK("NONE")'),
        "ever_enabled": device.replace(".CE0(en)", ".CE0(1'b1)"),
    }
    texts = [portable_verilog().replace(f"module {name}", f"module {name}_portable"), device, bench]
    for kind, text in wrong.items():
        assert text != device
        texts.append(text.replace(f"module {name}", f"module {name}_{kind}"))
        texts.append(
            bench.replace(f"{name} #(", f"{name}_{kind} #(").replace("module multiplier_bench", f"module bench_{kind}")
        )
    instances = [f"    bench_{kind} {kind}();" for kind in wrong]
    for index, case in enumerate(CASES):
        settings = ", ".join(f".{key}({value})" for key, value in parameters(*case).items())
        instances.append(f"    multiplier_bench #({settings}) case_{index}();")
    texts.append("\n".join(["module benches;", *instances, "endmodule"]))
    (folder / "all.v").write_text("\n".join(texts))
    return ["all.v", str(MODELS / "MULT18X18D.v")]


@pytest.fixture(scope="module")
def printed(tmp_path_factory) -> dict[str, str]:
    """What each bench printed, run with Icarus, or with Verilator where that is missing."""
    folder = tmp_path_factory.mktemp("multiplier")
    sources = write_sources(folder)
    environment = None
    if shutil.which("iverilog"):
        commands = [["iverilog", "-g2005", "-s", "benches", "-o", "bench", *sources], ["vvp", "-n", "bench"]]
    else:
        try:
            environment = verilator_environment()
        except ToolError as error:
            pytest.skip(f"neither Icarus nor Verilator: {error}")
        commands = [verilator_command(sources, top="benches", program="bench"), ["obj_dir/bench"]]
    for command in commands:
        result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stdout + result.stderr
    lines: dict[str, str] = {}
    for place, text in re.findall(r"benches\.(\w+)\S*: (.+)", result.stdout):
        lines[place] = f"{lines.get(place, '')}{text}\n"
    return lines


@pytest.mark.parametrize("index", range(len(CASES)), ids=str)
def test_the_two_versions_are_equal(printed, index):
    output = printed[f"case_{index}"]
    found = re.fullmatch(r"compared (\d+) errors (\d+)\n", output)
    assert found, output
    assert int(found[1]) >= parameters(*CASES[index])["PAIRS"] and int(found[2]) == 0, output


def test_the_model_refuses_a_mode_that_it_does_not_know(printed):
    assert "ERROR: MULT18X18D in a mode" in printed["unregistered"]


def test_the_comparison_finds_a_difference(printed):
    found = re.fullmatch(r"compared (\d+) errors (\d+)\n", printed["ever_enabled"])
    assert found and int(found[1]) >= 65536 and int(found[2]) > 0
