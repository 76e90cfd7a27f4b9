"""One layer by NNgen, generated and simulated: ``python nngen_worker.py LAYER.json FOLDER``.

Runs under a Python of its own, in which the pinned NNgen is and cs_hdl is not; see ``environment.py``.
Weights and activations lie in a memory behind a 32-bit AXI bus, as NNgen wants it; the memory is NNgen's
own model, the simulator is the Verilator on the PATH. ``LAYER.json`` holds "kind" (conv or linear),
"input" and "weights" (shapes), "padding" (SAME or VALID), "par_ich" and "par_och". Writes ``design.v`` (top
module ``nngen_layer``) and ``result.json`` (cycles, whether every output was right, seconds).
"""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path
from typing import Any

import nngen as ng
import numpy as np
import veriloggen
import veriloggen.thread as vthread
from veriloggen import Module, Not, Seq, simulation
from veriloggen.types import axi

__all__ = ["main"]

BUS_BITS = 32
#: Products are shifted by this much before they are cut to int8, so that few results saturate.
RIGHT_SHIFT = 10


def describe(layer: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    """The operands by name, and the layer over them."""
    operands = {
        "act": ng.placeholder(ng.int8, shape=layer["input"], name="act"),
        "weight": ng.variable(ng.int8, shape=layer["weights"], name="weight"),
        "bias": ng.variable(ng.int32, shape=(layer["weights"][0],), name="bias"),
        "scale": ng.variable(ng.int8, shape=(1,), name="scale"),
    }
    common = {
        "bias": operands["bias"],
        "scale": operands["scale"],
        "rshift_out": RIGHT_SHIFT,
        "act_func": ng.relu,
        "dtype": ng.int8,
        "mul_dtype": ng.int32,
        "sum_dtype": ng.int32,
        "name": "layer",
    }
    if layer["kind"] == "conv":
        common |= {"strides": (1, 1, 1, 1), "padding": layer["padding"]}
        common |= {"par_ich": layer["par_ich"], "par_och": layer["par_och"]}
        return operands, ng.conv2d(operands["act"], operands["weight"], **common)
    common |= {"transposed_b": True, "par_left_col": layer["par_ich"], "par_out_col": layer["par_och"]}
    return operands, ng.matmul(operands["act"], operands["weight"], **common)


def random_values(operands: dict[str, Any]) -> dict[str, Any]:
    """Data for each operand: full range, and a scale of 2."""
    rng = np.random.default_rng(1)
    limits = {"act": (-128, 128), "weight": (-127, 128), "bias": (-1000, 1000), "scale": (2, 3)}
    return {name: rng.integers(*limits[name], operand.shape, dtype=np.int64) for name, operand in operands.items()}


def memory_image(layer: dict[str, Any], operands: dict[str, Any], values: dict[str, Any], out: Any) -> Any:
    """The memory before the run; what must come out stands behind the operands. With it two addresses."""

    def end(operand: Any) -> int:
        return int(operand.addr + -(-operand.memory_size // 4096) * 4096)

    check = max(end(operand) for operand in (*operands.values(), out))
    scratch = check + -(-out.memory_size // 4096) * 4096
    address_bits = max(20, (scratch + (1 << 20) - 1).bit_length())
    image = np.zeros([(1 << address_bits) // 4], dtype=np.int64)
    align = {"act": "par_ich", "weight": "par_ich", "bias": "par_och", "scale": "par_och"}
    for name, operand in operands.items():
        words = max(-(-BUS_BITS // operand.dtype.width), layer[align[name]])
        axi.set_memory(image, values[name], BUS_BITS, operand.dtype.width, operand.addr, words)
    expected = ng.eval([out], **values)[0]
    words = max(-(-BUS_BITS // out.dtype.width), layer["par_och"])
    axi.set_memory(image, expected, BUS_BITS, out.dtype.width, check, words)
    return image, address_bits, check, scratch


def make_bench(
    target: Any, out: Any, memory_file: Path, image: Any, address_bits: int, check: int, scratch: int
) -> Any:
    """Starts the layer once, prints its cycles, and compares every output with what it must be."""
    m = Module("test")
    m.copy_params(target)
    ports = m.copy_sim_ports(target)
    clock, resetn = ports["CLK"], ports["RESETN"]
    reset = m.Wire("RST")
    reset.assign(Not(resetn))
    memory = axi.AxiMemoryModel(
        m, "memory", clock, reset, datawidth=BUS_BITS, mem_datawidth=BUS_BITS, mem_addrwidth=address_bits,
        memimg=image, memimg_name=str(memory_file), memimg_datawidth=BUS_BITS,
    )  # fmt: skip
    memory.connect(ports, "maxi")
    control = vthread.AXIMLite(m, "_saxi", clock, reset, noio=True)
    control.connect(ports, "saxi")
    time_counter = m.Reg("time_counter", 32, initval=0)
    Seq(m, "seq", clock, reset)(time_counter.inc())
    vectors, pitch, width = int(np.prod(out.shape[:-1])), out.aligned_shape[-1], out.shape[-1]

    # veriloggen compiles this function's source into a state machine: it must stay this plain.
    def run():  # type: ignore[no-untyped-def]
        for i in range(100):  # noqa: B007
            pass
        ng.sim.set_global_addrs(control, scratch)
        start_time = time_counter.value
        ng.sim.start(control)
        ng.sim.wait(control)
        end_time = time_counter.value
        print("# execution cycles: %d" % (end_time - start_time))  # noqa: UP031
        ok = True
        for v in range(vectors):
            for c in range(width):
                got = memory.read_word(v * pitch + c, out.addr, 8)
                wanted = memory.read_word(v * pitch + c, check, 8)
                if vthread.verilog.NotEql(got, wanted):
                    ok = False
        if ok:
            print("# verify: PASSED")
        else:
            print("# verify: FAILED")
        vthread.finish()

    vthread.Thread(m, "th_run", clock, reset, run).start()
    m.Instance(target, "uut", params=m.connect_params(target), ports=m.connect_ports(target))
    simulation.setup_clock(m, clock, hperiod=5)
    simulation.setup_reset(m, resetn, m.make_reset(), period=100, polarity="low")
    return m


def main(layer: dict[str, Any], folder: Path) -> None:
    """Generate, simulate, and write what came out."""
    sys.setrecursionlimit(100_000)
    veriloggen.reset()
    started = time.monotonic()
    operands, out = describe(layer)
    target = ng.to_veriloggen([out], "nngen_layer", silent=True, config={"maxi_datawidth": BUS_BITS})
    (folder / "design.v").write_text(target.to_verilog())
    result: dict[str, Any] = {"generate_seconds": round(time.monotonic() - started, 1)}

    started = time.monotonic()
    image, address_bits, check, scratch = memory_image(layer, operands, random_values(operands), out)
    bench = make_bench(target, out, folder / "memory.out", image, address_bits, check, scratch)
    printed = simulation.Simulator(bench, sim="verilator").run(outputfile=str(folder / "simulation"))
    cycles = re.search(r"execution cycles:\s*(\d+)", printed)
    verdict = re.search(r"verify: (\w+)", printed)
    if cycles is None or verdict is None:
        raise SystemExit(f"NNgen's simulation did not end: {printed[-400:]}")
    result |= {"cycles": int(cycles[1]), "bit_exact": verdict[1] == "PASSED"}
    result["simulate_seconds"] = round(time.monotonic() - started, 1)
    (folder / "result.json").write_text(json.dumps(result) + "\n")


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]).resolve())
