"""``cs-hdl sweep``: many designs at once, each generated, checked, synthesised; nothing is done twice."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from cs_hdl.commands.console import errors, human_time, output, print_json, show_error
from cs_hdl.errors import InputError, ResultError

if TYPE_CHECKING:
    from cs_hdl.sweep.engine import Outcome, Sweep
    from cs_hdl.sweep.study import Study

__all__ = ["run_study", "sweep"]

#: Columns of the table that ends a sweep.
_METRICS = {
    "cycles_per_word": "cycles", "multipliers": "multipliers", "lut": "LUT", "ff": "FF", "dsp": "DSP",
    "block_ram": "block RAM", "fmax_mhz": "Fmax", "words_per_second": "words/s",
}  # fmt: skip
_MOST_ROWS = 60


def sweep(
    study: Annotated[Path, typer.Argument(metavar="STUDY.toml", help="The options (see docs/sweep.md).")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where results.json, results.csv and the cache go.")],
    route: Annotated[
        bool, typer.Option("--route", help="Place and route every point too (minutes each), for Fmax.")
    ] = False,
    jobs: Annotated[int | None, typer.Option(help="Worker processes (default: one a core).")] = None,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Use this Dask cluster instead, e.g. tcp://host:8786.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Generate, simulate and synthesise a grid of designs. A stopped sweep goes on where it was."""
    if jobs is not None and jobs < 1:
        raise InputError(f"--jobs {jobs}: must be at least 1")
    if jobs is not None and scheduler is not None:
        raise InputError("--jobs and --scheduler exclude each other: a cluster has its own workers")
    from cs_hdl.sweep.study import load_study

    content, outcomes = run_study(study, out, route=route, jobs=jobs, scheduler=scheduler)
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    problem = f"{len(failed)} of {len(outcomes)} points failed; {out / 'results.json'} says why" if failed else ""
    if json:
        print_json({"results": str(out / "results.json"), **content} | ({"error": problem} if problem else {}))
        if problem:
            show_error(problem)
            raise typer.Exit(ResultError.exit_code)
        return
    _show(outcomes, out, varied=load_study(study).varied or ("model",))
    if problem:
        raise ResultError(problem)


def run_study(
    path: Path,
    out: Path,
    *,
    route: bool = False,
    jobs: int | None = None,
    scheduler: str | None = None,
    cache: Path | None = None,
) -> tuple[dict[str, Any], Sequence[Outcome]]:
    """Run the study ``path`` into the folder ``out``; gives what ``results.json`` holds, and the outcomes.

    The results of steps are kept in ``cache`` (default: ``out / "cache"``). However this ends, ``results.json``
    has what was finished by then.
    """
    from cs_hdl.sweep.cache import StepCache, only_sweep
    from cs_hdl.sweep.engine import Sweep, wanted_steps
    from cs_hdl.sweep.keys import find_surroundings
    from cs_hdl.sweep.results import results_object, write_results
    from cs_hdl.sweep.study import load_study

    study = load_study(path)
    run = dataclasses.replace(study.run, route=study.run.route or route)
    surroundings = find_surroundings(wanted_steps(run), simulator=run.simulator)
    with only_sweep(out), _Watch(study) as watch:

        def save() -> dict[str, Any]:
            content = results_object(study, run=run, surroundings=surroundings, outcomes=engine.outcomes)
            write_results(out, content)
            return content

        def finished(outcome: Outcome) -> None:
            watch.outcome(outcome, engine)
            save()

        engine = Sweep(
            study.points,
            run=run,
            surroundings=surroundings,
            kept=StepCache(cache or out / "cache"),
            on_outcome=finished,
            on_step=watch.step,
        )
        watch.start(engine)
        try:
            if engine.left:
                with _client(jobs, scheduler) as client:
                    if scheduler is not None and not client.nthreads():
                        watch.step(f"waiting for workers of {scheduler}")
                    engine.run(client)
        finally:
            content = save()
    return content, engine.outcomes


def _client(jobs: int | None, scheduler: str | None) -> contextlib.AbstractContextManager[Any]:
    from cs_hdl.sweep.cluster import local_client, remote_client

    if scheduler is not None:
        return remote_client(scheduler)
    return local_client(jobs or os.cpu_count() or 1)


class _Watch:
    """Progress on standard error: a bar on a terminal, otherwise a line a point."""

    def __init__(self, study: Study) -> None:
        self._console, self._count, self._names = errors(), len(study.points), study.varied
        self._progress: Progress | None = None

    def __enter__(self) -> _Watch:
        return self

    def __exit__(self, *error: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def start(self, engine: Sweep) -> None:
        """Say what was known before."""
        known = self._count - engine.left
        if known:
            self._console.print(f" [green]✓[/] {known} of {self._count} points were done before", soft_wrap=True)
        if engine.left and self._console.is_terminal:
            self._progress = Progress(
                SpinnerColumn(), MofNCompleteColumn(), BarColumn(), TimeElapsedColumn(),
                TextColumn("{task.fields[rest]}"), TextColumn("[dim]{task.fields[steps]}"), console=self._console,
                transient=True,
            )  # fmt: skip
            self._progress.start()
            self._progress.add_task("", total=self._count, completed=known, rest="", steps="")

    def step(self, text: str) -> None:
        """Say what the workers are at."""
        if self._progress is not None:
            self._progress.update(self._progress.task_ids[0], steps=text)

    def outcome(self, outcome: Outcome, engine: Sweep) -> None:
        """Say how a point ended, and about how long the others will take."""
        rest, done = engine.remaining_seconds, self._count - engine.left
        text = f"about {human_time(rest)} left" if engine.left and rest is not None else ""
        mark = "[green]✓[/]" if outcome.status == "ok" else "[red]✗[/]"
        self._console.print(f" {mark} {done}/{self._count} ", end="")
        told = f" · {human_time(outcome.seconds)}" + (f" · {text}" if text and self._progress is None else "")
        named = outcome.point.named
        label = " ".join(f"{name} {named[name]}" for name in self._names if name in named) or named["model"]
        self._console.print(label, markup=False, end="")
        self._console.print(f"[dim]{told}[/]", soft_wrap=True)
        if outcome.error:
            self._console.print(f"   {outcome.error}", markup=False, style="red", soft_wrap=True)
        if self._progress is not None:
            self._progress.update(self._progress.task_ids[0], completed=done, rest=text)


def _show(outcomes: Sequence[Outcome], out: Path, *, varied: Sequence[str]) -> None:
    console = output()
    shown = outcomes[:_MOST_ROWS]
    metrics = [key for key in _METRICS if any(key in outcome.metrics for outcome in shown)]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for key in varied:
        table.add_column(key, overflow="fold")
    for key in metrics:
        table.add_column(_METRICS[key], justify="right", no_wrap=True)
    for outcome in shown:
        cells = [str(outcome.point.named.get(key, "")) for key in varied]
        if outcome.status == "ok":
            cells += [_number(outcome.metrics.get(key)) for key in metrics]
        else:
            cells += [f"[red]{outcome.status}[/]"]
        table.add_row(*cells)
    console.print(table)
    if len(outcomes) > _MOST_ROWS:
        console.print(f"... and {len(outcomes) - _MOST_ROWS} more")
    done = sum(outcome.status == "ok" for outcome in outcomes)
    console.print(f"{done} of {len(outcomes)} points: [bold]{out / 'results.json'}[/], results.csv", soft_wrap=True)


def _number(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}"
