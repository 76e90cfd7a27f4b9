"""From components to RTLIL, those that are large in several processes at once.

``python -m cs_hdl.emit.elaborate`` is such a process: it takes its modules from standard input and gives them to
standard output, both pickled. (multiprocessing would run the user's own script once more where that has no guard.)
"""

from __future__ import annotations

import gc
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from amaranth.back import rtlil

from cs_hdl.errors import ToolError
from cs_hdl.rtl.platform import EmitPlatform, Separate

__all__ = ["Elaborated", "elaborate", "without_garbage_collection"]

#: Below this weight in all, starting another process takes longer than it saves.
_WORTH_A_PROCESS = 1500
#: What a process of its own has to do before it begins: start Python, import Amaranth.
_START_WEIGHT = 400


@dataclass(frozen=True, kw_only=True)
class Elaborated:
    """``modules``: RTLIL, in a fixed order; ``texts``: by name, modules that are Verilog already."""

    modules: list[str]
    texts: dict[str, str]


def elaborate(component: Any, *, name: str) -> Elaborated:
    """``component`` as the module ``name``, and all that it needs; the same whatever number of processes worked.

    To be called :func:`without_garbage_collection`. Raises ToolError where such a process fails.
    """
    whole, separate = _elaborate(component, name)
    processes = min(os.cpu_count() or 1, len(separate))
    if processes < 2 or sum(module.weight for module in separate.values()) < _WORTH_A_PROCESS:
        done = _elaborate_all(separate)
    else:
        done = _in_processes(_share(separate, processes))
    parts = [done[part] for part in separate]
    return Elaborated(
        modules=[module for part in (whole, *parts) for module in part.modules],
        texts={label: text for part in (whole, *parts) for label, text in part.texts.items()},
    )


def _elaborate(component: Any, name: str) -> tuple[Elaborated, dict[str, Separate]]:
    platform = EmitPlatform(name=name)
    modules = [rtlil.convert(component, name=name, platform=platform, emit_src=False)]
    for part, shared in platform.parts.items():
        modules.append(rtlil.convert(shared, name=part, platform=platform, emit_src=False))
    return Elaborated(modules=modules, texts=platform.texts), platform.separate


def _elaborate_all(modules: Mapping[str, Separate]) -> dict[str, Elaborated]:
    return {name: _elaborate(module.make(), name)[0] for name, module in modules.items()}


def _share(modules: Mapping[str, Separate], processes: int) -> list[dict[str, Separate]]:
    """The heaviest first, each to whom has least; the last, who is at work already, begins at once."""
    shares: list[dict[str, Separate]] = [{} for _ in range(processes)]
    loads = [_START_WEIGHT] * (processes - 1) + [0]
    for name, module in sorted(modules.items(), key=lambda item: -item[1].weight):
        least = loads.index(min(loads))
        shares[least][name] = module
        loads[least] += module.weight
    return shares


def _in_processes(shares: list[dict[str, Separate]]) -> dict[str, Elaborated]:
    """The last share here, the others each in a process of its own."""
    started: list[subprocess.Popen[bytes]] = []
    try:
        for share in filter(None, shares[:-1]):
            process = subprocess.Popen(
                [sys.executable, "-m", __name__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
            started.append(process)
            assert process.stdin is not None
            pickle.dump(share, process.stdin)
            process.stdin.close()
            process.stdin = None  # communicate() would flush it
        done = _elaborate_all(shares[-1])
        for process in started:
            output, errors = process.communicate()
            if process.returncode:
                tail = errors.decode(errors="replace").strip().splitlines()[-5:]
                raise ToolError("elaboration failed in a process of its own:\n" + "\n".join(tail))
            done.update(pickle.loads(output))
    except OSError as error:
        raise ToolError(f"cannot start Python for elaboration: {error}") from error
    finally:
        for process in started:
            process.kill()  # Ctrl-C, or another one failed; nothing happens to one that has ended
            process.wait()
    return done


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Elaboration makes millions of objects and drops few: looking for those took four tenths of its time.

    At the end they are all looked through once, so end it where something else is waited for.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
            gc.collect(0)


if __name__ == "__main__":
    # (Under its own name, so that what is pickled here is known to the reader.)
    from cs_hdl.emit import elaborate as own

    gc.disable()
    pickle.dump(own._elaborate_all(pickle.load(sys.stdin.buffer)), sys.stdout.buffer)
    sys.stdout.flush()
    os._exit(0)  # taking apart what was made takes half a second
