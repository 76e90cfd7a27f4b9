"""Place and route of several seeds at once: on this machine, or on the workers of a Dask cluster."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from cs_hdl.build.family import FAMILIES
from cs_hdl.build.place_route import place_and_route
from cs_hdl.build.run import stop_tools
from cs_hdl.build.synthesis import Netlist
from cs_hdl.build.tools import require_tool
from cs_hdl.errors import InputError, ToolError
from cs_hdl.files import unzip, zipped

__all__ = ["RouteTask", "route_seeds"]

_OUTPUTS = ("nextpnr.json", "nextpnr.log")
#: Seconds within which a scheduler must answer.
_CONNECT_SECONDS = 15


@dataclass(frozen=True, kw_only=True)
class RouteTask:
    """All that a worker needs but the seed: it may share no folder with us.

    ``inputs`` is a zip archive of the netlist and the pins, ``clock_mhz`` what is aimed at, ``version`` the nextpnr
    that a worker must have, ``rounds`` those of better places after nextpnr's own, which end at ``enough_mhz``.
    """

    inputs: bytes
    device: list[str]
    netlist: Netlist
    family: str
    clock_mhz: float
    version: str
    rounds: int = 0
    enough_mhz: float = math.inf

    @classmethod
    def of(cls, folder: Path, *, family: str, **rest: Any) -> RouteTask:
        """The task for ``top.json`` and the constraints in ``folder``."""
        inputs = zipped(folder, ("top.json", FAMILIES[family].constraints))
        return cls(inputs=inputs, family=family, **rest)


def route_seeds(
    task: RouteTask,
    seeds: list[int],
    *,
    work: Path,
    jobs: int,
    scheduler: str | None,
    progress: Callable[[str], None],
) -> Iterator[tuple[int, Path]]:
    """Each seed, in the order in which they are done, and the folder below ``work`` with what nextpnr made.

    ``jobs`` at a time here, or as many as ``scheduler`` (``tcp://...``) has workers for. Where the caller stops early,
    by an error or Ctrl-C, what runs here is stopped too. Raises ToolError where Dask or, on a worker, nextpnr is
    missing, differs or fails, InputError where no scheduler answers.
    """
    where = scheduler or f"{jobs} at a time"
    with _client(jobs, scheduler) as client:
        (data,) = client.scatter([task])
        futures = {client.submit(_route, data, seed, pure=False): seed for seed in seeds}
        try:
            progress(f"placing and routing {len(seeds)} seeds, {where}")
            for count, future in enumerate(_dask().as_completed(futures), 1):
                seed = futures[future]
                folder = work / f"seed-{seed}"
                unzip(future.result(), folder)
                yield seed, folder
                if count < len(seeds):
                    progress(f"placing and routing, {count} of {len(seeds)} seeds done, {where}")
        finally:
            client.cancel(list(futures))
            if scheduler is None:
                stop_tools()


@contextmanager
def _client(jobs: int, scheduler: str | None) -> Iterator[Any]:
    dask = _dask()
    if scheduler is not None:
        try:
            client = dask.Client(scheduler, timeout=_CONNECT_SECONDS)
        except (OSError, ValueError) as error:
            raise InputError(f"--scheduler {scheduler}: no Dask scheduler answers there ({error})") from None
        with client:
            yield client
        return
    # Threads do: each only waits for a nextpnr of its own.
    with dask.LocalCluster(n_workers=jobs, threads_per_worker=1, processes=False, dashboard_address=None) as cluster:
        with dask.Client(cluster) as client:
            yield client


def _dask() -> Any:
    try:
        return import_module("distributed")
    except ImportError:
        raise ToolError("several seeds at once need Dask; install it with: pip install 'cs-hdl[cluster]'") from None


def _route(task: RouteTask, seed: int) -> bytes:
    """On a worker: what nextpnr makes of one seed, as a zip archive."""
    family = FAMILIES[task.family]
    nextpnr = require_tool(family.nextpnr)
    if nextpnr.version != task.version:
        raise ToolError(f"a worker has {nextpnr.name} {nextpnr.version}, not {task.version} as here: install the same")
    with tempfile.TemporaryDirectory(prefix="cs-hdl-") as name:
        folder = Path(name)
        unzip(task.inputs, folder)
        place_and_route(
            nextpnr,
            folder,
            device=task.device,
            seed=seed,
            netlist=task.netlist,
            family=family,
            clock_mhz=task.clock_mhz,
            rounds=task.rounds,
            enough_mhz=task.enough_mhz,
        )
        return zipped(folder, (family.config, *_OUTPUTS))
