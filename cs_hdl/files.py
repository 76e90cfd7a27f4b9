"""Files: written so that nobody ever sees half of one, told apart by content, packed to travel."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cs_hdl.errors import InputError

__all__ = ["cache_root", "file_digest", "read_record", "unzip", "write_aside", "zipped"]


def write_aside(path: Path, content: bytes | str) -> None:
    """Write ``content`` to a file beside ``path`` and rename it, so that ``path`` is whole or absent."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def cache_root() -> Path:
    """``cs-hdl`` below $XDG_CACHE_HOME (normally ~/.cache)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cs-hdl"


def file_digest(path: Path) -> str:
    """SHA-256 of its content, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read_record(path: Path, *, again: str) -> dict[str, Any] | None:
    """The JSON object in ``path``; None where there is no such file.

    Raises InputError, which says ``again`` (how to make it), where the file is damaged.
    """
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text())
        if not isinstance(content, dict):
            raise ValueError("not an object")
        return content
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); {again}") from None


def zipped(folder: Path, names: Iterable[str]) -> bytes:
    """The files ``names`` of ``folder`` as a zip archive; equal contents give equal bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            # (A ZipInfo is of 1980, whatever the time.)
            archive.writestr(zipfile.ZipInfo(name), (folder / name).read_bytes(), zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def unzip(archive: bytes, folder: Path) -> None:
    """Write the files of a zip archive to ``folder``."""
    with zipfile.ZipFile(io.BytesIO(archive)) as content:
        content.extractall(folder)
