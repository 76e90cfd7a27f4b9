"""Results of steps that were made before, one small file each, by the digest of all that they depend on."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cs_hdl.errors import InputError
from cs_hdl.files import write_aside

__all__ = ["StepCache", "only_sweep"]


class StepCache:
    """The folder ``folder`` of JSON files; a damaged one counts as absent."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, key: str) -> dict[str, Any] | None:
        """What was kept under ``key``, or None."""
        try:
            content = json.loads(self._path(key).read_text())
            result = content["result"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        whole = content.get("key") == key and isinstance(result, dict) and "seconds" in result
        return result if whole else None

    def put(self, key: str, step: str, result: dict[str, Any]) -> None:
        """Keep ``result``, whole or not at all."""
        write_aside(self._path(key), json.dumps({"key": key, "step": step, "result": result}, indent=1) + "\n")

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / f"{key}.json"


@contextmanager
def only_sweep(folder: Path) -> Iterator[None]:
    """Hold ``folder`` (made where it is absent) for this process; InputError where another one does."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
    except OSError as error:
        raise InputError(f"--out {folder}: cannot be written ({error.strerror})") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError(f"--out {folder}: another sweep is writing there; wait for it, or name another") from None
        yield
