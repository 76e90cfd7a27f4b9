"""Which stage of a pipeline works when, and who waits for whom: one word on an idle accelerator, cycle by cycle."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from cs_hdl.plan import stages as kinds
from cs_hdl.plan.residual import branch_plans
from cs_hdl.plan.timing import INPUT_LATENCY, OUTPUT_LATENCY, stage_times

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cs_hdl.plan.plan import Plan

    Times = NDArray[np.int64]

__all__ = ["StageActivity", "activities"]

_NAMES: dict[type[kinds.Stage], str] = {
    kinds.ConstantsStage: "constant multipliers",
    kinds.LanesStage: "lanes",
    kinds.PoolStage: "max-pool",
    kinds.AverageStage: "average",
    kinds.RescaleStage: "rescale",
    kinds.ResidualStage: "sum of the branches",
    kinds.LocalKWTAStage: "k-WTA, sorting network",
    kinds.GlobalKWTAStage: "k-WTA, histogram",
    kinds.ThresholdKWTAStage: "k-WTA, search",
    kinds.ArgMaxStage: "ArgMax",
    kinds.NarrowStage: "cut beats",
    kinds.WidenStage: "join beats",
    kinds.DensifyStage: "pairs to a dense tensor",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class StageActivity:
    """When a stage takes its beats and gives its results.

    ``taken`` and ``given`` are cycles from the first beat that the accelerator takes. The stage works ``cycles``
    cycles on each word; ``branch`` is "body" or "shortcut" within a residual block, otherwise empty. ``verdict`` is
    one of "pace" (nothing is slower), "starved" (waits for the data of ``waits_for``) and "held" (is ready before
    ``waits_for`` can take more); ``idle`` is the share of the time in which it waits.
    """

    layer: str
    what: str
    branch: str
    cycles: int
    taken: Times = field(repr=False)
    given: Times = field(repr=False)
    idle: float = 0.0
    verdict: str = "pace"
    waits_for: str = ""

    @property
    def name(self) -> str:
        """Layer and kind, for people."""
        return f"{self.layer}: {self.what}"


def activities(plan: Plan) -> list[StageActivity]:
    """All stages of ``plan`` in the order of the data, its two borders included."""
    beats = np.arange(plan.input_beats, dtype=np.int64)
    times = beats + INPUT_LATENCY
    rows = [
        StageActivity(layer="input", what="stream", branch="", cycles=plan.input_beats, taken=beats, given=times),
    ]
    upstream = [[]]  # type: list[list[int]]
    for row, before in _rows(plan, times, first=len(rows)):
        rows.append(row)
        upstream.append(before)
    last = rows[-1].given
    rows.append(
        StageActivity(
            layer="output", what="stream", branch="", cycles=plan.output_beats, taken=last, given=last + OUTPUT_LATENCY
        )
    )
    upstream.append(list(range(len(rows) - 1)))
    return [_judged(rows, index, upstream[index], plan.cycles_per_word) for index in range(len(rows))]


def _rows(plan: Plan, times: Times, *, first: int) -> Iterator[tuple[StageActivity, list[int]]]:
    """Each stage, with the places of those before it; ``first`` is the place of the first one."""
    before, place = list(range(first)), first
    for stage in plan.stages:
        layer = plan.network.layers[stage.layer].name
        given = stage_times(plan, stage, times)
        if isinstance(stage, kinds.ResidualStage):
            for name, branch in zip(("body", "shortcut"), branch_plans(plan, stage), strict=True):
                inner_times, own = times, list(before)
                for inner in branch.stages:
                    inner_given = stage_times(branch, inner, inner_times)
                    inner_layer = branch.network.layers[inner.layer].name
                    yield _row(inner, inner_layer, inner_times, inner_given, branch=name), list(own)
                    own.append(place)
                    place += 1
                    inner_times = inner_given
            before = list(range(place))
        yield _row(stage, layer, times, given), list(before)
        before.append(place)
        place += 1
        times = given


def _row(stage: kinds.Stage, layer: str, taken: Times, given: Times, *, branch: str = "") -> StageActivity:
    return StageActivity(
        layer=layer, what=_NAMES[type(stage)], branch=branch, cycles=stage.cycles, taken=taken, given=given
    )


def _judged(rows: Sequence[StageActivity], index: int, upstream: Sequence[int], pace: int) -> StageActivity:
    """``rows[index]`` with what it waits for when words follow each other every ``pace`` cycles."""
    row = rows[index]
    values = {key: getattr(row, key) for key in ("layer", "what", "branch", "cycles", "taken", "given")}
    idle = max(0.0, 1 - row.cycles / pace)
    slower = [other for other in upstream if rows[other].cycles > row.cycles]
    behind = [other for other in range(index + 1, len(rows)) if rows[other].cycles > row.cycles]
    if row.cycles >= pace:
        return StageActivity(**values)
    if slower:
        # The slowest one before it sets the rate at which data come.
        most = max(slower, key=lambda other: (rows[other].cycles, other))
        return StageActivity(**values, idle=idle, verdict="starved", waits_for=rows[most].name)
    if behind:
        most = max(behind, key=lambda other: (rows[other].cycles, -other))
        return StageActivity(**values, idle=idle, verdict="held", waits_for=rows[most].name)
    return StageActivity(**values, idle=idle, verdict="starved", waits_for="the next word")
