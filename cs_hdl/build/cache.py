"""Routed designs that were made before: the same parts and tools give the same result."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from cs_hdl.files import cache_root, write_aside, zipped

__all__ = ["cache_folder", "digest_of", "fetch", "store"]

#: Oldest entries go beyond so many: one of a full ECP5-85F takes some megabytes.
_MOST_ENTRIES = 40


def cache_folder() -> Path:
    """``cs-hdl/build`` below $XDG_CACHE_HOME (normally ~/.cache)."""
    return cache_root() / "build"


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
    archive = zipped(folder, names)
    with suppress(OSError):
        write_aside(cache_folder() / f"{key}.zip", archive)
        entries = sorted(cache_folder().glob("*.zip"), key=lambda path: path.stat().st_mtime)
        for path in entries[:-_MOST_ENTRIES]:
            path.unlink()
