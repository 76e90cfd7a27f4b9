"""``cs-hdl evaluate``: a model's accuracy in float, in integers and in hardware, and which layer loses it."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rich import box
from rich.table import Table

from cs_hdl.commands.console import Steps, human_time, output, print_json, show_error
from cs_hdl.commands.tables import facts
from cs_hdl.errors import InputError, ResultError
from cs_hdl.report.comparison import right_answers

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from cs_hdl.frontend.onnx import OnnxModel
    from cs_hdl.report.quality import LayerQuality

__all__ = ["evaluate"]

_TITLES = {
    "original": "original float model (onnxruntime)",
    "float": "float: no rounding between layers",
    "onnxruntime": "onnxruntime, the file as it is",
    "integer": "integers (golden model)",
    "hardware": "simulated Verilog",
}


def evaluate(
    model: Annotated[str, typer.Argument(metavar="MODEL.onnx|NAME", help="A quantised ONNX file or a shipped model.")],
    data: Annotated[
        str, typer.Option(metavar="digits|FOLDER|X.npz", help="digits, a Speech Commands folder, x and y.")
    ],
    split: Annotated[str, typer.Option(help="train, validation or test (an .npz has none).")] = "test",
    words: Annotated[int | None, typer.Option(min=1, help="So many words, drawn by --seed (default: all).")] = None,
    hardware_words: Annotated[
        int, typer.Option(min=0, help="Words that the emitted Verilog is simulated with; 0: none.")
    ] = 20,
    float_model: Annotated[
        Path | None, typer.Option(metavar="F.onnx", help="The model before it was quantised, for comparison.")
    ] = None,
    board: Annotated[str | None, typer.Option(help="Plan the simulated hardware for this board.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Draws the words, and those that are simulated.")] = 1,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure a model's accuracy in float, in integers and in simulated hardware, and what each layer loses."""
    from cs_hdl.datasets.evaluation import load_labelled
    from cs_hdl.report.quality import run_both

    started = time.monotonic()
    problems: list[str] = []
    with Steps() as step:
        step(f"reading {model}")
        path, read = _read(model)
        step(f"reading {data}")
        labelled = load_labelled(data, split=split)
        # Words of a data set often stand in the order of their classes.
        drawn = np.sort(np.random.default_rng(seed).permutation(len(labelled.labels))[:words])
        inputs, labels = labelled.words[drawn], labelled.labels[drawn]
        _check_labels(read, labels, labelled.name)
        step("golden model, and the same without rounding")
        both = run_both(read.network, inputs)
        results = {"float": _accuracy(_real(read, both.real), labels)}
        if float_model is not None:
            step(f"onnxruntime on {float_model.name}")
            results = {"original": _accuracy(_onnxruntime(float_model, read, inputs), labels)} | results
        step("onnxruntime")
        theirs = _onnxruntime(path, read, inputs)
        ours = _real(read, both.integer)
        results["onnxruntime"] = _accuracy(theirs, labels)
        results["integer"] = _accuracy(ours, labels)
        equal = float(np.mean(theirs.reshape(len(inputs), -1) == ours.reshape(len(inputs), -1)))
        if hardware_words:
            chosen = np.random.default_rng(seed).permutation(len(inputs))[:hardware_words]
            chosen.sort()
            outputs, problems = _simulate(read, inputs[chosen], board=board, step=step)
            results["hardware"] = _accuracy(_real(read, outputs), labels[chosen])
            results["hardware"]["integer_on_the_same"] = _accuracy(ours[chosen], labels[chosen])["accuracy"]
    content: dict[str, Any] = {
        "model": model,
        "data": labelled.name,
        "words": len(inputs),
        "accuracy": results,
        "values_equal_to_onnxruntime": equal,
        "layers": [dataclasses.asdict(layer) for layer in both.layers],
        "seconds": round(time.monotonic() - started, 2),
    }
    if problems:
        content["error"] = "\n".join(problems)
    if json:
        print_json(content)
    else:
        _show(content, both.layers)
    if problems:
        show_error(content["error"])
        raise typer.Exit(ResultError.exit_code)


def _read(model: str) -> tuple[Path, OnnxModel]:
    from cs_hdl.frontend.onnx import read_onnx_model
    from cs_hdl.models import find_onnx, models

    path = find_onnx(model)
    if path is None:
        names = ", ".join(known.name for known in models())
        raise InputError(f"{model}: neither an ONNX file nor a shipped model ({names})")
    return path, read_onnx_model(path)


def _check_labels(model: OnnxModel, labels: NDArray[np.int64], name: str) -> None:
    from cs_hdl.network import ArgMax

    network = model.network
    last = network.layers[-1]
    classes = network.tensors[-2].size if isinstance(last, ArgMax) else network.output.size
    bad = labels[(labels < 0) | (labels >= classes)]
    if bad.size:
        raise InputError(f"{name}: label {bad[0]}, but {network.name} has {classes} classes (0..{classes - 1})")


def _real(model: OnnxModel, outputs: NDArray[Any]) -> NDArray[np.float64]:
    """Outputs as the model's real numbers: scores, or the class's index."""
    return np.asarray(outputs.reshape(len(outputs), -1) * model.output_scale, dtype=np.float64)


def _accuracy(scores: NDArray[Any], labels: NDArray[np.int64]) -> dict[str, Any]:
    right = int(np.count_nonzero(right_answers(scores, labels)))
    return {"accuracy": right / len(labels), "right": right, "words": len(labels)}


def _onnxruntime(path: Path, model: OnnxModel, words: NDArray[Any]) -> NDArray[Any]:
    from cs_hdl.report.oracle import run_onnxruntime

    return run_onnxruntime(path, words, input_scale=model.input_scale)


def _simulate(
    model: OnnxModel, words: NDArray[Any], *, board: str | None, step: Callable[[str], None]
) -> tuple[NDArray[Any], list[str]]:
    """What the Verilog gives for ``words``, and what is wrong with it."""
    from cs_hdl.commands.target import find_target
    from cs_hdl.emit.design import write_design
    from cs_hdl.plan.planner import make_plan
    from cs_hdl.simulate.simulate import simulate

    with tempfile.TemporaryDirectory(prefix="cs-hdl-evaluate-") as folder:
        step("packing and planning")
        plan = make_plan(model.network, limits=find_target(board=board, device=None).limits)
        write_design(plan, Path(folder) / "design", source=model.network.name, progress=step)
        result = simulate(Path(folder) / "design", words=words, progress=step)
    return result.outputs, list(result.problems)


def _show(content: dict[str, Any], layers: tuple[LayerQuality, ...]) -> None:
    console = output()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("", "accuracy", "right", "of"):
        table.add_column(name, justify="left" if not name else "right")
    for kind, result in content["accuracy"].items():
        share = f"[bold]{result['accuracy']:.2%}[/]"
        table.add_row(_TITLES[kind], share, f"{result['right']:,}", f"{result['words']:,}")
    console.print(table)
    console.print(_layer_table(layers))
    rows = {"data": content["data"]}
    if "hardware" in content["accuracy"]:
        rows["hardware"] = f"integers on the same words: {content['accuracy']['hardware']['integer_on_the_same']:.2%}"
    rows["onnxruntime"] = f"{content['values_equal_to_onnxruntime']:.4%} of the outputs equal in every bit"
    noisy = [layer for layer in layers if layer.own_snr_db is not None]
    if noisy:
        worst = min(noisy, key=lambda layer: layer.own_snr_db or 0.0)
        rows["loses most"] = f"{worst.name}: {worst.own_snr_db:.1f} dB by itself"
    rows["time"] = human_time(content["seconds"])
    console.print(facts(rows))


def _layer_table(layers: tuple[LayerQuality, ...]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    columns = ("layer", "kind", "weights not 0", "results not 0", "cut off", "own signal/noise", "signal/noise")
    for name in columns:
        table.add_column(name, justify="left" if name in ("layer", "kind") else "right")
    for layer in layers:
        table.add_row(
            layer.name,
            layer.kind,
            _share(layer.weight_density),
            _share(layer.density),
            _share(layer.saturation),
            "exact" if layer.own_snr_db is None else f"{layer.own_snr_db:.1f} dB",
            "exact" if layer.snr_db is None else f"{layer.snr_db:.1f} dB",
        )
    return table


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"
