"""Sweeps on real tools: nothing is done twice, nothing is lost, whatever is stopped or killed in the middle."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from slow import quick_first

from cs_hdl import cli
from cs_hdl.sweep import keys
from cs_hdl.sweep.cache import StepCache
from cs_hdl.sweep.engine import Sweep
from cs_hdl.sweep.keys import Surroundings, find_surroundings
from cs_hdl.sweep.study import load_study

#: Quick to synthesise, and no simulator in most tests: it takes most of the time.
FIXED = '[fixed]\nmodel = "linear"\nin-features = 8\nout-features = 4\nscale = "1/2^6"\n'
QUICK = "[run]\nsimulate = false\n" + FIXED
_SECONDS = 900


def write(folder: Path, text: str) -> Path:
    path = folder / "study.toml"
    path.write_text(text)
    return path


def results(out: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((out / "results.json").read_text())
    return content


def kept(out: Path) -> list[str]:
    """The steps that the cache holds, with repetitions."""
    return sorted(json.loads(path.read_text())["step"] for path in (out / "cache").rglob("*.json"))


def without_times(content: dict[str, Any]) -> list[dict[str, Any]]:
    return [{key: value for key, value in point.items() if key != "seconds"} for point in content["points"]]


def start(study: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    """``cs-hdl sweep`` as a program of its own."""
    command = [sys.executable, "-m", "cs_hdl.cli", "sweep", str(study), "--out", str(out), *more]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # Where the tests run in the background SIGINT is ignored, and so it would be in all that they start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def wait_for(condition: Any, what: str) -> None:
    end = time.monotonic() + _SECONDS
    while not condition():
        assert time.monotonic() < end, f"waited too long for {what}"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep that simulates as well, one of whose points cannot be made."""
    folder = tmp_path_factory.mktemp("sweep")
    study = write(folder, FIXED + "[grid]\nweight-sparsity = 0.5\nactive-inputs = [2, 99]\n")
    assert cli.run(["sweep", str(study), "--out", str(folder / "out"), "--jobs", "2"]) == 1
    return folder


def test_results_have_metrics_versions_and_digests(finished: Path) -> None:
    content = results(finished / "out")
    assert [point["status"] for point in content["points"]] == ["ok", "failed"]
    assert {"cs-hdl", "amaranth", "pyosys", "verilator", "yosys"} <= set(content["versions"])
    good = content["points"][0]
    assert good["options"]["weight-sparsity"] == 0.5
    assert good["metrics"]["mismatches"] == 0 and good["metrics"]["simulated_words"] == 2
    assert good["metrics"]["measured_cycles_per_word"] == good["metrics"]["cycles_per_word"]
    assert good["metrics"]["lut"] > 0 and good["metrics"]["dsp"] >= 0
    assert len(good["digest"]) == len(good["design"]) == 64
    bad = content["points"][1]
    assert "--active-inputs 99: must be 1..8" in bad["error"] and bad["error"].startswith("prepare:")


def test_the_csv_says_the_same(finished: Path) -> None:
    with (finished / "out" / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    points = results(finished / "out")["points"]
    assert [row["status"] for row in rows] == [point["status"] for point in points]
    heads = (finished / "out" / "results.csv").read_text().splitlines()[0].split(",")
    assert len(set(heads)) == len(heads)
    assert rows[0]["lut"] == str(points[0]["metrics"]["lut"])
    assert rows[1]["lut"] == "" and "--active-inputs 99" in rows[1]["error"]


def test_a_second_run_does_nothing_and_writes_the_same(
    finished: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    out = finished / "out"
    before, files = (out / "results.json").read_bytes(), sorted((out / "cache").rglob("*.json"))
    monkeypatch.setattr(Sweep, "run", lambda *arguments: pytest.fail("there is nothing to do"))
    assert cli.run(["sweep", str(finished / "study.toml"), "--out", str(out), "--json"]) == 1
    printed = json.loads(capfd.readouterr().out)
    assert printed["points"] == results(out)["points"]
    assert "1 of 2 points failed" in printed["error"]
    assert (out / "results.json").read_bytes() == before
    assert sorted((out / "cache").rglob("*.json")) == files


def test_changed_code_of_a_step_makes_only_that_step_again(finished: Path) -> None:
    study = load_study(finished / "study.toml")
    own = find_surroundings(("simulate", "synthesise"), simulator="verilator")

    def missing(step: str) -> int:
        other = Surroundings(code=own.code | {step: "changed"}, versions=own.versions)
        cache = StepCache(finished / "out" / "cache")
        return Sweep(study.points, run=study.run, surroundings=other, kept=cache).left

    # What was refused needs no synthesis.
    assert (missing("nothing"), missing("synthesise"), missing("simulate"), missing("prepare")) == (0, 1, 1, 2)


def test_verilog_that_did_not_change_is_not_synthesised_again(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other RTL files, but the same Verilog: designs are made anew, their cells are known."""
    code = keys._code_digest
    monkeypatch.setattr(keys, "_code_digest", lambda step: "changed" if step == "prepare" else code(step))
    study, out = load_study(finished / "study.toml"), finished / "out"
    changed = find_surroundings(("simulate", "synthesise"), simulator="verilator")
    sweep = Sweep(study.points, run=study.run, surroundings=changed, kept=StepCache(out / "cache"))
    (work, *_) = sweep._works
    assert sweep._next(work) == "prepare"
    old = results(out)["points"][0]
    # What a worker would give.
    digests = next(
        entry["result"]["digests"]
        for entry in (json.loads(path.read_text()) for path in (out / "cache").rglob("*.json"))
        if entry["step"] == "prepare" and entry["result"].get("digests", {}).get("design.v") == old["design"]
    )
    work.results["prepare"] = {"metrics": {}, "digests": digests, "seconds": 0.0}
    sweep._take_known(work)
    assert sweep._next(work) is None


def test_damaged_results_count_as_absent(tmp_path: Path) -> None:
    cache = StepCache(tmp_path)
    cache.put("ab" * 32, "prepare", {"metrics": {}, "seconds": 1.0})
    assert cache.get("ab" * 32) == {"metrics": {}, "seconds": 1.0}
    (path,) = tmp_path.rglob("*.json")
    for text in ("", "{", "[]", '{"key": "other", "result": {}}', path.read_text()[:-10]):
        path.write_text(text)
        assert cache.get("ab" * 32) is None


def test_two_sweeps_do_not_share_a_folder(tmp_path: Path, capfd: Any) -> None:
    from cs_hdl.sweep.cache import only_sweep

    study = write(tmp_path, QUICK)
    with only_sweep(tmp_path / "out"):
        assert cli.run(["sweep", str(study), "--out", str(tmp_path / "out")]) == 2
    assert "another sweep is writing there" in capfd.readouterr().err


@pytest.mark.parametrize("number", quick_first([signal.SIGINT, signal.SIGTERM], 1))
def test_stopped_in_the_middle_it_goes_on_where_it_was(tmp_path: Path, number: signal.Signals) -> None:
    study, out = write(tmp_path, QUICK + "[grid]\nseed = [1, 2, 3]\n"), tmp_path / "out"
    process = start(study, out, "--jobs", "1")
    wait_for(lambda: "synthesise" in kept(out) or process.poll() is not None, "the first synthesis")
    process.send_signal(number)
    _, err = process.communicate(timeout=_SECONDS)
    assert process.returncode in (130, 143) and "Traceback" not in err
    points = results(out)["points"]
    done = [point["status"] for point in points].count("ok")
    assert len(points) == 3 and 1 <= done < 3
    steps = len(kept(out))
    before = {path: path.stat().st_mtime_ns for path in (out / "cache").rglob("*.json")}
    assert cli.run(["sweep", str(study), "--out", str(out), "--jobs", "2"]) == 0
    assert [point["status"] for point in results(out)["points"]] == ["ok"] * 3
    assert kept(out) == ["prepare"] * 3 + ["synthesise"] * 3 and steps < 6
    # What was there is as it was.
    assert all(path.stat().st_mtime_ns == then for path, then in before.items())


@pytest.fixture
def cluster() -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A scheduler and two workers, started as a user would on two machines."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
    port = _free_port()
    address = f"tcp://127.0.0.1:{port}"
    dask = [sys.executable, "-m", "dask"]
    options = ["--host", "127.0.0.1", "--port", str(port), "--no-dashboard"]
    scheduler = subprocess.Popen([*dask, "scheduler", *options], **quiet)
    options = ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--host", "127.0.0.1"]
    workers = [subprocess.Popen([*dask, "worker", address, *options], **quiet) for _ in range(2)]
    try:
        yield address, workers
    finally:
        for process in (*workers, scheduler):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.slow_proof
def test_a_worker_that_is_killed_loses_nothing_and_doubles_nothing(
    tmp_path: Path, cluster: tuple[str, list[subprocess.Popen[bytes]]]
) -> None:
    address, workers = cluster
    study, out = write(tmp_path, QUICK + "[grid]\nseed = [1, 2, 3, 4, 5]\n"), tmp_path / "out"
    process = start(study, out, "--scheduler", address, "--json")
    wait_for(lambda: kept(out).count("synthesise") >= 1 or process.poll() is not None, "the first synthesis")
    os.killpg(workers[0].pid, signal.SIGKILL)
    printed, err = process.communicate(timeout=_SECONDS)
    assert process.returncode == 0, err
    content = results(out)
    assert [point["status"] for point in content["points"]] == ["ok"] * 5
    assert json.loads(printed)["points"] == content["points"]
    assert [point["options"]["seed"] for point in content["points"]] == [1, 2, 3, 4, 5]
    assert kept(out) == ["prepare"] * 5 + ["synthesise"] * 5
    told = [line for line in err.splitlines() if "✓" in line and "/5" in line]
    assert len(told) == 5
    assert workers[0].poll() is not None and workers[1].poll() is None
    # Undisturbed, on a process of this machine, the same comes out.
    write(tmp_path, QUICK + "[grid]\nseed = [1, 2]\n")
    assert cli.run(["sweep", str(study), "--out", str(tmp_path / "other"), "--jobs", "1"]) == 0
    assert without_times(results(tmp_path / "other")) == without_times(content)[:2]


def test_no_scheduler_is_one_line_exit_3(tmp_path: Path, capfd: Any) -> None:
    study = write(tmp_path, QUICK)
    address = f"tcp://127.0.0.1:{_free_port()}"
    assert cli.run(["sweep", str(study), "--out", str(tmp_path / "out"), "--scheduler", address]) == 3
    _, err = capfd.readouterr()
    assert "no Dask scheduler answers" in err and "Traceback" not in err


def test_an_address_that_is_none_is_exit_2(tmp_path: Path, capfd: Any) -> None:
    study = write(tmp_path, QUICK)
    assert cli.run(["sweep", str(study), "--out", str(tmp_path / "out"), "--scheduler", "no such://x"]) == 2
    assert "--scheduler no such://x" in capfd.readouterr().err
