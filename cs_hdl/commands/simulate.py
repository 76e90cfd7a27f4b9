"""``cs-hdl simulate``: the emitted Verilog against the golden model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cs_hdl.commands.console import Steps, human_time, output, print_json, show_error
from cs_hdl.commands.tables import facts
from cs_hdl.errors import InputError, ResultError
from cs_hdl.frontend.arrays import load_array, save_array
from cs_hdl.simulate.simulate import SimulationResult, check_result
from cs_hdl.simulate.simulate import simulate as run_simulation

__all__ = ["show_simulation", "simulate"]


def simulate(
    design: Annotated[Path, typer.Argument(metavar="DIR", help="The design directory.")],
    input: Annotated[
        Path | None, typer.Option(metavar="X.npy", help="Words [n, height, width, channel]; random without it.")
    ] = None,
    output_file: Annotated[
        Path | None, typer.Option("--output", metavar="Y.npy", help="Where the hardware's outputs go.")
    ] = None,
    simulator: Annotated[str, typer.Option(help="verilator or icarus.")] = "verilator",
    backpressure: Annotated[
        bool, typer.Option("--backpressure", help="Also with random pauses on both sides, by an independent driver.")
    ] = False,
    wrong_lengths: Annotated[
        bool, typer.Option("--wrong-lengths", help="Also words whose tlast comes early or late, with random pauses.")
    ] = False,
    waves: Annotated[Path | None, typer.Option(metavar="F", help="Waveforms; F ends in .vcd or .fst.")] = None,
    words: Annotated[int, typer.Option(help="Random words without --input.")] = 20,
    seed: Annotated[int, typer.Option(help="Of the random words and pauses.")] = 1,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Run the emitted Verilog under cocotb and compare every value with the golden model."""
    if words < 1 or seed < 0:
        raise InputError(f"--words {words}, --seed {seed}: at least 1 word, and a seed that is not negative")
    data = None if input is None else load_array(input, what="input words")
    with Steps() as step:
        result = run_simulation(
            design,
            words=data,
            random_count=words,
            simulator=simulator,
            backpressure=backpressure,
            wrong_lengths=wrong_lengths,
            waves=waves,
            seed=seed,
            progress=step,
        )
    if output_file is not None:
        save_array(output_file, result.outputs)
    if not json:
        show_simulation(result)
        check_result(result)
        return
    error = {"error": "\n".join(result.problems)} if result.problems else {}
    print_json(result.as_json() | error)
    if error:
        show_error(error["error"])
        raise typer.Exit(ResultError.exit_code)


def show_simulation(result: SimulationResult) -> None:
    """The table that ends a simulation."""

    def against(measured: float, stated: float) -> str:
        verdict = "[green]as stated[/]" if measured == stated else f"[red]the manifest states {stated:,g}[/]"
        return f"[bold]{measured:,g}[/], {verdict}"

    verdict = "[green]all equal to the golden model[/]" if not result.mismatches else "[red]WRONG[/]"
    rows = {
        "words": f"{result.words:,}, {result.values:,} values",
        "mismatches": f"[bold]{result.mismatches:,}[/], {verdict}",
        "cycles a word": against(result.cycles_per_word, result.expected_cycles_per_word),
        "latency": against(result.latency_cycles, result.expected_latency_cycles),
        "simulator": f"{result.simulator}, {result.cycles:,} cycles at full rate, {human_time(result.seconds)} in all",
    }
    for name, run in (("random pauses", result.back_pressure), ("wrong lengths", result.wrong_lengths)):
        if run is not None:
            rows[name] = f"{run['words']:,} words, {run['mismatches']:,} mismatches"
    output().print(facts(rows))
