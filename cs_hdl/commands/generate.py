"""``cs-hdl generate``: a model, or one kernel, to a design directory."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from cs_hdl.commands.console import Steps, human_time, output, print_json
from cs_hdl.commands.device_table import refused_plan
from cs_hdl.commands.parse import parse_max_pool, parse_padding, parse_pair
from cs_hdl.commands.tables import explanation_text, facts, layer_table, port_text
from cs_hdl.errors import InputError
from cs_hdl.network import Network

__all__ = ["generate", "read_network"]

_KERNEL = "conv and linear"
_CONV = "conv"
_LINEAR = "linear"
_PLAN = "planning"

_Number = int | None
_Text = str | None
_File = Path | None


def generate(
    model: Annotated[
        str, typer.Argument(metavar="MODEL.onnx|NAME|conv|linear", help="An ONNX file, a shipped model, or a kernel.")
    ],
    out: Annotated[Path, typer.Option(help="The design directory to write.", metavar="DIR")],
    board: Annotated[_Text, typer.Option(help="Plan for this board (cs-hdl boards).", rich_help_panel=_PLAN)] = None,
    device: Annotated[_Text, typer.Option(help="Plan for this FPGA.", rich_help_panel=_PLAN)] = None,
    cycles: Annotated[
        _Number, typer.Option(help="Cycles a word at most (default: the fewest that fit).", rich_help_panel=_PLAN)
    ] = None,
    words_per_second: Annotated[
        float | None, typer.Option(help="The same, at the board's clock.", rich_help_panel=_PLAN)
    ] = None,
    mode: Annotated[_Text, typer.Option(help="sparse-sparse, sparse-dense or dense.", rich_help_panel=_PLAN)] = None,
    name: Annotated[str, typer.Option(help="Name of the top module.")] = "cs_accelerator",
    kernel: Annotated[_Text, typer.Option(metavar="HxW", help="Kernel size.", rich_help_panel=_CONV)] = None,
    in_channels: Annotated[_Number, typer.Option(help="Input channels.", rich_help_panel=_CONV)] = None,
    out_channels: Annotated[_Number, typer.Option(help="Output channels.", rich_help_panel=_CONV)] = None,
    input: Annotated[_Text, typer.Option(metavar="HxW", help="Size of the input.", rich_help_panel=_CONV)] = None,
    stride: Annotated[_Text, typer.Option(metavar="N|SHxSW", help="Stride (default 1).", rich_help_panel=_CONV)] = None,
    padding: Annotated[
        _Text, typer.Option(metavar="N|T,L,B,R", help="Zeros around (default 0).", rich_help_panel=_CONV)
    ] = None,
    groups: Annotated[_Number, typer.Option(help="Groups of channels (default 1).", rich_help_panel=_CONV)] = None,
    max_pool: Annotated[
        _Text,
        typer.Option(metavar="N[:STRIDE[:PAD]]", help="Max-pooling behind it; needs --scale.", rich_help_panel=_CONV),
    ] = None,
    in_features: Annotated[_Number, typer.Option(help="Input features.", rich_help_panel=_LINEAR)] = None,
    out_features: Annotated[_Number, typer.Option(help="Output features.", rich_help_panel=_LINEAR)] = None,
    input_dtype: Annotated[_Text, typer.Option(help="uint8 (default) or int8.", rich_help_panel=_KERNEL)] = None,
    weight_sparsity: Annotated[
        float | None, typer.Option(help="Share of zeros in a random complementary mask.", rich_help_panel=_KERNEL)
    ] = None,
    weights: Annotated[
        _File, typer.Option(metavar="W.npy", help="int8 weights in place of random ones.", rich_help_panel=_KERNEL)
    ] = None,
    bias: Annotated[_File, typer.Option(metavar="B.npy", help="int32 bias.", rich_help_panel=_KERNEL)] = None,
    scale: Annotated[
        _Text,
        typer.Option(
            metavar="M/2^S|X|FILE.npy", help="Requantise to uint8 (default: accumulators).", rich_help_panel=_KERNEL
        ),
    ] = None,
    active_inputs: Annotated[
        _Number, typer.Option(metavar="K", help="A k-WTA in front, k = K.", rich_help_panel=_KERNEL)
    ] = None,
    winners: Annotated[
        _Number, typer.Option(metavar="K", help="A k-WTA behind, k = K; needs --scale.", rich_help_panel=_KERNEL)
    ] = None,
    seed: Annotated[_Number, typer.Option(help="Of the random weights (default 1).", rich_help_panel=_KERNEL)] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Write Verilog for a quantised network, or for one kernel, to a design directory."""
    from cs_hdl.commands.target import cycles_for_rate, find_target
    from cs_hdl.emit.design import check_target, write_design
    from cs_hdl.emit.verilog import check_module_name
    from cs_hdl.plan.bound import fewest_cycles
    from cs_hdl.plan.planner import explain, make_plan

    check_module_name(name)
    target = find_target(board=board, device=device)
    options = {
        "kernel": kernel, "in_channels": in_channels, "out_channels": out_channels, "input": input, "stride": stride,
        "padding": padding, "groups": groups, "max_pool": max_pool, "in_features": in_features,
        "out_features": out_features, "input_dtype": input_dtype, "weight_sparsity": weight_sparsity,
        "weights": weights, "bias": bias, "scale": scale, "active_inputs": active_inputs, "winners": winners,
        "seed": seed,
    }  # fmt: skip
    given = {key: value for key, value in options.items() if value is not None}
    check_target(out)
    started = time.monotonic()
    with Steps() as step:
        step(f"reading {model}")
        network, source = read_network(model, given)
        step("packing and planning")
        if words_per_second is not None:
            cycles = cycles_for_rate(target, words_per_second, cycles)
        try:
            plan = make_plan(network, limits=target.limits, cycles=cycles, mode=mode)
        except InputError as error:
            step("what each layer needs")
            raise refused_plan(error, network, target.limits, cycles=cycles) from None
        manifest = write_design(plan, out, name=name, source=source, progress=step)
    seconds = round(time.monotonic() - started, 3)
    bound = fewest_cycles(network, limits=target.limits, mode=mode)
    why = explanation_text(explain(plan), bound, cycles=plan.cycles_per_word, limits=target.limits)
    size = (out / "design.v").stat().st_size
    if json:
        print_json(
            {
                "design": str(out),
                "device": target.limits.name,
                "bytes": size,
                "seconds": seconds,
                "why": why,
                **manifest,
            }
        )
        return
    _show(manifest, why, out=out, device=target.limits.name, size=size, seconds=seconds)


def read_network(model: str, given: dict[str, Any]) -> tuple[Network, str]:
    """The network that ``model`` and the options ``given`` mean, and where it came from, in words.

    Raises InputError for options that the kind does not take or that it lacks.
    """
    from cs_hdl.frontend.kernel import ConvOptions, LinearOptions, make_conv, make_linear

    common = {"input_dtype", "weight_sparsity", "weights", "bias", "scale", "active_inputs", "winners", "seed"}
    if model == "conv":
        required = {"kernel", "in_channels", "out_channels", "input"}
        _check_options(model, given, required=required, allowed=common | {"stride", "padding", "groups", "max_pool"})
        values = dict(given)
        for key in ("kernel", "input"):
            values[key] = parse_pair(f"--{key}", given[key])
        if "stride" in given:
            values["stride"] = parse_pair("--stride", given["stride"], single=True)
        if "padding" in given:
            values["padding"] = parse_padding(given["padding"])
        if "max_pool" in given:
            values["max_pool"] = parse_max_pool(given["max_pool"])
        return make_conv(ConvOptions(**values)), _describe(model, given)
    if model == "linear":
        _check_options(model, given, required={"in_features", "out_features"}, allowed=common)
        return make_linear(LinearOptions(**given)), _describe(model, given)
    _check_options(model, given, required=set(), allowed=set())
    return _read_model(model)


def _read_model(model: str) -> tuple[Network, str]:
    from cs_hdl.frontend.onnx import read_onnx
    from cs_hdl.models import find_onnx, models

    path = find_onnx(model)
    if path is None:
        names = ", ".join(known.name for known in models())
        raise InputError(f"{model}: no ONNX file, no shipped model ({names}), and neither conv nor linear")
    shipped = path != Path(model)
    return read_onnx(path), f"the shipped model {model}" if shipped else path.name


def _describe(model: str, given: dict[str, Any]) -> str:
    # Names of files only: the design must not depend on where they are.
    parts = (f"--{key.replace('_', '-')} {v.name if isinstance(v, Path) else v}" for key, v in sorted(given.items()))
    return " ".join((model, *parts))


def _check_options(model: str, given: dict[str, Any], *, required: set[str], allowed: set[str]) -> None:
    def names(keys: set[str]) -> str:
        return ", ".join(f"--{key.replace('_', '-')}" for key in sorted(keys))

    if unknown := set(given) - required - allowed:
        kind = model if model in ("conv", "linear") else "a model"
        raise InputError(f"{names(unknown)}: not an option of generate for {kind}")
    if missing := required - set(given):
        raise InputError(f"generate {model} needs {names(missing)}")


def _show(manifest: dict[str, Any], why: dict[str, str], *, out: Path, device: str, size: int, seconds: float) -> None:
    console = output()
    console.print(layer_table(manifest, width=console.width))
    dense = sum(layer["macs_dense"] for layer in manifest["layers"])
    sparse = sum(layer["macs_sparse"] for layer in manifest["layers"])
    rows = {
        "input": port_text(manifest["input"]),
        "output": port_text(manifest["output"]),
        "rate": f"[bold]{manifest['cycles_per_word']:,} cycles a word[/], latency {manifest['latency_cycles']:,}",
        "saved": f"{dense / max(1, sparse):.1f} times fewer multiplications than dense",
        "planned for": device,
        **why,
        "Verilog": f"[bold]{out / 'design.v'}[/], {_size(size)}, written in {human_time(seconds)}",
    }
    console.print(facts(rows))
    console.print(f"\nNext: [cyan]cs-hdl simulate {out}[/]", soft_wrap=True)


def _size(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{math.ceil(size / 1000)} kB"
