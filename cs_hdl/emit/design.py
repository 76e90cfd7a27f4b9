"""A design directory: ``design.v``, ``manifest.json``, the network and the plan, whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cs_hdl.emit.manifest import make_manifest, read_manifest
from cs_hdl.emit.verilog import check_module_name, emit_verilog
from cs_hdl.errors import InputError
from cs_hdl.files import file_digest
from cs_hdl.plan.plan import save_plan

if TYPE_CHECKING:
    from collections.abc import Callable

    from cs_hdl.plan.plan import Plan

__all__ = ["check_design", "check_target", "replace_folder", "write_design"]

#: The files that the manifest has digests of.
_SOURCES = ("design.v", "network.npz", "plan.json")


def write_design(
    plan: Plan,
    out: Path,
    *,
    name: str = "cs_accelerator",
    source: str = "",
    progress: Callable[[str], None] = lambda step: None,
) -> dict[str, Any]:
    """Write the design of ``plan`` to the folder ``out``; the manifest is given back.

    ``name`` is the top module's, ``source`` says where the network came from. An older design
    in ``out`` is replaced, what was built from it goes with it; until all is written it stays as
    it was, whatever happens. Raises InputError where ``out`` holds anything else.
    """
    from cs_hdl.rtl.accelerator import Accelerator

    check_module_name(name)
    check_target(out)

    def fill(folder: Path) -> dict[str, Any]:
        save_plan(plan, folder)
        progress("Verilog")
        (folder / "design.v").write_text(emit_verilog(Accelerator(plan), name=name))
        digests = {file: file_digest(folder / file) for file in _SOURCES}
        manifest = make_manifest(plan, name=name, source=source, sources=digests)
        (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
        return manifest

    return replace_folder(out, fill)


def check_target(out: Path) -> None:
    """InputError unless ``out`` is absent, empty, or a design directory that may be replaced."""
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise InputError(f"--out {out}: exists and is no folder; name another one")
    if out.is_dir() and any(out.iterdir()) and not (out / "manifest.json").is_file():
        raise InputError(f"--out {out}: a folder with other files in it; name a new one or an older design")


def check_design(folder: Path) -> dict[str, Any]:
    """The manifest of ``folder``; InputError where it is no design directory or lacks a file.

    A file that was changed by hand is accepted: whether it is still right is for ``simulate`` to say.
    """
    manifest = read_manifest(folder)
    for file in manifest["sources"]:
        if not (folder / file).is_file():
            raise InputError(f"{folder / file}: missing; generate the design again")
    return manifest


def replace_folder(out: Path, fill: Callable[[Path], Any]) -> Any:
    """Let ``fill`` write into a folder beside ``out``, then put that in the place of ``out``.

    Gives back what ``fill`` gives. Where ``fill`` raises (Ctrl-C as well), ``out`` stays as it was.
    """
    out = out.absolute()
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    except OSError as error:
        raise InputError(f"--out {out}: cannot be written ({error.strerror})") from None
    old = work / "old"
    try:
        new = work / "new"
        new.mkdir()
        result = fill(new)
        if out.exists():
            os.rename(out, old)
        os.rename(new, out)
        return result
    except BaseException:
        if old.exists() and not out.exists():
            with suppress(OSError):
                os.rename(old, out)
        raise
    finally:
        # Anything that is not in its place by now is rubbish.
        if not (old.exists() and not out.exists()):
            shutil.rmtree(work, ignore_errors=True)
