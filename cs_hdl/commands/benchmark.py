"""``cs-hdl benchmark`` (``scripts/benchmark``): the cost and speed of a fixed table of designs, on record."""

from __future__ import annotations

import dataclasses
import fnmatch
import time
from collections.abc import Callable, Sequence
from json import dumps as json_text
from pathlib import Path
from typing import Annotated, Any

import typer

from cs_hdl.commands.console import Steps, output, print_json
from cs_hdl.errors import CsHdlError, InputError, ResultError
from cs_hdl.report.benchmark_table import LEAF_DESIGNS, TABLE, TRIAL, Entry

__all__ = ["benchmark", "measure", "plan_entry"]

_RESULTS = Path("docs/results/kernels.json")


def benchmark(
    only: Annotated[str | None, typer.Option(metavar="PATTERN", help="Names that match, such as '3x3*'.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Compare with the record instead of renewing it.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Only those that scripts/test checks.")] = False,
    route: Annotated[bool, typer.Option("--route", help="Fmax too (minutes a design).")] = False,
    leaves: Annotated[bool, typer.Option("--leaves", help="The leaf components in place of the designs.")] = False,
    fit: Annotated[bool, typer.Option("--fit", help="Fit the coefficients of cs-hdl estimate to the table.")] = False,
    write_docs: Annotated[bool, typer.Option("--write-docs", help="Only write docs/kernels.md anew.")] = False,
    results: Annotated[Path, typer.Option(metavar="FILE", help="The record.")] = _RESULTS,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Synthesise a fixed table of designs and keep, or check, the record of what they cost.

    What the record has already, for the very same Verilog and tools, is not done again.
    """
    from cs_hdl.report.benchmark import load_results

    record = load_results(results)
    if write_docs:
        from cs_hdl.report.kernels_page import write_page

        written = write_page(record, results.parent.parent)
        print_json({"written": [str(path) for path in written]}) if json else output().print(*written, sep="\n")
        return
    if fit:
        _fit(record, as_json=json)
        return
    with Steps() as step:
        if leaves:
            fresh = _leaves(record, only, route=route, step=step, path=None if check else results)
        else:
            entries = _entries(only, quick=quick)
            fresh = _designs(record, entries, route=route, step=step, path=None if check else results)
    old = {entry["name"]: entry for entry in record["leaves" if leaves else "designs"]}
    failures = _compare(old, fresh) if check else {}
    if json:
        print_json({"results": fresh, "worse": failures})
    else:
        from cs_hdl.commands.benchmark_tables import design_table, leaf_table

        output().print(leaf_table(fresh) if leaves else design_table(fresh))
    if failures:
        text = "\n".join(f"  {name}: {'; '.join(what)}" for name, what in failures.items())
        raise ResultError(
            f"{len(failures)} of {len(fresh)} designs got worse than {results}:\n{text}\n"
            "Mend it, or renew the record where it is meant: scripts/benchmark"
        )


def _compare(old: dict[str, Any], fresh: Sequence[dict[str, Any]]) -> dict[str, list[str]]:
    from cs_hdl.report.benchmark import worse

    missing = [entry["name"] for entry in fresh if entry["name"] not in old]
    if missing:
        raise InputError(f"not in the record: {', '.join(missing)}; renew it: scripts/benchmark")
    compared = {entry["name"]: worse(old[entry["name"]], entry) for entry in fresh}
    return {name: what for name, what in compared.items() if what}


def _entries(only: str | None, *, quick: bool) -> list[Entry]:
    every = (*TABLE, *TRIAL)
    found = [entry for entry in every if (not quick or entry.quick) and (not only or fnmatch.fnmatch(entry.name, only))]
    if not found:
        raise InputError(f"--only {only}: no design of that name; there are: {'; '.join(e.name for e in every)}")
    return found


def _designs(
    record: dict[str, Any], entries: Sequence[Entry], *, route: bool, step: Callable[[str], None], path: Path | None
) -> list[dict[str, Any]]:
    """Measure ``entries``; after each one the record in ``path`` is whole."""
    from cs_hdl.build.tools import require_tool
    from cs_hdl.report.benchmark import save_results

    names = ("yosys", "nextpnr-ecp5") if route else ("yosys",)
    tools = {name: require_tool(name).version for name in names}
    known = {entry["name"]: entry for entry in record["designs"]}
    fresh = []
    for number, entry in enumerate(entries, 1):
        step(f"{number}/{len(entries)} {entry.name}")
        # A check measures; only the record is made from itself.
        fresh.append(measure(entry, known.get(entry.name, {}) if path else {}, route=route, features=bool(path)))
        known[entry.name] = fresh[-1]
        if path:
            content = record | {"designs": list(known.values())}
            save_results(path, content, order=(e.name for e in (*TABLE, *TRIAL)), tools=tools)
    return fresh


def measure(entry: Entry, known: dict[str, Any], *, route: bool = False, features: bool = True) -> dict[str, Any]:
    """All figures of ``entry``; what ``known`` has of the same design and tools is taken from there.

    ``features`` asks for what estimates are made from as well.
    """
    from cs_hdl.build.alone import alone_digest_parts, route_alone, synthesise_alone
    from cs_hdl.build.cache import digest_of
    from cs_hdl.emit.verilog import emit_verilog
    from cs_hdl.estimate.elaborate import elaborate
    from cs_hdl.estimate.features import features_digest, features_of, total
    from cs_hdl.report.benchmark import describe_plan, describe_refusal
    from cs_hdl.rtl.accelerator import Accelerator

    try:
        plan = plan_entry(entry)
    except CsHdlError as error:
        return describe_refusal(entry, str(error))
    top = "cs_accelerator"
    text = emit_verilog(Accelerator(plan), name=top)
    digest = digest_of(alone_digest_parts(text, top))
    result = known if known.get("digest") == digest else {}
    result = result | describe_plan(entry, plan)
    if "digest" not in result:
        started = time.monotonic()
        cells = synthesise_alone(text, top=top)
        result |= dataclasses.asdict(cells) | {"comb": cells.comb}
        result |= {"synthesis_seconds": round(time.monotonic() - started, 1), "digest": digest}
    if features and result.get("model") != features_digest():
        found = total(features_of(elaborate(text, top=top), top).values())
        result |= {"features": dataclasses.asdict(found), "model": features_digest()}
    if route and "fmax_mhz" not in result:
        result["fmax_mhz"] = route_alone(text, top=top).fmax_mhz
    return result


def plan_entry(entry: Entry) -> Any:
    """The plan of ``entry`` for the default board; raises as the planner does."""
    from cs_hdl.commands.generate import read_network
    from cs_hdl.commands.target import find_target
    from cs_hdl.plan.planner import make_plan
    from cs_hdl.report.benchmark_networks import OWN_NETWORKS

    limits = find_target(board=None, device=None).limits
    if entry.model in OWN_NETWORKS:
        network = OWN_NETWORKS[entry.model](entry.options)
    else:
        # As the command line gives them: what is parsed there is text.
        texts = ("kernel", "input", "stride", "padding", "max_pool", "scale")
        options = {key: str(value) if key in texts else value for key, value in entry.options.items()}
        network, _ = read_network(entry.model, options)
    return make_plan(network, limits=limits, cycles=entry.cycles, mode=entry.mode)


def _leaves(
    record: dict[str, Any], only: str | None, *, route: bool, step: Callable[[str], None], path: Path | None
) -> list[dict[str, Any]]:
    from cs_hdl.build.alone import GOAL_MHZ, alone_digest_parts, route_alone, synthesise_alone
    from cs_hdl.build.cache import digest_of
    from cs_hdl.build.tools import require_tool
    from cs_hdl.emit.verilog import emit_verilog
    from cs_hdl.report.benchmark import save_results
    from cs_hdl.report.leaves import describe_routed, find_leaves

    names = ("yosys", "nextpnr-ecp5") if route else ("yosys",)
    tools = {name: require_tool(name).version for name in names}
    known = {entry["name"]: entry for entry in record["leaves"]}
    found = find_leaves({entry.name: plan_entry(entry) for entry in LEAF_DESIGNS})
    wanted = {name: leaf for name, leaf in found.items() if not only or fnmatch.fnmatch(name, only)}
    if not wanted:
        raise InputError(f"--only {only}: no leaf of that name; there are: {'; '.join(found)}")
    fresh = []
    for number, (name, leaf) in enumerate(wanted.items(), 1):
        step(f"{number}/{len(wanted)} {name}")
        text = emit_verilog(leaf, name="leaf")
        digest = digest_of(alone_digest_parts(text, "leaf"))
        entry = known.get(name, {}) if path else {}
        if entry.get("digest") != digest:
            cells = synthesise_alone(text, top="leaf")
            entry = {"name": name, **dataclasses.asdict(cells), "comb": cells.comb, "digest": digest}
        # What is too slow tells of the path that makes it so.
        if route and entry.get("fmax_mhz", 0) < GOAL_MHZ and "slowest_path" not in entry:
            entry |= describe_routed(route_alone(text, top="leaf"))
        known[name] = entry
        fresh.append(entry)
        if path:
            save_results(
                path, record | {"leaves": list(known.values())}, order=(e.name for e in (*TABLE, *TRIAL)), tools=tools
            )
    return fresh


def _fit(record: dict[str, Any], *, as_json: bool) -> None:
    """Write the coefficients that suit the table best, and say how far off they are for it and the trials."""
    from cs_hdl.estimate.features import Features, features_digest
    from cs_hdl.estimate.model import COEFFICIENTS, accuracy, fit_coefficients
    from cs_hdl.files import write_aside

    names, model = {entry.name for entry in TABLE}, features_digest()
    samples = [
        (Features(**d["features"]), d["lut4"])
        for d in record["designs"]
        if d["name"] in names and d.get("model") == model
    ]
    if len(samples) < 10:
        raise InputError(f"{len(samples)} designs in the record, too few to fit; run scripts/benchmark first")
    content = {
        "command": "scripts/benchmark --fit",
        "designs": len(samples),
        "lut4": fit_coefficients(samples),
    }
    write_aside(COEFFICIENTS, json_text(content, indent=1) + "\n")
    errors = accuracy(record["designs"])
    if as_json:
        print_json({**content, "errors": errors})
        return
    from cs_hdl.commands.benchmark_tables import accuracy_table

    output().print(accuracy_table(errors))
