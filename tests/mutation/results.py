"""What became of each fault: kept as it comes, and summed up at the end."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Cache", "Outcome", "summary"]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A fault (``was`` and ``now`` are the statement's text) and the checks that caught it, none for a survivor."""

    design: str
    place: str
    line: int
    operator: str
    was: str
    now: str
    caught_by: tuple[str, ...]

    @property
    def caught(self) -> bool:
        """Whether any check failed."""
        return bool(self.caught_by)


class Cache:
    """Outcomes by their digests, one a line of a file: what was found is never lost, whatever ends the run."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, Outcome] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        for line in path.read_text().splitlines() if path.exists() else ():
            try:
                entry = json.loads(line)
                outcome = Outcome(**entry["outcome"] | {"caught_by": tuple(entry["outcome"]["caught_by"])})
                self._known[entry["key"]] = outcome
            except (ValueError, KeyError, TypeError):
                continue  # a line that was cut off counts as absent

    def get(self, key: str) -> Outcome | None:
        """The outcome, if it is known."""
        return self._known.get(key)

    def put(self, key: str, outcome: Outcome) -> None:
        """Remember an outcome, at once and for the next runs."""
        self._known[key] = outcome
        with self._path.open("a") as file:
            file.write(json.dumps({"key": key, "outcome": dataclasses.asdict(outcome)}) + "\n")


def summary(outcomes: Iterable[Outcome]) -> dict[str, Any]:
    """``{"planted", "caught", "operators", "designs", "checks"}``: counts in all and of each kind."""
    outcomes = list(outcomes)

    def counts(of: str) -> dict[str, dict[str, int]]:
        names = sorted({getattr(outcome, of) for outcome in outcomes})
        groups = {name: [o for o in outcomes if getattr(o, of) == name] for name in names}
        return {name: {"planted": len(group), "caught": sum(o.caught for o in group)} for name, group in groups.items()}

    checks = sorted({check for outcome in outcomes for check in outcome.caught_by})
    return {
        "planted": len(outcomes),
        "caught": sum(outcome.caught for outcome in outcomes),
        "operators": counts("operator"),
        "designs": counts("design"),
        "checks": {check: sum(check in outcome.caught_by for outcome in outcomes) for check in checks},
    }
