"""Routed designs that were made before: the same parts and tools give the same result."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from cs_hdl.files import write_aside

__all__ = ["cache_folder", "digest_of", "fetch", "store"]

#: Oldest entries go beyond so many: one of a full ECP5-85F takes some megabytes.
_MOST_ENTRIES = 40
#: Times of 1980, so that equal contents give equal files.
_EPOCH = (1980, 1, 1, 0, 0, 0)


def cache_folder() -> Path:
    """``cs-hdl/build`` below $XDG_CACHE_HOME (normally ~/.cache)."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "cs-hdl" / "build"


def digest_of(parts: dict[str, Any]) -> str:
    """Names an entry after all that the result depends on."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def fetch(key: str, folder: Path) -> bool:
    """Write the files of the entry ``key`` to ``folder``; False where it is absent or damaged."""
    path = cache_folder() / f"{key}.zip"
    try:
        with zipfile.ZipFile(path) as archive:
            contents = {name: archive.read(name) for name in archive.namelist()}
    except (OSError, zipfile.BadZipFile, EOFError, ValueError, NotImplementedError):
        return False
    except Exception:  # zlib.error and whatever else a damaged file makes zipfile raise
        return False
    for name, content in contents.items():
        (folder / Path(name).name).write_bytes(content)
    with suppress(OSError):
        os.utime(path)
    return bool(contents)


def store(key: str, folder: Path, names: list[str]) -> None:
    """Keep the files ``names`` of ``folder`` as the entry ``key``; a cache that cannot be written is no error."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), (folder / name).read_bytes(), zipfile.ZIP_DEFLATED)
    with suppress(OSError):
        write_aside(cache_folder() / f"{key}.zip", buffer.getvalue())
        entries = sorted(cache_folder().glob("*.zip"), key=lambda path: path.stat().st_mtime)
        for path in entries[:-_MOST_ENTRIES]:
            path.unlink()
