"""Plants faults in the golden functions and runs their own tests on a copy of the package."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from mutation.python_operators import Change, find_changes
from mutation.results import Cache, Outcome

__all__ = ["GoldenFault", "find_golden_faults", "golden_tests", "run_golden_faults"]

_ROOT = Path(__file__).resolve().parent.parent.parent
#: What a copy of the checkout needs besides cs_hdl/ for its tests to run.
_LINKED = ("tests", "sim", "boards", "docs", "pyproject.toml", "README.md")


@dataclass(frozen=True, kw_only=True)
class GoldenFault:
    """``change`` in the module at ``path`` (below the checkout)."""

    path: str
    change: Change

    @property
    def operator(self) -> str:
        """The operator's name."""
        return self.change.operator

    @property
    def place(self) -> str:
        """The function."""
        return self.change.function


def find_golden_faults() -> dict[str, list[GoldenFault]]:
    """Every fault that the operators know of, by the module's path."""
    paths = [_ROOT / "cs_hdl" / "fixedpoint.py", *sorted((_ROOT / "cs_hdl" / "golden").glob("*.py"))]
    found = {}
    for path in paths:
        name = path.relative_to(_ROOT).as_posix()
        changes = [GoldenFault(path=name, change=change) for change in find_changes(path.read_text())]
        if changes:
            found[name] = changes
    return found


def golden_tests(path: str) -> list[str]:
    """The tests of the golden function in ``path``: those of all hardware lean on it, too, but take long."""
    own = Path(path).stem
    return {
        "fixedpoint": ["tests/test_fixedpoint.py", "tests/test_golden_dense.py"],
    }.get(own, [f"tests/test_golden_{own}.py"])


def run_golden_faults(
    faults: Iterable[GoldenFault], *, jobs: int, cache: Cache, progress: Callable[[str], None]
) -> Iterator[Outcome]:
    """One outcome for each fault, in any order; those in ``cache`` come first, and no others with 0 jobs."""
    waiting = []
    for fault in faults:
        source = (_ROOT / fault.path).read_text()
        contents = [(_ROOT / name).read_text() for name in [*golden_tests(fault.path), "tests/networks.py"]]
        parts = [*contents, source, fault.change.source]
        key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
        known = cache.get(key)
        if known is None:
            waiting.append((fault, key))
        else:
            yield known
    if not (waiting and jobs):
        return
    progress("golden functions: the tests without any fault")
    started = time.monotonic()
    tests = dict.fromkeys(test for fault, _ in waiting for test in golden_tests(fault.path))
    if run_tests(None, list(tests), seconds=1800) is not None:
        raise SystemExit("the tests of the golden functions fail without any fault")
    # A fault may make an endless loop; the machine may be busy.
    seconds = 120 + 5 * (time.monotonic() - started)
    with ThreadPoolExecutor(jobs) as pool:
        futures = {
            pool.submit(run_tests, fault, golden_tests(fault.path), seconds=seconds): (fault, key)
            for fault, key in waiting
        }
        try:
            for future in as_completed(futures):
                fault, key = futures[future]
                failed = future.result()
                outcome = Outcome(
                    design=fault.path,
                    place=fault.place,
                    line=fault.change.line,
                    operator=fault.operator,
                    was=fault.change.was,
                    now=fault.change.now,
                    caught_by=() if failed is None else (failed,),
                )
                cache.put(key, outcome)
                yield outcome
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def run_tests(fault: GoldenFault | None, tests: list[str], *, seconds: float) -> str | None:
    """The first test file that fails with ``fault``; None where all pass. An endless one fails, too."""
    with tempfile.TemporaryDirectory(prefix="cs-hdl-mutate-") as name:
        folder = Path(name)
        shutil.copytree(_ROOT / "cs_hdl", folder / "cs_hdl", ignore=shutil.ignore_patterns("__pycache__"))
        for linked in _LINKED:
            (folder / linked).symlink_to(_ROOT / linked)
        if fault is not None:
            (folder / fault.path).write_text(fault.change.source)
        environment = dict(os.environ, PYTHONPATH=str(folder), PYTHONDONTWRITEBYTECODE="1")
        environment.pop("PYTEST_CURRENT_TEST", None)
        # The file that is meant to be tested must be the one that is.
        check = f"import cs_hdl, pytest, sys; assert cs_hdl.__file__.startswith({name!r}); sys.exit(pytest.main())"
        for test in tests:
            command = [sys.executable, "-c", check, "-x", "-q", "-p", "no:cacheprovider", f"--rootdir={name}", test]
            try:
                result = subprocess.run(
                    command, cwd=folder, env=environment, capture_output=True, text=True, timeout=seconds, check=False
                )
            except subprocess.TimeoutExpired:
                return test
            if result.returncode in (1, 2):  # failed, or could not even be collected
                return test
            if result.returncode:
                raise SystemExit(f"pytest ended with {result.returncode}:\n{result.stdout[-2000:]}{result.stderr}")
    return None
