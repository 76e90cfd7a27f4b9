"""``cs-hdl run``: talk to a board, or to one that is simulated."""

from __future__ import annotations

import contextlib
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cs_hdl.board.catalogue import find_board
from cs_hdl.commands.console import Steps, output, print_json
from cs_hdl.commands.tables import facts, shape_text
from cs_hdl.errors import InputError, ResultError
from cs_hdl.frontend.arrays import load_array, save_array
from cs_hdl.host.accelerator import DEFAULT_BAUD

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cs_hdl.host import Accelerator

__all__ = ["run"]


def run(
    design: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="The design directory that the board must hold.")
    ] = None,
    port: Annotated[str | None, typer.Option(help="The board's serial port (/dev/ttyUSB0, COM3).")] = None,
    simulate: Annotated[
        Path | None, typer.Option(metavar="DIR", help="In place of a board: the design, simulated (Verilator).")
    ] = None,
    board: Annotated[str | None, typer.Option(help="The board, for its baud rate (cs-hdl boards).")] = None,
    baud: Annotated[int | None, typer.Option(min=1, help=f"Baud rate (default {DEFAULT_BAUD:,}).")] = None,
    input: Annotated[Path | None, typer.Option(metavar="X.npy", help="Words to infer.")] = None,
    output_file: Annotated[Path | None, typer.Option("--output", metavar="Y.npy", help="Where results go.")] = None,
    benchmark: Annotated[bool, typer.Option("--benchmark", help="Have the board measure itself.")] = False,
    timeout: Annotated[float | None, typer.Option(help="Seconds of silence that are no answer.")] = None,
    attempts: Annotated[int, typer.Option(min=1, help="So often a request is sent at most.")] = 3,
    mismatch: Annotated[
        float, typer.Option(help="With --simulate: by what share the host's clock is slower than the board's.")
    ] = 0.0,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Identify a board, infer words on it, have it measure itself.

    With --simulate the emitted Verilog of the whole board, serial port included, answers in its place; without --input
    and --benchmark it stays there, behind a pseudo-terminal whose name is printed, until Ctrl-C.
    """
    from cs_hdl.simulate.board import SIMULATED_TIMEOUT, simulated_board

    if (port is None) == (simulate is None):
        raise InputError("give --port (a board), or --simulate DIR (a simulated one)")
    if output_file is not None and input is None:
        raise InputError("--output needs --input")
    if baud is not None and board is not None:
        raise InputError("--baud and --board exclude each other: a board has its baud rate")
    if timeout is not None and not timeout > 0:
        raise InputError(f"--timeout {timeout:g}: must be above 0")
    words = None if input is None else load_array(input, what="input words")
    rate = baud or (DEFAULT_BAUD if board is None else find_board(board).serial.baud)
    with Steps() as step, contextlib.ExitStack() as stack:
        if simulate is not None:
            if design is not None and design != simulate:
                raise InputError("--simulate DIR names the design already; leave the other directory out")
            design = simulate
            port = stack.enter_context(simulated_board(simulate, mismatch=mismatch, progress=step))
            if words is None and not benchmark:
                _stay(port, step, as_json=json)
                return
        assert port is not None  # one of the two was given
        content = _talk(
            port,
            design,
            baud=rate,
            words=words,
            result_file=output_file,
            benchmark=benchmark,
            timeout=timeout or (2.0 if simulate is None else SIMULATED_TIMEOUT),
            attempts=attempts,
            step=step,
        )
    content = {"port": port, "simulated": simulate is not None, **content}
    if json:
        print_json(content)
    else:
        _show(content)
    if benchmark and content["benchmark"]["correct"] is False:
        raise ResultError("the board's own benchmark gave results that differ from the golden model's")


def _stay(port: str, step: Steps, *, as_json: bool) -> None:
    """Print where the board is, and let it be there."""
    step("the simulated board is there; Ctrl-C ends it")
    if as_json:
        print_json({"port": port})
    else:
        output().print(f"port [bold]{port}[/]: cs-hdl run --port {port} --input X.npy", soft_wrap=True)
    sys.stdout.flush()  # whoever waits for the name must get it
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        return


def _talk(
    port: str,
    design: Path | None,
    *,
    baud: int,
    words: NDArray[Any] | None,
    result_file: Path | None,
    benchmark: bool,
    timeout: float,
    attempts: int,
    step: Steps,
) -> dict[str, Any]:
    from cs_hdl.host import Accelerator

    step(f"asking {port}")
    accelerator = Accelerator(port, baud=baud, design=design, timeout=timeout, attempts=attempts)
    identity = accelerator.identify()  # by now the board has measured its clock
    content: dict[str, Any] = {
        "identity": {
            "digest": identity.digest.hex(),
            "clock_mhz": identity.clock_khz / 1e3,
            "input": {"shape": list(identity.input_shape), "dtype": identity.input_dtype},
            "output": {"shape": list(identity.output_shape), "dtype": identity.output_dtype},
        }
    }
    if words is not None:
        step(f"inferring {len(words) if words.ndim else 0} words")
        content["run"] = _infer(accelerator, words, result_file)
    if benchmark:
        step("the board measures itself")
        content["benchmark"] = _benchmark(accelerator, design)
    return content


def _infer(accelerator: Accelerator, words: NDArray[Any], result_file: Path | None) -> dict[str, Any]:
    started = time.monotonic()
    results = accelerator.infer(words)
    seconds = time.monotonic() - started
    dtype = accelerator.identity.output_dtype
    results = results.astype(dtype if dtype in ("uint8", "int8", "uint16") else "int32")
    if result_file is not None:
        save_array(result_file, results)
    return {
        "words": len(results),
        "seconds": round(seconds, 3),
        "words_per_second": round(len(results) / seconds, 1),
        "output": None if result_file is None else str(result_file),
        "first": results[0].tolist() if len(results) else None,
    }


def _benchmark(accelerator: Accelerator, design: Path | None) -> dict[str, Any]:
    """What the board counted; ``correct`` is None where there is no design directory to compare with."""
    import numpy as np

    from cs_hdl.emit.manifest import read_manifest
    from cs_hdl.golden.dense import run_dense
    from cs_hdl.host import checksum, pack_values, stored_values
    from cs_hdl.host.values import bytes_of
    from cs_hdl.network import load_network

    figures = accelerator.benchmark()
    identity = accelerator.identify()
    correct = None
    if design is not None:
        manifest, network = read_manifest(design), load_network(design / "network.npz")
        stored = stored_values(identity).astype(np.dtype(network.input.dtype))
        golden = [pack_values(result, identity.output_dtype) for result in run_dense(network, stored)]
        port = manifest["output"]
        beat = port["values_per_beat"] * bytes_of(port["dtype"])
        whole = beat * port["beats"]
        wanted = checksum(
            (golden[number % len(golden)].ljust(whole, b"\0") for number in range(figures.words)), bytes_per_beat=beat
        )
        correct = wanted == figures.checksum and figures.faults == 0
    return {
        "words": figures.words,
        "cycles": figures.cycles,
        "cycles_per_word": round(figures.cycles / figures.words, 3),
        "clock_mhz": identity.clock_khz / 1e3,
        "words_per_second": round(figures.words_per_second(identity.clock_khz), 1),
        "faults": figures.faults,
        "correct": correct,
    }


def _show(content: dict[str, Any]) -> None:
    identity = content["identity"]
    rows = {
        "board": f"{content['port']}{' (simulated)' if content['simulated'] else ''}, design {identity['digest']}",
        "input": f"{shape_text(tuple(identity['input']['shape']))} {identity['input']['dtype']}",
        "output": f"{shape_text(tuple(identity['output']['shape']))} {identity['output']['dtype']}",
        "clock": f"{identity['clock_mhz']:,.3f} MHz, measured on the board",
    }
    if "run" in content:
        done = content["run"]
        where = "" if done["output"] is None else f" to [bold]{done['output']}[/]"
        rows["inferred"] = f"{done['words']:,} words{where} in {done['seconds']:.2f} s, the link included"
    if "benchmark" in content:
        own = content["benchmark"]
        verdict = {True: "[green]all results right[/]", False: "[red]wrong results[/]", None: "not compared"}
        rows["benchmark"] = (
            f"[bold]{own['words_per_second']:,.0f} words/s[/] counted on the board: {own['words']:,} words in "
            f"{own['cycles']:,} cycles, {verdict[own['correct']]}"
        )
    output().print(facts(rows))
