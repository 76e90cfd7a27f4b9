"""Looks at each survivor: a proof that it is no fault, or a reason that somebody wrote down, or neither."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from mutation.equivalence import compare
from mutation.operators import find_faults
from mutation.results import Cache, Outcome
from mutation.schemata import plant_one

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

    ``right`` holds the Verilog of the designs. A proof is given ``seconds`` on the module of the fault, and
    ``whole_seconds`` on the whole design where that does not do (0: none). The verdict is "equivalent"
    (proven), "explained", or "open".
    """
    reasons = {_name(entry): entry["reason"] for entry in json.loads(REASONS.read_text())}
    judged = []
    for outcome in outcomes:
        if outcome.caught:
            continue
        entry = {name: getattr(outcome, name) for name in ("design", "place", "line", "operator", "was", "now")}
        proof = _proof(outcome, right[outcome.design], cache, seconds, whole_seconds) if outcome.design in right else ""
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
    """First the module alone, with whatever may come in; then the whole design from the first state."""
    key = hashlib.sha256(
        json.dumps([text, outcome.line, outcome.operator, outcome.now, seconds, whole_seconds]).encode()
    ).hexdigest()
    known = cache.get(key)
    if known is None:
        (fault, *_) = [
            fault
            for fault in find_faults(text, _TOP)
            if (fault.statement.line + 1, fault.operator, fault.now) == (outcome.line, outcome.operator, outcome.now)
        ]
        faulty = plant_one(text, fault)
        answer, found = "the module alone", compare(text, faulty, outcome.place, seconds=seconds)
        if found != "equal" and outcome.place != _TOP and whole_seconds:
            answer, found = "the whole design", compare(text, faulty, _TOP, seconds=whole_seconds)
        known = _with_answer(outcome, f"{found}: {answer}")
        cache.put(key, known)
    return known.caught_by[0]


def _with_answer(outcome: Outcome, answer: str) -> Outcome:
    """Proofs are kept in the form of outcomes."""
    fields = {name: getattr(outcome, name) for name in ("design", "place", "line", "operator", "was", "now")}
    return Outcome(**fields, caught_by=(answer,))
