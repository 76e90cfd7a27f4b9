"""A compiler in front of the compiler, as Verilator's makefile calls it: ``object_cache.py CXX ARGUMENTS... SOURCE``.

Verilator's own runtime is compiled anew with each design, which takes most of the time that a small one needs. Its
objects are kept in the folder that CS_HDL_OBJECTS names, by all that they depend on: the arguments, the compiler and
the sources and headers of the runtime. Everything else goes to the compiler as it is.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from cs_hdl.files import write_aside


def main(command: list[str]) -> int:
    """Compile or copy; returns the compiler's exit code."""
    source = Path(command[-1])
    if not (source.is_absolute() and source.name.startswith("verilated") and command[-3:-2] == ["-o"]):
        return subprocess.call(command)
    target = Path(command[-2])
    kept = Path(os.environ["CS_HDL_OBJECTS"]) / f"{_key(command, source)}.o"
    try:
        shutil.copyfile(kept, target)
    except OSError:  # not there yet
        code = subprocess.call(command)
        if code == 0:
            with suppress(OSError):  # a full disk is no reason to fail
                write_aside(kept, target.read_bytes())
        return code
    return 0


def _key(command: list[str], source: Path) -> str:
    compiler = Path(shutil.which(command[0]) or command[0]).resolve()
    found = compiler.stat() if compiler.exists() else None
    parts = [*command[1:-2], str(source), str(compiler), found and (found.st_size, found.st_mtime_ns)]
    digest = hashlib.sha256(json.dumps(parts).encode())
    for path in sorted(source.parent.rglob("*")):
        if path.suffix in (".cpp", ".h", ".c", ".hpp"):
            digest.update(json.dumps(str(path)).encode() + path.read_bytes())
    return digest.hexdigest()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
