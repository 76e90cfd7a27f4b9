"""``cs-hdl live``: a page in the browser where a digit is drawn, or a word is said, and recognised."""

from __future__ import annotations

import contextlib
import sys
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from cs_hdl.board.catalogue import find_board
from cs_hdl.commands.console import Steps, output, print_json
from cs_hdl.commands.target import DEFAULT_BOARD
from cs_hdl.errors import InputError

if TYPE_CHECKING:
    from cs_hdl.live.recogniser import Timing
    from cs_hdl.models import Model
    from cs_hdl.network import Network

__all__ = ["live", "read_network", "read_timing"]


def live(
    design: Annotated[
        str,
        typer.Argument(metavar="[DIR|NAME]", help="A design directory, or a shipped model: of digits or of speech."),
    ] = "digits",
    clips: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Speech: a Speech Commands folder, for clips to try.")
    ] = None,
    port: Annotated[str | None, typer.Option(help="Ask the board at this serial port.")] = None,
    simulate: Annotated[bool, typer.Option("--simulate", help="Ask the simulated board (needs DIR).")] = False,
    board: Annotated[str, typer.Option(help="The board, for its clock and baud rate.")] = DEFAULT_BOARD,
    http_port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the page; 0 takes a free one.")] = 8000,
    host: Annotated[
        str, typer.Option(help="Address of the page; others than this one let other machines in.")
    ] = "127.0.0.1",
    open_browser: Annotated[bool, typer.Option("--open", help="Open it in a browser.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object, when the page is there.")] = False,
) -> None:
    """Draw a digit or say a word in the browser: scores, winners and cycles, of golden model, simulation or board."""
    from cs_hdl.host import Accelerator
    from cs_hdl.live.recogniser import Recogniser
    from cs_hdl.live.server import make_server
    from cs_hdl.live.task import find_task
    from cs_hdl.simulate.board import SIMULATED_TIMEOUT, simulated_board

    known = find_board(board)
    if simulate and port is not None:
        raise InputError("--simulate and --port exclude each other")
    folder = Path(design) if Path(design).is_dir() else None
    if folder is None and (simulate or port is not None):
        raise InputError(f"{design}: no design directory; a board needs one (cs-hdl generate {design} --out DIR)")
    with Steps() as step, contextlib.ExitStack() as stack:
        step(f"reading {design}")
        network, model = read_network(design)
        task = find_task(network, clips=clips)  # before it is planned or simulated, which takes longer
        timing = read_timing(design, network, board)
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
        trained = model is None or model.trained
        recogniser = Recogniser(
            network,
            timing=timing,
            board=accelerator,
            source=source,
            summary="" if model is None else model.summary,
            trained=trained,
        )
        server = make_server(recogniser, task, host=host, port=http_port)
        address = f"http://{host}:{server.server_address[1]}/"
        step(f"the page is there ({source}{'' if trained else ', UNTRAINED: random weights'}); Ctrl-C ends it")
        if json:
            print_json({"address": address, "source": source, "network": network.name, "trained": trained})
            sys.stdout.flush()  # whoever waits for the address must get it
        else:
            output().print(address, soft_wrap=True)
        if open_browser:
            webbrowser.open(address)
        with server, contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()


def read_network(design: str) -> tuple[Network, Model | None]:
    """The network of a design directory or of a shipped model; and the shipped model that it is, None for others."""
    from cs_hdl.emit.design import check_design
    from cs_hdl.frontend.onnx import read_onnx
    from cs_hdl.models import find_model, models
    from cs_hdl.network import load_network

    folder = Path(design)
    if not folder.is_dir():
        model = find_model(design)
        return read_onnx(model.path), model
    check_design(folder)
    network = load_network(folder / "network.npz")
    known = [model for model in models() if model.name == network.name]
    # A network of somebody else may have the same name.
    return network, next((model for model in known if _same_weights(read_onnx(model.path), network)), None)


def read_timing(design: str, network: Network, board: str) -> Timing:
    """Cycles of a design directory, or of the plan that a shipped model's ``network`` would get for ``board``.

    The clock is that of the bitstream where one was built, otherwise the board's usual one.
    """
    from cs_hdl.commands.target import find_target
    from cs_hdl.emit.manifest import read_manifest
    from cs_hdl.live.recogniser import Timing
    from cs_hdl.plan.planner import make_plan

    built = None
    folder = Path(design)
    if folder.is_dir():
        manifest = read_manifest(folder)
        latency, cycles = manifest["latency_cycles"], manifest["cycles_per_word"]
        built = _built_clock(folder / "build" / board / "report.json")
    else:
        plan = make_plan(network, limits=find_target(board=board, device=None).limits)
        latency, cycles = plan.latency_cycles, plan.cycles_per_word
    clock = find_board(board).clock_mhz if built is None else built
    return Timing(latency_cycles=latency, cycles_per_word=cycles, clock_mhz=clock, built=built is not None)


def _same_weights(one: Network, other: Network) -> bool:
    ours, theirs = ([layer.weights for layer, _ in network.weighted] for network in (one, other))
    return len(ours) == len(theirs) and all(map(np.array_equal, ours, theirs))


def _built_clock(report: Path) -> float | None:
    import json

    try:
        return float(json.loads(report.read_text())["clock_mhz"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
