"""``cs-hdl live``: a page in the browser where a digit is drawn and recognised."""

from __future__ import annotations

import contextlib
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cs_hdl.board.catalogue import find_board
from cs_hdl.commands.console import Steps, output
from cs_hdl.commands.target import DEFAULT_BOARD
from cs_hdl.errors import InputError, ToolError

if TYPE_CHECKING:
    from cs_hdl.live.recogniser import Timing
    from cs_hdl.network import Network

__all__ = ["live", "load_samples", "read_design"]


def live(
    design: Annotated[
        str, typer.Argument(metavar="[DIR|NAME]", help="A design directory, or a shipped model.")
    ] = "digits",
    port: Annotated[str | None, typer.Option(help="Ask the board at this serial port.")] = None,
    simulate: Annotated[bool, typer.Option("--simulate", help="Ask the simulated board (needs DIR).")] = False,
    board: Annotated[str, typer.Option(help="The board, for its clock and baud rate.")] = DEFAULT_BOARD,
    http_port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the page; 0 takes a free one.")] = 8000,
    host: Annotated[
        str, typer.Option(help="Address of the page; others than this one let other machines in.")
    ] = "127.0.0.1",
    open_browser: Annotated[bool, typer.Option("--open", help="Open it in a browser.")] = False,
) -> None:
    """Draw a digit in the browser: scores, winners of each k-WTA and cycles, of golden model, simulation or board."""
    from cs_hdl.host import Accelerator
    from cs_hdl.live.recogniser import Recogniser
    from cs_hdl.live.server import make_server
    from cs_hdl.simulate.board import SIMULATED_TIMEOUT, simulated_board

    known = find_board(board)
    if simulate and port is not None:
        raise InputError("--simulate and --port exclude each other")
    folder = Path(design) if Path(design).is_dir() else None
    if folder is None and (simulate or port is not None):
        raise InputError(f"{design}: no design directory; a board needs one (cs-hdl generate {design} --out DIR)")
    with Steps() as step, contextlib.ExitStack() as stack:
        step(f"reading {design}")
        network, timing = read_design(design, board)
        accelerator, source = None, "golden model"
        if simulate:
            assert folder is not None  # checked above
            port = stack.enter_context(simulated_board(folder, progress=step))
            accelerator = Accelerator(port, design=folder, timeout=SIMULATED_TIMEOUT)
            source = "simulated board"
        elif port is not None:
            step(f"asking {port}")
            accelerator = Accelerator(port, baud=known.serial.baud, design=folder)
            source = f"board at {port}"
        recogniser = Recogniser(network, timing=timing, board=accelerator, source=source)
        server = make_server(recogniser, host=host, port=http_port, samples=load_samples())
        address = f"http://{host}:{server.server_address[1]}/"
        step(f"the page is there ({source}); Ctrl-C ends it")
        output().print(address, soft_wrap=True)
        if open_browser:
            webbrowser.open(address)
        with server, contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()


def read_design(design: str, board: str) -> tuple[Network, Timing]:
    """The network of a design directory, or of a shipped model as it would be planned for ``board``; and its timing.

    The clock is that of the bitstream where one was built, otherwise the board's usual one.
    """
    from cs_hdl.commands.target import find_target
    from cs_hdl.emit.design import check_design
    from cs_hdl.frontend.onnx import read_onnx
    from cs_hdl.live.recogniser import Timing, check_digits
    from cs_hdl.models import find_model
    from cs_hdl.network import load_network
    from cs_hdl.plan.planner import make_plan

    clock = find_board(board).clock_mhz
    folder = Path(design)
    if folder.is_dir():
        manifest = check_design(folder)
        network = load_network(folder / "network.npz")
        latency, cycles = manifest["latency_cycles"], manifest["cycles_per_word"]
        clock = _built_clock(folder / "build" / board / "report.json") or clock
    else:
        network = read_onnx(find_model(design).path)
        check_digits(network)  # before it is planned, which takes longer
        plan = make_plan(network, limits=find_target(board=board, device=None).limits)
        latency, cycles = plan.latency_cycles, plan.cycles_per_word
    return network, Timing(latency_cycles=latency, cycles_per_word=cycles, clock_mhz=clock)


def _built_clock(report: Path) -> float | None:
    import json

    try:
        return float(json.loads(report.read_text())["clock_mhz"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def load_samples() -> Callable[[int], Any]:
    """Pixels and label of the test image with a number, from the first on again behind the last; None without any."""
    from cs_hdl.datasets.digits import load_digits_split

    try:
        images, labels = load_digits_split("test")
    except ToolError:
        return lambda number: None
    return lambda number: {
        "pixels": images[number % len(images)].reshape(-1).tolist(),
        "label": int(labels[number % len(labels)]),
    }
