"""Takes the points of a study through their steps, from the cache where it can, on a Dask cluster where it must.

Each step is a node of one Dask graph: ``prepare`` gives a design, the other steps depend on it. Only the process that
runs the sweep writes results, so a step whose worker dies is done again by another one and counts once.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from cs_hdl.build.cache import digest_of
from cs_hdl.errors import ToolError
from cs_hdl.sweep.cache import StepCache
from cs_hdl.sweep.keys import Surroundings, find_surroundings, prepare_key, step_key
from cs_hdl.sweep.steps import STEPS, Prepared, prepare
from cs_hdl.sweep.study import Point, RunOptions

if TYPE_CHECKING:
    from distributed import Client, Future

__all__ = ["Outcome", "Sweep", "wanted_steps"]

#: Points that are worked on at once, for each worker: enough that none is idle, few enough to stop soon.
_POINTS_PER_WORKER = 2
#: What failed because of a tool may go well the next time, so it is not kept.
_TOOL_FAILED = ToolError.exit_code


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a point: ``status`` is "ok", "failed" (``error`` says in which step and why) or "pending".

    ``design`` is the SHA-256 of its Verilog, ``digest`` that of all that the result depends on; ``known`` whether
    everything was in the cache. ``seconds`` are those that the steps took when they were done.
    """

    point: Point
    status: str
    metrics: dict[str, Any]
    error: str | None
    design: str | None
    digest: str
    seconds: float
    known: bool


@dataclass(kw_only=True, eq=False)
class _Work:
    """A point on its way: results of the steps that are done."""

    point: Point
    key: str
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    known: bool = True
    design: Future | None = None


@dataclass(kw_only=True, eq=False)
class _Task:
    """A step that a worker is at, and the points that wait for it (several where their Verilog is the same)."""

    step: str
    key: str
    works: list[_Work]


def wanted_steps(run: RunOptions) -> tuple[str, ...]:
    """The names of the steps behind ``prepare``, in their order."""
    wanted = {"estimate": run.estimate, "simulate": run.simulate, "synthesise": run.synthesise, "route": run.route}
    return tuple(step for step in STEPS if wanted[step])


class Sweep:
    """A sweep over ``points``; what the cache has is known at once, :meth:`run` does the rest.

    ``on_outcome`` is told of each point that is finished, ``on_step`` which steps run.
    """

    def __init__(
        self,
        points: Sequence[Point],
        *,
        run: RunOptions,
        surroundings: Surroundings,
        kept: StepCache,
        on_outcome: Callable[[Outcome], None] = lambda outcome: None,
        on_step: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._run, self._surroundings, self._kept = run, surroundings, kept
        self._steps = ("prepare", *wanted_steps(run))
        self._on_outcome, self._on_step = on_outcome, on_step
        self._works = [_Work(point=point, key=prepare_key(point, surroundings)) for point in points]
        self._durations: dict[str, list[float]] = {step: [] for step in self._steps}
        self._tasks: dict[str, tuple[Future, _Task]] = {}
        self._workers = 1
        for work in self._works:
            self._take_known(work)

    @property
    def left(self) -> int:
        """Points that are not finished."""
        return sum(self._next(work) is not None for work in self._works)

    @property
    def outcomes(self) -> list[Outcome]:
        """One for each point, in the order of the study."""
        return [self._outcome(work) for work in self._works]

    @property
    def remaining_seconds(self) -> float | None:
        """An estimate from the steps that were timed so far; None where some kind of step has not been timed."""
        total = 0.0
        for work in self._works:
            if self._next(work) is None:
                continue
            for step in (step for step in self._steps if step not in work.results):
                times = self._durations[step]
                if not times:
                    return None
                total += sum(times) / len(times)
        return total / self._workers

    def run(self, client: Client) -> None:
        """Do all that is left on the workers of ``client``.

        A point that fails does not end the sweep. Raises ToolError where the scheduler is lost.
        """
        from distributed import as_completed

        queue = deque(work for work in self._works if self._next(work) is not None)
        completed = as_completed(loop=client.loop)
        active: set[int] = set()

        def fill() -> None:
            self._workers = max(1, sum(client.nthreads().values()))
            while queue and len(active) < _POINTS_PER_WORKER * self._workers:
                work = queue.popleft()
                active.add(id(work))
                advance(work)

        def advance(work: _Work) -> None:
            self._take_known(work)
            step = self._next(work)
            if step is None:
                active.discard(id(work))
                work.design = None
                self._on_outcome(self._outcome(work))
                return
            key = work.key if step == "prepare" else work.keys[step]
            running = self._tasks.get(key)
            if running is not None:
                running[1].works.append(work)
                return
            future = self._submit(client, work, step, key)
            self._tasks[key] = (future, _Task(step=step, key=key, works=[work]))
            completed.add(future)

        try:
            fill()
            self._tell()
            for future in completed:
                task = self._finished(client, future)
                for work in task.works:
                    advance(work)
                fill()
                self._tell()
        finally:
            client.cancel([future for future, _ in self._tasks.values()])
            self._tasks.clear()

    def _submit(self, client: Client, work: _Work, step: str, key: str) -> Future:
        if work.design is None:
            files = {name: (path.name, path.read_bytes()) for name, (path, _) in work.point.files.items()}
            work.design = client.submit(
                _prepare, work.point.options, files, self._surroundings, self._run.simulator, key=f"design-{work.key}"
            )
        if step == "prepare":
            return client.submit(_summary, work.design, key=f"summary-{work.key}")
        # What is begun comes before what is new: designs are large.
        return client.submit(
            _step, step, work.design, self._run, self._surroundings, key=f"{step}-{key}", priority=len(work.results)
        )

    def _finished(self, client: Client, future: Future) -> _Task:
        """Keep the result of ``future`` and give it to the points that wait for it."""
        task = next(task for own, task in self._tasks.values() if own.key == future.key)
        if future.status == "finished":
            result = future.result()
            if result.get("exit_code") != _TOOL_FAILED:
                self._kept.put(task.key, task.step, result)
            self._durations[task.step].append(result["seconds"])
        elif future.status == "error":
            result = {"error": _reason(future.exception()), "exit_code": _TOOL_FAILED, "metrics": {}, "seconds": 0.0}
        else:
            raise ToolError("the Dask scheduler is gone; what was done is kept: run the sweep again")
        del self._tasks[task.key]
        for work in task.works:
            work.known = False
            work.results[task.step] = result
        return task

    def _take_known(self, work: _Work) -> None:
        """Fill in the results that the cache has, as far as the first that it lacks."""
        while (step := self._next(work)) is not None:
            key = work.key
            if step != "prepare":
                digests = work.results["prepare"]["digests"]
                key = work.keys[step] = step_key(step, digests, self._run, self._surroundings)
            result = self._kept.get(key)
            if result is None:
                return
            self._durations[step].append(result["seconds"])
            work.results[step] = result

    def _next(self, work: _Work) -> str | None:
        """The step that ``work`` needs next; None where it is finished, well or not."""
        if any("error" in result for result in work.results.values()):
            return None
        return next((step for step in self._steps if step not in work.results), None)

    def _outcome(self, work: _Work) -> Outcome:
        metrics: dict[str, Any] = {}
        error = None
        for step, result in work.results.items():
            metrics |= result["metrics"]
            if "error" in result:
                error = f"{step}: {result['error']}"
        if "fmax_mhz" in metrics:
            metrics["words_per_second"] = round(metrics["fmax_mhz"] * 1e6 / metrics["cycles_per_word"], 1)
        design = work.results.get("prepare", {}).get("digests", {}).get("design.v")
        return Outcome(
            point=work.point,
            status="failed" if error else "pending" if self._next(work) else "ok",
            metrics=metrics,
            error=error,
            design=design,
            digest=digest_of({"prepare": work.key, **work.keys}),
            seconds=round(sum(result["seconds"] for result in work.results.values()), 2),
            known=work.known,
        )

    def _tell(self) -> None:
        steps = [task.step for _, task in self._tasks.values()]
        counts = {step: steps.count(step) for step in self._steps if step in steps}
        self._on_step(", ".join(f"{count} to {step}" for step, count in counts.items()))


def _reason(error: BaseException | None) -> str:
    """Why Dask could not do a step, in one line."""
    if type(error).__name__ == "KilledWorker":
        return "every worker that tried it died (out of memory?)"
    return " ".join(f"{type(error).__name__}: {error}".split())


# What runs on the workers.


@cache
def _own_surroundings(steps: tuple[str, ...], simulator: str) -> Surroundings:
    return find_surroundings(steps, simulator=simulator)


def _disagreement(expected: Surroundings, simulator: str) -> dict[str, Any] | None:
    """A failure where this worker's code or tools are others than those of the sweep."""
    own = _own_surroundings(tuple(step for step in expected.code if step != "prepare"), simulator)
    found = expected.differences(own)
    if not found:
        return None
    text = f"a worker differs from the machine that runs the sweep: {', '.join(found)}"
    return {"error": text, "exit_code": _TOOL_FAILED, "metrics": {}, "seconds": 0.0}


def _prepare(
    options: Mapping[str, Any], files: Mapping[str, tuple[str, bytes]], expected: Surroundings, simulator: str
) -> Prepared:
    wrong = _disagreement(expected, simulator)
    return Prepared(summary=wrong) if wrong else prepare(options, files)


def _summary(prepared: Prepared) -> dict[str, Any]:
    return prepared.summary


def _step(step: str, prepared: Prepared, run: RunOptions, expected: Surroundings) -> dict[str, Any]:
    logging.getLogger("cs_hdl").debug("%s", step)
    return _disagreement(expected, run.simulator) or STEPS[step](prepared, run)
