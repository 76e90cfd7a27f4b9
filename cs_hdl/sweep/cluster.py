"""Where the steps of a sweep run: processes of this machine, or a Dask cluster that somebody else runs."""

from __future__ import annotations

import logging
import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from cs_hdl.errors import InputError, ToolError

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["dask_setup", "local_client", "remote_client"]

_CONNECT_SECONDS = 10
_HINT = "dask is missing (sweep); install it with: pip install 'cs-hdl[sweep]'"


@contextmanager
def local_client(jobs: int) -> Iterator[Client]:
    """A client of ``jobs`` worker processes (at least 1) that end with it, and what they started with them."""
    distributed = _distributed()
    with (
        tempfile.TemporaryDirectory(prefix="cs-hdl-sweep-", ignore_cleanup_errors=True) as folder,
        distributed.LocalCluster(
            n_workers=jobs,
            threads_per_worker=1,
            processes=True,
            dashboard_address=":0",
            scheduler_kwargs={"dashboard": False},
            memory_limit=None,
            local_directory=folder,
            silence_logs=False,  # _distributed does, for good: killed workers are heard of after the cluster
            preload=__name__,
            # Designs that are half done go with the folder, however the workers end.
            env={"TMPDIR": folder},
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        groups = {nanny.pid for nanny in cluster.workers.values()}
        try:
            yield client
        finally:
            groups |= {nanny.pid for nanny in cluster.workers.values()}
            for group in groups - {None}:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(group, signal.SIGKILL)


@contextmanager
def remote_client(address: str) -> Iterator[Client]:
    """A client of the scheduler at ``address`` (host:port, or tcp://host:port).

    Raises InputError for an address that is none, ToolError where no scheduler answers.
    """
    distributed = _distributed()
    try:
        client = distributed.Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
    except (ValueError, TypeError) as error:
        raise InputError(f"--scheduler {address}: not an address such as host:8786 ({error})") from None
    except (OSError, TimeoutError) as error:
        raise ToolError(
            f"--scheduler {address}: no Dask scheduler answers ({type(error).__name__}); start one: dask scheduler"
        ) from None
    with client:
        yield client


def dask_setup(worker: Any) -> None:
    """Dask calls this in each local worker: a process group of its own, which Ctrl-C at the terminal does not reach."""
    with suppress(OSError):
        os.setsid()


def _distributed() -> Any:
    try:
        import distributed
    except ImportError:
        raise ToolError(_HINT) from None
    # What goes wrong is told in one line.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    return distributed
