"""Compiles an emitted accelerator with harness.v and runs the cocotb bench on it.

Usage: ``python run.py JOB.json`` with {"simulator", "design", "build", "folder", "top",
"input_bits", "output_bits", "waves", "tests", "seed", "build_args", "plusargs", "compile_only"}. Prints what the
simulator prints. Exit code 0: the simulator ran; what the bench found stands in its result files,
and in verdict.json how many cocotb tests ran and failed.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from cocotb_tools.check_results import get_results
from cocotb_tools.runner import get_runner
from job import VARIABLE

_HERE = Path(__file__).resolve().parent


def main(job_file: str) -> None:
    """Run the job; sources that were compiled already are not compiled again."""
    job = json.loads(Path(job_file).read_text())
    build, folder = Path(job["build"]), Path(job["folder"])
    os.environ[VARIABLE] = str(folder)
    runner = get_runner(job["simulator"])
    stamp = build / "compiled"
    if not stamp.exists():
        runner.build(
            sources=[job["design"], _HERE / "harness.v"],
            hdl_toplevel="harness",
            defines={
                "ACCELERATOR": job["top"],
                "INPUT_BITS": job["input_bits"],
                "OUTPUT_BITS": job["output_bits"],
            },
            build_args=job["build_args"],
            build_dir=build,
            always=True,
            waves=job["waves"],
            timescale=("1ns", "1ps"),
        )
        stamp.touch()
    if job["compile_only"]:
        return
    results = runner.test(
        test_module="accelerator_bench",
        hdl_toplevel="harness",
        hdl_toplevel_lang="verilog",
        testcase=job["tests"],
        seed=job["seed"],
        plusargs=job["plusargs"],
        build_dir=build,
        test_dir=folder,
        waves=job["waves"],
        timescale=("1ns", "1ps"),
    )
    count, failed = get_results(results)
    (folder / "verdict.json").write_text(json.dumps({"tests": count, "failed": failed}))


if __name__ == "__main__":
    main(sys.argv[1])
