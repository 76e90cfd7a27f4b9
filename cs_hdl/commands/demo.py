"""``cs-hdl demo``: from a trained network and real images to a bitstream, on one screen."""

from __future__ import annotations

import dataclasses
import time
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from cs_hdl.commands.build import build_report, show_build
from cs_hdl.commands.console import Steps, human_time, output, print_json
from cs_hdl.commands.tables import facts, layer_table, shape_text
from cs_hdl.commands.target import DEFAULT_BOARD
from cs_hdl.report.comparison import DenseComparison, accuracy, compare_with_dense
from cs_hdl.simulate.environment import find_simulator
from cs_hdl.simulate.simulate import SimulationResult, check_result
from cs_hdl.simulate.simulate import simulate as run_simulation

__all__ = ["demo"]


def demo(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the design goes.")] = Path("demo-out/digits"),
    board: Annotated[str, typer.Option(help="The board that the bitstream is for.")] = DEFAULT_BOARD,
    images: Annotated[int, typer.Option(min=1, help="Test images at most.")] = 360,
    seed: Annotated[int, typer.Option(help="Of place and route.")] = 1,
    tries: Annotated[int, typer.Option(min=1, help="So many seeds at most, until the board's usual clock is met.")] = 1,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Handwritten digits: trained network, Verilog, test images through the hardware, bitstream."""
    from cs_hdl.build.tools import require_tool
    from cs_hdl.commands.target import find_target
    from cs_hdl.datasets.digits import load_digits_split
    from cs_hdl.emit.design import check_target, write_design
    from cs_hdl.frontend.onnx import read_onnx
    from cs_hdl.models import find_model
    from cs_hdl.plan.planner import make_plan

    # What is missing is said before minutes have gone into the rest.
    check_target(out)
    target = find_target(board=board, device=None)
    find_simulator("verilator")
    for name in ("yosys", "nextpnr-ecp5", "ecppack"):
        require_tool(name)
    words, labels = (array[:images] for array in load_digits_split("test"))
    console = Console(quiet=True) if json else output()
    console.rule("[bold]Handwritten digits, from a trained network to a bitstream")

    with Steps() as step:
        step("reading digits.onnx")
        network = read_onnx(find_model("digits").path)
        step("packing and planning")
        started = time.monotonic()
        plan = make_plan(network, limits=target.limits)
        manifest = write_design(plan, out, source="the shipped model digits", progress=step)
        seconds = time.monotonic() - started
    size = (out / "design.v").stat().st_size
    console.print(layer_table(manifest, width=console.width))
    verilog = f"{out / 'design.v'}, {size / 1000:,.0f} kB, {human_time(seconds)}"
    console.print(facts(_story(manifest) | {"Verilog": verilog}))

    # Place and route takes minutes on one core: it runs beside the simulation, which takes the other.
    with ThreadPoolExecutor(max_workers=1) as pool:
        phase = _Phase()
        building = pool.submit(build_report, out, board, seed=seed, tries=tries, clock_mhz=None, progress=phase)
        with Steps() as step:
            simulation = run_simulation(out, words=words, progress=step)
        share = accuracy(simulation.outputs, labels)
        console.print(facts(_simulation_rows(simulation, share)))
        with Steps() as step:
            while not wait([building], timeout=0.2).done:
                step(phase.name)
        report = building.result()
    check_result(simulation)
    comparison = compare_with_dense(manifest, clock_mhz=report["clock_mhz"])
    if json:
        print_json(
            {
                "manifest": manifest,
                "simulation": simulation.as_json(),
                "accuracy": share,
                "report": report,
                "comparison": dataclasses.asdict(comparison),
            }
        )
    else:
        show_build(report)
        console.print(facts(_verdict(comparison)))


class _Phase:
    """Keeps the last step that a build in another thread has told."""

    def __init__(self) -> None:
        self.name = "synthesis"

    def __call__(self, name: str) -> None:
        self.name = name


def _story(manifest: dict[str, Any]) -> dict[str, str]:
    """What sparsity and packing saved."""
    layers = [layer for layer in manifest["layers"] if layer["weights"]]
    weights, nonzeros = (sum(layer[key] for layer in layers) for key in ("weights", "nonzeros"))
    dense, sparse = (sum(layer[key] for layer in layers) for key in ("macs_dense", "macs_sparse"))
    winners = ", ".join(
        f"{layer['winners']} of {layer['output'][2]} ({1 - layer['winners'] / layer['output'][2]:.0%} sparse)"
        for layer in manifest["layers"]
        if "KWTA" in layer["kind"]
    )
    packed = "; ".join(
        f"{layer['name']} {layer['output'][2]} kernels in {layer['sets']} sets"
        for layer in layers
        if layer["mode"] == "sparse-sparse"
    )
    return {
        "input": f"{shape_text(manifest['input']['shape'])} {manifest['input']['dtype']}",
        "weights": f"{nonzeros:,} of {weights:,} left: {1 - nonzeros / weights:.1%} sparse",
        "activations": f"k-WTA leaves {winners}",
        "packing": packed,
        "saved": f"[bold]{dense:,} multiplications dense, {sparse:,} left: {dense / sparse:.1f} times fewer[/]",
    }


def _simulation_rows(simulation: SimulationResult, share: float) -> dict[str, str]:
    exact = "[green]bit-exact[/]" if not simulation.mismatches else f"[red]{simulation.mismatches} mismatches[/]"
    return {
        "images": f"[bold]{simulation.words}[/] test images through the Verilog ({simulation.simulator}): {exact}",
        "accuracy": f"[bold]{share:.1%}[/] against the labels",
        "cycles": f"{simulation.expected_cycles_per_word:,} an image stated, "
        f"[bold]{simulation.cycles_per_word:,g} measured[/]; latency {simulation.latency_cycles:,}",
    }


def _verdict(comparison: DenseComparison) -> dict[str, str]:
    c = comparison
    return {
        "images/s": f"[bold green]{c.words_per_second:,.0f}[/]",
        "dense bound": f"{c.dense_bound:,.0f} on {c.multipliers} multipliers, each busy in every cycle: "
        f"[bold]{c.speedup:.1f} times slower[/]",
        "": f"{c.dense_bound_with_constants:,.0f} if our {c.constant_multipliers} constant multipliers (adders only) "
        f"count as well: {c.speedup_with_constants:.1f} times",
    }
