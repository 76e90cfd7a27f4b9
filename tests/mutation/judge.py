"""Looks at each survivor: a proof that it is no fault, or a reason that somebody wrote down, or neither."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any

from mutation.equivalence import compare, never_acts
from mutation.operators import Fault, find_faults
from mutation.results import Cache, Outcome
from mutation.schemata import plant_one
from mutation.verilog import read_modules

__all__ = ["REASONS", "judge_survivors"]

#: Reasons by place, operator and both texts of the statement: a list of {"place", "operator", "was", "now", "reason"}.
REASONS = Path(__file__).with_name("reasons.json")
_TOP = "cs_accelerator"


def judge_survivors(
    outcomes: Iterable[Outcome],
    right: Mapping[str, str],
    *,
    cache: Cache,
    seconds: float,
    whole_seconds: float,
    progress: Callable[[str], None],
) -> list[dict[str, Any]]:
    """``{"design", "place", "line", "operator", "was", "now", "verdict", "reason"}`` of each that was not caught.

    ``right`` holds the Verilog of the designs. A proof is given ``seconds`` on the module of the fault and on each
    that holds it, and ``whole_seconds`` on the whole design where that does not do (0: none). The verdict is
    "equivalent" (proven), "explained", or "open".
    """
    reasons = {_name(entry): entry["reason"] for entry in json.loads(REASONS.read_text())}
    survivors = [outcome for outcome in outcomes if not outcome.caught]

    def prove(outcome: Outcome) -> str:
        if outcome.design not in right:
            return ""
        return _proof(outcome, right[outcome.design], cache, seconds, whole_seconds)

    judged = []
    with ThreadPoolExecutor(2) as pool:
        proofs = list(pool.map(prove, survivors))
    for outcome, proof in zip(survivors, proofs, strict=True):
        entry = {name: getattr(outcome, name) for name in ("design", "place", "line", "operator", "was", "now")}
        if proof.startswith("equal"):
            verdict, reason = "equivalent", f"proven by ABC (scorr, dprove): {proof}"
        else:
            reason = reasons.get(_name(entry), "")
            verdict = "explained" if reason else "open"
            reason = "; ".join(part for part in (reason, proof) if part)
        progress(f"  {verdict}: {outcome.design} {outcome.place}:{outcome.line} {outcome.operator}: {outcome.now}")
        judged.append(entry | {"verdict": verdict, "reason": reason})
    return judged


def _name(entry: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(entry[key] for key in ("place", "operator", "was", "now"))


def _proof(outcome: Outcome, text: str, cache: Cache, seconds: float, whole_seconds: float) -> str:
    """First the module alone, with whatever may come in; then those around it; then the whole design."""
    fault = _faults(text)[outcome.line, outcome.operator, outcome.now]
    faulty = plant_one(text, fault)
    found, names = "", {module.name.lstrip("\\") for module in read_modules(text)}
    for place in _around(outcome.place):
        if place not in names:  # (a name in between that is no module)
            continue
        alone = _below(text, place), _below(faulty, place)
        found = _compared(outcome, alone, place, cache, seconds)
        if found == "equal":
            return f"equal: {place}"
    acts = _kept(
        outcome, (text, faulty, "acts"), lambda: never_acts(text, fault, _TOP, seconds=seconds), cache, seconds
    )
    if acts == "equal":
        return f"equal: {_TOP}, where the expression never has another value"
    if not whole_seconds:
        return found
    return f"{_compared(outcome, (text, faulty), _TOP, cache, whole_seconds)}: {_TOP}"


def _around(place: str) -> list[str]:
    """The module and those that hold it, but for the whole design."""
    parts = place.split(".")
    return [".".join(parts[:end]) for end in range(len(parts), min(1, len(parts) - 1), -1)]


def _compared(outcome: Outcome, texts: tuple[str, str], place: str, cache: Cache, seconds: float) -> str:
    return _kept(outcome, (*texts, place), lambda: compare(*texts, place, seconds=seconds), cache, seconds)


def _kept(outcome: Outcome, question: tuple[str, ...], prove: Callable[[], str], cache: Cache, seconds: float) -> str:
    """From the cache where it is known: an answer for ever, "unknown" for as many seconds."""
    keys = [_key(*question), _key(*question, str(float(seconds)))]
    known = cache.get(keys[0]) or cache.get(keys[1])
    if known is None and not seconds:
        return "unknown"
    if known is None:
        answer = prove()
        known = _with_answer(outcome, answer)
        cache.put(keys[answer not in ("equal", "different")], known)
    return known.caught_by[0]


def _key(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@lru_cache(maxsize=8)
def _faults(text: str) -> dict[tuple[int, str, str], Fault]:
    """The faults of a design, as an outcome names them."""
    return {(fault.statement.line + 1, fault.operator, fault.now): fault for fault in find_faults(text, _TOP)}


def _below(text: str, place: str) -> str:
    """The module ``place`` and what it holds, without all others: there is less to read."""
    modules = {module.name.lstrip("\\"): module for module in read_modules(text)}
    wanted, pending = set(), [place]
    while pending:
        name = pending.pop()
        if name not in wanted and name in modules:
            wanted.add(name)
            pending += [child.lstrip("\\") for child, _ in modules[name].instances]
    lines = text.split("\n")
    return "\n".join("\n".join(lines[m.first : m.last + 1]) for name, m in modules.items() if name in wanted)


def _with_answer(outcome: Outcome, answer: str) -> Outcome:
    """Proofs are kept in the form of outcomes."""
    fields = {name: getattr(outcome, name) for name in ("design", "place", "line", "operator", "was", "now")}
    return Outcome(**fields, caught_by=(answer,))
