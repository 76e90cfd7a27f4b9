"""``scripts/mutate``: plants faults, runs the checks, and writes what became of each."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cs_hdl.script import say, say_passing
from mutation.choose import choose
from mutation.designs import DESIGNS
from mutation.golden_faults import find_golden_faults, run_golden_faults
from mutation.judge import judge_survivors
from mutation.operators import find_faults
from mutation.results import Cache, Outcome, summary
from mutation.verilog_faults import emit, plant, run_faults

_ROOT = Path(__file__).resolve().parent.parent.parent
#: At least this share of the faults that are not proven to be none must be caught.
_WANTED = 0.95


def main() -> int:
    """0 where enough is caught, 1 where it is not, as with every command of the project."""
    options = _options()
    work = options.work.resolve()
    cache = Cache(work / "outcomes.jsonl")
    right = {name: emit(name, work / name / "right") for name in options.design}
    outcomes, verdicts = _until_enough(options, right, work, cache)
    verilog = [outcome for outcome in outcomes if outcome.design in right]
    golden = _watch("golden functions", _golden(options, cache), options.golden_count)
    verdicts += judge_survivors(golden, {}, cache=cache, seconds=0, whole_seconds=0, progress=_say)
    report = _report(options, verilog, golden, verdicts)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report, indent=1) + "\n")
    _say(f"{report['caught']} of {report['planted'] - report['equivalent']} faults caught ({report['percent']} %), "
         f"{report['equivalent']} more are proven to be none; {options.out}")  # fmt: skip
    return 0 if report["percent"] >= 100 * _WANTED else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/mutate", description=__doc__)
    add = parser.add_argument
    add("--seed", type=int, default=1, help="chooses the faults")
    add("--count", type=int, default=240, help="faults in the Verilog of all designs that are not proven to be none")
    add("--golden-count", type=int, default=60, help="faults in the golden functions")
    add("--design", action="append", choices=[*DESIGNS], help="only this one; may be given again")
    add("--simulator", default="verilator", choices=["verilator", "icarus"])
    add("--jobs", type=int, default=2, help="simulations at the same time; 0: only what is known already")
    add("--seconds", type=float, default=120, help="for the proof that a survivor is none; 0: only what is known")
    add("--whole-seconds", type=float, default=0, help="for the proof on the whole design, where that fails (slow)")
    add("--work", type=Path, default=_ROOT / "build" / "mutate", help="what is known already is kept here")
    add("--out", type=Path, default=_ROOT / "build" / "mutate" / "mutation.json")
    options = parser.parse_args()
    options.design = options.design or [*DESIGNS]
    return options


def _until_enough(
    options: argparse.Namespace, right: dict[str, str], work: Path, cache: Cache
) -> tuple[list[Outcome], list[dict[str, Any]]]:
    """Outcomes and verdicts of as many faults as it takes to have ``options.count`` that are not proven to be none."""
    possible = {name: find_faults(text, "cs_accelerator") for name, text in right.items()}
    proofs = Cache(work / "proofs.jsonl")
    count = options.count
    while True:
        chosen = choose(possible, count, options.seed)
        designs = [plant(name, work / name / "right", chosen[name], work / name / "planted") for name in right]
        found = run_faults(designs, simulator=options.simulator, jobs=options.jobs, cache=cache, progress=_say)
        outcomes = _watch("Verilog", found, count)
        verdicts = judge_survivors(
            outcomes,
            right,
            cache=proofs,
            seconds=options.seconds,
            whole_seconds=options.whole_seconds,
            progress=_say,
        )
        missing = options.count - len(outcomes) + sum(verdict["verdict"] == "equivalent" for verdict in verdicts)
        if missing <= 0 or len(outcomes) < count:  # enough, or there are no more
            return outcomes, verdicts
        _say(f"{missing} more faults are planted, for those that are proven to be none")
        count += missing


def _golden(options: argparse.Namespace, cache: Cache) -> Iterable[Outcome]:
    chosen = choose(find_golden_faults(), options.golden_count, options.seed)
    faults = [fault for faults in chosen.values() for fault in faults]
    return run_golden_faults(faults, jobs=options.jobs, cache=cache, progress=_say)


def _watch(what: str, outcomes: Iterable[Outcome], count: int) -> list[Outcome]:
    seen: list[Outcome] = []
    for outcome in outcomes:
        seen.append(outcome)
        survivors = sum(not o.caught for o in seen)
        _say(f"{what}: {len(seen)} of {count}, {survivors} not caught", passing=outcome.caught)
        if not outcome.caught:
            _say(f"  not caught: {outcome.design} {outcome.place}:{outcome.line} {outcome.operator}: {outcome.now}")
    return seen


def _say(text: str, *, passing: bool = False) -> None:
    """A line to the terminal; one that is ``passing`` is overwritten by the next."""
    if not passing:
        say(text)
    elif sys.stderr.isatty():  # hundreds of lines would be too many for a file
        say_passing(text)


def _report(
    options: argparse.Namespace, verilog: list[Outcome], golden: list[Outcome], verdicts: list[dict[str, Any]]
) -> dict[str, Any]:
    planted = verilog + golden
    caught = sum(outcome.caught for outcome in planted)
    equivalent = sum(verdict["verdict"] == "equivalent" for verdict in verdicts)
    return {
        "command": " ".join(["scripts/mutate", *sys.argv[1:]]),
        "commit": _commit(),
        "seed": options.seed,
        "simulator": options.simulator,
        "planted": len(planted),
        "caught": caught,
        "equivalent": equivalent,
        "percent": round(100 * caught / max(1, len(planted) - equivalent), 1),
        "verilog": summary(verilog),
        "golden": summary(golden),
        "verdicts": dict(Counter(verdict["verdict"] for verdict in verdicts)),
        "survivors": verdicts,
    }


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


if __name__ == "__main__":
    try:
        code = main()
    except KeyboardInterrupt:
        print("\ninterrupted; what is known is kept, the same command goes on", file=sys.stderr)
        os._exit(130)
    sys.exit(code)
